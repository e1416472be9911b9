"""F62 to F68: streams that come in odd pieces, or say odd things."""

import re

import pytest
from _pytest.mark import ParameterSet

from tests.support.asgi_driver import Answer
from tests.support.dialects import TEXT
from tests.support.scripted_client import NEVER, answering
from tests.support.sdk_reading import sdk_error
from tests.support.virtual_time import run_virtual

from .bench import (
    BEFORE_TEXT,
    FIVE,
    Bench,
    Way,
    assert_told,
    assert_told_in_band,
    every_face,
    every_protocol,
    relayed,
)
from .odd import news, with_two_ends, with_usage

pytestmark = pytest.mark.anyio

STORY = "".join(TEXT)


# --- F62 to F64: sizes and splits -------------------------------------------------------------------------------------

BOUND = 65_536


@every_protocol
@pytest.mark.parametrize("is_split", [False, True], ids=["one-read", "many-reads"])
@run_virtual
async def test_F62_endless_event_ends_the_stream(way: Way, is_split: bool) -> None:
    frames = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name] + 1]
    endless = b"data: " + b"x" * (2 * BOUND)
    reads = [endless[at : at + 5_000] for at in range(0, len(endless), 5_000)] if is_split else [endless]
    for start, is_begun in ((frames, True), ([], False)):
        async with Bench(way, way.streaming(*start, *reads, NEVER), limits={"max_event_bytes": BOUND}) as bench:
            answer = await bench.ask(stream=True)
            if is_begun:
                assert assert_told_in_band(bench, answer, "malformed").text == TEXT[0]
            else:
                assert_told(bench, answer, "malformed", stream=True)
            assert (bench.codes, bench.failed) == (["event_too_large"], 1)
            assert len(answer.body) < BOUND


@every_face
@run_virtual
async def test_F62_whole_answer_has_the_same_bound(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole("x" * 2 * BOUND)), limits={"max_event_bytes": BOUND}) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "malformed", stream=False)
        assert bench.codes == ["answer_too_large"]


@every_protocol
@run_virtual
async def test_F63_size_of_the_reads_changes_nothing(way: Way) -> None:
    stream = b"".join(way.upstream.text_stream())
    scripts = [
        way.streaming(*[stream[at : at + size] for at in range(0, len(stream), size)]) for size in (10**6, 1, 2, 7)
    ]
    async with Bench(way, *scripts) as bench:
        bodies = [without_ids(await bench.ask(stream=True)) for _ in scripts]
        assert bodies == [bodies[0]] * 4
        assert b"einmal" in bodies[0]


@every_protocol
@run_virtual
async def test_F63_many_tiny_events_all_arrive(way: Way) -> None:
    words = [f"{number} " for number in range(5_000)]
    stream = b"".join(way.upstream.text_stream(words))
    reads = [stream[at : at + 1_000] for at in range(0, len(stream), 1_000)]
    async with Bench(way, way.streaming(*reads)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).text == "".join(words)
        assert len(answer.messages) <= len(reads) + 3, "one read in, at most one send out"


@every_protocol
@run_virtual
async def test_F64_any_split_in_two_gives_the_same_bytes(way: Way) -> None:
    stream = b"".join(way.upstream.text_stream())
    scripts = [way.streaming(stream[:at], stream[at:]) for at in range(1, len(stream), 3)]
    async with Bench(way, way.streaming(stream), *scripts) as bench:
        bodies = {without_ids(await bench.ask(stream=True)) for _ in range(len(scripts) + 1)}
        assert len(bodies) == 1


def dressed(stream: bytes) -> bytes:
    """Add what the standard allows and nobody needs."""
    marked = stream.replace(b"data: ", b": a comment\nid: 7\nretry: 10\nunknown: x\ndata:", 1)
    return b"\xef\xbb\xbf" + marked.replace(b"\n\n", b"\n\n\n")


