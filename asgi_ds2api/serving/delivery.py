"""The one answer that a caller gets, whichever attempt gives it.

The commit point is the first byte of an upstream's answer that reaches the caller. Before it any candidate may be
tried; after it the only failure is in-band, in the caller's protocol, without a success terminator. Heartbeats that go
out while every upstream is silent are no commit: failover goes on behind them.
"""

from collections.abc import Callable, Sequence

import anyio
import msgspec

from ..canonical import Notices
from ..codec import Envelope, Face
from ..errors import GatewayError
from ..headers import relayed_headers
from ..observe import Attempt
from ..pool.model import Lease
from ..transcoding.transcoder import Transcoder
from ..upstream.contract import UpstreamResponse
from . import answer_headers
from .means import Means, Way
from .patience import Kind
from .reply import Reply

BREAK_OFF_S = 1.0
"""For the last words to a caller whose stream has begun."""
OURS = frozenset({b"content-type", b"request-id", b"x-request-id", b"retry-after", b"retry-after-ms"})
"""Headers that an upstream may send and that this gateway says for itself."""


class Source(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Who is asked in one attempt, and the way there and back. Compared by identity."""

    lease: Lease
    way: Way
    transcoder: Transcoder
    began: float
    """When the attempt did, in seconds of the event loop."""


class Delivery:
    """The answer to one request.

    Args:
        means: Shared by all requests.
        face: The caller's protocol.
        envelope: What was peeked of the request.
        reply: Nothing was sent on it yet.
        base_headers: Of every answer to this request.
        scope: Of the request: its deadline is moved when a stream begins.
        log: What is told of the attempts that are over.
    """

    def __init__(
        self, means: Means, *, face: Face, envelope: Envelope, reply: Reply,
        base_headers: Sequence[tuple[bytes, bytes]], scope: anyio.CancelScope, log: Sequence[Attempt],
    ) -> None:  # fmt: skip
        self._means = means
        self._scope = scope
        self._base_headers = tuple(base_headers)
        self._log = log
        self.face = face
        self.envelope = envelope
        self.reply = reply
        self.source: Source | None = None
        """Whose answer it is; as long as it is nobody's, who was asked last. None: nobody yet."""
        self.is_taken = False
        """A part of the answer is there, so that nobody else is asked for all of it."""
        self.when_taken: Callable[[Source], None] | None = None
        """Is told whose it is, at that moment; None: nobody is."""
        self.under_way = 1
        """Attempts that are made at the same time."""
        self.committed_at: float | None = None
        """When the first byte of the answer went out; None: none did."""

    @property
    def is_committed(self) -> bool:
        """Something of the answer has reached the caller."""
        return self.committed_at is not None

    def is_begun_by(self, source: Source) -> bool:
        """Tell whether something of this one's answer has reached the caller."""
        return self.source is source and self.is_committed

    def is_native(self, source: Source) -> bool:
        """Tell whether somebody is asked in the caller's protocol."""
        return source.way.codec.NAME == self.face.NAME

    @property
    def tells_notices(self) -> bool:
        """Whether the caller is told of them."""
        source = self.source
        return source is not None and (self.envelope.on_unsupported or source.way.on_unsupported) != "drop"

    # --- what goes out ------------------------------------------------------------------------------------------------

    def heartbeat(self) -> bytes:
        """Return bytes that keep the caller's stream busy."""
        if self.source is not None:
            return self.source.transcoder.heartbeat()
        return self.face.StreamEncoder(msgspec.structs.replace(self.envelope, heard=None), Notices()).heartbeat()

    def ask(self, source: Source) -> None:
        """Note who is asked."""
        if not self.is_taken:
            self.source = source

    async def take(self, source: Source) -> None:
        """Note that a valid part of the answer is there: from here on it is this one's.

        If another one was first, this one is being cancelled, and waits for that.
        """
        if not self.is_taken:
            self.is_taken = True
            self.source = source
            if self.when_taken is not None:
                self.when_taken(source)
        elif self.source is not source:
            await anyio.sleep_forever()

    async def begin_stream(self, source: Source, response: UpstreamResponse) -> None:
        """Commit to this one's stream. The status line may be out already: a heartbeat sends it too."""
        await self.take(source)
        if self.is_committed:
            return
        self._scope.deadline = self._commit(source) + self._means.timing.stream_s
        if not self.reply.is_started:
            await self.reply.start(200, [*self.stream_headers(source), *self._told(source, response)])

    async def send_whole(self, source: Source, response: UpstreamResponse, body: bytes) -> None:
        """Commit to this one's whole answer, and send it."""
        await self.take(source)
        self._commit(source)
        headers = [(b"content-type", b"application/json"), *self._headers(source), *self._told(source, response)]
        await self.reply.whole(200, headers, body)

    def _commit(self, source: Source) -> float:
        self.committed_at = now = anyio.current_time()
        self._means.pool.answered(source.lease)
        if source.way.hedges:
            self._means.patience.answered(self._kind(source), now - source.began)
        return now

    def overtaken(self, source: Source) -> None:
        """Note that this one has not answered so far, and is not waited for any longer."""
        if source.way.hedges:
            self._means.patience.overtaken(self._kind(source), anyio.current_time() - source.began)

    def _kind(self, source: Source) -> Kind:
        return Kind(source.lease.candidate, self.envelope.operation, self.envelope.stream)

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose stream has begun why it ends here.

        The connection is cut of one that does not read, and of one that was promised a whole answer. Who heard nothing
        but heartbeats never saw what is held back, and is told on its own.
        """
        if error.code == "client_stalled" or not self.envelope.stream:
            self.reply.abandon()
            return
        if self.source is not None and self.is_committed:
            frame = self.source.transcoder.error(error)
        else:
            frame = self.face.StreamEncoder(self.envelope, Notices()).error(error)
        with anyio.move_on_after(BREAK_OFF_S) as scope:
            await self.reply.end(frame)
        if scope.cancelled_caught:
            self.reply.abandon()

    # --- headers ------------------------------------------------------------------------------------------------------

    def stream_headers(self, source: Source | None = None) -> list[tuple[bytes, bytes]]:
        """Return the headers of a stream; without a source, of one whose upstream nobody knows yet."""
        content_type = self.envelope.stream_content_type or self.face.STREAM_CONTENT_TYPE
        return [(b"content-type", content_type), *answer_headers.STREAM, *self._headers(source)]

    def _headers(self, source: Source | None) -> list[tuple[bytes, bytes]]:
        if not self._means.show_route:
            return list(self._base_headers)
        served = None
        if source is not None:
            candidate = source.lease.candidate
            served = answer_headers.Served(
                upstream=candidate.account.upstream,
                model=candidate.model,
                account=candidate.account.label,
                mode=source.transcoder.mode,
            )
        return [
            *self._base_headers,
            *answer_headers.route(served, len(self._log) + self.under_way, with_account=self._means.show_account),
        ]

    def _told(self, source: Source, response: UpstreamResponse) -> list[tuple[bytes, bytes]]:
        """Return what the upstream's head and the translation tell: vendor headers within one protocol, Notices."""
        is_same = self.is_native(source)
        vendors = [pair for pair in relayed_headers(response.headers) if pair[0] not in OURS] if is_same else []
        return vendors + answer_headers.notices(source.transcoder.notices) if self.tells_notices else vendors
