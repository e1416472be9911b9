"""The upstream client for everything: asyncio and trio, proxies, private CAs, and a client of the application's own.

Behind `contract.Upstream` each exchange is an actor (`actor`) that is carried either by a fresh connection of httpx's
engine (`connection`) or by an ``httpx.AsyncClient`` of the application's (`borrowed`). Nothing is shared between
exchanges but the slots, so nothing can be lost or mixed up between them: no keep-alive, no cookie, no pool.

What the gateway must do:

1. One `HttpxUpstream` per upstream *and event loop*, made on first use in that loop and closed in it; after a fork the
   child makes its own. Making one does nothing: no socket, no file, no TLS context before the first `open`.
2. `close` when the event loop ends or the configuration is replaced; requests in flight keep the old one till they end.
3. Judge 3xx answers: they are returned like any other, and nobody follows them.
"""

import ssl
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import httpx

from ..errors import ConfigError, InternalError
from .actor import Actor, Carrier
from .borrowed import BorrowedClient
from .connection import FreshConnection
from .contract import UpstreamRequest, UpstreamResponse
from .failures import failure
from .tls import TLSContexts, TLSSettings

MAX_CONNECTIONS = 1_000
"""Each is a file of ours beside the caller's own; common limits on open files start at 1,024."""
MAX_BORROWED_CONNECTIONS = 100
"""What ``httpx.Limits`` has by default. More than the client's own limit wait in its queue, which loses places."""


class HttpxUpstream:
    """A client for one origin (`contract.Upstream`).

    Args:
        contexts: The gateway's TLS contexts, shared by its clients.
        tls: Which of them this upstream needs; None: the usual CAs.
        proxy: URL of a proxy (``http``, ``https``, ``socks5``), with user and password if it wants them.
        client: The application's own client in place of all that. It stays the application's: it is never closed here.
        max_connections: Exchanges at a time; further ones wait up to ``Limits.connect_s``. With a ``client``: not more
            than its own limit.

    Raises:
        ConfigError: The proxy's URL is none.
    """

    def __init__(
        self,
        *,
        contexts: TLSContexts | None = None,
        tls: TLSSettings | None = None,
        proxy: str | None = None,
        client: httpx.AsyncClient | None = None,
        max_connections: int | None = None,
    ) -> None:
        self._contexts = contexts or TLSContexts()
        self._tls = tls or TLSSettings()
        self._proxy = _parse_proxy(proxy)
        self._client = client
        default = MAX_CONNECTIONS if client is None else MAX_BORROWED_CONNECTIONS
        self._max_connections = default if max_connections is None else max_connections
        self._slots: anyio.Semaphore | None = None
        self._token: object = None
        self._actors: set[Actor] = set()
        self._is_closed = False

    @property
    def in_flight(self) -> int:
        """Exchanges that are not closed yet, those that wait for a connection included."""
        return len(self._actors)

    async def open(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send the request and wait for the head of the answer; see `contract.Upstream.open`.

        Raises:
            QueueTimeout: All connections are in use, and none came free within ``Limits.connect_s``.
            NoCapacity: This machine has no socket left.
        """
        actor = Actor(request, self._carrier(request.url), self._bind())
        self._actors.add(actor)
        actor.start(self._actors.discard)
        try:
            await actor.head()
        except BaseException:  # cancellation too: who gets no answer cannot close it
            await actor.close()
            raise
        return actor

    async def close(self) -> None:
        """Drop every connection. Exchanges that are still open end with ``Interrupted``."""
        self._is_closed = True
        actors = tuple(self._actors)
        for actor in actors:
            actor.abort()
        for actor in actors:
            await actor.close()

    def _bind(self) -> anyio.Semaphore:
        """Return the slots, which belong to the event loop of the first exchange."""
        if self._is_closed:
            raise failure("client_closed")
        token = anyio.lowlevel.current_token()
        if self._slots is None:
            self._slots, self._token = anyio.Semaphore(self._max_connections, fast_acquire=True), token
        elif self._token != token:
            raise InternalError("An upstream client was used in two event loops.")
        return self._slots

    def _carrier(self, url: str) -> Carrier:
        if self._client is not None:
            return BorrowedClient(self._client)
        return FreshConnection(context=self._context(url), proxy=self._proxy)

    def _context(self, url: str) -> ssl.SSLContext | None:
        proxy_scheme = "" if self._proxy is None else self._proxy.url.scheme
        if "https" not in (urlsplit(url).scheme, proxy_scheme):
            return None
        try:
            return self._contexts.context(self._tls)
        except ConfigError as error:
            raise failure("tls_setup_failed", detail="; ".join(error.problems)) from None


def _parse_proxy(url: str | None) -> httpx.Proxy | None:
    if url is None:
        return None
    try:
        return httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        raise ConfigError(["proxy: not the URL of a proxy (http://, https:// or socks5://)"]) from None
