"""Puts a call together whose arguments come in pieces: Vertex' ``partialArgs``, each a value and its path.

A path is a subset of JSONPath (``$.a.b[0]``). Texts come in pieces of their own; all other values come whole. What does
not fit what came before replaces it: a call is judged by who runs it.
"""

import re
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import ToolCall
from ...errors import Malformed
from ...json_pieces import items_of, text_of
from .wire import Shape

MAX_INDEX: Final = 10_000
"""Longest list that is filled; a path beyond it is no sound one."""
MAX_STEPS: Final = 64

_CALL: Final = Shape("id", "name", "args", "partialArgs", "willContinue")
_PIECE: Final = Shape("jsonPath", "stringValue", "numberValue", "boolValue", "nullValue", "willContinue")
_STEP: Final = re.compile(
    r"\.(?P<name>[^.\[\]]+)|\[(?:'(?P<quoted>[^']*)'|\"(?P<double>[^\"]*)\"|(?P<index>\d{1,6}))\]"
)


class PartialCall:
    """A call that is being put together.

    Args:
        raw: The first ``functionCall``: has the name.

    Raises:
        Malformed: It has none.
    """

    def __init__(self, raw: Raw) -> None:
        fields = _CALL.look(raw)
        name = text_of(fields.get("name"))
        if not name:
            raise Malformed("The upstream sent a piece of a call without its beginning.", code="bad_event")
        self.name = name
        self.id = text_of(fields.get("id"))
        self.is_complete = False
        self._arguments: object = {}
        self._open: str | None = None
        """Path of the text that goes on."""
        self._read(fields)

    def add(self, raw: Raw) -> None:
        """Add the next ``functionCall``."""
        self._read(_CALL.look(raw))

    def call(self, call_id: str, at: str) -> ToolCall:
        """Return the whole call."""
        arguments = msgspec.json.encode(self._arguments).decode()
        return ToolCall(id=self.id or call_id, name=self.name, arguments=arguments, at=at)

    def _read(self, fields: dict[str, Raw]) -> None:
        if "args" in fields:
            self._arguments = msgspec.json.decode(fields["args"])
        for item in items_of(fields.get("partialArgs")):
            self._add_piece(_PIECE.look(item))
        self.is_complete = bytes(fields.get("willContinue", b"false")) != b"true"

    def _add_piece(self, piece: dict[str, Raw]) -> None:
        path = text_of(piece.get("jsonPath")) or self._open or "$"
        value: object = None
        for name in ("stringValue", "numberValue", "boolValue"):
            if name in piece:
                value = msgspec.json.decode(piece[name])
        steps: list[str | int] = [
            int(m["index"]) if m["index"] is not None else m["name"] or m["quoted"] or m["double"] or ""
            for m in _STEP.finditer(path)
        ]
        if len(steps) > MAX_STEPS or any(isinstance(step, int) and step > MAX_INDEX for step in steps):
            raise Malformed("The upstream sent arguments that cannot be put together.", code="bad_event")
        self._arguments = _put(self._arguments, steps, value, is_more=path == self._open)
        goes_on = bytes(piece.get("willContinue", b"false")) == b"true"
        self._open = path if goes_on else None


def _put(place: object, steps: list[str | int], value: object, *, is_more: bool) -> object:
    """Return a value with another one put in at a path; a text that goes on is appended."""
    if not steps:
        return place + value if is_more and isinstance(place, str) and isinstance(value, str) else value
    step, *rest = steps
    if isinstance(step, int):
        items = list(place) if isinstance(place, list) else []
        items += [None] * (step + 1 - len(items))
        items[step] = _put(items[step], rest, value, is_more=is_more)
        return items
    fields = dict(place) if isinstance(place, dict) else {}
    fields[step] = _put(fields.get(step), rest, value, is_more=is_more)
    return fields


def is_piece(call: Raw) -> bool:
    """Tell whether a ``functionCall`` is part of one that comes in pieces."""
    fields = _CALL.look(call)
    return "partialArgs" in fields or "willContinue" in fields
