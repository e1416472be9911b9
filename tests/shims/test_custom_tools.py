"""Free-text tools on an upstream that knows functions only, and back."""

from collections.abc import Sequence

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CustomTool,
    Event,
    FunctionTool,
    Message,
    Notices,
    Request,
    Text,
    ToolCall,
)
from asgi_ds2api.profiles import Profile
from asgi_ds2api.shims.custom_tools import CustomTools


def asking(*blocks: ToolCall) -> Request:
    tool = CustomTool(name="apply_patch", description="Patch.", format=Raw(b'{"type":"grammar"}'), at="tools[0]")
    return Request(
        source="openai_chat",
        model="m",
        messages=(Message(role="user", content=(Text(text="hi"),)), Message(role="assistant", content=blocks)),
        tools=(tool, FunctionTool(name="get", at="tools[1]")),
    )


def call(name: str, *pieces: str) -> list[Event]:
    deltas: list[Event] = [ArgumentsDelta(index=0, arguments=piece) for piece in pieces]
    return [BlockStart(index=0, block=ToolCall(id="c", name=name, arguments="")), *deltas, BlockStop(index=0)]


def arguments_of(events: Sequence[Event]) -> str:
    return "".join(event.arguments for event in events if isinstance(event, ArgumentsDelta))


def test_openai_C35_tool_becomes_a_function_with_one_string() -> None:
    notices = Notices()
    tool = CustomTools().request(asking(), notices).tools[0]
    assert isinstance(tool, FunctionTool)
    assert msgspec.json.decode(tool.parameters or b"") == {
        "type": "object",
        "properties": {"input": {"type": "string"}},
        "required": ["input"],
    }
    assert [(n.path, n.severity) for n in notices] == [("tools[0]", "changed"), ("tools[0].format", "lost")]


@pytest.mark.parametrize("pieces", [('{"input":"*** Begin"}',), ('{"inp', 'ut":"*** Be', 'gin"}')])
def test_openai_C35_call_is_the_callers_custom_tool_again(pieces: tuple[str, ...]) -> None:
    shim = CustomTools()
    shim.request(asking(), Notices())
    events = [event for sent in call("apply_patch", *pieces) for event in shim.events([sent])]
    assert isinstance(events[0], BlockStart)
    assert isinstance(events[0].block, ToolCall)
    assert events[0].block.kind == "custom"
    assert arguments_of(events) == "*** Begin"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("{", ""),
        ('{"inp', ""),
        ('{"input": "', ""),
        ('{"input":"ab', "ab"),
        ('{"input": "a\\n\\"b\\\\', 'a\n"b\\'),
        ('{"input":"ab"', "ab"),
        ('{"input":"ab" ', "ab"),
        ('{"input":"ab\\', "ab"),
        ('{"input":"ab\\u00', "ab"),
        ('{"input":"ab\\u00e9', "ab\u00e9"),
        ('{"input":"ab\\ud83d', "ab"),
        ('{"input":"ab\\ud83d\\ude', "ab"),
        ('{"input":"ab\\ud83d\\ude00', "ab\U0001f600"),
    ],
)
def test_openai_E7_call_that_was_cut_off_has_its_text_as_far_as_it_came(arguments: str, text: str) -> None:
    shim = CustomTools()
    shim.request(asking(), Notices())
    assert arguments_of(shim.events(call("apply_patch", arguments))) == text


def test_arguments_of_another_shape_are_passed_on_as_they_are() -> None:
    shim = CustomTools()
    shim.request(asking(), Notices())
    assert arguments_of(shim.events(call("apply_patch", '{"patch":1}'))) == '{"patch":1}'


def test_calls_of_functions_are_left_alone() -> None:
    shim = CustomTools()
    shim.request(asking(), Notices())
    events = call("get", '{"a":1}')
    assert list(shim.events(events)) == events


def test_call_in_the_history_is_wrapped() -> None:
    custom = ToolCall(id="c", name="apply_patch", arguments='a "b"\n', kind="custom")
    sent = CustomTools().request(asking(custom), Notices()).messages[1].content[0]
    assert sent == ToolCall(id="c", name="apply_patch", arguments='{"input":"a \\"b\\"\\n"}')


@pytest.mark.parametrize(("has_custom_tools", "needed"), [(True, False), (False, True)])
def test_is_needed_where_the_upstream_lacks_them(has_custom_tools: bool, needed: bool) -> None:
    assert CustomTools.is_needed(asking(), Profile(custom_tools=has_custom_tools)) is needed
