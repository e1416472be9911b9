"""Requests, scripts and tables of the contract of upstream clients."""

import asyncio
import gzip
import ssl
import traceback
import zlib
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import brotli
import pytest
import trustme
from backports import zstd

from asgi_ds2api.errors import GatewayError, Interrupted, Malformed, Timeout, UpstreamError
from asgi_ds2api.upstream.contract import BodySource, CallBounds, Upstream, UpstreamRequest, UpstreamResponse
from tests.support.http_bytes import LAST_CHUNK, chunk, head, response
from tests.support.script import Connection, Expect, Fin, Hang, Repeat, Reset, Script, Send

KEY = b"Bearer sk-canary-0123456789"
SHORT_S = 0.2
"""A limit that a test means to reach: the upstream stays silent for ever, so no machine is too slow for it."""
WAIT_S = 20.0
HELLO = response(200, {"content-type": "application/json"}, b'{"a":1}')
RIGHT: Script = [Expect(), Send(HELLO)]
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Pause:
    """Let a little time pass: a drip that comes at once is no drip."""

    seconds: float

    async def play(self, connection: Connection) -> None:
        """Wait."""
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class PauseReading:
    """Let the kernel's buffers fill up."""

    async def play(self, connection: Connection) -> None:
        """Stop reading; the end of the peer is not seen either."""
        connection.transport.pause_reading()


@dataclass(frozen=True)
class ResumeReading:
    """Read again."""

    async def play(self, connection: Connection) -> None:
        """Go on reading."""
        connection.transport.resume_reading()


def ask(
    url: str, *, path: str = "/v1/x", body: bytes = b"{}", connect_s: float = 5, write_s: float = 30,
    first_byte_s: float = 600, idle_s: float = 120, source: BodySource | None = None,
) -> UpstreamRequest:  # fmt: skip
    """Build a request as the gateway does, with its key."""
    return UpstreamRequest(
        method="POST",
        url=url + path,
        headers=((b"authorization", KEY), (b"content-type", b"application/json")),
        body=b"" if source is not None else body,
        source=source,
        limits=CallBounds(connect_s=connect_s, write_s=write_s, first_byte_s=first_byte_s, idle_s=idle_s),
    )


class Pieces:
    """A body that comes in pieces, the last of which may be an error (`contract.BodySource`)."""

    def __init__(self, *pieces: bytes | GatewayError, length: int | None = None) -> None:
        self.length = length
        self._pieces = list(pieces)

    async def next(self) -> bytes:
        """Return the next piece, after others had their turn."""
        await anyio.lowlevel.checkpoint()
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, GatewayError):
            raise piece
        return piece


async def read_all(answer: UpstreamResponse) -> bytes:
    """Read a body to its end."""
    body = b""
    while piece := await answer.read():
        body += piece
    return body


async def fetch(client: Upstream, request: UpstreamRequest) -> tuple[int, bytes]:
    """Do a whole exchange."""
    with anyio.fail_after(WAIT_S):
        answer = await client.open(request)
        try:
            return answer.status, await read_all(answer)
        finally:
            await answer.close()


async def failure_of(client: Upstream, request: UpstreamRequest) -> GatewayError:
    """Do an exchange that fails, and return how."""
    with pytest.raises(GatewayError) as caught:
        await fetch(client, request)
    return caught.value


def told(error: GatewayError) -> tuple[type[GatewayError], str, bool | None]:
    """Return what the gateway goes by."""
    return type(error), error.code, error.may_be_billed if isinstance(error, UpstreamError) else None


def whole_text(error: BaseException | None) -> str:
    """Return all that a log, a caller or a debugger could print of an error."""
    if error is None:
        return ""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
    return "\n".join([*texts, whole_text(error.__cause__), whole_text(error.__context__)])


