"""Streams of what was answered whole, as each vendor cuts it: one delta for each thing that is said."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.conformance.asking import (
    chat_stream,
    claude_stream,
    gemini_stream,
    ollama_stream,
    response_stream,
)
from tests.support.scripted_client import Answering, Script

Json = dict[str, Any]


def as_stream(to: str, script: Script) -> Answering:
    """Return the stream that says what a whole answer of an upstream says."""
    assert isinstance(script, Answering)
    (body,) = script.pieces
    assert isinstance(body, bytes)
    return _STREAMS[to](json.loads(body))


def _without(fields: Mapping[str, Any], *names: str) -> Json:
    return {name: value for name, value in fields.items() if name not in names}


# --- OpenAI Chat ------------------------------------------------------------------------------------------------------


def _chat(whole: Json) -> Answering:
    head = {**_without(whole, "choices", "usage"), "object": "chat.completion.chunk"}
    chunks: list[Json] = []
    for choice in whole["choices"]:
        message = choice["message"]
        calls = [{**call, "index": number} for number, call in enumerate(message.get("tool_calls", ()))]
        delta = {**message, **({"tool_calls": calls} if calls else {})}
        said = _without(choice, "message", "finish_reason")
        chunks.append({**head, "choices": [{**said, "delta": delta, "finish_reason": None}]})
    ends = [
        {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]} for choice in whole["choices"]
    ]
    chunks += [{**head, "choices": [end]} for end in ends]
    return chat_stream(*chunks, {**head, "choices": [], "usage": whole["usage"]})


# --- OpenAI Responses -------------------------------------------------------------------------------------------------

_EMPTIED: Mapping[str, Json] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "reasoning": {"summary": []},
    "image_generation_call": {"result": None},
}
"""What an item says that has only begun."""
_PIECES = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


def _responses(whole: Json) -> Answering:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for number, item in enumerate(whole["output"]):
        opened = {**item, **_EMPTIED.get(item["type"], {}), "status": "in_progress"}
        events.append({"type": "response.output_item.added", "output_index": number, "item": opened})
        place = {"output_index": number, "item_id": item["id"]}
        events += ({**event, **place} for event in _inside(item))
        events.append({"type": "response.output_item.done", "output_index": number, "item": item})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return response_stream([{**event, "sequence_number": number} for number, event in enumerate(events)])


def _inside(item: Json) -> Iterator[Json]:
    """Yield the events of an item between its beginning and its end."""
    for index, part in enumerate(item.get("content", ())):
        for event in _of_a_part(part):
            yield {**event, "content_index": index}
    for index, part in enumerate(item.get("summary", ())):
        place = {"summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": part["text"]}
        yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **place, "part": part}
    if item["type"] in _PIECES:
        name, field = _PIECES[item["type"]]
        yield {"type": f"{name}.delta", "delta": item[field]}
        yield {"type": f"{name}.done", field: item[field]}


def _of_a_part(part: Json) -> Iterator[Json]:
    field = "refusal" if part["type"] == "refusal" else "text"
    name = f"response.{'refusal' if field == 'refusal' else 'output_text'}"
    probable = {"logprobs": part["logprobs"]} if part.get("logprobs") else {}
    emptied: Json = {"annotations": [], "logprobs": []} if field == "text" else {}
    yield {"type": "response.content_part.added", "part": {**part, field: "", **emptied}}
    yield {"type": f"{name}.delta", "delta": part[field], **probable}
    for index, annotation in enumerate(part.get("annotations", ())):
        yield {"type": f"{name}.annotation.added", "annotation_index": index, "annotation": annotation}
    yield {"type": f"{name}.done", field: part[field], **probable}
    yield {"type": "response.content_part.done", "part": part}


# --- Anthropic Messages -----------------------------------------------------------------------------------------------


def _claude(whole: Json) -> Answering:
    message = {**_without(whole, "container"), "content": [], "stop_reason": None, "stop_sequence": None}
    message["usage"] = {**whole["usage"], "output_tokens": 1}
    events: list[Json] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(whole["content"]):
        start, deltas = _pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    end = {name: whole[name] for name in ("stop_reason", "stop_sequence", "container") if name in whole}
    usage = _without(whole["usage"], "service_tier")
    return claude_stream([*events, {"type": "message_delta", "delta": end, "usage": usage}, {"type": "message_stop"}])


def _pieces(block: Json) -> tuple[Json, list[Json]]:
    """Return how a block begins, and its deltas."""
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
            return {"type": "text", "text": ""}, [*cited, {"type": "text_delta", "text": block["text"]}]
        case "thinking":
            signed = {"type": "signature_delta", "signature": block["signature"]}
            told = {"type": "thinking_delta", "thinking": block["thinking"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [told, signed]
        case "tool_use" | "server_tool_use":
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            return {**block, "input": {}}, [delta]
        case _:
            return block, []


# --- Gemini -----------------------------------------------------------------------------------------------------------


def _gemini(whole: Json) -> Answering:
    candidates = whole.get("candidates", [])
    parts = candidates[0]["content"]["parts"] if candidates else []
    if len(candidates) != 1 or len(parts) < 2:
        return gemini_stream(whole)
    first, *others = parts
    begun = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [first]}}]}
    ended = {**candidates[0], "content": {"role": "model", "parts": others}}
    return gemini_stream(begun, {**whole, "candidates": [ended]})


# --- Ollama -----------------------------------------------------------------------------------------------------------


def _ollama(whole: Json) -> Answering:
    said = {**_without(whole, "done_reason", "logprobs", "prompt_eval_count", "eval_count"), "done": False}
    probable = {"logprobs": whole["logprobs"]} if "logprobs" in whole else {}
    end = {**_without(whole, "logprobs", "x_new"), "message": {"role": "assistant", "content": ""}}
    return ollama_stream({**said, **probable}, end)


_STREAMS: Mapping[str, Callable[[Json], Answering]] = {
    "chat": _chat,
    "responses": _responses,
    "claude": _claude,
    "gemini": _gemini,
    "ollama": _ollama,
}
