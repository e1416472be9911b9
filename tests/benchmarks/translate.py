"""What translating costs: ``make bench`` prints microseconds, and a test never looks at them.

Compare rows of one run with each other, and the same row before and after a change on one machine; absolute figures
differ from machine to machine.
"""

import json
import timeit
from collections.abc import Callable
from typing import Any

import msgspec

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import Envelope, HTTPCall
from asgi_ds2api.json_guard import check_document
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import anthropic_messages, openai_chat

OPENAI, ANTHROPIC = PROFILES["openai"], PROFILES["anthropic"]
ENVELOPE = Envelope(model="m", stream=True)
MAX_EVENT_BYTES = 1 << 24
EVENTS = 1_000
REPEATS = 5


def conversation(turns: int) -> bytes:
    """Return a request of an agent: text, tool calls and their results, as many messages as ``turns``."""
    messages: list[dict[str, Any]] = []
    for number in range(turns // 4):
        call = {"type": "tool_use", "id": f"t{number}", "name": "read", "input": {"path": "a.py", "line": number}}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": "line of a file\n" * 20}
        messages += [
            {"role": "user", "content": [{"type": "text", "text": "What is in this file? " * 5}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I will look."}, call]},
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": "It holds what you expected. " * 5},
        ]
    tools = [{"name": "read", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}]
    body = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "messages": [*messages, messages[0]], "tools": tools}
    return json.dumps(body).encode()


def microseconds(work: Callable[[], object], per: int = 1) -> float:
    """Return the best time of several runs, for each of ``per`` items."""
    timer = timeit.Timer(work)
    count, _ = timer.autorange()
    return min(timer.repeat(REPEATS, count)) / count / per * 1e6


def requests(turns: int) -> dict[str, float]:
    """Return what a request of so many messages costs, step by step."""
    body = conversation(turns)
    call = HTTPCall(method="POST", path="/v1/messages", body=body, headers={"anthropic-version": "2023-06-01"})
    request = anthropic_messages.decode_request(call)
    chat = openai_chat.encode_request(request, OPENAI, Notices())
    back = msgspec.structs.replace(openai_chat.decode_request(chat), model="claude-sonnet-4-5")
    name = f"{len(request.messages)} messages, {len(body) // 1024} KB"
    return {
        f"{name}: guard": microseconds(lambda: check_document(body)),
        f"{name}: msgspec decode + encode, untyped": microseconds(
            lambda: msgspec.json.encode(msgspec.json.decode(body))
        ),
        f"{name}: decode Messages": microseconds(lambda: anthropic_messages.decode_request(call)),
        f"{name}: encode Chat": microseconds(lambda: openai_chat.encode_request(request, OPENAI, Notices())),
        f"{name}: decode Chat": microseconds(lambda: openai_chat.decode_request(chat)),
        f"{name}: encode Messages": microseconds(lambda: anthropic_messages.encode_request(back, ANTHROPIC, Notices())),
    }


def streams() -> dict[str, float]:
    """Return what an event of a stream costs, each way."""
    delta = {"index": 0, "delta": {"content": "hello"}, "logprobs": None, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [delta]}
    chat = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    start = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 1}}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}
    head = b"".join(_named(event) for event in (start, block))
    messages = head + _named(text) * EVENTS
    events = openai_chat.StreamDecoder(OPENAI, MAX_EVENT_BYTES).feed(chat * EVENTS)
    return {
        "event: decode Chat": microseconds(
            lambda: openai_chat.StreamDecoder(OPENAI, MAX_EVENT_BYTES).feed(chat * EVENTS), EVENTS
        ),
        "event: encode Chat": microseconds(
            lambda: openai_chat.StreamEncoder(ENVELOPE, Notices()).encode(events), EVENTS
        ),
        "event: decode Messages": microseconds(
            lambda: anthropic_messages.StreamDecoder(ANTHROPIC, MAX_EVENT_BYTES).feed(messages), EVENTS
        ),
        "event: encode Messages": microseconds(
            lambda: anthropic_messages.StreamEncoder(ENVELOPE, Notices()).encode(events), EVENTS
        ),
        "event: relay Chat": microseconds(
            lambda: openai_chat.StreamTap(OPENAI, MAX_EVENT_BYTES).feed(chat * EVENTS), EVENTS
        ),
        "event: relay Messages": microseconds(
            lambda: anthropic_messages.StreamTap(ANTHROPIC, MAX_EVENT_BYTES).feed(messages), EVENTS
        ),
    }


def _named(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


if __name__ == "__main__":
    for title, value in {**requests(64), **requests(216), **streams()}.items():
        print(f"{value:10.2f} us  {title}")
