"""Where the calls and results of a talk stand, whoever wrote it: what an encoder asks before it moves any of them.

Other protocols let results stand anywhere behind their calls, leave some out, and use the same id again in a later
turn. Here every call gets an id of its own. New ids are made from the old one and the turn's number, so that the same
talk is written alike every time, and prompt caches hit.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ..canonical import Block, Message, Notices, Text, ToolCall, ToolResult

MISSING: Final = "No result: the tool was not run."
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


def caption_of(result: ToolResult) -> str:
    """Return what is said before that which cannot stand in a result: whose it is."""
    return f"From the result of the tool call {result.call_id}:"


class Scan:
    """All calls and results of a talk, found in one pass."""

    __slots__ = ("_has_plain_ids", "calls", "calls_of", "has_results", "messages", "results")

    def __init__(self, messages: Sequence[Message], max_id_chars: int) -> None:
        self.messages = messages
        self.calls_of: list[list[ToolCall] | None] = []
        """Of each message; None: it has none."""
        self.has_results: list[bool] = []
        """Of each message."""
        self.results: dict[str, ToolResult] = {}
        """By the id of the call, in the order in which they came; of two results of one call the last counts."""
        ids: list[str] = []
        for message in messages:
            own: list[ToolCall] | None = None
            has_results = False
            for block in message.content:
                if type(block) is ToolResult:
                    has_results = True
                    self.results[block.call_id] = block
                elif type(block) is ToolCall:
                    ids.append(block.id)
                    own = own or []
                    own.append(block)
            self.calls_of.append(own)
            self.has_results.append(has_results)
        self.calls = frozenset(ids)
        is_legal = "" not in self.calls and not _UNFIT.search("".join(ids))
        is_short = max(map(len, ids), default=0) <= max_id_chars
        self._has_plain_ids = is_legal and is_short and len(self.calls) == len(ids)

    @classmethod
    def of(cls, messages: Sequence[Message], notices: Notices, max_id_chars: int) -> "Scan":
        """Scan a talk, and give it legal ids first if it has others.

        Args:
            messages: Of any protocol.
            notices: What is renamed is reported here.
            max_id_chars: Longest id of a call that the upstream takes.
        """
        found = cls(messages, max_id_chars)
        return found if found._has_plain_ids else cls(_with_new_ids(messages, notices, max_id_chars), max_id_chars)


def made_up_result(call: ToolCall, notices: Notices) -> ToolResult:
    """Return a result for a call that got none, and report it."""
    notices.lost(call.at, "the call has no result: one was made up that says so", action="inserted")
    return ToolResult(call_id=call.id, blocks=(Text(text=MISSING),), is_error=True)


def report_error(result: ToolResult, reason: str, notices: Notices) -> None:
    """Report that a result's text says what it is; of one that was made up (`made_up_result`) all is reported."""
    if result.at:
        notices.changed(f"{result.at}.is_error", reason)


def without_results(message: Message, scan: Scan, notices: Notices) -> tuple[Block, ...]:
    """Return what else a message holds; results that belong to no call as text."""
    rest: list[Block] = []
    for block in message.content:
        if type(block) is not ToolResult:
            rest.append(block)
        elif block.call_id not in scan.calls:
            notices.changed(block.at, "a result without its call is sent as text")
            rest += (Text(text=f"Result of the tool call {block.call_id}:", at=block.at), *block.blocks)
    return tuple(rest)


def _with_new_ids(messages: Sequence[Message], notices: Notices, max_chars: int) -> list[Message]:
    """Return the messages with a legal id for every call, no two alike; results follow the calls before them."""
    seen: set[str] = set()
    waiting: dict[str, list[str]] = {}
    turn = 0
    renamed: list[Message] = []
    for message in messages:
        calls = [block.id for block in message.content if type(block) is ToolCall]
        turn += bool(calls)
        waiting.update({old: [] for old in calls})
        content: list[Block] = []
        for block in message.content:
            if type(block) is ToolCall:
                new = _new_id(block.id, turn, seen, max_chars)
                waiting[block.id].append(new)
                if new != block.id:
                    notices.hint(f"{block.at}.id", "ids are unique, of letters, digits, _ and -", action="renamed")
                content.append(replace(block, id=new))
            elif type(block) is ToolResult and (queue := waiting.get(block.call_id)):
                content.append(replace(block, call_id=queue.pop(0) if len(queue) > 1 else queue[0]))
            else:
                content.append(block)
        renamed.append(replace(message, content=tuple(content)))
    return renamed


def _new_id(old: str, turn: int, seen: set[str], max_chars: int) -> str:
    legal = _UNFIT.sub("_", old)[-max_chars:] or "call"
    new, count = legal, 1
    while new in seen:
        suffix = f"_{turn}" if count == 1 else f"_{turn}_{count}"
        new, count = legal[-(max_chars - len(suffix)) :] + suffix, count + 1
    seen.add(new)
    return new
