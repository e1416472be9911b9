"""What of another protocol's answer, or of a question for one, has no place is said by its place."""

import json
from typing import Any, Literal

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    Choice,
    Citation,
    Event,
    ExtrasDelta,
    Finish,
    Message,
    Notices,
    Reasoning,
    ReasoningControl,
    Request,
    Response,
    Start,
    Text,
    ToolCall,
    ToolResult,
    Usage,
)
from asgi_ds2api.codec import Envelope, HTTPCall
from asgi_ds2api.fold import unfold
from asgi_ds2api.model_facts import ModelFacts
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_chat
from asgi_ds2api.protocols.openai_chat.reasoning import encode_control, encode_replay

ENVELOPE = Envelope(model="asked", include_usage=True)
ID = {"id": Raw(b'"x"')}
THOUGHTS = (
    Reasoning(text="t", is_summary=True, signature="s", extras=ID, at="r0"),
    Reasoning(redacted="c", at="r1"),
)
CITED = Citation(protocol="anthropic_messages", raw=Raw(b"{}"), url="https://example.com", at="cited")
USAGE = Usage(input_total=3, output_total=2, cache_write_5m=1, extras={"inference_geo": Raw(b'"eu"')})


def answer(*, source: Any = "anthropic_messages", reason: Any = "other") -> Response:
    blocks = (*THOUGHTS, Text(text="Hi", citations=(CITED,)))
    choice = Choice(blocks=blocks, finish=Finish(reason=reason, raw="odd", at="stop_reason"))
    return Response(source=source, id="c", model="m", choices=(choice,), usage=USAGE)


def whole(response: Response, notices: Notices) -> None:
    openai_chat.encode_response(response, ENVELOPE, notices)


def streamed(response: Response, notices: Notices) -> None:
    encoder = openai_chat.StreamEncoder(ENVELOPE, notices)
    encoder.encode(unfold(response))
    encoder.close()


def paths(notices: Notices) -> list[str]:
    return sorted(notice.path for notice in notices)


@pytest.mark.parametrize("write", [whole, streamed])
def test_answer_of_another_protocol_is_accounted_for(write: Any) -> None:
    notices = Notices()
    write(answer(), notices)
    thoughts = ["r0.id", "r0.signature", "r0.type", "r1"]
    assert paths(notices) == ["cited", *thoughts, "stop_reason", "usage.cache_creation", "usage.inference_geo"]


def test_reasoning_that_goes_back_as_text_leaves_its_names_behind() -> None:
    notices = Notices()
    written = encode_replay(THOUGHTS[:1], PROFILES["lenient"], notices, has_calls=False, is_own=True)
    assert (json.loads(json.dumps(written)), paths(notices)) == ({"reasoning_content": "t"}, ["r0.id", "r0.signature"])


def test_effort_without_thinking_is_reported() -> None:
    notices = Notices()
    control = ReasoningControl(mode="disabled", effort="high", at="thinking")
    written = encode_control(control, PROFILES["openai"], ModelFacts(), notices)
    assert (written, paths(notices)) == ({"reasoning_effort": "none"}, ["thinking.effort"])


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_earlier_reasoning_that_stays_here_is_named_as_the_caller_spelled_it(name: str) -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", name: "why"}]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    request = openai_chat.decode_request(HTTPCall(method="POST", path="/v1/chat/completions", body=body))
    blocks = [block for block in request.messages[1].content if isinstance(block, Reasoning)]
    assert [block.at for block in blocks] == [f"messages[1].{name}"]


@pytest.mark.parametrize("level", ["choice", "message"])
def test_a_field_of_a_vendor_that_is_told_twice_is_told_twice(level: Literal["choice", "message"]) -> None:
    encoder = openai_chat.StreamEncoder(ENVELOPE, Notices())
    told: list[Event] = [Start(source="openai_chat", id="c", model="m")]
    told += [ExtrasDelta(level=level, fields={"steps": Raw(text)}) for text in (b'"one"', b'"two"')]
    data = encoder.encode([*told, Finish(reason="stop")]) + encoder.close()
    assert data.index(b'"steps":"one"') < data.index(b'"steps":"two"')


CALL = ToolCall(id="t1", name="f", arguments="{}", at="call")
AROUND_A_CALL = (Text(text="one", at="first"), CALL, Text(text="", at="empty"), Text(text="two", at="second"))


def moved(notices: Notices) -> list[tuple[str, str, str]]:
    return [(notice.path, notice.action, notice.severity) for notice in notices]


@pytest.mark.parametrize("write", [whole, streamed])
def test_text_behind_a_call_is_told_to_stand_before_it(write: Any) -> None:
    notices = Notices()
    choice = Choice(blocks=AROUND_A_CALL, finish=Finish(reason="tool_calls"))
    write(Response(source="anthropic_messages", id="c", model="m", choices=(choice,), usage=Usage()), notices)
    assert moved(notices) == [("second", "moved", "changed")]


@pytest.mark.parametrize("write", [whole, streamed])
def test_text_behind_a_call_of_ones_own_has_not_moved(write: Any) -> None:
    notices = Notices()
    choice = Choice(blocks=AROUND_A_CALL, finish=Finish(reason="tool_calls"))
    write(Response(source="openai_chat", id="c", model="m", choices=(choice,), usage=Usage()), notices)
    assert moved(notices) == []


def test_text_behind_a_call_in_the_history_is_told_to_stand_before_it() -> None:
    result = ToolResult(call_id="t1", blocks=(Text(text="ok"),), at="result")
    talk = (Message(role="assistant", content=AROUND_A_CALL), Message(role="user", content=(result,)))
    notices = Notices()
    asked = Request(source="anthropic_messages", model="m", messages=talk)
    written = json.loads(openai_chat.encode_request(asked, PROFILES["openai"], notices).body)["messages"][0]
    assert written["content"] == "one\n\ntwo"
    assert moved(notices) == [("second", "moved", "changed")]
