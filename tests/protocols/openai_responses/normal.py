"""What is written down as lost when a request of this protocol is encoded again for it: ``request.py`` says why."""

from typing import Any

BETWEEN_PARTS = "\n\n"
HOISTED = ("additional_tools", "configuration_update")


def normal_request(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without what a round trip leaves out or says otherwise."""
    told = {name: _clean(value) for name, value in body.items() if name not in ("client_metadata", "stream_options")}
    told = {name: value for name, value in told.items() if value not in (None, [], {}, False, "")}
    update = [item for item in _items(told.get("input")) if item["type"] == "configuration_update"]
    for item in update:
        told |= {name: item[name] for name in ("reasoning", "text") if name in item}
    tools = {tool.get("name", str(tool)): tool for tool in told.get("tools", [])}
    for item in _items(told.get("input")):
        if item["type"] == "additional_tools":
            tools |= {tool.get("name", str(tool)): tool for tool in item["tools"]}
    if tools:
        told["tools"] = list(tools.values())
    if "input" in told:
        told["input"] = [item for item in _items(told["input"]) if item["type"] not in HOISTED]
    if "instructions" not in told and (first := _system(told.get("input"))):
        told["instructions"] = first
        told["input"] = told["input"][1:]
    if "user" in told and "safety_identifier" not in told:
        told["safety_identifier"] = told.pop("user")
    if set(told.get("reasoning") or ()) == set():
        told.pop("reasoning", None)
    return told


def _clean(value: Any) -> Any:
    """Return JSON without nulls."""
    if isinstance(value, dict):
        return {name: _clean(inner) for name, inner in value.items() if inner is not None}
    return [_clean(inner) for inner in value] if isinstance(value, list) else value


def _system(items: Any) -> str | None:
    first = items[0] if items else {}
    plain = first.keys() == {"type", "role", "content"} and first["role"] == "system"
    return first["content"] if plain and isinstance(first["content"], str) else None


def _items(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_item({"type": "message", **item} if "role" in item else dict(item)) for item in given or ()]


def _item(item: dict[str, Any]) -> dict[str, Any]:
    item.pop("internal_chat_message_metadata_passthrough", None)
    match item["type"]:
        case "message":
            item["content"] = _content(item["content"], item["role"] == "assistant", is_named="id" in item)
        case "function_call":
            item["arguments"] = item["arguments"] or "{}"
        case "function_call_output" | "custom_tool_call_output":
            item["output"] = _content(item["output"], is_said=False)
        case "reasoning":
            for name in ("summary", "content"):
                if parts := item.get(name):
                    text = BETWEEN_PARTS.join(part["text"] for part in parts)
                    item[name] = [{**parts[0], "text": text}] if text else []
            item.setdefault("summary", [])
            if not item.get("content"):
                item.pop("content", None)
    return item


def _content(content: Any, is_said: bool, *, is_named: bool = False) -> Any:
    parts: list[Any] = [{"type": "", "text": content}] if isinstance(content, str) else [dict(part) for part in content]
    for part in parts:
        if part["type"] in ("", "text", "input_text", "output_text"):
            part["type"] = "output_text" if is_said else "input_text"
            if is_said:
                part["annotations"] = part.get("annotations") or []
            if not part.get("logprobs"):
                part.pop("logprobs", None)
    only = parts[0] if len(parts) == 1 else {}
    is_plain = only.keys() <= {"type", "text", "annotations"} and "text" in only and not only.get("annotations")
    return only["text"] if is_plain and not is_named else parts or ""
