"""Schemas, in the vendor's two dialects: JSON Schema, and ``Schema``, a subset of OpenAPI's.

`from_openapi` reads a ``Schema`` as JSON Schema, without loss. `to_openapi` goes the other way, for upstreams that know
no JSON Schema: references are put in their place, types are single and in upper case, and keywords that the dialect has
not are left out and reported. `fit_schema` changes the little that the vendor's JSON Schema lacks.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw

from ...canonical import Notices
from ...errors import MalformedRequest, Unsupported
from . import wire

Node: TypeAlias = dict[str, object]

MAX_DEPTH: Final = 32
"""Of references that are put in their place; deeper ones end in any value."""
MAX_REPORTS: Final = 200
"""Places of one schema that are told one by one."""
MAX_NODES: Final = 20_000
"""Of a schema whose references were put in their place."""

_CASINGS: Final[Mapping[str, str]] = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
    "prefix_items": "prefixItems",
}
_KEPT: Final = frozenset(
    {
        "default",
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "propertyOrdering",
        "required",
        "title",
    }
)
"""Keywords that both dialects have."""
_SILENT: Final = frozenset({"$schema", "$id", "$anchor", "$comment", "additionalProperties"})
"""Keywords that say nothing about the value."""
_ELSEWHERE: Final = frozenset({"$defs", "definitions"})
"""Keywords that hold what is put elsewhere."""
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""Keywords whose numbers come as strings, as 64-bit integers of protocol buffers do."""
_BOUNDS: Final = frozenset({"minimum", "maximum"})

# --- Schema -> JSON Schema --------------------------------------------------------------------------------------------


def from_openapi(raw: Raw, at: str) -> Raw:
    """Return a ``Schema`` as JSON Schema: types in lower case, ``nullable`` as a type, properties in their order.

    Raises:
        MalformedRequest: It is no object, or nested beyond what is read.
    """
    try:
        node = msgspec.json.decode(raw, type=dict[str, object])
        return wire.raw_of(_read(node))
    except msgspec.ValidationError:
        raise MalformedRequest(f"Invalid type for '{at}': expected an object.", code="invalid_type", param=at) from None


def _read(node: object) -> object:
    if not isinstance(node, dict):
        return node
    read: Node = {}
    fields = {_CASINGS.get(name, name): value for name, value in node.items() if value is not None}
    nullable = fields.pop("nullable", False) is True
    for name, value in fields.items():
        match name, value:
            case "type", str():
                kind = value.lower()
                if kind != "type_unspecified":
                    read["type"] = [kind, "null"] if nullable and kind != "null" else kind
            case "properties", dict():
                order = fields.get("propertyOrdering")
                names = [*dict.fromkeys([*(order if isinstance(order, list) else ()), *value])]
                read["properties"] = {key: _read(value[key]) for key in names if key in value}
            case (("items" | "additionalProperties"), _):
                read[name] = _read(value)
            case (("anyOf" | "prefixItems"), list()):
                read[name] = [_read(inner) for inner in value]
            case (("propertyOrdering" | "example"), _) | ("format", "enum"):
                pass
            case _ if name in _COUNTS:
                read[name] = int(value) if isinstance(value, str) and value.isdigit() else value
            case _:
                read[name] = value
    _read_numbers(read)
    if nullable:
        _allow_null(read)
    return read


def _read_numbers(read: Node) -> None:
    """Read the bounds and the enumeration of a number, which may come as texts: enumerations hold nothing else."""
    kinds = read.get("type")
    if not any(kind in ("integer", "number") for kind in (kinds if isinstance(kinds, list) else [kinds])):
        return
    for name in _BOUNDS & read.keys():
        read[name] = _number(read[name])
    if isinstance(values := read.get("enum"), list):
        read["enum"] = [_number(value) for value in values]


