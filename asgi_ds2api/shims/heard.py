"""What an answer thought and called, heard while it passes: all that is needed to know its turn again.

Pure. Bounded: of an answer that thinks more than may be kept, nothing is remembered.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ..canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    Event,
    Reasoning,
    ReasoningDelta,
    SignatureDelta,
    ToolCall,
)

_HEARD: Final = frozenset({BlockStart, ReasoningDelta, SignatureDelta, ArgumentsDelta})
_PLACE_BYTES: Final = 64
"""What the place of a block counts for."""


class Names:
    """Names the blocks of a turn so that each is found again in what a client makes of it: a call by its id, where it
    has one; all others by kind and number."""

    def __init__(self, *, by_id: bool) -> None:
        self._by_id = by_id
        self._counts: dict[str, int] = {}

    def of(self, block: Block) -> str:
        """Return the name of the next block that is no reasoning."""
        if isinstance(block, ToolCall) and self._by_id:
            return f"call {block.id}"
        kind = type(block).__name__
        self._counts[kind] = number = self._counts.get(kind, 0) + 1
        return f"{kind} {number}"


class _Thought:
    """Reasoning that is being said."""

    def __init__(self, block: Reasoning) -> None:
        self._block = block
        self.texts = [block.text]
        self.signature = block.signature

    def whole(self) -> Reasoning:
        return replace(self._block, text="".join(self.texts), signature=self.signature, at="")


class _Call:
    """A call that is being said."""

    def __init__(self, block: ToolCall) -> None:
        self._block = block
        self.pieces = [block.arguments]

    def whole(self) -> ToolCall:
        return replace(self._block, arguments="".join(self.pieces))


class Choice:
    """One of the answers to a question."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.calls: list[_Call] = []
        self.told: list[_Thought | str] = []

    def items(self) -> list[Reasoning | str]:
        """Return what may be kept, in order."""
        return [item if isinstance(item, str) else item.whole() for item in self.told]


class ThoughtsAndCalls:
    """What was thought and called, of all choices.

    Args:
        has_ids: The arguments of a call are not needed to tell it from others.
        max_bytes: Of more than that nothing is remembered.
    """

    def __init__(self, *, has_ids: bool, max_bytes: int) -> None:
        self._has_ids = has_ids
        self._left = max_bytes
        self._choices: dict[int, Choice] = {}
        self._thoughts: dict[int, _Thought] = {}
        self._calls: dict[int, _Call] = {}

    def choices(self) -> Sequence[Choice]:
        """Return what was heard; nothing if it was too much."""
        return () if self._left < 0 else tuple(self._choices.values())

    def hear(self, events: Sequence[Event]) -> None:
        """Remember what was thought and called, and in which order."""
        for event in events:
            if type(event) in _HEARD and self._left >= 0:
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case BlockStart():
                self._begin(event)
            case ReasoningDelta():
                self._thoughts[event.index].texts.append(event.text)
                self._count(len(event.text))
            case SignatureDelta():
                self._thoughts[event.index].signature = event.signature
                self._count(len(event.signature))
            case ArgumentsDelta() if not self._has_ids:
                self._calls[event.index].pieces.append(event.arguments)
                self._count(len(event.arguments))

    def _begin(self, event: BlockStart) -> None:
        block = event.block
        choice = self._choices.get(event.choice)
        if choice is None:
            choice = self._choices[event.choice] = Choice(Names(by_id=self._has_ids))
        if isinstance(block, Reasoning):
            thought = self._thoughts[event.index] = _Thought(block)
            choice.told.append(thought)
            self._count(len(block.text) + len(block.signature or "") + len(block.redacted or ""))
        else:
            choice.told.append(choice.names.of(block))
        if isinstance(block, ToolCall):
            call = self._calls[event.index] = _Call(block)
            choice.calls.append(call)
        self._count(_PLACE_BYTES)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self._choices, self._thoughts, self._calls = {}, {}, {}
