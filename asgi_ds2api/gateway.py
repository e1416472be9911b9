"""The engine: owns configuration, pool and clients, and is an ASGI app itself.

Nothing happens at import or at construction but checks: no socket, no task, no file but the configuration. What belongs
to an event loop is made on first use in that loop, so that a fork after import, a test client per request, or a second
loop do no harm.
"""

import logging
import os
import random
import secrets
import sys
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import httpx
import msgspec
from starlette.types import Receive, Scope, Send

from . import workers
from .auth import Authenticator, Authorize, Caller
from .capabilities import Matrix
from .codec import Codec
from .config import Config, UpstreamConfig
from .config.places import StatePlace
from .config.tables import OnUnsupported
from .config.values import CallerConfig
from .errors import ShuttingDown
from .observe import Observatory, Observer
from .pool.model import Account, Origin, Override
from .pool.pool import Pool
from .prices import PriceTable
from .profiles import responses_beside
from .protocols import PROTOCOLS
from .routing import Alias, ModelTable, RouteTable, route_path
from .seal import Keyring
from .secret import Secret
from .serving.bounds import inbound_of, request_limits_of, timing_of
from .serving.engine import ActiveSet, Engine
from .serving.exchange import LAST_WORDS_S, Exchange
from .serving.fleet import Fleet
from .serving.means import Clients, UpstreamSide
from .serving.spending import Costs, Spenders
from .serving.websockets import refuse_upgrade, refuse_websocket, wants_upgrade
from .state.backend import Backend
from .state.contract import StateStore
from .state.facts import FactTable
from .state.memory import MemoryStore
from .status.app import StatusApp
from .status.snapshot import Snapshot, StateKind, is_usable
from .status.taking import take
from .transcoding.lessons import Lessons
from .upstream.contract import Limits, Upstream
from .upstream.httpx_client import HttpxUpstream
from .upstream.tls import TLSContexts, TLSSettings

_log = logging.getLogger("asgi_ds2api")

DEFAULT_PORTS = {"http": 80, "https": 443}