def _number(value: object) -> object:
    """Return the number that a text says; anything else as it is."""
    try:
        return msgspec.json.decode(value, type=int | float) if isinstance(value, str) else value
    except msgspec.MsgspecError:
        return value


def _allow_null(read: Node) -> None:
    variants, words = read.get("anyOf"), read.get("enum")
    if isinstance(variants, list) and "type" not in read:
        variants.append({"type": "null"})
    if isinstance(words, list) and None not in words:
        read["enum"] = [*words, None]


# --- JSON Schema -> Schema --------------------------------------------------------------------------------------------


def to_openapi(raw: Raw, at: str, notices: Notices) -> Raw:
    """Return JSON Schema as a ``Schema``; what it cannot say is reported under its path.

    Raises:
        Unsupported: It holds a number that cannot be read.
    """
    node = _decoded(raw, at)
    lowering = _Lowering(node if isinstance(node, dict) else {}, at, notices)
    return wire.raw_of(lowering.node(node, 0, at))


class _Lowering:
    """Lowers one schema.

    Args:
        root: The whole, whose definitions are referred to.
        at: Its path.
        notices: Where losses are reported, each place once, and no more than `MAX_REPORTS`.
    """

    def __init__(self, root: Node, at: str, notices: Notices) -> None:
        self._root = root
        self._at = at
        self._notices = notices
        self._reported: set[str] = set()
        self._nodes = 0

    def node(self, source: object, depth: int, at: str) -> Node:
        self._nodes += 1
        if not isinstance(source, dict) or depth > MAX_DEPTH or self._nodes > MAX_NODES:
            if source is not True:
                self._lose(at, "$ref" if isinstance(source, dict) else "")
            return {}
        rest: Node = dict(source)
        if isinstance(reference := rest.pop("$ref", None), str):
            target = self._target(reference, at)
            if not rest:
                at = self._at + reference.removeprefix("#").replace("/", ".")
            rest = {**target, **rest}
            if "$ref" in target:
                return self.node(rest, depth + 1, at)
            depth += 1
        rest = self._merged(rest, at)
        lowered: Node = {}
        self._type(lowered, rest, depth, at)
        self._words(lowered, rest, at)
        self._inner(lowered, rest, depth, at)
        for name, value in rest.items():
            if name in _KEPT:
                lowered[name] = value
            elif name in _SILENT and not (name == "additionalProperties" and isinstance(value, dict)):
                self._hint(at, name)
            elif name not in _ELSEWHERE:
                self._lose(at, name)
        return lowered

    def _target(self, reference: str, at: str) -> Node:
        place: object = self._root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict) and reference.startswith("#"):
            return place
        self._lose(at, "$ref")
        return {}

    def _merged(self, rest: Node, at: str) -> Node:
        """Return a node with its ``allOf`` put into it, as far as the parts do not contradict."""
        parts = rest.pop("allOf", None)
        for part in parts if isinstance(parts, list) else ():
            inner = dict(part) if isinstance(part, dict) else {}
            if isinstance(reference := inner.pop("$ref", None), str):
                inner = {**self._target(reference, at), **inner}
            for name, value in inner.items():
                known = rest.get(name)
                if isinstance(known, dict) and isinstance(value, dict):
                    rest[name] = {**known, **value}
                elif isinstance(known, list) and isinstance(value, list):
                    rest[name] = [*known, *(item for item in value if item not in known)]
                elif known is None:
                    rest[name] = value
                elif known != value:
                    self._lose(at, "allOf")
        return rest

    def _type(self, lowered: Node, rest: Node, depth: int, at: str) -> None:
        kinds = rest.pop("type", None)
        names = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]
        is_nullable = len(names) > 1 and "null" in names
        names = [name for name in names if name != "null"] or names
        name = "anyOf" if rest.get("anyOf") else "oneOf"
        variants = rest.pop(name, None)
        if isinstance(variants, list):
            nulls = [v for v in variants if isinstance(v, dict) and v.get("type") == "null"]
            is_nullable = is_nullable or bool(nulls)
            inner = [
                self.node(variant, depth + 1, f"{at}.{name}[{position}]")
                for position, variant in enumerate(variants)
                if variant not in nulls
            ]
            if len(inner) == 1:
                lowered.update(inner[0])
            elif inner:
                lowered["anyOf"] = inner
        if len(names) == 1:
            lowered["type"] = names[0].upper()
        elif names:
            lowered["anyOf"] = [{"type": name.upper()} for name in names]
        elif "properties" in rest:
            lowered["type"] = "OBJECT"
        if is_nullable:
            lowered["nullable"] = True

    def _words(self, lowered: Node, rest: Node, at: str) -> None:
        """Put ``const`` and ``enum`` into words: the dialect knows texts alone."""
        if "const" in rest:
            rest.setdefault("enum", [rest["const"]])
            del rest["const"]
        words = rest.get("enum")
        if not isinstance(words, list):
            return
        if None in words:
            lowered["nullable"] = True
            words = [value for value in words if value is not None]
        if any(not isinstance(value, str) for value in words):
            self._notices.changed(f"{at}.enum", "Gemini's enumerations hold texts alone", action="coerced")
            words = [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in words]
        lowered["type"] = "STRING"
        rest["enum"] = words

    def _inner(self, lowered: Node, rest: Node, depth: int, at: str) -> None:
        properties = rest.pop("properties", None)
        if isinstance(properties, dict) and properties:
            lowered["properties"] = {
                name: self.node(inner, depth + 1, f"{at}.properties.{name}") for name, inner in properties.items()
            }
        if "items" in rest:
            lowered["items"] = self.node(rest.pop("items"), depth + 1, f"{at}.items")

    def _lose(self, at: str, name: str) -> None:
        if self._is_new(path := f"{at}.{name}" if name else at):
            self._notices.lost(path, "Gemini's schemas have no such keyword")

    def _hint(self, at: str, name: str) -> None:
        if self._is_new(path := f"{at}.{name}"):
            self._notices.hint(path, "Gemini's schemas have no such keyword, and say the same without it")

    def _is_new(self, path: str) -> bool:
        """Tell whether a place is to be reported; the last that is stands for all that follow."""
        if path in self._reported or len(self._reported) > MAX_REPORTS:
            return False
        self._reported.add(path)
        if len(self._reported) > MAX_REPORTS:
            self._notices.lost(self._at, "Gemini's schemas have fewer keywords")
            return False
        return True


