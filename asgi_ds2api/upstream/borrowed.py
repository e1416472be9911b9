"""One exchange over an ``httpx.AsyncClient`` that the application gave us.

The application keeps what it chose: transport, mounts, proxies, TLS, HTTP/2, limits of its pool. What a client adds to
a request or keeps of an answer is left out, and for that its transport is called directly:

1. No cookie is sent or kept (one jar would carry the cookies of one account to another), no redirect is followed, no
   ``auth``, ``.netrc``, default header or default parameter is added.
2. Its event hooks are not called: one that reads or raises would break the stream. httpx's own log line, which prints
   the URL, does not appear either.
3. The way to the transport is ``AsyncClient._transport_for_url``, which is not public; httpx 0.28 is pinned, and the
   contract tests go through it.
4. A connection of HTTP/1.1 is not used again (``connection: close``; httpx gives the surplus of one answer to the next
   request); in HTTP/2 that header is dropped, and connections are shared.
5. What comes before the head of an answer is bounded in time and by h11 (100 KiB a head); a flood of 1xx answers is not
   counted.
6. httpcore forgets an HTTP/2 stream that is left, and does not tell the upstream (no RST_STREAM): a model may go on
   generating for nobody. For long streams HTTP/1.1 is the better choice.

Errors are told apart by their classes and, where httpx has one class for several, by fragments of its texts. The texts
themselves go nowhere.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import anyio
import httpcore
import httpx

from ..errors import GatewayError, InternalError
from .actor import Answer
from .contract import UpstreamRequest
from .failures import FailureCode, connect_failure, failure, no_slot
from .head import head_of, parts_of, target_of
from .progress import Phase, Progress, RequestBody

_REMOTE_FAULTS: tuple[tuple[str, FailureCode], ...] = (
    ("without sending a response", "connection_lost"),
    ("peer closed connection", "truncated"),
    ("StreamReset", "connection_lost"),
    ("ConnectionTerminated", "connection_lost"),
)


class BorrowedClient:
    """The carrier (`actor.Carrier`) of one exchange over a client of the application's."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._unused: httpcore.AsyncNetworkStream | None = None
        """The connection that is being made for this exchange, as long as no request uses it."""

    async def send(self, request: UpstreamRequest, progress: Progress) -> Answer:
        """Send by the client's transport and wait for the head."""
        if self._client.is_closed:
            raise failure("client_closed")
        parts, limits = parts_of(request.url), request.limits

        async def trace(event: str, info: dict[str, object]) -> None:
            self._note(event, info, progress)

        timeouts = {
            "connect": limits.connect_s,
            "pool": limits.connect_s,
            "write": limits.write_s,
            "read": max(limits.first_byte_s, limits.idle_s),  # `Progress` and `_Bounded` are nearer
        }
        outgoing = httpx.Request(
            request.method,
            request.url,
            headers=head_of(request, parts),
            stream=RequestBody(request, progress),
            extensions={"timeout": timeouts, "trace": trace},
        )
        if outgoing.url.raw_path != target_of(parts).encode("ascii"):
            raise InternalError("The upstream's address could not be built.", detail="httpx would send another path")
        self._response = await self._client._transport_for_url(outgoing.url).handle_async_request(outgoing)
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        self._body = aiter(self._response.stream)
        body = _Bounded(self._body, progress)
        headers = tuple((name.lower(), value) for name, value in self._response.headers.raw)
        return Answer(self._response.status_code, headers, body)

    @contextmanager
    def errors(self, progress: Progress) -> Iterator[None]:
        """Turn httpx's errors into ours."""
        try:
            yield
        except httpx.TransportError as exc:
            raise _error(exc, progress) from None

    async def close(self) -> None:
        """Give the connection back, or drop it if the answer was not read to its end."""
        if self._unused is not None:
            await self._unused.aclose()
        if self._response is None or self._body is None:
            return
        await self._response.aclose()
        if self._response.extensions.get("http_version", b"").startswith(b"HTTP/1"):
            # The connection is closed, and httpcore's generators find out: see `FreshConnection.close`.
            with suppress(httpx.TransportError):
                async for _ in self._body:
                    pass
        elif isinstance(self._body, AsyncGenerator):
            await self._body.aclose()

    def _note(self, event: str, info: dict[str, object], progress: Progress) -> None:
        """Follow the making of a connection: httpcore forgets one whose TLS handshake is cancelled."""
        subject = info.get("return_value") or info.get("request")
        if event == "connection.connect_tcp.complete" and isinstance(subject, httpcore.AsyncNetworkStream):
            self._unused = subject
        elif event.endswith(".start_tls.started"):
            progress.securing()
        elif event.endswith(".send_request_headers.started") and isinstance(subject, httpcore.Request):
            self._unused = self._unused if subject.method == b"CONNECT" else None


class _Bounded:
    """A body that may be silent for ``Limits.idle_s``, whatever the transport makes of httpx's time limits."""

    def __init__(self, body: AsyncIterator[bytes], progress: Progress) -> None:
        self._body = body
        self._progress = progress

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with anyio.move_on_after(self._progress.limits.idle_s) as silence:
            return await anext(self._body)
        assert silence.cancelled_caught
        raise self._progress.timed_out()


def _error(exc: httpx.TransportError, progress: Progress) -> GatewayError:
    is_connecting = progress.phase in (Phase.CONNECTING, Phase.SECURING)
    match exc:
        case httpx.PoolTimeout():
            return no_slot()
        case httpx.TimeoutException():
            return progress.timed_out()
        case httpx.ConnectError():
            error = connect_failure(exc)
            is_tls = progress.phase is Phase.SECURING and error.code == "connect_failed"
            return failure("tls_failed") if is_tls else error
        case httpx.ProxyError():
            return failure("proxy_failed")
        case httpx.RemoteProtocolError() if is_connecting:
            return failure("proxy_failed")  # nobody else speaks HTTP so early
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return InternalError("The request to the upstream could not be written.")
        case httpx.RemoteProtocolError():
            text = str(exc)
            return failure(next((code for part, code in _REMOTE_FAULTS if part in text), "bad_protocol"))
        case _:
            return failure("connect_failed" if is_connecting else "connection_lost")
