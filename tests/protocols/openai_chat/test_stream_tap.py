"""A relayed stream passes byte for byte; what it says of itself is read, and an error is not passed on."""

from typing import Any

import msgspec
import pytest

from asgi_ds2api import errors
from asgi_ds2api.canonical import Usage
from asgi_ds2api.errors import Interrupted, Malformed, UpstreamError
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.cases import row_params
from tests.support.http_bytes import sse_body, sse_event
from tests.support.recorded import Recording, recorded_params

from .calls import LENIENT, OPENAI
from .sse import DONE, MAX_EVENT_BYTES, chunk, fragment

HI = chunk({"role": "assistant", "content": "Hi"})
BEGINNING = chunk({"role": "assistant", "content": "", "refusal": None})
END = chunk({}, "stop")
BOM = b"\xef\xbb\xbf"
"""The mark of the byte order, which no SDK expects, is not passed on."""


def tap(profile: Any = OPENAI) -> codec.StreamTap:
    return codec.StreamTap(profile, MAX_EVENT_BYTES)


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("row", row_params("openai_chat", "stream_deviations"))
def test_what_vendors_do_otherwise_passes_unchanged(row: dict[str, Any], size: int) -> None:
    data = row["raw"].encode() if "raw" in row else sse_body(row["frames"])
    watched = tap(LENIENT)
    passed = b"".join(watched.feed(data[i : i + size]) for i in range(0, len(data), size))
    mended = watched.close()
    assert (passed, watched.failure, watched.is_complete) == (data.removeprefix(BOM), None, True)
    assert mended == (b"" if b"[DONE]" in data else sse_event(DONE))
    assert watched.is_meaningful
    if "usage" in row:
        usage = watched.facts.usage
        assert usage is not None
        assert [usage.input_total, usage.output_total] == row["usage"]


@pytest.mark.parametrize("size", [61, 4096])
@pytest.mark.parametrize("record", recorded_params("chat", status=200, stream=True))
def test_recorded_streams_pass_unchanged_openai_C64(record: Recording, size: int) -> None:
    """Up to an error inside, where one was recorded."""
    data = record.response.body
    watched = tap(LENIENT)
    passed = b"".join(watched.feed(data[i : i + size]) for i in range(0, len(data), size))
    watched.close()
    assert data.startswith(passed)
    assert passed == data or watched.failure is not None
    assert watched.is_complete == (watched.failure is None)


def test_a_read_that_ends_with_a_frame_is_passed_on_as_the_same_object() -> None:
    watched = tap()
    watched.feed(sse_event(HI))
    read = sse_event(HI)
    assert watched.feed(read) is read


def test_figures_of_nothing_do_not_count_behind_others() -> None:
    watched = tap()
    used, nothing = {"prompt_tokens": 7, "completion_tokens": 3}, {"prompt_tokens": 0, "completion_tokens": 0}
    watched.feed(sse_body([HI, chunk({}, "stop", usage=used), chunk(choices=[], usage=nothing), DONE]))
    assert watched.facts.usage == Usage(input_total=7, output_total=3)


def test_facts_are_read() -> None:
    usage = {"prompt_tokens": 15, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}}
    watched = tap()
    watched.feed(sse_body([HI, chunk({}, "length"), chunk(choices=[], usage=usage), DONE]))
    facts = watched.facts
    assert facts.usage is not None
    assert facts.finish is not None
    assert (facts.model, facts.usage.input_total, facts.usage.cache_read, facts.usage.output_total) == ("gpt", 15, 3, 5)
    assert facts.finish.reason == "length"


def test_an_end_with_calls_is_one_of_calls_whatever_it_says() -> None:
    watched = tap()
    watched.feed(sse_body([chunk(fragment(0, "{}", id="c", name="f")), END, DONE]))
    assert watched.facts.finish is not None
    assert watched.facts.finish.reason == "tool_calls"


@pytest.mark.parametrize(
    ("frames", "is_meaningful"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param([BEGINNING], False, id="role"),
        pytest.param([chunk(choices=[])], False, id="no-choices"),
        pytest.param([chunk({"content": None, "tool_calls": []})], False, id="empty"),
        pytest.param([HI], True, id="text"),
        pytest.param([chunk({"reasoning_content": "t"})], True, id="reasoning"),
        pytest.param([chunk({"refusal": "no"})], True, id="refusal"),
        pytest.param([chunk(fragment(0, "", id="c", name="f"))], True, id="call"),
        pytest.param([chunk({"function_call": {"name": "f"}})], True, id="function_call"),
        pytest.param([chunk({"audio": {"id": "a"}})], True, id="audio"),
        pytest.param([BEGINNING, END], True, id="end"),
    ],
)
def test_something_of_the_answer_has_passed(frames: list[Any], is_meaningful: bool) -> None:
    watched = tap()
    data = sse_body(frames)
    assert watched.feed(data) == data
    assert (watched.is_meaningful, watched.is_complete, watched.failure) == (is_meaningful, False, None)


