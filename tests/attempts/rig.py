"""The attempts of one request, with everything real but what is on both ends of them.

The protocol that is spoken here has lines for events: ``role`` (says nothing yet), ``say TEXT``, ``no STATUS WORDS``
(an error), ``end``. What the caller gets is what the upstream sent, line by line; ``beat`` is a heartbeat, and ``broke
CODE`` how an answer that had begun ends. An upstream's error is its status.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, cast

import anyio
import msgspec

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import AnswerFacts, Codec, Envelope, HTTPCall
from asgi_ds2api.diagnosis import Told, classify
from asgi_ds2api.errors import GatewayError, Interrupted, Refused, UpstreamError
from asgi_ds2api.pool.model import Account, AccountStatus, Candidate, Origin, Target
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.profiles import Profile
from asgi_ds2api.secret import KeySource
from asgi_ds2api.serving.attempts import Attempts
from asgi_ds2api.serving.means import Means, Timing, Way
from asgi_ds2api.serving.patience import MIN_SEEN, Kind
from asgi_ds2api.serving.reply import Reply
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.transcoding.side import Side
from asgi_ds2api.upstream.contract import CallBounds
from tests.support.scripted_client import Answering, Piece, Script, ScriptedUpstream
from tests.support.server_send import ServerSend

Mode = Literal["relay", "translate"]

TIMING = Timing(
    deadline_s=600,
    stream_s=3_600,
    commit_after_s=12,
    heartbeat_s=15,
    send_s=60,
    queue_s=2,
    max_attempts=3,
    max_event_bytes=100_000,
)
FACE = "openai_chat"
ROLE, END, BEAT = b"role\n", b"end\n", b"beat\n"


def say(text: str) -> bytes:
    """Return an event that says something."""
    return f"say {text}\n".encode()


def no(status: int, words: str = "") -> bytes:
    """Return an error, as an event or as a body."""
    return f"no {status} {words}\n".encode()


def broke(code: str) -> bytes:
    """Return the last words of an answer that had begun."""
    return f"broke {code}\n".encode()


def refusing(status: int, *body: Piece, before: Sequence[Any] = (), **headers: str) -> Answering:
    """Return an answer with an error status; ``retry_after`` and the like are headers."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answering(status, pairs, body, before)


class LineEncoder:
    """Speaks to the caller."""

    def heartbeat(self) -> bytes:
        return BEAT

    def error(self, error: GatewayError) -> bytes:
        return broke(error.code)


class LineCodec:
    """The protocol, as far as attempts ask a codec, under the name of a real one."""

    STREAM_CONTENT_TYPE = b"text/event-stream"

    def __init__(self, name: str = FACE) -> None:
        self.NAME = name

    def StreamEncoder(self, envelope: Envelope, notices: Notices) -> LineEncoder:
        return LineEncoder()

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        error = classify(status, Told(message=body[:100].decode("latin-1")))
        error.body = body
        error.param = "tools"
        return error

    def lesson(self, error: Refused) -> str | None:
        return None