def server_context(cert: trustme.LeafCert) -> ssl.SSLContext:
    """Return the context of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


BODIES: dict[str, bytes] = {
    "length": head(200, framing="length", length=11) + b"hello world",
    "chunked": head(200) + chunk(b"hello ") + chunk(b"world") + LAST_CHUNK,
    "F22 F56 M12-eof": head(200, framing="eof") + b"hello world",
    "F22-http10": b"HTTP/1.0 200 OK\r\n\r\nhello world",
    "F16-hints-first": EARLY + CONTINUE + head(200, framing="length", length=11) + b"hello world",
    "F69-beyond-length": head(200, framing="length", length=11) + b"hello world" + HELLO,
    "F58-beyond-last-chunk": head(200) + chunk(b"hello world") + LAST_CHUNK + HELLO,
    "F70-trailers": head(200) + chunk(b"hello world") + b"0\r\nx-trailer: 1\r\n\r\n",
}

GZIP = gzip.compress(b"hello world")
ENCODED: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", GZIP),
    "x-gzip": ("X-GZIP", GZIP),
    "deflate": ("deflate", zlib.compress(b"hello world")),
    "br": ("br", brotli.compress(b"hello world")),
    "zstd": ("zstd", zstd.compress(b"hello world")),
    "identity": ("identity", b"hello world"),
}


def encoded(coding: str, body: bytes) -> bytes:
    """Answer in an encoding that nobody asked for."""
    return response(200, {"content-encoding": coding}, body)


BAD_HEADS: dict[str, tuple[Script, type[UpstreamError], str]] = {
    "F14-fin": ([Expect(), Fin()], Interrupted, "connection_lost"),
    "F14-reset": ([Expect(), Reset()], Interrupted, "connection_lost"),
    "F14-cut-head": ([Expect(), Send(b"HTTP/1.1 200 OK\r\ncontent-"), Fin()], Interrupted, "connection_lost"),
    "F15-silent": ([Expect(), Hang()], Timeout, "ttfb_timeout"),
    "F16-endless-drip": ([Expect(), Repeat([Send(CONTINUE), Pause(SHORT_S / 4)])], Timeout, "ttfb_timeout"),
    "F17-unasked-101": (
        [Expect(), Send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"), Hang()],
        Malformed,
        "bad_protocol",
    ),
    "F18-garbage": ([Expect(), Send(b"\x16\x03\x01\x00\xa5\x01 SECRET\r\n\r\n"), Hang()], Malformed, "bad_protocol"),
    "F18-html": ([Expect(), Send(b"<html>SECRET</html>\r\n\r\n"), Hang()], Malformed, "bad_protocol"),
    "F18-nul-in-header": (
        [Expect(), Send(b"HTTP/1.1 200 OK\r\nx: a\0SECRET\r\ncontent-length: 0\r\n\r\n"), Hang()],
        Malformed,
        "bad_protocol",
    ),
    "F18-long-header": ([Expect(), Send(head(200, {"x": "a" * 70_000})), Hang()], Malformed, "bad_protocol"),
    "F18-endless-header": (
        [Expect(), Send(b"HTTP/1.1 200 OK\r\nx: "), Repeat([Send(b"a" * 8_192)])],
        Malformed,
        "bad_protocol",
    ),
    "F19-two-lengths": (
        [Expect(), Send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"), Hang()],
        Malformed,
        "bad_protocol",
    ),
    "F19-length-and-chunks": (
        [Expect(), Send(head(200, {"content-length": "5"}) + chunk(b"hello") + LAST_CHUNK), Hang()],
        Malformed,
        "ambiguous_framing",
    ),
    "F20-8000-headers": (
        [Expect(), Send(head(200, [(f"x-{n}", "1") for n in range(8_000)])), Hang()],
        Malformed,
        "bad_protocol",
    ),
    "F47-two-codings": ([Expect(), Send(encoded("gzip, br", b"x")), Hang()], Malformed, "encoded_unsupported"),
    "F47-unknown-coding": ([Expect(), Send(encoded("compress", b"x")), Hang()], Malformed, "encoded_unsupported"),
}

BAD_BODIES: dict[str, tuple[bytes, Script, type[UpstreamError], str]] = {
    "F46-short-length": (head(200, framing="length", length=9) + b"hello", [Fin()], Interrupted, "truncated"),
    "F46-cut-in-chunk": (head(200) + b"9\r\nhello", [Fin()], Interrupted, "truncated"),
    "F46-no-last-chunk": (head(200) + chunk(b"hello"), [Fin()], Interrupted, "truncated"),
    "F52-reset": (head(200) + chunk(b"hello"), [Reset()], Interrupted, "connection_lost"),
    "F18-bad-chunk": (head(200) + chunk(b"hello") + b"xyz\r\n", [Hang()], Malformed, "bad_protocol"),
    "F59-silent": (head(200) + chunk(b"hello"), [Hang()], Timeout, "idle_timeout"),
}
