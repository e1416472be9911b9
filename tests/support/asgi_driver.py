"""Drives an ASGI app in process as a server does, one message at a time.

``httpx.ASGITransport`` and TestClient buffer a whole answer and never disconnect in its middle. Here the test decides
when a piece of the body arrives, when the caller leaves, how long each ``send`` blocks and which one raises.

What servers do is done here too:

1. ``http.disconnect`` comes once, at once even before the rest of the body, and after a complete response as well.
   Whoever asks again waits for ever on some servers: here the test fails.
2. ``send`` to a caller who left returns in silence, unless ``raises_when_gone`` is set (ASGI 2.4).
3. A ``send`` that waits for a slow caller goes on when that caller leaves.

When the app has returned, `ResponseContract` must have nothing to say. `call` is for whole exchanges, `Exchange` for
those in which something happens half-way.
"""

import asyncio
import json as jsonlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self
from urllib.parse import quote

import msgspec
from starlette.types import ASGIApp, Message, Scope

from .asgi_contract import ResponseContract
from .canary import assert_unseen
from .http_bytes import HeaderPairs
from .waiting import Changes, Gate, first_of

DISCONNECT: Final = "disconnect"
"""As a piece of a body: the caller leaves here."""
Piece = bytes | Gate | Literal["disconnect"]
"""What comes next from the caller: bytes, a wait until the test opens the gate, or the end of the connection."""


