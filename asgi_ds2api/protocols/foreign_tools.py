"""What is made of tools of another protocol beyond their names and schemas; no vendor decides that."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from ..canonical import CustomTool, FunctionTool, Notices, Request, Tool, ToolChoice, VendorTool
from ..json_guard import encode_object
from ..json_pieces import fields_of, text_of
from .foreign_searches import is_search

NO_PARAMETERS: Final = Raw(b'{"type":"object","properties":{}}')
"""The schema of a function that takes none."""
_EXAMPLES: Final = "input_examples"
_SENT_ANYWAY: Final[Mapping[str, str]] = {
    "defer_loading": "all tools are sent at once",
    "eager_input_streaming": "arguments are streamed as they come",
}
"""Fields of Anthropic's tools that ask for no more than what happens anyway."""


def described(
    tool: FunctionTool | CustomTool, notices: Notices, reason: str = "the upstream has no such field"
) -> str | None:
    """Return the description of a function, with what else can be said in words; report all its own fields.

    Args:
        tool: Of another protocol.
        notices: Where its fields are reported.
        reason: Why the others have no place.
    """
    description = tool.description
    for name, value in tool.extras.items():
        if name == _EXAMPLES:
            description = f"{description or ''}\n\nExamples of its input: {bytes(value).decode()}".lstrip()
            notices.changed(f"{tool.at}.{name}", "said in the description", action="moved")
        elif name in _SENT_ANYWAY:
            notices.hint(f"{tool.at}.{name}", _SENT_ANYWAY[name])
        else:
            notices.unknown(tool.at, name, reason)
    return description


def with_properties(schema: Raw) -> Raw:
    """Return the schema of a function's parameters as OpenAI wants it: an object says which properties it has."""
    fields = fields_of(schema)
    if text_of(fields.get("type")) != "object" or "properties" in fields:
        return schema
    return Raw(encode_object({**fields, "properties": Raw(b"{}")}))


_TYPE: Final = "type"
"""The extra in which a choice of Responses keeps the type of the vendor's tool that it means."""


def choice_among(sent: Sequence[Tool], request: Request, notices: Notices) -> ToolChoice | VendorTool | None:
    """Return what a request's choice is among the tools that are sent.

    Args:
        sent: In place of the request's tools: each stands where that one does.
        request: As its caller asked.
        notices: Where it is reported that the choice is about nothing, or about a tool that is not sent.

    Returns:
        A tool of the upstream's vendor where it alone has to be called; None: nothing is chosen.
    """
    choice = request.tool_choice
    if choice is None:
        return None
    if not sent or not request.tools:  # a search by a field of its own is none of the tools to choose from
        report = notices.lost if choice.mode in ("required", "named") else notices.hint
        report(choice.at or "tool_choice", "there are no tools to choose from")
        return None
    if choice.mode == "required" and len(sent) == 1 and isinstance(sent[0], VendorTool):
        return sent[0]
    if choice.mode != "named" and _TYPE not in choice.extras:
        return choice
    places = {tool.at for tool in request.tools if _is_meant(tool, choice)}
    chosen = next((tool for tool in sent if tool.at in places), None)
    if chosen is None:
        notices.lost(choice.at or "tool_choice", "the tool that it wants is not sent")
        return replace(choice, mode="auto", names=(), extras={})
    if not isinstance(chosen, VendorTool):
        return choice
    for name in choice.extras.keys() - {_TYPE}:
        notices.unknown(choice.at or "tool_choice", name, "the upstream has no such field")
    return chosen


def _is_meant(tool: Tool, choice: ToolChoice) -> bool:
    kind = text_of(choice.extras.get(_TYPE))
    if kind is None:
        return tool.name in choice.names
    return isinstance(tool, VendorTool) and (tool.type == kind or (is_search(tool.type) and is_search(kind)))
