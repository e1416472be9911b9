"""Anthropic's own client tools, called by another vendor's model."""

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    BlockStart,
    FunctionTool,
    Message,
    Notices,
    Request,
    Text,
    ToolCall,
    VendorTool,
)
from asgi_ds2api.shims.client_tools import SINGLE, TOOLSETS, ClientTools


def vendor_tool(type_name: str, name: str | None = None, runs_at: str = "caller") -> VendorTool:
    return VendorTool(
        protocol="anthropic_messages",
        type=type_name,
        name=name,
        raw=Raw(b"{}"),
        runs_at=runs_at,  # type: ignore[arg-type]  # a plain str parametrises better
        at="tools[0]",
    )


def asking(*tools: VendorTool, call: ToolCall | None = None) -> Request:
    history = () if call is None else (Message(role="assistant", content=(call,)),)
    return Request(
        source="anthropic_messages",
        model="m",
        messages=(Message(role="user", content=(Text(text="hi"),)), *history),
        tools=tools,
    )


@pytest.mark.parametrize(
    ("type_name", "name"),
    [
        ("bash_20250124", "bash"),
        ("text_editor_20250124", "str_replace_editor"),
        ("text_editor_20250728", "str_replace_based_edit_tool"),
        ("memory_20250818", "memory"),
        ("computer_20250124", "computer"),
    ],
)
def test_tool_becomes_a_function_of_its_published_shape(type_name: str, name: str) -> None:
    notices = Notices()
    (tool,) = ClientTools().request(asking(vendor_tool(type_name, name)), notices).tools
    assert isinstance(tool, FunctionTool)
    assert tool.name == name
    family = type_name.rpartition("_")[0]
    schema = msgspec.json.decode(tool.parameters or b"")
    assert schema["properties"].keys() == SINGLE[family].properties.keys()
    assert [(n.path, n.severity) for n in notices] == [("tools[0]", "changed")]


@pytest.mark.parametrize("family", sorted(TOOLSETS))
def test_toolset_becomes_a_function_a_member_and_its_calls_come_back(family: str) -> None:
    shim = ClientTools()
    sent = shim.request(asking(vendor_tool(f"{family}_20260801")), Notices())
    assert [tool.name for tool in sent.tools] == [f"{family}__{member}" for member in TOOLSETS[family]]
    called = BlockStart(index=0, block=ToolCall(id="c", name=f"{family}__screenshot", arguments=""))
    (event,) = shim.events([called])
    assert isinstance(event, BlockStart)
    assert event.block == ToolCall(
        id="c", name="screenshot", arguments="", extras={"toolset_name": Raw(msgspec.json.encode(family))}
    )


def test_members_call_in_the_history_is_renamed_like_the_function() -> None:
    call = ToolCall(id="c", name="wait", arguments="{}", extras={"toolset_name": Raw(b'"browser_toolset"')})
    sent = ClientTools().request(asking(vendor_tool("browser_toolset_20260801"), call=call), Notices())
    assert sent.messages[1].content == (ToolCall(id="c", name="browser_toolset__wait", arguments="{}"),)


@pytest.mark.parametrize("named", [b"5", b"[]", b"1e999"])
def test_call_of_a_toolset_that_is_no_name_stays_as_it_is(named: bytes) -> None:
    call = ToolCall(id="c", name="wait", arguments="{}", extras={"toolset_name": Raw(named)})
    sent = ClientTools().request(asking(vendor_tool("browser_toolset_20260801"), call=call), Notices())
    assert sent.messages[1].content == (call,)


@pytest.mark.parametrize(
    ("tool", "protocol", "needed"),
    [
        (vendor_tool("bash_20250124", "bash"), "openai_chat", True),
        (vendor_tool("bash_20250124", "bash"), "anthropic_messages", False),
        (vendor_tool("web_search_20260318", "web_search", runs_at="provider"), "openai_chat", False),
        (vendor_tool("telepathy_20300101", "telepathy"), "openai_chat", False),
    ],
)
def test_is_needed_for_known_client_tools_on_a_foreign_protocol(tool: VendorTool, protocol: str, needed: bool) -> None:
    assert ClientTools.is_needed(asking(tool), protocol) is needed
