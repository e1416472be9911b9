"""A gateway at one moment, as its operator may see it: what `Gateway.snapshot` returns and the status route sends.

Pure: what the parts of a gateway know goes in, one typed tree comes out. It holds labels and names, never a key, a
digest of one, or content. Points in time are seconds since 1970, durations end in ``_s``. Numbers are those of this
process; states of accounts are those of all who share the state, and so is `LimitUse.used`, as far as this process has
heard.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

import msgspec

from ..budgets import LimitUse
from ..pool.health import DISABLED_S, SHUT_S
from ..pool.model import AccountStatus, AffinityStatus, ModelStatus, OriginStatus, PoolSnapshot, StateName

__all__ = [
    "AccountView", "AffinityView", "CallerView", "LimitUse", "ModelView", "Opening", "OriginView", "Snapshot",
    "StateView", "account_view", "is_usable", "snapshot_of",
]  # fmt: skip

StateKind = Literal["memory", "sqlite", "redis", "other"]
"""``other``: a `StateStore` of the application's own."""


class Closable(Protocol):
    """What the pool tells of whatever may be closed."""

    @property
    def state(self) -> StateName: ...

    @property
    def reason(self) -> str: ...

    @property
    def opens_in_s(self) -> float: ...


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Whether requests may go somewhere, and since when not."""

    state: StateName
    """``healthy``; ``cooling``: closed for a while; ``disabled``: refused by its provider, or by hand; ``probing``:
    closed but for one request, or one question of the gateway's own, whose outcome decides."""
    reason: str = ""
    """Why it is closed, in one word (``rate_limited``, ``quota``, ``auth``, ...); ``operator``: by hand."""
    until: float | None = None
    """When it may be found out whether it is open again. None: it is open, or only a hand opens it."""
    opens_in_s: float | None = None
    """The same as a duration, at least 0."""


class ModelView(Opening, frozen=True, kw_only=True):
    """An account that is closed for one model alone."""

    model: str
    """The upstream's name of it."""


class AccountView(Opening, frozen=True, kw_only=True):
    """One key of one upstream."""

    account: str
    """``UPSTREAM/LABEL``, as `Gateway.override` takes it."""
    upstream: str
    label: str
    origin: str
    """The server that it lives on; has a state of its own."""
    weight: float
    in_flight: int
    """Attempts on it now."""
    max_in_flight: int | None
    """``concurrency``; None: no limit."""
    completed: int
    failed: int
    abandoned: int
    """Attempts that say nothing of it: the caller left, or it was not needed."""
    requests_left: int | None
    """Of ``rpm``, and of what the vendor's headers said of any model: the least. None: nobody knows a limit."""
    tokens_left: int | None
    """Of ``tpm``, likewise."""
    ewma_s: float | None
    """How long its answers take to begin, on average and as of the last one; None: nobody asked it yet."""
    models: tuple[ModelView, ...] = ()
    """Models that it is closed for."""


class OriginView(Opening, frozen=True, kw_only=True):
    """A server that accounts live on."""

    origin: str


class AffinityView(msgspec.Struct, frozen=True, kw_only=True):
    """What it is good for that conversations stay on their account, of an upstream with several."""

    upstream: str
    began: int
    """Attempts of conversations that were nowhere yet."""
    followed: int
    """That went where their conversation was."""
    spilled: int
    """That could not."""
    hit_rate: float | None
    """Part of those that were somewhere that went there again, 0 to 1; None: there was none."""
    cached_rate: float | None
    """Part of the input of answers in conversations that vendors read from their prompt caches; None: no input."""
    cached_tokens: int
    """The same in tokens."""
    saved_usd: float
    """What the prompt caches of this upstream saved since the start, of models whose price is known."""


class CallerView(msgspec.Struct, frozen=True, kw_only=True):
    """A caller that has limits and was here."""

    caller: str
    """Its label."""
    in_flight: int
    """Requests of it that this process is answering."""
    max_in_flight: int | None
    """``concurrency``, in all processes together; None: no limit."""
    limits: tuple[LimitUse, ...]


class StateView(msgspec.Struct, frozen=True, kw_only=True):
    """Where cooldowns, limits and kept answers are."""

    kind: StateKind
    is_shared: bool
    is_alone: bool
    """It is shared, and out of reach: this process decides by itself for now."""
    switches: int
    """How often that happened."""
    dropped: int
    """Facts that others will not find, because too much waited to be written."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway at one moment, as the process that answers knows it.

    Attributes:
        at: Seconds since 1970.
        is_ready: Requests are admitted, and at least one account may be used.
        is_draining: It stops: running requests end, new ones are refused.
        active: Requests that are being answered.
        waiting: Upstream -> requests that wait for an account of it; who would take any of several is counted at each.
        accounts: In the order of the configuration.
        origins: The servers that accounts live on.
        affinity: Of upstreams with several accounts: how often conversations stayed on theirs, and what that saved.
        callers: Those that have limits and were here: at most `spending.MAX_SPENDERS`, who came last at the end.
        state: Where cooldowns, limits and kept answers are, and whether that can be reached.
        requests: Result (`Record.result`) -> requests since the start.
        notices: Severity -> Notices since the start.
        hedges: ``begun``: attempts beside one that was silent (`hedge`), since the start; ``won``: they gave the
            answer; ``lost``: they did not, and may have cost something all the same.
        observer_failures: Class of an observer -> how often it raised since the start.
        transitions: ``healthy>cooling:rate_limited`` -> how often since the start.
    """

    at: float
    is_ready: bool
    is_draining: bool
    active: int
    waiting: Mapping[str, int]
    accounts: tuple[AccountView, ...]
    origins: tuple[OriginView, ...]
    affinity: tuple[AffinityView, ...]
    callers: tuple[CallerView, ...]
    state: StateView
    requests: Mapping[str, int]
    notices: Mapping[str, int]
    hedges: Mapping[str, int]
    observer_failures: Mapping[str, int]
    transitions: Mapping[str, int]


