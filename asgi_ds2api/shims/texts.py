"""Leads each text of an answer through a filter of its own."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from ..canonical import BlockStart, BlockStop, Event, Text, TextDelta


class Filter(Protocol):
    """What becomes of one text."""

    def feed(self, text: str) -> str:
        """Take a piece; return what can be told by now."""
        ...

    def close(self) -> str:
        """Return the rest."""
        ...


class FilteredTexts:
    """The texts that have begun and not ended.

    Args:
        begin: Makes the filter of one.
    """

    def __init__(self, begin: Callable[[], Filter]) -> None:
        self._begin = begin
        self._filters: dict[int, Filter] = {}

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return an answer's events with its texts as the filters leave them."""
        out: list[Event] = []
        for event in events:
            match event:
                case BlockStart(block=Text() as block):
                    self._filters[event.index] = text = self._begin()
                    out.append(replace(event, block=replace(block, text="")))
                    out += _delta(event.index, text.feed(block.text))
                case TextDelta() if event.index in self._filters:
                    out += _delta(event.index, self._filters[event.index].feed(event.text))
                case BlockStop() if event.index in self._filters:
                    out += _delta(event.index, self._filters.pop(event.index).close())
                    out.append(event)
                case _:
                    out.append(event)
        return out


def _delta(index: int, text: str) -> list[Event]:
    return [TextDelta(index=index, text=text)] if text else []
