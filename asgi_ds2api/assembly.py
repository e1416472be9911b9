"""Puts an engine together out of a configuration: what a request needs, from each key that says something of it.

Nothing here is kept and nothing begins: no socket, no task. A `Gateway` asks once; who tests it brings a clock along.
"""

import random
import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from .auth import Authenticator, Authorize, Caller
from .capabilities import Matrix
from .config import Config, UpstreamConfig
from .config.places import StatePlace
from .config.values import CallerConfig
from .observe import Observatory, Observer
from .pool.model import Account, Origin
from .pool.pool import Pool
from .prices import PriceTable
from .profiles import responses_beside
from .routing import Alias, ModelTable, RouteTable
from .seal import Keyring
from .secret import Secret
from .serving.bounds import inbound_of, request_limits_of, timing_of, uploads_of
from .serving.engine import Engine
from .serving.fleet import Fleet
from .serving.holdings import HOLDER_BYTES
from .serving.means import Clients, Way
from .serving.owned_files import FILE_BYTES, UPLOAD_BYTES, UPLOAD_S, OwnedFiles
from .serving.prober import Prober
from .serving.spending import Costs, Spenders
from .state.backend import Backend
from .state.contract import StateStore
from .state.facts import FactTable
from .state.memory import MemoryStore
from .transcoding.lessons import Lessons
from .upstream.contract import CallBounds

DEFAULT_PORTS = {"http": 80, "https": 443}


def build_engine(
    config: Config, clients: Clients, *, authorize: Authorize | None = None, hooks: Sequence[Observer] = (),
    store: StateStore | None = None, now: Callable[[], float] = time.monotonic,
    wall_now: Callable[[], float] = time.time, rng: Callable[[], float] = random.random,
) -> Engine:  # fmt: skip
    """Put together what every request needs.

    Args:
        config: Settled.
        clients: Hands out upstream clients.
        authorize: The host's check.
        hooks: Observers.
        store: Of the application's own; by default what ``state`` of the configuration says.
        now, wall_now: Monotonic clock of the pool, in seconds; seconds since 1970.
        rng: For jitter, in [0, 1).
    """
    store = store or store_of(config, now)
    pool = _pool(config, store, now, rng)
    fleet = Fleet(store) if store.is_shared else None
    upstreams = {upstream.name: _way(upstream, config) for upstream in config.upstreams}
    return Engine(
        routes=RouteTable(config.protocols.values()),
        capabilities=Matrix({name: codec.CAPABILITIES for name, codec in config.protocols.items()}),
        models=_models(config),
        authenticator=_authenticator(config, authorize, wall_now),
        pool=pool,
        upstreams=upstreams,
        clients=clients,
        store=store,
        fleet=fleet,
        prober=Prober(pool.probes, upstreams, clients, fleet, store, wall_now),
        is_strict=config.strict_budgets,
        costs=Costs(PriceTable(config.prices), now),
        spenders=Spenders(),
        answers=_answers(store, config),
        files=_files(store, config, wall_now),
        held=_held(store, config),
        reasoning=_reasoning(store, config),
        lessons=_lessons(store, config),
        keyring=_keyring(config),
        observatory=Observatory(hooks, now=now),
        inbound=inbound_of(config),
        uploads=uploads_of(config),
        timing=timing_of(config),
        max_depth=config.limits.max_depth,
        limits=request_limits_of(config),
        show_route=config.route_headers,
        show_account=config.debug_headers,
        cors_origins=frozenset(config.cors_origins),
        new_id=lambda: f"req_{secrets.token_hex(16)}",
        wall_now=wall_now,
        rng=rng,
        hides_query_key=config.auth != "host",
        takes_query_key=config.query_key,
    )


def _authenticator(config: Config, authorize: Authorize | None, wall_now: Callable[[], float]) -> Authenticator:
    callers = {caller.key.digest(): _caller(caller) for caller in config.callers}
    return Authenticator(config.auth, callers, authorize, config.timeouts.authorize_s, wall_now)


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


def _keyring(config: Config) -> Keyring:
    return Keyring([secret.reveal().encode() for secret in config.secrets])


def _files(store: StateStore, config: Config, wall_now: Callable[[], float]) -> OwnedFiles | None:
    """Return what knows whose files are where; None: nobody does."""
    if not config.timeouts.files_s:
        return None
    files = FactTable(store=store, name="files", ttl_s=config.timeouts.files_s, max_value_bytes=FILE_BYTES)
    uploads = FactTable(store=store, name="uploads", ttl_s=UPLOAD_S, max_value_bytes=UPLOAD_BYTES)
    return OwnedFiles(files, uploads, _keyring(config), wall_now, are_told_apart=config.auth != "none")


def _held(store: StateStore, config: Config) -> FactTable | None:
    """Return where it is noted what vendors hold; None: nowhere."""
    ttl_s = config.timeouts.held_s
    return FactTable(store=store, name="held", ttl_s=ttl_s, max_value_bytes=HOLDER_BYTES) if ttl_s else None


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
            auto_reenable=upstream.auto_reenable,
        )
        for account in upstream.accounts
    ]


def _way(upstream: UpstreamConfig, config: Config) -> Way:
    timeouts = config.timeouts
    way = Way(
        name=upstream.name,
        codec=config.protocols[upstream.protocol],
        profile=upstream.profile,
        base_url=upstream.base_url,
        on_unsupported=upstream.on_unsupported,
        fan_out=upstream.fan_out,
        resumes_pauses=upstream.resume_pauses,
        accounts=tuple([account.id for account in accounts_of(upstream)]),
        keeps_files=upstream.files,
        hedges=upstream.hedge,
        limits=CallBounds(
            connect_s=timeouts.connect_s,
            write_s=timeouts.write_s,
            first_byte_s=timeouts.first_byte_s,
            idle_s=timeouts.idle_s,
            max_header_bytes=config.limits.max_header_bytes,
        ),
    )
    if not upstream.responses:
        return way
    responses = msgspec.structs.replace(
        way, codec=config.protocols["openai_responses"], profile=responses_beside(upstream.profile)
    )
    return msgspec.structs.replace(way, other_way=responses)
