"""What blocks that only Anthropic understands say in plain text, for models that cannot be given them.

One function for each kind of block; a block that is not listed, or that holds nothing but ciphertext, says nothing
(None), and is reported as lost. Fields are read tolerantly: a text that is poorer than it could be is no error.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw


def plain_text(kind: str, fields: Mapping[str, Raw]) -> str | None:
    """Return what a block says in plain text; None: nothing that could stand in for it.

    Args:
        kind: Its ``type``.
        fields: Its fields, as they came.
    """
    writer = _WRITERS.get(kind)
    if writer is None:
        return None
    try:
        text = writer(msgspec.json.decode(msgspec.json.encode(fields)))
    except (msgspec.MsgspecError, RecursionError):
        return None
    return text or None


_TEXT_FIELDS: Final = ("title", "url", "source", "text", "stdout", "stderr", "error_code", "content")


def _text_of(value: object) -> str:
    """Return all text of a content: a string, an object of any kind, or a list of them."""
    match value:
        case str():
            return value
        case list():
            return "\n".join(filter(None, map(_text_of, value)))
        case {"type": "text", "data": str(data)}:
            return data
        case dict():
            return "\n".join(filter(None, (_text_of(value.get(name)) for name in _TEXT_FIELDS)))
        case _:
            return ""


def _use(block: dict[str, object]) -> str:
    server = f"{block['server_name']}." if block.get("server_name") else ""
    return f"[{server}{block.get('name')} {msgspec.json.encode(block.get('input')).decode()}]"


def _result(block: dict[str, object]) -> str:
    return _text_of(block.get("content"))


def _code_result(block: dict[str, object]) -> str:
    content = block.get("content")
    if not isinstance(content, dict):
        return ""
    text = _text_of(content)
    code = content.get("return_code")
    return f"{text}\n(exit code {code})".lstrip() if text and code else text


def _tool_search_result(block: dict[str, object]) -> str:
    content = block.get("content")
    found = content.get("tool_references") if isinstance(content, dict) else None
    if not isinstance(found, list):
        return _text_of(content)
    return "\n".join(_tool_reference(reference) for reference in found if isinstance(reference, dict))


def _tool_reference(block: dict[str, object]) -> str:
    return f"Tool found: {block.get('tool_name')}"


def _browser_state(block: dict[str, object]) -> str:
    return msgspec.json.encode(block).decode()


def _compaction(block: dict[str, object]) -> str:
    content = block.get("content")
    return content if isinstance(content, str) else ""


_WRITERS: Final[Mapping[str, Callable[[dict[str, object]], str]]] = {
    "search_result": _text_of,
    "server_tool_use": _use,
    "mcp_tool_use": _use,
    "web_search_tool_result": _result,
    "web_fetch_tool_result": _result,
    "mcp_tool_result": _result,
    "advisor_tool_result": _result,
    "code_execution_tool_result": _code_result,
    "bash_code_execution_tool_result": _code_result,
    "text_editor_code_execution_tool_result": _code_result,
    "tool_search_tool_result": _tool_search_result,
    "tool_reference": _tool_reference,
    "browser_state": _browser_state,
    "compaction": _compaction,
}
