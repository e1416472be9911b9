"""Canonical values as JSON, for tables in data files: what is at its default is left out, raw JSON is parsed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, Raw


def as_json(value: Any) -> Any:
    """Return a canonical value, or anything that is made of such, as JSON.

    A tagged value names its kind in its tag field (``{"block": "text", "text": "a"}``).
    """
    match value:
        case Raw():
            return msgspec.json.decode(value)
        case msgspec.Struct():
            return _fields(value)
        case Mapping():
            return {name: as_json(inner) for name, inner in value.items()}
        case list() | tuple():
            return [as_json(inner) for inner in value]
        case _:
            return value


def find(value: Any, path: str) -> Any:
    """Return the value at a path of names (``sampling.top_p``, ``extras.audio``)."""
    for name in path.split("."):
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    return value


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    config = value.__struct_config__
    told: dict[str, Any] = {} if config.tag is None else {str(config.tag_field): config.tag}
    for field in msgspec.structs.fields(value):
        inner = getattr(value, field.name)
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        if inner != default:
            told[field.name] = as_json(inner)
    return told
