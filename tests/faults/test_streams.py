"""F49 to F52, F57 to F59, F62 to F70: streams that fail in their midst, never end, or say odd things."""

import pytest

from asgi_ds2api.errors import Interrupted
from tests.support.asgi_driver import Answer
from tests.support.dialects import CHAT, CLAUDE, TEXT
from tests.support.http_bytes import LAST_CHUNK, chunk, head, response, sse_event
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Hang, Hold, Reset, Script, Send
from tests.support.scripted_client import NEVER, Delay, answering, streaming
from tests.support.sdk_reading import sdk_error
from tests.support.virtual_time import run_virtual
from tests.support.waiting import Gate

from .bench import BEFORE_TEXT, WAYS, Bench, Way, assert_told, assert_told_in_band, both_faces, every_way

pytestmark = pytest.mark.anyio

SSE = {"content-type": "text/event-stream"}
STORY = "".join(TEXT)


# --- F49, F50: an error as an event -----------------------------------------------------------------------------------

FIRST = [(429, "limited"), (500, "fault"), (503, "overloaded"), (401, "unauthorized")]


@every_way
@pytest.mark.parametrize(("status", "what"), FIRST, ids=[str(status) for status, _ in FIRST])
@pytest.mark.parametrize("is_behind_start", [False, True], ids=["first", "behind-the-start"])
@run_virtual
async def test_F49_error_before_anything_was_said_has_its_own_status(
    way: Way, status: int, what: str, is_behind_start: bool
) -> None:
    start = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]] if is_behind_start else []
    async with Bench(way, *[streaming(*start, way.upstream.error_frame(status))] * 2) as bench:
        answer = await bench.ask(stream=True)
        assert_told(bench, answer, what, stream=True)
        assert (len(bench.codes), bench.failed, bench.record.result) == (2, 2, "error")


@every_way
@pytest.mark.parametrize("is_behind_start", [False, True], ids=["first", "behind-the-start"])
@run_virtual
async def test_F49_another_account_tells_the_whole_story(way: Way, is_behind_start: bool) -> None:
    frames = way.upstream.text_stream()
    start = frames[: BEFORE_TEXT[way.upstream.name]] if is_behind_start else []
    async with Bench(way, streaming(*start, way.upstream.error_frame(429)), streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success) == (STORY, True)
        assert bench.codes == ["rate_limit_exceeded", "ok"]
        assert [account.state for account in bench.accounts] == ["cooling", "healthy"]


@every_way
@pytest.mark.parametrize(("status", "what"), FIRST, ids=[str(status) for status, _ in FIRST])
@run_virtual
async def test_F50_error_at_every_later_event_is_told_in_band(way: Way, status: int, what: str) -> None:
    frames = way.upstream.text_stream()
    first = BEFORE_TEXT[way.upstream.name] + 1
    for count in range(first, first + len(TEXT)):
        async with Bench(way, streaming(*frames[:count], way.upstream.error_frame(status, "SECRET"))) as bench:
            answer = await bench.ask(stream=True)
            seen = assert_told_in_band(bench, answer, what)
            assert seen.text == "".join(TEXT[: count - first + 1])
            assert (len(bench.codes), bench.failed, bench.record.result) == (1, 1, "interrupted")
            assert status == 429 or "SECRET" not in answer.text
            assert bench.record.usage is not None
            assert bench.record.usage.is_estimated


@every_way
@run_virtual
async def test_F50_nobody_else_is_asked_once_something_was_said(way: Way) -> None:
    """Not even for what another account may have: the caller would get two beginnings."""
    frames = way.upstream.text_stream()
    said = frames[: BEFORE_TEXT[way.upstream.name] + 1]
    absent = way.upstream.error_frame(404, "model_not_found: no such model")
    async with Bench(way, streaming(*said, absent), streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        seen = way.face.read_stream(answer.body)
        assert (seen.text, seen.is_ended, len(bench.scripted.calls)) == (TEXT[0], False, 1)
        assert seen.error is not None


# --- F51, F52: lost connections ---------------------------------------------------------------------------------------


@every_way
@run_virtual
async def test_F51_loss_before_anything_was_said_has_a_status(way: Way) -> None:
    frames = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]]
    for count in range(len(frames) + 1):
        async with Bench(way, streaming(*frames[:count], Interrupted("lost", code="connection_lost"))) as bench:
            answer = await bench.ask(stream=True)
            assert_told(bench, answer, "interrupted", stream=True)
            assert (bench.codes, bench.failed) == (["connection_lost"], 1)


