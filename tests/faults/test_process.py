"""F60, F83, F87, F89, F90: no progress, who asks again, a server that stops, a clock that jumps, a new key."""

import asyncio
from pathlib import Path

import pytest

from tests.support.dialects import TEXT
from tests.support.gateways import upstream
from tests.support.scripted_client import NEVER, Answering, Delay, Script, answering
from tests.support.virtual_time import run_virtual
from tests.support.waiting import Gate

from .bench import BEFORE_TEXT, WALL_S, Bench, Way, assert_told_in_band, every_face, every_protocol

pytestmark = pytest.mark.anyio

DAY_S = 86_400


# --- F60: bytes that say nothing --------------------------------------------------------------------------------------


@every_protocol
@run_virtual
async def test_F60_stream_of_pings_alone_ends_at_the_deadline(way: Way) -> None:
    """Once it has said something, its reader sees how it goes on: see decision 0010."""
    start = way.upstream.text_stream()[: BEFORE_TEXT[way.upstream.name]]
    ping = b"\n" if way.upstream.name == "ollama" else b": ping\n\n"
    pings = [piece for _ in range(20) for piece in (Delay(50), ping)]
    async with Bench(way, way.streaming(*start, *pings), timeouts={"deadline_s": 300, "idle_s": 100}) as bench:
        answer = await bench.ask(stream=True)
        assert assert_told_in_band(bench, answer, "timeout").text == ""  # behind heartbeats
        assert (bench.record.duration_s, bench.record.code) == (300, "deadline_exceeded")
        assert len(bench.scripted.calls) == 1


# --- F83: who asks again ----------------------------------------------------------------------------------------------


@every_face
@run_virtual
async def test_F83_clients_that_ask_again_do_not_multiply_what_an_upstream_is_asked(way: Way) -> None:
    """SDKs ask three times, and so may the gateway: nine calls for a question, were there no budget of retries."""
    requests = 100
    down: list[Script] = [Answering(500)] * (9 * requests)
    async with Bench(way, *down, accounts=500) as bench:  # so many that none of them closes before
        for _ in range(requests):
            for _ in range(3):
                answer = await bench.ask(stream=False)
                assert answer.status == 502
                if answer.header("x-should-retry") == "false":
                    break
        assert bench.asked == requests, "a client that was told not to ask again did"
        assert len(bench.scripted.calls) <= 1.25 * requests + 10


# --- F87: a server that stops -----------------------------------------------------------------------------------------


@every_protocol
@run_virtual
async def test_F87_request_that_the_server_cancels_says_so_and_leaves_nothing_behind(way: Way) -> None:
    frames = way.upstream.text_stream()
    for count in range(BEFORE_TEXT[way.upstream.name] + 1, len(frames)):
        gate = Gate()
        async with Bench(way, way.streaming(*frames[:count], gate)) as bench:
            async with bench.exchange(stream=True) as exchange:
                await gate.reached()
                exchange.cancel()
                answer = await exchange.finish()
            assert answer.was_cancelled, "the server's own cancellation was swallowed"
            seen = way.face.read_stream(answer.body)
            assert seen.error is not None
            assert (seen.is_ended, answer.is_complete) == (False, True)
            assert "".join(TEXT).startswith(seen.text)
            assert bench.failed == 0, "nobody upstream is to blame"


@every_protocol
@run_virtual
async def test_F87_request_that_is_cancelled_before_an_answer_has_a_status(way: Way) -> None:
    async with Bench(way, NEVER) as bench:
        async with bench.exchange(stream=False) as exchange:
            await bench.scripted.wait_calls(1)
            exchange.cancel()
            answer = await exchange.finish()
        assert (answer.was_cancelled, answer.is_complete) == (True, True)
        assert answer.status in (499, 503)
        assert bench.failed == 0


# --- F89: a clock that jumps ------------------------------------------------------------------------------------------


@every_face
@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S], ids=["back", "on"])
@run_virtual
async def test_F89_jump_of_the_wall_clock_moves_neither_cooldowns_nor_limits(way: Way, jump_s: float) -> None:
    limited = answering(way.upstream.error(429), status=429, headers={"retry-after-ms": "30000"})
    async with Bench(way, limited, answering(way.upstream.whole()), NEVER, accounts=1) as bench:
        await bench.ask(stream=False)
        bench.gateway._engine.wall_now = lambda: WALL_S + jump_s
        await asyncio.sleep(20)  # virtual
        assert (await bench.ask(stream=False)).status == 429, "the account opened too early"
        await asyncio.sleep(15)  # virtual
        answer = await bench.ask(stream=False)
        assert bench.seen(answer, stream=False).is_success, "the account opened too late"
        bench.gateway._engine.wall_now = lambda: WALL_S
        asking = asyncio.ensure_future(bench.ask(stream=False))
        await asyncio.sleep(100)  # virtual
        bench.gateway._engine.wall_now = lambda: WALL_S + jump_s
        assert (await asking).status == 504
        assert bench.record.duration_s == 600


# --- F90: a key that changes ------------------------------------------------------------------------------------------


@every_face
@run_virtual
async def test_F90_stream_goes_on_with_its_key_and_the_next_request_has_the_new_one(way: Way, tmp_path: Path) -> None:
    path, gate, frames = tmp_path / "key", Gate(), way.upstream.text_stream()
    path.write_text("sk-first")
    at = BEFORE_TEXT[way.upstream.name] + 1
    held = way.streaming(*frames[:at], gate, *frames[at:])
    table = {**upstream(way.upstream.name), "accounts": [{"label": "a0", "key": f"file:{path}"}]}
    async with Bench(way, held, way.streaming(*frames), upstreams=[table]) as bench:
        async with bench.exchange(stream=True) as exchange:
            await gate.reached()
            path.write_text("sk-second-one")
            other = await bench.ask(stream=True)
            gate.open()
            first = await exchange.finish()
        assert [bench.seen(answer, stream=True).is_success for answer in (first, other)] == [True, True]
        told = [repr(call.request.headers) for call in bench.scripted.calls]
        assert ["sk-first" in headers for headers in told] == [True, False]
        assert ["sk-second-one" in headers for headers in told] == [False, True]
