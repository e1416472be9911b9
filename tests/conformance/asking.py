"""Asks a gateway in memory, on either face, in front of one scripted upstream, and looks at both ends."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.http_bytes import sse_body
from tests.support.scripted_client import (
    Answering,
    Piece,
    Script,
    ScriptedUpstream,
    answering,
    streaming,
    streaming_lines,
)

PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "claude": "/v1/messages",
    "ollama": "/api/chat",
}
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
CONTENTS: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "Hi"}]}]
STREAM = "streamGenerateContent"


@dataclass
class Asked:
    """What came back, and what went out."""

    answer: Answer
    upstream: ScriptedUpstream
    records: Records

    @property
    def json(self) -> Any:
        """The answer."""
        return json.loads(self.answer.body)

    @property
    def sent(self) -> Any:
        """The body of the (last) request that reached the upstream."""
        return self.upstream.calls[-1].json()

    @property
    def notices(self) -> dict[str, str]:
        """Path of each Notice -> its severity."""
        return {notice.path: notice.severity for notice in self.records[-1].notices}

    @property
    def lines(self) -> list[Any]:
        """The lines of a streamed answer of Ollama's."""
        return [json.loads(line) for line in self.answer.text.split("\n") if line.strip()]

    @property
    def events(self) -> list[Any]:
        """Payloads of a streamed answer; ``[DONE]`` as text."""
        return [_payload(line[6:]) for line in self.answer.text.split("\n") if line.startswith("data: ")]


def _payload(text: str) -> Any:
    return text if text == "[DONE]" else json.loads(text)


async def ask(
    face: str,
    to: str,
    body: Mapping[str, Any],
    *scripts: Script,
    model: str = "test-model",
    headers: Mapping[str, str] | None = None,
    profile: Any = None,
    path: str | None = None,
    verb: str = "generateContent",
    query: str = "",
    **config: Any,
) -> Asked:
    """Send ``body`` to a face, with what it needs added, in front of an upstream that plays ``scripts``.

    ``verb`` is Gemini's, whose paths say what is asked for; its streams are asked for as server-sent events.
    """
    scripted, records = ScriptedUpstream(*scripts), Records()
    gateway = make_gateway(
        upstream(to, accounts=config.pop("accounts", 1), profile=profile, **config.pop("side", {})),
        scripts={to: scripted},
        hooks=[records],
        **config,
    )
    asked = "input" if face == "responses" else "messages"
    whole: dict[str, Any] = {"model": f"{to}/{model}", asked: HELLO}
    if face == "claude":
        whole["max_tokens"] = 100
    if face == "gemini":
        whole = {"contents": CONTENTS}
        path = path or f"/v1beta/models/{to}/{model}:{verb}"
        query = query or ("alt=sse" if verb == STREAM else "")
    whole |= body
    given = dict(headers or {})
    if face == "claude":
        given.setdefault("anthropic-version", "2023-06-01")
    kept = {name: value for name, value in whole.items() if value is not ...}
    answer = await call(gateway, "POST", path or PATHS[face], json=kept, headers=given, query=query)
    return Asked(answer, scripted, records)


def assert_estimated(asked: Asked, told: Mapping[str, Any], name: str) -> None:
    """Check a number of tokens that the gateway gave by itself: near the truth, and said to be an estimate."""
    assert list(told) == [name]
    assert 5 <= told[name] <= 80, "a few words, and the JSON around them"
    assert asked.answer.header("x-ds2api-notices") == "input_tokens=estimated"
    assert asked.notices == {"input_tokens": "changed"}
    assert asked.records[-1].usage is None, "nobody is billed for it"
    assert asked.upstream.calls == []


# --- what upstreams say -----------------------------------------------------------------------------------------------


def chat_answer(message: Mapping[str, Any] | None = None, finish: str = "stop", **fields: Any) -> Answering:
    """Return a whole Chat answer."""
    whole = {"role": "assistant", "content": "Hello", **(message or {})}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "up",
        "choices": [{"index": 0, "message": whole, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    return answering({**body, **fields})


def chunk(delta: Any = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a Chat chunk with one choice."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {
        "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice], **fields
    }  # fmt: skip


def chat_stream(*chunks: Mapping[str, Any] | str | bytes, done: bool = True, split: int = 0) -> Answering:
    """Return a Chat stream; ``split`` cuts it into reads of so many bytes."""
    return streaming(*_cut(sse_body([*chunks, *(["[DONE]"] if done else [])]), split))


def claude_answer(
    content: Sequence[Mapping[str, Any]] | None = None, stop: str = "end_turn", **fields: Any
) -> Answering:  # fmt: skip
    """Return a whole Anthropic answer."""
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "up",
        "content": [{"type": "text", "text": "Hello"}] if content is None else content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    return answering({**body, **fields})


def claude_events(
    *blocks: tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]],
    stop: str = "end_turn",
    usage: Any = None,
    end: Any = None,
) -> list[dict[str, Any]]:
    """Return the events of an Anthropic answer: each block is its start and its deltas."""
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": usage or {"input_tokens": 3, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, (start, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None, **(end or {})}
    return [*events, {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 2}}, {"type": "message_stop"}]


