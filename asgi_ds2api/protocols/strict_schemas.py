"""JSON Schemas of other vendors, put into the form to which OpenAI and its look-alikes hold a model (``strict``).

That form has closed objects that require each of their fields, and few keywords; what has another is refused as a
whole. The rules are those of the vendor's own SDK (``lib/_pydantic.py``, 3.57). Others hold a model to schemas with
optional fields as well. Such a schema is narrowed where every answer that fits it still fits the caller's:

1. An object that says nothing of other fields is closed.
2. A field that may be left out and may be null is required: its absence is said by null.
3. What annotates a reference stands around it; a default, which nobody fills in, is left out.

A schema that needs more is asked for without ``strict``, and that is reported.
"""

import re
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ..canonical import FunctionTool, Notices, OutputFormat, Request
from ..profiles import Profile

Node: TypeAlias = dict[str, object]

_OWN: Final = frozenset({"openai_chat", "openai_responses"})
_REFUSED: Final = re.compile(r"invalid (?:json )?schema for (?:response_format|text\.format|function)", re.IGNORECASE)
_DEFINITIONS: Final = ("$defs", "definitions")
_PLAIN: Final = frozenset(
    {
        "$id", "$schema", "const", "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems",
        "maxLength", "maximum", "minItems", "minLength", "minimum", "multipleOf", "pattern", "title", "type",
    }
)  # fmt: skip
_OBJECT: Final = frozenset({"additionalProperties", "properties", "required"})
_IDLE: Final = frozenset({"$comment", "default", "examples"})
_KNOWN: Final = frozenset({*_PLAIN, *_OBJECT, *_DEFINITIONS, "$ref", "anyOf", "items"})


def fit_schemas(request: Request, profile: Profile, notices: Notices) -> Request:
    """Return a request with the schemas that its model is held to as this vendor takes them.

    What clients of the vendor's own protocols say passes as it is: they know its form, and say ``strict`` if they mean
    it. At other vendors an answer is held to its schema unless that is said not to be.

    Args:
        request: Of any protocol.
        profile: The vendor's.
        notices: Where it is reported what is another now.
    """
    if request.source in _OWN:
        return request
    wanted, tools = request.output_format, request.tools
    if wanted is not None and wanted.kind == "json_schema":
        wanted = replace(wanted, strict=wanted.strict is not False)
    if profile.closed_when_strict:
        tools = tuple([_fit_tool(tool, notices) if isinstance(tool, FunctionTool) else tool for tool in tools])
        wanted = _fit_format(wanted, notices)
    return replace(request, tools=tools, output_format=wanted)


def _fit_format(wanted: OutputFormat | None, notices: Notices) -> OutputFormat | None:
    if wanted is None or wanted.kind != "json_schema":
        return wanted
    schema, strict = _fit(wanted.schema, wanted.strict is True, wanted.at, notices)
    return replace(wanted, schema=schema, strict=strict)


def _fit_tool(tool: FunctionTool, notices: Notices) -> FunctionTool:
    if not tool.strict:
        return tool
    parameters, strict = _fit(tool.parameters, True, f"{tool.at}.strict", notices)
    return replace(tool, parameters=parameters, strict=strict)


def _fit(schema: Raw | None, strict: bool, at: str, notices: Notices) -> tuple[Raw | None, bool]:
    if not strict or schema is None:
        return schema, strict
    narrowed = narrow(schema)
    if narrowed is None:
        reason = "the vendor holds a model to closed objects that require all their fields alone: it is only asked"
        notices.changed(at, reason, action="coerced")
        return schema, False
    if narrowed is not schema:
        notices.changed(at, "objects are closed, and fields that may be null are required", action="coerced")
    return narrowed, True


def let_go(request: Request, message: str, notices: Notices) -> Request | None:
    """Return a request whose schemas the model is only asked to follow; None: the vendor did not object to them.

    Args:
        request: As it was encoded.
        message: What the vendor said.
        notices: Where it is reported.
    """
    if not _REFUSED.search(message):
        return None
    wanted = request.output_format
    if wanted is not None and wanted.kind == "json_schema" and wanted.strict is not False:
        notices.changed(
            wanted.at, "the vendor does not hold a model to this schema: it is only asked", action="coerced"
        )
        wanted = replace(wanted, strict=False)
    tools = tuple([_let_tool_go(tool, notices) if isinstance(tool, FunctionTool) else tool for tool in request.tools])
    return replace(request, tools=tools, output_format=wanted)


