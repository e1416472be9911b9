"""From a planned request to its answer: attempts, failover, the commit point, the stream.

The commit point is the first byte of an upstream's answer that reaches the caller. Before it any candidate may be
tried; after it the only failure is in-band, in the caller's protocol, without a success terminator. Heartbeats that go
out while every upstream is silent are no commit: failover goes on behind them.

Pull-driven: the upstream is read again only after ``send`` returned. No queue, no task per event, no timer per event.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

import anyio
import msgspec

from . import answer_headers
from .canonical import Notice, Notices
from .codec import AnswerFacts, Codec, Envelope, HTTPCall
from .errors import (
    CapacityError,
    GatewayError,
    Interrupted,
    Malformed,
    PoolExhausted,
    RateLimited,
    Refused,
    Timeout,
    UpstreamError,
)
from .headers import relayed_headers, retry_after_s
from .observe import Attempt
from .pool.model import Candidate, Lease, Plan
from .pool.pool import Pool
from .profiles import Profile
from .reply import Reply
from .transcode import OnUnsupported, Side, Transcoder
from .upstream.contract import Limits, Upstream, UpstreamResponse
from .upstream.outbound import build

_log = logging.getLogger("asgi_ds2api.attempts")

MAX_ERROR_BYTES = 65_536
ERROR_BODY_S = 2.0
BREAK_OFF_S = 1.0
MAX_REPAIRS = 3
"""Each removes one thing that an upstream objected to, on the same account."""
MAX_HELD_BYTES = 65_536
"""Most that is held back before the first meaningful event."""
OURS = frozenset({b"content-type", b"request-id", b"x-request-id", b"retry-after", b"retry-after-ms"})
"""Headers that an upstream may send and that this gateway says for itself."""
HTML = ("text/html", "application/xhtml+xml")


class UpstreamSide(msgspec.Struct, frozen=True, kw_only=True):
    """A configured upstream."""

    name: str
    codec: Codec
    profile: Profile
    base_url: str
    on_unsupported: OnUnsupported
    limits: Limits


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of an exchange, in seconds unless the name says otherwise."""

    deadline_s: float
    """Until the first byte of a stream or the end of a whole answer; retries included."""
    stream_s: float
    """Longest life of a stream, from its commit."""
    commit_after_s: float
    """Silence after which a stream's 200 and heartbeats go out."""
    heartbeat_s: float
    send_s: float
    """Longest wait of one ``send``: a caller that does not read is let go."""
    queue_s: float
    """Longest wait for a cooling account."""
    max_attempts: int
    max_event_bytes: int
    """Of one event, and of a whole answer."""


class Clients(Protocol):
    """Hands out the client of an upstream."""

    def client(self, upstream: str) -> Upstream:
        """Return the client, made on first use in this event loop."""
        ...


