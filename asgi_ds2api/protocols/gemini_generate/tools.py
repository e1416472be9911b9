"""Tools and the choice among them, both ways.

One object of the vendor's may declare many functions and hold tools that the vendor runs. Here each is a tool of its
own; written again, all functions stand in one object, and each other tool in one of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from ...canonical import (
    CustomTool,
    Extras,
    FunctionTool,
    Notices,
    Request,
    Tool,
    ToolChoice,
    VendorTool,
)
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_pieces import JsonObject, fields_of, missing, put_extras, text_of
from ..foreign_tools import described
from . import wire
from .parts import PartWriter
from .schema import check_size, fit_schema, from_openapi, to_openapi
from .wire import Shape

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_KINDS: Final = (
    "googleSearch",
    "googleSearchRetrieval",
    "urlContext",
    "codeExecution",
    "googleMaps",
    "computerUse",
    "mcpServers",
    "fileSearch",
    "retrieval",
    "enterpriseWebSearch",
    "parallelAiSearch",
    "exaAiSearch",
)
"""Tools other than functions. The vendor runs all but the computer."""
_TOOL: Final = Shape("functionDeclarations", *_KINDS)
_FUNCTION: Final = Shape("name", "description", "parameters", "parametersJsonSchema")
_CONFIG: Final = Shape("functionCallingConfig")
_CALLING: Final = Shape("mode", "allowedFunctionNames")


def decode_tools(raw: Raw, limits: RequestLimits) -> tuple[Tool, ...]:
    """Return the tools of a request.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
    """
    tools: list[Tool] = []
    for position, item in enumerate(wire.items(raw, "tools")):
        at = f"tools[{position}]"
        known, others = _TOOL.read(item, at)
        functions = known.pop("functionDeclarations", None)
        if functions is not None:
            place = f"{at}.functionDeclarations"
            tools += [_function(f, f"{place}[{i}]", limits) for i, f in enumerate(wire.items(functions, place))]
        if others:
            tools.append(_vendor(next(iter(others)), {**known, **others}, at))
        else:
            tools += [_vendor(name, {name: value}, f"{at}.{name}") for name, value in known.items()]
        if len(tools) > limits.max_tools:
            raise MalformedRequest(f"At most {limits.max_tools} tools are read here.", param="tools")
    return tuple(tools)


def _function(raw: Raw, at: str, limits: RequestLimits) -> FunctionTool:
    fields, extras = _FUNCTION.read(raw, at)
    if "name" not in fields:
        raise missing(f"{at}.name")
    parameters = fields.get("parametersJsonSchema")
    if parameters is not None:
        place = f"{at}.parametersJsonSchema"
        Shape().read(parameters, place)
        check_size(parameters, place, limits.max_schema_bytes)
    elif "parameters" in fields:
        place = f"{at}.parameters"
        check_size(fields["parameters"], place, limits.max_schema_bytes)
        parameters = from_openapi(fields["parameters"], place)
    return FunctionTool(
        name=wire.text(fields["name"], f"{at}.name"),
        description=wire.text(fields["description"], f"{at}.description") if "description" in fields else None,
        parameters=parameters,
        extras=extras,
        at=at,
    )


def _vendor(kind: str, fields: Mapping[str, Raw], at: str) -> VendorTool:
    is_own = kind == "computerUse"
    return VendorTool(
        protocol=wire.NAME,
        type=kind,
        name=None,
        raw=wire.raw_of(fields),
        runs_at="caller" if is_own else "provider",
        at=at,
    )


_MODES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}
_AT: Final = "toolConfig.functionCallingConfig"


def decode_choice(raw: Raw) -> tuple[ToolChoice | None, Extras]:
    """Return the choice of ``toolConfig``, and what else it says, by path.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    config, others = _CONFIG.read(raw, "toolConfig")
    extras = wire.within("toolConfig", others)
    if "functionCallingConfig" not in config:
        return None, extras
    fields, unknown = _CALLING.read(config["functionCallingConfig"], _AT)
    spelled = wire.word(fields["mode"], f"{_AT}.mode") if "mode" in fields else "MODE_UNSPECIFIED"
    mode = _MODES.get(spelled)
    if mode is None:
        raise MalformedRequest(f"Invalid value for '{_AT}.mode'.", code="invalid_value", param=f"{_AT}.mode")
    names = wire.texts(fields["allowedFunctionNames"], f"{_AT}.allowedFunctionNames") if (
        "allowedFunctionNames" in fields
    ) else ()  # fmt: skip
    if mode == "required" and len(names) == 1:
        mode = "named"
    if spelled == "VALIDATED":
        unknown = {"mode": wire.raw_of(spelled), **unknown}
    return ToolChoice(mode=mode, names=names, extras=unknown, at=_AT), extras  # type: ignore[arg-type]  # of _MODES


