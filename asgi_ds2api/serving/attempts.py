"""From a planned request to its answer: attempts, failover, the commit point, the stream.

The commit point is the first byte of an upstream's answer that reaches the caller. Before it any candidate may be
tried; after it the only failure is in-band, in the caller's protocol, without a success terminator. Heartbeats that go
out while every upstream is silent are no commit: failover goes on behind them.

Pull-driven: the upstream is read again only after ``send`` returned. No queue, no task per event, no timer per event.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import anyio
import msgspec

from ..canonical import Notice, Notices
from ..codec import AnswerFacts, Envelope, Face, HTTPCall
from ..errors import (
    CapacityError,
    GatewayError,
    Interrupted,
    Malformed,
    PoolExhausted,
    Refused,
    RequestError,
    Timeout,
    UpstreamError,
)
from ..headers import relayed_headers
from ..observe import Attempt
from ..pool.model import Candidate, Lease, Plan
from ..transcoding.side import Side
from ..transcoding.transcoder import Transcoder
from ..upstream.answer import is_stream, judge, rate_windows_of, read_until, read_whole
from ..upstream.contract import UpstreamResponse
from ..upstream.outbound import build
from . import answer_headers
from .attempt_log import attempt_of, spent_of
from .failover import may_be_asked_elsewhere, more_telling, without_retry
from .fleet import Fleet
from .inbound import ClientGone
from .means import Means, UpstreamSide
from .off_loop import off_loop
from .pulse import Pulse
from .reply import Reply
from .waiting import lease_for

BREAK_OFF_S = 1.0
"""For the last words to a caller whose stream has begun."""
MAX_REPAIRS = 3
"""Each removes one thing that an upstream objected to, on the same account."""
MAX_HELD_BYTES = 65_536
"""Most that is held back before the first meaningful event."""
OURS = frozenset({b"content-type", b"request-id", b"x-request-id", b"retry-after", b"retry-after-ms"})
"""Headers that an upstream may send and that this gateway says for itself."""


class Attempts:
    """The attempts of one request, and the answer that one of them gives.

    Args:
        means: Shared by all requests.
        plan: Where this one may go.
        face: The caller's protocol.
        envelope: What was peeked of the request.
        way: Chooses how an upstream is asked for a model, of the ways that it has.
        transcoder: Makes the way there and back of one attempt.
        request_bytes: Size of the caller's body: on a large one the work is done in a thread.
        reply: Nothing was sent on it yet.
        base_headers: Of every answer to this request.
    """

    def __init__(
        self,
        means: Means,
        *,
        plan: Plan,
        face: Face,
        envelope: Envelope,
        transcoder: Callable[[UpstreamSide, Side], Transcoder],
        request_bytes: int,
        reply: Reply,
        base_headers: Sequence[tuple[bytes, bytes]],
        way: Callable[[UpstreamSide, str], UpstreamSide] | None = None,
    ) -> None:
        self._means = means
        self._pool = means.pool
        self._timing = means.timing
        self._plan = plan
        self._face = face
        self._envelope = envelope
        self._choose_way = way
        self._make_transcoder = transcoder
        self._request_bytes = request_bytes
        self._reply = reply
        self._base_headers = tuple(base_headers)
        self._scope = anyio.CancelScope()
        self._cut_reason: GatewayError | None = None
        self._is_caller_gone = False
        self._current: Transcoder | None = None
        self._side: UpstreamSide | None = None
        self._held = b""
        """Bytes of an attempt that are kept back."""
        self._is_billed = False
        """A part of the answer is there, so that nobody else is asked for all of it."""
        self.account = ""
        """Id of the account that is asked, or was last."""
        self.log: list[Attempt] = []
        self.queued_s = 0.0
        """How long it has waited for accounts so far."""
        self.is_committed = False
        self.committed_at: float | None = None
        self.failure: GatewayError | None = None
        """What ended the request, if it was no success; already told to the caller if its answer had begun."""

    # --- what the Record asks -----------------------------------------------------------------------------------------

    @property
    def notices(self) -> Sequence[Notice]:
        """Of the last attempt."""
        return () if self._current is None else tuple(self._current.notices)

    @property
    def tells_notices(self) -> bool:
        """Whether the caller is told of them."""
        side = self._side
        return side is not None and (self._envelope.on_unsupported or side.on_unsupported) != "drop"

    @property
    def facts(self) -> AnswerFacts:
        """Of the last attempt."""
        return AnswerFacts() if self._current is None else self._current.facts

    @property
    def mode(self) -> Literal["relay", "translate", ""]:
        """Of the last attempt; empty if there was none."""
        return "" if self._current is None else self._current.mode

    @property
    def is_native(self) -> bool:
        """Whether the account that is asked, or was last, was asked in the caller's protocol."""
        return self._side is not None and self._side.codec.NAME == self._face.NAME

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not.

        Raises:
            ClientGone: The caller left, as a ``send`` told.
            GatewayError: Never: that is what ``failure`` is for.
        """
        self._scope.deadline = anyio.current_time() + self._timing.deadline_s
        try:
            with self._scope:
                await self._until_one_answers()
        except GatewayError as error:
            self.failure = error
        if self._scope.cancelled_caught:
            if self._is_caller_gone:
                raise ClientGone
            self.failure = self._cut_reason or Timeout(
                "The answer took longer than this gateway waits.", code="deadline_exceeded"
            )
        if self.failure is not None and self._reply.is_started and not self._reply.is_ended:
            await self.break_off(self.failure)

    def cut(self, reason: GatewayError) -> None:
        """End the request now, from outside: the caller is told ``reason``."""
        self._cut_reason = reason
        self._scope.cancel()

    async def pulse(self) -> None:
        """Keep a silent stream alive, and let go of a caller that does not read. Runs beside `run` until cancelled."""
        timing = self._timing
        await Pulse(
            self._reply,
            self.heartbeat if self._envelope.stream else None,
            self.stream_headers,
            commit_after_s=timing.commit_after_s,
            heartbeat_s=timing.heartbeat_s,
            send_s=timing.send_s,
            cut=self.cut,
            leave=self._leave,
        ).run()

    def heartbeat(self) -> bytes:
        """Return bytes that keep the caller's stream busy."""
        if self._current is not None:
            return self._current.heartbeat()
        return self._face.StreamEncoder(msgspec.structs.replace(self._envelope, heard=None), Notices()).heartbeat()

    def _leave(self) -> None:
        self._is_caller_gone = True
        self._scope.cancel()

    async def _until_one_answers(self) -> None:
        tried: set[Candidate] = set()
        error: UpstreamError | None = None
        lease = await self._wait_for_lease()
        while True:
            if self._means.fleet is not None:
                lease = await self._granted(self._means.fleet, lease, tried)
            tried.add(lease.candidate)
            try:
                failed = await self._attempt(lease)
            except RequestError:
                if error is None:
                    raise
                # What this target cannot be asked the first one could: that one's failure is why there is no answer.
                raise without_retry(error) from None
            if failed is None:
                return
            error = failed
            lease = await self._next_lease(lease, tried, error)

    async def _wait_for_lease(self, tried: Collection[Candidate] = ()) -> Lease:
        """Take a slot, or the place in line that leads to one."""
        began = anyio.current_time()
        try:
            return await lease_for(
                self._pool, self._plan, min(self._timing.queue_s, self._scope.deadline - began), tried
            )
        finally:
            self.queued_s += anyio.current_time() - began

    async def _granted(self, fleet: Fleet, lease: Lease, tried: Collection[Candidate]) -> Lease:
        """Return a lease that those who share its account grant: this one, or another in its place."""
        while True:
            is_answered = False
            try:
                refusal = await fleet.admit(lease, self._plan.demand)
                is_answered = True
            finally:
                if not is_answered:
                    self._pool.put_back(lease)
            if refusal is None:
                return lease
            self._pool.refuse(lease, refusal.wait_s)
            lease = await self._wait_for_lease(tried)

    async def _next_lease(self, lease: Lease, tried: Collection[Candidate], error: UpstreamError) -> Lease:
        """Take the slot of another attempt; wait for one that is merely busy.

        Raises:
            GatewayError: There shall be none: ``error``, or what tells the caller more.
        """
        is_foreign = isinstance(error, Refused) and error.kind == "foreign_reasoning"
        bound = self._pool.bound(self._plan) if is_foreign else self._plan
        is_bound, self._plan = bound != self._plan, bound
        if self.is_committed or self._is_billed or not (is_bound or may_be_asked_elsewhere(error)):
            raise error
        if len(tried) >= self._timing.max_attempts:
            raise without_retry(error) if len(tried) > 1 else error
        following: Lease | None = None
        try:
            following = self._pool.acquire(self._plan, tried)
        except CapacityError as full:
            if not (isinstance(full, PoolExhausted) and full.is_busy):
                raise (full if is_bound else more_telling(error, full)) from None
        may_retry = False
        try:
            may_retry = self._pool.may_retry(lease)  # asked last, as it takes from the budget
        finally:
            if following is not None and not may_retry:
                self._pool.put_back(following)
        if not may_retry:
            raise without_retry(error)
        try:
            return following or await self._wait_for_lease(tried)
        except CapacityError as full:
            raise more_telling(error, full) from None

    async def _attempt(self, lease: Lease) -> UpstreamError | None:
        """Try one candidate; return why it failed, None if it answered. The lease is released exactly once."""
        began = anyio.current_time()
        call: HTTPCall | None = None
        error: UpstreamError | None = None
        is_settled = False
        try:
            lessons = self._means.lessons_of(lease.candidate.account.upstream, lease.candidate.model)
            side, transcoder = await off_loop(self._request_bytes, lambda: self._begin(lease, lessons))
            await transcoder.recall()
            call = await off_loop(self._request_bytes, transcoder.request)
            await self._try(side, transcoder, lease, call)
            is_settled = True
        except UpstreamError as exc:
            error, is_settled = exc, True
        finally:
            spent = None
            try:
                spent = spent_of(self.facts.usage, error, is_committed=self.is_committed) if call is not None else None
            finally:
                if is_settled:
                    self._pool.release(lease, error, spent=spent)
                elif call is None:
                    self._pool.put_back(lease)
                else:
                    self._pool.abandon(lease, spent=spent)
                if self._means.fleet is not None:
                    tokens = None if spent is None else spent.tokens
                    self._means.fleet.leave(lease, self._plan.demand, tokens if call is not None else 0)
            if call is not None:
                took_s = anyio.current_time() - began
                self.log.append(attempt_of(lease, error, is_settled=is_settled, duration_s=took_s))
        return error

    def _begin(self, lease: Lease, lessons: Mapping[str, tuple[str, ...]]) -> tuple[UpstreamSide, Transcoder]:
        """Return who is asked in an attempt, and the way there and back."""
        side = self._means.upstreams[lease.candidate.account.upstream]
        if self._choose_way is not None:
            side = self._choose_way(side, lease.candidate.model)
        self.account, self._side, self._held = lease.candidate.account.id, side, b""
        asked = Side(
            codec=side.codec,
            profile=side.profile,
            model=lease.candidate.model,
            max_event_bytes=self._timing.max_event_bytes,
            lessons=lessons.get(side.codec.NAME, ()),
            resumes_pauses=side.resumes_pauses,
        )
        self._current = transcoder = self._make_transcoder(side, asked)
        return side, transcoder

    async def _try(self, side: UpstreamSide, transcoder: Transcoder, lease: Lease, call: HTTPCall) -> None:
        """Call the upstream and pass its answer on.

        Call it again without what it objects to, if that is known to help, and to go on from an answer that it paused.
        """
        repairs = 0
        learned: list[str] = []
        while True:
            response = await self._open(side, lease, call)
            try:
                self._pool.heard(lease, rate_windows_of(response, self._means.wall_now()))
                error = await judge(response, side.codec, self._means.wall_now())
                if error is None:
                    self._means.learn(side, lease.candidate.model, learned)
                    await self._answer(transcoder, lease, response, is_stream=is_stream(response, side.codec))
            finally:
                with anyio.CancelScope(shield=True):
                    await response.close()
            if error is None:
                following = transcoder.resume()
                if following is None:
                    return
                self._is_billed = True
            else:
                following = transcoder.repair(error) if isinstance(error, Refused) and repairs < MAX_REPAIRS else None
                if following is None:
                    self._keep_own_dialect(error, side, transcoder)
                    raise error
                repairs += 1
                learned += filter(None, [side.codec.lesson(error)] if isinstance(error, Refused) else [])
            call = following

    def _keep_own_dialect(self, error: UpstreamError, side: UpstreamSide, transcoder: Transcoder) -> None:
        """Take off an error what means nothing to the caller: a body of another dialect, a path of another protocol.

        Only when it leaves: a repair may read both.
        """
        is_same = side.codec.NAME == self._face.NAME
        if not is_same or transcoder.mode == "translate":
            error.body = None
        if not is_same:
            error.param = None

    async def _open(self, side: UpstreamSide, lease: Lease, call: HTTPCall) -> UpstreamResponse:
        account = lease.candidate.account
        key = None if account.key is None else await account.key.current()
        request = build(call, base_url=side.base_url, profile=side.profile, key=key, limits=side.limits)
        return await self._means.clients.client(side.name).open(request)

    # --- a success ----------------------------------------------------------------------------------------------------

    async def _answer(
        self, transcoder: Transcoder, lease: Lease, response: UpstreamResponse, *, is_stream: bool
    ) -> None:
        """Pass the answer on.

        Raises:
            UpstreamError: ``may_be_billed`` unless the upstream said itself, before the commit, that it failed.
        """
        try:
            if is_stream and self._envelope.stream:
                await self._relay_stream(transcoder, lease, response)
                return
            if is_stream:
                await read_until(response, self._timing.max_event_bytes, transcoder.gather)
                answer = transcoder.gathered()
            else:
                body = await read_whole(response, self._timing.max_event_bytes)
                answer = transcoder.whole_as_stream(body) if self._envelope.stream else transcoder.whole(body)
            self._held += answer
            if transcoder.is_paused:
                return
            await transcoder.settle()
            if self._envelope.stream:
                await self._commit(lease, response)
                await self._reply.end(self._held)
            else:
                await self._send_whole(lease, response, self._held)
        except UpstreamError as error:
            if self.is_committed or isinstance(error, Malformed | Interrupted):
                error.may_be_billed = True
            raise

    async def _relay_stream(self, transcoder: Transcoder, lease: Lease, response: UpstreamResponse) -> None:
        """Pass a stream on, frame by frame; hold back what comes before its first meaningful event."""
        data = b"more"
        while data and not transcoder.is_complete and not transcoder.is_paused and transcoder.failure is None:
            data = await response.read()
            self._held += transcoder.feed(data) if data else transcoder.close()
            if not self.is_committed and not _is_worth_committing(transcoder, self._held):
                continue
            await self._commit(lease, response)
            held, self._held = self._held, b""
            if transcoder.is_complete:
                await transcoder.settle()
                await self._reply.end(held)
            else:
                await self._reply.write(held)
        if transcoder.failure is not None:
            raise transcoder.failure
        if not transcoder.is_complete and not transcoder.is_paused:
            raise Interrupted("The upstream's answer broke off.", code="incomplete_stream")

    async def _send_whole(self, lease: Lease, response: UpstreamResponse, body: bytes) -> None:
        self.is_committed = True
        self.committed_at = anyio.current_time()
        self._pool.answered(lease)
        headers = [(b"content-type", b"application/json"), *self._headers(lease), *self._told(response)]
        await self._reply.whole(200, headers, body)

    async def _commit(self, lease: Lease, response: UpstreamResponse) -> None:
        """From here on the answer is this upstream's. The status line may be out already: a heartbeat sends it too."""
        if self.is_committed:
            return
        self.is_committed = True
        self.committed_at = anyio.current_time()
        self._scope.deadline = self.committed_at + self._timing.stream_s
        self._pool.answered(lease)
        if not self._reply.is_started:
            await self._reply.start(200, [*self.stream_headers(lease), *self._told(response)])

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose stream has begun why it ends here.

        The connection is cut of one that does not read, and of one that was promised a whole answer. Who heard nothing
        but heartbeats never saw what is held back, and is told on its own.
        """
        if error.code == "client_stalled" or not self._envelope.stream:
            self._reply.abandon()
            return
        if self._current is not None and self.is_committed:
            frame = self._current.error(error)
        else:
            frame = self._face.StreamEncoder(self._envelope, Notices()).error(error)
        with anyio.move_on_after(BREAK_OFF_S) as scope:
            await self._reply.end(frame)
        if scope.cancelled_caught:
            self._reply.abandon()

    def stream_headers(self, lease: Lease | None = None) -> list[tuple[bytes, bytes]]:
        """Return the headers of a stream; without a lease, of one whose upstream nobody knows yet."""
        content_type = self._envelope.stream_content_type or self._face.STREAM_CONTENT_TYPE
        return [(b"content-type", content_type), *answer_headers.STREAM, *self._headers(lease)]

    def _headers(self, lease: Lease | None) -> list[tuple[bytes, bytes]]:
        if not self._means.show_route:
            return list(self._base_headers)
        served = None
        if lease is not None:
            account = lease.candidate.account
            served = answer_headers.Served(
                upstream=account.upstream, model=lease.candidate.model, account=account.label, mode=self.mode
            )
        return [
            *self._base_headers,
            *answer_headers.route(served, len(self.log) + 1, with_account=self._means.show_account),
        ]

    def _told(self, response: UpstreamResponse) -> list[tuple[bytes, bytes]]:
        """Return what the upstream's head and the translation tell: vendor headers within one protocol, Notices."""
        is_same = self._side is not None and self._side.codec.NAME == self._face.NAME
        vendors = [pair for pair in relayed_headers(response.headers) if pair[0] not in OURS] if is_same else []
        return vendors + answer_headers.notices(self.notices) if self.tells_notices else vendors


def _is_worth_committing(transcoder: Transcoder, held: bytes) -> bool:
    """Tell whether what is held may go out: something was said, or more is held than shall be."""
    if transcoder.is_meaningful or transcoder.is_complete:
        return True
    return len(held) > MAX_HELD_BYTES and transcoder.failure is None
