"""Requests of a caller, answers and streams of an upstream, as bytes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from asgi_ds2api.canonical import Event, Notices, Request
from asgi_ds2api.codec import Envelope, HTTPCall
from asgi_ds2api.errors import UpstreamError
from asgi_ds2api.profiles import PROFILES, Profile
from asgi_ds2api.protocols import ollama_chat as codec

OLLAMA: Profile = PROFILES["ollama"]
MAX_EVENT_BYTES = 100_000
HELLO = [{"role": "user", "content": "Hi"}]
ENVELOPE = Envelope(model="asked", stream=True, salt="1", created=1_700_000_000)


def call(body: Mapping[str, Any] | bytes, path: str = "/api/chat") -> HTTPCall:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPCall(method="POST", path=path, body=data)


def decoded(path: str = "/api/chat", **fields: Any) -> Request:
    """Return the request of a small talk, or of a prompt, with these fields."""
    usual = {"messages": HELLO} if path.endswith("chat") else {"prompt": "Hi"}
    return codec.decode_request(call({"model": "m", **usual, **fields}, path))


def sent(request: Request, notices: Notices | None = None) -> Any:
    """Return the body that an upstream is sent."""
    return json.loads(codec.encode_request(request, OLLAMA, Notices() if notices is None else notices).body)


def line(message: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    whole = {"role": "assistant", "content": "", **(message or {})}
    top = {"model": "up", "created_at": "2026-11-22T10:00:00.1Z", "message": whole, "done": False}
    return {**top, **fields}


def last(message: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    told = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2, "total_duration": 9}
    return line(message, **{**told, **fields})


def stream(*lines: Mapping[str, Any]) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in lines)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(reads: Iterable[bytes]) -> tuple[list[Event], UpstreamError | None]:
    """Return the events of a stream, and why it broke if it did."""
    decoder = codec.StreamDecoder(OLLAMA, MAX_EVENT_BYTES)
    events = [event for data in reads for event in decoder.feed(data)]
    events += decoder.close()
    assert decoder.is_complete is (decoder.failure is None)
    return events, decoder.failure
