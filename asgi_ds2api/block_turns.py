"""Blocks of an answer that come at once, told one after the other: whose turn it is. Pure.

Canonical blocks may overlap; the callers of some protocols read one at a time. What belongs to the block that has its
turn is written at once; the others wait, in the order of their indexes. A text may give way to one that waits, and goes
on when nobody has the turn: it is cut in two then.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from msgspec.structs import replace

from .canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    CitationDelta,
    Delta,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SignatureDelta,
    Text,
    TextDelta,
    ToolCall,
)

OfBlock: TypeAlias = Delta | BlockStop


class BegunBlock:
    """A block of the answer, from its `BlockStart` to its `BlockStop`.

    Args:
        start: How it began.
        content: What it holds already, as deltas; None: it is split off.
    """

    __slots__ = ("block", "index", "is_waiting", "queue")

    def __init__(self, start: BlockStart, content: list[OfBlock] | None = None) -> None:
        self.index = start.index
        self.block = start.block
        if content is None:
            self.block, content = split(start.block, start.index)
        self.queue: deque[OfBlock] = deque(content)
        """What came while another block had its turn."""
        self.is_waiting = False


class Turn(Enum):
    """What becomes of a block's turn."""

    BEGINS = 1
    GIVES_WAY = 2


B = TypeVar("B", bound=BegunBlock)
Step: TypeAlias = tuple[B, OfBlock | Turn]
"""What is to be written next, of which block."""


class BlockTurns(Generic[B]):
    """The blocks that have begun and not stopped.

    Args:
        gives_way: Tells whether a block may be cut in two for the sake of one that waits.
    """

    __slots__ = ("_begun", "_gives_way", "_waiting", "current")

    def __init__(self, gives_way: Callable[[Block, Block], bool]) -> None:
        self._gives_way = gives_way
        self._begun: dict[int, B] = {}
        self._waiting: list[B] = []
        self.current: B | None = None
        """The block that has its turn."""

    def begin(self, block: B) -> list[Step[B]]:
        """Take a block that began; return what is to be written, in order."""
        self._begun[block.index] = block
        self._wait(block)
        return self._advance()

    def take(self, event: OfBlock) -> list[Step[B]]:
        """Take an event of a block; return what is to be written, in order."""
        block = self._begun.get(event.index)
        if block is None:
            return []
        if block is self.current:
            if type(event) is not BlockStop and not self._waiting:
                return [(block, event)]  # as nearly always
            self._leave_if_stopped(block, event)
            return [(block, event), *self._advance()]
        if isinstance(event, BlockStop) and not block.is_waiting:
            del self._begun[block.index]  # text that gave way, and had nothing to add
            return []
        if self.current is None:
            self.current = block  # text that gave way goes on
            return [(block, event)]
        self._wait(block)
        block.queue.append(event)
        return []

    def stop_all(self) -> list[Step[B]]:
        """Stop all blocks in the order in which they began; return what is to be written, in order."""
        return [step for index in list(self._begun) for step in self.take(BlockStop(index=index))]

    def _wait(self, block: B) -> None:
        if not block.is_waiting:
            block.is_waiting = True
            insort(self._waiting, block, key=lambda waiting: waiting.index)

    def _advance(self) -> list[Step[B]]:
        """Give the turn to the next block that waits, once the current one has stopped or gives way."""
        steps: list[Step[B]] = []
        while self._waiting:
            if self.current is not None:
                if not self._gives_way(self.current.block, self._waiting[0].block):
                    break
                steps.append((self.current, Turn.GIVES_WAY))
            block = self.current = self._waiting.pop(0)
            block.is_waiting = False
            steps.append((block, Turn.BEGINS))
            while block.queue:
                event = block.queue.popleft()
                steps.append((block, event))
                self._leave_if_stopped(block, event)
        return steps

    def _leave_if_stopped(self, block: B, event: OfBlock) -> None:
        if type(event) is BlockStop:
            del self._begun[block.index]
            self.current = None


def split(block: Block, index: int) -> tuple[Block, list[OfBlock]]:
    """Return a block as it begins, and what it already holds as deltas."""
    match block:
        case Text():
            cited: list[OfBlock] = [CitationDelta(index=index, citation=citation) for citation in block.citations]
            text: list[OfBlock] = [TextDelta(index=index, text=block.text)] if block.text else []
            return replace(block, text="", citations=()), [*text, *cited]
        case Refusal(text=said) if said:
            return replace(block, text=""), [RefusalDelta(index=index, text=said)]
        case ToolCall(arguments=arguments) if arguments:
            return replace(block, arguments=""), [ArgumentsDelta(index=index, arguments=arguments)]
        case Reasoning():
            content: list[OfBlock] = [ReasoningDelta(index=index, text=block.text)] if block.text else []
            if block.signature is not None:
                content.append(SignatureDelta(index=index, signature=block.signature))
            return replace(block, text="", signature=None), content
        case _:
            return block, []
