"""The head of a request as every client here sends it, whatever its builder left open.

What a builder may not decide is enforced: the encoding of the answer, the framing of the body and the fate of the
connection are the client's. A header that cannot be sent is refused before a library can quote it: h11's message holds
the value, and that may be a key.

Source: RFC 9112 sections 3.2, 6 and 9.6; RFC 9110 section 5.
"""

import re
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from ..errors import InternalError
from .contract import Headers, UpstreamRequest

_URL = re.compile(r"https?://[\x21-\x7e]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_OURS = frozenset(
    (
        b"host",
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"proxy-connection",
        b"te",  # codespell:ignore te
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


def parts_of(url: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        InternalError: It is none, or holds what `urlsplit` would drop in silence (a tab, a line feed).
    """
    if _URL.fullmatch(url):
        with suppress(ValueError):  # a port that is no number, half a bracket
            parts = urlsplit(url)
            if parts.hostname and parts.port != 0:
                return parts
    raise InternalError("The upstream's address could not be built.")


def head_of(request: UpstreamRequest, url: SplitResult) -> Headers:
    """Return the headers to send, ``host`` first.

    Raises:
        InternalError: A name or a value holds what no header may hold. The value is not told.
    """
    host = next((value for name, value in request.headers if name == b"host"), None)
    headers = [(b"host", host or url.netloc.rpartition("@")[2].encode("ascii"))]
    headers += [(name, value) for name, value in request.headers if name not in _OURS]
    headers += [(b"accept-encoding", b"identity"), (b"connection", b"close")]
    if request.length is None:
        headers.append((b"transfer-encoding", b"chunked"))
    elif request.length or request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"content-length", b"%d" % request.length))
    for number, (name, value) in enumerate(headers):
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InternalError("The request to the upstream could not be written.", detail=f"header {number}")
    return tuple(headers)


def target_of(url: SplitResult) -> str:
    """Return path and query exactly as they are in the URL: what was checked is what is sent."""
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