class LineTranscoder:
    """One attempt's way there and back.

    Args:
        side: Whom it is for.
        mode: As it calls itself.
        repairs: How often it knows what an upstream objects to.
        refuses: What it raises in place of a request.
    """

    def __init__(self, side: Side, mode: Mode, repairs: int, refuses: GatewayError | None) -> None:
        self.mode: Mode = mode
        self.notices = Notices()
        self.facts = AnswerFacts(model=side.model)
        self.is_meaningful = False
        self.is_complete = False
        self.is_paused = False
        self.failure: UpstreamError | None = None
        self._repairs = repairs
        self._refuses = refuses
        self._tail = self._gathered = b""

    async def settle(self) -> None:
        """Nothing is kept."""

    async def recall(self) -> None:
        assert not self._gathered, "asked before anything is heard"

    def request(self) -> HTTPCall:
        if self._refuses is not None:
            raise self._refuses
        return HTTPCall(method="POST", path="/talk", body=b"Hello")

    def repair(self, error: Refused) -> HTTPCall | None:
        self._repairs -= 1
        return HTTPCall(method="POST", path="/talk", body=b"Hello again") if self._repairs >= 0 else None

    def resume(self) -> HTTPCall | None:
        return None

    def feed(self, data: bytes) -> bytes:
        *lines, self._tail = (self._tail + data).split(b"\n")
        return b"".join(self._pass(line) for line in lines)

    def _pass(self, line: bytes) -> bytes:
        if self.is_complete or self.failure is not None:
            return b""
        if line.startswith(b"no "):
            self.failure = _error_of(line)
            return b""
        self.is_meaningful = self.is_meaningful or line.startswith(b"say")
        self.is_complete = line == b"end"
        return line + b"\n"

    def close(self) -> bytes:
        if not self.is_complete:
            self.failure = Interrupted("no end", code="incomplete_stream")
        return b""

    def error(self, error: GatewayError) -> bytes:
        return broke(error.code)

    def heartbeat(self) -> bytes:
        return BEAT

    def whole(self, body: bytes) -> bytes:
        if body.startswith(b"no "):
            raise _error_of(body)
        return body

    def whole_as_stream(self, body: bytes) -> bytes:
        return b"say " + self.whole(body) + b"\n" + END

    def gather(self, data: bytes) -> bool:
        self._gathered += self.feed(data)
        return self.is_complete or self.failure is not None

    def gathered(self) -> bytes:
        if self.failure is None:
            self.close()
        if self.failure is not None:
            raise self.failure
        return self._gathered.replace(b"\n", b" ").strip()


