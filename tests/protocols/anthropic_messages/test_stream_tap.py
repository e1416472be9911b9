"""A relayed stream passes byte for byte; what it says of itself is read, and an error is not passed on."""

import msgspec
import pytest

from asgi_ds2api.errors import Interrupted, Malformed, Overloaded, UpstreamError
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import Recording, recorded_params

from .calls import ANTHROPIC
from .sse import MAX_EVENT_BYTES, START, STOP, begin, delta, finish, stream, text, tool

ERROR = stream({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def tap() -> codec.StreamTap:
    return codec.StreamTap(ANTHROPIC, MAX_EVENT_BYTES)


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
@pytest.mark.parametrize("record", recorded_params("anthropic", status=200, stream=True))
def test_recorded_streams_pass_unchanged_C28(record: Recording, size: int) -> None:
    data = record.response.body
    watched = tap()
    passed = b"".join(watched.feed(data[i : i + size]) for i in range(0, len(data), size)) + watched.close()
    assert (passed, watched.failure) == (data, None)
    assert (watched.is_complete, watched.is_meaningful) == (True, True)
    assert watched.facts.usage is not None
    assert watched.facts.finish is not None
    assert watched.facts.finish.raw is not None


def test_a_read_that_ends_with_a_frame_is_passed_on_as_the_same_object() -> None:
    watched = tap()
    watched.feed(stream(START, *text(0, "a")[:2]))
    read = stream(delta(0, type="text_delta", text="b"))
    assert watched.feed(read) is read


def test_facts_are_read() -> None:
    watched = tap()
    watched.feed(
        stream(START, *text(0, "a"), finish("max_tokens", output_tokens=5, cache_read_input_tokens=3), finish(), STOP)
    )
    usage, end = watched.facts.usage, watched.facts.finish
    assert usage is not None
    assert end is not None
    assert (watched.facts.model, usage.input_total, usage.output_total, end.reason) == ("claude", 15, 20, "length")


@pytest.mark.parametrize(
    ("events", "is_meaningful"),
    [
        ([], False),
        ([{"type": "ping"}], False),
        ([begin(0, type="text", text="")], False),
        ([begin(0, type="thinking", thinking="")], False),
        ([begin(0, type="text", text="a")], True),
        ([begin(0, type="text", text=""), delta(0, type="text_delta", text="a")], True),
        ([begin(0, type="thinking", thinking=""), delta(0, type="signature_delta", signature="s")], True),
        (tool(0)[:1], True),
        ([begin(0, type="redacted_thinking", data="x")], True),
        ([finish()], True),
        ([delta(0, type="text_delta", text='"error" message_stop')], True),
    ],
)
def test_something_of_the_answer_has_passed(events: list[dict[str, object]], is_meaningful: bool) -> None:
    watched = tap()
    data = stream(START, *events)
    assert watched.feed(data) == data
    assert (watched.is_meaningful, watched.is_complete, watched.failure) == (is_meaningful, False, None)


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_an_error_is_not_passed_on(size: int) -> None:
    before = stream(START, *text(0, "a"))
    data = before + ERROR + stream(*text(1, "b"))
    watched = tap()
    assert b"".join(watched.feed(data[i : i + size]) for i in range(0, len(data), size)) == before
    assert type(watched.failure) is Overloaded
    assert watched.feed(data) == b""


@pytest.mark.parametrize(
    "frame", [b'data: {"error":{"message":"boom"}}\n\n', b'event: error\ndata: {"type":"error","error":"boom"}\n\n']
)
def test_an_error_in_other_words_is_one_too(frame: bytes) -> None:
    watched = tap()
    assert watched.feed(stream(START) + frame) == stream(START)
    assert isinstance(watched.failure, UpstreamError)


def test_text_that_quotes_an_event_is_text() -> None:
    data = stream(START, *text(0, '{"type":"error","error":{}}', '"type":"message_stop"'))
    watched = tap()
    assert watched.feed(data) == data
    assert (watched.failure, watched.is_complete) == (None, False)


def test_what_comes_behind_the_end_is_not_passed_on() -> None:
    data = stream(START, finish(), STOP)
    watched = tap()
    assert watched.feed(data + b"surplus\n\n" + ERROR) == data
    assert watched.feed(ERROR) == b""
    assert (watched.is_complete, watched.failure) == (True, None)


@pytest.mark.parametrize(
    ("data", "error"),
    [(stream(START, *text(0, "a")) + b"event: mess", Interrupted), (b"", Malformed), (b": x\n\n", Malformed)],
    ids=["C20-cut", "nothing", "comments"],
)
def test_a_stream_without_its_end_is_a_failure(data: bytes, error: type[UpstreamError]) -> None:
    watched = tap()
    watched.feed(data)
    assert watched.close() == b""
    assert type(watched.failure) is error


def test_an_event_that_is_too_large_ends_the_stream_F62() -> None:
    watched = tap()
    before = stream(START)
    assert watched.feed(before + b"data: " + b"x" * MAX_EVENT_BYTES) == before
    assert watched.failure is not None
    assert watched.failure.code == "event_too_large"


def test_events_that_cannot_be_read_are_the_clients_to_judge() -> None:
    data = stream(START) + b'event: message_delta\ndata: {nope "error"\n\n' + b'data: ["error"]\n\n'
    watched = tap()
    assert watched.feed(data) == data
    assert watched.failure is None


def test_a_stream_may_end_early_where_the_profile_says_so() -> None:
    watched = codec.StreamTap(msgspec.structs.replace(ANTHROPIC, done="optional"), MAX_EVENT_BYTES)
    watched.feed(stream(START, *text(0, "a"), finish()))
    assert watched.close() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert (watched.is_complete, watched.failure, watched.close()) == (True, None, b"")


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"type":"message_start","message":5}\n\n',
        b'data: {"type":"message_start"}\n\n',
        b'data: {"type":"x","note":"message_stop"}\n\n',
        b": message_stop\n\n",
        b'data: {"type":"message_delta","x":' + b"[" * 300 + b"]" * 300 + b"}\n\n",
        b'data: {"type":"content_block_start"}\n\n',
    ],
)
def test_odd_frames_pass(frame: bytes) -> None:
    watched = tap()
    assert watched.feed(frame) == frame
    assert (watched.failure, watched.is_complete) == (None, False)


def test_an_error_without_words_is_one() -> None:
    watched = tap()
    assert watched.feed(b'event: error\ndata: {"type":"error"}\n\n') == b""
    assert isinstance(watched.failure, Malformed)