@dataclass(frozen=True)
class Answer:
    """What the app sent, and what of it reached the caller."""

    status: int
    """0 if the app sent no ``http.response.start``."""
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    """What was sent before the caller left."""
    messages: tuple[Message, ...] = field(repr=False)
    """All messages, those after a disconnect included."""
    is_complete: bool
    """The last message was ``more_body=False``."""
    was_cancelled: bool = False
    """The app ended by the cancellation that `Exchange.cancel` asked for."""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def header(self, name: str) -> str | None:
        """Return the value of a header that may be there once, or None."""
        values = [value.decode("latin-1") for key, value in self.headers if key == name.encode()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    def json(self) -> dict[str, object]:
        """Return the body, which is a JSON object."""
        return msgspec.json.decode(self.body, type=dict[str, object])


class Exchange:
    """One request and its response, step by step: ``async with Exchange(app, "POST", "/x", body=...) as exchange``.

    Leaving the block disconnects, waits for the app to return and checks the contract; an exception of the app comes
    out there or from `finish`.

    Args:
        app: Called with the scope that the other arguments make.
        method: As in the scope.
        path: Decoded, with ``root_path`` in front, as servers give it.
        headers: Names in any case. Host, content type (of ``json``) and framing are added where they are missing.
        body: Bytes come in one piece; a sequence comes piece by piece; None: the test sends with `upload`.
        json: Instead of ``body``: any JSON value.
        query: Without the question mark, encoded.
        root_path: Of a mount.
        raw_path: As on the wire; by default ``path``, quoted.
        scope_extra: Replaces or adds keys of the scope.
        holds_sends: Every ``send`` waits until `release` lets it go.
        fails_send_at: Number, from 0, of the ``send`` that raises OSError; all later ones raise too.
        raises_when_gone: ``send`` raises OSError after a disconnect.
        may_cut: The app may return without ``more_body=False``, which makes a server cut the connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        method: str = "POST",
        path: str = "/",
        *,
        headers: HeaderPairs = (),
        body: bytes | Iterable[Piece] | None = b"",
        json: object = None,
        query: str = "",
        root_path: str = "",
        raw_path: bytes | None = None,
        scope_extra: Mapping[str, object] | None = None,
        holds_sends: bool = False,
        fails_send_at: int | None = None,
        raises_when_gone: bool = False,
        may_cut: bool = False,
    ) -> None:
        if json is not None:
            body = jsonlib.dumps(json).encode()
        self.messages: list[Message] = []
        self.sends = 0
        """How often the app has called ``send``."""
        self.is_gone = False
        """The caller has left."""
        self._app = app
        self._scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode() if raw_path is None else raw_path,
            "query_string": query.encode(),
            "root_path": root_path,
            "headers": _headers(headers, body, is_json=json is not None),
            "client": ("127.0.0.1", 50_000),
            "server": ("testserver", 80),
            **(scope_extra or {}),
        }
        self._pieces: deque[Piece] = deque([body] if isinstance(body, bytes) else body or ())
        self._is_upload_open = body is None
        self._contract = ResponseContract(method)
        self._may_cut = may_cut
        self._fails_send_at = fails_send_at
        self._raises_when_gone = raises_when_gone
        self._permits: int | None = 0 if holds_sends else None
        self._held = 0
        self._visible: list[bytes] = []
        self._read = 0
        self._is_body_complete = False
        self._is_told = False
        self._over = asyncio.Event()
        self._in_receive = False
        self._in_send = False
        self._is_cancelled = False
        self._changes = Changes()
        self._task: asyncio.Task[None] | None = None
        self._is_judged = False

    # --- the caller's side

    def upload(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the body, where ``body`` was None."""
        assert self._is_upload_open, "the body is complete"
        self._pieces.append(data)
        self._is_upload_open = more
        self._changes.tell()

    def disconnect(self) -> None:
        """Leave: the app learns of it from ``receive``."""
        self.is_gone = True
        self._permits = None
        self._over.set()
        self._changes.tell()

    def release(self, count: int | None = 1) -> None:
        """Let so many held sends go on; None: these and all to come."""
        assert self._permits is not None, "sends are not held"
        self._permits = None if count is None else self._permits + count
        self._changes.tell()

    def cancel(self) -> None:
        """Cancel the app's task, as a server does that shuts down."""
        self._is_cancelled = True
        self._running.cancel()

    async def wait_held(self) -> Message:
        """Wait until a ``send`` is held, and return its message."""
        await self._until(lambda: self._held > 0)
        return self.messages[-1]

    async def started(self) -> Answer:
        """Wait for status and headers; the body is as far as it came."""
        await self._until(lambda: self._contract.is_started)
        return self._answer()

    async def next_body(self) -> bytes | None:
        """Return the next piece of the body that is not empty; None at the end of the response."""
        await self._until(lambda: len(self._visible) > self._read or self._contract.is_complete)
        if len(self._visible) == self._read:
            return None
        self._read += 1
        return self._visible[self._read - 1]

    async def read_until(self, mark: bytes) -> bytes:
        """Return the pieces up to the one that completes ``mark``, joined."""
        got = b""
        while mark not in got:
            piece = await self.next_body()
            assert piece is not None, f"the response ended without {mark!r}: {got!r}"
            got += piece
        return got

    async def finish(self) -> Answer:
        """Wait until the app has returned, check the contract, return the whole answer.

        Raises:
            AssertionError: The app broke a rule.
            Exception: What the app raised.
        """
        await self._changes.until(self._running.done)
        if not self._running.cancelled():
            self._running.result()
            if not self._may_cut:
                self._contract.finish()
        elif not self._is_cancelled:
            raise AssertionError("the app cancelled itself")
        self._is_judged = True
        assert not self._contract.violations, "; ".join(self._contract.violations)
        return self._answer()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._changes.tell())
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        elif not self._is_judged:
            self.disconnect()
            await self.finish()

    # --- the server's side

    async def _run(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._is_told:
            self._contract.violations.append("receive() after http.disconnect")
            raise AssertionError("receive() after http.disconnect: some servers never return from it")
        if self._in_receive:
            self._contract.violations.append("receive() while another one waits")
        self._in_receive = True
        try:
            message = await self._next_message()
        finally:
            self._in_receive = False
        self._is_told = message["type"] == "http.disconnect"
        return message

    async def _next_message(self) -> Message:
        while not self._over.is_set():
            if not self._pieces and (self._is_upload_open or self._is_body_complete):
                await self._changes.happened(lambda: bool(self._pieces) or self._over.is_set())
                continue
            piece = self._pieces.popleft() if self._pieces else b""
            if isinstance(piece, bytes):
                self._is_body_complete = not self._pieces and not self._is_upload_open
                return {"type": "http.request", "body": piece, "more_body": not self._is_body_complete}
            if isinstance(piece, Gate):
                piece.reach()
                await first_of(piece.opened, self._over)
            else:
                self.disconnect()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        number = self.sends
        self.sends += 1
        if self._in_send:
            self._contract.violations.append("send() while another one waits")
        self._contract.see(message)
        self.messages.append(message)
        if self._fails_send_at is not None and number >= self._fails_send_at:
            self.disconnect()
        if self.is_gone and (self._raises_when_gone or self._fails_send_at is not None):
            self._may_cut = True
            raise OSError("the caller is gone")
        if message.get("body") and not self.is_gone:
            self._visible.append(message["body"])
        if self._contract.is_complete:
            self._over.set()
        self._in_send = True
        self._held += 1
        self._changes.tell()
        try:
            await self._changes.happened(lambda: self._permits is None or self._permits > 0)
        finally:
            self._held -= 1
            self._in_send = False
        if self._permits is not None:
            self._permits -= 1

    # --- the test's view

    @property
    def _running(self) -> asyncio.Task[None]:
        assert self._task is not None, "the exchange has not begun"
        return self._task

    async def _until(self, is_so: Callable[[], bool]) -> None:
        await self._changes.until(lambda: is_so() or self._running.done())
        if not is_so():
            raise AssertionError(f"the app returned before that: {await self.finish()}")

    def _answer(self) -> Answer:
        start = next((message for message in self.messages if message["type"] == "http.response.start"), {})
        for name, value in start.get("headers", ()):
            assert_unseen(f"the header {name.decode()}", value)
        assert_unseen("the body", b"".join(self._visible))
        return Answer(
            status=start.get("status", 0),
            headers=tuple((name, value) for name, value in start.get("headers", ())),
            body=b"".join(self._visible),
            messages=tuple(self.messages),
            is_complete=self._contract.is_complete,
            was_cancelled=self._running.done() and self._running.cancelled(),
        )


async def call(
    app: ASGIApp,
    method: str = "POST",
    path: str = "/",
    *,
    headers: HeaderPairs = (),
    body: bytes | Iterable[Piece] = b"",
    json: object = None,
    query: str = "",
    root_path: str = "",
    raw_path: bytes | None = None,
    scope_extra: Mapping[str, object] | None = None,
) -> Answer:
    """Send one request and return the whole answer. Arguments and errors are those of `Exchange`."""
    exchange = Exchange(
        app,
        method,
        path,
        headers=headers,
        body=body,
        json=json,
        query=query,
        root_path=root_path,
        raw_path=raw_path,
        scope_extra=scope_extra,
    )
    async with exchange:
        return await exchange.finish()


def _headers(headers: HeaderPairs, body: object, *, is_json: bool) -> list[tuple[bytes, bytes]]:
    """Return what a client would send: the given headers, after those that it adds where they are missing."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    framing = (b"content-length", b"%d" % len(body)) if isinstance(body, bytes) else (b"transfer-encoding", b"chunked")
    added = [(b"host", b"testserver"), *([(b"content-type", b"application/json")] if is_json else ())]
    if body != b"" and not {b"content-length", b"transfer-encoding"} & {name for name, _ in given}:
        added.append(framing)
    return [pair for pair in added if pair[0] not in {name for name, _ in given}] + given
