"""One ASGI answer: keeps the server's contract whatever happens, and knows when it last sent something.

Exactly one start, at least one body, exactly one end, also for a caller that has gone (status 499, which nobody sees):
a middleware outside that waits for an answer would otherwise call it our mistake.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
from starlette.types import Message, Send

from .inbound import ClientGone

Headers = Sequence[tuple[bytes, bytes]]
CLIENT_GONE_STATUS = 499


class Reply:
    """The answer of one request.

    Args:
        send: The server's.
        is_head: The request was a HEAD: the body stays away.
    """

    def __init__(self, send: Send, *, is_head: bool = False) -> None:
        self._send = send
        self._is_head = is_head
        self.status: int | None = None
        """What was started with; None: nothing yet."""
        self.is_ended = False
        self.bytes_out = 0
        self.last_sent_at = anyio.current_time()
        """Time of the event loop, seconds."""
        self.sending_since: float | None = None
        """When the ``send`` that is under way began; None: none is."""
        self._turn = anyio.Lock(fast_acquire=True)
        """One message at a time: a heartbeat may meet a piece of the answer."""
        self.heard_by: Callable[[bytes], Awaitable[None]] | None = None
        """Is told every piece before it goes out; None: nobody is."""
        self._owed = b""
        """The body of a `whole` answer: its length is promised by the start."""

    @property
    def is_started(self) -> bool:
        """The status line is out and cannot be changed."""
        return self.status is not None

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        async with self._turn:
            self.status = status
            await self._pass({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; returns when the server has taken it. After the end nothing is sent."""
        await self._tell(data)
        if self._is_head or not data:
            return
        async with self._turn:
            if not self.is_ended:
                self.bytes_out += len(data)
                await self._pass({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece. A second end is none."""
        await self._tell(data)
        await self._end(data)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""
        await self._tell(body)
        self._owed = body
        await self.start(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self._end(body)

    def abandon(self) -> None:
        """Send nothing more: the server then cuts the connection, which is the truth about an answer that broke."""
        self.is_ended = True

    async def ensure_ended(self) -> None:
        """Complete the contract for a caller that has gone, or of an answer that was cut off between two messages."""
        try:
            if not self.is_started:
                await self.whole(CLIENT_GONE_STATUS, (), b"")
            await self._end(self._owed)
        except ClientGone:
            self.is_ended = True

    async def _end(self, data: bytes) -> None:
        last = b"" if self._is_head else data
        async with self._turn:
            if not self.is_ended:
                self.is_ended = True
                self.bytes_out += len(last)
                await self._pass({"type": "http.response.body", "body": last, "more_body": False})

    async def _tell(self, data: bytes) -> None:
        if data and self.heard_by is not None and not self.is_ended:
            await self.heard_by(data)

    async def _pass(self, message: Message) -> None:
        """Hand a message to the server, in one's turn. No wait may come between what is noted of it and its sending."""
        self.sending_since = anyio.current_time()
        try:
            await self._send(message)
        except OSError:
            raise ClientGone from None
        finally:
            self.sending_since = None
        self.last_sent_at = anyio.current_time()
