"""An answer that its upstream paused and goes on with when it is asked to: several calls, one answer. Pure.

A vendor that runs tools by itself ends a long answer in the middle (``pause_turn``) and wants it back as it was. The
caller gets one answer: what the calls said in a row, their usage together, the end of the last one.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ..canonical import (
    BlockStart,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Notice,
    Ping,
    Start,
    Usage,
)
from ..codec import HTTPCall
from ..fold import add_usage, fold, merge_usage
from .side import Side

MAX_RESUMES = 5
"""Calls that follow the first one; then a pause is told as one."""


class Pauses:
    """The calls of one answer.

    Args:
        side: The upstream.
    """

    def __init__(self, side: Side) -> None:
        self._codec = side.codec
        self._left = MAX_RESUMES if side.resumes_pauses and side.codec.PAUSING is not None else 0
        self._max_bytes = side.max_event_bytes
        """What a call may have said to be gone on from."""
        self._bytes = 0
        self._said: list[Event] = []
        """By the call at hand, as it came."""
        self._first_block = 0
        """Number that the first block of the call at hand has in the whole."""
        self._blocks = 0
        self._earlier: Usage | None = None
        self._usage: Usage | None = None
        self._has_begun = False
        self.is_paused = False
        """The call at hand ended with a pause, and will be gone on from."""
        self.resumed = 0
        """How often an answer was gone on from."""

    @property
    def are_told(self) -> bool:
        """Nothing is to be resumed: whatever comes is told as it is."""
        return not self._left and not self.resumed

    def read(self, size: int) -> None:
        """Note that so many bytes came."""
        self._bytes += size

    def pass_on(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events of a call as those of the whole."""
        if self.are_told:
            return events
        if self._left and self._bytes <= self._max_bytes:
            self._said += events
        return [told for event in events if (told := self._in_whole(event)) is not None]

    def resume(self, call: HTTPCall) -> HTTPCall:
        """Return the call that goes on from the pause that ``call`` was answered with."""
        assert self._codec.PAUSING is not None, "else there is no pause"
        answer = fold(self._said, self._codec.join_opaque)
        self._left -= 1
        self.resumed += 1
        self._first_block = self._blocks
        self._earlier = None if self._usage is None else add_usage(self._earlier, self._usage)
        self._usage = None
        self._bytes = 0
        self._said = []
        self.is_paused = False
        return self._codec.PAUSING.go_on_from(call, answer)

    def _in_whole(self, event: Event) -> Event | None:
        match event:
            case Start() if self._has_begun:
                return ExtrasDelta(level="response", fields=event.extras) if event.extras else None
            case Start():
                self._has_begun = True
                return event
            case Usage():
                self._usage = merge_usage(self._usage, event)
                return add_usage(self._earlier, self._usage)
            case Finish(reason="pause") if self._left and self._bytes <= self._max_bytes:
                self.is_paused = True
                return None
            case Finish() | Logprobs() | ExtrasDelta() | Notice() | Ping():
                return event
            case BlockStart():
                self._blocks += 1
        return replace(event, index=self._first_block + event.index)
