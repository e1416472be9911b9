"""A whole request, both ways."""

from typing import Final

import msgspec
from msgspec import Raw

from asgi_ds2api.canonical import CustomTool, FunctionTool, Notices, Request, Sampling, Tool
from asgi_ds2api.codec import DEFAULT_LIMITS, HTTPCall, RequestLimits
from asgi_ds2api.errors import Unsupported
from asgi_ds2api.json_guard import decode_json, decode_object
from asgi_ds2api.json_pieces import bound
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols.reserved import is_reserved

from . import wire

PATH: Final = "/toy/talk"
_REQUEST: Final = msgspec.json.Decoder(Request)
_TOOLS: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw] | None)
_OURS: Final = ("source", "extras", "vendor_headers", "required_extras", "idle_extras", "places", "alternatives")
"""What is the gateway's alone to know of a request."""
_READ: Final = frozenset(Request.__struct_fields__) - frozenset(_OURS)
PLACES: Final = {name: f"sampling.{name}" for name in Sampling.__struct_fields__}
"""Names that encoders report settings by -> where they stand here."""
_NONE: Final = Raw(b"[]")
_NULL: Final = Raw(b"null")


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
    """
    whole = decode_object(call.body)
    fields = {name: value for name, value in whole.items() if name in _READ}
    extras = {name: value for name, value in whole.items() if name not in _READ and bytes(value) != bytes(_NULL)}
    tools = [dict(tool) for tool in decode_json(_TOOLS, fields.get("tools", _NONE), "tools")]
    shape = dict(decode_json(_FIELDS, fields.get("output_format", _NULL), "output_format") or {})
    schemas = [(tool.pop("parameters", None), tool.pop("format", None)) for tool in tools]
    schema = shape.pop("schema", None)
    fields["tools"] = Raw(msgspec.json.encode(tools))
    if shape:
        fields["output_format"] = Raw(msgspec.json.encode(shape))
    request = decode_json(_REQUEST, wire.ours(fields))
    bound(len(request.messages), limits.max_messages, "messages")
    bound(len(request.tools), limits.max_tools, "tools")
    form = request.output_format and msgspec.structs.replace(request.output_format, schema=_present(schema))
    return msgspec.structs.replace(
        request,
        tools=tuple(_with_schema(tool, *both) for tool, both in zip(request.tools, schemas, strict=True)),
        output_format=form,
        extras=extras,
        places=PLACES,
    )


def _with_schema(tool: Tool, parameters: Raw | None, grammar: Raw | None) -> Tool:
    """Return a tool with what was taken out of it: msgspec reads no object where null may stand as well."""
    match tool:
        case FunctionTool():
            return msgspec.structs.replace(tool, parameters=_present(parameters))
        case CustomTool():
            return msgspec.structs.replace(tool, format=_present(grammar))
        case _:
            return tool


def _present(raw: Raw | None) -> Raw | None:
    return None if raw is None or bytes(raw) == bytes(_NULL) else raw


def encode_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: What another protocol cannot be asked without.
    """
    is_own = request.source == wire.NAME
    for name in () if is_own else request.extras:
        if name in request.required_extras:
            raise Unsupported("Toys know nothing of the kind.", param=name)
        notices.lost(name, "toys know nothing of the kind")
    for name in request.vendor_headers:
        notices.hint(name, "toys have no headers")
    extras = {name: value for name, value in request.extras.items() if is_own and not is_reserved(name, notices)}
    said = {name: value for name, value in wire.told(request).items() if name in _READ}
    return HTTPCall(method="POST", path=PATH, body=msgspec.json.encode({**said, **extras}))
