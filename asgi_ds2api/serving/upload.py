"""A body that is passed on while it comes: read no faster than it goes out, and within bounds.

Whoever listens for the caller's leaving reads the body on the way (`Upload.receive`), so that there is one listener as
for every request. It asks for no more while `READ_AHEAD_BYTES` wait to go out; meanwhile the server holds the caller
back, and also what it would say of its leaving.
"""

from collections import deque

import anyio
from starlette.types import Message, Receive

from ..errors import GatewayError, MalformedRequest, RequestTimeout, RequestTooLarge
from .inbound import BAD_FRAMING, InboundLimits

READ_AHEAD_BYTES = 262_144
"""As much as goes out in one piece. Servers hand over 64 KiB at a time, and what of that is one too many."""


class Upload:
    """The body of one request (`upstream.contract.BodySource`).

    Args:
        receive: The server's.
        limits: ``max_body_bytes`` of the whole, and how slowly it may come; what waits to go out is not slow.
        declared: Content-Length; None: it comes in chunks.
    """

    def __init__(self, receive: Receive, limits: InboundLimits, declared: int | None) -> None:
        self._receive = receive
        self._limits = limits
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._waited_s = 0.0
        self._failure: GatewayError | None = None
        self._news = anyio.Event()
        self._room = anyio.Event()
        self.length = declared
        self.size = 0
        """Bytes that have come so far."""
        self.is_whole = False
        """All of it has come."""
        self.has_begun = False
        """A piece of it is on its way, and cannot be sent again."""

    async def receive(self) -> Message:
        """Receive the next message, once there is room for it."""
        while self._waiting_bytes >= READ_AHEAD_BYTES and not self._is_over:
            self._room = anyio.Event()
            await self._room.wait()
        if self._is_over:
            return await self._receive()
        began = anyio.current_time()
        message: Message | None = None
        with anyio.move_on_after(self._limits.upload_idle_s):
            message = await self._receive()
        self._waited_s += anyio.current_time() - began
        if message is None:
            self._fail(RequestTimeout("The body did not arrive in time. Send it again."))
            return {"type": "http.request", "body": b"", "more_body": True}
        if message["type"] == "http.request":
            self._take(message.get("body", b""), more=message.get("more_body", False))
        return message

    async def next(self) -> bytes:
        """Return what has come, when something has; ``b""`` at the end.

        Raises:
            RequestTooLarge: More came than may.
            RequestTimeout: It came too slowly.
            MalformedRequest: It is not as long as its sender said.
        """
        while not self._pieces and not self._is_over:
            self._news = anyio.Event()
            await self._news.wait()
        if self._failure is not None:
            raise self._failure
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        self.has_begun = self.has_begun or bool(piece)
        self._room.set()
        return piece

    @property
    def _is_over(self) -> bool:
        return self.is_whole or self._failure is not None

    def _take(self, piece: bytes, *, more: bool) -> None:
        self.size += len(piece)
        if problem := self._problem(more=more):
            self._fail(problem)
            return
        if piece:
            self._pieces.append(piece)
            self._waiting_bytes += len(piece)
        self.is_whole = not more
        self._news.set()

    def _problem(self, *, more: bool) -> GatewayError | None:
        limits = self._limits
        if self.size > limits.max_body_bytes:
            return RequestTooLarge(f"The file is larger than {limits.max_body_bytes} bytes. Send a smaller one.")
        if self.length is not None and (self.size > self.length or (not more and self.size < self.length)):
            return MalformedRequest("The body is not as long as its Content-Length says.", code=BAD_FRAMING)
        is_slow = self._waited_s > limits.upload_grace_s and self.size < self._waited_s * limits.upload_min_bytes_s
        if more and is_slow:
            return RequestTimeout("The body came too slowly. Send it again on a faster connection.")
        return None

    def _fail(self, problem: GatewayError) -> None:
        self._failure = problem
        self._pieces.clear()
        self._news.set()