@both_faces
async def test_F51_reset_behind_the_head(way: Way) -> None:
    gate = Gate()
    script: Script = [Expect(), Send(head(200, SSE)), Hold(gate), Reset()]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        async with bench.exchange(stream=True) as exchange:
            await gate.reached()
            gate.open()
            answer = await exchange.finish()
        assert_told(bench, answer, "interrupted", stream=True)
        assert len(upstream.connections) == 1


@every_way
async def test_F52_reset_behind_the_first_event(way: Way) -> None:
    frames, gate = way.upstream.text_stream(), Gate()
    said = b"".join(frames[: BEFORE_TEXT[way.upstream.name] + 1])
    script: Script = [Expect(), Send(head(200, SSE) + chunk(said)), Hold(gate), Reset()]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        async with bench.exchange(stream=True) as exchange:
            await exchange.read_until(b"Es war")
            gate.open()
            answer = await exchange.finish()
        seen = assert_told_in_band(bench, answer, "interrupted")
        assert (seen.text, bench.record.result, bench.codes) == (TEXT[0], "interrupted", ["connection_lost"])
        assert len(upstream.connections) == 1


# --- F57, F58, F69, F70: what comes after the end ---------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@run_virtual
async def test_F57_the_terminal_event_ends_the_answer_at_once(way: Way, stream: bool) -> None:
    async with Bench(way, streaming(*way.upstream.text_stream(), NEVER)) as bench:
        answer = await bench.ask(stream=stream)
        seen = bench.seen(answer, stream=stream)
        assert (seen.is_success, seen.text) == (True, STORY)
        assert (bench.record.result, bench.record.duration_s, bench.failed) == ("ok", 0, 0)


@every_way
async def test_F57_open_connection_is_closed_behind_the_terminal_event(way: Way) -> None:
    sent = head(200, SSE) + chunk(b"".join(way.upstream.text_stream()))
    async with RawUpstream([Expect(), Send(sent), Hang()]) as upstream:
        async with Bench(way, raw=upstream) as bench:
            answer = await bench.ask(stream=True)
            assert bench.seen(answer, stream=True).is_success
            assert await upstream.wait_closed()  # while the client lives on
        assert [connection.ended for connection in upstream.connections] != ["open"]


@every_way
@pytest.mark.parametrize("is_in_one_read", [False, True], ids=["later", "at-once"])
@run_virtual
async def test_F58_what_follows_the_terminal_event_is_ignored(way: Way, is_in_one_read: bool) -> None:
    frames = way.upstream.text_stream()
    more = [*frames[2:4], way.upstream.error_frame(500), b"garbage"]
    pieces = [b"".join([*frames, *more])] if is_in_one_read else [*frames, *more]
    async with Bench(way, streaming(*pieces)) as bench:
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success, bench.record.result) == (STORY, True, "ok")


@both_faces
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


@every_way
async def test_F70_trailers_are_dropped(way: Way) -> None:
    sent = head(200, {**SSE, "trailer": "x-late"}) + chunk(b"".join(way.upstream.text_stream()))
    script: Script = [Expect(), Send(sent + LAST_CHUNK[:-2] + b"x-late: 1\r\nset-cookie: a=1\r\n\r\n")]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).is_success
        assert {name for name, _ in answer.headers} & {b"x-late", b"set-cookie", b"trailer"} == set()
        assert {message["type"] for message in answer.messages} == {"http.response.start", "http.response.body"}


# --- F59: silence -----------------------------------------------------------------------------------------------------


