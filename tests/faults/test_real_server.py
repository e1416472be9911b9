"""F77, F82, F106: what a real server makes of connections, in front of an upstream with sockets."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import anyio.to_thread
import pytest

from asgi_ds2api.secret import Secret
from tests.support.dialects import CHAT
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.http_bytes import LAST_CHUNK, chunk, head, response
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Hang, Hold, Script, Send
from tests.support.serving import HTTPParser, serve
from tests.support.waiting import WAIT_S, Gate

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("parser", ["httptools", "h11"])]
KEY = "caller-key-of-the-test"


def asking(*lines: str, stream: bool = False) -> bytes:
    """Return a request as it stands on the wire."""
    body = json.dumps(CHAT.ask("chat/m", stream=stream)).encode()
    start = ["POST /v1/chat/completions HTTP/1.1", "host: x", f"content-length: {len(body)}"]
    return "\r\n".join([*start, "content-type: application/json", *lines, "", ""]).encode() + body


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    """Give a socket to a server."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=WAIT_S) as connection:
        yield connection


def read_until(connection: socket.socket, mark: bytes, times: int = 1) -> bytes:
    """Return what comes up to the mark, or up to the end."""
    got = b""
    while got.count(mark) < times and (data := connection.recv(65_536)):
        got += data
    return got


def whole(text: str) -> bytes:
    """Return a whole answer of the upstream."""
    return response(200, {"content-type": "application/json"}, CHAT.whole(text))


async def test_F77_caller_who_closes_its_half_has_left(parser: HTTPParser) -> None:
    """Servers report it as a disconnect: nobody can tell it from one."""
    records = Records()
    async with RawUpstream([Expect(), Hang()]) as raw:
        gateway = make_gateway(upstream("chat", url=raw.url), hooks=[records])
        with serve(gateway, http=parser) as served, connected(served.url) as connection:
            connection.sendall(asking(stream=True))
            await raw.wait_requests(1)
            connection.shutdown(socket.SHUT_WR)
            (upstreams_side,) = await raw.wait_closed()
            await anyio.to_thread.run_sync(records.wait, 1)
        assert upstreams_side.ended in ("peer_eof", "peer_reset")
        assert (records[0].result, open_leases(gateway)) == ("client_gone", 0)


async def test_F82_requests_of_one_connection_are_answered_each_for_itself(parser: HTTPParser) -> None:
    async with RawUpstream([Expect(), Send(whole("first"))], [Expect(), Send(whole("second"))]) as raw:
        gateway = make_gateway(upstream("chat", url=raw.url))
        with serve(gateway, http=parser) as served, connected(served.url) as connection:
            connection.sendall(asking() + asking())
            got = await anyio.to_thread.run_sync(read_until, connection, b'"usage"', 2)
        assert got.count(b"HTTP/1.1 200 OK") == 2
        assert got.index(b"first") < got.index(b"second")
        await gateway._clients.close()


async def test_F82_body_that_is_not_wanted_is_no_next_request(parser: HTTPParser) -> None:
    """What is refused before its body came may hold a request: it stays a body, and the next one is answered."""
    right = asking(f"authorization: Bearer {KEY}")
    body = right + b" " * 100_000
    start = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    async with RawUpstream([Expect(), Send(whole("second"))]) as raw:
        gateway = make_gateway(
            upstream("chat", url=raw.url), auth="callers", callers=[{"label": "web", "key": Secret(KEY)}]
        )
        with serve(gateway, http=parser) as served, connected(served.url) as connection:
            connection.sendall(start.encode() + right)
            refused = await anyio.to_thread.run_sync(read_until, connection, b"}}")
            connection.sendall(body[len(right) :] + right)
            answered = await anyio.to_thread.run_sync(read_until, connection, b'"usage"')
        assert (refused[:12], refused.count(b"HTTP/1.1")) == (b"HTTP/1.1 401", 1)
        assert (answered[:12], answered.count(b"HTTP/1.1")) == (b"HTTP/1.1 200", 1)
        assert len(raw.requests) == 1
        await gateway._clients.close()


async def test_F106_worker_that_is_replaced_lets_its_streams_end(parser: HTTPParser) -> None:
    frames, gate = CHAT.text_stream(), Gate()
    begun = head(200, {"content-type": "text/event-stream"}) + chunk(b"".join(frames[:2]))
    slow: Script = [Expect(), Send(begun), Hold(gate), Send(chunk(b"".join(frames[2:])) + LAST_CHUNK)]
    async with RawUpstream(slow, [Expect(), Send(whole("second"))]) as raw:
        gateway = make_gateway(upstream("chat", url=raw.url, accounts=2))
        with (
            serve(gateway, http=parser, max_requests=1) as served,
            connected(served.url) as first,
            connected(served.url) as second,
        ):
            first.sendall(asking(stream=True))
            got = await anyio.to_thread.run_sync(read_until, first, b"Es war")
            second.sendall(asking())
            assert b"second" in await anyio.to_thread.run_sync(read_until, second, b'"usage"')
            assert await anyio.to_thread.run_sync(served.stopping.wait, WAIT_S)
            gate.open()
            got += await anyio.to_thread.run_sync(read_until, first, b"[DONE]")
        assert b"einmal" in got
        assert b"[DONE]" in got
        assert b'"error"' not in got
