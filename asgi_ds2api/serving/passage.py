"""A call that is passed on as it is: attempts, failover, and an answer that nobody here understands.

The twin of `attempts.Attempts` for what no codec reads; ``exchange`` cannot tell them apart (`answering`). A call whose
body is on its way is tried once: what has gone out cannot be sent again. Before that, and without a body, another
account may be asked where that one does not answer, or knows nothing of what is asked for.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Generic, Literal, TypeVar

import anyio
import msgspec

from ..canonical import Notice
from ..codec import AnswerFacts, HTTPCall
from ..errors import CapacityError, GatewayError, Malformed, Refused, UpstreamError
from ..headers import relayed_headers
from ..observe import Attempt
from ..pool.model import Candidate, Lease, Plan, Spent
from ..upstream.answer import judge, rate_windows_of
from ..upstream.contract import UpstreamResponse
from ..upstream.outbound import Cargo, build
from . import answer_headers
from .attempt_log import attempt_of
from .course import Course
from .delivery import OURS
from .failover import more_telling, without_retry
from .means import Means, Way
from .pulse import Pulse
from .reply import Headers, Reply
from .upload import Upload
from .waiting import granted, lease_for, slot_for

MAX_TOLD_BYTES = 1024 * 1024
"""Of an answer that tells of one thing."""
_FREE = Spent()
_ATTACHMENT = (b"content-disposition", b"attachment")
"""What a caller has uploaded is no page of this server's, whatever it calls itself."""

T = TypeVar("T")


