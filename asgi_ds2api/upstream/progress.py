"""Where one exchange stands, and how long it may stand there.

One cancel scope bounds the way to the head of the answer. Its deadline moves with the phase: making the connection has
one limit whatever it consists of, sending has none here (each write has its own), waiting for the answer has one that
no 1xx answer prolongs. All times are those of the running event loop.
"""

import enum
import math
from collections.abc import AsyncIterator

import anyio
import httpx

from ..errors import UpstreamError
from .contract import CallBounds, UpstreamRequest
from .failures import FailureCode, failure


class Phase(enum.Enum):
    """What an exchange is doing."""

    CONNECTING = enum.auto()
    SECURING = enum.auto()
    SENDING = enum.auto()
    WAITING = enum.auto()
    READING = enum.auto()


_TIMED_OUT: dict[Phase, FailureCode] = {
    Phase.CONNECTING: "connect_timeout",
    Phase.SECURING: "tls_timeout",
    Phase.SENDING: "write_timeout",
    Phase.WAITING: "ttfb_timeout",
    Phase.READING: "idle_timeout",
}


class Progress:
    """The phase of one exchange and the deadline that goes with it."""

    def __init__(self, limits: CallBounds) -> None:
        self.limits = limits
        self.phase = Phase.CONNECTING
        self.scope = anyio.CancelScope(deadline=anyio.current_time() + limits.connect_s)
        """Entered by whoever waits for the head of the answer."""

    def securing(self) -> None:
        """The TCP connection is there, and TLS begins within the same limit."""
        self.phase = Phase.SECURING

    def sending(self) -> None:
        """The connection is there, and the first byte of the request is about to leave."""
        self.phase = Phase.SENDING
        self.scope.deadline = math.inf

    def waiting(self) -> None:
        """The request is out."""
        self.phase = Phase.WAITING
        self.scope.deadline = anyio.current_time() + self.limits.first_byte_s

    def reading(self) -> None:
        """The head of the answer is there."""
        self.phase = Phase.READING
        self.scope.deadline = math.inf

    def timed_out(self) -> UpstreamError:
        """Return the error of a limit that was reached in this phase."""
        return failure(_TIMED_OUT[self.phase])


class RequestBody(httpx.AsyncByteStream):
    """The body of a request; whoever sends it tells the progress of the exchange by that.

    It comes in slices, since a limit on writing is one on progress, not on the whole; what a source gives goes on as it
    comes, and how long the source may take is its own affair. It ends with an empty slice, which says "all is there" to
    a transport that gathers. No async generator: an upload may be given up half-way, and a generator would then be left
    to the garbage collector.
    """

    SLICE_BYTES = 262_144
    """Larger than all but long histories and files; any link sends it within `CallBounds.write_s`."""

    def __init__(self, request: UpstreamRequest, progress: Progress) -> None:
        self._body = request.body
        self._source = request.source
        self._progress = progress
        self._at = 0
        self._is_told = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Begin to send."""
        self._at, self._is_told = 0, False
        self._progress.sending()
        return self

    async def __anext__(self) -> bytes:
        """Return the next slice."""
        if not self._is_told:
            piece = await self._next()
            if piece:
                return piece
            self._is_told = True
            return b""
        self._progress.waiting()
        raise StopAsyncIteration

    async def _next(self) -> bytes:
        if self._source is not None:
            return await self._source.next()
        piece = self._body[self._at : self._at + self.SLICE_BYTES]
        self._at += len(piece)
        return piece
