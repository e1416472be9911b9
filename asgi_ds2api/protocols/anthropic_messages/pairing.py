"""Puts the results of tools where Anthropic wants them: all in the user message right behind the calls, each once.

Other protocols let results stand anywhere behind their calls, leave some out, and use the same id again in a later
turn. Here every call gets an id of its own and exactly one result. New ids are made from the old one and the turn's
number, so that the same talk is written alike every time, and prompt caches hit.
"""

import re
from collections.abc import Sequence, Set
from typing import Final

import msgspec

from ...canonical import Block, Message, Notices, Text, ToolCall, ToolResult

MISSING: Final = "No result: the tool was not run."
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with every result behind its call, and ids that are legal and unique; ``tool`` is ``user``.

    Args:
        messages: Of any protocol. What stands between calls and results moves behind the results.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed`` (into text).
    """
    scan = _Scan(messages)
    if not scan.has_plain_ids:
        messages = _with_unique_ids(messages, notices)
        scan = _Scan(messages)
    if not scan.calls and not scan.results:
        return list(messages)
    paired: list[Message] = []
    for message, own, has_results in zip(messages, scan.calls_of, scan.has_results, strict=True):
        if own:
            paired += (message, Message(role="user", content=_answers(own, scan, notices), at=message.at))
        elif not has_results:
            paired.append(message)
        elif rest := _without_results(message, scan.calls, notices):
            role = "user" if message.role == "tool" else message.role
            paired.append(msgspec.structs.replace(message, role=role, content=rest))
    return paired


class _Scan:
    """All calls and results of a talk, found in one pass."""

    __slots__ = ("calls", "calls_of", "has_plain_ids", "has_results", "places", "results")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.calls_of: list[list[ToolCall] | None] = []
        """Of each message."""
        self.has_results: list[bool] = []
        self.results: dict[str, ToolResult] = {}
        """By the id of the call; of two results of one call the last counts."""
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
        self.calls: Set[str] = set(ids)
        self.places = {call_id: place for place, call_id in enumerate(self.results)}
        """In which order the results came."""
        self.has_plain_ids = len(self.calls) == len(ids) and "" not in ids and not _UNFIT.search("".join(ids))


def _with_unique_ids(messages: Sequence[Message], notices: Notices) -> Sequence[Message]:
    """Return the messages with a legal id for every call, no two alike; results follow the calls before them."""
    seen: set[str] = set()
    new_ids: dict[str, list[str]] = {}
    turn = 0
    renamed: list[Message] = []
    for message in messages:
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        turn += bool(calls)
        new_ids.update({call.id: [] for call in calls})
        content: list[Block] = []
        for block in message.content:
            if isinstance(block, ToolCall):
                new = _new_id(block.id, turn, seen)
                new_ids[block.id].append(new)
                if new != block.id:
                    notices.hint(f"{block.at}.id", "ids are unique, of letters, digits, _ and -", action="renamed")
                    block = msgspec.structs.replace(block, id=new)
            elif isinstance(block, ToolResult) and (queue := new_ids.get(block.call_id)):
                block = msgspec.structs.replace(block, call_id=queue.pop(0) if len(queue) > 1 else queue[0])
            content.append(block)
        renamed.append(msgspec.structs.replace(message, content=tuple(content)))
    return renamed


def _new_id(old: str, turn: int, seen: set[str]) -> str:
    legal = _UNFIT.sub("_", old) or "call"
    new, count = legal, 1
    while new in seen:
        new = f"{legal}_{turn}" if count == 1 else f"{legal}_{turn}_{count}"
        count += 1
    seen.add(new)
    return new


def _answers(calls: Sequence[ToolCall], scan: _Scan, notices: Notices) -> tuple[Block, ...]:
    """Return the results of a turn as they came, and one for each call that got none."""
    found = [scan.results[call.id] for call in calls if call.id in scan.results]
    if len(found) > 1:
        found.sort(key=lambda result: scan.places[result.call_id])
    if len(found) < len(calls):
        for call in calls:
            if call.id not in scan.results:
                notices.lost(call.at, "the call has no result: one was made up that says so", action="inserted")
                found.append(ToolResult(call_id=call.id, blocks=(Text(text=MISSING),), is_error=True, at=call.at))
    return tuple(found)


def _without_results(message: Message, calls: Set[str], notices: Notices) -> tuple[Block, ...]:
    """Return what else a message holds; results that belong to no call as text."""
    rest: list[Block] = []
    for block in message.content:
        if not isinstance(block, ToolResult):
            rest.append(block)
        elif block.call_id not in calls:
            notices.changed(block.at, "a result without its call is sent as text")
            rest += (Text(text=f"Result of the tool call {block.call_id}:", at=block.at), *block.blocks)
    return tuple(rest)