# --- JSON Schema -> the vendor's JSON Schema --------------------------------------------------------------------------


def fit_schema(raw: Raw, at: str) -> Raw:
    """Return a schema with ``const`` as an enumeration of one; the same bytes if it has none.

    Raises:
        Unsupported: As `to_openapi`.
    """
    if b'"const"' not in bytes(raw):
        return raw
    return wire.raw_of(_without_const(_decoded(raw, at)))


def _decoded(raw: Raw, at: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except msgspec.MsgspecError:
        raise Unsupported("The schema holds a number that cannot be read.", param=at) from None


def _without_const(node: object) -> object:
    if isinstance(node, list):
        return [_without_const(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    fitted: Node = {}
    for name, value in node.items():
        if name == "const":
            fitted.setdefault("enum", [value])
        elif name in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, dict):
            fitted[name] = {key: _without_const(inner) for key, inner in value.items()}
        elif name in ("enum", "default", "example", "examples"):
            fitted[name] = value
        else:
            fitted[name] = _without_const(value)
    return fitted


def check_size(raw: Raw, at: str, max_bytes: int) -> None:
    """Refuse a schema that costs out of proportion.

    Raises:
        MalformedRequest: It is longer than ``max_bytes``.
    """
    if len(bytes(raw)) > max_bytes:
        raise MalformedRequest(f"A schema may have {max_bytes} bytes here.", param=at)
