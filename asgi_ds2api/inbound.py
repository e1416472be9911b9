"""Reads a caller's request: judges its head, then its body, cheapest and most secret-safe first.

Nothing here knows of protocols. The head is judged before the first ``receive()``, so that a body which will be
refused is never asked for (``Expect: 100-continue``). After `ClientGone` nobody calls ``receive`` again: one server
hands out the disconnect once and then waits for ever.
"""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import anyio
import msgspec

from .errors import HeadersTooLarge, MalformedRequest, RequestTimeout, RequestTooLarge, UnsupportedMediaType

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
_JSON_LIKE = (b"application/json", b"text/json")
GZIP_WINDOW = 31


class ClientGone(Exception):
    """The caller left. Not an error: there is nobody to tell it to."""


class InboundLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what a caller may send."""

    max_body_bytes: int
    """After decompression as well."""
    max_header_bytes: int
    max_headers: int
    max_header_value_bytes: int
    max_query_bytes: int
    upload_idle_s: float
    """Longest wait for the next piece of the body."""
    upload_grace_s: float = 10.0
    """After this long, the body must have come faster than ``upload_min_bytes_s``."""
    upload_min_bytes_s: int = 1_024


def judge_head(scope: Scope, limits: InboundLimits) -> int | None:
    """Judge headers and query; return the declared length of the body, None if it comes in chunks.

    Raises:
        HeadersTooLarge: More headers, or longer ones, than are read here.
        MalformedRequest: Content-Length is no number, is there twice, or stands beside Transfer-Encoding.
        RequestTooLarge: The declared length, or the query, is over its limit.
    """
    headers = scope["headers"]
    if len(headers) > limits.max_headers or sum(len(n) + len(v) for n, v in headers) > limits.max_header_bytes:
        raise HeadersTooLarge("The header block is too large. Send fewer or shorter headers.")
    if any(len(value) > limits.max_header_value_bytes for name, value in headers if name not in _CREDENTIALS):
        raise HeadersTooLarge("One header is too long. Send a shorter one.")
    if len(scope.get("query_string", b"")) > limits.max_query_bytes:
        raise RequestTooLarge("The query string is too long.")
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return None
    is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
    if len(lengths) > 1 or is_chunked or not (lengths[0].isdigit() and len(lengths[0]) <= 19):
        raise MalformedRequest("The request's framing is ambiguous. Send one Content-Length.", code="invalid_framing")
    declared = int(lengths[0])
    if declared > limits.max_body_bytes:
        raise _too_large(limits)
    return declared


def judge_content_type(scope: Scope) -> str | None:
    """Judge the content type; return the content encoding that the body must be read with, None for none.

    Any content type counts as JSON, but a page of another origin may not use that to send one without a preflight.

    Raises:
        UnsupportedMediaType: A cross-origin request without credentials that is not JSON, or an unknown encoding.
    """
    values = dict(scope["headers"])
    content_type = values.get(b"content-type", b"").split(b";")[0].strip().lower()
    is_bare_browser = b"origin" in values and not _CREDENTIALS & values.keys()
    if is_bare_browser and content_type not in _JSON_LIKE:
        raise UnsupportedMediaType("Send the body as application/json.")
    encoding = values.get(b"content-encoding", b"identity").strip().lower()
    if encoding in (b"identity", b""):
        return None
    if encoding in (b"gzip", b"x-gzip"):
        return "gzip"
    raise UnsupportedMediaType("Send the body uncompressed or as gzip.")


async def read_body(receive: Receive, limits: InboundLimits, declared: int | None, encoding: str | None) -> bytes:
    """Read the whole body.

    Args:
        receive: The server's.
        limits: Bounds; memory stays below ``max_body_bytes`` plus one message.
        declared: Content-Length.
        encoding: As `judge_content_type` returned it.

    Raises:
        ClientGone: The caller left during the upload.
        RequestTimeout: No progress, or too slow.
        RequestTooLarge: Longer than allowed.
        MalformedRequest: Longer than declared, or not of the encoding it claims.
    """
    pieces: list[bytes] = []
    total = 0
    started = anyio.current_time()
    more = True
    while more:
        message = await _receive(receive, limits.upload_idle_s)
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message["type"] != "http.request":
            continue
        piece = message.get("body", b"")
        total += len(piece)
        if total > limits.max_body_bytes:
            raise _too_large(limits)
        pieces.append(piece)
        more = message.get("more_body", False)
        waited = anyio.current_time() - started
        if more and waited > limits.upload_grace_s and total < waited * limits.upload_min_bytes_s:
            raise RequestTimeout("The body came too slowly. Send it again on a faster connection.")
    if declared is not None and total > declared:
        raise MalformedRequest("The body is longer than its Content-Length.", code="invalid_framing")
    body = b"".join(pieces)
    return body if encoding is None else _gunzip(body, limits)


async def _receive(receive: Receive, timeout_s: float) -> Message:
    with anyio.move_on_after(timeout_s):
        return await receive()
    raise RequestTimeout("The body did not arrive in time. Send it again.")


def _gunzip(body: bytes, limits: InboundLimits) -> bytes:
    decoder = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = decoder.decompress(body, limits.max_body_bytes + 1)
    except zlib.error:
        raise MalformedRequest("The body is not the gzip that it claims to be.", code="invalid_encoding") from None
    if len(plain) > limits.max_body_bytes:
        raise _too_large(limits)
    if not decoder.eof or decoder.unused_data:
        raise MalformedRequest("The gzip body is incomplete or has a tail.", code="invalid_encoding")
    return plain


def _too_large(limits: InboundLimits) -> RequestTooLarge:
    return RequestTooLarge(
        f"The body is larger than {limits.max_body_bytes} bytes. Send less, or raise max_body_bytes."
    )
