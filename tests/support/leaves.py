"""Finds the leaves of a JSON body again on the other side of a translation.

A leaf is a text, a number or a truth value; null and an empty text say no more than absence. Each is accounted for
when one of these holds:

1. It is a text that means nothing to a gateway: a mark that only it bears is on the other side (`Marker.marked`).
2. Something on the other side, or a Notice, is another when the leaf is left out or is another (`variants`).
3. It is the place, or below the place, that a Notice names, index by index (`is_under`).

The first is the strongest, and is asked of every text that may be changed without changing what is asked. `FIXED` names
the fields whose texts may not: words of the protocol.
"""

import copy
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Key: TypeAlias = str | int
Keys: TypeAlias = tuple[Key, ...]
JSON: TypeAlias = Any
"""Whatever a JSON text holds."""

FIXED: Final = frozenset(
    {
        "$ref",
        "created_at",
        "detail",
        "done_reason",
        "effort",
        "enum",
        "finishReason",
        "finish_reason",
        "format",
        "media_type",
        "mimeType",
        "mime_type",
        "mode",
        "model",
        "object",
        "propertyOrdering",
        "property_ordering",
        "reason",
        "reasoning_effort",
        "required",
        "responseMimeType",
        "response_mime_type",
        "role",
        "status",
        "stop_reason",
        "thinkingLevel",
        "thinking_level",
        "type",
    }
)
"""Fields whose texts are words of a protocol, or refer to other words."""
SHARED: Final = frozenset({"id", "name", "tool_call_id", "tool_use_id"})
"""Fields by which one value refers to another: equal texts get equal marks."""
ENDS: Final = {
    "done_reason": ("length", "stop"),
    "finishReason": ("MAX_TOKENS", "STOP"),
    "finish_reason": ("length", "stop"),
    "reason": ("content_filter", "max_output_tokens"),
    "status": ("incomplete", "completed"),
    "stop_reason": ("max_tokens", "end_turn"),
}
"""Other words for an end: one that nobody knows may mean what the answer shows anyway."""
_SIGNATURES: Final = re.compile("thoughtSignature|encrypted_content")
_STEP: Final = re.compile(r"[.\[]")
_SNAKE: Final = re.compile(r"(?<=\w)_([a-z])")
DATA: Final = "base64,"
"""What the data of a ``data:`` URL begin behind."""


@dataclass(frozen=True)
class Leaf:
    """One leaf of a body."""

    keys: Keys
    """Keys and indexes that lead to it."""
    value: str | int | float | bool

    @property
    def path(self) -> str:
        """Its place as Notices write it: ``messages[2].content[0].text``."""
        return path_of(self.keys)

    @property
    def pattern(self) -> str:
        """Its place without the indexes."""
        return pattern_of(self.keys)

    @property
    def field(self) -> str:
        """The name of the field that it is the value, or one of the values, of."""
        return next((key for key in reversed(self.keys) if isinstance(key, str)), "")


def path_of(keys: Keys) -> str:
    """Return a place as text."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def pattern_of(keys: Keys) -> str:
    """Return a place as text, with a star for every index."""
    return path_of(tuple("*" if isinstance(key, int) else key for key in keys))


def leaves(body: JSON, keys: Keys = ()) -> Iterator[Leaf]:
    """Yield all leaves, in order."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield from leaves(value, (*keys, key))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from leaves(value, (*keys, index))
    elif body is not None and body != "":
        yield Leaf(keys, body)


def places_in(body: JSON, keys: Keys = ()) -> Iterator[Keys]:
    """Yield the keys of everything that stands in a body, leaf or not."""
    items = enumerate(body) if isinstance(body, list) else body.items() if isinstance(body, dict) else ()
    for key, value in items:
        yield (*keys, key)
        yield from places_in(value, (*keys, key))


def in_common_words(path: str) -> str:
    """Return a path without what Notices spell in another way than vendors.

    Of Gemini's they name fields in the one casing that is the vendor's own; proofs of thinking have one name.
    """
    path = _SIGNATURES.sub("signature", path)
    return _SNAKE.sub(lambda match: match[1].upper(), path)


def is_under(path: str, place: str) -> bool:
    """Tell whether a path is a place or lies below it."""
    return path == place or path.startswith((f"{place}.", f"{place}["))


def lies_under(path: str, covers: Collection[str]) -> bool:
    """Tell whether a path is under one of these places, which are in common words."""
    common = in_common_words(path)
    return any(common[: match.start()] in covers for match in _STEP.finditer(common)) or common in covers


@dataclass
class Marked:
    """A body whose free texts bear marks."""

    body: JSON
    marks: dict[str, list[Leaf]] = field(default_factory=dict)
    """Mark -> the leaves that bear it."""


