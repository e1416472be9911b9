"""F49 to F52, F57 to F59, F69, F70: streams that fail in their midst, never end, or go on behind their end."""

import pytest

from asgi_ds2api.errors import Interrupted
from tests.support.dialects import TEXT
from tests.support.http_bytes import LAST_CHUNK, chunk, head, response
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Hang, Hold, Reset, Script, Send
from tests.support.scripted_client import NEVER, Delay
from tests.support.virtual_time import run_virtual
from tests.support.waiting import Gate

from .bench import (
    BEFORE_TEXT,
    FIVE,
    Bench,
    Way,
    assert_told,
    assert_told_in_band,
    every_face,
    every_protocol,
    states,
)

pytestmark = pytest.mark.anyio

STORY = "".join(TEXT)


# --- F49, F50: an error as an event -----------------------------------------------------------------------------------

FIRST = [(429, "limited"), (500, "fault"), (503, "overloaded"), (401, "unauthorized")]


@every_protocol
@pytest.mark.parametrize(("status", "what"), FIRST, ids=[str(status) for status, _ in FIRST])
@pytest.mark.parametrize("is_behind_start", [False, True], ids=["first", "behind-the-start"])
@run_virtual
async def test_F49_error_before_anything_was_said_has_its_own_status(
    way: Way, status: int, what: str, is_behind_start: bool
) -> None:
    start = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]] if is_behind_start else []
    async with Bench(way, *[way.streaming(*start, way.upstream.error_frame(status))] * 2) as bench:
        answer = await bench.ask(stream=True)
        assert_told(bench, answer, what, stream=True)
        assert (len(bench.codes), bench.failed, bench.record.result) == (2, 2, "error")


@every_protocol
@pytest.mark.parametrize("is_behind_start", [False, True], ids=["first", "behind-the-start"])
@run_virtual
async def test_F49_another_account_tells_the_whole_story(way: Way, is_behind_start: bool) -> None:
    frames = way.upstream.text_stream()
    start = frames[: BEFORE_TEXT[way.upstream.name]] if is_behind_start else []
    async with Bench(way, way.streaming(*start, way.upstream.error_frame(429)), way.streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success) == (STORY, True)
        assert bench.codes == ["rate_limit_exceeded", "ok"]
        assert states(bench) == ["cooling", "healthy"]


@every_protocol
@pytest.mark.parametrize(("status", "what"), FIRST, ids=[str(status) for status, _ in FIRST])
@run_virtual
async def test_F50_error_at_every_later_event_is_told_in_band(way: Way, status: int, what: str) -> None:
    frames = way.upstream.text_stream()
    first = BEFORE_TEXT[way.upstream.name] + 1
    for count in range(first, first + len(TEXT)):
        async with Bench(way, way.streaming(*frames[:count], way.upstream.error_frame(status, "SECRET"))) as bench:
            answer = await bench.ask(stream=True)
            seen = assert_told_in_band(bench, answer, what)
            assert seen.text == "".join(TEXT[: count - first + 1])
            assert (len(bench.codes), bench.failed, bench.record.result) == (1, 1, "interrupted")
            assert status == 429 or "SECRET" not in answer.text
            assert bench.record.usage is not None
            assert bench.record.usage.is_estimated


@every_protocol
@run_virtual
async def test_F50_nobody_else_is_asked_once_something_was_said(way: Way) -> None:
    """Not even for what another account may have: the caller would get two beginnings."""
    frames = way.upstream.text_stream()
    said = frames[: BEFORE_TEXT[way.upstream.name] + 1]
    absent = way.upstream.error_frame(404, "model_not_found: no such model")
    async with Bench(way, way.streaming(*said, absent), way.streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        seen = way.face.read_stream(answer.body)
        assert (seen.text, seen.is_ended, len(bench.scripted.calls)) == (TEXT[0], False, 1)
        assert seen.error is not None


# --- F51, F52: lost connections ---------------------------------------------------------------------------------------


@every_protocol
@run_virtual
async def test_F51_loss_before_anything_was_said_has_a_status(way: Way) -> None:
    frames = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]]
    for count in range(len(frames) + 1):
        async with Bench(way, way.streaming(*frames[:count], Interrupted("lost", code="connection_lost"))) as bench:
            answer = await bench.ask(stream=True)
            assert_told(bench, answer, "interrupted", stream=True)
            assert (bench.codes, bench.failed) == (["connection_lost"], 1)


@every_face
async def test_F51_reset_behind_the_head(way: Way) -> None:
    gate = Gate()
    script: Script = [Expect(), Send(head(200, way.stream_headers)), Hold(gate), Reset()]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        async with bench.exchange(stream=True) as exchange:
            await gate.reached()
            gate.open()
            answer = await exchange.finish()
        assert_told(bench, answer, "interrupted", stream=True)
        assert len(upstream.connections) == 1


@every_protocol
async def test_F52_reset_behind_the_first_event(way: Way) -> None:
    frames, gate = way.upstream.text_stream(), Gate()
    said = b"".join(frames[: BEFORE_TEXT[way.upstream.name] + 1])
    script: Script = [Expect(), Send(head(200, way.stream_headers) + chunk(said)), Hold(gate), Reset()]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        async with bench.exchange(stream=True) as exchange:
            await exchange.read_until(b"Es war")
            gate.open()
            answer = await exchange.finish()
        seen = assert_told_in_band(bench, answer, "interrupted")
        assert (seen.text, bench.record.result, bench.codes) == (TEXT[0], "interrupted", ["connection_lost"])
        assert len(upstream.connections) == 1