def claude_stream(events: Sequence[Mapping[str, Any]], split: int = 0) -> Answering:
    """Return an Anthropic stream."""
    return streaming(*_cut(sse_body(events, named=True), split))


TEXT_BLOCK = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hello"}])


def tool_block(id_: str, name: str, *pieces: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a streamed tool call."""
    start = {"type": "tool_use", "id": id_, "name": name, "input": {}}
    return start, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def response(output: Sequence[Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return an answer of the Responses protocol."""
    body = {
        "id": "resp_up",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "up",
        "output": [said_item("Hello")] if output is None else output,
        "usage": {
            "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5,
        },
    }  # fmt: skip
    return {**body, **fields}


def said_item(text: str, id_: str = "msg_up", **fields: Any) -> dict[str, Any]:
    """Return an item that says a text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": id_, "type": "message", "status": "completed", "role": "assistant", "content": [part], **fields}


def called_item(call_id: str, name: str, arguments: str, **fields: Any) -> dict[str, Any]:
    """Return an item that calls a function."""
    item = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "call_id": call_id, "name": name}
    return {**item, "arguments": arguments, **fields}


def response_answer(output: Sequence[Any] | None = None, **fields: Any) -> Answering:
    """Return a whole answer of the Responses protocol."""
    return answering(response(output, **fields))


def response_events(*items: Mapping[str, Any], end: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the events of an answer of these items, each with one delta; ``end``: fields of the whole answer."""
    begun = response([], status="in_progress", usage=None)
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for number, item in enumerate(items):
        place = {"output_index": number, "item_id": item["id"]}
        opened = {
            **item,
            **({"content": []} if "content" in item else {"arguments": ""} if "arguments" in item else {}),
        }
        events.append({"type": "response.output_item.added", "output_index": number, "item": opened})
        for at, part in enumerate(item.get("content", ())):
            spot = {**place, "content_index": at}
            events.append({"type": "response.content_part.added", **spot, "part": {**part, "text": ""}})
            events.append({"type": "response.output_text.delta", **spot, "delta": part["text"], "logprobs": []})
            events.append({"type": "response.content_part.done", **spot, "part": part})
        if "arguments" in item:
            delta = {"delta": item["arguments"]}
            events.append({"type": "response.function_call_arguments.delta", **place, **delta})
        events.append({"type": "response.output_item.done", "output_index": number, "item": item})
    whole = {**response(list(items)), **(end or {})}
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def response_stream(events: Sequence[Mapping[str, Any]], split: int = 0) -> Answering:
    """Return a stream of the Responses protocol."""
    return streaming(*_cut(sse_body(events, named=True), split))


def ollama_answer(message: Mapping[str, Any] | None = None, **fields: Any) -> Answering:
    """Return a whole answer of Ollama's."""
    return answering(ollama_end({"content": "Hello", **(message or {})}, **fields))


def ollama_line(message: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a line of a stream of Ollama's."""
    whole = {"role": "assistant", "content": "", **(message or {})}
    return {"model": "up", "created_at": "2026-11-22T10:00:00.1Z", "message": whole, "done": False, **fields}


def ollama_end(message: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the last line of a stream of Ollama's."""
    told = {"total_duration": 300, "load_duration": 10, "prompt_eval_count": 3, "prompt_eval_duration": 100,
            "eval_count": 2, "eval_duration": 190}  # fmt: skip
    return ollama_line(message, done=True, **{"done_reason": "stop", **told, **fields})


def ollama_stream(*lines: Mapping[str, Any], split: int = 0) -> Answering:
    """Return a stream of Ollama's; ``split`` cuts it into reads of so many bytes."""
    data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return streaming_lines(*_cut(data, split))


def gemini_answer(parts: Sequence[Mapping[str, Any]], finish: str = "STOP", usage: Any = None) -> Answering:
    """Return a whole Gemini answer."""
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish}
    return answering({"candidates": [candidate], "usageMetadata": usage or {}})


def gemini_chunk(
    parts: Sequence[Mapping[str, Any]], finish: str | None = None, usage: Any = None, **fields: Any
) -> dict[str, Any]:  # fmt: skip
    """Return a chunk of a Gemini stream."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0, **fields}
    if finish is not None:
        candidate["finishReason"] = finish
    chunk = {"candidates": [candidate], "modelVersion": "up", "responseId": "r1"}
    return chunk if usage is None else {**chunk, "usageMetadata": usage}


def gemini_stream(*chunks: Mapping[str, Any], split: int = 0) -> Answering:
    """Return a Gemini stream."""
    return streaming(*_cut(sse_body(chunks), split))


def error(status: int, body: Any, **headers: str) -> Answering:
    """Return an error answer."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    content_type = "text/html" if data.startswith(b"<") else "application/json"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answering(data, status=status, headers={"content-type": content_type, **named})


def _cut(data: bytes, size: int) -> list[Piece]:
    return [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
