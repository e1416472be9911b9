"""The fake's HTTP, byte by byte: what it reads, what it refuses and how it frames its answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asgi_ds2api.testing import FakeUpstream, Limits, Script
from asgi_ds2api.testing.http1 import Request

pytestmark = pytest.mark.anyio

JSON = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
WITH_LENGTH = POST + b"content-length: %d\r\n\r\n" % len(JSON) + JSON
CLOSE = b"connection: close\r\n"


@asynccontextmanager
async def _connected(upstream: FakeUpstream) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(upstream.url.rpartition(":")[2]))
    yield reader, writer
    writer.close()
    await writer.wait_closed()


async def _exchange(raw: bytes) -> bytes:
    """Send bytes and read until the fake closes the connection."""
    async with FakeUpstream(script=Script.text("Yes.")) as upstream, _connected(upstream) as (reader, writer):
        writer.write(raw)
        return await reader.read()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nname : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: " + b"x" * 3000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: x\r\n" * 1000, 431),
        (POST + b"content-length: +1\r\n\r\n", 400),
        (POST + b"content-length: 99999\r\n\r\n", 413),
        (POST + b"content-length: " + b"9" * 1000 + b"\r\n\r\n", 413),
        (POST + b"content-length: 1, 2\r\n\r\n", 400),
        (POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (POST + b"transfer-encoding: gzip\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n1_0\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n" + b"0" * 5000, 400),
        (POST + b"transfer-encoding: chunked\r\n\r\nffffff\r\n", 413),
    ],
)
async def test_what_is_not_a_request_is_refused(raw: bytes, status: int) -> None:
    async with FakeUpstream(limits=Limits(max_header_bytes=2000, max_body_bytes=2000)) as upstream:
        async with _connected(upstream) as (reader, writer):
            writer.write(raw)
            writer.write_eof()
            answer = await reader.read()
        assert (answer[:12], upstream.requests) == (b"HTTP/1.1 %d" % status, ())
    assert b"connection: close\r\n" in answer


@pytest.mark.parametrize("raw", [b"", b"GET / HT", WITH_LENGTH[:-1], POST + b"transfer-encoding: chunked\r\n\r\n5\r\n"])
async def test_request_that_breaks_off_is_forgotten(raw: bytes) -> None:
    async with FakeUpstream() as upstream:
        async with _connected(upstream) as (reader, writer):
            writer.write(raw)
            writer.write_eof()
            assert await reader.read() == b""
        await upstream.wait_closed()
        assert upstream.requests == ()


async def test_chunked_request_is_read() -> None:
    chunks = b"%x\r\n%b\r\n" % (10, JSON[:10]) + b"%X;ext=1\r\n%b\r\n0\r\ntrailer: x\r\n\r\n" % (
        len(JSON[10:]),
        JSON[10:],
    )
    answer = await _exchange(POST + CLOSE + b"transfer-encoding: chunked\r\n\r\n" + chunks)
    assert b'"content":"Yes."' in answer


async def test_impatient_client_is_told_to_continue() -> None:
    async with FakeUpstream() as upstream, _connected(upstream) as (reader, writer):
        writer.write(POST + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(JSON))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(JSON)
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"


async def test_requests_that_follow_each_other_are_answered_in_order_on_one_connection() -> None:
    stream = JSON[:-1] + b',"stream":true}'
    second = POST + CLOSE + b"content-length: %d\r\n\r\n" % len(stream) + stream
    script = Script.text("One.") + Script.text("Two.")
    async with FakeUpstream(script=script) as upstream, _connected(upstream) as (reader, writer):
        writer.write(WITH_LENGTH + second)
        answer = await reader.read()
    first, _, rest = answer.partition(b"HTTP/1.1 200 OK\r\nserver: FakeUpstream\r\ncontent-type: text/event-stream")
    assert b"One." in first
    assert b"Two." in rest
    assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_old_client_gets_no_chunks() -> None:
    stream = JSON[:-1] + b',"stream":true}'
    old = POST.replace(b"1.1", b"1.0")
    answer = await _exchange(old + b"content-length: %d\r\n\r\n" % len(stream) + stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (b"chunked" in head, b"connection: close" in head) == (False, True)
    assert (body[:6], body[-16:]) == (b"data: ", b"\n\ndata: [DONE]\n\n")


async def test_head_has_the_length_and_no_body() -> None:
    answer = await _exchange(b"HEAD / HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == b""
    assert b"content-length: 49" in answer


async def test_unknown_status_is_sent_with_a_reason() -> None:
    async with FakeUpstream(script=Script.answer(999)) as upstream, _connected(upstream) as (reader, writer):
        writer.write(WITH_LENGTH)
        assert await reader.readline() == b"HTTP/1.1 999 Unknown\r\n"


def test_request_shows_no_header_since_one_holds_a_key() -> None:
    request = Request(method="POST", path="/v1/chat/completions", query={}, headers={"authorization": "Bearer secret"})
    assert repr(request) == "Request(POST /v1/chat/completions)"
