"""Blocks that are told in pieces: what was said of each, and the events that say more.

What the end of a block says beyond its deltas is told then. What cannot be told any more, as the deltas said otherwise,
is left as it was said.
"""

from msgspec import Raw

from ...canonical import (
    ArgumentsDelta,
    Block,
    CitationDelta,
    Event,
    Extras,
    Logprobs,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCall,
)
from ...fold import BlockTracker
from .content import decode_citation


class Part:
    """A block that has begun, and what was told of it."""

    __slots__ = ("block", "cited", "index", "is_open", "parts", "pieces", "probable")

    def __init__(self, index: int, block: Block) -> None:
        self.index = index
        self.block = block
        self.is_open = True
        self.pieces: list[str] = []
        self.cited = self.probable = 0
        """How many citations and probabilities were told."""
        self.parts = 0
        """Number of the part of reasoning that is told."""

    def is_text(self) -> bool:
        """Tell whether more of a text may follow."""
        return self.is_open and isinstance(self.block, Text)


class Item:
    """An item, from its beginning on."""

    __slots__ = ("extras", "fields", "is_done", "kind", "number", "parts")

    def __init__(self, number: int, kind: str, fields: dict[str, Raw]) -> None:
        self.number = number
        self.kind = kind
        self.fields = fields
        self.extras: Extras = {}
        """What the first block of the item keeps of it."""
        self.is_done = False
        self.parts: dict[int, Part] = {}
        """By ``content_index``; an item that is one block by 0; of reasoning the summary by 0, the thoughts by 1."""


class Teller:
    """Tells the events of blocks."""

    __slots__ = ("_texts", "blocks", "events")

    def __init__(self) -> None:
        self.blocks = BlockTracker()
        self.events: list[Event] = []
        self._texts: list[Part] = []
        """In the order of the answer."""

    def taken(self) -> list[Event]:
        """Return the events that were told since the last time."""
        events, self.events = self.events, []
        return events

    def open(self, item: Item, position: int, block: Block) -> Part:
        """Begin a block: a part of a message, or an item."""
        start = self.blocks.start(block)
        self.events.append(start)
        part = item.parts[position] = Part(start.index, block)
        if isinstance(block, Text):
            self._texts.append(part)
        return part

    def close(self, part: Part) -> None:
        """End a block, once."""
        if part.is_open:
            part.is_open = False
            self.events.append(self.blocks.stop(part.index))

    def add(self, part: Part, more: str | None) -> None:
        """Tell more of what a block says."""
        if not more or not part.is_open:
            return
        part.pieces.append(more)
        match part.block:
            case Text():
                self.events.append(TextDelta(index=part.index, text=more))
            case Refusal():
                self.events.append(RefusalDelta(index=part.index, text=more))
            case ToolCall():
                self.events.append(ArgumentsDelta(index=part.index, arguments=more))
            case Reasoning():
                self.events.append(ReasoningDelta(index=part.index, text=more))
            case _:
                pass

    def complete(self, part: Part, whole: str | None) -> None:
        """Tell what a block says beyond what was told of it; nothing, if that was another thing."""
        said = "".join(part.pieces)
        if whole is not None and whole.startswith(said):
            self.add(part, whole[len(said) :])

    def add_logprobs(self, part: Part, known: list[Raw]) -> None:
        """Tell the probabilities of a whole text that its deltas did not have."""
        if len(known) > part.probable:
            self.events.append(Logprobs(content=tuple(known[part.probable :])))
            part.probable = len(known)

    def add_citations(self, part: Part, known: list[Raw]) -> None:
        """Tell the citations of a whole text that its deltas did not have."""
        for raw in known[part.cited :]:
            self.cite(part, raw)

    def cite(self, part: Part, raw: Raw) -> None:
        """Tell one citation of a text."""
        if part.is_open and isinstance(part.block, Text):
            earlier = self._texts[: self._texts.index(part)]
            before = sum(len(piece) for text in earlier for piece in text.pieces)
            citation = decode_citation(raw, f"{part.block.at}.annotations[{part.cited}]", before)
            part.cited += 1
            self.events.append(CitationDelta(index=part.index, citation=citation))
