"""The engine: owns configuration, pool and clients, and is an ASGI app itself.

Nothing happens at import or at construction but checks: no socket, no task, no file but the configuration. What belongs
to an event loop is made on first use in that loop, so that a fork after import, a test client per request, or a second
loop do no harm.
"""

import logging
import os
import sys
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any, get_args

import anyio
import anyio.lowlevel
import httpx
import msgspec
from starlette.types import Receive, Scope, Send

from . import arguments, workers
from .assembly import build_engine
from .auth import Authorize
from .codec import Codec
from .config import Config, UpstreamConfig
from .config.prefixes import word_of_mount
from .envelope import OnUnsupported
from .errors import ShuttingDown
from .observe import Observer
from .pool.model import Override
from .protocols import PROTOCOLS
from .routing import route_path
from .serving.exchange import LAST_WORDS_S, Exchange
from .serving.websockets import refuse_upgrade, refuse_websocket, wants_upgrade
from .state.contract import StateStore
from .status.app import StatusApp
from .status.snapshot import Snapshot, StateKind, is_usable
from .status.taking import take
from .upstream.contract import Upstream
from .upstream.httpx_client import HttpxUpstream
from .upstream.tls import TLSContexts, TLSSettings

_log = logging.getLogger("asgi_ds2api")


class Gateway:
    """An AI gateway: an ASGI app for a whole server or a mount, and the engine of `DS2APIMiddleware`.

    Args:
        config: A path of a TOML file, a mapping of the same shape, a `Config`, or None to look for one:
            ``DS2API_CONFIG``, ``./ds2api.toml``, else the well-known ``*_API_KEY`` variables.
        http_client: The application's own client, used for every upstream in place of ours; never closed here.
        authorize: With ``auth = "host"``: an async function that says who a request comes from; None is a no.
        hooks: Observers, called with the `Record` of every finished request.
        store: Where short-lived state is kept (cooldowns, limits and budgets that are used up, answers, whose files are
            where), in place of what ``state`` of the configuration says.
        protocols: What callers and upstreams may speak, by name: `protocols.PROTOCOLS`, and perhaps rows of the
            application's own. A `Config` has its own ones.

    Raises:
        ConfigError: Lists every problem of the configuration.
        TypeError: An argument is not what it must be; the message says what to give in its place.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | PathLike[str] | None = None,
        *,
        http_client: httpx.AsyncClient | None = None,
        authorize: Authorize | None = None,
        hooks: Sequence[Observer] = (),
        store: StateStore | None = None,
        protocols: Mapping[str, Codec] = PROTOCOLS,
    ) -> None:
        arguments.check_http_client(http_client)
        arguments.check_authorize(authorize)
        arguments.check_store(store)
        arguments.check_protocols(protocols)
        hooks = arguments.check_hooks(hooks)
        self.config = _load(config, protocols, has_authorize=authorize is not None)
        for warning in _warnings(self.config, store):
            _log.warning(warning)
        self._clients = ClientSet(self.config, http_client)
        self._openings: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()
        """Event loop -> how many lifespans are open in it; one that is gone closes nothing any more."""
        self._engine = build_engine(self.config, self._clients, authorize=authorize, hooks=hooks, store=store)
        self._state_kind: StateKind = self.config.state.kind if store is None else "other"
        status = self.config.status
        self._status = None if status is None else StatusApp(status, lambda: self._engine, self._state_kind)

    @classmethod
    def from_env(
        cls,
        *,
        http_client: httpx.AsyncClient | None = None,
        authorize: Authorize | None = None,
        hooks: Sequence[Observer] = (),
        store: StateStore | None = None,
    ) -> "Gateway":
        """Make a gateway out of the environment: upstreams from the well-known ``*_API_KEY`` variables.

        Raises:
            ConfigError: Nothing usable is there; the message says what to set.
        """
        config = Config.from_env(os.environ, has_authorize=authorize is not None)
        return cls(config, http_client=http_client, authorize=authorize, hooks=hooks, store=store)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Open and close with the host: pass as ``lifespan=`` or enter from the host's own.

        Without it the gateway starts on the first request, and its connections end with the process. A host that was
        stopped may be started again. Where several open it, as a host and an app that is mounted in it, the last one
        closes it.
        """
        loop = anyio.lowlevel.current_token().native_token
        self._engine.is_draining = False
        await self._engine.store.open()
        self._engine.prober.start()
        self._openings[loop] = self._openings.get(loop, 0) + 1
        try:
            yield
        finally:
            self._openings[loop] -= 1
            if not self._openings[loop]:
                await self._close()

    async def _close(self) -> None:
        """Drain, and let go of everything even if the server has no patience for that."""
        try:
            await self.drain()
        finally:
            try:
                await self._engine.store.close()
            finally:
                await self._clients.close()

    async def drain(self, timeout_s: float | None = None) -> None:
        """Stop admitting requests, let running ones end, and end those that take too long with an error of their own.

        Disabled accounts are probed no more either.

        Args:
            timeout_s: How long running requests may take; by default ``drain_s`` of the configuration.
        """
        engine = self._engine
        engine.is_draining = True
        await engine.prober.stop()
        with anyio.move_on_after(self.config.timeouts.drain_s if timeout_s is None else timeout_s):
            await engine.active.wait_empty()
        for exchange in engine.active:
            exchange.cut(ShuttingDown("The server is shutting down. Try again.", retry_after_s=1))
        with anyio.move_on_after(LAST_WORDS_S):
            await engine.active.wait_empty()

    def override(self, account: str, word: Override) -> None:
        """Steer an account by hand. Call it in the event loop in which the gateway serves.

        ``disable``: it is asked nothing more, not even as a probe, until it is enabled. ``enable``: that is taken back.
        ``reset``: what keeps requests from it is forgotten: cooldowns, refusals of its key, backoff, of the account, of
        it for single models, and of its server; what was disabled by hand stays so. Running requests go on. All who
        share the state obey; where it is ``memory``, a restart forgets.

        Args:
            account: ``UPSTREAM/LABEL``.
            word: ``disable``, ``enable`` or ``reset``.

        Raises:
            UnknownItem: There is no such account.
            ValueError: There is no such word.
        """
        if word not in get_args(Override):
            raise ValueError(f"the word is one of {', '.join(get_args(Override))}")
        self._engine.pool.override(account, word)

    def snapshot(self) -> Snapshot:
        """Return all that an operator may see: accounts, queues, limits, budgets, state, counts. Labels, no secret."""
        return take(self._engine, self._state_kind)

    def status(self) -> Mapping[str, Any]:
        """Return what a health route may show: no secret, no content, no name of a caller.

        ``live``: this code runs. ``ready``: requests are admitted and at least one account may be used. ``degraded``:
        shared state is out of reach, and this process decides alone.
        """
        engine = self._engine
        pool = engine.pool.snapshot()
        return {
            "live": True,
            "ready": is_usable(pool) and not engine.is_draining,
            "degraded": engine.store.is_alone,
            "draining": engine.is_draining,
            "active": len(engine.active),
            "pool": msgspec.to_builtins(pool),
            **engine.observatory.counters(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope: as a whole app, or mounted.

        Raises:
            ValueError: It is of a type that ASGI did not have yet. (A middleware hands such a scope to the host.)
        """
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"The gateway serves http, websocket and lifespan scopes, not {scope['type']!r}.")
        root = scope.get("root_path", "")
        word = word_of_mount(self.config.prefixes, root)
        await self.serve(scope, receive, send, route_path(scope["path"], root), word)

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, path: str, on_unsupported: OnUnsupported | None = None
    ) -> None:
        """Serve an ``http`` or ``websocket`` scope; ``path`` follows the prefix, and its word on losses goes first."""
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send)
            return
        if wants_upgrade(scope):
            await refuse_upgrade(send)
            return
        if self._status is not None and self._status.owns(path):
            await self._status.serve(scope, send, path)
            return
        await Exchange(self._engine, scope, receive, send, path, on_unsupported).run()

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        async with self.lifespan():
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


class ClientSet:
    """The HTTP clients, one an upstream and event loop, made on first use."""

    def __init__(self, config: Config, http_client: httpx.AsyncClient | None) -> None:
        self._config = {upstream.name: upstream for upstream in config.upstreams}
        self._http_client = http_client
        self._contexts = TLSContexts()
        self._by_loop: weakref.WeakKeyDictionary[object, dict[str, HttpxUpstream]] = weakref.WeakKeyDictionary()

    def client(self, upstream: str) -> Upstream:
        """Return the client of an upstream in the running event loop."""
        clients = self._by_loop.setdefault(anyio.lowlevel.current_token().native_token, {})
        client = clients.get(upstream)
        if client is None:
            client = clients[upstream] = self._make(self._config[upstream])
        return client

    async def close(self) -> None:
        """Close the clients of the running event loop."""
        for client in self._by_loop.pop(anyio.lowlevel.current_token().native_token, {}).values():
            await client.close()

    def _make(self, upstream: UpstreamConfig) -> HttpxUpstream:
        if self._http_client is not None:
            return HttpxUpstream(client=self._http_client)
        return HttpxUpstream(
            contexts=self._contexts,
            tls=TLSSettings(ca_file=upstream.ca_file, client_cert=upstream.client_cert),
            proxy=None if upstream.proxy is None else upstream.proxy.reveal(),
            max_connections=upstream.max_connections,
        )


def _warnings(config: Config, store: StateStore | None) -> Sequence[str]:
    """Return what is to be said at start, also of what the server was told; of the application's own store, nothing."""
    if store is not None:
        return config.notes
    number = max(config.workers, workers.told(sys.argv, os.environ))
    return msgspec.structs.replace(config, workers=number).warnings()


def _load(
    config: Config | Mapping[str, Any] | str | PathLike[str] | None,
    protocols: Mapping[str, Codec],
    *,
    has_authorize: bool,
) -> Config:
    match config:
        case None:
            return Config.find(has_authorize=has_authorize, protocols=protocols)
        case Config():
            config.check_authorize(has_authorize=has_authorize)
            return config
        case Mapping():
            return Config.from_dict(config, has_authorize=has_authorize, protocols=protocols)
        case str() | PathLike():
            return Config.load(config, has_authorize=has_authorize, protocols=protocols)
        case _:
            raise TypeError("config is a path, a mapping, a Config, or None, which looks for one")
