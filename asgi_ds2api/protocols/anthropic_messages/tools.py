"""Tools and the choice among them, both ways.

A tool without a ``type``, or with ``custom``, is a function of the caller's. Every other one is defined by the vendor:
the caller executes those of a few families, the vendor all others.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, assert_never

import msgspec
from msgspec import Raw

from ...canonical import CacheMark, CustomTool, Extras, FunctionTool, Tool, ToolChoice, VendorTool
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json, encode_object
from ...json_pieces import set_fields, without_null
from . import wire
from .blocks import BlockWriter, JsonObject, decode_mark, encode_mark, read_mark

# --- wire -> ours -----------------------------------------------------------------------------------------------------


class _Vendor(msgspec.Struct):
    type: str | None = None
    name: str | None = None


_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TOOLS: Final = msgspec.json.Decoder(list[Raw] | None)
_TOOL: Final = msgspec.json.Decoder(wire.Tool)
_VENDOR: Final = msgspec.json.Decoder(_Vendor)
_CHOICE: Final = msgspec.json.Decoder(wire.ToolChoice)

_RUN_BY_CALLER: Final = re.compile(r"(?:bash|text_editor|memory|computer|computer_toolset|browser_toolset)_[0-9]{8}")

Mode = Literal["auto", "none", "required", "named"]
_MODES: Final[Mapping[str, Mode]] = {"auto": "auto", "none": "none", "any": "required", "tool": "named"}
_TYPES: Final[Mapping[Mode, str]] = {mode: kind for kind, mode in _MODES.items()}


def decode_tools(tools: Sequence[wire.Tool], limits: RequestLimits) -> tuple[Tool, ...]:
    """Return tools of known shape: functions of the caller's.

    Raises:
        MalformedRequest: Too many, a schema that is none, or two of one name.
    """
    _check_count(len(tools), limits)
    return _checked([_function(tool, f"tools[{i}]", {}, limits) for i, tool in enumerate(tools)])


def read_tools(raw: Raw, limits: RequestLimits) -> tuple[Tool, ...]:
    """Return tools of any shape.

    Raises:
        MalformedRequest: As `decode_tools`; or no list of objects.
    """
    tools = decode_json(_TOOLS, raw, "tools") or []
    _check_count(len(tools), limits)
    return _checked([_read_tool(tool, f"tools[{i}]", limits) for i, tool in enumerate(tools)])


def decode_choice(choice: wire.ToolChoice, extras: Extras) -> tuple[ToolChoice, bool | None]:
    """Return the choice, and whether several calls at once are wanted; None: not said.

    Raises:
        MalformedRequest: A tool must be named, or may not be.
    """
    if (choice.name is not None) != (choice.type == "tool"):
        raise MalformedRequest(
            "Name a tool with the type 'tool', and with no other.", code="invalid_value", param="tool_choice.name"
        )
    names = () if choice.name is None else (choice.name,)
    disabled = choice.disable_parallel_tool_use
    decoded = ToolChoice(mode=_MODES[choice.type], names=names, extras=extras, at="tool_choice")
    return decoded, None if disabled is None else not disabled


def read_choice(raw: Raw) -> tuple[ToolChoice, bool | None]:
    """Return a choice with unknown fields; as `decode_choice`."""
    fields = decode_json(_OBJECT, raw, "tool_choice")
    names = wire.ToolChoice.__struct_fields__
    known = {name: value for name, value in fields.items() if name in names}
    unknown = {name: value for name, value in fields.items() if name not in names}
    return decode_choice(decode_json(_CHOICE, encode_object(known), "tool_choice"), without_null(unknown))


def _read_tool(raw: Raw, at: str, limits: RequestLimits) -> Tool:
    vendor = decode_json(_VENDOR, raw, at)
    fields = decode_json(_OBJECT, raw, at)
    mark = read_mark(fields.pop("cache_control", None), f"{at}.cache_control")
    if vendor.type not in (None, "custom"):
        assert vendor.type is not None
        runs_at: Literal["caller", "provider"] = "caller" if _RUN_BY_CALLER.fullmatch(vendor.type) else "provider"
        return VendorTool(
            protocol=wire.NAME, type=vendor.type, name=vendor.name, raw=raw, runs_at=runs_at, cache=mark, at=at
        )
    names = wire.Tool.__struct_fields__
    known = {name: value for name, value in fields.items() if name in names}
    unknown = {name: value for name, value in fields.items() if name not in names}
    tool = _function(decode_json(_TOOL, encode_object(known), at), at, without_null(unknown), limits)
    return tool if mark is None else msgspec.structs.replace(tool, cache=mark)


def _function(tool: wire.Tool, at: str, unknown: Extras, limits: RequestLimits) -> FunctionTool:
    check_schema(tool.input_schema, f"{at}.input_schema", limits)
    own = set_fields(tool, "allowed_callers", "defer_loading", "eager_input_streaming", "input_examples")
    return FunctionTool(
        name=tool.name,
        description=tool.description,
        parameters=tool.input_schema,
        strict=tool.strict,
        cache=decode_mark(tool.cache_control),
        extras={**own, **unknown},
        at=at,
    )


def check_schema(schema: Raw, at: str, limits: RequestLimits) -> None:
    """Refuse a JSON Schema that is no object, or too large.

    Raises:
        MalformedRequest: It is.
    """
    text = bytes(schema)
    if not text.startswith(b"{"):
        raise MalformedRequest(f"Invalid type for '{at}': expected an object.", code="invalid_type", param=at)
    if len(text) > limits.max_schema_bytes:
        raise MalformedRequest(f"A schema may have {limits.max_schema_bytes} bytes.", param=at)


def _check_count(count: int, limits: RequestLimits) -> None:
    if count > limits.max_tools:
        raise MalformedRequest(f"At most {limits.max_tools} tools are read here.", param="tools")


def _checked(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise MalformedRequest("Tool names must be unique.", code="tool_name_conflict", param=f"{tool.at}.name")
        if tool.name is not None:
            seen.add(tool.name)
    return tuple(tools)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_tool(tool: Tool, writer: BlockWriter) -> object:
    """Return a tool as JSON.

    Raises:
        Unsupported: It is another vendor's.
    """
    match tool:
        case FunctionTool():
            written: JsonObject = {"name": tool.name}
            if tool.description is not None:
                written["description"] = tool.description
            written["input_schema"] = {"type": "object"} if tool.parameters is None else tool.parameters
            if tool.strict is not None:
                written["strict"] = tool.strict
            return _with_mark({**written, **writer.own(tool.extras, tool.at)}, tool.cache)
        case VendorTool() if tool.protocol == wire.NAME:
            return tool.raw
        case VendorTool() | CustomTool():
            raise Unsupported("Anthropic has no tool of this type.", param=tool.at and f"{tool.at}.type")
        case _:
            assert_never(tool)


def encode_choice(choice: ToolChoice | None, is_parallel: bool | None, writer: BlockWriter) -> JsonObject | None:
    """Return the choice as JSON; None: there is nothing to say."""
    if choice is None and is_parallel is None:
        return None
    choice = choice or ToolChoice(mode="auto")
    written: JsonObject = {"type": _TYPES[choice.mode]}
    if choice.mode == "named":
        written["name"] = choice.names[0]
    if is_parallel is not None:
        written["disable_parallel_tool_use"] = not is_parallel
    return {**written, **writer.own(choice.extras, choice.at)}


def _with_mark(written: JsonObject, mark: CacheMark | None) -> JsonObject:
    return written if mark is None else {**written, "cache_control": encode_mark(mark)}
