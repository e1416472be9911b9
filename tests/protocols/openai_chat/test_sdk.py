"""What the official SDK makes of our answers: the same completion, streamed and not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Event,
    Finish,
    Notices,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.errors import Interrupted
from asgi_ds2api.fold import fold
from asgi_ds2api.protocols import openai_chat as codec

from .sse import WITH_USAGE, encode

BEGUN = Start(source="anthropic_messages", id="msg_1", model="claude", created=5)
USED = Usage(input_total=100, cache_read=80, output_total=9, reasoning=5)
HELLO: list[Event] = [
    BlockStart(index=0, block=Text(text="")),
    TextDelta(index=0, text="Hello"),
    TextDelta(index=0, text=" wörld"),
    BlockStop(index=0),
]
CALLS: list[Event] = [
    BlockStart(index=1, block=ToolCall(id="t1", name="f", arguments="")),
    BlockStart(index=2, block=ToolCall(id="t2", name="g", arguments="")),
    ArgumentsDelta(index=1, arguments='{"a":"\\u00'),
    BlockStop(index=2),
    ArgumentsDelta(index=1, arguments='e9"}'),
    BlockStop(index=1),
]
THOUGHT: list[Event] = [
    BlockStart(index=0, block=Reasoning()),
    ReasoningDelta(index=0, text="h"),
    ReasoningDelta(index=0, text="m"),
    BlockStop(index=0),
]
DECLINED: list[Event] = [
    BlockStart(index=0, block=Refusal(text="")),
    RefusalDelta(index=0, text="I "),
    RefusalDelta(index=0, text="won't."),
    BlockStop(index=0),
]
TWO: list[Event] = [
    BlockStart(index=0, block=Text(text=""), choice=1),
    BlockStart(index=1, block=Text(text=""), choice=0),
    TextDelta(index=0, text="b"),
    TextDelta(index=1, text="a"),
    BlockStop(index=0),
    BlockStop(index=1),
]
ANSWERS: dict[str, list[Event]] = {
    "text": [*HELLO, Finish(reason="stop"), USED],
    "openai-C06-thinking-and-calls": [*THOUGHT, *CALLS, Finish(reason="tool_calls"), USED],
    "text-and-calls": [*HELLO, *CALLS, Finish(reason="tool_calls"), USED],
    "refusal": [*DECLINED, Finish(reason="stop"), USED],
    "openai-C20-choices": [*TWO, USED, Finish(reason="stop"), Finish(reason="stop", choice=1)],
}


@contextmanager
def client(body: bytes, content_type: str) -> Iterator[openai.OpenAI]:
    """Return the SDK's client of a server that answers with this body."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type, "x-request-id": "req_1"}, content=body)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        yield openai.OpenAI(api_key="k", base_url="http://test", max_retries=0, http_client=http)


def whole(events: Sequence[Event]) -> ChatCompletion:
    body = codec.encode_response(fold([BEGUN, *events]), WITH_USAGE, Notices())
    with client(body, "application/json") as sdk:
        return sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


def streamed(body: bytes) -> ChatCompletion:
    with (
        client(body, codec.STREAM_CONTENT_TYPE.decode()) as sdk,
        sdk.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        return stream.get_final_completion()


def as_told(completion: ChatCompletion) -> Any:
    """Return a completion as JSON, without what its helper adds, and what says nothing."""
    told = completion.to_dict(exclude_none=True)
    for choice in told["choices"]:  # type: ignore[attr-defined]  # a list
        for call in choice["message"].get("tool_calls", ()):
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        choice["message"].pop("parsed", None)
        choice["message"] = {name: value for name, value in choice["message"].items() if value not in ("", [])}
    return told


@pytest.mark.parametrize("events", ANSWERS.values(), ids=ANSWERS)
def test_streamed_and_whole_are_the_same_completion(events: list[Event]) -> None:
    one, other = whole(events), streamed(encode([BEGUN, *events], WITH_USAGE, one_by_one=True))
    assert one._request_id == "req_1"
    assert as_told(one) == {**as_told(other), "object": "chat.completion"}


def test_the_sdk_sees_calls_with_their_arguments_openai_C05_openai_C06() -> None:
    (choice,) = streamed(encode([BEGUN, *ANSWERS["text-and-calls"]], WITH_USAGE)).choices
    assert choice.message.role == "assistant"
    calls = [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
        if call.type == "function"
    ]
    assert (calls, choice.finish_reason) == ([("t1", "f", '{"a":"\\u00e9"}'), ("t2", "g", "{}")], "tool_calls")


def test_the_sdk_parses_strict_calls_that_interleave() -> None:
    """It does so when the next call begins."""
    strict: Any = [{"type": "function", "function": {"name": name, "strict": True, "parameters": {}}} for name in "fg"]
    with (
        client(encode([BEGUN, *ANSWERS["text-and-calls"]], WITH_USAGE), codec.STREAM_CONTENT_TYPE.decode()) as sdk,
        sdk.chat.completions.stream(model="m", messages=[], tools=strict) as stream,
    ):
        calls = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert [call.function.parsed_arguments for call in calls] == [{"a": "é"}, {}]


def test_the_sdk_sees_late_usage_openai_C03() -> None:
    usage = streamed(encode([BEGUN, *ANSWERS["text"]], WITH_USAGE)).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert (usage.total_tokens, usage.prompt_tokens_details.cached_tokens) == (109, 80)


def test_the_sdk_raises_where_the_stream_breaks_openai_C16() -> None:
    encoder = codec.StreamEncoder(WITH_USAGE, Notices())
    body = encoder.encode([BEGUN, *HELLO[:2]]) + encoder.heartbeat() + encoder.error(Interrupted("It broke off."))
    with pytest.raises(openai.APIError) as caught:
        streamed(body)
    assert (caught.value.code, caught.value.message) == ("upstream_truncated", "It broke off.")


def test_heartbeats_are_no_harm_openai_C17() -> None:
    encoder = codec.StreamEncoder(WITH_USAGE, Notices())
    first = encoder.heartbeat() * 3 + encoder.encode([BEGUN, *HELLO]) + encoder.heartbeat()
    assert streamed(first + encoder.close()).choices[0].message.content == "Hello wörld"


@pytest.mark.parametrize(
    ("reason", "error"),
    [("length", openai.LengthFinishReasonError), ("content_filter", openai.ContentFilterFinishReasonError)],
)
def test_the_sdk_raises_as_it_does_for_the_vendor(reason: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        streamed(encode([BEGUN, *HELLO, Finish(reason=reason)], WITH_USAGE))
