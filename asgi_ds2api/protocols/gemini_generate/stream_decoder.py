"""A streamed answer, read: server-sent events -> canonical events. What a chunk says is read by ``answer_reader``.

The vendor's stream has no end of its own: it ends with the HTTP message, and is complete if every candidate has told
why it ended. A stream that ends before is never mended.
"""

from ...canonical import Event
from ...errors import UpstreamError
from ...framing import SSEDecoder
from ...profiles import Profile
from .answer_reader import AnswerReader

_DONE = b"[DONE]"
"""OpenAI's end of a stream, which some proxies add."""


class StreamDecoder:
    """Bytes of an upstream's stream -> events. See `codec.EventDecoder`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
        salt: As of an `AnswerReader`.
    """

    def __init__(self, profile: Profile, max_event_bytes: int, salt: str = "") -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._frames = SSEDecoder(max_event_bytes)
        self._reader = AnswerReader(profile, salt)

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete, in order; an empty list means that more bytes are needed."""
        events: list[Event] = []
        if self.is_complete or self.failure is not None:
            return events
        for frame in self._frames.feed(data):
            if frame.data.strip() == _DONE:
                continue
            try:
                events += self._reader.read(frame.data)
            except UpstreamError as failure:
                return events + self._broken(failure)
        if self._frames.failure is not None:
            return events + self._broken(self._frames.failure)
        return events

    def close(self) -> list[Event]:
        """Say that the HTTP message ended. Sets `failure` unless the stream is complete."""
        if self.is_complete or self.failure is not None:
            return []
        try:
            events = self._reader.end()
        except UpstreamError as failure:
            return self._broken(failure)
        self.is_complete = True
        return events

    def _broken(self, failure: UpstreamError) -> list[Event]:
        """Note why the stream is broken; return the figures that were told so far."""
        self.failure = failure
        return self._reader.last_words()
