"""Puts the results of tools where Chat wants them: each in a message of its own, right behind the message that calls.

Other protocols let results stand in a user's message, in any order, beside other content and with pictures in them.
Here every call gets a legal id of its own and exactly one result, in the order of the calls; whatever stood between is
pushed behind them. A tool's message holds text only, so pictures follow in a user's message that names the call.

New ids are made from the old one and the turn's number: the same talk is written alike every time, and prompt caches
hit.
"""

import re
from collections.abc import Iterator, Sequence, Set
from typing import Final

from msgspec.structs import replace

from ...canonical import Block, BlocksSource, Media, Message, Notices, Text, TextSource, ToolCall, ToolResult
from .content import said_of

MISSING: Final = "No result: the tool was not run."
MAX_ID: Final = 64
"""Characters of a call's id that the vendor takes."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with every result behind its call.

    Args:
        messages: Of another protocol.
        notices: Missing results are ``lost`` (one is made up), results without a call and pictures are ``changed``.
    """
    scan = _Scan(messages)
    if not scan.has_plain_ids:
        messages = _with_new_ids(messages, notices)
        scan = _Scan(messages)
    if not scan.calls and not scan.results:
        return list(messages)
    return list(_paired(messages, scan, notices))


class _Scan:
    """All calls and results of a talk, found in one pass."""

    __slots__ = ("calls", "calls_of", "has_plain_ids", "has_results", "results")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.calls_of: list[list[ToolCall]] = []
        """Of each message."""
        self.has_results: list[bool] = []
        self.results: dict[str, ToolResult] = {}
        """By the id of the call; of two results of one call the last counts."""
        ids: list[str] = []
        for message in messages:
            own: list[ToolCall] = []
            has_results = False
            for block in message.content:
                if type(block) is ToolResult:
                    has_results = True
                    self.results[block.call_id] = block
                elif type(block) is ToolCall:
                    own.append(block)
                    ids.append(block.id)
            self.calls_of.append(own)
            self.has_results.append(has_results)
        self.calls = frozenset(ids)
        is_legal = "" not in self.calls and not _UNFIT.search("".join(ids)) and max(map(len, ids), default=0) <= MAX_ID
        self.has_plain_ids = is_legal and len(self.calls) == len(ids)


def _paired(messages: Sequence[Message], scan: _Scan, notices: Notices) -> Iterator[Message]:
    pictures: list[Block] = []
    for message, own, has_results in zip(messages, scan.calls_of, scan.has_results, strict=True):
        if own:
            yield from _told(pictures)
            pictures = []
            yield message
            for call in own:
                result, shown = _split(_result_of(call, scan.results, notices), notices)
                pictures += shown
                yield Message(role="tool", content=(result,), at=result.at)
            continue
        rest = _without_results(message, scan.calls, notices) if has_results else message.content
        if pictures and message.role == "user" and rest:
            rest = (*pictures, *rest)
            pictures = []
        if rest or not message.content:
            yield from _told(pictures)
            pictures = []
            yield replace(message, role="user" if message.role == "tool" else message.role, content=rest)
    yield from _told(pictures)


def _told(pictures: Sequence[Block]) -> list[Message]:
    return [Message(role="user", content=tuple(pictures), at=pictures[0].at)] if pictures else []


def _result_of(call: ToolCall, results: dict[str, ToolResult], notices: Notices) -> ToolResult:
    found = results.get(call.id)
    if found is not None:
        return found
    notices.lost(call.at, "the call has no result: one was made up that says so", action="inserted")
    return ToolResult(call_id=call.id, blocks=(Text(text=MISSING),), is_error=True, at=call.at)


def _split(result: ToolResult, notices: Notices) -> tuple[ToolResult, list[Block]]:
    """Return a result of text, and what else was in it under a caption."""
    if all(type(block) is Text for block in result.blocks):
        return result, []
    blocks = _flat(result.blocks)
    shown = [block for block in blocks if _is_picture(block)]
    if not shown:
        return result, []
    for block in shown:
        notices.changed(block.at, "sent behind the result, which holds text only", action="moved")
    caption = Text(text=f"From the result of the tool call {result.call_id}:", at=result.at)
    return replace(result, blocks=tuple(b for b in blocks if not _is_picture(b))), [caption, *shown]


def _flat(blocks: Sequence[Block]) -> list[Block]:
    """Return blocks with what is inside of documents beside them."""
    flat: list[Block] = []
    for block in blocks:
        if isinstance(block, Media) and isinstance(block.source, BlocksSource):
            header = said_of(block, "")
            flat += [Text(text=header, at=block.at)] if header else []
            flat += _flat(block.source.blocks)
        else:
            flat.append(block)
    return flat


def _is_picture(block: Block) -> bool:
    return isinstance(block, Media) and not isinstance(block.source, TextSource)


def _without_results(message: Message, called: Set[str], notices: Notices) -> tuple[Block, ...]:
    """Return what else a message holds; results that belong to no call as text."""
    rest: list[Block] = []
    for block in message.content:
        if type(block) is not ToolResult:
            rest.append(block)
        elif block.call_id not in called:
            notices.changed(block.at, "a result without its call is sent as text")
            rest += (Text(text=f"Result of the tool call {block.call_id}:", at=block.at), *block.blocks)
    return tuple(rest)


def _with_new_ids(messages: Sequence[Message], notices: Notices) -> list[Message]:
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
                new = _new_id(block.id, turn, seen)
                waiting[block.id].append(new)
                if new != block.id:
                    notices.hint(f"{block.at}.id", "ids are short, unique, and of plain letters", action="renamed")
                content.append(replace(block, id=new))
            elif type(block) is ToolResult and (queue := waiting.get(block.call_id)):
                content.append(replace(block, call_id=queue.pop(0) if len(queue) > 1 else queue[0]))
            else:
                content.append(block)
        renamed.append(replace(message, content=tuple(content)))
    return renamed


def _new_id(old: str, turn: int, seen: set[str]) -> str:
    legal = _UNFIT.sub("_", old)[-MAX_ID:] or "call"
    new, count = legal, 1
    while new in seen:
        suffix = f"_{turn}" if count == 1 else f"_{turn}_{count}"
        new, count = legal[-(MAX_ID - len(suffix)) :] + suffix, count + 1
    seen.add(new)
    return new
