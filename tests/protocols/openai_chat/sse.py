"""Streams of this protocol, written and read by the tests' own hand."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from asgi_ds2api.canonical import Event, Notices
from asgi_ds2api.codec import Envelope
from asgi_ds2api.errors import UpstreamError
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols import openai_chat as codec

from .calls import LENIENT

MAX_EVENT_BYTES = 1_000_000
ENVELOPE = Envelope(model="asked", stream=True, salt="1", created=1)
WITH_USAGE = Envelope(model="asked", stream=True, include_usage=True, salt="1", created=1)
DONE = "[DONE]"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a chunk with one choice."""
    choice = {"index": fields.pop("index", 0), "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    top = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
    return {**top, "choices": [choice], **fields}


def fragment(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    """Return a delta with a piece of a call; ``id`` and ``name`` begin it."""
    named = {"name": fields.pop("name")} if "name" in fields else {}
    return {"tool_calls": [{"index": index, **fields, "function": {**named, "arguments": arguments}}]}


def decode(data: bytes, *, size: int = 1 << 30, profile: Profile = LENIENT) -> tuple[list[Event], UpstreamError | None]:
    """Return the events of a stream that is read in pieces of ``size`` bytes, and why it broke."""
    decoder = codec.StreamDecoder(profile, MAX_EVENT_BYTES)
    events = [event for i in range(0, len(data), size) for event in decoder.feed(data[i : i + size])]
    if not decoder.is_complete:
        events += decoder.close()
    assert decoder.is_complete == (decoder.failure is None)
    return events, decoder.failure


def encode(
    events: Iterable[Event],
    envelope: Envelope = ENVELOPE,
    notices: Notices | None = None,
    *,
    one_by_one: bool = False,
) -> bytes:
    """Return the stream that a caller gets for these events."""
    encoder = codec.StreamEncoder(envelope, Notices() if notices is None else notices)
    reads: list[Sequence[Event]] = [[event] for event in events] if one_by_one else [list(events)]
    return b"".join(encoder.encode(read) for read in reads) + encoder.close()


def parse(data: bytes) -> list[Any]:
    """Return the payloads of a stream, without its ``[DONE]``, which has to be the last."""
    assert data.endswith(b"\n\n")
    frames = data.decode().removesuffix("\n\n").split("\n\n")
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    *payloads, last = [frame.removeprefix("data: ") for frame in frames]
    assert last == DONE
    return [json.loads(payload) for payload in payloads]