DRESSES = {
    "lf": lambda stream: stream,
    "crlf": lambda stream: stream.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "cr": lambda stream: stream.replace(b"\n", b"\r"),
    "comments-ids-bom": dressed,
    "comments-ids-bom-crlf": lambda stream: dressed(stream).replace(b"\n", b"\r\n"),
}


def dressed_ways() -> list[ParameterSet]:
    """Return each way with each dress that its upstream may wear: lines of JSON end with a line feed."""
    return [
        pytest.param(way, dress, id=f"{how}-{name}")
        for how, dress in DRESSES.items()
        for name, way in FIVE.items()
        if how in ("lf", "crlf") or way.upstream.name != "ollama"
    ]


@pytest.mark.parametrize(("way", "dress"), dressed_ways())
@run_virtual
async def test_F64_lines_end_as_the_standard_says(way: Way, dress: object) -> None:
    assert callable(dress)
    said = [*TEXT, "a\u2028b\u0085c\x0cd"]
    stream: bytes = dress(b"".join(way.upstream.text_stream(said)))
    for size in (10**6, 1, 3):
        reads = [stream[at : at + size] for at in range(0, len(stream), size)]
        async with Bench(way, way.streaming(*reads)) as bench:
            answer = await bench.ask(stream=True)
            assert bench.record.result == "ok"
            if way.mode == "relay":
                sentinel = relayed(way, []).strip()  # has the line ends of the stream
                passed = answer.body.rstrip().removesuffix(sentinel) if sentinel else answer.body
                assert passed == stream.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")[: len(passed)]
                assert stream.rstrip().endswith(passed.rstrip())
            else:
                assert bench.seen(answer, stream=True).text == "".join(said)
                assert sdk_error(way.face.name, answer, stream=True) is None
                assert b"retry:" not in answer.body
                assert b"id: 7" not in answer.body


def without_ids(answer: Answer) -> bytes:
    """Return a body without what is fresh for each request: ids, and Ollama's times."""
    request = (answer.header("x-request-id") or "").removeprefix("req_").encode()
    named = re.sub(rb"[0-9a-f]{32,}", b"ID", answer.body.replace(request, b"ID"))
    return re.sub(rb'"[a-z_]+_duration":\d+', b"TIME", named)


# --- F65, F66: events that are broken, or new -------------------------------------------------------------------------

BROKEN = {"cut": b'{"choices": [', "words": b"oops", "no-utf8": b'{"id": "\xff"}', "array": b"[]", "nan": b'{"a": NaN}'}


@every_protocol
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
@run_virtual
async def test_F65_broken_event_is_never_passed_over(way: Way, data: bytes) -> None:
    frames = way.upstream.text_stream()
    count = BEFORE_TEXT[way.upstream.name] + 1
    async with Bench(way, way.streaming(*frames[:count], way.upstream.event(data), *frames[count:])) as bench:
        answer = await bench.ask(stream=True)
        if way.mode == "relay":  # as it came: the client judges
            assert answer.body == relayed(way, [*frames[:count], way.upstream.event(data), *frames[count:]])
            return
        assert assert_told_in_band(bench, answer, "malformed").text == TEXT[0]
        assert (bench.record.result, bench.failed) == ("interrupted", 1)
        assert sdk_error(way.face.name, answer, stream=True) is not None


@every_protocol
@pytest.mark.parametrize("data", [BROKEN["cut"], BROKEN["words"]], ids=["cut", "words"])
@run_virtual
async def test_F65_broken_event_before_anything_was_said(way: Way, data: bytes) -> None:
    async with Bench(way, way.streaming(way.upstream.event(data), *way.upstream.text_stream())) as bench:
        answer = await bench.ask(stream=True)
        if way.mode == "relay":
            assert answer.body.startswith(way.upstream.event(data))
        else:
            assert_told(bench, answer, "malformed", stream=True)


