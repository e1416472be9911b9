"""Calls of tools one after the other, for SDKs that take a call for whole when the next one begins.

OpenAI never goes back to a call, and its SDK's ``.stream()`` parses the arguments of a strict tool as soon as another
index comes. Look-alikes tell parallel calls in turn, a fragment of each: then a call waits until the one before it is
whole. It is when its arguments are an object, so that calls which do not interleave are told as they come.

Source: `openai` 3.57.0, ``lib/streaming/chat/_completions.py``, ``_current_tool_call_index``.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from ...canonical import ArgumentsDelta, BlockStart, BlockStop, Event, ToolCall

MAX_HELD: Final = 1 << 20
"""Arguments of one answer that wait for their turn, in characters: beyond what parallel calls have. Behind more than
that no call waits any longer."""

_MARK: Final = re.compile(r'\\.?|["{}]', re.DOTALL)


class _Call:
    """A call that has begun."""

    __slots__ = ("_depth", "_is_escaped", "_is_in_text", "choice", "is_told", "is_whole", "waiting")

    def __init__(self, choice: int, call: ToolCall) -> None:
        self.choice = choice
        self.is_told = False
        """Its turn has come; it may be another's by now."""
        self.is_whole = call.kind == "custom"
        """No more of it is expected. Free text may end anywhere, and no SDK parses it."""
        self.waiting: list[Event] = []
        """What came of it before its turn."""
        self._depth = 0
        self._is_in_text = self._is_escaped = False
        self.read(call.arguments)

    def read(self, piece: str) -> None:
        """Count the braces of its arguments, which end with the one that closes the first."""
        if self._is_escaped and piece:
            piece, self._is_escaped = piece[1:], False
        for mark in _MARK.findall(piece):
            if mark == '"':
                self._is_in_text = not self._is_in_text
            elif mark[0] == "\\":
                self._is_escaped = mark == "\\"
            elif not self._is_in_text:
                self._depth += 1 if mark == "{" else -1
                self.is_whole = self.is_whole or self._depth == 0


class CallsInTurn:
    """Events -> events, with calls that do not interleave."""

    __slots__ = ("_calls", "_held", "_lines")

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        """Those that have not ended, by the index of their block."""
        self._lines: dict[int, deque[_Call]] = {}
        """By their choice: the call that is told now, and those behind it."""
        self._held = 0
        """How many characters have waited so far."""

    def gather(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events that can be told by now, in order."""
        if not self._calls:  # as is usual
            for event in events:
                if type(event) is BlockStart and type(event.block) is ToolCall:
                    break
            else:
                return events
        return [told for event in events for told in self._told(event)]

    def _told(self, event: Event) -> Iterator[Event]:
        match event:
            case BlockStart(index=index, choice=choice, block=ToolCall() as block):
                call = self._calls[index] = _Call(choice, block)
                self._lines.setdefault(choice, deque()).append(call)
                length = len(block.arguments)
            case ArgumentsDelta(index=index, arguments=piece) if index in self._calls:
                call = self._calls[index]
                call.read(piece)
                length = len(piece)
            case BlockStop(index=index) if index in self._calls:
                call = self._calls.pop(index)
                call.is_whole = True
                length = 0
            case _:
                yield event
                return
        if call.is_told:
            yield event
        else:
            call.waiting.append(event)
            self._held += length
        yield from self._advance(self._lines[call.choice])

    def _advance(self, line: deque[_Call]) -> Iterator[Event]:
        """Give the turn to the next call, and to those behind it, as long as nothing more is expected of the first."""
        while line:
            call = line[0]
            if not call.is_told:
                call.is_told = True
                yield from call.waiting
                call.waiting.clear()
            if not call.is_whole and self._held <= MAX_HELD:
                return
            line.popleft()