@pytest.mark.parametrize("size", [1, 50, 10_000])
@pytest.mark.parametrize("before", [b"", sse_event(BEGINNING)], ids=["first", "behind-the-role"])
@pytest.mark.parametrize("row", row_params("openai_chat", "errors_in_200", where="both"))
def test_an_error_before_the_answer_is_not_passed_on(row: dict[str, Any], before: bytes, size: int) -> None:
    data = before + sse_event(row["body"]) + sse_event(HI)
    watched = tap()
    passed = b"".join(watched.feed(data[i : i + size]) for i in range(0, len(data), size))
    assert type(watched.failure) is getattr(errors, row["error"])
    assert (passed, watched.is_meaningful) == (before, False)
    assert watched.feed(data) == b""


@pytest.mark.parametrize("size", [1, 50, 10_000])
@pytest.mark.parametrize("row", row_params("openai_chat", "errors_in_200", where="both"))
def test_an_error_in_the_answer_is_not_passed_on_openai_C14(row: dict[str, Any], size: int) -> None:
    """One that does not say so passes, as nobody looks for it there; the stream has no end all the same."""
    before, error = sse_event(HI), sse_event(row["body"])
    data = before + error
    watched = tap()
    passed = b"".join(watched.feed(data[i : i + size]) for i in range(0, len(data), size)) + watched.close()
    is_named = b'"error"' in error or b'"finish_reason"' in error
    assert type(watched.failure) is (getattr(errors, row["error"]) if is_named else Interrupted)
    assert passed == (before if is_named else data)


def test_text_that_quotes_an_error_or_the_end_is_text() -> None:
    quoting = [chunk({"content": text}) for text in ('{"error":{"message":"x"}}', "[DONE]", '"finish_reason":"stop"')]
    data = sse_body(quoting)
    watched = tap()
    assert watched.feed(data) == data
    assert (watched.failure, watched.is_complete, watched.facts.finish) == (None, False, None)


def test_an_error_that_is_null_is_none() -> None:
    data = sse_body([{**HI, "error": None}, END, DONE])
    watched = tap()
    assert (watched.feed(data), watched.failure, watched.is_complete) == (data, None, True)


def test_what_comes_behind_the_end_is_not_passed_on() -> None:
    data = sse_body([HI, END, DONE])
    watched = tap()
    assert watched.feed(data + b"surplus\n\n" + data) == data
    assert (watched.feed(data), watched.close()) == (b"", b"")
    assert (watched.is_complete, watched.failure) == (True, None)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(sse_event(HI) + b'data: {"id"', Interrupted, id="openai-C16-cut"),
        pytest.param(sse_body([HI, END]), Interrupted, id="F56-no-done"),
        pytest.param(b"", Malformed, id="nothing"),
        pytest.param(b": x\n\n", Malformed, id="comments"),
    ],
)
def test_a_stream_without_its_end_is_a_failure(data: bytes, error: type[UpstreamError]) -> None:
    watched = tap()
    watched.feed(data)
    assert watched.close() == b""
    assert type(watched.failure) is error


def test_an_end_without_a_reason_is_not_passed_on_F56() -> None:
    watched = tap()
    assert watched.feed(sse_body([HI, DONE])) == sse_event(HI)
    assert type(watched.failure) is Interrupted


def test_an_event_that_is_too_large_ends_the_stream_F62() -> None:
    watched = tap()
    before = sse_event(HI)
    assert watched.feed(before + b"data: " + b"x" * MAX_EVENT_BYTES) == before
    assert watched.failure is not None
    assert watched.failure.code == "event_too_large"


def test_an_event_that_is_too_deep_ends_the_stream_F61() -> None:
    watched = tap()
    before = sse_event(HI)
    assert watched.feed(before + b'data: {"usage":' + b"[" * 300 + b"]" * 300 + b"}\n\n") == before
    assert type(watched.failure) is Malformed


@pytest.mark.parametrize("frame", [b'data: {nope "error"\n\n', b'data: ["error"]\n\n', b': "error"\n\n', b"id: 1\n\n"])
def test_events_that_cannot_be_read_are_the_clients_to_judge(frame: bytes) -> None:
    watched = tap()
    assert watched.feed(sse_event(HI) + frame) == sse_event(HI) + frame
    assert watched.failure is None


def test_a_stream_may_end_early_where_the_profile_says_so_and_the_caller_gets_the_end() -> None:
    watched = codec.StreamTap(msgspec.structs.replace(OPENAI, done="optional"), MAX_EVENT_BYTES)
    watched.feed(sse_body([HI, END]))
    assert watched.close() == b"data: [DONE]\n\n"
    assert (watched.is_complete, watched.failure, watched.close()) == (True, None, b"")
