"""The steps of a scripted upstream, and the connection that they play on.

A script is a sequence of steps: read a request, send bytes, stop at a gate, reset the connection. `RawUpstream` plays
it; here is what a step may do. Of HTTP/1.1 this file knows how a request is read, and no more: what is sent is bytes,
right or wrong.

Rules:

1. Nothing sleeps. A script waits for a `Gate` or for the peer.
2. The end of the peer's sending (FIN) or a reset ends the script, after what had come whole is read: no HTTP client
   half-closes, and servers take it as gone. The way it ended stays in ``Connection.ended``.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from .waiting import Gate, first_of

MAX_HEAD_BYTES = 1 << 20
"""Of a request's head and of a chunk's size line. Far above what a client may send: more is a mistake."""

Ending = Literal["open", "fin", "reset", "peer_eof", "peer_reset"]


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came. Header names are in lower case, in wire order, repeated names kept."""

    connection: int
    """Number of the connection, from 0."""
    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    at: float
    """Seconds of the loop's clock when the last byte was read."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name.encode()), None)

    def json(self) -> dict[str, object]:
        """Return the body, which is a JSON object."""
        return msgspec.json.decode(self.body, type=dict[str, object])


class PeerGone(Exception):
    """The peer closed or reset the connection: the script is over (rule 2)."""


class Connection(asyncio.Protocol):
    """One accepted connection, as its script sees it. ``requests``, ``sent`` and ``ended`` are for the test."""

    def __init__(self, accepted: "Callable[[Connection], None]", log: Callable[[int, str], None]) -> None:
        self.number = -1
        """Counted from 0 in the order of acceptance; set by the upstream."""
        self.requests: list[ReceivedRequest] = []
        self.received = bytearray()
        """Bytes that came and that no step has read yet."""
        self.sent = 0
        """Bytes that the kernel took."""
        self.ended: Ending = "open"
        self.closed = asyncio.Event()
        """Either side closed or reset it."""
        self.script: asyncio.Task[None] | None = None
        self._accepted = accepted
        self._log = log
        self._transport: asyncio.Transport | None = None
        self._more = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the script."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # so that ``send`` waits until the kernel has it all
        self._accepted(self)
        self.log("open")

    def data_received(self, data: bytes) -> None:
        """Keep what came for the next step that reads."""
        self.received += data
        self._more.set()

    def eof_received(self) -> bool:
        """Take the peer's FIN as its end (rule 2)."""
        self._end("peer_eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a reset; after a FIN of ours this changes nothing."""
        self._end("peer_reset" if exc else "peer_eof")

    def pause_writing(self) -> None:
        """Make `send` wait: the peer does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    # --- what steps call

    @property
    def transport(self) -> asyncio.Transport:
        """The open transport."""
        assert self._transport is not None
        return self._transport

    def log(self, what: str) -> None:
        """Add a line to the upstream's log."""
        self._log(self.number, what)

    async def send(self, data: bytes) -> None:
        """Write, and wait while the peer does not read."""
        self.transport.write(data)
        await self._writable.wait()
        self._assert_open()
        self.sent += len(data)
        self.log(f"sent {len(data)}")
        for _ in range(2):  # one turn for the loop to see the bytes, one for a peer on this loop to read them
            await asyncio.sleep(0)

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event, or for the peer to go."""
        await first_of(event, self.closed)
        self._assert_open()

    async def receive_exactly(self, size: int) -> bytes:
        """Take the next ``size`` bytes of what the peer sends."""
        while len(self.received) < size:
            await self._receive_more()
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    async def receive_line(self, end: bytes = b"\r\n") -> bytes:
        """Take bytes up to ``end``, which is dropped."""
        while (at := self.received.find(end)) < 0:
            if len(self.received) > MAX_HEAD_BYTES:
                raise ValueError(f"no end of line or head within {MAX_HEAD_BYTES} bytes")
            await self._receive_more()
        line = await self.receive_exactly(at)
        del self.received[: len(end)]
        return line

    def finish(self, how: Literal["fin", "reset"]) -> None:
        """Close our side: with a FIN after what was sent, or with a RST at once."""
        if self.ended != "open":
            return
        self._end(how)
        if how == "fin":
            self.transport.close()
            return
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _end(self, how: Ending) -> None:
        if self.ended != "open":
            return
        self.ended = how
        self.log(how)
        self.closed.set()
        self._more.set()
        self._writable.set()

    async def _receive_more(self) -> None:
        self._assert_open()
        self._more.clear()
        await self._more.wait()

    def _assert_open(self) -> None:
        if self.ended != "open":
            raise PeerGone


class Step(Protocol):
    """One thing that a script does."""

    async def play(self, connection: Connection) -> None:
        """Do it. Returns when the next step may begin."""
        ...


Script = Sequence[Step]


@dataclass(frozen=True)
class Expect:
    """Read one whole request and record it."""

    async def play(self, connection: Connection) -> None:
        """Read the head, then the body that it announces."""
        await read_request(connection)


@dataclass(frozen=True)
class ExpectBytes:
    """Read this many bytes and no more; what they mean does not matter."""

    size: int

    async def play(self, connection: Connection) -> None:
        """Read them."""
        await connection.receive_exactly(self.size)


@dataclass(frozen=True)
class Send:
    """Send bytes."""

    data: bytes

    async def play(self, connection: Connection) -> None:
        """Send them in one piece."""
        await connection.send(self.data)


@dataclass(frozen=True)
class Drip:
    """Send bytes in pieces of these sizes, again and again from the first size on."""

    data: bytes
    sizes: Sequence[int] = (1,)

    async def play(self, connection: Connection) -> None:
        """Send piece by piece; a peer on the same loop reads each by itself."""
        for piece in cut(self.data, self.sizes):
            await connection.send(piece)


@dataclass(frozen=True)
class Repeat:
    """Play some steps again and again, until the peer goes or, if told, so many times."""

    steps: Script
    times: int | None = None

    async def play(self, connection: Connection) -> None:
        """Play them."""
        for _ in itertools.count() if self.times is None else range(self.times):
            for step in self.steps:
                await step.play(connection)


@dataclass(frozen=True)
class Hold:
    """Stop at a gate until the test opens it."""

    gate: Gate

    async def play(self, connection: Connection) -> None:
        """Wait."""
        connection.log("hold")
        self.gate.reach()
        await connection.until(self.gate.opened)


@dataclass(frozen=True)
class Hang:
    """Do nothing until the peer goes."""

    async def play(self, connection: Connection) -> None:
        """Wait for its close, which ends the script."""
        await connection.until(connection.closed)


@dataclass(frozen=True)
class Fin:
    """Close the connection in good order, after all that was sent."""

    async def play(self, connection: Connection) -> None:
        """Close it."""
        connection.finish("fin")


@dataclass(frozen=True)
class Reset:
    """Drop the connection with a RST, and whatever was not yet sent with it."""

    async def play(self, connection: Connection) -> None:
        """Drop it."""
        connection.finish("reset")


@dataclass(frozen=True)
class HalfClose:
    """Send a FIN but go on reading."""

    async def play(self, connection: Connection) -> None:
        """Close our sending side."""
        connection.transport.write_eof()
        connection.log("half close")


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield ``data`` in pieces of these sizes, which repeat."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


async def read_request(connection: Connection) -> ReceivedRequest:
    """Read one whole request (Content-Length or chunked body) and record it."""
    lines = (await connection.receive_line(b"\r\n\r\n")).split(b"\r\n")
    method, target, _version = lines[0].decode("latin-1").split(" ")
    pairs = (line.split(b":", 1) for line in lines[1:])
    headers = tuple((name.lower(), value.strip()) for name, value in pairs)
    fields = dict(headers)
    if fields.get(b"transfer-encoding") == b"chunked":
        body = b"".join([chunk async for chunk in _chunks(connection)])
    else:
        body = await connection.receive_exactly(int(fields.get(b"content-length", b"0")))
    now = asyncio.get_running_loop().time()
    request = ReceivedRequest(connection.number, method, target, headers, body, now)
    connection.requests.append(request)
    connection.log("request")
    return request


async def _chunks(connection: Connection) -> AsyncIterator[bytes]:
    while size := int((await connection.receive_line()).split(b";")[0], 16):
        yield await connection.receive_exactly(size)
        await connection.receive_line()
    while await connection.receive_line():
        pass  # trailers
