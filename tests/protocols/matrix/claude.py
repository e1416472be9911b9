"""Anthropic Messages, from both ends. Follows the vendor's reference."""

import json
from typing import Any, Final

from tests.support.http_bytes import sse_event
from tests.support.outcome import json_arguments

from .neutral import Ask, Asked, Failure, Json, Said, Trouble, Turn, as_text, halves, parts_of, payloads

NAME: Final = "claude"
MODEL: Final = "claude-opus-5"
ORACLE: Final = "anthropic"
HEADERS: Final = {"anthropic-version": "2023-06-01"}
STREAM_TYPE: Final = "text/event-stream"
WORDS: Final = {"stop": "end_turn", "tool": "tool_use", "length": "max_tokens", "filter": "refusal"}
STOPPED: Final = "stop_sequence"
TELLS_FAILURES: Final = True
TROUBLE: Final[dict[Failure, Trouble]] = {
    "bad request": Trouble(status=400, words=("invalid_request_error",)),
    "bad key": Trouble(status=502, words=("api_error",)),
    "rate limit": Trouble(status=429, words=("rate_limit_error",)),
    "overload": Trouble(status=529, words=("overloaded_error",)),
    "failure": Trouble(status=502, words=("api_error",)),
}


def path(model: str, *, stream: bool) -> tuple[str, str]:
    return "/v1/messages", ""


# --- the question -----------------------------------------------------------------------------------------------------


def write(ask: Ask, model: str, *, stream: bool) -> Json:
    messages = [{"role": turn.role, "content": _content(turn)} for turn in ask.turns]
    body: Json = {"model": model, "max_tokens": ask.max_tokens, "messages": messages}
    config: Json = {}
    if ask.system:
        body["system"] = ask.system
    if ask.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in ask.tools
        ]
    if ask.schema is not None:
        config["format"] = {"type": "json_schema", "schema": ask.schema}
    if ask.stop:
        body["stop_sequences"] = list(ask.stop)
    if ask.effort:
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        config["effort"] = ask.effort
    if config:
        body["output_config"] = config
    return {**body, "stream": True} if stream else body


def _content(turn: Turn) -> object:
    blocks: list[Json] = []
    for result in turn.results:
        inner: list[Json] = [{"type": "text", "text": result.text}]
        if result.image:
            inner.append({"type": "image", "source": _source(result.image)})
        block: Json = {"type": "tool_result", "tool_use_id": result.call.id, "content": inner}
        blocks.append({**block, "is_error": True} if result.is_error else block)
    if turn.image:
        blocks.append({"type": "image", "source": _source(turn.image)})
    if turn.document:
        blocks.append({"type": "document", "source": _source(turn.document)})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    blocks += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in turn.calls]
    return turn.text if [block["type"] for block in blocks] == ["text"] else blocks


def _source(data: tuple[str, str]) -> Json:
    return {"type": "base64", "media_type": data[0], "data": data[1]}


def read(body: Json) -> Asked:
    asked = Asked(system=as_text(body.get("system", "")), max_tokens=body["max_tokens"])
    names: dict[str, str] = {}
    for message in body["messages"]:
        for block in parts_of(message["content"]):
            _read_block(asked, names, message["role"], block)
    for tool in body.get("tools", ()):
        asked.tools[tool["name"]] = (tool["description"], tool["input_schema"])
    config = body.get("output_config", {})
    asked.schema = config.get("format", {}).get("schema")
    asked.stop = body.get("stop_sequences", [])
    asked.effort = config.get("effort", "")
    asked.is_hidden = bool(asked.effort) and body.get("thinking", {}).get("display") != "summarized"
    return asked


def _read_block(asked: Asked, names: dict[str, str], role: str, block: Json) -> None:
    match block["type"]:
        case "text":
            asked.said.append((role, block["text"]))
        case "image" | "document":
            held = asked.images if block["type"] == "image" else asked.documents
            held.append((block["source"]["media_type"], block["source"]["data"]))
        case "thinking":
            asked.thoughts.append(block["thinking"])
            asked.signatures.append(block["signature"])
        case "tool_use":
            names[block["id"]] = block["name"]
            asked.calls.append((block["name"], json_arguments(block["input"])))
        case "tool_result":
            name = names[block["tool_use_id"]]
            asked.results.append((name, as_text(block["content"])))
            asked.failed += [name] if block.get("is_error") else []
            for inner in parts_of(block["content"]):
                if inner["type"] == "image":
                    _read_block(asked, names, role, inner)
        case unknown:
            raise AssertionError(f"a block of type {unknown}")


