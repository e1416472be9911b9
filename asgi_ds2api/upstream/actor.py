"""One exchange, carried by a task of its own.

httpcore loses connections when the task that uses it is cancelled natively (`asyncio.Task.cancel`, as servers do when
a caller leaves): its clean-up is shielded by a scope of anyio's, which such a cancellation ignores. Hence the rules:

1. All that touches the HTTP library (open, read, close) runs in one task, the actor. Nobody calls `cancel` on that
   task; the only way to stop it is to cancel the scope inside it.
2. Whoever asked for the exchange waits for news from the actor and may be cancelled in any way and at any time.
3. The slot of the client is given back by the callback that ends the task: it runs even if the task never started.
4. Two buffers of bounded size stand between the two: the pieces that were read ahead here, and the library's own.

A native cancellation may reach the actor when the event loop itself ends (`asyncio.run` cancels what is left).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import anyio

from ..errors import GatewayError
from .contract import Headers, UpstreamRequest
from .decoding import BodyDecoder, decoder_for
from .failures import failure, no_slot
from .progress import Progress
from .tasks import spawn

READ_AHEAD_BYTES = 65_536
"""The actor reads no more while so much waits for the reader: one read of a socket."""
CLOSE_S = 1.0
"""How long a closer waits for the actor. Longer is nobody's gain: the actor ends by itself."""
TEAR_DOWN_S = 2.0
"""How long the library may take to close."""


class Answer(NamedTuple):
    """The head of an answer, and the body that follows it."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]
    """Times out by itself: its maker knows which of its steps waits for the network."""


class Carrier(Protocol):
    """What carries one exchange. Only the actor calls it."""

    async def send(self, request: UpstreamRequest, progress: Progress) -> Answer:
        """Send the request and wait for the head; ``progress`` is told of each phase."""
        ...

    def errors(self, progress: Progress) -> AbstractContextManager[None]:
        """Turn errors of the library into ours."""
        ...

    async def close(self) -> None:
        """Drop the connection. Runs shielded."""
        ...


class Actor:
    """An open exchange (`contract.UpstreamResponse`)."""

    def __init__(self, request: UpstreamRequest, carrier: Carrier, slots: anyio.Semaphore) -> None:
        self.status = 0
        self.headers: Headers = ()
        self._request = request
        self._carrier = carrier
        self._slots = slots
        self._has_slot = False
        self._task: object = None
        """Only to keep it alive: event loops hold their tasks weakly."""
        self._scope = anyio.CancelScope()
        self._has_head = False
        self._is_over = False
        self._is_done = anyio.Event()
        self._error: BaseException | None = None
        self._pieces: list[bytes] = []
        self._ahead_bytes = 0
        self._news: anyio.Event | None = None
        self._room: anyio.Event | None = None

    # --- for whoever asked for the exchange -------------------------------------------------------------------------

    def start(self, ended: "Callable[[Actor], None]") -> None:
        """Start the task; ``ended`` is called once, when all is closed."""

        def end(error: BaseException | None) -> None:
            self._end(error)
            ended(self)

        self._task = spawn(self._run, end, "asgi_ds2api exchange")

    async def head(self) -> None:
        """Wait until ``status`` and ``headers`` are there."""
        while not (self._has_head or self._is_over):
            await self._wait_news()
        if not self._has_head:
            raise self._failure()

    async def read(self) -> bytes:
        """Return all that came since the last call; ``b""`` at the end."""
        while not self._pieces:
            if self._is_over and self._error is None:
                return b""
            if self._is_over:
                raise self._failure()
            await self._wait_news()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._ahead_bytes = 0
        if self._room is not None:
            self._room.set()
        return data

    async def close(self) -> None:
        """Stop the actor and wait for it a little; it ends in any case."""
        self.abort()
        if not self._is_done.is_set():
            with anyio.move_on_after(CLOSE_S, shield=True):
                await self._is_done.wait()

    def abort(self) -> None:
        """Stop the actor: what is still to be read fails with `Interrupted`."""
        if not self._is_over:
            self._over(failure("connection_lost", detail="closed here"))
        self._scope.cancel()

    def _failure(self) -> BaseException:
        assert self._error is not None
        return self._error

    async def _wait_news(self) -> None:
        self._news = anyio.Event()
        await self._news.wait()

    # --- the task ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        with self._scope:
            try:
                await self._take_slot()
                await self._converse()
                self._over(None)
            except GatewayError as error:
                self._over(_alone(error))
            finally:
                with anyio.move_on_after(TEAR_DOWN_S, shield=True):
                    await self._carrier.close()

    async def _take_slot(self) -> None:
        with anyio.move_on_after(self._request.limits.connect_s):
            await self._slots.acquire()
            self._has_slot = True
        if not self._has_slot:
            raise no_slot()

    async def _converse(self) -> None:
        progress = Progress(self._request.limits)
        answer: Answer | None = None
        with self._carrier.errors(progress):
            with progress.scope:
                answer = await self._carrier.send(self._request, progress)
            if answer is None:
                raise progress.timed_out()
            progress.reading()
            self._judge(answer)
            decoder = decoder_for(answer.headers)
            self.status, self.headers = answer.status, answer.headers
            self._has_head = True
            self._tell()
            await self._pass_on(answer.body, decoder)

    def _judge(self, answer: Answer) -> None:
        """Refuse heads that are not to be trusted with the connection or with memory."""
        size = sum(len(name) + len(value) + 4 for name, value in answer.headers)
        if answer.status < 200 or size > self._request.limits.max_header_bytes:
            raise failure("bad_protocol")
        names = [name for name, _ in answer.headers]
        if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
            raise failure("ambiguous_framing")

    async def _pass_on(self, body: AsyncIterator[bytes], decoder: BodyDecoder | None) -> None:
        async for piece in body:
            if decoder is None:
                await self._hand_over(piece)
                continue
            for part in decoder.feed(piece):
                await self._hand_over(part)
        if decoder is not None:
            decoder.close()

    async def _hand_over(self, piece: bytes) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._ahead_bytes += len(piece)
        self._tell()
        while self._ahead_bytes >= READ_AHEAD_BYTES:
            self._room = anyio.Event()
            await self._room.wait()
        self._room = None

    def _over(self, error: BaseException | None) -> None:
        if not self._is_over:
            self._is_over, self._error = True, error
            self._tell()

    def _end(self, error: BaseException | None) -> None:
        """End the exchange, whatever became of the task."""
        self._over(error if error is not None else failure("connection_lost", detail="the task was cancelled"))
        if self._has_slot:
            self._has_slot = False
            self._slots.release()
        self._is_done.set()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()


def _alone(error: GatewayError) -> GatewayError:
    """Cut an error off from the library's: their texts quote keys and answers, their frames hold our headers."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