@every_protocol
@run_virtual
async def test_F66_unknown_events_and_fields_are_relayed_to_the_byte_or_ignored(way: Way) -> None:
    frames = way.upstream.text_stream()
    count = BEFORE_TEXT[way.upstream.name] + 1
    mixed = [*frames[:count], *news(way.upstream), *frames[count:]]
    async with Bench(way, way.streaming(*mixed)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.record.result == "ok"
        if way.mode == "relay":
            assert answer.body == relayed(way, mixed)
            return
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success) == (STORY, True)
        if way.face is not way.upstream:
            assert [notice.severity for notice in bench.record.notices if notice.action != "header"]


# --- F67, F68: odd figures, odd ends ----------------------------------------------------------------------------------

HUGE = 10**30
FIGURES: dict[str, tuple[list[tuple[object, object]], tuple[int, int, bool] | None]] = {
    "missing": ([], None),
    "null": ([(None, None)], None),
    "twice": ([(1, 1), (20, 5)], (20, 5, False)),
    "negative": ([(-3, -4)], (0, 0, False)),
    "text": ([("many", "some")], None),
    "huge": ([(HUGE, HUGE)], None),
}


@every_protocol
@pytest.mark.parametrize(("told", "recorded"), FIGURES.values(), ids=FIGURES.keys())
@run_virtual
async def test_F67_odd_figures_never_fail_an_answer(
    way: Way, told: list[tuple[object, object]], recorded: tuple[int, int, bool] | None
) -> None:
    frames = with_usage(way.upstream, told)
    async with Bench(way, way.streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.record.result == "ok"
        if way.mode == "relay":
            assert answer.body == relayed(way, frames)
        else:
            seen = bench.seen(answer, stream=True)
            assert (seen.text, seen.is_success) == (STORY, True)
            assert seen.usage is not None
            assert all(count >= 0 for count in seen.usage.values() if isinstance(count, int))
            assert sdk_error(way.face.name, answer, stream=True) is None
        usage = bench.record.usage
        if recorded is not None:
            assert usage is not None
            assert (usage.input_total, usage.output_total, usage.is_estimated) == recorded
        elif usage is not None:
            assert 0 <= (usage.input_total or 0) <= 2**53
            assert 0 <= (usage.output_total or 0) <= 2**53
        if way.mode == "translate" and not told:
            assert usage is not None
            assert usage.is_estimated


GOING_ON = {name: way for name, way in FIVE.items() if way.upstream.name in ("chat", "claude")}
"""Elsewhere the reason is what ends a stream; Gemini's older models give one with every piece."""
FINISHES = {
    "chat": {"stop": "stop", "length": "length"},
    "responses": {"stop": "completed", "length": "max_output_tokens"},
    "claude": {"stop": "end_turn", "length": "max_tokens"},
    "gemini": {"stop": "STOP", "length": "MAX_TOKENS"},
    "ollama": {"stop": "stop", "length": "length"},
}


@pytest.mark.parametrize("way", GOING_ON.values(), ids=GOING_ON.keys())
@pytest.mark.parametrize(("first", "second"), [("stop", "length"), ("length", "stop")])
@run_virtual
async def test_F68_first_reason_counts_and_later_content_is_dropped(way: Way, first: str, second: str) -> None:
    frames = with_two_ends(way.upstream, first, second)
    async with Bench(way, way.streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        assert (bench.record.result, bench.record.finish) == ("ok", first)
        if way.mode == "relay":
            assert answer.body == relayed(way, frames)
            return
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.finish, seen.is_success) == (STORY, FINISHES[way.face.name][first], True)
        assert any("after the end" in notice.reason for notice in bench.record.notices)


@pytest.mark.parametrize("way", [FIVE["chat>chat.translated"], FIVE["claude>chat"]], ids=["chat", "claude"])
@run_virtual
async def test_F68_filter_behind_a_stop_overrides_it(way: Way) -> None:
    async with Bench(way, way.streaming(*with_two_ends(way.upstream, "stop", "content_filter"))) as bench:
        answer = await bench.ask(stream=True)
        assert bench.record.finish == "content_filter"
        assert bench.seen(answer, stream=True).finish == {"chat": "content_filter", "claude": "refusal"}[way.face.name]