@every_way
@run_virtual
async def test_F59_silence_in_a_stream_is_filled_and_then_told(way: Way) -> None:
    frames = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name] + 1]
    async with Bench(way, streaming(*frames, NEVER), timeouts={"idle_s": 100, "heartbeat_s": 15}) as bench:
        answer = await bench.ask(stream=True)
        seen = assert_told_in_band(bench, answer, "timeout")
        assert (seen.text, seen.heartbeats) == (TEXT[0], 6)  # at 15, 30, ... 90 seconds
        assert (bench.record.duration_s, bench.record.result, bench.failed) == (100, "interrupted", 1)


@every_way
@run_virtual
async def test_F59_silence_before_anything_was_said_is_not_asked_for_again(way: Way) -> None:
    start = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]]
    limits = {"idle_s": 10, "commit_after_s": 12}
    async with Bench(way, streaming(*start, NEVER), timeouts=limits) as bench:
        answer = await bench.ask(stream=True)
        assert_told(bench, answer, "timeout", stream=True)
        assert len(bench.codes) == 1


@every_way
@run_virtual
async def test_F59_slow_stream_is_no_silent_one(way: Way) -> None:
    frames = way.upstream.text_stream()
    slow = [piece for frame in frames for piece in (Delay(100), frame)]
    async with Bench(way, streaming(*slow)) as bench:  # 120 s of silence are allowed
        answer = await bench.ask(stream=True)
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.is_success, bench.record.duration_s) == (STORY, True, 100 * len(frames))


# --- F62 to F64: sizes and splits -------------------------------------------------------------------------------------

BOUND = 65_536


@every_way
@pytest.mark.parametrize("is_split", [False, True], ids=["one-read", "many-reads"])
@run_virtual
async def test_F62_endless_event_ends_the_stream(way: Way, is_split: bool) -> None:
    frames = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name] + 1]
    endless = b"data: " + b"x" * (2 * BOUND)
    reads = [endless[at : at + 5_000] for at in range(0, len(endless), 5_000)] if is_split else [endless]
    for start, is_begun in ((frames, True), ([], False)):
        async with Bench(way, streaming(*start, *reads, NEVER), limits={"max_event_bytes": BOUND}) as bench:
            answer = await bench.ask(stream=True)
            if is_begun:
                assert assert_told_in_band(bench, answer, "malformed").text == TEXT[0]
            else:
                assert_told(bench, answer, "malformed", stream=True)
            assert (bench.codes, bench.failed) == (["event_too_large"], 1)
            assert len(answer.body) < BOUND


@both_faces
@run_virtual
async def test_F62_whole_answer_has_the_same_bound(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole("x" * 2 * BOUND)), limits={"max_event_bytes": BOUND}) as bench:
        answer = await bench.ask(stream=False)
        assert_told(bench, answer, "malformed", stream=False)
        assert bench.codes == ["answer_too_large"]


@every_way
@run_virtual
async def test_F63_size_of_the_reads_changes_nothing(way: Way) -> None:
    stream = b"".join(way.upstream.text_stream())
    scripts = [streaming(*[stream[at : at + size] for at in range(0, len(stream), size)]) for size in (10**6, 1, 2, 7)]
    async with Bench(way, *scripts) as bench:
        bodies = [without_ids(await bench.ask(stream=True)) for _ in scripts]
        assert bodies == [bodies[0]] * 4
        assert b"einmal" in bodies[0]


