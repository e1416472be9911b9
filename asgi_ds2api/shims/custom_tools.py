"""Lends free-text tools to an upstream that knows functions only.

The tool becomes a function with one string, ``input``; a call's arguments are unwrapped again, so that the caller sees
the tool that it declared. A call is held back until it is whole: half of an escaped string is no text. Of one that was
cut off, as at the limit of tokens, the caller gets the text as far as it came.
"""

import re
from collections.abc import Sequence
from typing import Final

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
    Notices,
    Request,
    Tool,
    ToolCall,
)
from ..profiles import Profile

PARAMETERS = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')


_BEGINNING: Final = '{"input":"'
_HEX: Final = "[0-9a-fA-F]"
_CUT: Final = re.compile(
    r'\s*\{\s*"input"\s*:\s*"'
    rf'(?P<text>(?:[^"\\]|\\[^u]|\\u(?![dD][89a-fA-F]){_HEX}{{4}}|\\u[dD][89abAB]..\\u[dD][c-fC-F]{_HEX}{{2}})*)'
    rf'(?:"\s*|(?:\\u?{_HEX}{{0,4}}){{0,2}})',
    re.DOTALL,
)
"""What was cut off within its text or behind it; half of an escaped character is left out."""


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    input: str


_decoder = msgspec.json.Decoder(_Input)


class CustomTools:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()
        self._open: dict[int, list[str]] = {}

    @staticmethod
    def is_needed(request: Request, profile: Profile) -> bool:
        """Tell whether the request uses what the upstream lacks."""
        has_calls = (isinstance(b, ToolCall) and b.kind == "custom" for m in request.messages for b in m.content)
        return not profile.custom_tools and (any(isinstance(t, CustomTool) for t in request.tools) or any(has_calls))

    def request(self, request: Request, notices: Notices) -> Request:
        """Turn custom tools, and calls of them in the history, into functions."""
        self._names = frozenset(tool.name for tool in request.tools if isinstance(tool, CustomTool))
        messages = tuple(
            msgspec.structs.replace(message, content=tuple(map(_as_function_call, message.content)))
            for message in request.messages
        )
        tools = tuple(_as_function(tool, notices) for tool in request.tools)
        return msgspec.structs.replace(request, tools=tools, messages=messages)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Turn calls of these functions back into calls of custom tools."""
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=ToolCall() as call) if call.name in self._names:
                    self._open[event.index] = [call.arguments]
                    out.append(
                        msgspec.structs.replace(event, block=msgspec.structs.replace(call, kind="custom", arguments=""))
                    )
                case ArgumentsDelta() if event.index in self._open:
                    self._open[event.index].append(event.arguments)
                case BlockStop() if event.index in self._open:
                    text = _unwrap("".join(self._open.pop(event.index)))
                    out += (ArgumentsDelta(index=event.index, arguments=text), event)
                case _:
                    out.append(event)
        return out


def _as_function(tool: Tool, notices: Notices) -> Tool:
    if not isinstance(tool, CustomTool):
        return tool
    notices.changed(tool.at, "sent as a function that takes its text as `input`")
    if tool.format is not None:
        notices.lost(f"{tool.at}.format", "the upstream cannot hold a tool's text to a grammar")
    return FunctionTool(
        name=tool.name, description=tool.description, parameters=PARAMETERS, cache=tool.cache, extras=tool.extras,
        at=tool.at,
    )  # fmt: skip


def _as_function_call(block: Block) -> Block:
    if not isinstance(block, ToolCall) or block.kind != "custom":
        return block
    arguments = msgspec.json.encode({"input": block.arguments}).decode()
    return msgspec.structs.replace(block, kind="function", arguments=arguments)


def _unwrap(arguments: str) -> str:
    """Return the text, as far as it came; of a model that kept to no schema, its arguments as they are."""
    if _BEGINNING.startswith("".join(arguments.split())):
        return ""
    cut = _CUT.fullmatch(arguments)
    try:
        return _decoder.decode(arguments if cut is None else f'{_BEGINNING}{cut["text"]}"}}').input
    except msgspec.MsgspecError:
        return arguments
