"""Which result belongs to which call, both ways.

The vendor pairs by id where there is one, else by name and order: `CallIds` reads that. It wants a turn's results all
at once, in the order of the calls, right behind them: `pair_results` brings those of other protocols there. Ids that
are missing are made from the place of the call, so that the same talk is read and written alike every time.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import Block, Message, Notices, Text, ToolCall, ToolResult

MISSING: Final = "No result: the tool was not run."

# --- wire -> ours -----------------------------------------------------------------------------------------------------


class CallIds:
    """Gives every call of a talk an id, and every result that of its call."""

    __slots__ = ("_count", "_open", "names", "turn")

    def __init__(self) -> None:
        self.turn = 0
        """Number of the content that is being read."""
        self._count: dict[int, int] = {}
        self._open: dict[str, deque[str]] = {}
        """Name of a function -> ids of its calls that have no result yet."""
        self.names: dict[str, str] = {}
        """Id of a call -> name of its function."""

    def __call__(self, name: str, given: str | None, is_result: bool) -> str:
        """Return the id of a call, or of the call that a result belongs to."""
        waiting = self._open.setdefault(name, deque())
        if not is_result:
            call_id = given or self._made()
            waiting.append(call_id)
            self.names[call_id] = name
            return call_id
        if given is None:
            return waiting.popleft() if waiting else self._made()
        if given in waiting:
            waiting.remove(given)
        return given

    def _made(self) -> str:
        number = self._count.get(self.turn, 0)
        self._count[self.turn] = number + 1
        return f"call_{self.turn}_{number}"


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with the results of each turn in a user's message right behind its calls.

    Args:
        messages: Of another protocol. What stands between calls and results moves behind the results.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed`` (into text).
    """
    results: dict[str, deque[tuple[int, ToolResult]]] = {}
    for place, message in enumerate(messages):
        for block in message.content:
            if isinstance(block, ToolResult):
                results.setdefault(block.call_id, deque()).append((place, block))
    used: set[int] = set()
    answers: dict[int, tuple[Block, ...]] = {}
    for place, message in enumerate(messages):
        calls = [block for block in message.content if isinstance(block, ToolCall)]
        if calls:
            answers[place] = tuple([_answer(call, place, results, used, notices) for call in calls])
    paired: list[Message] = []
    for place, message in enumerate(messages):
        content = _without_results(message, used, notices)
        if content or not message.content:
            role = "user" if message.role == "tool" else message.role
            paired.append(message if content is message.content else replace(message, role=role, content=content))
        if place in answers:
            paired.append(Message(role="user", content=answers[place], at=message.at))
    return paired


def _answer(
    call: ToolCall, place: int, results: dict[str, deque[tuple[int, ToolResult]]], used: set[int], notices: Notices
) -> ToolResult:
    """Return the result of a call: the first one behind it that no earlier call has; else one that says so."""
    waiting = results.get(call.id, deque())
    while waiting and waiting[0][0] < place:
        waiting.popleft()
    if not waiting:
        notices.lost(call.at, "the call has no result: one was made up that says so", action="inserted")
        return ToolResult(
            call_id=call.id, name=call.name, blocks=(Text(text=MISSING, at=call.at),), is_error=True, at=call.at
        )
    _, result = waiting.popleft()
    used.add(id(result))
    return replace(result, name=call.name)


def _without_results(message: Message, used: set[int], notices: Notices) -> tuple[Block, ...]:
    """Return what else a message holds; results that belong to no call as text."""
    if not any(isinstance(block, ToolResult) for block in message.content):
        return message.content
    rest: list[Block] = []
    for block in message.content:
        if not isinstance(block, ToolResult):
            rest.append(block)
        elif id(block) not in used:
            notices.changed(block.at, "a result without its call is sent as text")
            rest += (Text(text=f"Result of the tool call {block.call_id}:", at=block.at), *block.blocks)
    return tuple(rest)
