"""The words of the protocol: names of fields, in both casings, and readers that are strict or tolerant.

The vendor's JSON is that of protocol buffers: ``camelCase`` and ``snake_case`` mean the same field, and the vendor's
own SDK mixes both in one request. Known names are read in either casing, level by level, so that nothing inside a
user's data (``args``, ``response``, a schema) is touched. Written is ``camelCase`` alone: SDKs read nothing else.

null is absence, everywhere. Of a field that is there in both casings the last one counts.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Extras, ProtocolName
from ...errors import MalformedRequest
from ...json_guard import decode_json, whole
from ...json_pieces import MAX_COUNT, NULL, JsonObject, fields_of, put_extras, text_of

NAME: Final[ProtocolName] = "gemini_generate"
VENDOR: Final = "google"
"""Issuer of signatures that a caller of this protocol sends as they are."""
VERSION: Final = "v1beta"
"""Of the vendor's paths: the one that knows every model."""

_HUMP: Final = re.compile(r"(?<!^)(?=[A-Z])")
_OBJECT: Final[msgspec.json.Decoder[dict[str, Raw]]] = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final[msgspec.json.Decoder[list[Raw]]] = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_NUMBER: Final = msgspec.json.Decoder(float)
_BOOLEAN: Final = msgspec.json.Decoder(bool)
_ANY: Final = msgspec.json.Decoder()


class Shape:
    """The known fields of an object.

    Args:
        names: In ``camelCase``.
    """

    __slots__ = ("_names",)

    def __init__(self, *names: str) -> None:
        self._names = {spelled: name for name in names for spelled in (name, _HUMP.sub("_", name).lower())}

    def read(self, raw: Raw | bytes, at: str = "") -> tuple[dict[str, Raw], Extras]:
        """Return the known fields by their ``camelCase`` names, and all others as they came.

        Raises:
            MalformedRequest: It is no object.
        """
        fields: dict[str, Raw] = decode_json(_OBJECT, raw, at)
        return self.split(fields)

    def look(self, raw: Raw | bytes | None) -> dict[str, Raw]:
        """Return the known fields of an answer's object; of anything else, none."""
        return self.split(fields_of(raw))[0]

    def split(self, fields: Mapping[str, Raw]) -> tuple[dict[str, Raw], Extras]:
        """Return the known fields by their ``camelCase`` names, and all others as they came."""
        known: dict[str, Raw] = {}
        others: Extras = {}
        for name, value in fields.items():
            if bytes(value) == NULL:
                continue
            spelled = self._names.get(name)
            if spelled is None:
                others[name] = value
            else:
                known[spelled] = value
        return known, others


# --- strict: of a caller ----------------------------------------------------------------------------------------------


def text(raw: Raw, at: str) -> str:
    """Return a string; raises MalformedRequest for anything else."""
    return decode_json(_TEXT, raw, at)


def boolean(raw: Raw, at: str) -> bool:
    """Return a boolean; raises MalformedRequest for anything else."""
    return decode_json(_BOOLEAN, raw, at)


def number(raw: Raw, at: str) -> float:
    """Return a number; raises MalformedRequest for anything else."""
    return decode_json(_NUMBER, raw, at)


def integer(raw: Raw, at: str) -> int:
    """Return a number that has to be whole; ``1.0`` is.

    Raises:
        MalformedRequest: It is none, or beyond what anybody counts.
    """
    value = number(raw, at)
    if abs(value) > MAX_COUNT:
        raise MalformedRequest(f"Invalid value for '{at}'.", code="invalid_value", param=at)
    return whole(value, at)


def object_of(raw: Raw, at: str) -> dict[str, Raw]:
    """Return the fields of an object; raises MalformedRequest for anything else."""
    found: dict[str, Raw] = decode_json(_OBJECT, raw, at)
    return found


def items(raw: Raw, at: str) -> list[Raw]:
    """Return the items of a list; a bare object is a list of one, as the vendor has it."""
    if bytes(raw).startswith(b"{"):
        return [raw]
    found: list[Raw] = decode_json(_LIST, raw, at)
    return found


def texts(raw: Raw, at: str) -> tuple[str, ...]:
    """Return a list of strings."""
    found: list[Raw] = decode_json(_LIST, raw, at)
    return tuple([text(item, f"{at}[{position}]") for position, item in enumerate(found)])


def word(raw: Raw, at: str) -> str:
    """Return an enum's word in upper case, as clients write them in any."""
    return text(raw, at).upper()


# --- tolerant: of an upstream -----------------------------------------------------------------------------------------


def word_of(raw: Raw | None, words: Iterable[str] = ()) -> str | None:
    """Return an enum's word; a number is its place among ``words``, as some clients of the vendor ask for."""
    if raw is None:
        return None
    if (spelled := text_of(raw)) is not None:
        return spelled
    known = tuple(words)
    place = count_of(raw)
    return known[place] if place is not None and place < len(known) else bytes(raw).decode()


def count_of(raw: Raw | None) -> int | None:
    """Return a count, from 0 to `MAX_COUNT`, also of a string, as 64-bit numbers come; None: it is something else."""
    if raw is None:
        return None
    try:
        value = _ANY.decode(raw)
        return int(min(max(float(value), 0), MAX_COUNT)) if isinstance(value, int | float | str) else None
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return None


def raw_of(value: object) -> Raw:
    """Return a value of ours as raw JSON."""
    return Raw(msgspec.json.encode(value))


def within(parent: str, extras: Extras) -> Extras:
    """Return extras of an object inside another, by their path in the outer one."""
    return {f"{parent}.{name}": value for name, value in extras.items()}


def put_within(written: JsonObject, extras: Extras) -> JsonObject:
    """Write such extras back; the outer object may hold nothing else, and is made then."""
    for path in extras:
        parent, dot, _ = path.partition(".")
        if dot:
            written.setdefault(parent, {})
    return put_extras(written, extras)
