"""Lends the tools that one vendor defines and the caller executes to everybody else's models, as plain functions.

Anthropic's bash, text editor, memory, computer and browser tools have published inputs. Another vendor's model can
call them as functions of the same shape; the caller gets back the call that its own code expects. A toolset becomes one
function for each member, ``<toolset>__<member>``.

Source: the vendor's tool documentation as collected on 2026-11-22 (``docs/protocols/anthropic-messages.md``).
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from ..canonical import (
    Block,
    BlockStart,
    Event,
    Extras,
    FunctionTool,
    Notices,
    Request,
    Tool,
    ToolCall,
    VendorTool,
)
from ..json_pieces import text_of

SEPARATOR = "__"
_TOOLSET_FIELD = "toolset_name"

_PATH = {"type": "string", "description": "Absolute path."}
_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_POINT = {"type": "array", "items": {"type": "integer"}, "description": "[x, y] in pixels."}
_RANGE = {"type": "array", "items": {"type": "integer"}, "description": "[first line, last line], -1 for the end."}


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool of the vendor's takes."""

    description: str
    properties: Mapping[str, object]
    required: tuple[str, ...] = ()

    def schema(self) -> Raw:
        """Return it as a JSON Schema."""
        return Raw(
            msgspec.json.encode(
                {"type": "object", "properties": dict(self.properties), "required": list(self.required)}
            )
        )


_EDITOR_COMMANDS = ["view", "create", "str_replace", "insert"]
_EDITOR = Signature(
    description="View, create and edit text files.",
    properties={
        "command": {"type": "string", "enum": _EDITOR_COMMANDS},
        "path": _PATH,
        "file_text": _TEXT,
        "old_str": _TEXT,
        "new_str": _TEXT,
        "insert_line": _INTEGER,
        "insert_text": _TEXT,
        "view_range": _RANGE,
    },
    required=("command", "path"),
)
_CLICK = {"coordinate": _POINT, "text": _TEXT}
_TAB = {"tab_id": _TEXT}
_TARGET = {"target": {"description": "An element reference, or [x, y] in pixels."}, "modifiers": _TEXT, **_TAB}

SINGLE: Mapping[str, Signature] = {
    "bash": Signature(
        description="Run a command in a persistent bash session, or restart it.",
        properties={"command": _TEXT, "restart": {"type": "boolean"}},
    ),
    "text_editor": _EDITOR,
    "memory": Signature(
        description="Keep notes in files under /memories.",
        properties={
            "command": {"type": "string", "enum": [*_EDITOR_COMMANDS, "delete", "rename"]},
            "path": _PATH,
            "file_text": _TEXT,
            "old_str": _TEXT,
            "new_str": _TEXT,
            "insert_line": _INTEGER,
            "insert_text": _TEXT,
            "view_range": _RANGE,
            "old_path": _PATH,
            "new_path": _PATH,
        },
        required=("command",),
    ),
    "computer": Signature(
        description="Use a computer's screen, mouse and keyboard.",
        properties={
            "action": _TEXT,
            "coordinate": _POINT,
            "start_coordinate": _POINT,
            "text": _TEXT,
            "scroll_direction": {"type": "string", "enum": ["up", "down", "left", "right"]},
            "scroll_amount": _INTEGER,
            "duration": {"type": "number"},
            "region": {"type": "array", "items": {"type": "integer"}},
        },
        required=("action",),
    ),
}
"""Tools that are one function, by the part of their type before the date."""


def _member(description: str, **properties: object) -> Signature:
    return Signature(description=description, properties=properties)


