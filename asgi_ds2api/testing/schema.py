"""Make a JSON value that a JSON Schema accepts: always the same one for the same schema.

This file knows nothing of tools or protocols. It follows what vendors take for tool parameters and structured output
(JSON Schema 2020-12 without ``pattern``, ``not``, ``if`` and references to other documents): where a schema asks for
more than that, the value may not fit it.

Rules:

1. Objects have their required properties and no others. Arrays have one item, or ``minItems``.
2. A string is named after its property, so that a person sees where it came from.
3. ``variant`` counts up to make values that differ: a second call of the same tool gets other arguments.
4. A schema that calls for a huge value gets a smaller one that may not fit it: see the bounds below.
"""

import math
from collections.abc import Mapping
from typing import TypeAlias

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
Schema: TypeAlias = Mapping[str, object]

NEAR_DEPTH = 3
"""Below this, the smallest value that is valid is made: no items that need not be, null where it may be."""
MAX_DEPTH = 20
"""Below this, objects and arrays are empty."""
MAX_VALUES = 10_000
"""When so many have been made, the rest is made as if it were below `MAX_DEPTH`."""
MAX_ITEMS = 100
MAX_CHARS = 10_000
_MAX_NUMBER = 10**15
"""A bound beyond this is not taken notice of: floats are whole numbers there."""

_FORMATS = {
    "date": "2026-01-{0:02d}",
    "date-time": "2026-01-{0:02d}T12:00:00Z",
    "time": "12:00:{0:02d}Z",
    "duration": "PT{0}S",
    "email": "user{0}@example.com",
    "hostname": "host{0}.example.com",
    "uri": "https://example.com/{0}",
    "uuid": "00000000-0000-4000-8000-{0:012d}",
    "ipv4": "192.0.2.{0}",
    "ipv6": "2001:db8::{0}",
}
_KEYWORDS_OF = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""What tells the type of a schema that does not say it."""


def sample(schema: object, *, variant: int = 0) -> JSON:
    """Return a value that ``schema`` accepts.

    Args:
        schema: A JSON Schema as decoded from JSON: an object, or true.
        variant: 0 for the usual value, 1 and up for others.
    """
    return _Sampler(_object(schema)).value(schema, name="value", variant=variant, depth=0)


class _Sampler:
    """Walks one schema. ``root`` is where ``#/...`` references start."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._made = 0

    def value(self, schema: object, *, name: str, variant: int, depth: int) -> JSON:
        self._made += 1
        depth = depth if self._made <= MAX_VALUES else MAX_DEPTH + 1
        plain = self._flattened(_object(schema), depth)
        if "const" in plain:
            return _json(plain["const"])
        if choices := _array(plain.get("enum")):
            return _json(choices[variant % len(choices)])
        match _type_of(plain, prefers_null=depth > NEAR_DEPTH):
            case "object":
                return self._object(plain, variant, depth)
            case "array":
                return self._array(plain, name, variant, depth)
            case "integer" | "number" as kind:
                return _number(plain, variant, is_whole=kind == "integer")
            case "boolean":
                return variant % 2 == 0
            case "null":
                return None
            case _:
                return _string(plain, name, variant)

    def _object(self, schema: Schema, variant: int, depth: int) -> JSON:
        if depth > MAX_DEPTH:
            return {}
        properties = _object(schema.get("properties"))
        return {
            name: self.value(properties.get(name, True), name=name, variant=variant, depth=depth + 1)
            for name in _array(schema.get("required"))
            if isinstance(name, str)
        }

    def _array(self, schema: Schema, name: str, variant: int, depth: int) -> JSON:
        first, rest = _array(schema.get("prefixItems")), schema.get("items", True)
        most = MAX_ITEMS if (limit := _bound(schema.get("maxItems"))) is None else int(limit)
        usual = 0 if depth > NEAR_DEPTH else len(first) + (rest is not False and not first)
        least = 0 if depth > MAX_DEPTH else int(_bound(schema.get("minItems")) or 0)
        size = min(max(least, usual), most, MAX_ITEMS)
        return [
            self.value(first[i] if i < len(first) else rest, name=name, variant=variant + i, depth=depth + 1)
            for i in range(size)
        ]

    def _flattened(self, schema: Schema, depth: int) -> Schema:
        """Follow references, merge ``allOf`` and choose one alternative, until plain keywords are left."""
        for _ in range(MAX_DEPTH):
            rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
            if isinstance(reference := schema.get("$ref"), str):
                parts = [self._referenced(reference)]
            elif parts := [_object(part) for part in _array(schema.get("allOf"))]:
                pass
            elif alternatives := [_object(part) for part in _array(schema.get("anyOf") or schema.get("oneOf"))]:
                nulls = [part for part in alternatives if part.get("type") == "null"]
                others = [part for part in alternatives if part.get("type") != "null"]
                parts = [(nulls or others if depth > NEAR_DEPTH else others or nulls)[0]]
            else:
                return schema
            for part in parts:
                rest = _merged(rest, part)
            schema = rest
        return {}

    def _referenced(self, reference: str) -> Schema:
        target: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = _object(target).get(step.replace("~1", "/").replace("~0", "~"))
        return _object(target)


