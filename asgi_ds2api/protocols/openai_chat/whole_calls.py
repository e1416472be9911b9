"""Calls of tools in one piece each, for callers whose SDK takes no fragments.

OpenAI names a call in its first fragment alone. Mistral, who sends a call whole, has an SDK that wants the name in
every fragment, and raises at the second one of OpenAI's. A fragment that repeats the name is no way out: SDKs that
join strings would double it.

The calls of a turn come in the order in which they end; text and thoughts pass at once. What is held is a call's
arguments, which the upstream's limits bound; of a stream that breaks off, a call that has not ended is not told.

Source: `mistralai` 3.7.0, ``models/functioncall.py``.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ...canonical import ArgumentsDelta, BlockStart, BlockStop, Event, ToolCall


class WholeCalls:
    """Events -> events, with calls that begin when they end."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, tuple[BlockStart, ToolCall, list[str]]] = {}

    def gather(self, events: Sequence[Event]) -> list[Event]:
        """Return the events that can be told by now, in order."""
        return [told for event in events for told in self._told(event)]

    def _told(self, event: Event) -> Iterator[Event]:
        match event:
            case BlockStart(index=index, block=ToolCall() as call):
                self._open[index] = (event, call, [call.arguments])
            case ArgumentsDelta(index=index) if index in self._open:
                self._open[index][2].append(event.arguments)
            case BlockStop(index=index) if index in self._open:
                start, call, pieces = self._open.pop(index)
                arguments = "".join(pieces) or ("{}" if call.kind == "function" else "")
                yield replace(start, block=replace(call, arguments=arguments))
                yield event
            case _:
                yield event
