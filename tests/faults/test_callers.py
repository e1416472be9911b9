"""F71 to F76, F84: callers who leave, at every stage. Nothing more is asked for them, and nothing is left behind."""

import asyncio
import logging

import pytest

from tests.support.asgi_driver import DISCONNECT, Answer, Exchange
from tests.support.dialects import TEXT
from tests.support.http_bytes import chunk, head
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Hang, Script, Send
from tests.support.scripted_client import NEVER, Answering, answering
from tests.support.virtual_time import run_virtual
from tests.support.waiting import Gate

from .bench import Bench, Way, every_face, every_protocol, whole_and_streamed

pytestmark = pytest.mark.anyio


async def leave(exchange: Exchange) -> Answer:
    """Disconnect, and wait for the app to return."""
    exchange.disconnect()
    return await exchange.finish()


def assert_gone(bench: Bench, *, calls: int) -> None:
    """The request is on record as one whose caller left, and that is nobody's fault."""
    assert (bench.record.result, bench.record.code) == ("client_gone", "client_gone")
    assert len(bench.scripted.calls) == calls
    assert (bench.failed, {account.state for account in bench.accounts}) == (0, {"healthy"})


def assert_contract_ended(answer: Answer) -> None:
    """A middleware outside sees an answer, if one that nobody gets."""
    assert (answer.status, answer.body, answer.is_complete) == (499, b"", True)


# --- F71: during the upload -------------------------------------------------------------------------------------------

UPLOADS = {
    "at-once": [DISCONNECT],
    "half-way": [b'{"model": "chat/', DISCONNECT],
    "empty-pieces": [b"", b"", DISCONNECT],
}


@every_face
@pytest.mark.parametrize("body", UPLOADS.values(), ids=UPLOADS.keys())
@run_virtual
async def test_F71_leaves_during_the_upload(way: Way, body: list[object]) -> None:
    async with Bench(way) as bench:
        assert_contract_ended(await bench.ask(stream=True, body=body))
        assert_gone(bench, calls=0)
        assert (bench.record.model, bench.record.attempts) == ("", ())


# --- F72, F73: while waiting for an account, and between attempts -----------------------------------------------------


@every_face
@run_virtual
async def test_F72_leaves_while_waiting_for_an_account(way: Way) -> None:
    limited = answering(way.upstream.error(429), status=429, headers={"retry-after-ms": "1800"})
    async with Bench(way, limited, accounts=1) as bench:
        await bench.ask(stream=True)
        async with bench.exchange(stream=True) as exchange:
            await asyncio.sleep(1)  # virtual
            assert_contract_ended(await leave(exchange))
        assert (bench.record.result, bench.record.duration_s) == ("client_gone", 1)
        assert len(bench.scripted.calls) == 1
        await asyncio.sleep(10)  # virtual
        assert len(bench.scripted.calls) == 1


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F73_leaves_while_an_error_is_read(way: Way, stream: bool) -> None:
    gate = Gate()
    async with Bench(way, Answering(500, pieces=[gate])) as bench:
        async with bench.exchange(stream=stream) as exchange:
            await gate.reached()
            assert_contract_ended(await leave(exchange))
        assert_gone(bench, calls=1)


@every_face
@run_virtual
async def test_F73_leaves_between_two_attempts(way: Way) -> None:
    gate = Gate()
    failing = Answering(500, pieces=[way.upstream.error(500)], closing=[gate])
    async with Bench(way, failing) as bench:
        async with bench.exchange(stream=True) as exchange:
            await gate.reached()
            exchange.disconnect()
            gate.open()
            assert_contract_ended(await exchange.finish())
        assert (bench.record.result, len(bench.scripted.calls)) == ("client_gone", 1)


# --- F74, F75: while the upstream is silent, and at every event -------------------------------------------------------


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F74_leaves_before_the_upstream_answers(way: Way, stream: bool) -> None:
    gate = Gate()
    async with Bench(way, Answering(before=[gate])) as bench:
        async with bench.exchange(stream=stream) as exchange:
            await gate.reached()
            assert_contract_ended(await leave(exchange))
        assert_gone(bench, calls=1)
        assert bench.scripted.calls[0].cancelled_in == "open"
        assert bench.codes == ["abandoned"]


@every_face
@run_virtual
async def test_F74_leaves_behind_heartbeats(way: Way) -> None:
    async with Bench(way, NEVER) as bench:
        async with bench.exchange(stream=True) as exchange:
            await asyncio.sleep(30)  # virtual
            answer = await leave(exchange)
        assert (answer.status, way.face.read_stream(answer.body).heartbeats) == (200, 2)
        assert_gone(bench, calls=1)


