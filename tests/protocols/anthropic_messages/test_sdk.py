"""What the official SDK makes of our answers: the same message, streamed and not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anthropic
import httpx2
import pytest
from anthropic.types import Message

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Event,
    Finish,
    Notices,
    Reasoning,
    ReasoningDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.errors import Interrupted
from asgi_ds2api.fold import fold
from asgi_ds2api.protocols import anthropic_messages as codec

from .sse import ENVELOPE, encode

BEGUN = Start(source="openai_chat", id="chatcmpl-1", model="gpt")
USED = Usage(input_total=100, cache_read=80, output_total=9, reasoning=5)
ANSWERS: list[list[Event]] = [
    [
        BEGUN,
        BlockStart(index=0, block=Text(text="")),
        TextDelta(index=0, text="Hello"),
        TextDelta(index=0, text=" wörld"),
        BlockStop(index=0),
        Finish(reason="stop"),
        USED,
    ],
    [
        BEGUN,
        BlockStart(index=0, block=Reasoning()),
        ReasoningDelta(index=0, text="hm"),
        SignatureDelta(index=0, signature="ds2r1.x"),
        BlockStop(index=0),
        BlockStart(index=1, block=ToolCall(id="t1", name="f", arguments="")),
        ArgumentsDelta(index=1, arguments='{"a":"\\u00'),
        ArgumentsDelta(index=1, arguments='e9"}'),
        BlockStop(index=1),
        BlockStart(index=2, block=ToolCall(id="t2", name="g", arguments="")),
        BlockStop(index=2),
        Finish(reason="tool_calls"),
        USED,
    ],
    [BEGUN, Finish(reason="content_filter"), USED],
]


@contextmanager
def client(body: bytes, content_type: str) -> Iterator[anthropic.Anthropic]:
    """Return the SDK's client of a server that answers with this body."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type, "request-id": "req_1"}, content=body)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        yield anthropic.Anthropic(api_key="k", base_url="http://test", max_retries=0, http_client=http)


def whole(events: Sequence[Event]) -> Message:
    body = codec.encode_response(fold(events), ENVELOPE, Notices())
    with client(body, "application/json") as sdk:
        return sdk.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])


def streamed(body: bytes) -> Message:
    with (
        client(body, codec.STREAM_CONTENT_TYPE.decode()) as sdk,
        sdk.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        return stream.get_final_message()


@pytest.mark.parametrize("events", ANSWERS, ids=["text", "thinking-and-calls", "filtered"])
def test_streamed_and_whole_are_the_same_message_C03_C04(events: list[Event]) -> None:
    one, other = whole(events), streamed(encode(events, one_by_one=True))
    assert one._request_id == "req_1"
    assert one.to_dict() == other.to_dict()


def test_the_sdk_sees_late_usage_C24_C25() -> None:
    usage = streamed(encode(ANSWERS[0], one_by_one=True)).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (20, 80, 9)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 5


def test_the_sdk_sees_calls_with_their_arguments_C14_C16() -> None:
    message = streamed(encode(ANSWERS[1]))
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert (calls, message.stop_reason) == ([("f", {"a": "é"}), ("g", {})], "tool_use")


def test_the_sdk_raises_where_the_stream_breaks_C20() -> None:
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    body = encoder.encode(ANSWERS[0][:3]) + encoder.heartbeat() + encoder.error(Interrupted("It broke off."))
    with pytest.raises(anthropic.APIStatusError) as caught:
        streamed(body)
    assert (caught.value.type, caught.value.api_message) == ("api_error", "It broke off.")


def test_pings_before_the_message_are_no_harm_C19() -> None:
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    body = encoder.heartbeat() * 3 + encoder.encode(ANSWERS[0]) + encoder.close()
    assert streamed(body).content[0].type == "text"
