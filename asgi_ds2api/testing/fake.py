"""The fake itself: a server on a free loopback port that speaks five protocols.

Everything it holds is bounded: bytes of a request, connections, remembered requests. What it starts it awaits: after
`FakeUpstream.stop` no task and no socket is left.
"""

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import msgspec

from .connection import Connection
from .http1 import BadRequest, Limits, Request, read_request, without_secrets, write_answer
from .script import Script
from .vendor import Vendor

_CREDENTIALS = frozenset(("authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"))
_WAIT_S = 5.0
"""How long the waits of a test last at most: far longer than anything on the loopback interface takes."""
_LINGER_S = 2.0
"""How long a caller whose request was refused may go on sending it before the connection is reset."""


class RecordedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case. The values of credentials are ``***``."""
    body: bytes
    json: object = None
    """The body, decoded; None if it is not JSON."""
    account: int | None = None
    """Which of the fake's ``keys`` it came with, 0 for the first; None for another or none."""


class FakeUpstream:
    """An AI vendor for tests and demonstrations: ``async with FakeUpstream() as fake``.

    A plain ``with`` serves from a thread of its own, for tests that are not async or run on trio.

    Args:
        keys: API keys that are accepted. Default: any, and none.
        models: Models that exist. Default: any name; the lists then have ``fake-1``.
        words_per_s: How fast it talks. Default: as fast as it can.
        rate_limited_every: For a key of ``keys``: each N-th of its requests for a message is answered 429.
        retry_after_s: The ``Retry-After`` of these, in seconds.
        script: What it says first. See `Script`.
        limits: Bounds of a request.
        max_connections: More at the same time are answered 503.
        kept_requests: How many of the last requests are remembered.

    Example:
        >>> import httpx
        >>> question = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        >>> with FakeUpstream() as fake:
        ...     answer = httpx.post(f"{fake.url}/v1/chat/completions", json=question)
        ...     fake.requests[0].path
        '/v1/chat/completions'
        >>> answer.json()["choices"][0]["message"]["content"]
        'You said: "Hello". I am m, a fake: I only repeat.'
    """

    def __init__(
        self,
        *,
        keys: Sequence[str] = (),
        models: Sequence[str] = (),
        words_per_s: float | None = None,
        rate_limited_every: Mapping[str, int] | None = None,
        retry_after_s: float = 2,
        script: Script | None = None,
        limits: Limits | None = None,
        max_connections: int = 1_000,
        kept_requests: int = 1_000,
    ) -> None:
        self._vendor = Vendor(
            keys=keys,
            models=models,
            rate_limited_every=rate_limited_every or {},
            retry_after_s=retry_after_s,
            script=script or Script(),
        )
        self._pause_s = 1 / words_per_s if words_per_s else 0.0
        self._limits = limits or Limits()
        self._max_connections = max_connections
        self._requests: deque[RecordedRequest] = deque(maxlen=kept_requests)
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._failures: list[BaseException] = []
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._thread: threading.Thread | None = None

    def bind(self) -> Self:
        """Take a free port, so that `url` is known before the fake serves. Those who connect now wait for `start`."""
        self._bound()
        return self

    def _bound(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        return self._socket

    @property
    def url(self) -> str:
        """The origin, without a slash at the end: the ``base_url`` of all but OpenAI, whose is ``f"{fake.url}/v1"``."""
        if self._socket is None:
            raise RuntimeError("the fake has no port yet: call bind() or start() first")
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """The last requests, in the order in which they were complete."""
        return tuple(self._requests)

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        return len(self._connections)

    def play(self, script: Script) -> None:
        """Say this before anything else, after what is already to be played."""
        self._vendor.script.extend(script.steps)

    async def wait_requests(self, count: int, *, within_s: float = _WAIT_S) -> tuple[RecordedRequest, ...]:
        """Wait until so many requests are remembered, and return all.

        Raises:
            TimeoutError: There are fewer after ``within_s`` seconds.
        """
        await self._until(lambda: len(self._requests) >= count, within_s)
        return self.requests

    async def wait_closed(self, *, within_s: float = _WAIT_S) -> None:
        """Wait until no connection is open.

        Raises:
            TimeoutError: One is, after ``within_s`` seconds.
        """
        await self._until(lambda: not self._connections, within_s)

    async def start(self) -> None:
        """Serve, until `stop`."""
        if self._server is not None:
            raise RuntimeError("the fake runs already")
        listener = self._bound()
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: Connection(self._begin, self._limits.max_header_bytes), sock=listener
        )

    async def stop(self) -> None:
        """Drop every connection and give the port back. Safe where `start` was not called.

        Raises:
            ExceptionGroup: The fake itself failed while it answered, for instance at a script that is not JSON.
        """
        server, self._server = self._server, None
        if server is not None:
            server.close()
        while self._connections:
            for connection in self._connections:
                connection.drop()
            await asyncio.gather(*self._connections.values(), return_exceptions=True)
        if server is not None:
            await server.wait_closed()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        failures, self._failures = self._failures, []
        if failures:
            raise BaseExceptionGroup("the fake failed while it answered", failures)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="FakeUpstream", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._thread is not None
        try:
            asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _until(self, is_so: Callable[[], bool], within_s: float) -> None:
        """Wait, in whatever loop the caller runs, until something is so in the loop of the server."""

        async def wait() -> None:
            while not is_so():
                await self._changed.wait()

        if self._loop is None:
            raise RuntimeError("the fake does not run yet")
        async with asyncio.timeout(within_s):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wait(), self._loop))

    def _note_change(self) -> None:
        """Wake those who wait in `_until`."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _begin(self, connection: Connection) -> "asyncio.Task[None] | None":
        """Serve a connection, unless the fake has stopped meanwhile."""
        if self._server is None:
            return None
        task = asyncio.get_running_loop().create_task(self._serve(connection), name="FakeUpstream connection")
        self._connections[connection] = task
        task.add_done_callback(lambda task: self._end(connection, task))
        return task

    def _end(self, connection: Connection, task: "asyncio.Task[None]") -> None:
        del self._connections[connection]
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
        self._note_change()

    async def _serve(self, connection: Connection) -> None:
        writer = connection.writer
        try:
            if len(self._connections) > self._max_connections:
                await self._refuse(connection, BadRequest(503, "too many connections"))
            else:
                while await self._exchange(connection):
                    pass
            writer.close()
        except ConnectionError:
            pass  # the peer has left, which is its right
        finally:
            if not writer.is_closing():
                writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, connection: Connection) -> bool:
        """Read a request and answer it. Return whether another may follow."""
        try:
            request = await read_request(connection.reader, connection.writer, self._limits)
        except BadRequest as exc:
            await self._refuse(connection, exc)
            return False
        if request is None:
            return False
        self._record(request)
        with connection.answering():
            return await write_answer(connection.writer, request, self._vendor.answer(request), self._pause_s)

    async def _refuse(self, connection: Connection, problem: BadRequest) -> None:
        """Answer what could not be read, and let the peer finish sending it: a reset would swallow the answer."""
        head = problem.head or Request(method="", path="", query={}, headers={})
        answer = self._vendor.refuse(problem, head)
        writer = connection.writer
        await write_answer(writer, msgspec.structs.replace(head, keeps_alive=False), answer, 0)
        writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while await connection.reader.read(65_536):
                    pass

    def _record(self, request: Request) -> None:
        try:
            decoded: object = msgspec.json.decode(request.body) if request.body else None
        except (msgspec.DecodeError, RecursionError):
            decoded = None
        record = RecordedRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=without_secrets(request.headers, _CREDENTIALS),
            body=request.body,
            json=decoded,
            account=self._vendor.account(request),
        )
        self._requests.append(record)
        self._note_change()