@every_face
async def test_F74_upstream_sees_the_close(way: Way) -> None:
    async with RawUpstream([Expect(), Hang()]) as upstream, Bench(way, raw=upstream) as bench:
        async with bench.exchange(stream=True) as exchange:
            await upstream.wait_requests(1)
            await leave(exchange)
            (connection,) = await upstream.wait_closed()  # before the client is closed
        assert connection.ended in ("peer_eof", "peer_reset")


@every_protocol
@run_virtual
async def test_F75_leaves_at_every_event(way: Way) -> None:
    frames = way.upstream.text_stream()
    said = 0
    for count in range(len(frames)):
        gate = Gate()
        async with Bench(way, way.streaming(*frames[:count], gate)) as bench:
            async with bench.exchange(stream=True) as exchange:
                await gate.reached()
                answer = await leave(exchange)
            assert_gone(bench, calls=1)
            assert bench.scripted.calls[0].cancelled_in == "read"
            if answer.status == 499:
                assert_contract_ended(answer)
                continue
            seen = way.face.read_stream(answer.body)
            assert "".join(TEXT).startswith(seen.text)
            assert not seen.is_ended
            usage = bench.record.usage
            assert usage is not None
            assert (usage.input_total or 0) > 0
            assert (usage.output_total or 0) >= said
            said = usage.output_total or 0
    assert said >= 1


@every_protocol
async def test_F75_upstream_sees_the_close(way: Way) -> None:
    frames = way.upstream.text_stream()[: way.upstream.before_text + 1]
    script: Script = [Expect(), Send(head(200, way.stream_headers) + chunk(b"".join(frames))), Hang()]
    async with RawUpstream(script) as upstream, Bench(way, raw=upstream) as bench:
        async with bench.exchange(stream=True) as exchange:
            await exchange.read_until(b"Es war")
            await leave(exchange)
            (connection,) = await upstream.wait_closed()  # before the client is closed
        assert connection.ended in ("peer_eof", "peer_reset")
        assert bench.record.result == "client_gone"


# --- F76, F84: around every single send -------------------------------------------------------------------------------


async def count_sends(way: Way, *, stream: bool) -> int:
    """Return how many messages a whole answer takes."""
    async with Bench(way, right(way, stream=stream)) as bench:
        answer = await bench.ask(stream=stream)
        assert bench.record.result == "ok"
        return len(answer.messages)


def right(way: Way, *, stream: bool) -> Answering:
    """Return an answer of the upstream, in one of the two forms."""
    return way.streaming(*way.upstream.text_stream()) if stream else answering(way.upstream.whole())


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F76_leaves_during_each_send_and_the_last_one_is_too_late(way: Way, stream: bool) -> None:
    total = await count_sends(way, stream=stream)
    for number in range(total):
        async with Bench(way, right(way, stream=stream)) as bench:
            async with bench.exchange(stream=stream, holds_sends=True, may_cut=True) as exchange:
                exchange.release(number)
                await exchange.wait_held()
                await leave(exchange)
            is_last = number == total - 1
            assert bench.record.result == ("ok" if is_last else "client_gone")
            assert [account.completed for account in bench.accounts] == ([1, 0] if is_last else [0, 0])


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F76_leaves_behind_the_last_send(way: Way, stream: bool) -> None:
    async with Bench(way, right(way, stream=stream)) as bench:
        answer = await bench.ask(stream=stream)  # a server tells of the end as of a disconnect
        assert (answer.is_complete, bench.record.result, bench.record.code) == (True, "ok", "ok")
        assert [account.completed for account in bench.accounts] == [1, 0]


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F84_oserror_of_each_send_is_a_disconnect(
    way: Way, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(await count_sends(way, stream=stream)):
        async with Bench(way, right(way, stream=stream)) as bench:
            await bench.ask(stream=stream, fails_send_at=number)
            assert bench.record.result == "client_gone"
            assert [account.failed for account in bench.accounts] == [0, 0]
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


@every_face
@run_virtual
async def test_F84_oserror_of_an_error_answer_is_a_disconnect(way: Way) -> None:
    for number in range(2):
        async with Bench(way, *[Answering(500)] * 2) as bench:
            await bench.ask(stream=False, fails_send_at=number)
            assert bench.record.result == "client_gone"


@every_face
@run_virtual
async def test_F84_oserror_of_a_heartbeat_is_a_disconnect(way: Way) -> None:
    for number in range(3):
        async with Bench(way, NEVER) as bench:
            await bench.ask(stream=True, fails_send_at=number)
            assert_gone(bench, calls=1)
            assert bench.record.duration_s == (12 if number < 2 else 27)
