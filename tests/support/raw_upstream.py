"""An upstream that does exactly what a script says, down to the single byte, the FIN and the RST.

It is a server on a free loopback port. Each connection (or each request, see `RawUpstream.per_request`) plays a script
of steps (``script.py``). It keeps all that happened, so that a test can ask how many connections came, what was asked
and whether the client closed what it opened.

Rules:

1. A script that ends by itself closes the connection with a FIN; one of `per_request` keeps it for the next request.
2. What goes wrong in a script (a request that cannot be read, a step that raises) is raised when the upstream closes.
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from .script import Connection, PeerGone, ReceivedRequest, Script, read_request
from .waiting import Changes


@dataclass(frozen=True)
class LogEntry:
    """One thing that happened, in the order in which it did."""

    at: float
    """Seconds of the loop's clock."""
    connection: int
    what: str
    """"open", "request", "sent 12", "hold", or an ending."""


class RawUpstream:
    """The server: ``async with RawUpstream([Expect(), Send(...), Reset()]) as upstream: upstream.url``.

    Args:
        scripts: One for each connection in turn; the last serves all further connections too.
        ssl_context: Speaks TLS with it.
    """

    def __init__(self, *scripts: Script, ssl_context: ssl.SSLContext | None = None) -> None:
        self.connections: list[Connection] = []
        """In the order in which they were accepted (with TLS: finished their handshake)."""
        self.log: list[LogEntry] = []
        self._scripts = scripts
        self._ssl_context = ssl_context
        self._answer: Callable[[ReceivedRequest], Script] | None = None
        self._changes = Changes()
        self._server: asyncio.Server | None = None

    @classmethod
    def per_request(cls, *scripts: Script, ssl_context: ssl.SSLContext | None = None) -> Self:
        """Read each request, over whatever connection, and play the next script; the last one repeats."""
        rest = itertools.chain(scripts, itertools.repeat(scripts[-1]))
        return cls.answering(lambda _request: next(rest), ssl_context=ssl_context)

    @classmethod
    def answering(
        cls, answer: Callable[[ReceivedRequest], Script], *, ssl_context: ssl.SSLContext | None = None
    ) -> Self:
        """Read each request and play what ``answer`` returns for it."""
        upstream = cls(ssl_context=ssl_context)
        upstream._answer = answer
        return upstream

    @property
    def port(self) -> int:
        """The loopback port."""
        assert self._server is not None, "the upstream is not running"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The origin, without a slash at the end."""
        return f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests, in the order in which they were complete."""
        return sorted((r for c in self.connections for r in c.requests), key=lambda request: request.at)

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        return sum(connection.ended == "open" for connection in self.connections)

    async def wait_requests(self, count: int) -> list[ReceivedRequest]:
        """Wait until this many requests are complete, and return all."""
        await self._changes.until(lambda: len(self.requests) >= count)
        return self.requests

    async def wait_connections(self, count: int) -> list[Connection]:
        """Wait until this many connections have come, and return all."""
        await self._changes.until(lambda: len(self.connections) >= count)
        return self.connections

    async def wait_closed(self) -> list[Connection]:
        """Wait until no connection is open, and return all."""
        await self._changes.until(lambda: self.open_connections == 0)
        return self.connections

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._accepted, self._note), "127.0.0.1", 0, ssl=self._ssl_context, backlog=1024
        )
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        """Drop what is open; raise what went wrong in a script."""
        assert self._server is not None
        self._server.close()
        scripts = [connection.script for connection in self.connections if connection.script is not None]
        for script in scripts:
            script.cancel()
        results = await asyncio.gather(*scripts, return_exceptions=True)
        for connection in self.connections:
            connection.transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)  # the transports say connection_lost
        failures = [result for result in results if isinstance(result, Exception)]
        if failures and exc_type is None:
            raise ExceptionGroup("a script of the upstream failed", failures)

    def _accepted(self, connection: Connection) -> None:
        connection.number = len(self.connections)
        self.connections.append(connection)
        connection.script = asyncio.create_task(self._play(connection))

    async def _play(self, connection: Connection) -> None:
        try:
            with contextlib.suppress(PeerGone):
                if self._answer is None:
                    await self._play_steps(self._scripts[min(connection.number, len(self._scripts) - 1)], connection)
                while self._answer is not None and connection.ended == "open":
                    await self._play_steps(self._answer(await read_request(connection)), connection)
        finally:
            connection.finish("fin")

    @staticmethod
    async def _play_steps(script: Script, connection: Connection) -> None:
        for step in script:
            await step.play(connection)

    def _note(self, number: int, what: str) -> None:
        self.log.append(LogEntry(asyncio.get_running_loop().time(), number, what))
        self._changes.tell()


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """Give the origin of a port that is bound and not listened to: every connection is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
