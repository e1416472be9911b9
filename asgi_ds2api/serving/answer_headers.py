"""The headers that every answer carries: who served it, how, and what did not go through as it came. Pure."""

import re
from collections.abc import Collection, Sequence

import msgspec

from ..canonical import Notice
from ..errors import GatewayError, MethodNotAllowed, RequestTimeout, RequestTooLarge, ShuttingDown

MAX_NOTICES_BYTES = 1_024
_UNSAFE = re.compile(r"[^\x21-\x7e]")
"""What the value of a header may not hold, and blanks: at an end they are refused by servers."""

COMMON: tuple[tuple[bytes, bytes], ...] = ((b"x-content-type-options", b"nosniff"),)
STREAM: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
"""A proxy in between must neither store a stream nor gather it."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Who served an answer, and how."""

    upstream: str
    model: str
    """Empty: none was asked for."""
    account: str
    mode: str


EXPOSED = b"x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, x-ds2api-served-by, x-ds2api-notices"
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9, _-]{0,2048}")


def cors(origin: bytes | None, allowed: Collection[str]) -> list[tuple[bytes, bytes]]:
    """Return what lets a page of another origin read an answer; nothing for an origin that is not allowed.

    No cookie is a credential here, so credentials are never allowed.
    """
    if origin is None or origin.decode("latin-1") not in allowed:
        return []
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"origin"),
    ]


def preflight(wanted_headers: bytes, methods: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return what answers a browser's preflight, besides `cors`."""
    headers = wanted_headers if _HEADER_NAMES.fullmatch(wanted_headers) else b"authorization, content-type"
    return [
        (b"access-control-allow-methods", ", ".join(methods).encode("ascii")),
        (b"access-control-allow-headers", headers),
        (b"access-control-max-age", b"600"),
    ]


def ids(request_id: str, face_header: str) -> list[tuple[bytes, bytes]]:
    """Return the request id under our own name and under the one that the caller's SDK reads."""
    value = request_id.encode("ascii")
    names = dict.fromkeys((b"x-request-id", face_header.encode("ascii")))
    return [(name, value) for name in names]


def refusal(error: GatewayError, *, is_cut_off: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers of a refusal besides those of its protocol.

    Args:
        error: Why.
        is_cut_off: Where the request ends was not seen.
    """
    headers = [(b"x-ds2api-error", error.code.encode("ascii"))]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allow).encode("ascii")))
    if is_cut_off or isinstance(error, RequestTimeout | RequestTooLarge | ShuttingDown):
        # The rest of the body is not waited for, nor another request: nobody can tell where one would begin.
        headers.append((b"connection", b"close"))
    return headers


def route(served: Served | None, attempts: int, *, with_account: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell which way a request took."""
    headers = [(b"x-ds2api-attempts", str(attempts).encode())]
    if served is None:
        return headers
    where = _UNSAFE.sub("?", "/".join(filter(None, (served.upstream, served.model))))
    headers.append((b"x-ds2api-served-by", where.encode("ascii")))
    headers.append((b"x-ds2api-mode", served.mode.encode("ascii")))
    if with_account:
        headers.append((b"x-ds2api-account", _UNSAFE.sub("?", served.account).encode("ascii")))
    return headers


def notices(found: Sequence[Notice]) -> list[tuple[bytes, bytes]]:
    """Return the header that lists losses and changes, one entry per path pattern, within `MAX_NOTICES_BYTES`.

    An entry reads ``path=action``; paths hold no index (``messages[].content[].cache_control``); ``more=N`` ends a
    list that does not fit. Hints have no effect on the answer and are only counted.
    """
    entries = dict.fromkeys(f"{notice.pattern}={notice.action}" for notice in found if notice.severity != "hint")
    if not entries:
        return []
    told: list[str] = []
    size = 0
    for entry in entries:
        left = f"more={len(entries) - len(told)}"
        if size + len(entry) + len("; ") + len(left) > MAX_NOTICES_BYTES:
            told.append(left)
            break
        told.append(entry)
        size += len(entry) + len("; ")
    return [(b"x-ds2api-notices", "; ".join(told).encode("ascii"))]
