"""Of an upstream that cannot be told to make one call at a time the first is heard alone, and the caller is told."""

import pytest

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Event,
    Finish,
    FunctionTool,
    Message,
    Notice,
    Notices,
    Ping,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolChoice,
)
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.shims.one_call import OneCall
from tests.conformance.asking import ask, claude_answer, gemini_answer, ollama_answer

ASYNC = pytest.mark.anyio
TOOL = FunctionTool(name="f", at="tools[0]")
NAMED = {"type": "function", "function": {"name": "f"}}
CALLS = [{"functionCall": {"id": f"call_{number}", "name": "f", "args": {"a": number}}} for number in (1, 2, 3)]


def wish(*, is_parallel: bool | None = False, tools: tuple[FunctionTool, ...] = (TOOL,), choice: str = "") -> Request:
    return Request(
        source="openai_chat",
        model="m",
        messages=(Message(role="user", content=(Text(text="hi"),)),),
        tools=tools,
        tool_choice=ToolChoice(mode=choice) if choice else None,  # type: ignore[arg-type]  # of the parameters below
        parallel_tool_calls=is_parallel,
    )


def call(index: int, choice: int = 0) -> list[Event]:
    started = BlockStart(index=index, block=ToolCall(id=f"call_{index}", name="f", arguments=""), choice=choice)
    return [started, ArgumentsDelta(index=index, arguments="{}"), BlockStop(index=index)]


def said(index: int, text: str) -> list[Event]:
    return [BlockStart(index=index, block=Text(text="")), TextDelta(index=index, text=text), BlockStop(index=index)]


def shim() -> OneCall:
    made = OneCall()
    made.request(wish(), Notices())
    return made


@pytest.mark.parametrize("name", ["gemini", "vertex", "ollama", "ollama-openai"])
def test_is_needed_where_the_upstream_has_no_such_switch(name: str) -> None:
    assert OneCall.is_needed(wish(), PROFILES[name])
    assert not OneCall.is_needed(wish(is_parallel=True), PROFILES[name])
    assert not OneCall.is_needed(wish(is_parallel=None), PROFILES[name])
    assert not OneCall.is_needed(wish(), Profile())


@pytest.mark.parametrize(
    ("request_", "severity"),
    [
        (wish(), "changed"),
        (wish(choice="required"), "changed"),
        (wish(choice="none"), "hint"),
        (wish(tools=()), "hint"),
    ],
)
def test_wish_is_taken_out_and_reported(request_: Request, severity: str) -> None:
    notices = Notices()
    assert OneCall().request(request_, notices).parallel_tool_calls is None
    assert [(notice.path, notice.severity) for notice in notices] == [("parallel_tool_calls", severity)]


def test_first_call_is_told_and_further_ones_are_not() -> None:
    end = Finish(reason="tool_calls")
    events = shim().events([*said(0, "a"), *call(1), *call(2), *call(3), end])
    assert [event for event in events if not isinstance(event, Notice)] == [*said(0, "a"), *call(1), end]
    (notice,) = (event for event in events if isinstance(event, Notice))
    assert (notice.path, notice.severity) == ("parallel_tool_calls", "changed")


def test_blocks_behind_a_call_that_is_left_out_are_counted_without_it() -> None:
    events = shim().events([*call(0), *call(1), *said(2, "b")])
    assert [event for event in events if not isinstance(event, Notice)] == [*call(0), *said(1, "b")]


def test_calls_that_come_at_once_are_told_apart() -> None:
    first, second = call(0), call(1)
    woven = [event for pair in zip(first, second, strict=True) for event in pair]
    assert [event for event in shim().events(woven) if not isinstance(event, Notice)] == first


def test_each_choice_has_its_call() -> None:
    events = shim().events([*call(0), *call(1, choice=1), *call(2), *call(3, choice=1)])
    assert [event for event in events if not isinstance(event, Notice)] == [*call(0), *call(1, choice=1)]


def test_one_call_is_passed_on_as_it_is_and_nothing_is_said() -> None:
    events: list[Event] = [*said(0, "a"), Ping(), *call(1), Finish(reason="tool_calls")]
    assert list(shim().events(events)) == events


@ASYNC
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("face", "wanted", "path"),
    [
        ("chat", {"tools": [NAMED], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ("responses", {"tools": [{"type": "function", "name": "f"}], "parallel_tool_calls": False},
         "parallel_tool_calls"),
        ("claude", {"tools": [{"name": "f", "input_schema": {"type": "object"}}],
                    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
         "tool_choice.disable_parallel_tool_use"),
    ],
)  # fmt: skip
async def test_every_face_is_told_of_one_call_of_an_upstream_that_made_three(
    face: str, wanted: dict[str, object], path: str, is_stream: bool
) -> None:
    asked = await ask(face, "gemini", {**wanted, "stream": is_stream}, gemini_answer(CALLS))
    assert (asked.answer.text.count("call_1") > 0, "call_2" in asked.answer.text) == (True, False)
    assert (asked.notices[path], "call_3" in asked.answer.text) == ("changed", False)
    reasons = [notice.reason for notice in asked.records[-1].notices if notice.path == path]
    assert reasons[-1] == "the model made more calls than the one that was wanted"


@ASYNC
async def test_ollama_makes_one_call_too() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": number}}} for number in (1, 2)]
    body = {"tools": [NAMED], "parallel_tool_calls": False}
    asked = await ask("chat", "ollama", body, ollama_answer({"content": "", "tool_calls": calls}))
    (told,) = asked.json["choices"][0]["message"]["tool_calls"]
    assert told["function"]["arguments"] == '{"a":1}'


@ASYNC
async def test_upstream_that_has_the_switch_is_told_by_it_alone() -> None:
    uses = [{"type": "tool_use", "id": f"toolu_{number}", "name": "f", "input": {}} for number in (1, 2)]
    body = {"tools": [NAMED], "parallel_tool_calls": False}
    asked = await ask("chat", "claude", body, claude_answer(uses, "tool_use"))
    assert asked.sent["tool_choice"]["disable_parallel_tool_use"] is True
    assert len(asked.json["choices"][0]["message"]["tool_calls"]) == 2
