"""Which result belongs to which call, both ways.

The vendor pairs by id where there is one, else by name and order: `CallIds` reads that. It wants a turn's results all
at once, in the order of the calls, right behind them: `pair_results` brings those of other protocols there. Ids that
are missing are made from the place of the call, so that the same talk is read and written alike every time.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import Message, Notices
from ..calls_and_results import Scan, made_up_result, without_results

MAX_ID: Final = 128
"""Characters of a call's id; the vendor names no limit."""

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
    """Return the messages with the results of each turn in a user's message right behind its calls, in their order.

    Args:
        messages: Of another protocol. What stands between calls and results moves behind the results.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed`` (into text).
    """
    scan = Scan.of(messages, notices, MAX_ID)
    paired: list[Message] = []
    for message, own, has_results in zip(scan.messages, scan.calls_of, scan.has_results, strict=True):
        content = without_results(message, scan, notices) if has_results else message.content
        if content or not message.content:
            role = "user" if message.role == "tool" else message.role
            paired.append(replace(message, role=role, content=content) if has_results else message)
        if own:
            found = [scan.results.get(call.id) or made_up_result(call, notices) for call in own]
            answers = tuple([replace(result, name=call.name) for call, result in zip(own, found, strict=True)])
            paired.append(Message(role="user", content=answers, at=message.at))
    return paired