@every_way
@run_virtual
async def test_F63_many_tiny_events_all_arrive(way: Way) -> None:
    words = [f"{number} " for number in range(5_000)]
    stream = b"".join(way.upstream.text_stream(words))
    reads = [stream[at : at + 1_000] for at in range(0, len(stream), 1_000)]
    async with Bench(way, streaming(*reads)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.seen(answer, stream=True).text == "".join(words)
        assert len(answer.messages) <= len(reads) + 3, "one read in, at most one send out"


@every_way
@run_virtual
async def test_F64_any_split_in_two_gives_the_same_bytes(way: Way) -> None:
    stream = b"".join(way.upstream.text_stream())
    scripts = [streaming(stream[:at], stream[at:]) for at in range(1, len(stream), 3)]
    async with Bench(way, streaming(stream), *scripts) as bench:
        bodies = {without_ids(await bench.ask(stream=True)) for _ in range(len(scripts) + 1)}
        assert len(bodies) == 1


def dressed(stream: bytes) -> bytes:
    """Add what the standard allows and nobody needs."""
    marked = stream.replace(b"data: ", b": a comment\nid: 7\nretry: 10\nunknown: x\ndata:", 1)
    return b"\xef\xbb\xbf" + marked.replace(b"\n\n", b"\n\n\n")


DRESSES = {
    "lf": lambda stream: stream,
    "crlf": lambda stream: stream.replace(b"\n", b"\r\n"),
    "cr": lambda stream: stream.replace(b"\n", b"\r"),
    "comments-ids-bom": dressed,
    "comments-ids-bom-crlf": lambda stream: dressed(stream).replace(b"\n", b"\r\n"),
}


@every_way
@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES.keys())
@run_virtual
async def test_F64_lines_end_as_the_standard_says(way: Way, dress: object) -> None:
    assert callable(dress)
    said = [*TEXT, "a\u2028b\u0085c\x0cd"]
    stream: bytes = dress(b"".join(way.upstream.text_stream(said)))
    for size in (10**6, 1, 3):
        reads = [stream[at : at + size] for at in range(0, len(stream), size)]
        async with Bench(way, streaming(*reads)) as bench:
            answer = await bench.ask(stream=True)
            assert bench.record.result == "ok"
            if way.mode == "relay":
                assert answer.body == stream.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")[: len(answer.body)]
                assert stream.rstrip().endswith(answer.body.rstrip())
            else:
                assert bench.seen(answer, stream=True).text == "".join(said)
                assert sdk_error(way.face.name, answer, stream=True) is None
                assert b"retry:" not in answer.body
                assert b"id: 7" not in answer.body


def without_ids(answer: Answer) -> bytes:
    """Return a body without what is fresh for each request."""
    return answer.body.replace((answer.header("x-request-id") or "").encode(), b"ID")


# --- F65, F66: events that are broken, or new -------------------------------------------------------------------------

BROKEN = {"cut": b'{"choices": [', "words": b"oops", "no-utf8": b'{"id": "\xff"}', "array": b"[]", "nan": b'{"a": NaN}'}


@every_way
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
@run_virtual
async def test_F65_broken_event_is_never_passed_over(way: Way, data: bytes) -> None:
    frames = way.upstream.text_stream()
    count = BEFORE_TEXT[way.upstream.name] + 1
    async with Bench(way, streaming(*frames[:count], sse_event(data), *frames[count:])) as bench:
        answer = await bench.ask(stream=True)
        if way.mode == "relay":  # as it came: the client judges
            assert answer.body == b"".join([*frames[:count], sse_event(data), *frames[count:]])
            return
        assert assert_told_in_band(bench, answer, "malformed").text == TEXT[0]
        assert (bench.record.result, bench.failed) == ("interrupted", 1)
        assert sdk_error(way.face.name, answer, stream=True) is not None


@every_way
@pytest.mark.parametrize("data", [BROKEN["cut"], BROKEN["words"]], ids=["cut", "words"])
@run_virtual
async def test_F65_broken_event_before_anything_was_said(way: Way, data: bytes) -> None:
    async with Bench(way, streaming(sse_event(data), *way.upstream.text_stream())) as bench:
        answer = await bench.ask(stream=True)
        if way.mode == "relay":
            assert answer.body.startswith(sse_event(data))
        else:
            assert_told(bench, answer, "malformed", stream=True)


NEW = {
    "chat": [
        CHAT.frame({}, choices=[], object="chat.completion.news", news={"a": [1]}),
        CHAT.frame({"mood": "good"}, confidence=0.5),
    ],
    "claude": [
        CLAUDE.frame(type="news", news={"a": [1]}),
        CLAUDE.frame(type="ping"),
        CLAUDE.frame(type="ping", mood="good"),
    ],
}


