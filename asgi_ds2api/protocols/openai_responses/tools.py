"""Tools and the choice among them, both ways.

Tools of a namespace are known everywhere else by their full name, ``namespace__tool``; here they stand in it again. The
format of a free-text tool is kept as Chat writes it, with the grammar in an object of its own.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw

from ...canonical import CustomTool, Extras, FunctionTool, Tool, ToolChoice, VendorTool
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json
from ...json_pieces import JsonField, JsonObject, Shape, bound, fields_of, missing, present, put_extras, text_of
from ..foreign_tools import NO_PARAMETERS, described, with_properties
from . import wire
from .content import PartWriter

NAMESPACE: Final = "namespace"
"""The extra in which a tool and a call keep theirs."""
_JOINT: Final = "__"


def full_name(namespace: str | None, name: str) -> str:
    """Return the name by which a tool is known outside of its namespace."""
    return f"{namespace}{_JOINT}{name}" if namespace else name


def plain_name(name: str, namespace: Raw | None) -> str:
    """Return the name of a tool in its namespace, which is a name, or an object with one."""
    if namespace is None:
        return name
    space = text_of(namespace) or text_of(fields_of(namespace).get("name")) or ""
    return name.removeprefix(f"{space}{_JOINT}")


# --- wire -> ours -----------------------------------------------------------------------------------------------------

_WORD: Final = msgspec.json.Decoder(str)
_FUNCTION: Final = Shape(wire.Function)
_CUSTOM: Final = Shape(wire.Custom)
_SPACE: Final = Shape(wire.Namespace)
_NAMED: Final = Shape(wire.NamedTool)
_ALLOWED: Final = Shape(wire.AllowedTools)


class _Kind(msgspec.Struct):
    type: str
    name: str | None = None
    execution: str | None = None
    environment: JsonField = UNSET


_KIND: Final = msgspec.json.Decoder(_Kind)
_RUN_BY_CALLER: Final = ("local_shell", "shell", "apply_patch", "computer")
"""Beginnings of the types of the vendor's tools that the caller runs."""
_CALLERS_OWN: Final = "local"
"""The environment of a tool that is no container of the vendor's."""


def read_tools(raws: Sequence[Raw], at: str, limits: RequestLimits) -> list[Tool]:
    """Return tools, those of namespaces among the others.

    Args:
        raws: As they came.
        at: Where their list stands.
        limits: What is over one is refused.

    Raises:
        MalformedRequest: With ``param``: a tool without its definition, too much of it.
    """
    bound(len(raws), limits.max_tools, at)
    tools: list[Tool] = []
    for position, raw in enumerate(raws):
        tools += _read_tool(raw, f"{at}[{position}]", limits)
    return tools


def check_names(tools: Sequence[Tool], limits: RequestLimits) -> None:
    """Refuse two tools of one name.

    Raises:
        MalformedRequest: There are such, or too many at all.
    """
    bound(len(tools), limits.max_tools, "tools")
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise MalformedRequest(
                "Invalid value for 'tools': two have the same name.", code="invalid_value", param=tool.at
            )
        if tool.name is not None:
            seen.add(tool.name)


def with_additional(
    tools: Sequence[Tool], additional: Sequence[Tool], limits: RequestLimits
) -> tuple[list[Tool], list[str]]:
    """Return tools with those that came later; of two with one name the later counts, where the earlier stood.

    Returns:
        They, and the places of those that do not count.
    """
    both: dict[str, Tool] = {}
    overruled: list[str] = []
    for tool in (*tools, *additional):
        key = tool.name or tool.at
        if key in both:
            overruled.append(both[key].at)
        both[key] = tool
    bound(len(both), limits.max_tools, "tools")
    return [*both.values()], overruled


def decode_choice(raw: Raw | None, tools: Sequence[Tool]) -> ToolChoice | None:
    """Return the choice among tools; None: nothing is said.

    Raises:
        MalformedRequest: With ``param``: it is no choice, or names a tool that is not there.
    """
    if raw is None:
        return None
    choice = _read_choice(raw, "tool_choice")
    if not tools and choice.mode in ("required", "named"):
        raise MalformedRequest(
            "Invalid value for 'tool_choice': it is only allowed when 'tools' are specified.",
            code="invalid_value",
            param="tool_choice",
        )
    if not {*choice.names} <= {tool.name for tool in tools}:
        raise MalformedRequest(
            "Invalid value for 'tool_choice': it names a tool that is not among 'tools'.",
            code="invalid_value",
            param="tool_choice",
        )
    return choice


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


