"""F78, F80, F81: callers who read slowly, send slowly, or ask before they send."""

import asyncio
import socket

import pytest

from asgi_ds2api.secret import Secret
from tests.support.asgi_driver import Exchange
from tests.support.dialects import TEXT
from tests.support.gateways import make_gateway, open_leases, upstream
from tests.support.http_bytes import LAST_CHUNK, chunk, head
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Repeat, Script, Send
from tests.support.scripted_client import answering
from tests.support.serving import HTTPParser, serve
from tests.support.virtual_time import run_virtual

from .bench import BEFORE_TEXT, FIVE, Bench, Way, assert_told, every_face, every_protocol

pytestmark = pytest.mark.anyio


# --- F78: a slow reader -----------------------------------------------------------------------------------------------


@every_protocol
@run_virtual
async def test_F78_upstream_is_read_again_only_when_the_caller_took_what_came(way: Way) -> None:
    words = [f"{number} " for number in range(20)]
    before = BEFORE_TEXT[way.upstream.name]
    async with Bench(way, way.streaming(*way.upstream.text_stream(words))) as bench:
        async with bench.exchange(stream=True, holds_sends=True) as exchange:
            for taken in range(15):
                await asyncio.sleep(1)  # in virtual time: until nobody can do any more
                assert exchange.sends == taken + 1
                assert bench.scripted.calls[0].reads == before + max(1, taken)
                exchange.release()
            exchange.release(None)
            answer = await exchange.finish()
        assert bench.seen(answer, stream=True).text == "".join(words)


UNNUMBERED = {name: way for name, way in FIVE.items() if name != "responses>responses"}
"""Those whose events can be said again and again, as they are."""


@pytest.mark.parametrize("way", UNNUMBERED.values(), ids=UNNUMBERED.keys())
async def test_F78_upstream_stops_where_the_caller_does_and_nobody_else_waits(way: Way) -> None:
    """The kernel holds some MiB for each connection; of what is read ahead, an upstream would get rid of everything."""
    frames = way.upstream.text_stream(["x" * 60_000])
    first = BEFORE_TEXT[way.upstream.name]
    start = head(200, way.stream_headers) + chunk(b"".join(frames[:first]))
    pieces, total = [Send(chunk(frames[first]))], 1_500
    end = Send(chunk(b"".join(frames[first + 1 :])) + LAST_CHUNK)
    endless: Script = [Expect(), Send(start), Repeat(pieces, times=total), end]
    short: Script = [Expect(), Send(start), Repeat(pieces, times=20), end]
    async with RawUpstream(endless, short) as raw, Bench(way, raw=raw) as bench:
        async with bench.exchange(stream=True, holds_sends=True, may_cut=True) as slow:
            await slow.wait_held()
            slow.release(2)
            connection, sent = raw.connections[0], -1
            while connection.sent > sent:
                sent = connection.sent
                other = await bench.ask(stream=True)
                assert len(bench.seen(other, stream=True).text) == 20 * 60_000
            assert connection.sent < total * 60_000
            assert sum(len(message.get("body", b"")) for message in slow.messages) < 1_000_000
            slow.disconnect()
            await slow.finish()
        await raw.wait_closed()


# --- F80: a slow upload -----------------------------------------------------------------------------------------------


@every_face
@run_virtual
async def test_F80_body_that_does_not_come_is_a_408(way: Way) -> None:
    async with Bench(way) as bench:
        answer = await bench.ask(stream=False, body=None)
        assert_told(bench, answer, "slow_upload", stream=False)
        assert (bench.record.duration_s, bench.record.attempts) == (30, ())
        assert answer.header("connection") == "close"


@every_face
@run_virtual
async def test_F80_time_without_a_byte_counts_anew_for_each_piece(way: Way) -> None:
    async with Bench(way) as bench:
        async with bench.exchange(stream=False, body=None) as exchange:
            exchange.upload(b"{" + b" " * 100_000)
            await asyncio.sleep(29)  # virtual
            exchange.upload(b" " * 100_000)
            answer = await exchange.finish()
        assert_told(bench, answer, "slow_upload", stream=False)
        assert bench.record.duration_s == 59


