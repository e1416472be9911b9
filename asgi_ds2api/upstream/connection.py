"""One exchange over one fresh connection, by httpcore, the engine of httpx.

httpx's client and httpcore's pool are left out on purpose: the pool loses slots when requests are cancelled, costs the
square of its connections, and gives the surplus bytes of one answer to the next request on a connection. Here each
exchange has a connection that nobody used before and nobody uses after. What is left of httpcore is HTTP/1.1 itself
(h11) and the ways through proxies.

The sockets below are ours, by anyio, under asyncio and trio alike:

1. A socket that was opened is closed when the exchange ends, in whatever phase that is. (httpcore forgets it when a TLS
   handshake is cancelled.)
2. Errors become ours where they happen, and whether any byte of the request left is known, not guessed.
3. An answer that comes while the request is still being sent is read at once: servers reset after a 413, and what was
   not read before the reset is gone.
4. What comes before the head of the answer is complete is counted, 1xx answers included.
"""

import re
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import anyio
import anyio.abc
import anyio.streams.tls
import httpcore
import httpx

from ..errors import GatewayError, InternalError
from .actor import Answer
from .contract import UpstreamRequest
from .failures import connect_failure, failure
from .head import head_of, parts_of, target_of
from .progress import Phase, Progress, RequestBody

READ_BYTES = 65_536
_REFUSAL = re.compile(rb"HTTP/1\.\d [345]")
_LOST = (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)


class FreshConnection:
    """The carrier (`actor.Carrier`) of one exchange.

    Args:
        context: How to do TLS with the upstream, and with an ``https`` proxy.
        proxy: The proxy to go through, which may have a user and a password.
    """

    def __init__(self, *, context: ssl.SSLContext | None, proxy: httpx.Proxy | None) -> None:
        self._context = context
        self._proxy = None if proxy is None else _proxy(proxy, context)
        self._dialler = Dialler()
        self._answer: Answer | None = None

    async def send(self, request: UpstreamRequest, progress: Progress) -> Answer:
        """Connect, send and wait for the head."""
        self._dialler.progress = progress
        parts = parts_of(request.url)
        url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target_of(parts))
        # Made only for what it knows of proxies; it never holds a connection.
        pool = httpcore.AsyncConnectionPool(ssl_context=self._context, proxy=self._proxy, network_backend=self._dialler)
        answer = await pool.create_connection(url.origin).handle_async_request(
            httpcore.Request(
                request.method, url, headers=head_of(request, parts), content=RequestBody(request, progress)
            )
        )
        assert not isinstance(answer.stream, Iterable)
        headers = tuple((name.lower(), value) for name, value in answer.headers)
        self._answer = Answer(answer.status, headers, aiter(answer.stream))
        return self._answer

    @contextmanager
    def errors(self, progress: Progress) -> Iterator[None]:
        """Turn what h11 and the proxies say into our errors; those of sockets are ours already."""
        try:
            yield
        except httpcore.RemoteProtocolError:
            is_cut = progress.phase is Phase.READING and self._dialler.is_eof
            raise failure("truncated" if is_cut else "bad_protocol") from None
        except (httpcore.ProxyError, httpcore.NetworkError):
            raise failure("proxy_failed") from None
        except httpcore.LocalProtocolError:
            raise InternalError("The request to the upstream could not be written.") from None

    async def close(self) -> None:
        """Close the sockets, then let the generators of httpcore find out."""
        await self._dialler.close()
        if self._answer is not None:
            # Left half-way they would be the garbage collector's, who complains. What is read here is what h11 holds.
            with suppress(GatewayError, httpcore.RemoteProtocolError):
                async for _ in self._answer.body:
                    pass


