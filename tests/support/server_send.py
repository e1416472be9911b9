"""The ``send`` of a server, alone: slow, stalled or broken as a test wants it."""

import asyncio

from starlette.types import Message

from .asgi_contract import ResponseContract


class ServerSend:
    """Takes the messages of one response.

    Args:
        method: Of the request.
        takes_s: How long each ``send`` waits, after the message was taken.
        stalls_at: Number, from 0, of the ``send`` that never returns.
        fails_at: Number, from 0, of the first ``send`` that raises.
    """

    def __init__(
        self, method: str = "POST", *, takes_s: float = 0, stalls_at: int | None = None, fails_at: int | None = None
    ) -> None:
        self.messages: list[Message] = []
        self.times: list[float] = []
        """When each message came, in seconds of the event loop."""
        self._contract = ResponseContract(method)
        self._takes_s = takes_s
        self._stalls_at = stalls_at
        self._fails_at = fails_at
        self._is_sending = False

    async def __call__(self, message: Message) -> None:
        """Take a message."""
        assert not self._is_sending, "send() while another one waits"
        number = len(self.messages)
        self._contract.see(message)
        self.messages.append(message)
        self.times.append(asyncio.get_running_loop().time())
        if self._fails_at is not None and number >= self._fails_at:
            raise ConnectionResetError("the caller is gone")
        self._is_sending = True
        try:
            if number == self._stalls_at:
                await asyncio.Event().wait()
            await asyncio.sleep(self._takes_s)
        finally:
            self._is_sending = False

    @property
    def status(self) -> int | None:
        """Of the response; None: it has not begun."""
        status: int | None = self.messages[0]["status"] if self.messages else None
        return status

    @property
    def body(self) -> bytes:
        """All of it so far."""
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def is_complete(self) -> bool:
        """The last piece was sent."""
        return self._contract.is_complete

    @property
    def violations(self) -> list[str]:
        """What was wrong with the messages so far."""
        return self._contract.violations

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        headers = self.messages[0]["headers"]
        return next((value.decode("latin-1") for found, value in headers if found == name.encode()), None)

    def check(self) -> None:
        """Check that the response is complete and keeps the rules."""
        self._contract.finish()
        assert self.violations == []
