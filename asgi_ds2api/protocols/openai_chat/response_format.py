"""The form of an answer, both ways: ``response_format``."""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Extras, OutputFormat
from ...codec import RequestLimits
from ...errors import Unsupported
from ...json_guard import decode_json
from ...json_pieces import JsonObject, Shape, missing, present, put_extras, without_none
from . import wire
from .content import PartWriter
from .tools import check_schema

# --- wire -> ours -----------------------------------------------------------------------------------------------------


class _Kind(msgspec.Struct):
    type: str


_KIND: Final = msgspec.json.Decoder(_Kind)
_FORMAT: Final = Shape(wire.ResponseFormat, json_schema=Shape(wire.JsonSchema))
_FORMATS: Final = ("text", "json_object", "json_schema")


def decode_format(raw: Raw | None, extras: Extras, limits: RequestLimits) -> OutputFormat | None:
    """Return the form of the answer; one that is not known goes to the extras."""
    if raw is None:
        return None
    at = "response_format"
    if decode_json(_KIND, raw, at).type not in _FORMATS:
        extras[at] = raw
        return None
    given, unknown = _FORMAT.read(raw, at)
    schema = given.json_schema
    if given.type != "json_schema":
        return OutputFormat(kind=given.type, extras=unknown, at=at)
    if schema is None:
        raise missing(f"{at}.json_schema")
    check_schema(schema.schema, f"{at}.json_schema.schema", limits)
    return OutputFormat(
        kind="json_schema",
        name=schema.name,
        description=schema.description,
        schema=present(schema.schema),
        strict=schema.strict,
        extras=unknown,
        at=at,
    )


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_format(wanted: OutputFormat, writer: PartWriter) -> JsonObject:
    """Return ``response_format``.

    Raises:
        Unsupported: The upstream has no switch for it; a shim asks in words.
    """
    profile, extras = writer.profile, writer.own(wanted.extras, wanted.at)
    if wanted.kind != "json_schema":
        if wanted.kind == "json_object" and not profile.json_object:
            raise Unsupported("The upstream has no switch for JSON.", param=wanted.at or None)
        return put_extras({"type": wanted.kind}, extras)
    if not profile.json_schema:
        raise Unsupported("The upstream has no switch for a schema.", param=wanted.at or None)
    named: JsonObject = {"name": wanted.name or "output", "description": wanted.description, "schema": wanted.schema}
    schema = without_none({**named, "strict": wanted.strict})
    return put_extras({"type": "json_schema", "json_schema": schema}, extras)
