"""From a planned request to its answer: attempts and failover, within one deadline.

What one attempt does is in `one_attempt`; whose answer the caller gets, and how it is told, in `delivery`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import anyio
import msgspec

from ..canonical import Notice
from ..codec import AnswerFacts, Envelope, Face
from ..errors import CapacityError, GatewayError, PoolExhausted, Refused, RequestError, UpstreamError
from ..observe import Attempt
from ..pool.model import Candidate, Lease, Plan
from ..transcoding.side import Side
from ..transcoding.transcoder import Transcoder
from .course import Course
from .delivery import Delivery, Source
from .failover import (
    MIN_LEFT_S,
    following_plan,
    may_be_asked_elsewhere,
    more_telling,
    pause_s,
    spread_out,
    without_retry,
)
from .means import Means, Way
from .one_attempt import OneAttempt
from .patience import Kind
from .pulse import Pulse
from .race import Failed, Race
from .reply import Reply
from .waiting import granted, lease_for, refusal_of, slot_for


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
        may_hedge: It may be asked twice at the same time, once, where its upstreams say so.
    """

    def __init__(
        self,
        means: Means,
        *,
        plan: Plan,
        face: Face,
        envelope: Envelope,
        transcoder: Callable[[Way, Side], Transcoder],
        request_bytes: int,
        reply: Reply,
        base_headers: Sequence[tuple[bytes, bytes]],
        way: Callable[[Way, str], Way] | None = None,
        may_hedge: bool = False,
    ) -> None:
        self._means = means
        self._pool = means.pool
        self._timing = means.timing
        self._plan = plan
        self._envelope = envelope
        self._choose_way = way
        self._make_transcoder = transcoder
        self._request_bytes = request_bytes
        self._reply = reply
        self._may_hedge = may_hedge and envelope.heard is None
        self._course = Course()
        self.log: list[Attempt] = []
        """What is told of the attempts that are over."""
        self._delivery = Delivery(
            means,
            face=face,
            envelope=envelope,
            reply=reply,
            base_headers=base_headers,
            scope=self._course.scope,
            log=self.log,
        )
        self._objection: Refused | None = None
        """What nobody could go on from, so that it is left out."""
        self._waits_until = 0.0
        """When the attempt that comes next has waited for an account for as long as it may."""
        self.queued_s = 0.0
        """How long it has waited for accounts so far."""
        self.failure: GatewayError | None = None
        """What ended the request, if it was no success; already told to the caller if its answer had begun."""

    # --- what the Record asks -----------------------------------------------------------------------------------------

    @property
    def notices(self) -> Sequence[Notice]:
        """Of the last attempt."""
        source = self._delivery.source
        return () if source is None else tuple(source.transcoder.notices)

    @property
    def tells_notices(self) -> bool:
        """Whether the caller is told of them."""
        return self._delivery.tells_notices

    @property
    def facts(self) -> AnswerFacts:
        """Of the last attempt."""
        source = self._delivery.source
        return AnswerFacts() if source is None else source.transcoder.facts

    @property
    def mode(self) -> Literal["relay", "translate", ""]:
        """Of the last attempt; empty if there was none."""
        source = self._delivery.source
        return "" if source is None else source.transcoder.mode

    @property
    def account(self) -> str:
        """Id of the account that is asked, or was last; empty: none was."""
        source = self._delivery.source
        return "" if source is None else source.lease.candidate.account.id

    @property
    def model(self) -> str:
        """What that account is asked for, or was."""
        source = self._delivery.source
        return "" if source is None else source.lease.candidate.model

    @property
    def is_native(self) -> bool:
        """Whether the account that is asked, or was last, was asked in the caller's protocol."""
        source = self._delivery.source
        return source is not None and self._delivery.is_native(source)

    @property
    def is_committed(self) -> bool:
        """Something of the answer has reached the caller."""
        return self._delivery.is_committed

    @property
    def committed_at(self) -> float | None:
        """When its first byte went out; None: none did."""
        return self._delivery.committed_at

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not.

        Raises:
            ClientGone: The caller left, as a ``send`` told.
            GatewayError: Never: that is what ``failure`` is for.
        """
        patience_s = self._envelope.patience_s
        deadline_s = self._timing.deadline_s if patience_s is None else min(patience_s, self._timing.deadline_s)
        self.failure = await self._course.run(self._until_one_answers, deadline_s)
        if self.failure is not None and self._reply.is_started and not self._reply.is_ended:
            await self._delivery.break_off(spread_out(self.failure, self._means.rng))

    def cut(self, reason: GatewayError) -> None:
        """End the request now, from outside: the caller is told ``reason``."""
        self._course.cut(reason)

    async def pulse(self) -> None:
        """Keep a silent stream alive, and let go of a caller that does not read. Runs beside `run` until cancelled."""
        timing = self._timing
        await Pulse(
            self._reply,
            self._delivery.heartbeat if self._envelope.stream else None,
            self._delivery.stream_headers,
            commit_after_s=timing.commit_after_s,
            heartbeat_s=timing.heartbeat_s,
            send_s=timing.send_s,
            cut=self.cut,
            leave=self._course.leave,
        ).run()

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose stream has begun why it ends here; see `Delivery.break_off`."""
        await self._delivery.break_off(error)

    def stream_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of a stream whose upstream nobody knows yet."""
        return self._delivery.stream_headers()

    async def _until_one_answers(self) -> None:
        fleet, tried = self._means.fleet, set[Candidate]()
        error: UpstreamError | None = None
        self._may_wait()
        lease = await self._wait_for_lease()
        while True:
            if fleet is not None:
                lease = await granted(self._pool, fleet, self._plan, lease, lambda: self._wait_for_lease(tried))
            tried.add(lease.candidate)
            try:
                failed = await self._ask(lease, tried)
            except RequestError:
                if error is None:
                    raise
                # What this target cannot be asked the first one could: that one's failure is why there is no answer.
                raise without_retry(error) from None
            if failed is None:
                return
            error = failed.error
            self._may_wait()
            try:
                lease = await self._next_lease(failed.lease, tried, error)
            except Refused as refusal:
                if not self._is_sealed_elsewhere(refusal):
                    raise
                self._objection = refusal  # nobody here can read it, so that the talk goes on without
                lease = await self._wait_for_lease()

    def _may_wait(self) -> None:
        """Let the next attempt wait for an account from now on, however often it must do so until it is granted one."""
        self._waits_until = anyio.current_time() + self._timing.queue_s

    async def _wait_for_lease(self, tried: Collection[Candidate] = ()) -> Lease:
        """Take a slot, or the place in line that leads to one.

        Args:
            tried: Where the request was.
        """
        began = anyio.current_time()
        try:
            return await lease_for(self._pool, self._plan, min(self._waits_until, self._course.deadline) - began, tried)
        finally:
            self.queued_s += anyio.current_time() - began

    async def _next_lease(self, lease: Lease, tried: Collection[Candidate], error: UpstreamError) -> Lease:
        """Take the slot of another attempt; wait for one that is merely busy.

        Raises:
            GatewayError: There shall be none: ``error``, or what tells the caller more.
        """
        is_foreign = isinstance(error, Refused) and error.kind == "foreign_reasoning"
        back = self._pool.returned(self._plan, lease.candidate.account) if is_foreign else None
        is_bound, self._plan = back is not None, back or self._plan.beyond(tried)
        self._plan = following_plan(self._plan, error, lease.candidate.account.upstream)
        may_be_known_elsewhere = is_bound or self._is_sealed_elsewhere(error)
        if self._delivery.is_taken or not (may_be_known_elsewhere or may_be_asked_elsewhere(error)):
            raise error
        if len(tried) >= self._timing.max_attempts:
            raise without_retry(error) if len(tried) > 1 else error
        following: Lease | None = None
        try:
            following = slot_for(self._pool, self._plan, tried)
        except CapacityError as full:
            if not (isinstance(full, PoolExhausted) and full.is_busy):
                raise (full if is_bound else more_telling(error, full)) from None
        may_retry = False
        try:
            may_retry = self._pool.may_retry(lease, error)  # asked last, as it takes from the budget
        finally:
            if following is not None and not may_retry:
                self._pool.put_back(following)
        if not may_retry:
            raise without_retry(error)
        try:
            following = following or await self._wait_for_lease(tried)
        except CapacityError as full:
            raise more_telling(error, full) from None
        is_ready = following.candidate.account.origin != lease.candidate.account.origin
        try:
            if not is_ready:  # the place is kept meanwhile: what is not asked now is load, too
                await self._pause(error, len(tried))
            is_ready = True
        finally:
            if not is_ready:
                self._pool.put_back(following)
        return following

    async def _pause(self, error: UpstreamError, failures: int) -> None:
        """Let a provider that failed breathe.

        Raises:
            UpstreamError: ``error``: there is no time left for another attempt.
        """
        pause = pause_s(error, failures, self._means.rng)
        if pause > 0 and anyio.current_time() + pause > self._course.deadline - MIN_LEFT_S:
            raise without_retry(error)
        await anyio.sleep(pause)

    def _is_sealed_elsewhere(self, error: UpstreamError) -> bool:
        """Tell whether a vendor who seals what models think for a customer refused what is sealed for another one.

        Which one, nobody here knows: a request without what is sealed was not tried yet.
        """
        source = self._delivery.source
        is_foreign = isinstance(error, Refused) and error.kind == "foreign_reasoning"
        is_sealing = source is not None and source.way.profile.sealed_reasoning
        return is_foreign and is_sealing and self._objection is None and not self._delivery.is_taken

    # --- one attempt, or two beside each other ------------------------------------------------------------------------

    async def _ask(self, lease: Lease, tried: set[Candidate]) -> Failed | None:
        """Try one candidate, and another beside it if it is slow; return what failed, None if one of them answered."""
        attempt = self._attempt(lease)
        after_s = self._patience_with(lease, tried)
        if after_s is not None:
            return await self._ask_beside(attempt, after_s, tried)
        try:
            error = await attempt.run()
        finally:
            if attempt.told is not None:
                self.log.append(attempt.told)
        return None if error is None else Failed(lease, error)

    async def _ask_beside(self, first: OneAttempt, after_s: float, tried: set[Candidate]) -> Failed | None:
        race = Race(self._delivery, first, after_s, lambda: self._second(first.lease, tried))
        try:
            return await race.run()
        finally:
            self.log += race.told

    def _patience_with(self, lease: Lease, tried: Collection[Candidate]) -> float | None:
        """Return after how many seconds of silence another candidate is asked as well; None: none is."""
        candidate = lease.candidate
        may_hedge = self._may_hedge and self._means.upstreams[candidate.account.upstream].hedges
        if not may_hedge or len(tried) >= self._timing.max_attempts:
            return None
        return self._means.patience.with_(Kind(candidate, self._envelope.operation, self._envelope.stream))

    async def _second(self, lease: Lease, tried: set[Candidate]) -> OneAttempt | None:
        """Begin an attempt beside a silent one, if that can be at once: nobody stands in line for it."""
        tiers = [tier for tier in self._plan.tiers if self._means.upstreams[tier.upstream].hedges]
        plan = msgspec.structs.replace(self._plan, tiers=tuple(tiers))
        second = self._pool.acquire_beside(lease, plan, tried)
        if second is None:
            return None
        fleet = self._means.fleet
        if fleet is not None and await refusal_of(self._pool, fleet, self._plan, second) is not None:
            return None
        self._may_hedge = False
        tried.add(second.candidate)
        return self._attempt(second)

    def _attempt(self, lease: Lease) -> OneAttempt:
        return OneAttempt(self._means, self._delivery, lease, self._plan.demand, self._source, self._request_bytes)

    def _source(self, lease: Lease, lessons: Mapping[str, tuple[str, ...]], began: float) -> Source:
        """Return who is asked in an attempt, and the way there and back. May run in a thread, which has no clock."""
        candidate = lease.candidate
        way = self._means.upstreams[candidate.account.upstream]
        if self._choose_way is not None:
            way = self._choose_way(way, candidate.model)
        asked = Side(
            codec=way.codec,
            profile=way.profile,
            model=candidate.model,
            max_event_bytes=self._timing.max_event_bytes,
            lessons=lessons.get(way.codec.NAME, ()),
            resumes_pauses=way.resumes_pauses,
            objection=self._objection if way.profile.sealed_reasoning else None,
            owner=candidate.account.owner if way.profile.sealed_reasoning else "",
        )
        return Source(lease=lease, way=way, transcoder=self._make_transcoder(way, asked), began=began)