class Attempts:
    """The attempts of one request, and the answer that one of them gives."""

    def __init__(
        self, *, reply: Reply, face: Codec, envelope: Envelope, base_headers: Sequence[tuple[bytes, bytes]], pool: Pool,
        plan: Plan, upstreams: Mapping[str, UpstreamSide], clients: Clients, timing: Timing,
        transcoder: Callable[[UpstreamSide, Side], Transcoder], wall_now: Callable[[], float],
        show_route: bool, show_account: bool,
    ) -> None:  # fmt: skip
        self._reply = reply
        self._face = face
        self._envelope = envelope
        self._base_headers = tuple(base_headers)
        self._pool = pool
        self._plan = plan
        self._upstreams = upstreams
        self._clients = clients
        self._timing = timing
        self._make_transcoder = transcoder
        self._wall_now = wall_now
        self._show_route = show_route
        self._show_account = show_account
        self._scope = anyio.CancelScope()
        self._cut_reason: GatewayError | None = None
        self._current: Transcoder | None = None
        self._calls = 0
        self.log: list[Attempt] = []
        self.is_committed = False
        self.committed_at: float | None = None
        self.failure: GatewayError | None = None
        """What ended the request, if it was no success; already told to the caller if ``is_committed``."""

    # --- what the Record asks -----------------------------------------------------------------------------------------

    @property
    def notices(self) -> Sequence[Notice]:
        """Of the last attempt."""
        return () if self._current is None else tuple(self._current.notices)

    @property
    def facts(self) -> AnswerFacts:
        """Of the last attempt."""
        return AnswerFacts() if self._current is None else self._current.facts

    @property
    def mode(self) -> Literal["relay", "translate", ""]:
        """Of the last attempt; empty if there was none."""
        return "" if self._current is None else self._current.mode

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Answer the request, or leave in ``failure`` why not."""
        self._scope.deadline = anyio.current_time() + self._timing.deadline_s
        try:
            with self._scope:
                await self._until_one_answers()
        except GatewayError as error:
            self.failure = error
        if self._scope.cancelled_caught:
            self.failure = self._cut_reason or Timeout("The answer took longer than this gateway waits.",
                                                       code="deadline_exceeded")  # fmt: skip
        if self.failure is not None and self._reply.is_started and not self._reply.is_ended:
            await self.break_off(self.failure)

    def cut(self, reason: GatewayError) -> None:
        """End the request now, from outside: the caller is told ``reason``."""
        self._cut_reason = reason
        self._scope.cancel()

    async def pulse(self) -> None:
        """Keep a silent stream alive, and let go of a caller that does not read. Runs beside `run` until cancelled."""
        timing = self._timing
        voice = self._face.StreamEncoder(self._envelope, Notices())
        born = anyio.current_time()
        while True:
            due = (
                self._reply.last_sent_at + timing.heartbeat_s
                if self._reply.is_started
                else born + timing.commit_after_s
            )
            await anyio.sleep(max(0.05, min(due - anyio.current_time(), timing.send_s / 4)))
            now = anyio.current_time()
            since = self._reply.sending_since
            if since is not None:
                if now - since >= timing.send_s:
                    self.cut(Timeout("The caller did not read its answer.", code="client_stalled"))
                continue
            if not self._envelope.stream or now < due or self._reply.is_ended:
                continue
            if not self._reply.is_started:
                await self._reply.start(200, self._stream_headers(None))
            await self._reply.write(voice.heartbeat())

    async def _until_one_answers(self) -> None:
        tried: set[Candidate] = set()
        last: UpstreamError | None = None
        while True:
            try:
                lease = await self._acquire(tried)
            except CapacityError as full:
                raise _more_telling(last, full) from last
            tried.add(lease.candidate)
            last = await self._attempt(lease)
            if last is None:
                return
            if self.is_committed or not _may_be_asked_elsewhere(last):
                raise last
            if len(tried) >= self._timing.max_attempts or not self._pool.may_retry(lease):
                if last.status >= 500 and len(tried) > 1:
                    last.should_retry = False
                raise last

    async def _acquire(self, tried: Collection[Candidate]) -> Lease:
        """Take a slot; wait for one that is near."""
        try:
            return self._pool.acquire(self._plan, tried)
        except PoolExhausted as exhausted:
            wait_s = exhausted.retry_after_s
            if tried or wait_s is None or wait_s > self._timing.queue_s:
                raise
        await anyio.sleep(wait_s)
        return self._pool.acquire(self._plan, tried)

    async def _attempt(self, lease: Lease) -> UpstreamError | None:
        """Try one candidate; return why it failed, None if it answered. The lease is released exactly once."""
        started = anyio.current_time()
        error: UpstreamError | None = None
        is_settled = False
        try:
            side = self._upstreams[lease.candidate.account.upstream]
            self._current = transcoder = self._transcoder_for(side, lease)
            call = transcoder.request()
            self._calls += 1
            await self._try(side, transcoder, lease, call)
            is_settled = True
        except UpstreamError as exc:
            error, is_settled = exc, True
        finally:
            if is_settled:
                self._pool.release(lease, error)
            else:
                self._pool.abandon(lease)
            if self._calls > len(self.log):
                self.log.append(_attempt_record(lease, error, is_settled, anyio.current_time() - started))
        return error

    def _transcoder_for(self, side: UpstreamSide, lease: Lease) -> Transcoder:
        return self._make_transcoder(
            side,
            Side(
                codec=side.codec,
                profile=side.profile,
                model=lease.candidate.model,
                max_event_bytes=self._timing.max_event_bytes,
            ),
        )

    async def _try(self, side: UpstreamSide, transcoder: Transcoder, lease: Lease, call: HTTPCall) -> None:
        """Call the upstream, again without what it objects to if that is known to help, and pass its answer on."""
        for repairs_left in range(MAX_REPAIRS, -1, -1):
            response = await self._open(side, lease, call)
            try:
                error = await self._judge(side, response)
                if error is None:
                    await self._answer(transcoder, lease, response)
                    return
            finally:
                with anyio.CancelScope(shield=True):
                    await response.close()
            if transcoder.mode == "translate":
                error.body = None  # its words are of another dialect
            repaired = transcoder.repair(error) if isinstance(error, Refused) and repairs_left else None
            if repaired is None:
                raise error
            call = repaired

    async def _open(self, side: UpstreamSide, lease: Lease, call: HTTPCall) -> UpstreamResponse:
        account = lease.candidate.account
        key = None if account.key is None else await account.key.current()
        request = build(call, base_url=side.base_url, profile=side.profile, key=key, limits=side.limits)
        return await self._clients.client(side.name).open(request)

    async def _judge(self, side: UpstreamSide, response: UpstreamResponse) -> UpstreamError | None:
        """Return what the head of an answer says is wrong; None: it is a success."""
        status, headers = response.status, _as_mapping(response.headers)
        is_html = _media_type(headers) in HTML
        if 200 <= status < 300 and not is_html:
            return None
        if not 400 <= status < 600:
            code = "upstream_redirect" if 300 <= status < 400 else "wrong_content_type" if is_html else "bad_protocol"
            return Malformed("The upstream did not answer as an API does.", code=code, upstream_status=status)
        error = side.codec.decode_error(status, headers, await _error_body(response))
        error.upstream_status = status
        hinted = retry_after_s(headers, self._wall_now())
        if hinted is not None:
            error.retry_after_s = hinted
        return error

    # --- a success ----------------------------------------------------------------------------------------------------

    async def _answer(self, transcoder: Transcoder, lease: Lease, response: UpstreamResponse) -> None:
        """Pass the answer on.

        Raises:
            UpstreamError: ``may_be_billed`` unless the upstream said itself, before the commit, that it refused.
        """
        is_stream = _media_type(_as_mapping(response.headers)) == "text/event-stream"
        try:
            if is_stream and self._envelope.stream:
                await self._relay_stream(transcoder, lease, response)
                return
            body = await _whole_body(response, self._timing.max_event_bytes)
            if not self._envelope.stream:
                out = transcoder.stream_as_whole(body) if is_stream else transcoder.whole(body)
                await self._send_whole(lease, response, out)
            else:
                out = transcoder.whole_as_stream(body)
                await self._commit(lease, response)
                await self._reply.end(out)
        except UpstreamError as error:
            error.may_be_billed = isinstance(error, Malformed | Interrupted | Timeout)
            raise

    async def _relay_stream(self, transcoder: Transcoder, lease: Lease, response: UpstreamResponse) -> None:
        held = b""
        while not transcoder.is_complete and transcoder.failure is None:
            data = await response.read()
            out = transcoder.feed(data) if data else transcoder.close()
            if not self.is_committed:
                held += out
                if transcoder.failure is not None and not transcoder.is_meaningful:
                    break
                if not transcoder.is_meaningful and len(held) <= MAX_HELD_BYTES:
                    if data:
                        continue
                    break
                await self._commit(lease, response)
                out, held = held, b""
            if out and not transcoder.is_complete:
                await self._reply.write(out)
            elif transcoder.is_complete:
                await self._reply.end(out)
            if not data:
                break
        if transcoder.failure is not None:
            raise transcoder.failure
        if not transcoder.is_complete:
            raise Interrupted("The upstream's answer broke off.", code="incomplete_stream")

    async def _send_whole(self, lease: Lease, response: UpstreamResponse, body: bytes) -> None:
        self.is_committed = True
        self.committed_at = anyio.current_time()
        headers = [(b"content-type", b"application/json"), *self._headers(lease), *self._told(lease, response)]
        await self._reply.whole(200, headers, body)

    async def _commit(self, lease: Lease, response: UpstreamResponse) -> None:
        """From here on the answer is this upstream's. The status line may be out already: a heartbeat sends it too."""
        self.is_committed = True
        self.committed_at = anyio.current_time()
        self._scope.deadline = self.committed_at + self._timing.stream_s
        self._pool.answered(lease)
        if not self._reply.is_started:
            await self._reply.start(200, [*self._stream_headers(lease), *self._told(lease, response)])

    async def break_off(self, error: GatewayError) -> None:
        """Tell a caller whose stream has begun why it ends here.

        The connection is cut of one that does not read, and of one that was promised a whole answer.
        """
        if error.code == "client_stalled" or not self._envelope.stream:
            self._reply.abandon()
            return
        if self._current is not None:
            frame = self._current.error(error)
        else:
            frame = self._face.StreamEncoder(self._envelope, Notices()).error(error)
        with anyio.move_on_after(BREAK_OFF_S) as scope:
            await self._reply.end(frame)
        if scope.cancelled_caught:
            self._reply.abandon()

    def _stream_headers(self, lease: Lease | None) -> list[tuple[bytes, bytes]]:
        content_type = (b"content-type", self._face.STREAM_CONTENT_TYPE)
        return [content_type, *answer_headers.STREAM, *self._headers(lease)]

    def _headers(self, lease: Lease | None) -> list[tuple[bytes, bytes]]:
        if not self._show_route:
            return list(self._base_headers)
        served = None
        if lease is not None:
            account = lease.candidate.account
            served = answer_headers.Served(
                upstream=account.upstream, model=lease.candidate.model, account=account.label, mode=self.mode
            )
        return [
            *self._base_headers,
            *answer_headers.route(served, len(self.log) + 1, with_account=self._show_account),
        ]

    def _told(self, lease: Lease, response: UpstreamResponse) -> list[tuple[bytes, bytes]]:
        """Return what the upstream's head and the translation tell: vendor headers within one protocol, Notices."""
        side = self._upstreams[lease.candidate.account.upstream]
        is_same = side.codec.NAME == self._face.NAME
        vendors = [pair for pair in relayed_headers(response.headers) if pair[0] not in OURS] if is_same else []
        return vendors if side.on_unsupported == "drop" else vendors + answer_headers.notices(self.notices)


