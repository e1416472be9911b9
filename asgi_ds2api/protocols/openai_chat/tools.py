"""Tools and the choice among them, both ways.

``functions`` and ``function_call``, which the vendor has given up, are read as tools, and written as tools.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from ...canonical import (
    CustomTool,
    Extras,
    FunctionTool,
    Message,
    Notices,
    Request,
    Text,
    Tool,
    ToolChoice,
    VendorTool,
)
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json
from ...json_pieces import JsonField, JsonObject, Shape, bound, missing, present, put_extras, set_fields
from ...model_facts import ModelFacts
from ...profiles import Profile
from ..foreign_tools import described, with_properties
from . import wire
from .content import PartWriter
from .reasoning import is_thinking_asked, without_thinking

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final = msgspec.json.Decoder(list[Raw])
_WORD: Final = msgspec.json.Decoder(str)
_FUNCTION: Final = Shape(wire.Function)
_TOOL: Final = Shape(wire.Tool, function=_FUNCTION, custom=Shape(wire.Custom))
_NAMED: Final = Shape(wire.NamedTool, function=Shape(wire.Named), custom=Shape(wire.Named))
_ALLOWED: Final = Shape(wire.AllowedTools, allowed_tools=Shape(wire.Allowed))
_LEGACY: Final = Shape(wire.Named)


class _Kind(msgspec.Struct):
    type: str | None = None
    name: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)
_FUNCTIONS: Final = "functions"
_KNOWN: Final = (None, "function", "custom")


def decode_tools(
    tools: Sequence[wire.Tool], functions: Sequence[wire.Function], limits: RequestLimits
) -> tuple[Tool, ...]:
    """Return the tools of a body of known shape.

    Raises:
        MalformedRequest: With ``param``: a tool without its definition, a name that is there twice, too much of it.
    """
    bound(len(tools) + len(functions), limits.max_tools, "tools")
    decoded = [_decode_tool(tool, {}, f"tools[{position}]", limits) for position, tool in enumerate(tools)]
    for position, function in enumerate(functions):
        at = f"{_FUNCTIONS}[{position}]"
        check_schema(function.parameters, f"{at}.parameters", limits)
        decoded.append(_function(function, {}, at))
    return _checked(decoded)


def read_tools(tools: Raw | None, functions: Raw | None, limits: RequestLimits) -> tuple[Tool, ...]:
    """Return the tools of a body of any shape; raises as `decode_tools`."""
    read = [] if tools is None else decode_json(_LIST, tools, "tools")
    legacy = [] if functions is None else decode_json(_LIST, functions, "functions")
    bound(len(read) + len(legacy), limits.max_tools, "tools")
    decoded = [_read_tool(raw, f"tools[{position}]", limits) for position, raw in enumerate(read)]
    for position, raw in enumerate(legacy):
        at = f"{_FUNCTIONS}[{position}]"
        function, extras = _FUNCTION.read(raw, at)
        check_schema(function.parameters, f"{at}.parameters", limits)
        decoded.append(_function(function, extras, at))
    return _checked(decoded)


def decode_choice(raw: Raw | None, legacy: Raw | None, tools: Sequence[Tool]) -> ToolChoice | None:
    """Return the choice among tools; None: nothing is said.

    Args:
        raw: ``tool_choice``.
        legacy: ``function_call``.
        tools: Those that may be named.

    Raises:
        MalformedRequest: With ``param``: it is no choice, or names a tool that is not there.
    """
    if raw is None and legacy is None:
        return None
    choice = _read_choice(raw, "tool_choice") if raw is not None else _read_choice(legacy or Raw(), "function_call")
    if not tools and choice.mode in ("required", "named"):  # clients of Mistral's send "auto" always
        raise MalformedRequest(
            f"Invalid value for '{choice.at}': it is only allowed when 'tools' are specified.",
            code="invalid_value",
            param=choice.at,
        )
    if not {*choice.names} <= {tool.name for tool in tools}:
        raise MalformedRequest(
            f"Invalid value for '{choice.at}': it names a tool that is not among 'tools'.",
            code="invalid_value",
            param=choice.at,
        )
    return choice


def _read_tool(raw: Raw, at: str, limits: RequestLimits) -> Tool:
    kind = decode_json(_KIND, raw, at)
    if kind.type not in _KNOWN:
        assert kind.type is not None
        return VendorTool(protocol=wire.NAME, type=kind.type, name=kind.name, raw=raw, runs_at="provider", at=at)
    tool, extras = _TOOL.read(raw, at)
    return _decode_tool(tool, extras, at, limits)


def _decode_tool(tool: wire.Tool, extras: Extras, at: str, limits: RequestLimits) -> Tool:
    if tool.cache_control is not UNSET:
        extras = {**set_fields(tool, "cache_control"), **extras}
    if tool.type == "custom":
        custom = tool.custom
        if custom is None:
            raise missing(f"{at}.custom")
        return CustomTool(
            name=custom.name, description=custom.description, format=present(custom.format), extras=extras, at=at
        )
    if tool.function is None:
        raise missing(f"{at}.function")
    check_schema(tool.function.parameters, f"{at}.function.parameters", limits)
    return _function(tool.function, extras, at)


def _function(function: wire.Function, extras: Extras, at: str) -> FunctionTool:
    return FunctionTool(
        name=function.name,
        description=function.description,
        parameters=present(function.parameters),
        strict=function.strict,
        extras=extras,
        at=at,
    )


def check_schema(field: JsonField, param: str, limits: RequestLimits) -> None:
    """Refuse a JSON Schema that is no object, or too large.

    Raises:
        MalformedRequest: It is.
    """
    schema = present(field)
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
                "Invalid value for 'tools': two have the same name.", code="invalid_value", param=f"{tool.at}"
            )
        if tool.name is not None:
            seen.add(tool.name)
    return tuple(tools)


def _read_choice(raw: Raw, at: str) -> ToolChoice:
    if bytes(raw).startswith(b'"'):
        return ToolChoice(mode=_mode(decode_json(_WORD, raw, at), at), at=at)
    if at == "function_call":
        named, extras = _LEGACY.read(raw, at)
        return ToolChoice(mode="named", names=(named.name,), extras=extras, at=at)
    match decode_json(_KIND, raw, at).type:
        case "allowed_tools":
            choice, extras = _ALLOWED.read(raw, at)
            allowed = choice.allowed_tools
            names: list[str] = []
            for position, item in enumerate(allowed.tools):
                inner = f"allowed_tools.tools[{position}]"
                tool, more = _NAMED.read(item, f"{at}.{inner}")
                names.append(_name_of(tool, f"{at}.{inner}"))
                extras |= {f"{inner}.{name}": value for name, value in more.items()}
            return ToolChoice(mode=allowed.mode, names=tuple(names), extras=extras, at=at)
        case None | "function" | "custom":
            tool, extras = _NAMED.read(raw, at)
            return ToolChoice(mode="named", names=(_name_of(tool, at),), extras=extras, at=at)
        case _:
            raise _no_choice(f"{at}.type")


def _mode(word: str, at: str) -> Literal["auto", "none", "required"]:
    match word:
        case "auto" | "none" | "required":
            return word
        case "any":  # Mistral's word
            return "required"
        case _:
            raise _no_choice(at)


def _no_choice(param: str) -> MalformedRequest:
    return MalformedRequest(
        f"Invalid value for '{param}': supported are 'none', 'auto', 'required', a function or a custom tool by its "
        "name, and allowed tools.",
        code="invalid_value",
        param=param,
    )


def _name_of(tool: wire.NamedTool, at: str) -> str:
    named = tool.function or tool.custom
    name = tool.name if named is None else named.name
    if name is None:
        raise missing(f"{at}.{tool.type}.name")
    return name


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_tool(tool: Tool, writer: PartWriter) -> JsonObject | Raw:
    """Return a tool as JSON.

    Raises:
        Unsupported: It is another vendor's, or the upstream takes functions only.
    """
    match tool:
        case FunctionTool():
            return _encode_function(tool, writer)
        case CustomTool():
            if not writer.profile.custom_tools:
                raise Unsupported("The upstream takes functions only.", param=tool.at or None)
            custom: JsonObject = {"name": tool.name}
            if tool.description is not None:
                custom["description"] = tool.description
            if tool.format is not None:
                custom["format"] = tool.format
            writer.report_mark(tool.cache, tool.at)
            return put_extras({"type": "custom", "custom": custom}, writer.own(tool.extras, tool.at))
        case VendorTool() if tool.protocol == wire.NAME:
            return tool.raw
        case VendorTool():
            raise Unsupported("Only the vendor that defined this tool runs it.", param=tool.at and f"{tool.at}.type")


def fit_choice(request: Request, profile: Profile, facts: ModelFacts, notices: Notices) -> Request:
    """Return the request with a choice that the model takes: where a call cannot be forced, it is asked for in words.

    Args:
        request: Of any protocol.
        profile: The upstream's.
        facts: The model's.
        notices: Where it is reported what gave way.
    """
    choice, control = request.tool_choice, request.reasoning
    if choice is None or choice.mode not in ("required", "named") or not request.tools:
        return request
    if not facts.forced_tool_choice:
        notices.lost(
            choice.at or "tool_choice", "the model cannot be forced to call a tool: asked in words", "emulated"
        )
        named = f"the tool {choice.names[0]}" if choice.mode == "named" else "at least one of the tools"
        free = replace(choice, mode="auto", names=() if choice.mode == "named" else choice.names)
        return replace(request, tool_choice=free, messages=_hinted(request.messages, f"Answer by calling {named}."))
    if profile.forced_while_thinking or control is None or not is_thinking_asked(control):
        return request
    notices.changed(control.at or "reasoning_effort", "the model does not think where a call is forced", "dropped")
    return replace(request, reasoning=without_thinking(control))


def _hinted(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """Return the messages with one more at the end of the leading system messages."""
    leading = next((i for i, m in enumerate(messages) if m.role not in ("system", "developer")), len(messages))
    return (*messages[:leading], Message(role="system", content=(Text(text=text),)), *messages[leading:])


def encode_choice(choice: ToolChoice, tools: Sequence[Tool], writer: PartWriter) -> object:
    """Return the choice among tools as JSON."""
    custom = {tool.name for tool in tools if isinstance(tool, CustomTool)}
    named = [_encode_named(name, is_custom=name in custom) for name in choice.names]
    if choice.mode == "named":
        return put_extras(named[0], writer.own(choice.extras, choice.at))
    extras = writer.own(choice.extras, choice.at)
    if not named:
        return choice.mode
    allowed: JsonObject = {"mode": choice.mode, "tools": named}
    return put_extras({"type": "allowed_tools", "allowed_tools": allowed}, extras)


def _encode_function(tool: FunctionTool, writer: PartWriter) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    description = tool.description if writer.is_own else described(tool, writer.notices)
    if description is not None:
        function["description"] = description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters if writer.is_own else with_properties(tool.parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    written: JsonObject = {"type": "function", "function": function}
    writer.report_mark(tool.cache, tool.at)
    if writer.is_own:  # what ``functions`` holds is the function alone
        put_extras(function if tool.at.startswith(_FUNCTIONS) else written, tool.extras)
    return written


def _encode_named(name: str, *, is_custom: bool) -> JsonObject:
    kind = "custom" if is_custom else "function"
    return {"type": kind, kind: {"name": name}}
