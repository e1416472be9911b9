"""Sees to it that every call has a legal id of its own and exactly one result, and every result its call.

Other protocols let results stand in a user's message and have looser rules; here a call without a result, and a result
without a call, refuse the whole request. New ids are made from the old one and the turn's number: the same talk is
written alike every time, and prompt caches hit.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import Block, Message, Notices, Text, ToolCall, ToolResult

MISSING: Final = "No result: the tool was not run."
MAX_ID: Final = 64
"""Characters of a call's id that the vendor takes."""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with one result for each call.

    Args:
        messages: Of another protocol.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed``.
    """
    if not any(isinstance(block, ToolCall | ToolResult) for message in messages for block in message.content):
        return list(messages)
    named = _with_new_ids(messages, notices)
    answered = {block.call_id for message in named for block in message.content if isinstance(block, ToolResult)}
    called: set[str] = set()
    told: set[str] = set()
    paired: list[Message] = []
    for message in named:
        called |= {block.id for block in message.content if isinstance(block, ToolCall)}
        content = _answering(message, called, told, notices)
        if content or not message.content:
            paired.append(replace(message, content=content))
        for block in message.content:
            if isinstance(block, ToolCall) and block.id not in answered:
                notices.lost(block.at or "messages", "a call without a result gets one that says so", action="inserted")
                made_up = ToolResult(call_id=block.id, blocks=(Text(text=MISSING),))
                paired.append(Message(role="tool", content=(made_up,)))
    return paired


def _answering(message: Message, called: set[str], told: set[str], notices: Notices) -> tuple[Block, ...]:
    """Return a message's content: results first, those without a call, or of a call that has one, as text."""
    results: list[Block] = []
    rest: list[Block] = []
    for block in message.content:
        if not isinstance(block, ToolResult):
            rest.append(block)
        elif block.call_id in called and block.call_id not in told:
            told.add(block.call_id)
            results.append(block)
        else:
            notices.changed(block.at or "messages", "a result without its call is sent as text")
            rest += (Text(text=f"Result of the tool call {block.call_id}:", at=block.at), *block.blocks)
    return (*results, *rest)


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
