"""Builds the request that goes out: the one place where a key becomes a header and a base URL becomes a target.

A key is bound to the scheme, host, port and path prefix that it was configured for; that is asserted on the finished
URL, after everything that a request contributed to it. Nothing that a caller sent names a host here.

What is said of the connection, of the body and of the account is said here and once: a codec adds the headers of its
protocol, and one that writes any of these is a mistake of ours.
"""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import msgspec

from ..codec import HTTPCall
from ..errors import InternalError
from ..profiles import Profile
from ..secret import Secret
from .contract import BodySource, CallBounds, UpstreamRequest

USER_AGENT = b"asgi-ds2api"
_FIXED: tuple[tuple[bytes, bytes], ...] = ((b"user-agent", USER_AGENT), (b"accept-encoding", b"identity"))
_READ = b"application/json, text/event-stream, application/x-ndjson"
"""What a transcoder reads."""
_ANYTHING = b"*/*"

_SAID_HERE = frozenset(
    {
        "host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "content-encoding",
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
        "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie",
    }
)  # fmt: skip
"""Of the connection, the body or the account: no codec writes them."""


class Cargo(msgspec.Struct, frozen=True, kw_only=True):
    """A body that nobody here reads, on its way to an upstream."""

    source: BodySource
    content_type: bytes
    """As its sender wrote it; empty: not at all."""


def build(
    call: HTTPCall, *, base_url: str, profile: Profile, key: Secret | None, limits: CallBounds,
    cargo: Cargo | None = None, is_read: bool = True,
) -> UpstreamRequest:  # fmt: skip
    """Return the complete request.

    Args:
        call: What a codec wrote. ``path`` is under ``base_url`` and already quoted.
        base_url: As configured, without a trailing slash.
        profile: Says which header carries the key, and which query every call has.
        key: None for a server that wants none: then no credential header is sent.
        limits: Bounds of the exchange.
        cargo: Goes in place of the call's own body, which is empty.
        is_read: The answer is for us to read, not only to pass on.

    Raises:
        InternalError: The URL left ``base_url``, or the codec wrote a header that is said here.
    """
    query = urlencode({**profile.query, **call.query})
    url = base_url + call.path + (f"?{query}" if query else "")
    _assert_bound(url, base_url)
    headers = [(b"host", urlsplit(base_url).netloc.encode("ascii")), *_FIXED]
    headers.append((b"accept", _READ if is_read else _ANYTHING))
    headers += _plain(call.headers, _SAID_HERE | {profile.auth_header})
    if cargo is not None and cargo.content_type:
        headers.append((b"content-type", cargo.content_type))
    if call.body:
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", str(len(call.body)).encode()))
    if key is not None:
        headers.append(credential(profile, key))
    return UpstreamRequest(
        method=call.method,
        url=url,
        headers=tuple(headers),
        body=call.body,
        limits=limits,
        source=None if cargo is None else cargo.source,
    )


def credential(profile: Profile, key: Secret) -> tuple[bytes, bytes]:
    """Return the header that carries a key. The only caller of ``Secret.reveal`` on the way out."""
    return profile.auth_header.encode("ascii"), (profile.auth_scheme + key.reveal()).encode("ascii")


def _plain(headers: Mapping[str, str], said_here: frozenset[str]) -> list[tuple[bytes, bytes]]:
    if twice := said_here & headers.keys():
        raise InternalError("The upstream's request could not be built.", detail=f"a codec wrote {sorted(twice)}")
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]


def _assert_bound(url: str, base_url: str) -> None:
    wanted, built = urlsplit(base_url), urlsplit(url)
    is_same_place = (built.scheme, built.netloc) == (wanted.scheme, wanted.netloc)
    is_below = built.path.startswith(f"{wanted.path}/")
    if not is_same_place or not is_below or built.fragment or {".", ".."} & set(built.path.split("/")):
        raise InternalError("The upstream's address could not be built.", detail="a built URL left its base_url")
