"""A stream is read as it is meant, watched as it passes, and written as the SDK wants it."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    BlockStart,
    Event,
    ExtrasDelta,
    Finish,
    Notices,
    Reasoning,
    ReasoningDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.errors import Interrupted, Malformed, Overloaded, Refused, ServerFault, UpstreamError
from asgi_ds2api.fold import fold, unfold
from asgi_ds2api.protocols import ollama_chat as codec
from tests.support.canonical_json import as_json
from tests.support.recorded import Recording, recorded_params

from .calls import ENVELOPE, MAX_EVENT_BYTES, OLLAMA, last, line, pieces, read, stream

SIZES = [1, 7, 64, 4096]
CALL = {"function": {"name": "f", "arguments": {"a": 1}}}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("record", recorded_params("ollama", status=200, stream=True))
def test_recorded_stream_is_read_and_passed(record: Recording, size: int) -> None:
    data = record.response.body
    events, failure = read(pieces(data, size))
    assert failure is None
    assert events == read([data])[0]
    tap = codec.StreamTap(OLLAMA, MAX_EVENT_BYTES)
    passed = b"".join(tap.feed(piece) for piece in pieces(data, size)) + tap.close()
    assert data.startswith(passed)
    assert data[len(passed) :].strip() == b""
    assert (tap.is_complete, tap.is_meaningful, tap.failure) == (True, True, None)
    assert tap.facts.usage == fold(events).usage
    assert tap.facts.finish == fold(events).choices[0].finish


@pytest.mark.parametrize("record", recorded_params("ollama", status=200, stream=False))
def test_recorded_answer_is_written_as_it_came(record: Recording) -> None:
    response = codec.decode_response(record.response.body, OLLAMA)
    written = json.loads(codec.encode_response(response, ENVELOPE, Notices()))
    recorded = json.loads(record.response.body)
    for made in ("model", "created_at"):
        del written[made], recorded[made]
    if "response" in recorded:
        recorded["message"] = {"role": "assistant", "content": recorded.pop("response")}
    recorded.setdefault("prompt_eval_count", 0)
    assert written == recorded


@pytest.mark.parametrize("size", SIZES)
def test_stream_that_is_cut_anywhere_has_failed(size: int) -> None:
    data = stream(line({"content": "Es war é"}), line({"content": "😀"}), last())
    for cut in range(len(data) - 1):
        events, failure = read(pieces(data[:cut], size))
        assert isinstance(failure, Interrupted | Malformed), cut
        said = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert "Es war é😀".startswith(said)
        tap = codec.StreamTap(OLLAMA, MAX_EVENT_BYTES)
        passed = b"".join(tap.feed(piece) for piece in pieces(data[:cut], size)) + tap.close()
        assert data.startswith(passed)
        assert (tap.is_complete, isinstance(tap.failure, UpstreamError)) == (False, True)


def test_last_line_needs_no_end() -> None:
    data = stream(line({"content": "x"}), last()).rstrip(b"\n")
    assert read([data])[1] is None
    tap = codec.StreamTap(OLLAMA, MAX_EVENT_BYTES)
    assert tap.feed(data) + tap.close() == data
    assert tap.is_complete


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"", Malformed, "empty_response"),
        (b"\n \n", Malformed, "empty_response"),
        (b"[1]\n", Malformed, "malformed"),
        (b"{\n", Malformed, "malformed"),
        (stream(line()), Interrupted, "incomplete_stream"),
        (stream({"error": "model 'x' not found"}), Refused, "refused"),
        (
            stream({"error": "server busy, please try again.  maximum pending requests exceeded"}),
            Overloaded,
            "overloaded",
        ),
        (stream({"error": "an error was encountered"}), ServerFault, "server_fault"),
        (stream({"error": "slow down", "status_code": 503}), Overloaded, "overloaded"),
        (stream({"error": {"odd": 1}}), Malformed, "malformed"),
        (b"x" * (MAX_EVENT_BYTES + 1), Malformed, "event_too_large"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}\n", Malformed, "malformed"),
    ],
)
def test_what_is_no_stream_fails_as_what_it_is(data: bytes, kind: type[UpstreamError], code: str) -> None:
    _, failure = read([data])
    assert type(failure) is kind
    if code in ("empty_response", "incomplete_stream", "event_too_large"):
        assert failure.code == code


def test_what_follows_the_end_is_ignored_F68() -> None:
    events, failure = read([stream(line({"content": "x"}), last(), line({"content": "y"}), {"error": "late"})])
    assert failure is None
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "x"


def folded(*lines: Any) -> Any:
    events, failure = read([stream(*lines)])
    assert failure is None
    return fold(events)


def test_blocks_come_as_they_are_told() -> None:
    response = folded(
        line({"thinking": "h"}), line({"thinking": "m"}), line({"content": "a"}),
        line({"tool_calls": [CALL]}), line({"content": "b"}), line({"tool_calls": [{"id": "own", **CALL}]}), last(),
    )  # fmt: skip
    thought, text, first, second = response.choices[0].blocks
    assert (thought.text, text.text, first.arguments, second.id) == ("hm", "ab", '{"a":1}', "own")
    assert response.choices[0].finish == Finish(reason="tool_calls", raw="stop", at="done_reason")
    assert (response.usage.input_total, response.usage.output_total) == (3, 2)
    assert response.created == 1_795_341_600


def test_made_ids_are_those_of_the_answer() -> None:
    def ids(at: str) -> list[str]:
        told = [line({"tool_calls": [CALL, CALL]}, created_at=at), last()]
        return [block.id for block in folded(*told).choices[0].blocks]

    assert ids("2026-11-22T10:00:00Z") == ids("2026-11-22T10:00:00Z")
    assert len({*ids("2026-11-22T10:00:00Z"), *ids("2026-11-22T10:00:01Z")}) == 4


def test_streamed_and_whole_are_the_same_answer() -> None:
    message = {"content": "ab", "thinking": "hm", "tool_calls": [CALL]}
    whole = codec.decode_response(stream(last(message)), OLLAMA)
    streamed = folded(line({"thinking": "hm"}), line({"content": "a"}), line({"content": "b"}),
                      line({"tool_calls": [CALL]}), last())  # fmt: skip
    assert as_json(streamed) == as_json(whole)


def test_unknown_fields_are_told_once_and_when_they_change() -> None:
    events, _ = read([stream(line(new=1), line(new=1), line(new=2), last(new=2))])
    assert isinstance(events[0], Start)
    assert list(events[0].extras) == ["new"]
    assert [event.fields for event in events if isinstance(event, ExtrasDelta)] == [{"new": Raw(b"2")}]


def test_call_that_nobody_could_run_is_kept_apart() -> None:
    response = folded(line({"tool_calls": [{"function": {}}], "content": "x"}), last())
    assert [type(block).__name__ for block in response.choices[0].blocks] == ["Text", "Opaque"]


# --- written ----------------------------------------------------------------------------------------------------------


def written(*events: Event, notices: Notices | None = None, **envelope: Any) -> list[Any]:
    encoder = codec.StreamEncoder(
        msgspec.structs.replace(ENVELOPE, **envelope), Notices() if notices is None else notices
    )
    data = encoder.encode(events) + encoder.close()
    assert data.endswith(b"\n")
    return [json.loads(each) for each in data.splitlines()]


START = Start(source="openai_chat", id="x", model="up")


def test_call_is_one_line_when_it_is_whole() -> None:
    call = ToolCall(id="c", name="f", arguments='{"a": [1,\n 2]}')
    response = fold([START, Finish(reason="stop")])
    choice = msgspec.structs.replace(
        response.choices[0], blocks=(Text(text="a"), call), finish=Finish(reason="tool_calls")
    )
    lines = written(*unfold(msgspec.structs.replace(response, choices=(choice,))))
    assert [each["message"] for each in lines] == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "",
         "tool_calls": [{"id": "c", "function": {"index": 0, "name": "f", "arguments": {"a": [1, 2]}}}]},
        {"role": "assistant", "content": ""},
    ]  # fmt: skip
    assert lines[-1]["done_reason"] == "stop"


def test_durations_are_those_that_were_measured() -> None:
    times = iter([0.5, 2.0])
    events = (START, BlockStart(index=0, block=Text(text="")), TextDelta(index=0, text="x"),
              Usage(input_total=3, output_total=6), Finish(reason="stop"))  # fmt: skip
    end = written(*events, elapsed_s=lambda: next(times))[-1]
    assert (end["total_duration"], end["prompt_eval_duration"], end["eval_duration"]) == (
        2_000_000_000,
        500_000_000,
        1_500_000_000,
    )


def test_usage_that_nobody_told_is_estimated_and_never_zero() -> None:
    end = written(START, BlockStart(index=0, block=Text(text="x" * 40)), Finish(reason="stop"))[-1]
    assert end["eval_count"] == 10
    assert end["eval_duration"] > 0


def test_refusal_is_said_where_nothing_else_is() -> None:
    end = written(START, Finish(reason="refusal", explanation="I cannot."))[-1]
    assert (end["message"]["content"], end["done_reason"]) == ("I cannot.", "stop")


def test_thinking_is_in_its_own_field() -> None:
    events = (
        START,
        BlockStart(index=0, block=Reasoning()),
        ReasoningDelta(index=0, text="hm"),
        Finish(reason="length"),
    )
    first, end = written(*events)
    assert first["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    assert end["done_reason"] == "length"


def test_second_answer_is_left_out_and_said() -> None:
    notices = Notices()
    events = (START, BlockStart(index=0, block=Text(text="a")), BlockStart(index=1, block=Text(text="b"), choice=1),
              TextDelta(index=1, text="c"), Finish(reason="stop"), Finish(reason="length", choice=1))  # fmt: skip
    lines = written(*events, notices=notices)
    assert "".join(each["message"]["content"] for each in lines) == "a"
    assert [(notice.path, notice.severity) for notice in notices] == [("choices[1]", "lost")]
    assert lines[-1]["done_reason"] == "stop"
