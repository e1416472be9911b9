"""Items that only this protocol understands: tools that the vendor runs, compaction, whatever comes next year.

They are carried whole. What one says in plain text is told beside it, for a protocol that cannot carry it. In a stream
an item is told twice, begun and done, with events of its own in between: they are its deltas, and the last one holds it
whole.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Opaque
from ...json_pieces import fields_of, items_of, text_of
from . import wire

COMPACTION: Final = "compaction"
TRIGGER: Final = "compaction_trigger"
"""The item that asks for the other one."""
REFERENCE: Final = "item_reference"
"""The item that only names one."""
REQUIRED: Final = frozenset({COMPACTION, TRIGGER, REFERENCE, "program", "program_output"})
"""Items without which the talk is another one."""
DONE: Final = "response.output_item.done"

_FROM_CALLER: Final = ("_output", "_response")
"""Ends of the types of items that a caller sends."""


def decode_item(raw: Raw, kind: str, at: str) -> Opaque:
    """Return an item that has no canonical form."""
    say = _SAYERS.get(kind)
    said = None if say is None else say(fields_of(raw))
    return Opaque(protocol=wire.NAME, type=kind, raw=raw, fallback=said, is_required=kind in REQUIRED, at=at)


def is_of_caller(kind: str) -> bool:
    """Tell whether items of this type come from the caller, not from the model."""
    return kind.endswith(_FROM_CALLER) or kind == TRIGGER


def join_opaque(block: Opaque, deltas: Sequence[Raw]) -> Opaque:
    """Return an item as it was when it was done, for ``fold``."""
    for raw in reversed(deltas):
        fields = fields_of(raw)
        if text_of(fields.get("type")) == DONE and "item" in fields:
            return msgspec.structs.replace(block, raw=fields["item"])
    return block


# --- what items say ---------------------------------------------------------------------------------------------------


def _joined(raw: Raw | None) -> str:
    return ", ".join(text for item in items_of(raw) if (text := text_of(item)))


def _web_search(fields: Mapping[str, Raw]) -> str:
    action = fields_of(fields.get("action"))
    asked = _joined(action.get("queries")) or text_of(action.get("query")) or text_of(action.get("url")) or ""
    return f"Searched the web: {asked}"


def _file_search(fields: Mapping[str, Raw]) -> str:
    found = [fields_of(item) for item in items_of(fields.get("results"))]
    texts = [f"{text_of(one.get('filename')) or ''}: {text_of(one.get('text')) or ''}" for one in found]
    return "\n".join([f"Searched files: {_joined(fields.get('queries'))}", *texts])


def _code(fields: Mapping[str, Raw]) -> str:
    logs = [text_of(fields_of(item).get("logs")) or "" for item in items_of(fields.get("outputs"))]
    return "\n".join([f"Ran code:\n{text_of(fields.get('code')) or ''}", *logs])


def _mcp_call(fields: Mapping[str, Raw]) -> str:
    result = text_of(fields.get("output")) or text_of(fields.get("error")) or ""
    return f"Called {text_of(fields.get('name')) or ''}({text_of(fields.get('arguments')) or ''}): {result}"


def _mcp_request(fields: Mapping[str, Raw]) -> str:
    return f"Asked to call {text_of(fields.get('name')) or ''}({text_of(fields.get('arguments')) or ''})."


def _mcp_answer(fields: Mapping[str, Raw]) -> str:
    return "Approved." if bytes(fields.get("approve", b"")) == b"true" else "Not approved."


_SAYERS: Final[Mapping[str, Callable[[Mapping[str, Raw]], str]]] = {
    "additional_tools": lambda _fields: "",
    "code_interpreter_call": _code,
    "file_search_call": _file_search,
    "image_generation_call": lambda _fields: "Made an image.",
    "mcp_approval_request": _mcp_request,
    "mcp_approval_response": _mcp_answer,
    "mcp_call": _mcp_call,
    "mcp_list_tools": lambda _fields: "",
    "web_search_call": _web_search,
}