_SCROLL = {"scroll_direction": _TEXT, "scroll_amount": _INTEGER}
TOOLSETS: Mapping[str, Mapping[str, Signature]] = {
    "computer_toolset": {
        "key": _member("Press a key or a combination.", text=_TEXT, repeat=_INTEGER),
        "hold_key": _member("Hold a key down.", text=_TEXT, duration={"type": "number"}),
        "type": _member("Type text.", text=_TEXT),
        "cursor_position": _member("Tell where the cursor is."),
        "mouse_move": _member("Move the mouse.", coordinate=_POINT),
        "left_mouse_down": _member("Press the left button."),
        "left_mouse_up": _member("Release the left button."),
        "left_click": _member("Click.", **_CLICK),
        "left_click_drag": _member("Drag with the left button.", start_coordinate=_POINT, coordinate=_POINT),
        "right_click": _member("Click with the right button.", **_CLICK),
        "middle_click": _member("Click with the middle button.", **_CLICK),
        "double_click": _member("Click twice.", **_CLICK),
        "triple_click": _member("Click three times.", **_CLICK),
        "scroll": _member("Scroll.", **_SCROLL, **_CLICK),
        "wait": _member("Wait.", duration={"type": "number"}),
        "screenshot": _member("Take a screenshot."),
        "zoom": _member("Look at a region closely.", region={"type": "array", "items": {"type": "integer"}}),
    },
    "browser_toolset": {
        "navigate": _member("Open a URL.", url=_TEXT, **_TAB),
        "list_tabs": _member("List the open tabs."),
        "new_tab": _member("Open a tab.", url=_TEXT),
        "switch_tab": _member("Switch to a tab.", **_TAB),
        "close_tab": _member("Close a tab.", **_TAB),
        "read_page": _member("Read the structure of the page.", **_TAB),
        "get_page_text": _member("Read the text of the page.", **_TAB),
        "read_console": _member("Read the console.", **_TAB),
        "read_network": _member("Read the network log.", **_TAB),
        "find": _member("Find elements.", query=_TEXT, **_TAB),
        "form_input": _member("Fill a form field.", value=_TEXT, **_TARGET),
        "file_upload": _member("Upload a file.", path=_PATH, **_TARGET),
        "scroll_to": _member("Scroll an element into view.", **_TARGET),
        "screenshot": _member("Take a screenshot.", **_TAB),
        "zoom": _member("Look at a region closely.", region={"type": "array", "items": {"type": "integer"}}, **_TAB),
        "left_click": _member("Click.", **_TARGET),
        "right_click": _member("Click with the right button.", **_TARGET),
        "middle_click": _member("Click with the middle button.", **_TARGET),
        "double_click": _member("Click twice.", **_TARGET),
        "triple_click": _member("Click three times.", **_TARGET),
        "hover": _member("Move the mouse over an element.", **_TARGET),
        "left_click_drag": _member("Drag with the left button.", start=_POINT, end=_POINT, **_TAB),
        "mouse_move": _member("Move the mouse.", coordinate=_POINT, **_TAB),
        "scroll": _member("Scroll.", **_SCROLL, **_TARGET),
        "type": _member("Type text.", text=_TEXT, **_TAB),
        "key": _member("Press a key or a combination.", text=_TEXT, **_TAB),
        "hold_key": _member("Hold a key down.", text=_TEXT, duration={"type": "number"}, **_TAB),
        "wait": _member("Wait.", duration={"type": "number"}),
        "javascript_exec": _member("Run JavaScript in the page.", script=_TEXT, **_TAB),
    },
}
"""Tools that are several functions, by the part of their type before the date."""


class ClientTools:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._members: dict[str, tuple[str, str]] = {}

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether the request uses such tools, or their calls, on a protocol that does not define them."""
        if request.source == protocol:
            return False
        has_members = (
            isinstance(b, ToolCall) and _TOOLSET_FIELD in b.extras for m in request.messages for b in m.content
        )
        return any(_is_lent(tool) for tool in request.tools) or any(has_members)

    def request(self, request: Request, notices: Notices) -> Request:
        """Replace the tools by functions, and calls of toolset members in the history by calls of those."""
        tools: list[Tool] = []
        for tool in request.tools:
            tools += self._functions(tool, notices) if isinstance(tool, VendorTool) and _is_lent(tool) else [tool]
        messages = tuple(
            msgspec.structs.replace(message, content=tuple(map(_as_function_call, message.content)))
            for message in request.messages
        )
        return msgspec.structs.replace(request, tools=tuple(tools), messages=messages)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Give calls of toolset members their own name and toolset back."""
        return [self._restore(event) for event in events]

    def _functions(self, tool: VendorTool, notices: Notices) -> list[Tool]:
        notices.changed(tool.at, "sent as functions of the published shape")
        family = _family(tool.type)
        if family in SINGLE:
            signature = SINGLE[family]
            name = tool.name or family
            return [_function(name, signature, tool)]
        functions: list[Tool] = []
        for member, signature in TOOLSETS[family].items():
            name = f"{family}{SEPARATOR}{member}"
            self._members[name] = (family, member)
            functions.append(_function(name, signature, tool))
        return functions

    def _restore(self, event: Event) -> Event:
        match event:
            case BlockStart(block=ToolCall() as call) if call.name in self._members:
                toolset, member = self._members[call.name]
                extras: Extras = {**call.extras, _TOOLSET_FIELD: Raw(msgspec.json.encode(toolset))}
                return msgspec.structs.replace(event, block=msgspec.structs.replace(call, name=member, extras=extras))
            case _:
                return event


def _function(name: str, signature: Signature, tool: VendorTool) -> FunctionTool:
    return FunctionTool(
        name=name, description=signature.description, parameters=signature.schema(), cache=tool.cache, at=tool.at
    )


def _as_function_call(block: Block) -> Block:
    if not isinstance(block, ToolCall) or _TOOLSET_FIELD not in block.extras:
        return block
    toolset = text_of(block.extras[_TOOLSET_FIELD])
    if toolset is None:
        return block  # it names none, and is reported as any field is that nobody knows
    extras = {name: value for name, value in block.extras.items() if name != _TOOLSET_FIELD}
    return msgspec.structs.replace(block, name=f"{toolset}{SEPARATOR}{block.name}", extras=extras)


def _is_lent(tool: Tool) -> bool:
    return (
        isinstance(tool, VendorTool)
        and tool.runs_at == "caller"
        and (_family(tool.type) in SINGLE or _family(tool.type) in TOOLSETS)
    )


def _family(type_name: str) -> str:
    return type_name.rpartition("_")[0]
