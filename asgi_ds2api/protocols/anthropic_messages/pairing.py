"""Puts the results of tools where Anthropic wants them: all in the user message right behind the calls, each once.

Other protocols let results stand anywhere behind their calls, leave some out, and use the same id again in a later
turn. Here every call gets exactly one result and an id of its own; ids are made from the old one and the turn's
number, so that the same conversation is written alike every time, and prompt caches hit.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from ...canonical import Block, Message, Notices, Text, ToolCall, ToolResult

MISSING: Final = "No result: the tool was not run."
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


class _Slot:
    """A call, and the result that it got."""

    __slots__ = ("call", "id", "result")

    def __init__(self, call: ToolCall, new_id: str) -> None:
        self.call = call
        self.id = new_id
        self.result: ToolResult | None = None


class _Turn:
    """The calls of one assistant message, and their results in the order in which they came."""

    __slots__ = ("answered", "slots")

    def __init__(self, slots: Sequence[_Slot]) -> None:
        self.slots = slots
        self.answered: list[_Slot] = []

    def answer(self, result: ToolResult) -> None:
        """Give a result to its call. Of two results of one call the last counts."""
        own = [slot for slot in self.slots if slot.call.id == result.call_id]
        slot = next((slot for slot in own if slot.result is None), own[-1])
        if slot.result is None:
            self.answered.append(slot)
        slot.result = msgspec.structs.replace(result, call_id=slot.id)


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with every result behind its call; role ``tool`` is ``user``.

    Args:
        messages: Of any protocol. Messages that stand between calls and results move behind the results.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed`` (into text).
    """
    paired: list[Message] = []
    places: list[tuple[int, _Turn]] = []
    turn_of: dict[str, _Turn] = {}
    seen: set[str] = set()
    for message in messages:
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        if calls:
            slots = [_Slot(call, _new_id(call, len(places) + 1, seen, notices)) for call in calls]
            turn = _Turn(slots)
            turn_of.update(dict.fromkeys((call.id for call in calls), turn))
            paired.append(_renamed(message, slots))
            places.append((len(paired), turn))
            paired.append(Message(role="user", content=(), at=message.at))
            continue
        rest: list[Block] = []
        for block in message.content:
            if not isinstance(block, ToolResult):
                rest.append(block)
            elif (found := turn_of.get(block.call_id)) is not None:
                found.answer(block)
            else:
                notices.changed(block.at, "a result without its call is sent as text")
                rest += _as_text(block)
        if rest or not message.content:
            role = "user" if message.role == "tool" else message.role
            paired.append(msgspec.structs.replace(message, role=role, content=tuple(rest)))
    for place, turn in places:
        paired[place] = msgspec.structs.replace(paired[place], content=_results(turn, notices))
    return paired


def _new_id(call: ToolCall, turn: int, seen: set[str], notices: Notices) -> str:
    legal = _UNFIT.sub("_", call.id) or "call"
    new, count = legal, 1
    while new in seen:
        new = f"{legal}_{turn}" if count == 1 else f"{legal}_{turn}_{count}"
        count += 1
    seen.add(new)
    if new != call.id:
        notices.hint(f"{call.at}.id", "ids are unique and of letters, digits, _ and -", action="renamed")
    return new


def _renamed(message: Message, slots: Sequence[_Slot]) -> Message:
    if all(slot.id == slot.call.id for slot in slots):
        return message
    ids = iter(slots)
    content = tuple(
        msgspec.structs.replace(block, id=next(ids).id) if isinstance(block, ToolCall) else block
        for block in message.content
    )
    return msgspec.structs.replace(message, content=content)


def _results(turn: _Turn, notices: Notices) -> tuple[Block, ...]:
    """Return the results of a turn as they came, and one for each call that got none."""
    results: list[Block] = [slot.result for slot in turn.answered if slot.result is not None]
    for slot in turn.slots:
        if slot.result is None:
            notices.lost(slot.call.at, "the call has no result: one was made up that says so", action="inserted")
            results.append(ToolResult(call_id=slot.id, blocks=(Text(text=MISSING),), is_error=True, at=slot.call.at))
    return tuple(results)


def _as_text(result: ToolResult) -> list[Block]:
    head = Text(text=f"Result of the tool call {result.call_id}:", at=result.at)
    return [head, *result.blocks]