@every_way
@run_virtual
async def test_F66_unknown_events_and_fields_are_relayed_to_the_byte_or_ignored(way: Way) -> None:
    frames = way.upstream.text_stream()
    count = BEFORE_TEXT[way.upstream.name] + 1
    mixed = [*frames[:count], *NEW[way.upstream.name], *frames[count:]]
    async with Bench(way, streaming(*mixed)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.record.result == "ok"
        if way.mode == "relay":
            assert answer.body == b"".join(mixed)
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


def with_usage(way: Way, told: list[tuple[object, object]]) -> list[bytes]:
    """Return a stream that tells its usage so often, and so."""
    if way.upstream.name == "chat":
        end = [CHAT.usage_frame({"prompt_tokens": a, "completion_tokens": b}) for a, b in told]
        return [*CHAT.text_stream()[:-2], *end, CHAT.text_stream()[-1]]
    start = CLAUDE.start({"type": "text", "text": ""}, told and {"input_tokens": told[0][0], "output_tokens": 1})
    if not told:
        start[0] = start[0].replace(b'"usage": {"input_tokens": 11, "output_tokens": 1}', b'"usage": null')
    ends = [CLAUDE.finish("end_turn", {"input_tokens": a, "output_tokens": b})[0] for a, b in told]
    ends = ends or [CLAUDE.finish("end_turn", {})[0].replace(b', "usage": {}', b"")]
    text = [CLAUDE.delta("text_delta", piece) for piece in TEXT]
    return [*start, *text, CLAUDE.end("end_turn")[0], *ends, CLAUDE.finish("end_turn")[1]]


@every_way
@pytest.mark.parametrize(("told", "recorded"), FIGURES.values(), ids=FIGURES.keys())
@run_virtual
async def test_F67_odd_figures_never_fail_an_answer(
    way: Way, told: list[tuple[object, object]], recorded: tuple[int, int, bool] | None
) -> None:
    frames = with_usage(way, told)
    async with Bench(way, streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        assert bench.record.result == "ok"
        if way.mode == "relay":
            assert answer.body == b"".join(frames)
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


def with_two_ends(way: Way, first: str, second: str) -> list[bytes]:
    """Return a stream that goes on after its reason, and gives another one."""
    if way.upstream.name == "chat":
        more = [CHAT.frame({}, first), CHAT.frame({"content": "MORE"}), CHAT.frame({}, second)]
        return [*CHAT.text_stream()[:-3], *more, *CHAT.text_stream()[-2:]]
    words = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    more = [CLAUDE.finish(words[first])[0], *CLAUDE.start({"type": "text", "text": "MORE"})[1:]]
    more += [CLAUDE.delta("text_delta", "MORE"), CLAUDE.end("x")[0], CLAUDE.finish(words[second])[0]]
    return [*CLAUDE.text_stream()[:-2], *more, CLAUDE.finish("x")[1]]


FINISHES = {"chat": {"stop": "stop", "length": "length"}, "claude": {"stop": "end_turn", "length": "max_tokens"}}


@every_way
@pytest.mark.parametrize(("first", "second"), [("stop", "length"), ("length", "stop")])
@run_virtual
async def test_F68_first_reason_counts_and_later_content_is_dropped(way: Way, first: str, second: str) -> None:
    frames = with_two_ends(way, first, second)
    async with Bench(way, streaming(*frames)) as bench:
        answer = await bench.ask(stream=True)
        assert (bench.record.result, bench.record.finish) == ("ok", first)
        if way.mode == "relay":
            assert answer.body == b"".join(frames)
            return
        seen = bench.seen(answer, stream=True)
        assert (seen.text, seen.finish, seen.is_success) == (STORY, FINISHES[way.face.name][first], True)
        assert any("after the end" in notice.reason for notice in bench.record.notices)


@pytest.mark.parametrize("way", [WAYS["chat>chat.translated"], WAYS["claude>chat"]], ids=["chat", "claude"])
@run_virtual
async def test_F68_filter_behind_a_stop_overrides_it(way: Way) -> None:
    async with Bench(way, streaming(*with_two_ends(way, "stop", "content_filter"))) as bench:
        answer = await bench.ask(stream=True)
        assert bench.record.finish == "content_filter"
        assert bench.seen(answer, stream=True).finish == {"chat": "content_filter", "claude": "refusal"}[way.face.name]
