"""Reads a caller's request: judges its head, then its body, cheapest and most secret-safe first.

Nothing here knows of protocols. The head is judged before the first ``receive()``, so that a body which will be
refused is never asked for (``Expect: 100-continue``). After `ClientGone` nobody calls ``receive`` again: one server
hands out the disconnect once and then waits for ever.
"""

from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

import anyio
import anyio.lowlevel
import msgspec
from starlette.types import Message, Receive, Scope

from ..errors import HeadersTooLarge, MalformedRequest, RequestTimeout, RequestTooLarge, UnsupportedMediaType
from ..upstream.decoding import STEP_BYTES, start_coding

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
_JSON_LIKE = (b"application/json", b"text/json")
_ENCODINGS = {b"gzip": "gzip", b"x-gzip": "gzip", b"zstd": "zstd"}
_BAD_ENCODING = "invalid_encoding"
BAD_FRAMING = "invalid_framing"
"""Code of a request whose end two readers could find in two places: nothing behind it can be trusted either."""
_UNENCODED = frozenset({b"", b"identity"})
_QUERY = frozenset(
    {
        "after",
        "after_id",
        "alt",
        "api-version",
        "before_id",
        "beta",
        "client_version",
        "face",
        "ids",
        "ids[]",
        "include_obfuscation",
        "limit",
        "model",
        "order",
        "page",
        "pageSize",
        "pageToken",
        "purpose",
        "scope_id",
        "starting_after",
        "stream",
        "uploadType",
        "upload_id",
        "upload_protocol",
        "upstream",
    }
)


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
        raise MalformedRequest("The request's framing is ambiguous. Send one Content-Length.", code=BAD_FRAMING)
    declared = int(lengths[0])
    if declared > limits.max_body_bytes:
        raise _too_large(limits)
    return declared


def take_query_key(scope: Scope) -> bytes | None:
    """Take ``key`` out of the query, for good; return its value, None if there is none.

    The scope is the server's own, so that the key is in no line that it logs later: the one change that this gateway
    makes to a scope.
    """
    query = scope.get("query_string", b"")
    if b"key=" not in query:
        return None
    pairs = query.split(b"&")
    keys = [pair for pair in pairs if pair.startswith(b"key=")]
    if not keys:
        return None
    scope["query_string"] = b"&".join(pair for pair in pairs if not pair.startswith(b"key="))
    return unquote_to_bytes(keys[-1].removeprefix(b"key="))


def judge_content_type(scope: Scope) -> str | None:
    """Judge the content type; return the content encoding that the body must be read with, None for none.

    Any content type counts as JSON, but a page of another origin may not use that to send one without a preflight.

    Raises:
        UnsupportedMediaType: A cross-origin request without credentials that is not JSON, or an unknown encoding.
    """
    headers = scope["headers"]
    names = {name for name, _ in headers}
    content_type = _joined(headers, b"content-type").partition(b";")[0].strip().lower()
    is_bare_browser = b"origin" in names and not _CREDENTIALS & names
    if is_bare_browser and content_type not in _JSON_LIKE:
        raise UnsupportedMediaType("Send the body as application/json.")
    encoding = _joined(headers, b"content-encoding").strip().lower()
    if encoding in _UNENCODED:
        return None
    known = _ENCODINGS.get(encoding)
    if known is not None and start_coding(known) is not None:
        return known
    raise UnsupportedMediaType(
        "Send the body uncompressed or as gzip. (zstd is read where Python is 3.14 or backports.zstd is installed.)"
    )


def _joined(headers: Headers, name: bytes) -> bytes:
    """Return a header's values as one list, as HTTP reads a repeated header."""
    return b",".join(value for found, value in headers if found == name)


async def read_body(receive: Receive, limits: InboundLimits, declared: int | None, encoding: str | None) -> bytes:
    """Read the whole body.

    Args:
        receive: The server's.
        limits: Bounds. What is read stays below ``max_body_bytes`` plus one message, what is unpacked below
            ``max_body_bytes`` plus one step.
        declared: Content-Length.
        encoding: As `judge_content_type` returned it.

    Raises:
        ClientGone: The caller left during the upload.
        RequestTimeout: No progress, or too slow.
        RequestTooLarge: Longer than allowed.
        MalformedRequest: Longer than declared, or not of the encoding it claims.
    """
    body = bytearray()
    started = anyio.current_time()
    more = True
    while more:
        message = await _receive(receive, limits.upload_idle_s)
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message["type"] != "http.request":
            continue
        body += message.get("body", b"")
        if len(body) > limits.max_body_bytes:
            raise _too_large(limits)
        more = message.get("more_body", False)
        waited = anyio.current_time() - started
        if more and waited > limits.upload_grace_s and len(body) < waited * limits.upload_min_bytes_s:
            raise RequestTimeout("The body came too slowly. Send it again on a faster connection.")
    if declared is not None and len(body) > declared:
        raise MalformedRequest("The body is longer than its Content-Length.", code=BAD_FRAMING)
    return bytes(body) if encoding is None else await _unpack(body, encoding, limits)


async def _receive(receive: Receive, timeout_s: float) -> Message:
    with anyio.move_on_after(timeout_s):
        return await receive()
    raise RequestTimeout("The body did not arrive in time. Send it again.")


async def _unpack(packed: bytearray, encoding: str, limits: InboundLimits) -> bytes:
    """Return the body, unpacked slice by slice: what is left of a slice is copied at every step of the decoder."""
    coding = start_coding(encoding)
    assert coding is not None, "judge_content_type lets pass only what can be read"
    body = bytearray()
    try:
        for start in range(0, len(packed), STEP_BYTES):
            for piece in coding.feed(bytes(packed[start : start + STEP_BYTES])):
                body += piece
                if len(body) > limits.max_body_bytes:
                    raise _too_large(limits)
            await anyio.lowlevel.checkpoint()  # other requests get their turn
    except coding.errors:
        raise MalformedRequest(f"The body is not the {encoding} that it claims to be.", code=_BAD_ENCODING) from None
    if not coding.is_complete:
        raise MalformedRequest(f"The {encoding} body is incomplete.", code=_BAD_ENCODING)
    return bytes(body)


def _too_large(limits: InboundLimits) -> RequestTooLarge:
    return RequestTooLarge(
        f"The body is larger than {limits.max_body_bytes} bytes. Send less, or raise max_body_bytes."
    )


def read_query(scope: Scope, max_bytes: int) -> list[tuple[str, str]]:
    """Return the query parameters that mean something here, in the order in which they came; of too long a query none.

    A path that several faces share is told apart by them, so they are read before anything is judged.
    """
    query = scope.get("query_string", b"")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True) if len(query) <= max_bytes else []
    return [(name, value) for name, value in pairs if name in _QUERY]
