"""Streams of this protocol, written and read by the tests' own hand."""

import json
from collections.abc import Iterable
from typing import Any

from asgi_ds2api.canonical import Event, Notices
from asgi_ds2api.codec import Envelope
from asgi_ds2api.errors import UpstreamError
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import ANTHROPIC

MAX_EVENT_BYTES = 1_000_000
ENVELOPE = Envelope(model="asked", stream=True, request_id="req_1", salt="1")

START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    },
}
STOP: dict[str, Any] = {"type": "message_stop"}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def finish(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": usage or {"output_tokens": 20},
    }


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    """Return a whole text block."""
    deltas = [delta(index, type="text_delta", text=piece) for piece in pieces]
    return [begin(index, type="text", text=""), *deltas, end(index)]


def tool(index: int, *pieces: str, call_id: str = "t1", **fields: Any) -> list[dict[str, Any]]:
    """Return a whole call."""
    deltas = [delta(index, type="input_json_delta", partial_json=piece) for piece in pieces]
    start = begin(index, **{"type": "tool_use", "id": call_id, "name": "f", "input": {}, **fields})
    return [start, *deltas, end(index)]


def stream(*events: dict[str, Any]) -> bytes:
    """Return the bytes of these events, named as the vendor does."""
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def decode(
    data: bytes, *, size: int = 1 << 30, profile: Profile = ANTHROPIC
) -> tuple[list[Event], UpstreamError | None]:
    """Return the events of a stream that is read in pieces of ``size`` bytes, and why it broke."""
    decoder = codec.StreamDecoder(profile, MAX_EVENT_BYTES)
    events = [event for i in range(0, len(data), size) for event in decoder.feed(data[i : i + size])]
    if not decoder.is_complete:
        events += decoder.close()
    assert decoder.is_complete == (decoder.failure is None)
    return events, decoder.failure


def encode(events: Iterable[Event], notices: Notices | None = None, *, one_by_one: bool = False) -> bytes:
    """Return the stream that a caller gets for these events."""
    encoder = codec.StreamEncoder(ENVELOPE, Notices() if notices is None else notices)
    reads = [[event] for event in events] if one_by_one else [list(events)]
    return b"".join(encoder.encode(read) for read in reads) + encoder.close()


def parse(data: bytes) -> list[dict[str, Any]]:
    """Return the payloads of a stream; every event must have its own name."""
    payloads = []
    assert data.endswith(b"\n\n")
    for frame in data.decode().removesuffix("\n\n").split("\n\n"):
        name, payload = frame.split("\n")
        payloads.append(json.loads(payload.removeprefix("data: ")))
        assert name == f"event: {payloads[-1]['type']}"
    return payloads