class Asked(msgspec.Struct, frozen=True):
    """An account that was asked, and its answer, which is open."""

    lease: Lease
    way: Way
    response: UpstreamResponse

    @property
    def account(self) -> str:
        """Its id."""
        return self.lease.candidate.account.id

    def header(self, name: str) -> str | None:
        """Return a header of the answer."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.response.headers if key == wanted), None)


class Errand(msgspec.Struct, Generic[T], frozen=True):
    """One call, and what becomes of its answer."""

    plan: Plan
    call: HTTPCall
    take: Callable[[Asked], Awaitable[T]]
    cargo: Cargo | None = None
    is_content: bool = False
    """The answer is what somebody uploaded: its content type says nothing of how the upstream does."""


class Passage:
    """What becomes of one request that is passed on.

    Args:
        means: Shared by all requests.
        reply: Nothing was sent on it yet.
        base_headers: Of every answer to this request.
        upload: Its body; None: it has none.
        work: Does what is asked, by means of this.
    """

    def __init__(
        self, means: Means, *, reply: Reply, base_headers: Headers, upload: Upload | None,
        work: "Callable[[Passage], Awaitable[None]]",
    ) -> None:  # fmt: skip
        self._means = means
        self._pool = means.pool
        self._timing = means.timing
        self._reply = reply
        self._base_headers = tuple(base_headers)
        self._upload = upload
        self._work = work
        self._course = Course()
        self.log: list[Attempt] = []
        self.queued_s = 0.0
        self.committed_at: float | None = None
        self.failure: GatewayError | None = None
        """As `Answering.failure`."""
        self.notices: Sequence[Notice] = ()
        self.facts = AnswerFacts()
        self.mode: Literal["relay"] = "relay"

    @property
    def account(self) -> str:
        """Empty: what is passed on is nobody's answer to a question."""
        return ""

    @property
    def model(self) -> str:
        """Empty, as `account`."""
        return ""

    @property
    def is_native(self) -> bool:
        """No: nobody here knows which protocol it is of."""
        return False

    @property
    def is_committed(self) -> bool:
        """Something of the answer has reached the caller."""
        return self.committed_at is not None

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not. Raises as `Answering.run`."""
        limit_s = self._timing.deadline_s if self._upload is None else self._timing.stream_s
        self.failure = await self._course.run(lambda: self._work(self), limit_s)
        if self.failure is not None and self._reply.is_started and not self._reply.is_ended:
            await self.break_off(self.failure)

    def cut(self, reason: GatewayError) -> None:
        """End the request now: the caller is told ``reason``."""
        self._course.cut(reason)

    async def pulse(self) -> None:
        """Let go of a caller that does not read. Runs beside `run` until cancelled."""
        await Pulse(
            self._reply,
            None,
            lambda: (),
            commit_after_s=self._timing.commit_after_s,
            heartbeat_s=self._timing.heartbeat_s,
            send_s=self._timing.send_s,
            cut=self.cut,
            leave=self._course.leave,
        ).run()

    async def break_off(self, error: GatewayError) -> None:
        """Cut the connection of a caller who was promised more: there are no words of ours in what is passed on."""
        self._reply.abandon()

    # --- asking -------------------------------------------------------------------------------------------------------

    async def ask(self, errand: Errand[T]) -> T:
        """Ask one account after the other until one answers, and return what was made of its answer.

        Raises:
            GatewayError: None did.
        """
        fleet, tried = self._means.fleet, set[Candidate]()
        latest = anyio.current_time() + self._timing.queue_s
        lease = await self._wait_for_lease(errand.plan, latest)
        while True:
            if fleet is not None:
                another = partial(self._wait_for_lease, errand.plan, latest, tried)
                lease = await granted(self._pool, fleet, errand.plan, lease, another)
            tried.add(lease.candidate)
            outcome = await self._attempt(errand, lease)
            if not isinstance(outcome, UpstreamError):
                return outcome
            lease = self._next_lease(errand, lease, tried, outcome)
            latest = anyio.current_time() + self._timing.queue_s

    async def _wait_for_lease(self, plan: Plan, latest: float, tried: Collection[Candidate] = ()) -> Lease:
        began = anyio.current_time()
        try:
            return await lease_for(self._pool, plan, min(latest, self._course.deadline) - began, tried)
        finally:
            self.queued_s += anyio.current_time() - began

    def _next_lease(
        self, errand: Errand[T], lease: Lease, tried: Collection[Candidate], error: UpstreamError
    ) -> Lease:  # fmt: skip
        """Take the slot of another attempt.

        Raises:
            GatewayError: There shall be none: ``error``, or what tells the caller more.
        """
        is_on_its_way = errand.cargo is not None and self._upload is not None and self._upload.has_begun
        if self.is_committed or is_on_its_way or not _may_be_asked_elsewhere(error):
            raise error
        if len(tried) >= self._timing.max_attempts:
            raise without_retry(error) if len(tried) > 1 else error
        try:
            following = slot_for(self._pool, errand.plan.beyond(tried), tried)
        except CapacityError as full:
            raise more_telling(error, full) from None
        if not self._pool.may_retry(lease, error):
            self._pool.put_back(following)
            raise without_retry(error)
        return following

    async def _attempt(self, errand: Errand[T], lease: Lease) -> T | UpstreamError:
        """Ask one account; return what was made of its answer, or why it gave none. Its lease is given back once."""
        began = anyio.current_time()
        error: UpstreamError | None = None
        is_settled = False
        try:
            taken = await self._try(errand, lease)
            is_settled = True
        except UpstreamError as exc:
            error, is_settled = exc, True
            return exc
        finally:
            if is_settled:
                self._pool.release(lease, error, spent=_FREE)
            else:
                self._pool.abandon(lease, spent=_FREE)
            if self._means.fleet is not None:
                self._means.fleet.leave(lease, errand.plan.demand, 0)
            took_s = anyio.current_time() - began
            self.log.append(attempt_of(lease, error, "ok" if is_settled else "abandoned", duration_s=took_s))
        return taken

    async def _try(self, errand: Errand[T], lease: Lease) -> T:
        account = lease.candidate.account
        way = self._means.upstreams[account.upstream]
        key = None if account.key is None else await account.key.current()
        request = build(
            errand.call,
            base_url=way.base_url,
            profile=way.profile,
            key=key,
            limits=way.limits,
            cargo=errand.cargo,
            is_read=not errand.is_content,
        )
        response = await self._means.clients.client(way.name).open(request)
        try:
            self._pool.heard(lease, rate_windows_of(response, self._means.wall_now()))
            if not (errand.is_content and 200 <= response.status < 300):
                error = await judge(response, way.codec, self._means.wall_now())
                if error is not None:
                    raise error
            self._pool.answered(lease)
            return await errand.take(Asked(lease, way, response))
        finally:
            with anyio.CancelScope(shield=True):
                await response.close()

    # --- telling ------------------------------------------------------------------------------------------------------

    async def tell(self, asked: Asked | None, body: bytes, told: Headers = ()) -> None:
        """Tell a whole answer: of an account, or of several together."""
        content_type = (asked is not None and asked.header("content-type")) or "application/json"
        status = 200 if asked is None else asked.response.status
        self._commit()
        headers = [(b"content-type", content_type.encode("latin-1")), *self._headers(asked), *told]
        await self._reply.whole(status, headers, body)

    async def stream(self, asked: Asked) -> None:
        """Pass an answer on as it comes. What breaks off is cut off.

        Raises:
            UpstreamError: As `UpstreamResponse.read`.
        """
        content_type = asked.header("content-type") or "application/octet-stream"
        headers = [(b"content-type", content_type.encode("latin-1")), _ATTACHMENT, *self._headers(asked)]
        length = asked.header("content-length")
        if length is not None and asked.header("content-encoding") is None:
            headers.append((b"content-length", length.encode("latin-1")))
        self._commit()
        await self._reply.start(asked.response.status, headers)
        while data := await asked.response.read():
            await self._reply.write(data)
        await self._reply.end()

    def _commit(self) -> None:
        self.committed_at = anyio.current_time()
        self._course.scope.deadline = self.committed_at + self._timing.stream_s

    def _headers(self, asked: Asked | None) -> list[tuple[bytes, bytes]]:
        headers = list(self._base_headers)
        if asked is not None:
            headers += [pair for pair in relayed_headers(asked.response.headers) if pair[0] not in OURS]
        if not self._means.show_route:
            return headers
        served = None
        if asked is not None:
            account = asked.lease.candidate.account
            served = answer_headers.Served(
                upstream=account.upstream, model="", account=account.label, mode=self.mode
            )  # fmt: skip
        return [*headers, *answer_headers.route(served, len(self.log) + 1, with_account=self._means.show_account)]


async def read_small(response: UpstreamResponse, max_bytes: int = MAX_TOLD_BYTES) -> bytes:
    """Return the whole body of an answer, which may be empty.

    Raises:
        Malformed: It is larger.
        UpstreamError: As `UpstreamResponse.read`.
    """
    pieces: list[bytes] = []
    total = 0
    while data := await response.read():
        pieces.append(data)
        total += len(data)
        if total > max_bytes:
            raise Malformed("The upstream's answer is larger than this gateway takes.", code="answer_too_large")
    return b"".join(pieces)


def is_unknown(error: UpstreamError) -> bool:
    """Tell whether an account knows nothing of what it was asked for."""
    return isinstance(error, Refused) and error.kind in ("not_found", "unknown_file")


def _may_be_asked_elsewhere(error: UpstreamError) -> bool:
    return is_unknown(error) or (error.is_retryable and not error.may_be_billed)
