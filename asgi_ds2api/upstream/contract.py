"""What the gateway asks of an HTTP client: open one exchange, read its body, close it.

Two clients stand behind this contract (``wire``, ``httpx_client``); one test class runs over both. Nothing here knows
of protocols, accounts or retries. What an upstream does wrong leaves as ``UpstreamError``, what this machine lacks as
``CapacityError``: no text of the client library, no byte of the upstream and no header of ours is in their message.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, in wire order, repeated names kept."""


class CallBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one exchange. Seconds are of the event loop's clock."""

    connect_s: float = 5.0
    """DNS, TCP and TLS together."""
    write_s: float = 30.0
    """Without progress while the request is sent."""
    first_byte_s: float = 600.0
    """From the end of the request to the status line; 1xx answers do not prolong it."""
    idle_s: float = 120.0
    """Between two reads of the body."""
    max_header_bytes: int = 65_536
    """Of the whole answer head."""


class BodySource(Protocol):
    """A body that comes piece by piece, and is never held as a whole. It is sent once: nobody can ask for it again."""

    @property
    def length(self) -> int | None:
        """Bytes in all; None: nobody knows yet, so that it goes out in chunks."""
        ...

    async def next(self) -> bytes:
        """Return the next piece, when there is one; ``b""`` at the end. What it raises ends the exchange as it is."""
        ...


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, complete: ``url`` is absolute, ``headers`` hold the credential, ``body`` is sent as it is."""

    method: str
    url: str
    headers: Headers
    body: bytes
    limits: CallBounds = CallBounds()
    source: BodySource | None = None
    """Where the body comes from, in place of ``body``."""

    @property
    def length(self) -> int | None:
        """Bytes of the body; None: nobody knows yet."""
        return len(self.body) if self.source is None else self.source.length

    def __repr__(self) -> str:
        """Show where it goes, and neither its credential nor its content."""
        return f"UpstreamRequest({self.method} {self.url}, {'unknown' if self.length is None else self.length} bytes)"


class UpstreamResponse(Protocol):
    """An open answer. Whoever opened it closes it, exactly once, whatever happens."""

    @property
    def status(self) -> int:
        """HTTP status, 200..999."""
        ...

    @property
    def headers(self) -> Headers:
        """As received, names in lower case: a ``content-encoding`` says what `read` has undone."""
        ...

    async def read(self) -> bytes:
        """All body bytes that came since the last call, at least one; ``b""`` at the end of the message.

        Raises:
            Interrupted: The message broke off (short Content-Length, cut chunk, reset).
            Timeout: Nothing came for ``CallBounds.idle_s``.
            Malformed: The body cannot be decoded (an encoding that nobody asked for, a bomb).
        """
        ...

    async def close(self) -> None:
        """Give the connection back or drop it. Never raises; safe while cancelled; idempotent."""
        ...


class Upstream(Protocol):
    """A client for one origin and its TLS settings. It follows no redirect, keeps no cookie, reads no environment."""

    async def open(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send the request and wait for the head of the answer. A 3xx is an answer like another.

        Raises:
            Unreachable: No connection was made, or it was gone before the whole request was out.
            Timeout: To connect (``may_be_billed`` is false), or to answer (true).
            Interrupted: The connection was lost after the request went out and before a head came.
            Malformed: The head is not HTTP, or breaks a limit.
            QueueTimeout: All connections of this client are in use, and none came free within ``CallBounds.connect_s``.
            NoCapacity: This machine has no socket left.
            InternalError: The request cannot be written: a header or the URL holds what neither may hold.
            GatewayError: What the source of its body raised.
        """
        ...

    async def close(self) -> None:
        """Drop every connection. Exchanges that are still open end with ``Interrupted``."""
        ...