def _read_tool(raw: Raw, at: str, limits: RequestLimits) -> list[Tool]:
    kind = decode_json(_KIND, raw, at)
    match kind.type:
        case "function":
            function, extras = _FUNCTION.read(raw, at)
            check_schema(function.parameters, f"{at}.parameters", limits)
            return [
                FunctionTool(
                    name=function.name,
                    description=function.description,
                    parameters=present(function.parameters),
                    strict=function.strict,
                    extras=extras,
                    at=at,
                )
            ]
        case "custom":
            custom, extras = _CUSTOM.read(raw, at)
            format_ = _decode_format(present(custom.format))
            return [CustomTool(name=custom.name, description=custom.description, format=format_, extras=extras, at=at)]
        case "namespace":
            return _read_namespace(raw, at, limits)
        case _:
            return [
                VendorTool(
                    protocol=wire.NAME,
                    type=kind.type,
                    name=kind.name,
                    raw=raw,
                    runs_at="caller" if _is_run_by_caller(kind) else "provider",
                    at=at,
                )
            ]


def _is_run_by_caller(kind: _Kind) -> bool:
    """Tell whether a tool of the vendor's is run by the caller: not in a container that the vendor lends."""
    where = text_of(fields_of(present(kind.environment)).get("type"))
    if where is not None and where != _CALLERS_OWN:
        return False
    return kind.execution == "client" or kind.type.startswith(_RUN_BY_CALLER)


def _read_namespace(raw: Raw, at: str, limits: RequestLimits) -> list[Tool]:
    space, unknown = _SPACE.read(raw, at)
    described = {} if space.description is None else {"description": space.description}
    told = Raw(msgspec.json.encode({"name": space.name, **described, **unknown}))
    tools: list[Tool] = []
    for tool in read_tools(space.tools, f"{at}.tools", limits):
        if isinstance(tool, VendorTool):
            raise MalformedRequest(
                "A namespace holds functions and custom tools.", code="invalid_value", param=f"{tool.at}.type"
            )
        name = full_name(space.name, tool.name)
        tools.append(msgspec.structs.replace(tool, name=name, extras={**tool.extras, NAMESPACE: told}))
    return tools


def _decode_format(raw: Raw | None) -> Raw | None:
    """Return the format of a free-text tool as Chat writes it."""
    fields = fields_of(raw)
    if text_of(fields.get("type")) != "grammar" or "grammar" in fields:
        return raw
    grammar = {name: value for name, value in fields.items() if name != "type"}
    return Raw(msgspec.json.encode({"type": "grammar", "grammar": grammar}))


def _read_choice(raw: Raw, at: str) -> ToolChoice:
    if bytes(raw).startswith(b'"'):
        return ToolChoice(mode=_mode(decode_json(_WORD, raw, at), at), at=at)
    kind = decode_json(_KIND, raw, at).type
    match kind:
        case "function" | "custom":
            tool, extras = _NAMED.read(raw, at)
            space = text_of(extras.get(NAMESPACE))
            return ToolChoice(mode="named", names=(full_name(space, tool.name),), extras=extras, at=at)
        case "allowed_tools":
            return _read_allowed(raw, at)
        case _:  # a tool of the vendor's own, which has no name
            fields = {name: value for name, value in fields_of(raw).items() if name != "type"}
            return ToolChoice(mode="required", extras={"type": Raw(msgspec.json.encode(kind)), **fields}, at=at)


def _read_allowed(raw: Raw, at: str) -> ToolChoice:
    choice, extras = _ALLOWED.read(raw, at)
    names: list[str] = []
    kept: Extras = {}
    for position, item in enumerate(choice.tools):
        place = f"{at}.tools[{position}]"
        if decode_json(_KIND, item, place).type not in ("function", "custom"):
            extras["tools"] = Raw(msgspec.json.encode(choice.tools))
            return ToolChoice(mode=choice.mode, extras=extras, at=at)
        tool, more = _NAMED.read(item, place)
        names.append(full_name(text_of(more.pop(NAMESPACE, None)), tool.name))
        kept |= {f"tools[{position}].{name}": value for name, value in more.items()}
    if not names:
        raise missing(f"{at}.tools")
    return ToolChoice(mode=choice.mode, names=tuple(names), extras={**extras, **kept}, at=at)