class Dialler(httpcore.AsyncNetworkBackend):
    """Opens the connections of one exchange (one, as a rule) and closes them."""

    progress: Progress

    def __init__(self) -> None:
        self.is_eof = False
        """The upstream has ended its side."""
        self._opened: list[anyio.abc.SocketStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers. The limit is that of the exchange."""
        try:
            stream = await anyio.connect_tcp(host, port)
        except (OSError, UnicodeError) as exc:
            raise connect_failure(exc) from None
        self._opened.append(stream)
        return Line(stream, self)

    async def close(self) -> None:
        """Drop all connections, with what has not been sent."""
        for stream in self._opened:
            await anyio.aclose_forcefully(stream)


class Line(httpcore.AsyncNetworkStream):
    """An open connection, plain or secured."""

    def __init__(self, stream: anyio.abc.ByteStream, dialler: Dialler) -> None:
        self._stream = stream
        self._dialler = dialler
        self._progress = dialler.progress
        self._unsent = b""
        self._has_sent = False
        self._early: deque[bytes] = deque()
        self._head_bytes = 0
        self._is_broken = False
        """A write failed: the upstream cannot have the whole request."""
        self._is_refused = False
        """An answer came that makes the rest of the request pointless."""

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Secure the connection. The limit is that of the exchange."""
        self._progress.securing()
        try:
            secured = await anyio.streams.tls.TLSStream.wrap(
                self._stream,
                server_side=False,
                hostname=server_hostname,
                ssl_context=ssl_context,
                standard_compatible=False,  # servers end HTTP without ending TLS
            )
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as exc:
            error = connect_failure(exc)
            raise failure("tls_failed") if error.code == "connect_failed" else error from None
        return Line(secured, self._dialler)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Gather what is to be sent, and send when a slice is full or ``buffer`` is empty.

        Head and body of most requests leave in one piece: the upstream has all of it or nothing.
        """
        self._unsent += buffer
        if not buffer or len(self._unsent) >= RequestBody.SLICE_BYTES:
            await self._flush()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what came, ``b""`` at the end. The limits are those of the exchange."""
        await self._flush()
        if self._progress.phase is Phase.SENDING:
            self._progress.waiting()  # the upload was given up
        is_head = self._progress.phase is not Phase.READING
        limits = self._progress.limits
        if is_head and self._head_bytes >= limits.max_header_bytes:
            raise failure("bad_protocol")
        try:
            data = self._early.popleft() if self._early else await self._receive(None if is_head else limits.idle_s)
        except anyio.EndOfStream:
            self._dialler.is_eof = True
            if is_head:
                raise self._lost() from None
            return b""
        except _LOST:
            raise self._lost() from None
        if is_head:
            self._head_bytes += len(data)
        return data

    async def aclose(self) -> None:
        """Close the connection."""
        await self._dialler.close()

    def get_extra_info(self, info: str) -> object:
        """Tell what httpcore asks: which protocol TLS agreed on, and whether an idle connection has ended."""
        if info == "ssl_object":
            return self._stream.extra(anyio.streams.tls.TLSAttribute.ssl_object, None)
        return None

    async def _receive(self, limit_s: float | None) -> bytes:
        data: bytes | None = None
        with anyio.move_on_after(limit_s):
            data = await self._stream.receive(READ_BYTES)
        if data is None:
            raise self._progress.timed_out()
        return data

    def _lost(self) -> GatewayError:
        if self._progress.phase in (Phase.CONNECTING, Phase.SECURING):
            return failure("proxy_failed")
        return failure("reset_s0" if self._is_broken else "connection_lost")

    async def _flush(self) -> None:
        data, self._unsent = self._unsent, b""
        if not data:
            return
        if not self._has_sent:
            if self._is_reset():
                raise failure("reset_s0")
            self._has_sent = True
        is_sent = await self._send(data) if len(data) < RequestBody.SLICE_BYTES else await self._send_listening(data)
        if self._is_broken or self._is_refused or (self._early and not is_sent):
            raise httpcore.WriteError  # httpcore goes on to read the answer
        if not is_sent:
            raise failure("write_timeout")

    async def _send(self, data: bytes) -> bool:
        """Send; False: nothing moved for too long."""
        with anyio.move_on_after(self._progress.limits.write_s) as stalled:
            try:
                await self._stream.send(data)
            except _LOST:
                self._is_broken = True
        # asyncio reports a failed write by closing the socket under us, a moment later.
        self._is_broken = self._is_broken or self._socket.fileno() < 0
        return not stalled.cancelled_caught

    async def _send_listening(self, data: bytes) -> bool:
        """Send, and keep what comes meanwhile; stop if that is a refusal."""
        is_sent = False
        async with anyio.create_task_group() as both:
            both.start_soon(self._listen, both.cancel_scope)
            is_sent = await self._send(data)
            both.cancel_scope.cancel()
        return is_sent

    async def _listen(self, upload: anyio.CancelScope) -> None:
        with suppress(*_LOST, anyio.EndOfStream, anyio.BusyResourceError):
            while sum(map(len, self._early)) < READ_BYTES:
                self._early.append(await self._stream.receive(READ_BYTES))
                if _REFUSAL.match(b"".join(self._early)):
                    self._is_refused = True
                    upload.cancel()

    @property
    def _socket(self) -> socket.socket:
        return self._stream.extra(anyio.abc.SocketAttribute.raw_socket)

    def _is_reset(self) -> bool:
        raw = self._socket
        return raw.fileno() < 0 or raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def _proxy(proxy: httpx.Proxy, context: ssl.SSLContext | None) -> httpcore.Proxy:
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return httpcore.Proxy(url, auth=proxy.raw_auth, ssl_context=context if proxy.url.scheme == "https" else None)