def _let_tool_go(tool: FunctionTool, notices: Notices) -> FunctionTool:
    if not tool.strict:
        return tool
    notices.changed(f"{tool.at}.strict", "the vendor does not hold a model to this schema", action="coerced")
    return replace(tool, strict=False)


def narrow(schema: Raw) -> Raw | None:
    """Return a schema in that form, the same if it has it already; None: it cannot be without another meaning."""
    try:
        root = msgspec.json.decode(schema)
    except msgspec.MsgspecError:
        return None
    if not isinstance(root, dict) or root.get("type") != "object" or "anyOf" in root:
        return None
    narrowed: Node = {}
    open_: list[tuple[object, Node | list[object], str | int]] = []
    if not _copy(root, narrowed, open_):
        return None
    while open_:  # a stranger's schema: no recursion
        source, parent, place = open_.pop()
        copy: Node = {}
        if not isinstance(source, dict) or not _copy(source, copy, open_):
            return None
        parent[place] = copy  # type: ignore[index]  # a place is of its parent's kind
    return schema if narrowed == root else Raw(msgspec.json.encode(narrowed))


def _copy(source: Node, copy: Node, open_: list[tuple[object, Node | list[object], str | int]]) -> bool:
    """Copy a node, and put its parts on the list of what is still to be copied; False: it has no such form."""
    if not source.keys() <= _KNOWN | _IDLE or not source:
        return False
    source = {name: value for name, value in source.items() if name not in _IDLE}
    if "$ref" in source and len(source) > 1:
        copy |= {name: value for name, value in source.items() if name != "$ref"}
        copy["anyOf"] = [{"$ref": source["$ref"]}]
        return source.keys() <= {"$ref", "description", "title"}
    copy |= source
    if _is_object(source) and not _close(source, copy):
        return False
    for name in (*_DEFINITIONS, "properties"):
        if name in source and not _copy_each(source[name], copy, name, open_):
            return False
    if "items" in source:
        open_.append((source["items"], copy, "items"))
    if "anyOf" not in source:
        return True
    choices = source["anyOf"]
    if not isinstance(choices, list) or not choices:
        return False
    copies: list[object] = [None] * len(choices)
    copy["anyOf"] = copies
    open_ += [(choice, copies, number) for number, choice in enumerate(choices)]
    return True


def _copy_each(
    given: object, copy: Node, name: str, open_: list[tuple[object, Node | list[object], str | int]]
) -> bool:
    if not isinstance(given, dict):
        return False
    copies: Node = dict.fromkeys(given)  # in the caller's order
    copy[name] = copies
    open_ += [(part, copies, key) for key, part in given.items()]
    return True


def _is_object(source: Node) -> bool:
    kind = source.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or not _OBJECT.isdisjoint(source)


def _close(source: Node, copy: Node) -> bool:
    """Close an object and require all its fields; False: it is open, or a field may be absent and may not be null."""
    fields, required = source.get("properties"), source.get("required", [])
    is_closed = source.get("additionalProperties", False) is False
    if not (is_closed and isinstance(fields, dict) and isinstance(required, list)):
        return False
    if not all(isinstance(name, str) for name in required):
        return False
    absent = [name for name in fields if name not in required]
    if any(name not in fields for name in required) or not all(_may_be_null(fields[name]) for name in absent):
        return False
    copy["additionalProperties"] = False
    copy["required"] = [*required, *absent]
    return True


def _may_be_null(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    kind, choices = schema.get("type"), schema.get("anyOf")
    if isinstance(choices, list):
        return any(_may_be_null(choice) for choice in choices)
    is_allowed = kind == "null" or (isinstance(kind, list) and "null" in kind)
    values = schema.get("enum", [None])
    return is_allowed and isinstance(values, list) and None in values and "const" not in schema
