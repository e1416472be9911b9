"""A stream that is read up to its end, for a caller who asked for a whole answer. Pure."""

from ..canonical import Event, Response
from ..errors import Malformed
from ..fold import fold
from .side import Side


class Gathering:
    """What was read of an upstream's stream so far."""

    def __init__(self, side: Side, salt: str) -> None:
        self._decoder = side.codec.StreamDecoder(side.profile, side.max_event_bytes, salt)
        self._join_opaque = side.codec.join_opaque
        self._events: list[Event] = []

    def feed(self, data: bytes) -> bool:
        """Take a piece; tell whether the stream is over, so that nobody waits for the end of the file behind it."""
        self._events += self._decoder.feed(data)
        return self._decoder.is_complete or self._decoder.failure is not None

    def response(self) -> Response:
        """Return the answer.

        Raises:
            UpstreamError: It is broken.
        """
        if not self._decoder.is_complete:
            self._events += self._decoder.close()
        if self._decoder.failure is not None:
            raise self._decoder.failure
        if not self._decoder.is_complete:
            raise Malformed("The upstream's answer is not a complete stream.")
        return fold(self._events, self._join_opaque)
