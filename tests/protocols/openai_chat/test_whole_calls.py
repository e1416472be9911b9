"""Calls in one piece each, for the SDK of Mistral's that takes no fragments."""

import json
from typing import Any

import pytest

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Event,
    Finish,
    Notices,
    Start,
    Text,
    TextDelta,
    ToolCall,
)
from asgi_ds2api.codec import Envelope, HTTPCall
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_chat
from asgi_ds2api.protocols.openai_chat.whole_calls import WholeCalls
from asgi_ds2api.transcoding.transcode import takes_as_it_came


def begin(index: int, name: str = "f", **fields: Any) -> BlockStart:
    return BlockStart(index=index, block=ToolCall(**{"id": f"call_{index}", "name": name, "arguments": "", **fields}))


def told(events: list[Event]) -> list[tuple[int, str]]:
    gathered = WholeCalls().gather(events)
    assert not any(isinstance(event, ArgumentsDelta) for event in gathered)
    return [
        (event.index, event.block.arguments)
        for event in gathered
        if isinstance(event, BlockStart) and isinstance(event.block, ToolCall)
    ]


def test_interleaved_calls_come_in_the_order_in_which_they_end() -> None:
    more: list[Event] = [ArgumentsDelta(index=0, arguments='{"a"'), ArgumentsDelta(index=1, arguments='{"b": 1}')]
    ends: list[Event] = [BlockStop(index=1), ArgumentsDelta(index=0, arguments=": 2}"), BlockStop(index=0)]
    assert told([begin(0), begin(1), *more, *ends]) == [(1, '{"b": 1}'), (0, '{"a": 2}')]


@pytest.mark.parametrize(("kind", "arguments"), [("function", "{}"), ("custom", "")])
def test_call_without_arguments_has_none(kind: str, arguments: str) -> None:
    assert told([begin(0, kind=kind), BlockStop(index=0)]) == [(0, arguments)]


def test_call_that_has_not_ended_is_not_told() -> None:
    assert WholeCalls().gather([begin(0), ArgumentsDelta(index=0, arguments='{"a": ')]) == []


def test_text_passes_at_once() -> None:
    text: list[Event] = [BlockStart(index=1, block=Text(text="")), TextDelta(index=1, text="x"), BlockStop(index=1)]
    assert WholeCalls().gather([begin(0), *text]) == text


def peek(user_agent: str, **fields: Any) -> Envelope:
    body = json.dumps({"model": "m", "messages": [], **fields}).encode()
    call = HTTPCall(method="POST", path="/v1/chat/completions", body=body, headers={"user-agent": user_agent})
    return openai_chat.peek(call, "generate")


def written(envelope: Envelope) -> list[Any]:
    encoder = openai_chat.StreamEncoder(envelope, Notices())
    data = encoder.encode([Start(source="gemini_generate", id="r", model="m"), begin(0)])
    assert (data == b"") == (envelope.dialect == "mistral")
    data += encoder.encode([ArgumentsDelta(index=0, arguments='{"a"'), ArgumentsDelta(index=0, arguments=": 1}")])
    data += encoder.encode([BlockStop(index=0), Finish(reason="tool_calls")]) + encoder.close()
    chunks = [json.loads(frame[6:]) for frame in data.decode().split("\n\n") if frame and frame != "data: [DONE]"]
    return [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or ()]


@pytest.mark.parametrize(
    ("user_agent", "fragments"),
    [("mistral-client-python/3.7.0", 1), ("mistral-client-typescript/1.0", 1), ("OpenAI/Python 3.57.0", 3), ("", 3)],
)
def test_caller_who_says_to_be_mistrals_sdk_gets_each_call_in_one_chunk(user_agent: str, fragments: int) -> None:
    calls = written(peek(user_agent, stream=True))
    assert len(calls) == fragments
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a": 1}'
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["f"]


@pytest.mark.parametrize("stream", [False, True])
def test_mistrals_sdk_is_translated_for_and_told_usage(stream: bool) -> None:
    for user_agent, is_mistrals in [("mistral-client-python/3.7.0", True), ("OpenAI/Python 3.57.0", False)]:
        envelope = peek(user_agent, stream=stream)
        assert envelope.include_usage == is_mistrals
        assert takes_as_it_came(PROFILES["openai"], "m", envelope) != is_mistrals
