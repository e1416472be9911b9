"""Pieces of what an upstream sends, read tolerantly: what is of another type is not there.

Whole answers and lines of a stream hold the same pieces. Nothing here raises; JSON that cannot be read at all was
refused before.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Logprobs, ToolCall
from ...json_pieces import fields_of, items_of, rest_of, text_of
from ..made_ids import call_id

_ANY: Final = msgspec.json.Decoder()

TOP: Final = frozenset(
    {
        "model", "created_at", "message", "response", "thinking", "done", "done_reason", "error", "logprobs",
        "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration",
    }
)  # fmt: skip
"""Fields of an answer that are read; so are the next ones, of its parts."""
MESSAGE: Final = frozenset({"role", "content", "thinking", "tool_calls", "images"})
_CALL: Final = frozenset({"id", "type", "function"})
_FUNCTION: Final = frozenset({"index", "name", "arguments"})


def is_true(raw: Raw | None) -> bool:
    """Tell whether a field says yes."""
    return raw is not None and bytes(raw) == b"true"


def message_of(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return the message of an answer; that of a prompt has its text and thought beside everything else."""
    message = fields_of(fields.get("message"))
    if "message" not in fields:
        for name, own in (("response", "content"), ("thinking", "thinking")):
            if name in fields:
                message[own] = fields[name]
    return message


def logprobs_of(fields: Mapping[str, Raw]) -> Logprobs | None:
    """Return log probabilities; None: there are none."""
    content = items_of(fields.get("logprobs"))
    return Logprobs(content=tuple(content)) if content else None


def call_of(raw: Raw, salt: str, position: int) -> ToolCall | None:
    """Return a call; None: nobody could run it.

    Args:
        raw: As it stands in ``tool_calls``.
        salt: Tells this answer's calls from another's, for an id that was not sent.
        position: Of the call in its answer.
    """
    fields = fields_of(raw)
    function = fields_of(fields.get("function"))
    name = text_of(function.get("name"))
    if not name:
        return None
    extras = rest_of(fields, _CALL)
    extras |= {f"function.{field}": value for field, value in rest_of(function, _FUNCTION).items()}
    arguments = function.get("arguments")
    return ToolCall(
        id=text_of(fields.get("id")) or call_id(salt, position),
        name=name,
        arguments="" if arguments is None else text_of(arguments) or bytes(arguments).decode(),
        extras=extras,
        at=f"message.tool_calls[{position}]",
    )


def arguments_object(text: str) -> tuple[Raw, bool]:
    """Return arguments as the object that they have to be here, and whether they were something else."""
    if not text:
        return Raw(b"{}"), False
    try:
        value = _ANY.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return Raw(msgspec.json.encode({"_raw": text})), True
    if isinstance(value, dict):
        return Raw(text.strip().encode() if "\n" not in text else msgspec.json.encode(value)), False
    return Raw(msgspec.json.encode({"value": value})), True
