"""Puts the results of tools where Chat wants them: each in a message of its own, right behind the message that calls.

Other protocols let results stand in a user's message, in any order, beside other content and with pictures in them.
Here every call gets a legal id of its own and exactly one result, in the order of the calls; whatever stood between is
pushed behind them. A tool's message holds text only, so pictures follow in a user's message that names the call.

New ids are made from the old one and the turn's number: the same talk is written alike every time, and prompt caches
hit.
"""

import re
from collections.abc import Iterator, Sequence
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
    calls = [block for message in messages for block in message.content if type(block) is ToolCall]
    has_results = any(type(block) is ToolResult for message in messages for block in message.content)
    if not calls and not has_results:
        return list(messages)
    ids = [call.id for call in calls]
    if len(set(ids)) < len(ids) or not all(map(_is_legal, ids)):
        messages = _with_new_ids(messages, notices)
    return list(_paired(messages, notices))


def _paired(messages: Sequence[Message], notices: Notices) -> Iterator[Message]:
    results = {b.call_id: b for message in messages for b in message.content if type(b) is ToolResult}
    called = {b.id for message in messages for b in message.content if type(b) is ToolCall}
    pictures: list[Block] = []
    for message in messages:
        own = [block for block in message.content if type(block) is ToolCall]
        if own:
            yield from _told(pictures)
            pictures = []
            yield message
            for call in own:
                result, shown = _split(_result_of(call, results, notices), notices)
                pictures += shown
                yield Message(role="tool", content=(result,), at=result.at)
            continue
        rest = _without_results(message, called, notices)
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


def _without_results(message: Message, called: set[str], notices: Notices) -> tuple[Block, ...]:
    """Return what else a message holds; results that belong to no call as text."""
    rest: list[Block] = []
    for block in message.content:
        if type(block) is not ToolResult:
            rest.append(block)
        elif block.call_id not in called:
            notices.changed(block.at, "a result without its call is sent as text")
            rest += (Text(text=f"Result of the tool call {block.call_id}:", at=block.at), *block.blocks)
    return tuple(rest)


def _is_legal(id_: str) -> bool:
    return 0 < len(id_) <= MAX_ID and not _UNFIT.search(id_)


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
