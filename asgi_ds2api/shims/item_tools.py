"""Lends the tools of the Responses protocol that the caller runs to everybody else's models, as plain functions.

``local_shell``, ``shell``, ``apply_patch`` and a ``tool_search`` of the caller's have items of their own for their
calls and outputs (``item_forms``). Here the tool is a function, its items in the history are calls and results, and a
call of it in the answer is an item again. It is held back until it is whole, as half an action is none; arguments that
no item can hold come back as a ``function_call``, so that the caller can say what is wrong with them.

Tools that a search found stand among the others from then on. Where the vendor would search there is nothing to search
for: all tools are told at once, those too whose loading is put off.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw

from ..canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    CustomTool,
    Event,
    FunctionTool,
    Message,
    Notices,
    Opaque,
    Request,
    Tool,
    ToolCall,
    ToolChoice,
    VendorTool,
)
from ..codec import DEFAULT_LIMITS
from ..errors import Unsupported
from ..json_pieces import fields_of, items_of, text_of
from ..protocols.openai_responses.tools import full_name, read_tools, with_additional
from .item_forms import (
    FORMS,
    PROTOCOL,
    TOOL_OF_CALL,
    TOOL_OF_OUTPUT,
    TOOL_SEARCH,
    call_of,
    id_of,
    is_searched_by_client,
    item_of,
    result_of,
)

_DEFERRED = "defer_loading"
_ITEMS = frozenset({*TOOL_OF_CALL, *TOOL_OF_OUTPUT})
_FOUND = FORMS[TOOL_SEARCH].output
_SEARCHES = frozenset({FORMS[TOOL_SEARCH].call, _FOUND})


class ItemTools:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        """Type of each such tool -> the name of its function."""
        self._types: dict[str, str] = {}
        """The other way round, of those that may be called."""
        self._found: list[Tool] = []
        self._open: dict[int, tuple[BlockStart, ToolCall, list[str]]] = {}

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether the request has such tools, or their items, and goes to an upstream that has none."""
        if request.source != PROTOCOL or protocol == PROTOCOL:
            return False
        return any(map(_is_touched, request.tools)) or any(map(_is_item, _blocks(request.messages)))

    def request(self, request: Request, notices: Notices) -> Request:
        """Replace the tools by functions, and their items by calls and results.

        Raises:
            Unsupported: The vendor searched for tools: what it found is known to nobody else.
            MalformedRequest: A tool that was found is none.
        """
        taken = {tool.name for tool in request.tools}
        for type_ in FORMS:
            name = self._names[type_] = _free(type_, taken)
            taken.add(name)
        self._found = _found(request.messages)
        tools, redefined = with_additional(request.tools, self._found, DEFAULT_LIMITS)
        notices.overruled(redefined)
        call_ids = _call_ids(request.messages)
        return msgspec.structs.replace(
            request,
            tools=tuple(self._told(tools, notices)),
            tool_choice=self._chosen(request.tool_choice),
            messages=tuple([self._as_message(message, call_ids, notices) for message in request.messages]),
        )

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Turn calls of these functions into items."""
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=ToolCall(kind="function") as call) if call.name in self._types:
                    self._open[event.index] = (event, call, [call.arguments])
                case ArgumentsDelta() if event.index in self._open:
                    self._open[event.index][2].append(event.arguments)
                case BlockStop() if event.index in self._open:
                    start, call, pieces = self._open.pop(event.index)
                    whole = msgspec.structs.replace(call, arguments="".join(pieces))
                    item = item_of(whole, self._types[call.name])
                    out += (msgspec.structs.replace(start, block=whole if item is None else item), event)
                case _:
                    out.append(event)
        return out

    # --- tools --------------------------------------------------------------------------------------------------------

    def _told(self, tools: Iterable[Tool], notices: Notices) -> list[Tool]:
        told: list[Tool] = []
        for tool in tools:
            match tool:
                case VendorTool(type=type_) if type_ == TOOL_SEARCH and tool.runs_at == "provider":
                    notices.changed(tool.at, "all tools are told at once", action="dropped")
                case VendorTool() if _is_lent(tool) and self._names[tool.type] in self._types:
                    notices.hint(tool.at, "told before")
                case VendorTool() if _is_lent(tool):
                    told.append(self._function(tool, notices))
                case FunctionTool() | CustomTool() if _DEFERRED in tool.extras:
                    notices.hint(f"{tool.at}.{_DEFERRED}", "all tools are told at once")
                    extras = {name: raw for name, raw in tool.extras.items() if name != _DEFERRED}
                    told.append(msgspec.structs.replace(tool, extras=extras))
                case _:
                    told.append(tool)
        return told

    def _function(self, tool: VendorTool, notices: Notices) -> FunctionTool:
        notices.changed(tool.at, "sent as a function of the published shape; its calls come back as items")
        name, signature = self._names[tool.type], FORMS[tool.type].signature
        self._types[name] = tool.type
        fields = fields_of(tool.raw)
        parameters, description = fields.get("parameters"), text_of(fields.get("description"))
        if parameters is None or not bytes(parameters).startswith(b"{"):
            parameters = signature.schema()
        if fields_of(fields.get("environment")).keys() > {"type"}:
            notices.lost(f"{tool.at}.environment", "what the environment offers is not told to a function")
        for other in fields.keys() - {"type", "name", "parameters", "description", "environment", "execution"}:
            notices.unknown(tool.at, other, "functions have no such field")
        return FunctionTool(
            name=name, description=description or signature.description, parameters=parameters, cache=tool.cache,
            at=tool.at,
        )  # fmt: skip

    def _chosen(self, choice: ToolChoice | None) -> ToolChoice | None:
        """Return the choice with the names of the functions; they are chosen by their types."""
        if choice is None:
            return None
        if (type_ := text_of(choice.extras.get("type"))) in self._names.keys() & self._types.values():
            extras = {name: raw for name, raw in choice.extras.items() if name != "type"}
            return msgspec.structs.replace(choice, mode="named", names=(self._names[type_],), extras=extras)
        if (allowed := choice.extras.get("tools")) is not None:
            names = [self._allowed(raw) for raw in items_of(allowed)]
            if None not in names:
                extras = {name: raw for name, raw in choice.extras.items() if name != "tools"}
                known = tuple(name for name in names if name)
                return msgspec.structs.replace(choice, names=known, extras=extras)
        return choice

    def _allowed(self, raw: Raw) -> str | None:
        fields = fields_of(raw)
        type_, name = text_of(fields.get("type")) or "", text_of(fields.get("name"))
        if name is None:
            return self._names.get(type_) if self._names.get(type_) in self._types else None
        return full_name(text_of(fields.get("namespace")), name)

    # --- history ------------------------------------------------------------------------------------------------------

    def _as_message(self, message: Message, call_ids: dict[str, str], notices: Notices) -> Message:
        if not any(map(_is_item, message.content)):
            return message
        content = tuple([self._as_block(block, call_ids, notices) for block in message.content])
        role = message.role if message.role == "assistant" else "tool"
        return msgspec.structs.replace(message, role=role, content=content)

    def _as_block(self, block: Block, call_ids: dict[str, str], notices: Notices) -> Block:
        if not isinstance(block, Opaque) or not _is_item(block):
            return block
        if block.type in _SEARCHES and not is_searched_by_client(block):
            raise Unsupported("The vendor searched for these tools, and nobody else knows them.", param=block.at)
        type_ = TOOL_OF_CALL.get(block.type) or TOOL_OF_OUTPUT[block.type]
        notices.changed(block.at, "sent as a call of a function, or as its result")
        if block.type in TOOL_OF_CALL:
            return call_of(block, self._names[type_], notices)
        found = [tool.name for tool in self._found if tool.name and tool.at.startswith(f"{block.at}.tools[")]
        return result_of(block, self._names[type_], call_ids, found, notices)


def _call_ids(messages: Sequence[Message]) -> dict[str, str]:
    """Return the id of each item that is a call, and the id of the call."""
    found: dict[str, str] = {}
    for block in _blocks(messages):
        if isinstance(block, Opaque) and _is_item(block) and block.type in TOOL_OF_CALL:
            fields = fields_of(block.raw)
            if item_id := text_of(fields.get("id")):
                found[item_id] = id_of(fields)
    return found


def _found(messages: Sequence[Message]) -> list[Tool]:
    """Return the tools that searches of the caller's found."""
    found: list[Tool] = []
    for block in _blocks(messages):
        if isinstance(block, Opaque) and _is_item(block) and block.type == _FOUND and is_searched_by_client(block):
            tools = items_of(fields_of(block.raw).get("tools"))
            found += read_tools(tools, f"{block.at}.tools", DEFAULT_LIMITS)
    return found


def _is_touched(tool: Tool) -> bool:
    if isinstance(tool, VendorTool):
        return _is_lent(tool) or tool.type == TOOL_SEARCH
    return _DEFERRED in tool.extras


def _is_lent(tool: VendorTool) -> bool:
    return tool.protocol == PROTOCOL and tool.runs_at == "caller" and tool.type in FORMS


def _is_item(block: Block) -> bool:
    return isinstance(block, Opaque) and block.protocol == PROTOCOL and block.type in _ITEMS


def _blocks(messages: Sequence[Message]) -> list[Block]:
    return [block for message in messages for block in message.content]


def _free(name: str, taken: set[str | None]) -> str:
    """Return a name that no other tool has."""
    while name in taken:
        name = f"{name}_tool"
    return name
