"""HTTP/1.1 answers as bytes: what a scripted upstream sends.

Pure. Everything here is well formed unless the caller asks otherwise; a test that wants a broken answer cuts or
changes the bytes.
"""

import json
from collections.abc import Iterable, Mapping
from http.client import responses as PHRASES
from typing import Literal

Framing = Literal["length", "chunked", "eof"]
"""How the end of the body is told: Content-Length, chunks, or the end of the connection."""
HeaderPairs = Mapping[str, str] | Iterable[tuple[str, str]]
"""A mapping, or pairs where a name occurs more than once."""
SSEEvent = str | bytes | Mapping[str, object]
"""One event's data: text as it is, or an object that becomes JSON."""

LAST_CHUNK = b"0\r\n\r\n"
DONE = "[DONE]"
"""The data of the last event of a Chat Completions stream."""


def head(status: int = 200, headers: HeaderPairs = (), *, framing: Framing = "chunked", length: int = 0) -> bytes:
    """Return a status line and headers, those of the framing last; ``length`` is for the framing "length"."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    framed = {
        "length": ("content-length", str(length)),
        "chunked": ("transfer-encoding", "chunked"),
        "eof": ("connection", "close"),
    }[framing]
    lines = [f"HTTP/1.1 {status} {PHRASES.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in [*pairs, framed]]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk; empty data gives no bytes, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def response(
    status: int = 200, headers: HeaderPairs = (), body: bytes | Mapping[str, object] = b"", framing: Framing = "length"
) -> bytes:
    """Return a whole answer. An object as body becomes JSON, and says so unless ``headers`` name a type."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if isinstance(body, Mapping):
        body = json.dumps(body).encode()
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.insert(0, ("content-type", "application/json"))
    framed = chunk(body) + LAST_CHUNK if framing == "chunked" else body
    return head(status, pairs, framing=framing, length=len(body)) + framed


def sse_event(data: SSEEvent, event: str | None = None) -> bytes:
    """Return one server-sent event. Data with line feeds becomes several ``data:`` lines."""
    if isinstance(data, Mapping):
        data = json.dumps(data, ensure_ascii=False)
    if isinstance(data, str):
        data = data.encode()
    name = b"event: %b\n" % event.encode() if event else b""
    return name + b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"


def sse_body(events: Iterable[SSEEvent], *, named: bool = False) -> bytes:
    """Return the events of a stream; ``named`` writes the ``type`` of each object as its event name (Anthropic)."""
    return b"".join(
        sse_event(event, str(event["type"]) if named and isinstance(event, Mapping) else None) for event in events
    )


def sse(
    events: Iterable[SSEEvent], *, named: bool = False, headers: HeaderPairs = (), framing: Framing = "chunked"
) -> bytes:
    """Return a whole streamed answer, status 200. Nothing is added: `DONE` is an event like another."""
    pairs = [("content-type", "text/event-stream"), *(headers.items() if isinstance(headers, Mapping) else headers)]
    return response(200, pairs, sse_body(events, named=named), framing)
