"""Lends long or unusual tool names to an upstream with a narrow alphabet.

A name that does not fit is replaced by a readable stem and a digest of the whole: the same name always becomes the
same, so prompt caches still hit; the answer carries the caller's own name again.
"""

import hashlib
import re
from collections.abc import Sequence

import msgspec

from ..canonical import (
    Block,
    BlockStart,
    CustomTool,
    Event,
    FunctionTool,
    Notices,
    Request,
    Tool,
    ToolCall,
    ToolResult,
)
from ..errors import MalformedRequest
from ..profiles import Profile

_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
DIGEST_LENGTH = 8


class ToolNames:
    """See the module.

    Args:
        max_length: Longest name that the upstream takes.
    """

    is_over = False

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._original: dict[str, str] = {}

    @staticmethod
    def is_needed(request: Request, profile: Profile) -> bool:
        """Tell whether any name does not fit."""
        return any(not _fits(name, profile.tool_name_max) for name in _names(request))

    def request(self, request: Request, notices: Notices) -> Request:
        """Rename tools, calls, results and the tool choice alike.

        Raises:
            MalformedRequest: A tool has the very name that another one would get.
        """
        renamed = {name: self._fit(name) for name in dict.fromkeys(_names(request))}
        self._original = {new: old for old, new in renamed.items() if new != old}
        for tool in request.tools:
            if tool.name in self._original:
                raise MalformedRequest(
                    "Two tool names would be the same for the upstream. Rename one.",
                    code="tool_name_conflict",
                    param=f"{tool.at}.name",
                )
            if tool.name is not None and renamed.get(tool.name, tool.name) != tool.name:
                notices.changed(f"{tool.at}.name", "the upstream takes shorter or plainer names", action="renamed")
        choice = request.tool_choice
        if choice is not None:
            names = tuple(renamed.get(name, name) for name in choice.names)
            choice = msgspec.structs.replace(choice, names=names)
        messages = tuple(
            msgspec.structs.replace(message, content=tuple(_rename(block, renamed) for block in message.content))
            for message in request.messages
        )
        tools = tuple(_rename_tool(tool, renamed) for tool in request.tools)
        return msgspec.structs.replace(request, tools=tools, tool_choice=choice, messages=messages)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Give calls their own names back."""
        return [self._restore(event) for event in events]

    def _restore(self, event: Event) -> Event:
        match event:
            case BlockStart(block=ToolCall(name=name)) if name in self._original:
                block = msgspec.structs.replace(event.block, name=self._original[name])
                return msgspec.structs.replace(event, block=block)
            case _:
                return event

    def _fit(self, name: str) -> str:
        if _fits(name, self._max_length):
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_LENGTH]
        stem = _UNFIT.sub("_", name)[: self._max_length - DIGEST_LENGTH - 1]
        return f"{stem}_{digest}"


def _fits(name: str, max_length: int) -> bool:
    return 0 < len(name) <= max_length and not _UNFIT.search(name)


def _names(request: Request) -> list[str]:
    names = [tool.name for tool in request.tools if isinstance(tool, FunctionTool | CustomTool)]
    names += [b.name for message in request.messages for b in message.content if isinstance(b, ToolCall)]
    return names


def _rename(block: Block, renamed: dict[str, str]) -> Block:
    if isinstance(block, ToolCall | ToolResult) and block.name is not None:
        return msgspec.structs.replace(block, name=renamed.get(block.name, block.name))
    return block


def _rename_tool(tool: Tool, renamed: dict[str, str]) -> Tool:
    if isinstance(tool, FunctionTool | CustomTool):
        return msgspec.structs.replace(tool, name=renamed.get(tool.name, tool.name))
    return tool