def _may_be_asked_elsewhere(error: UpstreamError) -> bool:
    """Tell whether another candidate may be asked: not what all would refuse, nor what may have been billed."""
    is_absent_model = isinstance(error, Refused) and error.kind == "model_not_found"
    return is_absent_model or (error.is_retryable and not error.may_be_billed)


def _attempt_record(lease: Lease, error: UpstreamError | None, is_settled: bool, duration_s: float) -> Attempt:
    candidate = lease.candidate
    return Attempt(
        upstream=candidate.account.upstream,
        account=candidate.account.label,
        model=candidate.model,
        code=error.code if error is not None else "ok" if is_settled else "abandoned",
        status=error.upstream_status if error is not None else 200 if is_settled else None,
        duration_s=duration_s,
    )


async def _whole_body(response: UpstreamResponse, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    while data := await response.read():
        total += len(data)
        if total > max_bytes:
            raise Malformed("The upstream's answer is larger than this gateway takes.", code="answer_too_large")
        pieces.append(data)
    if not total:
        raise Malformed("The upstream's answer is empty.", code="empty_response", upstream_status=response.status)
    return b"".join(pieces)


async def _error_body(response: UpstreamResponse) -> bytes:
    """Return the start of an error body; one that is slow or broken is told by its status alone."""
    pieces: list[bytes] = []
    total = 0
    with anyio.move_on_after(ERROR_BODY_S):
        try:
            while total < MAX_ERROR_BYTES and (data := await response.read()):
                pieces.append(data)
                total += len(data)
        except UpstreamError as error:
            _log.debug("an error body broke off: %s", error.code)
    return b"".join(pieces)[:MAX_ERROR_BYTES]


def _as_mapping(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as text, the first of repeated ones."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _more_telling(last: UpstreamError | None, full: CapacityError) -> GatewayError:
    """Return what tells the caller more: why the last attempt failed, or that a slot comes free sooner than it says."""
    if last is None:
        return full
    is_sooner = full.retry_after_s is not None and (
        last.retry_after_s is None or full.retry_after_s < last.retry_after_s
    )
    return full if isinstance(last, RateLimited) and full.status == 429 and is_sooner else last