@every_face
@run_virtual
async def test_F80_body_that_drips_is_a_408_and_holds_no_account(way: Way) -> None:
    async with Bench(way) as bench:
        async with bench.exchange(stream=False, body=None) as exchange:
            while not exchange.messages:
                exchange.upload(b" ")
                await asyncio.sleep(1)  # virtual
                assert open_leases(bench.gateway) == 0
            answer = await exchange.finish()
        assert_told(bench, answer, "slow_upload", stream=False)
        assert 10 <= bench.record.duration_s <= 12


@every_face
@run_virtual
async def test_F80_slow_but_steady_body_is_taken(way: Way) -> None:
    async with Bench(way, answering(way.upstream.whole())) as bench:
        body = bench.body(stream=False, padding=b" " * 60_000)
        async with bench.exchange(stream=False, body=None) as exchange:
            for at in range(0, len(body), 2_000):
                exchange.upload(body[at : at + 2_000])
                await asyncio.sleep(1)  # virtual
            exchange.upload(b"", more=False)
            answer = await exchange.finish()
        assert bench.seen(answer, stream=False).text == "".join(TEXT)
        assert bench.record.duration_s > 30


@every_face
@run_virtual
async def test_F80_body_above_the_limit_is_refused_before_all_of_it_came(way: Way) -> None:
    async with Bench(way, limits={"max_body_bytes": 100_000}) as bench:
        async with bench.exchange(stream=False, body=None) as exchange:
            exchange.upload(b" " * 100_001)
            answer = await exchange.finish()
        assert_told(bench, answer, "too_large", stream=False)
        assert answer.header("connection") == "close"


# --- F81: Expect: 100-continue ----------------------------------------------------------------------------------------

LONG = str(100 * 1024 * 1024)
UNWANTED: dict[str, tuple[dict[str, str], dict[str, str], int]] = {
    "length": ({"content-length": LONG}, {}, 413),
    "credential": ({"authorization": "Bearer wrong-key", "x-api-key": "wrong-key"}, {}, 401),
    "method": ({}, {"method": "PUT"}, 405),
    "path": ({}, {"path": "/v1/nothing"}, 404),
    "framing": ({"content-length": "5, 6"}, {}, 400),
    "headers": ({f"x-{number}": "1" for number in range(300)}, {}, 431),
    "encoding": ({"content-encoding": "br"}, {}, 415),
}


@every_face
@pytest.mark.parametrize(("headers", "line", "status"), UNWANTED.values(), ids=UNWANTED.keys())
@run_virtual
async def test_F81_body_that_is_refused_is_never_asked_for(
    way: Way, headers: dict[str, str], line: dict[str, str], status: int
) -> None:
    gateway = make_gateway(
        upstream(way.upstream.name), auth="callers", callers=[{"label": "web", "key": Secret("caller-key-of-the-test")}]
    )
    receives = 0

    async def app(scope: object, receive: object, send: object) -> None:
        assert callable(receive)

        async def counted() -> object:
            nonlocal receives
            receives += 1
            return await receive()

        await gateway(scope, counted, send)  # type: ignore[arg-type]  # the same three, one of them counted

    given = {"content-length": "100", "content-type": "application/json", "expect": "100-continue"}
    given |= {"authorization": "Bearer caller-key-of-the-test", "x-api-key": "caller-key-of-the-test", **headers}
    exchange = Exchange(
        app,
        line.get("method", "POST"),
        line.get("path", way.face.address("m", stream=False)[0]),
        headers=given | way.face.headers,
        body=None,
    )
    async with exchange:
        answer = await exchange.finish()
    is_key = (way.face.name, status) == ("gemini", 401)  # Google says 400 of a bad key
    assert (answer.status, receives) == (400 if is_key else status, 0)


@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_F81_real_server_is_not_made_to_say_continue(parser: HTTPParser) -> None:
    gateway = make_gateway(
        upstream("chat"), auth="callers", callers=[{"label": "web", "key": Secret("caller-key-of-the-test")}]
    )
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: x", "content-length: 100", "expect: 100-continue"]
    with serve(gateway, http=parser) as served:
        refused = first_line(served.url, [*lines, "authorization: Bearer wrong-key-of-somebody"])
        wanted = first_line(served.url, [*lines, "authorization: Bearer caller-key-of-the-test"])
    assert refused == b"HTTP/1.1 401 Unauthorized"
    assert wanted == b"HTTP/1.1 100 Continue"


def first_line(url: str, lines: list[str]) -> bytes:
    """Send a head and return the first line of what comes back."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        got = b""
        while b"\r\n" not in got:
            got += connection.recv(4_096)
    return got.split(b"\r\n")[0]
