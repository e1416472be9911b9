"""Calls of tools in an answer, whoever sends it, and what they are called by.

A caller answers a call by its id, so each has one, and no two the same: look-alikes leave it out, write ``"null"``, or
give several calls the same one (Google's OpenAI face).
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from ...canonical import Opaque, Reasoning, ToolCall
from ...json_pieces import fields_of, items_of, rest_of, text_of
from ..made_ids import call_id
from . import wire
from .answer_parts import arguments_of
from .call_marks import decode_mark

CALL: Final = ("id", "type", "index", "function", "custom")


def id_of(fields: Mapping[str, Raw]) -> str:
    """Return the id of a call; empty if it has none, in whatever words (a Python's ``None`` became ``"null"``)."""
    id_ = text_of(fields.get("id")) or ""
    return "" if id_ == "null" else id_


def decode_calls(message: Mapping[str, Raw], at: str, salt: str) -> list[Reasoning | ToolCall | Opaque]:
    """Return the calls of a message, each behind its signature if it has one, and those last that nobody could run.

    Args:
        message: Its fields.
        at: Its path.
        salt: That of `call_id`.
    """
    told: list[Reasoning | ToolCall] = []
    calls: list[ToolCall] = []
    unfit: list[Opaque] = []
    for position, item in enumerate(items_of(message.get("tool_calls"))):
        fields = fields_of(item)
        custom, function = fields_of(fields.get("custom")), fields_of(fields.get("function"))
        name, is_custom = text_of(function.get("name")), False
        if not name:
            name, is_custom = text_of(custom.get("name")), True
        if not name:  # nobody could run it
            unfit.append(Opaque(protocol=wire.NAME, type="tool_call", raw=item, at=f"{at}.tool_calls[{position}]"))
            continue
        place = f"{at}.tool_calls[{position}]"
        mark, extras = decode_mark(rest_of(fields, CALL), place)
        arguments, id_ = custom.get("input") if is_custom else function.get("arguments"), id_of(fields)
        calls.append(
            ToolCall(
                id=id_ if id_ and all(call.id != id_ for call in calls) else call_id(salt, len(calls)),
                name=name,
                arguments=arguments_of(arguments),
                kind="custom" if is_custom else "function",
                extras=extras,
                at=place,
            )
        )
        told += (*mark, calls[-1])
    legacy = fields_of(message.get("function_call"))
    if not calls and (name := text_of(legacy.get("name"))):
        arguments_text = arguments_of(legacy.get("arguments"))
        told.append(ToolCall(id=call_id(salt, 0), name=name, arguments=arguments_text, at=f"{at}.function_call"))
    return [*told, *unfit]