class Rig:
    """One request, and what it may ask.

    Args:
        scripts: What the upstreams do, one for each call, whoever is called.
        stream: The caller asked for a stream.
        accounts: How many each upstream has; they are called ``0``, ``1``, ...
        targets: In order of preference, by the names of their upstreams.
        send: The server's.
        mode: What the transcoders call themselves.
        repairs: How often a transcoder knows what an upstream objects to.
        refuses: What the transcoder of an upstream raises in place of a request, by its name.
        key: Of every account.
        protocol: Of the upstreams; the caller's is ``openai_chat``.
        limits: Of every call.
        transcoder: Class of the transcoders.
        show_route: Answers tell which way they took, and on whose account.
        hedge: Who is slow has another one asked beside it: everybody, or the upstreams of these names.
        chance: What is drawn wherever chance has a say.
        timing: Replaces single values of `TIMING`.
    """

    def __init__(
        self,
        *scripts: Script,
        stream: bool = True,
        accounts: int = 2,
        targets: Sequence[str] = ("one",),
        send: ServerSend | None = None,
        mode: Mode = "relay",
        repairs: int = 0,
        refuses: Mapping[str, GatewayError] | None = None,
        key: KeySource | None = None,
        protocol: str = FACE,
        limits: CallBounds | None = None,
        transcoder: type[LineTranscoder] = LineTranscoder,
        show_route: bool = True,
        hedge: bool | Sequence[str] = False,
        chance: float = 0.0,
        **timing: float,
    ) -> None:
        self.upstream = ScriptedUpstream(*scripts)
        self.send = send or ServerSend()
        self.reply = Reply(self.send)
        self.began = anyio.current_time()
        self.store = MemoryStore(anyio.current_time)
        self.pool = Pool(
            [
                Account(upstream=name, label=str(n), origin=Origin("https", f"{name}.example", 443), key=key)
                for name in dict.fromkeys(targets)
                for n in range(accounts)
            ],
            store=self.store,
            now=anyio.current_time,
            rng=lambda: 0.0,
        )
        self._stream = stream
        self.plan = self.pool.plan([Target(upstream=name, model="m") for name in targets])
        reasons = refuses or {}
        self._transcoder = lambda upstream, side: transcoder(side, mode, repairs, reasons.get(upstream.name))
        hedging = (targets if hedge else ()) if isinstance(hedge, bool) else hedge
        self._means = Means(
            pool=self.pool,
            upstreams={name: _side(name, protocol, limits or CallBounds(), hedges=name in hedging) for name in targets},
            clients=self.upstream,
            timing=msgspec.structs.replace(TIMING, **cast("dict[str, Any]", timing)),
            wall_now=lambda: 0.0,
            rng=lambda: chance,
            show_route=show_route,
            show_account=show_route,
        )
        self.envelope = Envelope(model="m", stream=stream)
        self.attempts = self.another()

    def another(self) -> Attempts:
        """Return the attempts of another request, on the same pool and with the same reply."""
        return Attempts(
            self._means,
            plan=self.plan,
            face=cast("Codec", LineCodec()),
            envelope=self.envelope,
            transcoder=self._transcoder,
            request_bytes=0,
            reply=self.reply,
            base_headers=[(b"x-request-id", b"req_1")],
            may_hedge=True,
        )

    async def run(self) -> GatewayError | None:
        """Run all there is to run, as an exchange does; return what failed."""
        await self.alongside()
        return self.attempts.failure

    async def alongside(self, *others: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run all there is to run, and something beside it."""
        problem: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self.attempts.pulse)
            for other in others:
                group.start_soon(other)
            try:
                await self.attempts.run()
            except Exception as exc:  # as it is, not in a group
                problem = exc
            group.cancel_scope.cancel()
        if problem is not None:
            raise problem

    async def sleep(self, seconds: float) -> None:
        """Sleep until so many seconds after the start."""
        await anyio.sleep(self.began + seconds - anyio.current_time())  # virtual

    @property
    def took_s(self) -> float:
        """Seconds since the start."""
        return anyio.current_time() - self.began

    @property
    def times(self) -> list[float]:
        """When each message was sent, in seconds from the start."""
        return [time - self.began for time in self.send.times]

    @property
    def log(self) -> list[str]:
        """How each attempt ended: ``upstream/account code``."""
        return [f"{attempt.upstream}/{attempt.account} {attempt.code}" for attempt in self.attempts.log]

    @property
    def failed(self) -> list[int]:
        """What is held against each account."""
        return [account.failed for account in self.accounts]

    @property
    def accounts(self) -> Sequence[AccountStatus]:
        """What the pool thinks of the accounts."""
        return self.pool.snapshot().accounts

    def kind(self, account: str) -> Kind:
        """Return what an account (``upstream/label``) is asked for here."""
        (found,) = [found for found in self.pool._slots if found.id == account]
        return Kind(Candidate(found, "m"), "generate", self._stream)

    def teach(self, account: str, took_s: float, *, times: int = MIN_SEEN) -> None:
        """Let an account have begun so many answers after so long."""
        for _ in range(times):
            self._means.patience.answered(self.kind(account), took_s)

    def patience(self, account: str) -> float | None:
        """Return how long an account is waited for."""
        return self._means.patience.with_(self.kind(account))

    def cool(self, account: str, seconds: float) -> None:
        """Let an account (``upstream/label``) tell somebody else to wait so long."""
        target = Target(upstream=account.split("/")[0], model="m")
        error = classify(429, Told())
        error.retry_after_s = seconds
        self.pool.release(self.pool.acquire(self.pool.plan([target], allowed=[account])), error)

    def check(self, *, is_cut: bool = False) -> None:
        """Check what must hold however it went: leases, open answers, the rules of the response."""
        snapshot = self.pool.snapshot()
        assert (sum(account.in_flight for account in snapshot.accounts), snapshot.stray_releases) == (0, 0)
        assert [call.closes for call in self.upstream.calls] == [int(call.was_opened) for call in self.upstream.calls]
        assert self.send.violations == []
        assert self.send.is_complete is (self.reply.is_started and not is_cut)


def _error_of(line: bytes) -> UpstreamError:
    _, status, words = line.decode().split(" ", 2)
    return classify(int(status), Told(message=words))


def _side(name: str, protocol: str, limits: CallBounds, *, hedges: bool) -> Way:
    return Way(
        name=name,
        codec=cast("Codec", LineCodec(protocol)),
        profile=Profile(),
        base_url=f"https://{name}.example",
        on_unsupported="notice",
        limits=limits,
        hedges=hedges,
    )