def snapshot_of(
    pool: PoolSnapshot,
    callers: Iterable[CallerView],
    state: StateView,
    counters: Mapping[str, Mapping[str, int]],
    saved_usd: Mapping[str, float],
    *,
    active: int,
    is_draining: bool,
    wall_now: float,
) -> Snapshot:
    """Put the tree together.

    Args:
        pool: Accounts, origins, queue.
        callers: Those that have limits and were here.
        state: Where state is kept.
        counters: As `Observatory.counters` returns them.
        saved_usd: Upstream -> dollars that prompt caches saved.
        active: Requests that are being answered.
        is_draining: Whether new ones are refused.
        wall_now: Seconds since 1970.
    """
    return Snapshot(
        at=wall_now,
        is_ready=is_usable(pool) and not is_draining,
        is_draining=is_draining,
        active=active,
        waiting=pool.waiting,
        accounts=tuple([account_view(account, wall_now) for account in pool.accounts]),
        origins=tuple([_origin_view(it, wall_now) for it in pool.origins]),
        affinity=tuple([_affinity_view(it, saved_usd.get(it.upstream, 0.0)) for it in pool.affinity]),
        callers=tuple(callers),
        state=state,
        requests=counters["requests"],
        notices=counters["notices"],
        hedges=counters["hedges"],
        observer_failures=counters["observer_failures"],
        transitions=pool.transitions,
    )


def is_usable(pool: PoolSnapshot) -> bool:
    """Tell whether at least one account may be used: a request could go there, and to the server that it lives on."""
    servers = {origin.origin for origin in pool.origins if _takes_requests(origin)}
    return any(_takes_requests(account) and account.origin in servers for account in pool.accounts)


def _takes_requests(scope: Closable) -> bool:
    """Tell whether it is open, or a request may find that out, or one does right now of what was not disabled.

    What is due counts: who keeps callers away from a gateway that is not ready would keep away the one that finds out.
    """
    is_found_out = scope.state == "probing" and scope.reason not in DISABLED_S
    return scope.state == "healthy" or scope.opens_in_s <= 0 or is_found_out


def account_view(account: AccountStatus, wall_now: float) -> AccountView:
    """Return an account of the pool as an operator sees it."""
    until, opens_in_s = _opening(account, wall_now)
    return AccountView(
        account=f"{account.upstream}/{account.label}",
        upstream=account.upstream,
        label=account.label,
        origin=account.origin,
        weight=account.weight,
        state=account.state,
        reason=account.reason,
        until=until,
        opens_in_s=opens_in_s,
        in_flight=account.in_flight,
        max_in_flight=account.max_in_flight,
        completed=account.completed,
        failed=account.failed,
        abandoned=account.abandoned,
        requests_left=account.requests_left,
        tokens_left=account.tokens_left,
        ewma_s=account.ewma_s,
        models=tuple([_model_view(model, wall_now) for model in account.models]),
    )


def _model_view(model: ModelStatus, wall_now: float) -> ModelView:
    until, opens_in_s = _opening(model, wall_now)
    return ModelView(
        model=model.model, state=model.state, reason=model.reason, until=until, opens_in_s=opens_in_s
    )  # fmt: skip


def _origin_view(origin: OriginStatus, wall_now: float) -> OriginView:
    until, opens_in_s = _opening(origin, wall_now)
    return OriginView(
        origin=origin.origin, state=origin.state, reason=origin.reason, until=until, opens_in_s=opens_in_s
    )  # fmt: skip


def _opening(scope: Closable, wall_now: float) -> tuple[float | None, float | None]:
    """Return when it opens, as a point in time and as a duration; nothing where no time opens it."""
    if scope.state == "healthy" or scope.opens_in_s >= SHUT_S:
        return None, None
    return wall_now + scope.opens_in_s, scope.opens_in_s


def _affinity_view(affinity: AffinityStatus, saved_usd: float) -> AffinityView:
    return AffinityView(
        upstream=affinity.upstream,
        began=affinity.began,
        followed=affinity.followed,
        spilled=affinity.spilled,
        hit_rate=_part(affinity.followed, affinity.followed + affinity.spilled),
        cached_rate=_part(affinity.cached_tokens, affinity.input_tokens),
        cached_tokens=affinity.cached_tokens,
        saved_usd=saved_usd,
    )


def _part(some: int, total: int) -> float | None:
    return some / total if total else None
