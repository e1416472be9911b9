"""Lends a form that is no object to vendors that hold a model to objects alone: a list, one of several, a bare word.

OpenAI and Anthropic want ``type: object`` at the root of a schema; SDKs of Gemini and Ollama ask for ``list[Recipe]``
as often. Such a form is asked for as the one field of an object, and taken out of it as it comes. So is a word that
Gemini's ``text/x.enum`` asks for, which its callers get without quotes. What is no such object is passed on as it is.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ..canonical import Event, Notices, Request
from .texts import FilteredTexts

FIELD: Final = "answer"
_ANY_ROOT: Final = frozenset({"gemini_generate", "ollama_chat"})
"""Protocols whose vendors take any schema."""
_COMBINATORS: Final = ("anyOf", "oneOf", "allOf")
_DEFINITIONS: Final = ("$defs", "definitions")
_REFERENCE: Final = re.compile(rb'"\$ref"\s*:\s*"([^"]*)"')
_MOVABLE: Final = tuple(f"#/{name}/".encode() for name in _DEFINITIONS)
_OPENING: Final = f'{{"{FIELD}":'
_OPENED: Final = re.compile(rf'\s*\{{\s*"{FIELD}"\s*:\s*')
_LONGEST_OPENING: Final = 1_000
"""Characters: nobody writes that much white space into it."""
_LONGEST_WORD: Final = 64 * 1024
"""Characters of a bare word; what is longer is none."""


class _Word(msgspec.Struct):
    answer: str


_WORD: Final = msgspec.json.Decoder(_Word)


class WrappedRoot:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._is_bare = False
        self._texts = FilteredTexts(lambda: _Unwrapper(is_bare=self._is_bare))

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether the form of the answer is one that the upstream's vendor refuses at the root of a schema."""
        wanted = request.output_format
        if wanted is None or wanted.kind != "json_schema" or wanted.schema is None or request.source == protocol:
            return False
        if not wanted.is_bare and protocol in _ANY_ROOT:
            return False
        return wanted.is_bare or _wrapped(wanted.schema) is not None

    def request(self, request: Request, notices: Notices) -> Request:
        """Ask for the form as a field of an object."""
        wanted = request.output_format
        assert wanted is not None
        self._is_bare = wanted.is_bare
        notices.changed(wanted.at, "asked for as a field of an object, and taken out of it: others are refused there")
        return wrapped(request)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take the object away from around the answer."""
        return self._texts.events(events)


def wrapped(request: Request) -> Request:
    """Return a request for which `WrappedRoot.is_needed`, as its upstream is asked."""
    wanted = request.output_format
    assert wanted is not None
    assert wanted.schema is not None
    schema = _wrapped(wanted.schema) or wanted.schema
    return replace(request, output_format=replace(wanted, schema=schema, is_bare=False))


def _wrapped(schema: Raw) -> Raw | None:
    """Return a schema as that of an object's field; None: its root is one of an object, or cannot be moved."""
    try:
        root = msgspec.json.decode(schema)
    except msgspec.MsgspecError:  # a number that nobody can read: whoever writes it says so
        return None
    if not isinstance(root, dict) or not _is_foreign(root):
        return None
    if not all(at.startswith(_MOVABLE) for at in _REFERENCE.findall(schema)):
        return None
    moved = {name: root.pop(name) for name in _DEFINITIONS if name in root}
    fields = {"type": "object", "properties": {FIELD: root}, "required": [FIELD], "additionalProperties": False}
    return Raw(msgspec.json.encode({**fields, **moved}))


def _is_foreign(root: dict[str, Any]) -> bool:
    if any(name in root for name in _COMBINATORS):
        return True
    return root["type"] != "object" if "type" in root else "enum" in root or "const" in root


class _Unwrapper:
    """Passes on what stands in the one field of an object."""

    def __init__(self, *, is_bare: bool) -> None:
        self._is_bare = is_bare
        self._held = ""
        self._told: list[str] = []
        self._is_decided = False
        self._is_wrapped = False

    def feed(self, text: str) -> str:
        self._held += text
        if not self._is_decided and not self._decides():
            return ""
        if not self._is_wrapped:
            told, self._held = self._held, ""
            return told
        if self._is_bare:
            self._is_wrapped = len(self._held) <= _LONGEST_WORD
            return ""
        # Whatever could be the object's end, with the white space around it, waits for what follows.
        body = self._held.rstrip()
        cut = len(body[:-1].rstrip() if body.endswith("}") else body)
        told, self._held = self._held[:cut], self._held[cut:]
        self._told.append(told)
        return told

    def close(self) -> str:
        """Return what is left of the answer: of one that was cut also a brace that was its own."""
        if not self._is_wrapped:
            return self._held
        try:
            if self._is_bare:
                return _WORD.decode(self._held).answer
            msgspec.json.decode("".join(self._told))
        except msgspec.MsgspecError:  # it was cut, or is something else: the caller's own parser tells
            return self._held
        return ""

    def _decides(self) -> bool:
        """Decide whether the text begins as that object does; False: more is needed to tell."""
        if len(self._held) <= _LONGEST_OPENING and _OPENING.startswith("".join(self._held.split())):
            return False
        opened = _OPENED.match(self._held)
        self._is_decided, self._is_wrapped = True, opened is not None
        if opened is not None and not self._is_bare:
            self._held = self._held[opened.end() :]
        return True