def _merged(one: Schema, other: Schema) -> dict[str, object]:
    """Return what both schemas ask for together; of a keyword that both have, the other's."""
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**_object(one["properties"]), **_object(other["properties"])}
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*_array(one["required"]), *_array(other["required"])]))
    return merged


def _type_of(schema: Schema, *, prefers_null: bool) -> str:
    declared = schema.get("type")
    if isinstance(declared, str):
        return declared
    if names := [name for name in _array(declared) if isinstance(name, str)]:
        if prefers_null and "null" in names:
            return "null"
        return next((name for name in names if name != "null"), "null")
    for kind, keywords in _KEYWORDS_OF.items():
        if any(keyword in schema for keyword in keywords):
            return kind
    return "string"


def _string(schema: Schema, name: str, variant: int) -> str:
    if isinstance(template := schema.get("format"), str) and template in _FORMATS:
        return _FORMATS[template].format(1 + variant % 28)
    shortest = min(int(_bound(schema.get("minLength")) or 0), MAX_CHARS)
    longest = MAX_CHARS if (limit := _bound(schema.get("maxLength"))) is None else int(limit)
    return (f"{name} {variant + 1}" if variant else name).ljust(shortest, "-")[:longest]


def _number(schema: Schema, variant: int, *, is_whole: bool) -> int | float:
    """Try a few values, the usual one first, and return the first within all bounds."""
    low, high = _bound(schema.get("minimum")), _bound(schema.get("maximum"))
    above, below = _bound(schema.get("exclusiveMinimum")), _bound(schema.get("exclusiveMaximum"))
    step = _bound(schema.get("multipleOf")) or 1
    step = step if step > 0 else 1

    def fits(value: int | float) -> bool:
        return (
            (low is None or value >= low)
            and (high is None or value <= high)
            and (above is None or value > above)
            and (below is None or value < below)
        )

    floor = max((bound for bound in (low, above) if bound is not None), default=-math.inf)
    ceiling = min((bound for bound in (high, below) if bound is not None), default=math.inf)
    start = step if floor < step <= ceiling or floor == -math.inf else math.ceil(floor / step) * step
    if start > ceiling:
        start = math.floor(ceiling / step) * step
    tries = [start + variant * step, start, start + step, start - step]
    if not is_whole and math.isfinite(floor) and math.isfinite(ceiling):
        tries.append((floor + ceiling) / 2)
    value = next((candidate for candidate in tries if fits(candidate)), start)
    return int(value) if is_whole or float(value).is_integer() else value


def _bound(value: object) -> int | float | None:
    """Return a number keyword, or None for one that is absent, not a number, or too large to count with."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _MAX_NUMBER:
        return None
    return value


def _object(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _array(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _json(value: object) -> JSON:
    """Say that a value out of decoded JSON is JSON."""
    return value  # type: ignore[return-value]  # a schema is decoded JSON, all the way down