# --- ours -> wire -----------------------------------------------------------------------------------------------------

LOWERED: Final = "gemini.parameters"
"""Extra of a function whose parameters a repair has put into the vendor's own dialect."""

_IDLE: Final = frozenset({"additionalProperties", "$schema"})
"""What a schema of no arguments may have, and says nothing."""


def encode_tools(tools: Sequence[Tool], writer: PartWriter, notices: Notices, *, in_json_schema: bool) -> list[object]:
    """Return tools as JSON.

    Args:
        tools: Of a request.
        writer: Knows what is native.
        notices: Where losses are reported.
        in_json_schema: The upstream reads JSON Schema; else parameters are lowered to its own dialect.

    Raises:
        Unsupported: A tool that nothing can stand in for.
    """
    functions: list[JsonObject] = []
    others: list[object] = []
    for tool in tools:
        match tool:
            case FunctionTool():
                functions.append(_encode_function(tool, writer, notices, in_json_schema=in_json_schema))
            case VendorTool(protocol=wire.NAME):
                others.append(tool.raw)
            case VendorTool() | CustomTool():
                raise Unsupported("The upstream has no such tool.", param=tool.at or None)
    return [*([{"functionDeclarations": functions}] if functions else []), *others]


def _encode_function(tool: FunctionTool, writer: PartWriter, notices: Notices, *, in_json_schema: bool) -> JsonObject:
    written: JsonObject = {"name": tool.name}
    extras = dict(tool.extras)
    lowered = extras.pop(LOWERED, None)
    foreign = replace(tool, extras=extras)
    description = tool.description if writer.is_native else described(foreign, notices, "Gemini has no such field")
    if description is not None:
        written["description"] = description
    if tool.cache is not None:
        notices.hint(tool.cache.at or f"{tool.at}.cache_control", "Gemini caches prompts by itself")
    if tool.parameters is not None and not writer.is_native and _is_empty(tool.parameters):
        for name in _IDLE & fields_of(tool.parameters).keys():
            notices.hint(f"{tool.at}.parameters.{name}", "no arguments are told of by saying nothing")
    elif tool.parameters is not None:
        if in_json_schema:
            written["parametersJsonSchema"] = (
                tool.parameters if writer.is_native else fit_schema(tool.parameters, f"{tool.at}.parameters")
            )
        else:
            written["parameters"] = to_openapi(tool.parameters, f"{tool.at}.parameters", notices)
    if lowered is not None:
        written["parameters"] = lowered
    return put_extras(written, extras) if writer.is_native else written


def _is_empty(schema: Raw) -> bool:
    """Tell whether a function takes no arguments, which the vendor wants to be told by saying nothing."""
    fields = fields_of(schema)
    if text_of(fields.get("type")) not in (None, "object"):
        return False
    return not (fields.keys() - {"type", "properties", "required"} - _IDLE) and (
        not fields_of(fields.get("properties"))
    )


def encode_choice(request: Request, writer: PartWriter, notices: Notices) -> JsonObject | None:
    """Return ``functionCallingConfig``; None: the model chooses, as it does unless told."""
    choice = request.tool_choice
    strict = [f"{tool.at}.strict" for tool in request.tools if isinstance(tool, FunctionTool) and tool.strict]
    if choice is None or (choice.mode == "auto" and not choice.names and not choice.extras):
        for at in strict:
            notices.changed(at, "strict functions are said for all functions: calls are validated")
        if strict:
            return {"mode": "VALIDATED"}
        return None if choice is None or not writer.is_native else {"mode": "AUTO"}
    for at in strict if not writer.is_native else ():
        notices.hint(at, "a forced call is valid anyway" if choice.mode != "none" else "nothing is called")
    mode = {"auto": "VALIDATED" if choice.names else "AUTO", "none": "NONE"}.get(choice.mode, "ANY")
    written: JsonObject = {"mode": mode}
    if choice.names:
        written["allowedFunctionNames"] = choice.names
    return put_extras(written, writer.own(choice.extras, choice.at))
