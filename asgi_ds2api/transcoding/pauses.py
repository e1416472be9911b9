"""An answer that one call does not give: the upstream paused it, or spoiled it. Several calls, one answer. Pure.

A vendor that runs tools by itself ends a long answer in the middle (``pause_turn``) and wants it back as it was. The
caller gets one answer: what the calls said in a row, their usage together, the end of the last one. A model that was to
call a tool may write what cannot be read instead (`Finish.is_spoiled`): if it said nothing else, it is asked once more.
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
    Reasoning,
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
        self._has_said = False
        """More than thoughts came: a spoiled end is the end."""
        self.is_paused = False
        """The call at hand ended with a pause and will be gone on from, or was spoiled and will be made again."""
        self.is_spoiled = False
        """It will be made again."""
        self.resumed = 0
        """How often an answer was gone on from."""

    @property
    def are_told(self) -> bool:
        """No pause is to be gone on from: whatever comes is told as it is, but for a spoiled end."""
        return not self._left and not self.resumed

    def read(self, size: int) -> None:
        """Note that so many bytes came."""
        self._bytes += size

    def pass_on(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events of a call as those of the whole."""
        if self.are_told and self._has_said:
            return events
        if self._left and self._bytes <= self._max_bytes:
            self._said += events
        return [told for event in events if (told := self._in_whole(event)) is not None]

    def resume(self, call: HTTPCall) -> HTTPCall:
        """Return the call that goes on from what ``call`` was answered with: the same one if that was spoiled."""
        following = call if self.is_spoiled else self._go_on(call)
        self.resumed += 1
        self._first_block = self._blocks
        self._earlier = None if self._usage is None else add_usage(self._earlier, self._usage)
        self._usage = None
        self._bytes = 0
        self._said = []
        self._has_said = self._has_said or self.is_spoiled  # once is enough
        self.is_paused = self.is_spoiled = False
        return following

    def _go_on(self, call: HTTPCall) -> HTTPCall:
        assert self._codec.PAUSING is not None, "else there is no pause"
        self._left -= 1
        return self._codec.PAUSING.go_on_from(call, fold(self._said, self._codec.join_opaque))

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
            case Finish(is_spoiled=True) if not self._has_said:
                self.is_paused = self.is_spoiled = True
                return None
            case Finish() if self.is_spoiled:
                return None
            case Finish() | Logprobs() | ExtrasDelta() | Notice() | Ping():
                return event
            case BlockStart():
                self._blocks += 1
                self._has_said = self._has_said or not isinstance(event.block, Reasoning)
        return replace(event, index=self._first_block + event.index) if self._first_block else event