# --- F57, F58, F69, F70: what comes after the end ---------------------------------------------------------------------


ENDING = {name: way for name, way in FIVE.items() if way.upstream.name != "gemini"}
"""Those whose upstream has a word for the end of its stream."""
every_end = pytest.mark.parametrize("way", ENDING.values(), ids=ENDING.keys())


@every_end
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@run_virtual
async def test_F57_the_terminal_event_ends_the_answer_at_once(way: Way, stream: bool) -> None:
    async with Bench(way, way.streaming(*way.upstream.text_stream(), NEVER)) as bench:
        answer = await bench.ask(stream=stream)
        seen = bench.seen(answer, stream=stream)
        assert (seen.is_success, seen.text) == (True, STORY)
        assert (bench.record.result, bench.record.duration_s, bench.failed) == ("ok", 0, 0)


@run_virtual
async def test_F57_silence_behind_a_reason_of_Gemini_is_no_end_since_older_models_give_one_with_every_piece() -> None:
    way = FIVE["claude>gemini"]
    async with Bench(way, way.streaming(*way.upstream.text_stream(), NEVER), timeouts={"idle_s": 20}) as bench:
        answer = await bench.ask(stream=True)
        assert assert_told_in_band(bench, answer, "timeout").text == STORY


@every_end
async def test_F57_open_connection_is_closed_behind_the_terminal_event(way: Way) -> None:
    sent = head(200, way.stream_headers) + chunk(b"".join(way.upstream.text_stream()))
    async with RawUpstream([Expect(), Send(sent), Hang()]) as upstream:
        async with Bench(way, raw=upstream) as bench:
            answer = await bench.ask(stream=True)
            assert bench.seen(answer, stream=True).is_success
            assert await upstream.wait_closed()  # while the client lives on
        assert [connection.ended for connection in upstream.connections] != ["open"]


@every_end
@pytest.mark.parametrize("is_in_one_read", [False, True], ids=["later", "at-once"])
@run_virtual
async def test_F58_what_follows_the_terminal_event_is_ignored(way: Way, is_in_one_read: bool) -> None:
    frames = way.upstream.text_stream()
    more = [*frames[-2:], way.upstream.error_frame(500), b"garbage"]
    pieces = [b"".join([*frames, *more])] if is_in_one_read else [*frames, *more]
    async with Bench(way, way.streaming(*pieces)) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success, bench.record.result) == (STORY, True, "ok")


@every_face
async def test_F69_surplus_of_one_answer_is_not_the_next_one(way: Way) -> None:
    evil = response(200, {"content-type": "application/json"}, way.upstream.whole("evil"))
    body = way.upstream.whole("good")
    right = response(200, {"content-type": "application/json"}, body)
    async with RawUpstream([Expect(), Send(right + evil), Hang()]) as upstream, Bench(way, raw=upstream) as bench:
        for _ in range(2):
            answer = await bench.ask(stream=False)
            assert bench.seen(answer, stream=False).text == "good"
            assert answer.header("content-length") == str(len(answer.body))
        assert len(upstream.connections) == 2


@every_protocol
async def test_F70_trailers_are_dropped(way: Way) -> None:
    sent = head(200, {**way.stream_headers, "trailer": "x-late"}) + chunk(b"".join(way.upstream.text_stream()))
    script: Script = [Expect(), Send(sent + LAST_CHUNK[:-2] + b"x-late: 1\r\nset-cookie: a=1\r\n\r\n")]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).is_success
        assert {name for name, _ in answer.headers} & {b"x-late", b"set-cookie", b"trailer"} == set()
        assert {message["type"] for message in answer.messages} == {"http.response.start", "http.response.body"}


# --- F59: silence -----------------------------------------------------------------------------------------------------


@every_protocol
@run_virtual
async def test_F59_silence_in_a_stream_is_filled_and_then_told(way: Way) -> None:
    frames = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name] + 1]
    async with Bench(way, way.streaming(*frames, NEVER), timeouts={"idle_s": 100, "heartbeat_s": 15}) as bench:
        answer = await bench.ask(stream=True)
        seen = assert_told_in_band(bench, answer, "timeout")
        assert (seen.text, seen.heartbeats) == (TEXT[0], 6)  # at 15, 30, ... 90 seconds
        assert (bench.record.duration_s, bench.record.result, bench.failed) == (100, "interrupted", 1)


@every_protocol
@run_virtual
async def test_F59_silence_before_anything_was_said_is_not_asked_for_again(way: Way) -> None:
    start = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]]
    limits = {"idle_s": 10, "commit_after_s": 12}
    async with Bench(way, way.streaming(*start, NEVER), timeouts=limits) as bench:
        answer = await bench.ask(stream=True)
        assert_told(bench, answer, "timeout", stream=True)
        assert len(bench.codes) == 1


@every_protocol
@run_virtual
async def test_F59_slow_stream_is_no_silent_one(way: Way) -> None:
    frames = way.upstream.text_stream()
    slow = [piece for frame in frames for piece in (Delay(100), frame)]
    async with Bench(way, way.streaming(*slow)) as bench:  # 120 s of silence are allowed
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success, bench.record.duration_s) == (STORY, True, 100 * len(frames))
