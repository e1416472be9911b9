"""The scripted upstream does to a socket what its script says, and reports what the peer did."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
import trustme

from .http_bytes import DONE, head, response, sse, sse_body
from .raw_upstream import RawUpstream, refusing
from .script import Drip, Expect, ExpectBytes, Fin, HalfClose, Hang, Hold, Repeat, Reset, Send, Step
from .waiting import Gate

pytestmark = pytest.mark.anyio

REQUEST = b"POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 7\r\n\r\n" + b'{"m":1}'
CHUNKED = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"


@contextlib.asynccontextmanager
async def _connected(upstream: RawUpstream) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_request_is_recorded_whole_with_its_repeated_headers() -> None:
    async with RawUpstream([Expect(), Send(b"ok")]) as upstream, _connected(upstream) as (reader, writer):
        writer.write(REQUEST)
        assert await reader.read() == b"ok"
        (request,) = upstream.requests
    headers = ((b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"7"))
    assert (request.method, request.target, request.headers) == ("POST", "/v1/x?a=b", headers)
    assert (request.header("x-a"), request.header("x-b"), request.json()) == ("1", None, {"m": 1})


@pytest.mark.parametrize("size", [1, 2, 1000])
async def test_chunked_request_body_is_joined_at_any_split(size: int) -> None:
    async with RawUpstream([Expect(), Send(b"ok")]) as upstream, _connected(upstream) as (reader, writer):
        for at in range(0, len(CHUNKED), size):
            writer.write(CHUNKED[at : at + size])
            await writer.drain()
        assert await reader.read() == b"ok"
        assert [request.body for request in upstream.requests] == [b"abcde"]


async def test_each_connection_plays_its_script_and_the_last_one_repeats() -> None:
    async with RawUpstream([Send(b"first")], [Send(b"other")]) as upstream:
        answers = []
        for _ in range(3):
            async with _connected(upstream) as (reader, _):
                answers.append(await reader.read())
        ended = [connection.ended for connection in await upstream.wait_closed()]
    assert answers == [b"first", b"other", b"other"]
    assert ended == ["fin", "fin", "fin"]


async def test_requests_of_one_connection_get_scripts_in_turn() -> None:
    upstream = RawUpstream.per_request([Send(response(body=b"1"))], [Send(response(429, body={"e": 1}))])
    async with upstream, httpx.AsyncClient() as client:
        answers = [await client.get(upstream.url + f"/{n}") for n in range(3)]
        connections = len(upstream.connections)
    error = (429, '{"e": 1}')
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "1"), error, error]
    assert connections == 1


async def test_script_may_be_computed_from_the_request() -> None:
    upstream = RawUpstream.answering(lambda request: [Send(response(body=request.target.encode()))])
    async with upstream, httpx.AsyncClient() as client:
        assert (await client.get(upstream.url + "/echo")).text == "/echo"


async def test_drip_arrives_piece_by_piece() -> None:
    async with RawUpstream([Drip(b"abcdefgh", sizes=(1, 3))]) as upstream, _connected(upstream) as (reader, _):
        pieces = []
        while piece := await reader.read(100):
            pieces.append(piece)
    assert pieces == [b"a", b"bcd", b"e", b"fgh"]


async def test_reset_is_a_reset_and_fin_is_an_end() -> None:
    async with RawUpstream([Expect(), Send(b"x"), Fin()], [Expect(), Reset()]) as upstream:
        async with _connected(upstream) as (reader, writer):
            writer.write(REQUEST)
            assert await reader.read() == b"x"
        async with _connected(upstream) as (reader, writer):
            writer.write(REQUEST)
            with pytest.raises(ConnectionResetError):
                await reader.read()
        assert [connection.ended for connection in upstream.connections] == ["fin", "reset"]


async def test_half_close_still_reads() -> None:
    async with RawUpstream([Send(b"x"), HalfClose(), ExpectBytes(2)]) as upstream, _connected(upstream) as pair:
        reader, writer = pair
        assert await reader.read() == b"x"
        assert upstream.open_connections == 1
        writer.write(b"ab")
        assert (await upstream.wait_closed())[0].ended == "fin"


async def test_gate_holds_the_script_until_the_test_opens_it() -> None:
    gate = Gate()
    async with RawUpstream([Send(b"a"), Hold(gate), Send(b"b")]) as upstream, _connected(upstream) as (reader, _):
        await gate.reached()
        assert upstream.connections[0].sent == 1
        gate.open()
        assert await reader.read() == b"ab"


@pytest.mark.parametrize(
    "step", [Hang(), Hold(Gate()), Repeat([Send(b"x" * 65536)]), Expect()], ids=["hang", "hold", "send", "expect"]
)
async def test_close_of_the_peer_ends_every_wait(step: Step) -> None:
    async with RawUpstream([step]) as upstream:
        async with _connected(upstream):
            await upstream.wait_connections(1)
            assert upstream.open_connections == 1
        (connection,) = await upstream.wait_closed()
        assert connection.ended in ("peer_eof", "peer_reset")


async def test_request_of_a_peer_that_left_at_once_is_still_recorded() -> None:
    async with RawUpstream([Expect(), Hang()]) as upstream:
        async with _connected(upstream) as (_, writer):
            writer.write(REQUEST)
        await upstream.wait_requests(1)
        await upstream.wait_closed()
        log = [entry.what for entry in upstream.log]
    assert sorted(log) == ["open", "peer_eof", "request"]


async def test_sent_counts_only_what_a_peer_that_does_not_read_let_through() -> None:
    async with RawUpstream([Send(b"x" * (64 << 20))]) as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port, limit=1)
        await upstream.wait_connections(1)
        assert (upstream.connections[0].sent, upstream.open_connections) == (0, 1)
        writer.close()


async def test_mistake_in_a_script_fails_the_test() -> None:
    with pytest.RaisesGroup(ValueError):
        async with RawUpstream([Expect()]) as upstream, _connected(upstream) as (reader, writer):
            writer.write(b"nonsense\r\n\r\n")
            assert await reader.read() == b""


async def test_tls_is_spoken_with_the_given_context() -> None:
    authority = trustme.CA()
    server, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client_side)
    upstream = RawUpstream.per_request([Send(response(body=b"safe"))], ssl_context=server)
    async with upstream, httpx.AsyncClient(verify=client_side) as client:
        assert (await client.get(upstream.url)).text == "safe"


async def test_bound_port_that_nobody_listens_to_refuses() -> None:
    with refusing() as url:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(url)


@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
async def test_every_framing_is_read_by_a_client(framing: str) -> None:
    answer = sse([{"type": "a", "n": 1}, "two\nlines", DONE], named=True, framing=framing)  # type: ignore[arg-type]  # parametrized Literal
    async with RawUpstream([Expect(), Send(answer)]) as upstream, httpx.AsyncClient() as client:
        got = await client.get(upstream.url)
    assert got.text == 'event: a\ndata: {"type": "a", "n": 1}\n\ndata: two\ndata: lines\n\ndata: [DONE]\n\n'
    assert got.headers["content-type"] == "text/event-stream"


def test_head_keeps_repeated_headers_and_odd_statuses() -> None:
    expected = b"HTTP/1.1 999 Unknown\r\na: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n"
    assert head(999, [("a", "1"), ("a", "2")], framing="length") == expected


def test_sse_body_of_objects_without_names_has_data_alone() -> None:
    assert sse_body([{"é": 1}]) == 'data: {"é": 1}\n\n'.encode()