def go_on(body: Json, answer: Json, result: str) -> Json:
    call = next(block for block in answer["content"] if block["type"] == "tool_use")
    back = {"type": "tool_result", "tool_use_id": call["id"], "content": result}
    turns = [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [back]}]
    return {**body, "messages": [*body["messages"], *turns]}


# --- the answer -------------------------------------------------------------------------------------------------------


def whole(said: Said) -> Json:
    return {**_message(_blocks(said)), **_end(said), "usage": _usage(said)}


def _blocks(said: Said) -> list[Json]:
    blocks: list[Json] = []
    if said.reasoning:
        blocks.append({"type": "thinking", "thinking": said.reasoning, "signature": said.signature})
    if text := said.text + said.refusal:
        blocks.append({"type": "text", "text": text})
    blocks += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in said.calls]
    return blocks


def frames(said: Said) -> list[bytes]:
    begun = {**_message([]), "stop_reason": None, "stop_sequence": None, "usage": {**_usage(said), "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(_blocks(said)):
        start, deltas = _pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    told = {name: count for name, count in _usage(said).items() if name.startswith("output_tokens")}
    events += [{"type": "message_delta", "delta": _end(said), "usage": told}, {"type": "message_stop"}]
    return [sse_event(event, event["type"]) for event in events]


def _pieces(block: Json) -> tuple[Json, list[Json]]:
    """Return how a block begins, and its deltas."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": piece} for piece in halves(block["text"])
            ]
        case "thinking":
            thought = [{"type": "thinking_delta", "thinking": piece} for piece in halves(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*thought, signed]
        case _:
            pieces = halves(json.dumps(block["input"]))
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _message(content: list[Json]) -> Json:
    return {"id": "msg_7", "type": "message", "role": "assistant", "model": "up-1", "content": content}


def _end(said: Said) -> Json:
    if said.stopped_by:
        return {"stop_reason": "stop_sequence", "stop_sequence": said.stopped_by}
    return {"stop_reason": WORDS[said.finish], "stop_sequence": None}


def _usage(said: Said) -> Json:
    usage: Json = {
        "input_tokens": said.input_tokens - said.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": said.cached_tokens,
        "output_tokens": said.output_tokens,
    }
    if said.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": said.reasoning_tokens}
    return usage


def gather(stream: bytes) -> Json:
    answer: Json = {}
    pieces: dict[int, str] = {}
    for event in payloads(stream):
        match event:
            case {"type": "message_start", "message": message}:
                answer = message
            case {"type": "content_block_start", "index": index, "content_block": block}:
                assert index == len(answer["content"])
                answer["content"].append(block)
            case {"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta"} as delta}:
                pieces[index] = pieces.get(index, "") + delta["partial_json"]
                answer["content"][index]["input"] = json.loads(pieces[index]) if _is_whole(pieces[index]) else {}
            case {"type": "content_block_delta", "index": index, "delta": {"type": kind} as delta}:
                name = kind.removesuffix("_delta")
                answer["content"][index][name] += delta[name]
            case {"type": "message_delta", "delta": delta}:
                answer |= delta
    return answer


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def finish_of(answer: Json) -> str:
    reason: str = answer["stop_reason"]
    return reason


# --- what goes wrong --------------------------------------------------------------------------------------------------


def refuse(failure: Failure) -> tuple[int, Json]:
    status, kind = {
        "bad request": (400, "invalid_request_error"),
        "bad key": (401, "authentication_error"),
        "rate limit": (429, "rate_limit_error"),
        "overload": (529, "overloaded_error"),
        "failure": (500, "api_error"),
    }[failure]
    return status, {"type": "error", "error": {"type": kind, "message": f"Told: {failure}."}, "request_id": "req_7"}


def fail() -> tuple[Json, bytes]:
    _, body = refuse("failure")
    return body, sse_event(body, "error")


def trouble(status: int, body: Json) -> tuple[Trouble, str, str]:
    assert body.keys() == {"type", "error", "request_id"}
    assert body["type"] == "error"
    error: dict[str, Any] = body["error"]
    place, colon, _ = error["message"].partition(": ")
    return Trouble(status=status, words=(error["type"],)), error["message"], place if colon else ""


def is_broken(stream: bytes) -> bool:
    events = payloads(stream)
    return "message_stop" not in [event["type"] for event in events] and events[-1]["type"] == "error"
