"""An upstream in memory, behind the contract that the gateway's HTTP clients fulfil.

Each call consumes the next script: an `Answering`, an error, or `NEVER`. No socket and no thread, so that it runs in
virtual time; ``Limits.first_byte_s`` and ``idle_s`` are kept, as the real clients keep them. A `ScriptedUpstream` is
also what the gateway asks for clients (``client(name)``), so that one object stands for every upstream;
`ScriptedClients` has one for each.

Rules:

1. A call that no script is left for is a mistake of the test: AssertionError.
2. Whoever opens an answer closes it, and never reads it from two tasks or after that: the test asks ``still_open``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

import anyio
import msgspec

from asgi_ds2api.errors import Timeout, UpstreamError
from asgi_ds2api.upstream.contract import Headers, UpstreamRequest

from .http_bytes import HeaderPairs
from .waiting import Changes, Gate


@dataclass(frozen=True)
class Delay:
    """Let time pass."""

    seconds: float


NEVER: Final = Delay(float("inf"))
"""Hang until the limit, or the caller, puts an end to it."""
Piece: TypeAlias = bytes | Delay | Gate | UpstreamError
"""Bytes are what one ``read`` returns; a gate stops until the test opens it; an error is raised."""


@dataclass(frozen=True)
class Answering:
    """One answer: status and headers, then a read for each bytes in ``pieces``.

    ``before`` comes before the head, ``closing`` before ``close`` returns.
    """

    status: int = 200
    headers: HeaderPairs = (("content-type", "application/json"),)
    pieces: Sequence[Piece] = ()
    before: Sequence[Delay | Gate] = ()
    closing: Sequence[Delay | Gate] = ()


Script: TypeAlias = Answering | UpstreamError | Delay
"""An error is raised by ``open``; a delay is one that no answer follows (`NEVER`)."""


def answering(
    body: bytes | Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answering:
    """Return a whole answer, JSON unless ``headers`` say otherwise, that comes in one read."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answering(status, {"content-type": "application/json"} | dict(headers or {}), [data])


def streaming(*pieces: Piece, headers: Mapping[str, str] | None = None) -> Answering:
    """Return a stream of server-sent events, each piece of bytes a read."""
    return Answering(200, {"content-type": "text/event-stream"} | dict(headers or {}), pieces)


def streaming_lines(*pieces: Piece) -> Answering:
    """Return a stream of lines of JSON, each piece of bytes a read."""
    return Answering(200, {"content-type": "application/x-ndjson"}, pieces)


@dataclass
class Call:
    """One call of ``open``, and the answer that it gave."""

    request: UpstreamRequest = field(repr=False)
    reads: int = 0
    """Reads that returned bytes."""
    was_opened: bool = False
    """The head was given out."""
    is_open: bool = False
    """The head was given out, and ``close`` was not called yet."""
    closes: int = 0
    cancelled_in: Literal["open", "read"] | None = None
    """Where the caller was when it was cancelled."""

    def json(self) -> dict[str, object]:
        """Return the request's body, which is a JSON object."""
        return msgspec.json.decode(self.request.body, type=dict[str, object])

    def header(self, name: str) -> str | None:
        """Return the first value of a header of the request, or None."""
        return next((value.decode("latin-1") for key, value in self.request.headers if key == name.encode()), None)


class ScriptedUpstream:
    """A client (`contract.Upstream`) that plays scripts: one for each call, in turn."""

    def __init__(self, *scripts: Script) -> None:
        rest = list(scripts)
        self.calls: list[Call] = []
        self.is_closed = False
        self._next: Callable[[UpstreamRequest], Script | None] = lambda _: rest.pop(0) if rest else None
        self._changes = Changes()

    @classmethod
    def by_request(cls, script: Callable[[UpstreamRequest], Script]) -> Self:
        """Play what ``script`` returns for each request."""
        upstream = cls()
        upstream._next = script
        return upstream

    @property
    def still_open(self) -> int:
        """How many answers are open."""
        return sum(call.is_open for call in self.calls)

    def client(self, upstream: str) -> Self:
        """Be the client of every upstream (``attempts.Clients``)."""
        return self

    async def wait_calls(self, count: int) -> list[Call]:
        """Wait until there were so many calls, and return all."""
        await self._changes.until(lambda: len(self.calls) >= count)
        return self.calls

    async def wait_closed(self) -> list[Call]:
        """Wait until no answer is open, and return all calls."""
        await self._changes.until(lambda: self.still_open == 0)
        return self.calls

    async def open(self, request: UpstreamRequest) -> "ScriptedResponse":
        """Record the request and play the next script; see `contract.Upstream.open`."""
        assert not self.is_closed, "open() after close()"
        script = self._next(request)
        assert script is not None, f"no script is left for call {len(self.calls)}"
        call = Call(request)
        self.calls.append(call)
        self._changes.tell()
        if isinstance(script, UpstreamError):
            raise script
        with _cancellation(call, "open"), _limit(request.limits.first_byte_s):
            for step in script.before if isinstance(script, Answering) else (script, NEVER):
                await _pause(step)
        assert isinstance(script, Answering)
        call.was_opened = call.is_open = True
        return ScriptedResponse(call, script, self._changes)

    async def close(self) -> None:
        """Refuse further calls."""
        self.is_closed = True


class ScriptedClients:
    """A `ScriptedUpstream` for each configured upstream, by its name (``attempts.Clients``)."""

    def __init__(self, upstreams: Mapping[str, ScriptedUpstream]) -> None:
        self._upstreams = upstreams

    def client(self, upstream: str) -> ScriptedUpstream:
        """Return the client of an upstream."""
        return self._upstreams[upstream]


class ScriptedResponse:
    """An open answer (`contract.UpstreamResponse`)."""

    def __init__(self, call: Call, script: Answering, changes: Changes) -> None:
        pairs = script.headers.items() if isinstance(script.headers, Mapping) else script.headers
        self.status = script.status
        self.headers: Headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        self._call = call
        self._pieces = list(script.pieces)
        self._closing = script.closing
        self._changes = changes
        self._is_reading = False

    async def read(self) -> bytes:
        """Play the script up to its next bytes; see `contract.UpstreamResponse.read`."""
        assert self._call.is_open, "read() after close()"
        assert not self._is_reading, "read() while another one waits"
        self._is_reading = True
        try:
            with _cancellation(self._call, "read"), _limit(self._call.request.limits.idle_s):
                return await self._next_bytes()
        finally:
            self._is_reading = False

    async def close(self) -> None:
        """Note it; see `contract.UpstreamResponse.close`."""
        self._call.closes += 1
        self._call.is_open = False
        self._changes.tell()
        for step in self._closing:
            await _pause(step)

    async def _next_bytes(self) -> bytes:
        while self._pieces:
            piece = self._pieces.pop(0)
            if isinstance(piece, bytes):
                assert piece, "a read returns at least one byte"
                self._call.reads += 1
                await anyio.lowlevel.checkpoint()
                return piece
            if isinstance(piece, UpstreamError):
                raise piece
            await _pause(piece)
        return b""


async def _pause(step: Delay | Gate) -> None:
    if isinstance(step, Delay):
        await anyio.sleep(step.seconds)
    else:
        step.reach()
        await step.opened.wait()


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise Timeout("The upstream did not answer in time.", may_be_billed=True) from error


@contextmanager
def _cancellation(call: Call, where: Literal["open", "read"]) -> Iterator[None]:
    try:
        yield
    except anyio.get_cancelled_exc_class():
        call.cancelled_in = where
        raise
