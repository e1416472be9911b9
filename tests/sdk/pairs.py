"""Which call each result answers, in a request as an upstream of each protocol got it."""

import json
from collections.abc import Iterator
from typing import Any


def paired(protocol: str, body: Any) -> list[tuple[Any, str]]:
    """Return the arguments of each call with the text of its result, in the order of the results."""
    calls, results = _READERS[protocol](body)
    by_id = {call_id: arguments for call_id, arguments in calls if call_id is not None}
    in_order = iter([arguments for _, arguments in calls])
    return [(next(in_order) if call_id is None else by_id[call_id], text) for call_id, text in results]


_Found = tuple[list[tuple[str | None, Any]], list[tuple[str | None, str]]]


def _chat(body: Any) -> _Found:
    calls = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
    results = [message for message in body["messages"] if message["role"] == "tool"]
    return (
        [(call["id"], json.loads(call["function"]["arguments"])) for call in calls],
        [(result["tool_call_id"], _text(result["content"])) for result in results],
    )


def _claude(body: Any) -> _Found:
    blocks = [block for message in body["messages"] for block in _listed(message["content"])]
    return (
        [(block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        [(block["tool_use_id"], _text(block["content"])) for block in blocks if block["type"] == "tool_result"],
    )


def _responses(body: Any) -> _Found:
    items = [item for item in body["input"] if item.get("type") in ("function_call", "function_call_output")]
    return (
        [(item["call_id"], json.loads(item["arguments"])) for item in items if item["type"] == "function_call"],
        [(item["call_id"], _text(item["output"])) for item in items if item["type"] == "function_call_output"],
    )


def _gemini(body: Any) -> _Found:
    parts = [part for content in body["contents"] for part in content["parts"]]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    return (
        [(call.get("id"), call["args"]) for call in calls],
        [(result.get("id"), " ".join(map(str, result["response"].values()))) for result in results],
    )


def _ollama(body: Any) -> _Found:
    calls = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
    results = [message for message in body["messages"] if message["role"] == "tool"]
    return (
        [(call.get("id"), call["function"]["arguments"]) for call in calls],
        [(result.get("tool_call_id"), result["content"]) for result in results],
    )


_READERS = {"chat": _chat, "claude": _claude, "responses": _responses, "gemini": _gemini, "ollama": _ollama}


def _listed(content: Any) -> Iterator[Any]:
    yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: Any) -> str:
    """Return a text that is one, or its parts' together; tools may answer with JSON that holds it."""
    text = "".join(part.get("text", "") for part in _listed(content))
    try:
        told = json.loads(text)
    except ValueError:
        return text
    return " ".join(map(str, told.values())) if isinstance(told, dict) else text