class Marker:
    """Puts marks into texts.

    Args:
        kept: Leaves that keep their texts, besides those of `FIXED` fields.
    """

    def __init__(self, kept: frozenset[Keys] = frozenset()) -> None:
        self._kept = kept
        self._shared: dict[str, str] = {}
        self._count = 0

    def marked(self, body: JSON) -> Marked:
        """Return a copy of a body with a mark in every text that may have one."""
        found = Marked(copy.deepcopy(body))
        for leaf in leaves(body):
            if isinstance(leaf.value, str) and leaf.field not in FIXED and leaf.keys not in self._kept:
                self._mark(found, leaf, leaf.value)
        return found

    def _mark(self, found: Marked, leaf: Leaf, text: str) -> None:
        inner = _object_in(text)
        if inner is not None:  # arguments of a call: the text is what it says
            for part in leaves(inner):
                if isinstance(part.value, str):
                    put(inner, part.keys, self._with_mark(found, leaf, part.value))
            put(found.body, leaf.keys, json.dumps(inner))
        else:
            put(found.body, leaf.keys, self._with_mark(found, leaf, text))

    def _with_mark(self, found: Marked, leaf: Leaf, text: str) -> str:
        mark = self._shared.get(text) if leaf.field in SHARED else None
        if mark is None:
            mark = f"zq{self._count:08d}zq"  # twelve characters: base64 stays base64
            self._count += 1
        if leaf.field in SHARED:
            self._shared[text] = mark
        found.marks.setdefault(mark, []).append(leaf)
        head, data, rest = text.partition(DATA)
        if text.startswith("data:") and data:
            return head + data + mark + rest
        return mark + text if leaf.field == "data" else text + mark


def _object_in(text: str) -> dict[str, JSON] | None:
    """Return the object that a text is the JSON of; None: it is of none, or of an empty one."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value else None


def variants(body: JSON, leaf: Leaf) -> Iterator[JSON]:
    """Yield bodies without a leaf, and with another one in its place: they share all else with the body."""
    without, holder = _copied_to(body, leaf.keys)
    del holder[leaf.keys[-1]]
    yield without
    other, holder = _copied_to(body, leaf.keys)
    holder[leaf.keys[-1]] = next((end for end in ENDS.get(leaf.field, ()) if end != leaf.value), _another(leaf.value))
    yield other


def _copied_to(body: JSON, keys: Keys) -> tuple[JSON, JSON]:
    """Return a copy of a body, and in it what holds the leaf there; only what leads to it is copied."""
    copied = holder = copy.copy(body)
    for key in keys[:-1]:
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    return copied, holder


def without_runs(events: list[JSON]) -> dict[int, int]:
    """Return the events of a stream without those that are like the one before and the one behind them.

    Returns:
        Number of each that is left -> its number among them.
    """
    forms = [_form(event) for event in events]
    left = [
        number
        for number, form in enumerate(forms)
        if number in (0, len(forms) - 1) or not (forms[number - 1] == form == forms[number + 1])
    ]
    return {number: place for place, number in enumerate(left)}


def _form(value: JSON, name: str = "") -> JSON:
    """Return JSON without its numbers, and without all texts but words of a protocol."""
    if isinstance(value, dict):
        return {key: _form(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_form(inner, name) for inner in value]
    if isinstance(value, str):
        return value if name in FIXED else bool(value)
    return value if isinstance(value, bool) or value is None else 0


def _another(value: str | int | float | bool) -> str | int | float | bool:
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else value + 1


def is_said_beside(body: JSON, leaf: Leaf, names: Collection[str]) -> bool:
    """Tell whether one of these fields stands beside a leaf, or beside something that it lies in.

    A name may lead into a field: ``message.refusal``.
    """
    for key in leaf.keys:
        if isinstance(body, dict) and any(name != key and _field(body, name) is not None for name in names):
            return True
        body = body[key]
    return False


def _field(body: JSON, name: str) -> JSON:
    for key in name.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _holder(body: JSON, keys: Keys) -> JSON:
    for key in keys[:-1]:
        body = body[key]
    return body


def put(body: JSON, keys: Keys, value: JSON) -> None:
    """Set the value at a place."""
    _holder(body, keys)[keys[-1]] = value


def without(body: JSON, path: str) -> JSON:
    """Return a copy of a body without what is at a path and below it; the same one if there is nothing."""
    copied = copy.deepcopy(body)
    return copied if _remove(copied, path, ()) else body


def _remove(value: JSON, path: str, keys: Keys) -> bool:
    items: Mapping[Key, JSON] = dict(enumerate(value)) if isinstance(value, list) else value
    for key in list(items) if isinstance(value, dict | list) else ():
        place = path_of((*keys, key))
        if place == path:
            del value[key]
            return True
        if is_under(path, place) and _remove(items[key], path, (*keys, key)):
            return True
    return False
