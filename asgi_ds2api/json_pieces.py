"""JSON in pieces, both ways of reading it: strictly what callers send, tolerantly what upstreams send.

A caller's object of known shape is decoded in one pass; what is not of a known shape is read again by its `Shape`,
which keeps the unknown fields and names every mistake by its path. Of an upstream's object, what is of another type
than it should be is not there; nothing raises, as JSON that cannot be read at all was refused before.

This file knows JSON and no protocol. ``None`` and null say no more than absence.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .canonical import Extras
from .errors import MalformedRequest
from .json_guard import decode_json, encode_object

JsonObject: TypeAlias = dict[str, object]
"""What is written: msgspec writes ``Raw`` inside of it as it is."""

JsonField: TypeAlias = Raw | UnsetType
"""A field that is carried as it came; `present` tells whether it is there."""

NULL: Final = b"null"
_MAX_DIGITS: Final = 6
"""Of an index in the name of a field, and what closes it."""

# --- what callers send ------------------------------------------------------------------------------------------------

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
S_co = TypeVar("S_co", bound=msgspec.Struct, covariant=True)


class Shape(Generic[S_co]):
    """An object that callers send, read with what it holds besides.

    Args:
        type_: Of the object; strict.
        inner: Its fields that are objects of a known shape, whose unknown fields are kept as well.
    """

    __slots__ = ("_decoder", "_inner", "_names")

    def __init__(self, type_: type[S_co], **inner: "Shape[msgspec.Struct]") -> None:
        self._decoder = msgspec.json.Decoder(type_)
        tag = type_.__struct_config__.tag_field
        self._names = frozenset((*type_.__struct_fields__, *((tag,) if tag else ())))
        self._inner: Mapping[str, Shape[msgspec.Struct]] = inner

    def read(self, raw: Raw | bytes, at: str) -> tuple[S_co, Extras]:
        """Return the object, and its unknown fields by their path in it (``function.x``).

        Args:
            raw: Its JSON.
            at: Where it stands in the body; empty: it is the body.

        Raises:
            MalformedRequest: A known field is missing or of another type.
        """
        try:
            return self._decoder.decode(raw), {}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            known, extras = self.part(raw, at)
        return decode_json(self._decoder, encode_object(known), at), extras

    def part(self, raw: Raw | bytes, at: str) -> tuple[dict[str, Raw], Extras]:
        """Return the known fields and the unknown ones; of objects inside, the unknown ones are taken out.

        Raises:
            MalformedRequest: No object.
        """
        known: dict[str, Raw] = {}
        extras: Extras = {}
        for name, value in decode_json(_FIELDS, raw, at).items():
            if name not in self._names:
                if bytes(value) != NULL:
                    extras[name] = value
            elif name in self._inner and bytes(value).startswith(b"{"):
                kept, unknown = self._inner[name].part(value, f"{at}.{name}".removeprefix("."))
                known[name] = Raw(encode_object(kept))
                extras |= {f"{name}.{path}": more for path, more in unknown.items()}
            else:
                known[name] = value
        return known, extras

    def decode(self, fields: Mapping[str, Raw], at: str) -> S_co:
        """Return the object of known fields; raises as `read`."""
        return decode_json(self._decoder, encode_object(fields), at)


def put_extras(out: JsonObject, extras: Extras) -> JsonObject:
    """Write unknown fields back into their places (``function.x``, ``tools[0].x``); the twin of `Shape.part`."""
    for path, value in extras.items():
        parent, dot, name = path.partition(".")
        place = _inner(out, parent)
        if dot and isinstance(place, dict):
            put_extras(place, {name: value})
        else:
            out[path] = value
    return out


def without_none(fields: Mapping[str, object]) -> JsonObject:
    """Return what is written of fields: those that hold something."""
    return {name: value for name, value in fields.items() if value is not None}


def _inner(out: JsonObject, step: str) -> object:
    """Return what stands at a name, or at an index of a list of that name; None: nothing."""
    name, bracket, index = step.partition("[")
    inner = out.get(name if bracket else step)
    if not bracket:
        return inner
    number = int(index[:-1]) if index[:-1].isdecimal() and index.endswith("]") and len(index) < _MAX_DIGITS else -1
    return inner[number] if isinstance(inner, list) and 0 <= number < len(inner) else None


def present(field: JsonField) -> Raw | None:
    """Return a field that is there and not null."""
    return None if field is UNSET or bytes(field) == NULL else field


def set_fields(holder: msgspec.Struct, *names: str) -> Extras:
    """Return those of a Struct's carried fields that the sender set to something."""
    return {name: value for name in names if (value := present(getattr(holder, name))) is not None}


def missing(param: str) -> MalformedRequest:
    """Return the error for a field that has to be there."""
    return MalformedRequest(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def no_base64(param: str) -> MalformedRequest:
    """Return the error for a field that has to be base64."""
    return MalformedRequest(f"Invalid '{param}': expected base64.", code="invalid_value", param=param)


def bound(count: int, limit: int, param: str, *, least: int = 0) -> None:
    """Refuse more than is read here, and fewer than one where there has to be one.

    Raises:
        MalformedRequest: There are.
    """
    if count < least:
        raise MalformedRequest(f"Invalid '{param}': send at least one.", code="empty_array", param=param)
    if count > limit:
        raise MalformedRequest(
            f"Invalid '{param}': at most {limit} are read here.", code="array_above_max_length", param=param
        )


# --- what upstreams send ----------------------------------------------------------------------------------------------

_ANY: Final = msgspec.json.Decoder()
_LIST: Final = msgspec.json.Decoder(list[Raw])

MAX_COUNT: Final = 2**53
"""Of tokens; what is more is no count."""


def fields_of(raw: Raw | bytes | None) -> dict[str, Raw]:
    """Return the fields of an object that are not null; of anything else, none."""
    if raw is None or not bytes(raw).startswith(b"{"):
        return {}
    return without_null(_FIELDS.decode(raw))


def without_null(fields: Extras) -> Extras:
    """Return the fields that hold something; `without_none` is its twin for what is written."""
    return {name: value for name, value in fields.items() if bytes(value) != NULL}


def items_of(raw: Raw | None) -> list[Raw]:
    """Return the items of a list; of anything else, none."""
    return _LIST.decode(raw) if raw is not None and bytes(raw).startswith(b"[") else []


def text_of(raw: Raw | None) -> str | None:
    """Return a string; None: it is something else."""
    if raw is None or not bytes(raw).startswith(b'"'):
        return None
    text: str = _ANY.decode(raw)
    return text


def number_of(raw: Raw | None) -> int | None:
    """Return a count, from 0 to `MAX_COUNT`; None: it is something else."""
    if raw is None or bytes(raw)[:1] not in b"-0123456789":
        return None
    try:
        return int(min(max(_ANY.decode(raw), 0), MAX_COUNT))
    except msgspec.MsgspecError:  # beyond a float
        return None


def rest_of(fields: Mapping[str, Raw], known: Iterable[str]) -> Extras:
    """Return the fields that are not known; null says no more than absence."""
    return {name: value for name, value in fields.items() if name not in known and bytes(value) != NULL}
