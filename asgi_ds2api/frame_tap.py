"""A relayed stream, watched: whole frames pass as they came, and only those that matter are read.

What is common to every protocol of server-sent events: which bytes pass, and when a stream is over. What matters in a
frame, and what it says, is for ``protocols/<name>/stream_tap.py``.

1. Nothing passes behind the end, nor a frame that carries an error.
2. Until something of the answer has passed every frame is read; from then on a read of others costs a few searches.
"""

from abc import ABC, abstractmethod

from .errors import Interrupted, Malformed, UpstreamError
from .framing import FrameSplitter, line_end_of, missing_line_feed, split_frames


class FrameTap(ABC):
    """Passes frames on, and shows those that matter to `_read`.

    Args:
        max_event_bytes: Longest event that is accepted.
        terminator: The frame that ends a stream.
        may_end_early: The upstream may leave the terminator out, once it has said why it ends.
    """

    def __init__(self, max_event_bytes: int, *, terminator: bytes, may_end_early: bool) -> None:
        self.is_meaningful = False
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._splitter = FrameSplitter(max_event_bytes)
        self._terminator = terminator
        self._behind_end = b""
        """What the caller gets behind the frame that completed the stream, whether the upstream has it or not; with the
        line ends of that frame."""
        self._may_end_early = may_end_early
        self._has_begun = False
        """A part of an answer was read. Set by `_read`, as ``is_meaningful`` and ``is_complete`` are."""

    def feed(self, data: bytes) -> bytes:
        """Return the frames that these bytes complete, byte for byte."""
        if self.is_complete or self.failure is not None:
            return b""
        block = self._splitter.feed(data)
        passed = block if self.is_meaningful and not self._matters(block) else self._watch(block)
        if len(passed) == len(block) and not self.is_complete:
            self.failure = self._splitter.failure
        return passed

    def close(self) -> bytes:
        """Say that the HTTP message ended; an event without its blank line was never sent.

        Where the upstream may leave the terminator out, the caller gets one all the same.
        """
        if self.is_complete or self.failure is not None:
            return b""
        if self._may_end_early and self._has_finish and not self._splitter.has_tail:
            self.is_complete = True
            return self._terminator
        if self._has_begun:
            self.failure = Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return b""

    def _watch(self, block: bytes) -> bytes:
        """Read the frames that matter; return those up to the end, or up to an error."""
        end = 0
        for frame in split_frames(block):
            try:
                if not self.is_meaningful or self._matters(frame):
                    self._read(frame)
            except UpstreamError as failure:
                self.failure = failure
                return block[:end]
            end += len(frame)
            if self.is_complete:
                last = self._behind_end.replace(b"\n", line_end_of(frame))
                return block[:end] + missing_line_feed(frame) + last
        return block

    @property
    @abstractmethod
    def _has_finish(self) -> bool:
        """The upstream has said why it ends."""

    @abstractmethod
    def _matters(self, block: bytes) -> bool:
        """Tell whether frames hold anything that has to be read; sure of a no alone."""

    @abstractmethod
    def _read(self, frame: bytes) -> None:
        """Read a frame that may matter. What cannot be read is the client's to judge: it sees it as it came.

        Raises:
            UpstreamError: It carries an error, or breaks off.
        """