def _mode(word: str, at: str) -> Literal["auto", "none", "required"]:
    match word:
        case "auto" | "none" | "required":
            return word
        case _:
            raise MalformedRequest(
                f"Invalid value for '{at}': supported are 'none', 'auto', 'required', a tool, and allowed tools.",
                code="invalid_value",
                param=at,
            )


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_tools(tools: Sequence[Tool], writer: PartWriter) -> list[JsonObject | Raw]:
    """Return tools as JSON, those of a namespace in it.

    Raises:
        Unsupported: One is another vendor's.
    """
    written: list[JsonObject | Raw] = []
    spaces: dict[bytes, list[JsonObject]] = {}
    for tool in tools:
        if isinstance(tool, VendorTool):
            written.append(_vendors_own(tool))
            continue
        told = tool.extras.get(NAMESPACE) if writer.is_own else None
        if told is None:
            written.append(_encode_tool(tool, tool.name, tool.extras, writer))
            continue
        extras = {name: value for name, value in tool.extras.items() if name != NAMESPACE}
        inner = _encode_tool(tool, plain_name(tool.name, told), extras, writer)
        if bytes(told) not in spaces:
            spaces[bytes(told)] = []
            written.append({"type": NAMESPACE, **fields_of(told), "tools": spaces[bytes(told)]})
        spaces[bytes(told)].append(inner)
    return written


def _vendors_own(tool: VendorTool) -> Raw:
    if tool.protocol != wire.NAME:
        raise Unsupported("Only the vendor that defined this tool runs it.", param=tool.at and f"{tool.at}.type")
    return tool.raw


def _encode_tool(tool: FunctionTool | CustomTool, name: str, extras: Extras, writer: PartWriter) -> JsonObject:
    writer.report_mark(tool.cache, tool.at)
    written: JsonObject = {"type": "function" if isinstance(tool, FunctionTool) else "custom", "name": name}
    is_plain = writer.is_own or isinstance(tool, CustomTool)
    description = tool.description if is_plain else described(tool, writer.notices)
    if description is not None:
        written["description"] = description
    if isinstance(tool, CustomTool):
        if tool.format is not None:
            written["format"] = _encode_format(tool.format)
        return put_extras(written, writer.own(extras, tool.at))
    if not writer.is_own:
        written["parameters"] = with_properties(NO_PARAMETERS if tool.parameters is None else tool.parameters)
    elif tool.parameters is not None:
        written["parameters"] = tool.parameters
    if tool.strict is not None or not writer.is_own:
        written["strict"] = bool(tool.strict)  # left out, the vendor would try to be strict
    return put_extras(written, extras) if writer.is_own else written


def _encode_format(raw: Raw) -> Raw:
    """Return the format of a free-text tool as this protocol writes it."""
    fields = fields_of(raw)
    grammar = fields_of(fields.get("grammar"))
    if not grammar:
        return raw
    rest = {name: value for name, value in fields.items() if name != "grammar"}
    return Raw(msgspec.json.encode({**rest, **grammar}))


def encode_choice(choice: ToolChoice | VendorTool, tools: Sequence[Tool], writer: PartWriter) -> object:
    """Return the choice among tools as JSON."""
    if isinstance(choice, VendorTool):
        return {"type": choice.type}
    extras = writer.own(choice.extras, choice.at)
    if "type" in extras:
        return extras
    if "tools" in extras:
        return {"type": "allowed_tools", "mode": choice.mode, **extras}
    known = {tool.name: tool for tool in tools if not isinstance(tool, VendorTool)}
    named = [_encode_named(name, known.get(name), writer) for name in choice.names]
    if choice.mode == "named":
        return put_extras(named[0], extras)
    if not named:
        return choice.mode
    return put_extras({"type": "allowed_tools", "mode": choice.mode, "tools": named}, extras)


def _encode_named(name: str, tool: FunctionTool | CustomTool | None, writer: PartWriter) -> JsonObject:
    kind = "custom" if isinstance(tool, CustomTool) else "function"
    told = tool.extras.get(NAMESPACE) if tool is not None and writer.is_own else None
    if told is None:
        return {"type": kind, "name": name}
    return {"type": kind, "name": plain_name(name, told), NAMESPACE: fields_of(told).get("name")}
