"""As much of HTTP/1.1 as a server on the loopback interface needs, over asyncio's streams.

This file knows nothing of AI. Everything that a peer sends has a bound. Source: RFC 9112.
"""

import asyncio
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from .answer import Answer

_HEX_DIGITS = b"0123456789abcdefABCDEF"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one request."""

    max_header_bytes: int = 65_536
    """Of the request line and all headers."""
    max_body_bytes: int = 33_554_432
    """As the vendors have it: 32 MiB."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, complete."""

    method: str
    path: str
    """Decoded."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case; the values of a repeated one are joined with a comma."""
    body: bytes = b""
    keeps_alive: bool = True
    takes_chunks: bool = True
    """HTTP/1.0 does not."""

    def __repr__(self) -> str:
        """Show no header: one holds a key, and tests print what they fail on."""
        return f"Request({self.method} {self.path})"


class BadRequest(Exception):
    """What came is not a request that we read. The connection cannot be used any more.

    Attributes:
        head: The request without its body, where it was understood so far.
    """

    def __init__(self, status: int, message: str, head: Request | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.head = head


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits) -> Request | None:
    """Read the next request; None if the peer left instead.

    Raises:
        BadRequest: It breaks the rules of HTTP or a limit.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "the headers are too large") from None
    head = _head(raw)
    if head.headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        body = await _body(reader, head, limits.max_body_bytes)
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(400, "a line between two chunks is too long", head) from None
    return msgspec.structs.replace(head, body=body)


def _head(raw: bytes) -> Request:
    line, *fields = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    try:
        method, target, version = line.split(" ")
    except ValueError:
        raise BadRequest(400, "the request line is malformed") from None
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505, "only HTTP/1.1 is spoken here")
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "a header is malformed")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path, _, query = target.partition("?")
    is_new = version == "HTTP/1.1"
    connection = headers.get("connection", "").lower()
    return Request(
        method=method,
        path=urllib.parse.unquote(path),
        query=dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        keeps_alive=is_new and "close" not in connection,
        takes_chunks=is_new,
    )


async def _body(reader: asyncio.StreamReader, head: Request, most: int) -> bytes:
    if "transfer-encoding" in head.headers:
        if head.headers["transfer-encoding"].lower() != "chunked" or "content-length" in head.headers:
            raise BadRequest(400, "the length of the body is not clear", head)
        return await _chunked_body(reader, head, most)
    length = head.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "the content length is malformed", head)
    if int(length[:20]) > most:
        raise BadRequest(413, "the body is too large", head)
    return await reader.readexactly(int(length))


async def _chunked_body(reader: asyncio.StreamReader, head: Request, most: int) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        digits = line.split(b";")[0].strip()
        if not digits or digits.strip(_HEX_DIGITS):
            raise BadRequest(400, "a chunk is malformed", head)
        size = int(digits, 16)
        if len(body) + size > most:
            raise BadRequest(413, "the body is too large", head)
        if size == 0:
            break
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)


async def write_answer(writer: asyncio.StreamWriter, request: Request, answer: Answer, pause_s: float) -> bool:
    """Send an answer.

    Args:
        writer: Of the connection.
        request: What is answered: its method and version shape the framing.
        answer: Its frames are taken as they are sent.
        pause_s: Seconds before each frame that is a word.

    Returns:
        Whether the connection can be used again.
    """
    if answer.hangs and answer.cut_after is None:
        await asyncio.Event().wait()
    is_chunked = answer.length is None and request.takes_chunks
    keeps_alive = request.keeps_alive and (is_chunked or answer.length is not None)
    writer.write(_answer_head(answer, is_chunked=is_chunked, keeps_alive=keeps_alive))
    left = answer.cut_after
    for frame in answer.frames if request.method != "HEAD" else ():
        if pause_s and frame.is_word:
            await asyncio.sleep(pause_s)
        data = frame.data if left is None else frame.data[:left]
        if data:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)
            await writer.drain()
        if left is not None:
            left -= len(data)
            if left == 0:
                return await _broken_off(answer)
    if is_chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return keeps_alive


async def _broken_off(answer: Answer) -> bool:
    if answer.hangs:
        await asyncio.Event().wait()
    return False


def _answer_head(answer: Answer, *, is_chunked: bool, keeps_alive: bool) -> bytes:
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Unknown"
    headers: list[tuple[str, str]] = [("server", "FakeUpstream"), *answer.headers]
    if answer.length is not None:
        headers.append(("content-length", str(answer.length)))
    if is_chunked:
        headers.append(("transfer-encoding", "chunked"))
    if not keeps_alive:
        headers.append(("connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n".encode("latin-1")


def without_secrets(headers: Mapping[str, str], secret: frozenset[str]) -> dict[str, str]:
    """Return headers with the values of those in ``secret`` left out."""
    return {name: "***" if name in secret else value for name, value in headers.items()}
