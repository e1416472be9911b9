"""One attempt: a candidate is asked, and what it says becomes the answer, unless it fails before.

Pull-driven: the upstream is read again only after ``send`` returned. No queue, no task per event, no timer per event.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import anyio

from ..canonical import Usage
from ..codec import HTTPCall
from ..errors import Interrupted, Malformed, Refused, UpstreamError
from ..observe import Attempt
from ..pool.model import Demand, Lease, Spent
from ..transcoding.transcoder import Transcoder
from ..upstream.answer import is_stream, judge, rate_windows_of, read_until, read_whole
from ..upstream.contract import UpstreamResponse
from ..upstream.outbound import build
from .attempt_log import attempt_of, spent_of
from .delivery import Delivery, Source
from .means import Means
from .off_loop import off_loop

MAX_REPAIRS = 3
"""Each removes one thing that an upstream objected to, on the same account."""
MAX_HELD_BYTES = 65_536
"""Most that is held back before the first meaningful event."""

MakeSource: TypeAlias = Callable[[Lease, Mapping[str, tuple[str, ...]], float], Source]
"""A lease, what its model was found to refuse by the protocol of the way, and the time -> who is asked, and how."""


class OneAttempt:
    """One candidate, asked once.

    Args:
        means: Shared by all requests.
        delivery: Where the answer goes.
        lease: Of the candidate; `run` gives it back.
        demand: What the attempt is thought to need, as the lease was taken.
        make_source: Makes the way there and back.
        request_bytes: Size of the caller's body: on a large one the work is done in a thread.
    """

    def __init__(
        self, means: Means, delivery: Delivery, lease: Lease, demand: Demand, make_source: MakeSource,
        request_bytes: int,
    ) -> None:  # fmt: skip
        self._means = means
        self._pool = means.pool
        self._max_bytes = means.timing.max_event_bytes
        self._delivery = delivery
        self.lease = lease
        self._demand = demand
        self._make_source = make_source
        self._request_bytes = request_bytes
        self.source: Source | None = None
        """Who is asked, and how; None: that is not known yet."""
        self._held = b""
        """Bytes of the caller's answer that are kept back."""
        self.told: Attempt | None = None
        """What is told of it, once it is over; None: nobody was asked."""

    async def run(self) -> UpstreamError | None:
        """Ask; return why it failed, None if it answered. The lease is given back exactly once."""
        began = anyio.current_time()
        call: HTTPCall | None = None
        error: UpstreamError | None = None
        is_settled = False
        try:
            source = await self._begin()
            await source.transcoder.recall()
            call = await off_loop(self._request_bytes, source.transcoder.request)
            await self._ask(source, call)
            is_settled = True
        except UpstreamError as exc:
            error, is_settled = exc, True
        finally:
            spent = None
            try:
                spent = self._spent(error) if call is not None else None
            finally:
                if is_settled:
                    self._pool.release(self.lease, error, spent=spent)
                elif call is None:
                    self._pool.put_back(self.lease)
                else:
                    self._pool.abandon(self.lease, spent=spent)
                self._tell_fleet(spent, is_asked=call is not None)
            if call is not None:
                took_s = anyio.current_time() - began
                code = "ok" if is_settled else "hedge_lost" if self._is_overtaken else "abandoned"
                self.told = attempt_of(self.lease, error, code, duration_s=took_s)
        return error

    def _tell_fleet(self, spent: Spent | None, *, is_asked: bool) -> None:
        """Tell those who share the account that the attempt is over."""
        fleet = self._means.fleet
        if fleet is None:
            return
        if is_asked:
            fleet.leave(self.lease, self._demand, None if spent is None else spent.tokens)
        else:
            fleet.put_back(self.lease, self._demand)

    async def _begin(self) -> Source:
        """Return who is asked. From here on that is known."""
        candidate = self.lease.candidate
        lessons = self._means.lessons_of(candidate.account.upstream, candidate.model)
        began = anyio.current_time()
        source = await off_loop(self._request_bytes, lambda: self._make_source(self.lease, lessons, began))
        self.source = source
        self._delivery.ask(source)
        return source

    @property
    def _is_overtaken(self) -> bool:
        """Another one gives the answer."""
        return self._delivery.is_taken and self._delivery.source is not self.source

    def _spent(self, error: UpstreamError | None) -> Spent | None:
        """Return what it cost, as far as it is known."""
        assert self.source is not None, "somebody was asked"
        is_committed = self._delivery.is_begun_by(self.source)
        return spent_of(self.source.transcoder.facts.usage, error, is_committed=is_committed)

    def may_have_used(self) -> Usage:
        """Return what it used if its answer was not waited for: as it was told so far, else as may be thought.

        A vendor may go on with a whole answer that nobody waits for; it is thought to be as long as the one that the
        caller got. A stream ends with its connection, and none of it was seen.
        """
        delivery, answering = self._delivery, self._delivery.source
        told = None if self.source is None else self.source.transcoder.facts.usage
        if told is not None:
            return told
        given = None if delivery.envelope.stream or answering is None else answering.transcoder.facts.usage
        output = 0 if given is None else given.output_total or 0
        return Usage(input_total=self._demand.input_tokens, output_total=output, is_estimated=True)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, source: Source, call: HTTPCall) -> None:
        """Call the upstream and pass its answer on.

        Call it again without what it objects to, if that is known to help, and to go on from an answer that it paused.
        """
        way, transcoder = source.way, source.transcoder
        repairs = 0
        learned: list[str] = []
        while True:
            response = await self._open(source, call)
            try:
                self._pool.heard(self.lease, rate_windows_of(response, self._means.wall_now()))
                error = await judge(response, way.codec, self._means.wall_now())
                if error is None:
                    self._means.learn(way, self.lease.candidate.model, learned)
                    await self._answer(source, response)
            except Refused as refusal:  # told inside a success
                if self._delivery.is_taken:
                    raise
                error, self._held = refusal, b""
            finally:
                with anyio.CancelScope(shield=True):
                    await response.close()
            if error is None:
                following = transcoder.resume()
                if following is None:
                    return
                await self._delivery.take(source)
            else:
                following = transcoder.repair(error) if isinstance(error, Refused) and repairs < MAX_REPAIRS else None
                if following is None:
                    self._keep_own_dialect(error, source)
                    raise error
                repairs += 1
                learned += filter(None, [way.codec.lesson(error)] if isinstance(error, Refused) else [])
            call = following

    async def _open(self, source: Source, call: HTTPCall) -> UpstreamResponse:
        way, account = source.way, self.lease.candidate.account
        key = None if account.key is None else await account.key.current()
        request = build(call, base_url=way.base_url, profile=way.profile, key=key, limits=way.limits)
        return await self._means.clients.client(way.name).open(request)

    def _keep_own_dialect(self, error: UpstreamError, source: Source) -> None:
        """Take off an error what means nothing to the caller: a body of another dialect, a path of another protocol.

        Only when it leaves: a repair may read both.
        """
        is_native = self._delivery.is_native(source)
        if not is_native or source.transcoder.mode == "translate":
            error.body = None
        if not is_native:
            error.param = None

    # --- a success ----------------------------------------------------------------------------------------------------

    async def _answer(self, source: Source, response: UpstreamResponse) -> None:
        """Pass the answer on.

        Raises:
            UpstreamError: ``may_be_billed`` unless the upstream said itself, before the commit, that it failed.
        """
        delivery, transcoder = self._delivery, source.transcoder
        wants_stream = delivery.envelope.stream
        try:
            if is_stream(response, source.way.codec):
                if wants_stream:
                    await self._relay_stream(source, response)
                    return
                await read_until(response, self._max_bytes, transcoder.gather)
                answer = transcoder.gathered()
            else:
                body = await read_whole(response, self._max_bytes)
                answer = transcoder.whole_as_stream(body) if wants_stream else transcoder.whole(body)
            self._held += answer
            await delivery.take(source)
            if transcoder.is_paused:
                return
            await transcoder.settle()
            if wants_stream:
                await delivery.begin_stream(source, response)
                await delivery.reply.end(self._held)
            else:
                await delivery.send_whole(source, response, self._held)
        except UpstreamError as error:
            if delivery.is_begun_by(source) or isinstance(error, Malformed | Interrupted):
                error.may_be_billed = True
            raise

    async def _relay_stream(self, source: Source, response: UpstreamResponse) -> None:
        """Pass a stream on, frame by frame; hold back what comes before its first meaningful event."""
        delivery, transcoder, reply = self._delivery, source.transcoder, self._delivery.reply
        is_begun = delivery.is_begun_by(source)
        data = b"more"
        while data and not transcoder.is_complete and not transcoder.is_paused and transcoder.failure is None:
            data = await response.read()
            self._held += transcoder.feed(data) if data else transcoder.close()
            if not is_begun:
                if not _is_worth_committing(transcoder, self._held):
                    continue
                await delivery.begin_stream(source, response)
                is_begun = True
            held, self._held = self._held, b""
            if transcoder.is_complete:
                await transcoder.settle()
                await reply.end(held)
            else:
                await reply.write(held)
        if transcoder.failure is not None:
            raise transcoder.failure
        if not transcoder.is_complete and not transcoder.is_paused:
            raise Interrupted("The upstream's answer broke off.", code="incomplete_stream")


def _is_worth_committing(transcoder: Transcoder, held: bytes) -> bool:
    """Tell whether what is held may go out: something was said, or more is held than shall be."""
    if transcoder.is_meaningful or transcoder.is_complete:
        return True
    return len(held) > MAX_HELD_BYTES and transcoder.failure is None
