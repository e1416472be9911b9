"""Tells reasoning from text where an upstream writes both as text: ``<think>...</think>`` at the beginning.

Only the very beginning of an answer counts: whoever quotes a tag later means the tag. Text is held back while it could
be a tag, no longer; white space around the tags goes with them.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ..canonical import (
    BlockStart,
    BlockStop,
    Event,
    Notices,
    Reasoning,
    ReasoningDelta,
    Request,
    Text,
    TextDelta,
)

TAGS = {"<think>": "</think>", "<thinking>": "</thinking>", "[THINK]": "[/THINK]"}
"""What opens -> what closes."""


class ThinkTags:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._count = 0
        """How many blocks have begun for the caller."""
        self._index: dict[int, int] = {}
        """Of a block, as the upstream counts -> as the caller does."""
        self._told: set[int] = set()
        """Choices that have said something: no tag opens there any more."""
        self._splitters: dict[int, _Splitter] = {}
        self._starts: dict[int, BlockStart] = {}
        """Texts that nothing was told of yet."""

    def request(self, request: Request, notices: Notices) -> Request:
        """Return the request as it is: nothing has to be asked for."""
        return request

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Put what is between the tags into a block of its own."""
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Text() as block) if event.choice not in self._told:
                    self._told.add(event.choice)
                    self._splitters[event.index] = splitter = _Splitter()
                    self._starts[event.index] = event
                    out += self._split(event.index, splitter.feed(block.text))
                case BlockStart():
                    self._told.add(event.choice)
                    out.append(replace(event, index=self._next(event.index)))
                case TextDelta() if event.index in self._splitters:
                    out += self._split(event.index, self._splitters[event.index].feed(event.text))
                case BlockStop() if event.index in self._splitters:
                    out += self._end(event.index)
                case _ if (index := getattr(event, "index", None)) is not None:
                    out += self._begun(index)
                    out.append(replace(event, index=self._index[index]))
                case _:
                    out.append(event)
        return out

    def _next(self, index: int) -> int:
        self._index[index] = self._count
        self._count += 1
        return self._index[index]

    def _split(self, index: int, pieces: Sequence[tuple[bool, str]]) -> list[Event]:
        """Tell pieces of a text: each says whether it is reasoning, and what it says."""
        out: list[Event] = []
        splitter = self._splitters[index]
        for is_thought, text in pieces:
            if is_thought:
                if splitter.block < 0:
                    splitter.block = self._count
                    self._count += 1
                    start = self._starts[index]
                    thought = Reasoning(at=start.block.at)
                    out.append(BlockStart(index=splitter.block, block=thought, choice=start.choice))
                out.append(ReasoningDelta(index=splitter.block, text=text))
            else:
                out += self._begun(index)
                out.append(TextDelta(index=self._index[index], text=text))
        return out

    def _begun(self, index: int) -> list[Event]:
        """Begin a text that nothing was told of yet; its reasoning ends there."""
        start = self._starts.pop(index, None)
        if start is None or not isinstance(start.block, Text):
            return []
        ended = self._ended_thought(index)
        return [*ended, replace(start, index=self._next(index), block=replace(start.block, text=""))]

    def _ended_thought(self, index: int) -> list[Event]:
        splitter = self._splitters.get(index)
        if splitter is None or splitter.block < 0:
            return []
        block, splitter.block = splitter.block, -1
        return [BlockStop(index=block)]

    def _end(self, index: int) -> list[Event]:
        """End a text: what is held back is told; one that was reasoning alone is no text."""
        out = self._split(index, self._splitters[index].close())
        if index in self._starts and self._splitters[index].block >= 0:
            del self._starts[index]
            out += self._ended_thought(index)
        else:
            out += [*self._begun(index), BlockStop(index=self._index[index])]
        del self._splitters[index]
        return out


class _Splitter:
    """Cuts one text into reasoning and text."""

    def __init__(self) -> None:
        self.block = -1
        """Of its reasoning, while that is open."""
        self._held = ""
        self._closing: str | None = None
        """What ends the reasoning, while that is open."""
        self._is_decided = False
        """No tag opens any more."""
        self._is_fresh = False
        """Nothing was said since the last tag: white space there belongs to it."""

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Return what can be told: whether it is reasoning, and what it says."""
        self._held += text
        pieces: list[tuple[bool, str]] = []
        if not self._is_decided:
            self._decide()
        if self._closing is not None:
            pieces += self._think(self._closing)
        if self._is_decided and self._closing is None:
            pieces += self._say()
        return pieces

    def close(self) -> list[tuple[bool, str]]:
        """Return what is left."""
        rest, self._held = self._held, ""
        is_thought = self._closing is not None
        rest = rest.strip() if self._is_fresh and not is_thought else rest.rstrip() if is_thought else rest
        return [(is_thought, rest)] if rest else []

    def _decide(self) -> None:
        """Look for a tag at the beginning; more may be needed to tell."""
        start = self._held.lstrip()
        for opening, closing in TAGS.items():
            if start.startswith(opening):
                self._held, self._closing = start[len(opening) :], closing
                self._is_decided = self._is_fresh = True
                return
        self._is_decided = bool(start) and not any(opening.startswith(start) for opening in TAGS)

    def _think(self, closing: str) -> list[tuple[bool, str]]:
        if self._is_fresh:
            self._held = self._held.lstrip()
            self._is_fresh = not self._held
        thought, found, rest = self._held.partition(closing)
        if found:
            self._held, self._closing, self._is_fresh = rest, None, True
            thought = thought.rstrip()
        else:
            thought = thought[: len(thought) - _overlap(thought, closing)].rstrip()
            self._held = self._held[len(thought) :]
        return [(True, thought)] if thought else []

    def _say(self) -> list[tuple[bool, str]]:
        said = self._held.lstrip() if self._is_fresh else self._held
        if not said:
            return []
        self._held, self._is_fresh = "", False
        return [(False, said)]


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of a text may be the beginning of a tag."""
    longest = min(len(text), len(tag) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(tag[:size])), 0)
