"""Tools, both ways. There is no choice among them in this protocol: what must be called is asked for in words."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import CustomTool, Extras, FunctionTool, Request, Tool, VendorTool
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json
from ...json_pieces import JsonObject, Shape, bound, present, put_extras
from ..foreign_tools import NO_PARAMETERS, choice_among, described
from . import wire
from .messages import MessageWriter

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final = msgspec.json.Decoder(list[Raw])
_TOOL: Final = Shape(wire.Tool, function=Shape(wire.Function))


class _Kind(msgspec.Struct):
    type: str | None = None
    name: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)
_KNOWN: Final = (None, "", "function")


def decode_tools(tools: Sequence[wire.Tool], limits: RequestLimits) -> tuple[Tool, ...]:
    """Return the tools of a body of known shape.

    Raises:
        MalformedRequest: With ``param``: a name that is there twice, or too much of it.
    """
    bound(len(tools), limits.max_tools, "tools")
    return _checked([_function(tool.function, {}, f"tools[{i}]", limits) for i, tool in enumerate(tools)])


def read_tools(raw: Raw, limits: RequestLimits) -> tuple[Tool, ...]:
    """Return the tools of a body of any shape; raises as `decode_tools`."""
    pieces = decode_json(_LIST, raw, "tools")
    bound(len(pieces), limits.max_tools, "tools")
    return _checked([_read_tool(piece, f"tools[{i}]", limits) for i, piece in enumerate(pieces)])


def _read_tool(raw: Raw, at: str, limits: RequestLimits) -> Tool:
    kind = decode_json(_KIND, raw, at)
    if kind.type not in _KNOWN:
        assert kind.type is not None
        return VendorTool(protocol=wire.NAME, type=kind.type, name=kind.name, raw=raw, runs_at="provider", at=at)
    fields, extras = _TOOL.part(raw, at)
    fields.pop("type", None)
    return _function(_TOOL.decode(fields, at).function, extras, at, limits)


def _function(function: wire.Function, extras: Extras, at: str, limits: RequestLimits) -> FunctionTool:
    parameters = present(function.parameters)
    check_schema(parameters, f"{at}.function.parameters", limits)
    return FunctionTool(
        name=function.name, description=function.description, parameters=parameters, extras=extras, at=at
    )


def check_schema(schema: Raw | None, param: str, limits: RequestLimits) -> None:
    """Refuse a JSON Schema that is no object, or too large.

    Raises:
        MalformedRequest: It is.
    """
    if schema is None:
        return
    if not bytes(schema).startswith(b"{"):
        raise MalformedRequest(f"Invalid type for '{param}': expected an object.", code="invalid_type", param=param)
    if len(bytes(schema)) > limits.max_schema_bytes:
        raise MalformedRequest(
            f"Invalid schema for '{param}': at most {limits.max_schema_bytes} bytes are read here.",
            code="invalid_function_parameters",
            param=param,
        )


def _checked(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    seen: set[str | None] = set()
    for tool in tools:
        if tool.name in seen:
            raise MalformedRequest(
                "Invalid value for 'tools': two have the same name.", code="invalid_value", param=tool.at
            )
        if tool.name is not None:
            seen.add(tool.name)
    return tuple(tools)


# --- ours -> wire -----------------------------------------------------------------------------------------------------

ASK_ANY: Final = "Answer with a call of one of your tools, and with nothing else."
ASK_NAMED: Final = "Answer with a call of your tool, and with nothing else."
_RESPONSES: Final = "openai_responses"
_INLINED: Final = "tool_search_tool"
"""Begins the types of Anthropic's tools that find tools: here all tools are told at once."""


def offered(request: Request, writer: MessageWriter) -> tuple[list[Tool], str]:
    """Return the tools that are told, and what is asked for in words; an empty text: nothing."""
    found = [tool for tool in request.tools if not (_is_inlined(tool, writer) or _is_search(tool, writer))]
    choice = choice_among(found, request, writer.notices)
    if choice is None or isinstance(choice, VendorTool):  # which is refused where it is written
        return found, ""
    at = choice.at or "tool_choice"
    writer.own(choice.extras, at)
    if choice.mode == "none":
        return _told(found, (), writer), ""
    if choice.names:
        found = _told(found, choice.names, writer)
    if choice.mode == "auto":
        return found, ""
    writer.notices.changed(at, "asked for in words: a model cannot be made to call a tool")
    return found, ASK_NAMED if choice.mode == "named" else ASK_ANY


def encode_tool(tool: Tool, writer: MessageWriter) -> JsonObject | Raw:
    """Return a tool as JSON.

    Raises:
        Unsupported: It is another vendor's, or takes free text.
    """
    match tool:
        case FunctionTool():
            return _encode_function(tool, writer)
        case CustomTool():
            raise Unsupported("The upstream takes functions only.", param=tool.at or None)
        case VendorTool() if tool.protocol == wire.NAME:
            return tool.raw
        case VendorTool():
            raise Unsupported("Only the vendor that defined this tool runs it.", param=tool.at and f"{tool.at}.type")


def _told(tools: Sequence[Tool], names: Sequence[str], writer: MessageWriter) -> list[Tool]:
    """Return the tools that may be called: a model calls what it is told of."""
    for tool in tools:
        if tool.name not in names:
            writer.notices.changed(tool.at or "tools", "tools that may not be called are not told", action="dropped")
    return [tool for tool in tools if tool.name in names]


def _is_inlined(tool: Tool, writer: MessageWriter) -> bool:
    if not isinstance(tool, VendorTool) or tool.protocol == wire.NAME or not tool.type.startswith(_INLINED):
        return False
    writer.notices.changed(tool.at or "tools", "all tools are told at once", action="dropped")
    return True


def _is_search(tool: Tool, writer: MessageWriter) -> bool:
    """Tell whether a tool is the search of the web of the Responses protocol, which Codex offers always."""
    if not isinstance(tool, VendorTool) or tool.protocol != _RESPONSES or not tool.type.startswith("web_search"):
        return False
    writer.notices.lost(tool.at or "tools", "the model does not search the web")
    return True


def _encode_function(tool: FunctionTool, writer: MessageWriter) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    description = tool.description if writer.is_own else described(tool, writer.notices)
    if description is not None:
        function["description"] = description
    parameters = tool.parameters
    if parameters is None and not writer.is_own:
        parameters = NO_PARAMETERS
    if parameters is not None:
        function["parameters"] = parameters
    if tool.strict:
        writer.notices.lost(f"{tool.at}.strict", "the upstream does not hold a model to a tool's schema")
    writer.report_mark(tool.cache, tool.at)
    return put_extras({"type": "function", "function": function}, tool.extras if writer.is_own else {})