class Gateway:
    """An AI gateway: an ASGI app for a whole server or a mount, and the engine of `DS2APIMiddleware`.

    Args:
        config: A path of a TOML file, a mapping of the same shape, a `Config`, or None to look for one:
            ``DS2API_CONFIG``, ``./ds2api.toml``, else the well-known ``*_API_KEY`` variables.
        http_client: The application's own client, used for every upstream in place of ours; never closed here.
        authorize: With ``auth = "host"``: says who a request comes from; None is a no.
        hooks: Observers, called with the `Record` of every finished request.
        store: Where cooldowns are kept; by default in this process.
        protocols: What callers and upstreams may speak, by name: `protocols.PROTOCOLS`, and perhaps rows of the
            application's own. A `Config` has its own ones.

    Raises:
        ConfigError: Lists every problem of the configuration.
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
        self.config = _load(config, protocols, has_authorize=authorize is not None)
        for warning in (*self.config.warnings(), *_alone_among_workers(self.config, store)):
            _log.warning(warning)
        self._clients = ClientSet(self.config, http_client)
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
        stopped may be started again.
        """
        self._engine.is_draining = False
        await self._engine.store.open()
        try:
            yield
        finally:
            await self.drain()
            await self._engine.store.close()
            await self._clients.close()

    async def drain(self, timeout_s: float | None = None) -> None:
        """Stop admitting requests, let running ones end, and end those that take too long with an error of their own.

        Args:
            timeout_s: How long running requests may take; by default ``drain_s`` of the configuration.
        """
        engine = self._engine
        engine.is_draining = True
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
        """
        self._engine.pool.override(account, word)

    def snapshot(self) -> Snapshot:
        """Return all that an operator may see: accounts, queues, limits, budgets, state, counts. Labels, no secret."""
        return take(self._engine, self._state_kind)

    def status(self) -> Mapping[str, Any]:
        """Return what a health route may show: no secret, no content, no name of a caller.

        ``live``: this code runs. ``ready``: requests are admitted and at least one account may be used.
        """
        engine = self._engine
        pool = engine.pool.snapshot()
        return {
            "live": True,
            "ready": is_usable(pool) and not engine.is_draining,
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
        path = route_path(scope["path"], scope.get("root_path", ""))
        await self.serve(scope, receive, send, path)

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


def build_engine(
    config: Config,
    clients: Clients,
    *,
    authorize: Authorize | None = None,
    hooks: Sequence[Observer] = (),
    store: StateStore | None = None,
    now: Callable[[], float] = time.monotonic,
    wall_now: Callable[[], float] = time.time,
    rng: Callable[[], float] = random.random,
) -> Engine:
    """Put together what every request needs.

    Args:
        config: Settled.
        clients: Hands out upstream clients.
        authorize: The host's check.
        hooks: Observers.
        store: By default this process's memory.
        now: Monotonic clock of the pool, seconds.
        wall_now: Seconds since 1970.
        rng: For jitter, in [0, 1).
    """
    store = store or store_of(config, now)
    callers = {caller.key.digest(): _caller(caller) for caller in config.callers}
    return Engine(
        routes=RouteTable(config.protocols.values()),
        capabilities=Matrix({name: codec.CAPABILITIES for name, codec in config.protocols.items()}),
        models=_models(config),
        authenticator=Authenticator(config.auth, callers, authorize, config.timeouts.authorize_s, wall_now),
        pool=_pool(config, store, now, rng),
        upstreams={upstream.name: _side(upstream, config) for upstream in config.upstreams},
        clients=clients,
        store=store,
        fleet=Fleet(store) if store.is_shared else None,
        is_strict=config.strict_budgets,
        costs=Costs(PriceTable(config.prices), now),
        spenders=Spenders(),
        answers=_answers(store, config),
        reasoning=_reasoning(store, config),
        lessons=_lessons(store, config),
        keyring=Keyring([secret.reveal().encode() for secret in config.secrets]),
        observatory=Observatory(hooks, now=now),
        inbound=inbound_of(config),
        timing=timing_of(config),
        max_depth=config.limits.max_depth,
        limits=request_limits_of(config),
        show_route=config.route_headers,
        show_account=config.debug_headers,
        cors_origins=frozenset(config.cors_origins),
        new_id=lambda: f"req_{secrets.token_hex(16)}",
        wall_now=wall_now,
        active=ActiveSet(),
        hides_query_key=config.auth != "host",
        takes_query_key=config.query_key,
    )


def _alone_among_workers(config: Config, store: StateStore | None) -> list[str]:
    """Return what is to be said where several workers each keep their state to themselves."""
    number = workers.told(sys.argv, os.environ)
    if number == 1 or store is not None or config.state.kind != "memory":
        return []
    return [
        f'{number} workers, and state = "memory": each has a pool of its own, so that cooldowns and limits hold in one '
        'worker alone, and previous_response_id finds an answer in one of them only; set state = "sqlite:PATH" for the '
        "workers of one machine, or the address of a Redis server for many"
    ]


def _caller(caller: CallerConfig) -> Caller:
    return Caller(label=caller.label, models=caller.models, limits=caller.limits, expires_at=caller.expires_at)


def store_of(config: Config, now: Callable[[], float] = time.monotonic) -> StateStore:
    """Return where state is kept. What only one of the places needs is imported for it alone."""
    limits = config.limits
    memory = MemoryStore(now, max_fact_bytes=limits.max_kept_bytes)
    match config.state:
        case StatePlace(kind="sqlite", path=path):
            from .state.sqlite import SQLiteBackend

            backend: Backend = SQLiteBackend(path, max_fact_bytes=limits.max_kept_bytes)
        case StatePlace(kind="redis", url=Secret() as url):
            from .state.redis import RedisBackend

            backend = RedisBackend(url, pool=config.state_pool)
        case _:
            return memory
    from .state.shared import SharedStore

    return SharedStore(
        backend,
        memory,
        now,
        workers=config.workers,
        max_waiting_bytes=limits.max_kept_bytes,
        patience_s=config.timeouts.state_s,
    )


def _models(config: Config) -> ModelTable:
    aliases = [Alias(name=alias.name, targets=alias.targets) for alias in config.models]
    return ModelTable(aliases, {upstream.name: upstream.models for upstream in config.upstreams})


def _answers(store: StateStore, config: Config) -> FactTable | None:
    """Return where answers are kept; None: nowhere."""
    ttl_s, limit = config.timeouts.answers_s, config.limits.max_kept_answer_bytes
    return FactTable(store=store, name="answers", ttl_s=ttl_s, max_value_bytes=limit) if ttl_s else None


def _reasoning(store: StateStore, config: Config) -> FactTable | None:
    """Return where reasoning is kept; None: nowhere."""
    ttl_s, limit = config.timeouts.reasoning_s, config.limits.max_kept_reasoning_bytes
    return FactTable(store=store, name="reasoning", ttl_s=ttl_s, max_value_bytes=limit) if ttl_s else None


def _lessons(store: StateStore, config: Config) -> Lessons | None:
    """Return what remembers refusals; None: nothing does."""
    ttl_s = config.timeouts.refusals_s
    return Lessons(FactTable(store=store, name="lessons", ttl_s=ttl_s, max_value_bytes=16 * 1024)) if ttl_s else None


def _pool(config: Config, store: StateStore, now: Callable[[], float], rng: Callable[[], float]) -> Pool:
    return Pool(
        [account for upstream in config.upstreams for account in accounts_of(upstream)],
        store=store,
        now=now,
        rng=rng,
        max_waiting=config.limits.max_waiting,
        affinity_s=config.timeouts.affinity_s,
        strategies={upstream.name: upstream.strategy for upstream in config.upstreams},
    )


def accounts_of(upstream: UpstreamConfig) -> list[Account]:
    """Return the accounts of an upstream as the pool knows them."""
    parts = urlsplit(upstream.base_url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    origin = Origin(scheme=parts.scheme, host=parts.hostname or "", port=port)
    return [
        Account(
            upstream=upstream.name,
            label=account.label,
            origin=origin,
            key=account.key,
            weight=account.weight,
            concurrency=account.concurrency,
            rpm=account.rpm,
            tpm=account.tpm,
            models=account.models,
            seals_reasoning=upstream.profile.sealed_reasoning or upstream.responses,
            customer=account.customer,
        )
        for account in upstream.accounts
    ]


def _side(upstream: UpstreamConfig, config: Config) -> UpstreamSide:
    timeouts = config.timeouts
    side = UpstreamSide(
        name=upstream.name,
        codec=config.protocols[upstream.protocol],
        profile=upstream.profile,
        base_url=upstream.base_url,
        on_unsupported=upstream.on_unsupported,
        fan_out=upstream.fan_out,
        resumes_pauses=upstream.resume_pauses,
        hedges=upstream.hedge,
        limits=Limits(
            connect_s=timeouts.connect_s,
            write_s=timeouts.write_s,
            first_byte_s=timeouts.first_byte_s,
            idle_s=timeouts.idle_s,
            max_header_bytes=config.limits.max_header_bytes,
        ),
    )
    if not upstream.responses:
        return side
    responses = msgspec.structs.replace(
        side, codec=PROTOCOLS["openai_responses"], profile=responses_beside(upstream.profile)
    )
    return msgspec.structs.replace(side, other_way=responses)


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
        case _:
            return Config.load(config, has_authorize=has_authorize, protocols=protocols)
