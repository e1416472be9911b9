"""Tools of the Responses protocol that the caller runs, as functions of another protocol's model, and back."""

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    Event,
    FunctionTool,
    Message,
    Notices,
    Opaque,
    ProtocolName,
    Request,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    VendorTool,
)
from asgi_ds2api.shims.item_forms import FORMS
from asgi_ds2api.shims.item_tools import ItemTools

SHELL = VendorTool(
    protocol="openai_responses", type="shell", name=None, raw=Raw(b"{}"), runs_at="caller", at="tools[0]"
)
COMMANDS = '{"commands":["ls"]}'


def asking(*tools: Tool, block: Block | None = None, source: ProtocolName = "openai_responses") -> Request:
    history = () if block is None else (Message(role="user", content=(block,)),)
    return Request(
        source=source,
        model="m",
        messages=(Message(role="user", content=(Text(text="hi"),)), *history),
        tools=tools,
    )


def item(kind: str) -> Opaque:
    return Opaque(protocol="openai_responses", type=kind, raw=Raw(b'{"call_id":"c"}'), at="input[1]")


@pytest.mark.parametrize(
    ("request_", "protocol", "needed"),
    [
        (asking(SHELL), "openai_chat", True),
        (asking(SHELL), "openai_responses", False),
        (asking(SHELL, source="openai_chat"), "anthropic_messages", False),
        (asking(msgspec.structs.replace(SHELL, runs_at="provider")), "openai_chat", False),
        (asking(msgspec.structs.replace(SHELL, type="tool_search", runs_at="provider")), "openai_chat", True),
        (asking(FunctionTool(name="f", extras={"defer_loading": Raw(b"true")})), "openai_chat", True),
        (asking(FunctionTool(name="f")), "openai_chat", False),
        (asking(block=item("apply_patch_call_output")), "openai_chat", True),
        (asking(block=item("web_search_call")), "openai_chat", False),
    ],
)
def test_is_needed_for_such_tools_and_their_items_elsewhere(request_: Request, protocol: str, needed: bool) -> None:
    assert ItemTools.is_needed(request_, protocol) is needed


@pytest.mark.parametrize("type_", list(FORMS))
def test_signature_asks_for_what_the_item_needs(type_: str) -> None:
    tool = msgspec.structs.replace(SHELL, type=type_)
    (function,) = ItemTools().request(asking(tool), Notices()).tools
    assert isinstance(function, FunctionTool)
    schema = msgspec.json.decode(function.parameters or b"")
    assert {*schema["required"]} <= schema["properties"].keys()
    assert (function.name, function.at) == (type_, "tools[0]")


def test_calls_that_come_interleaved_are_items_when_they_are_whole() -> None:
    shim = ItemTools()
    shim.request(asking(SHELL), Notices())
    events: list[Event] = [
        BlockStart(index=0, block=ToolCall(id="c0", name="shell", arguments="")),
        BlockStart(index=1, block=ToolCall(id="c1", name="other", arguments="")),
        ArgumentsDelta(index=0, arguments=COMMANDS[:9]),
        ArgumentsDelta(index=1, arguments="{}"),
        ArgumentsDelta(index=0, arguments=COMMANDS[9:]),
        BlockStop(index=1),
        BlockStop(index=0),
    ]
    out = [event for sent in events for event in shim.events([sent])]
    assert out[:3] == [events[1], events[3], events[5]]
    start, stop = out[3:]
    assert isinstance(start, BlockStart)
    assert isinstance(start.block, Opaque)
    assert msgspec.json.decode(start.block.raw)["action"]["commands"] == ["ls"]
    assert (start.index, start.block.type, stop) == (0, "shell_call", BlockStop(index=0))


def test_what_is_said_beside_passes_at_once() -> None:
    shim = ItemTools()
    shim.request(asking(SHELL), Notices())
    said = TextDelta(index=0, text="Hi")
    assert shim.events([said]) == [said]


def test_second_tool_of_a_type_is_told_once() -> None:
    notices = Notices()
    sent = ItemTools().request(asking(SHELL, msgspec.structs.replace(SHELL, at="tools[1]")), notices)
    assert len(sent.tools) == 1
    assert [(n.path, n.severity) for n in notices] == [("tools[0]", "changed"), ("tools[1]", "hint")]


def test_what_an_environment_offers_is_reported() -> None:
    notices = Notices()
    raw = Raw(b'{"type":"shell","environment":{"type":"local","skills":[]},"allowed_callers":["direct"]}')
    ItemTools().request(asking(msgspec.structs.replace(SHELL, raw=raw)), notices)
    lost = {n.path for n in notices if n.severity == "lost"}
    assert lost == {"tools[0].environment", "tools[0].allowed_callers"}
