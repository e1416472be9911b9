"""The words of the pool: accounts, plans, leases, and what an attempt says about an account. Values only."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import msgspec

from ..routing import Target
from ..secret import KeySource
from ..state.contract import HealthScope, ScopeKind
from .limits import Demand, need_of

__all__ = [
    "Account",
    "AccountStatus",
    "AffinityStatus",
    "Candidate",
    "Cool",
    "Demand",
    "Disable",
    "Effect",
    "Fail",
    "HealthScope",
    "Lease",
    "ModelStatus",
    "Neutral",
    "Origin",
    "OriginStatus",
    "Override",
    "Plan",
    "PoolSnapshot",
    "Reason",
    "ScopeKind",
    "Spent",
    "StateName",
    "Target",
    "Tier",
]


class Origin(msgspec.Struct, frozen=True):
    """A server that accounts live on."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Account(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One key of one upstream. Compared by identity: the configuration makes each account once."""

    upstream: str
    label: str
    """Unique within the upstream. The only name that logs and snapshots use."""
    origin: Origin
    key: KeySource | None = None
    """Where the secret comes from; None: a keyless server."""
    weight: float = 1.0
    """Share of the traffic under ``weighted``, above 0."""
    concurrency: int | None = None
    """Attempts at a time; None: as many as come."""
    rpm: float | None = None
    """Attempts a minute, over all models."""
    tpm: float | None = None
    """Tokens a minute, in and out together, over all models."""
    models: tuple[str, ...] = ()
    """Globs of the upstream's names of the models that it serves; empty: all."""
    seals_reasoning: bool = False
    """Its vendor encrypts what a model thinks for the customer whose key it was."""
    customer: str = ""
    """Whose key it is; empty: the key of a customer of its own."""
    auto_reenable: bool = True
    """Once its provider refused it, it is tried again later; else an operator has to say so."""

    def serves(self, model: str) -> bool:
        """Tell whether it may be asked for a model; for what is no model's (a file), any may."""
        return not self.models or not model or any(fnmatchcase(model, glob) for glob in self.models)

    @property
    def id(self) -> str:
        """``upstream/label``: unique in a pool, the same after a restart."""
        return f"{self.upstream}/{self.label}"

    @property
    def owner(self) -> str:
        """Who can go on from what was sealed for it: all accounts of an upstream with the same owner."""
        return f"{self.upstream}:{self.customer}" if self.customer else self.id

    def __repr__(self) -> str:
        return f"Account({self.id!r})"


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An account, asked for one model."""

    account: Account
    model: str
    """The upstream's name of it."""


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates of equal preference."""

    upstream: str
    model: str
    only: tuple[Account, ...] | None = None
    """Those that the request is bound to; None: every account of the upstream."""


class Plan(msgspec.Struct, frozen=True):
    """Where a request may go: tiers in order of preference; and what it needs."""

    tiers: tuple[Tier, ...]
    demand: Demand = Demand()
    caller: str = ""
    """Whose turn it is when requests wait; empty: nobody is told from anybody."""
    session: str = ""
    """Digest of the conversation, whose account is preferred; empty: it has no name."""
    is_sealed: bool = False
    """The request carries what a vendor sealed for one of its customers."""
    otherwise: tuple[Tier, ...] = ()
    """Where it may go, at the risk of being refused, if those cannot answer in time to whom all of ``tiers`` are bound;
    empty: nowhere else."""
    arrival: int = 0
    """Rising in the order in which requests came: whoever has to wait again has its old place in line."""

    @property
    def need(self) -> int:
        """Requests of one need wait in one queue."""
        return need_of(self.demand.tokens)

    def loosened(self) -> "Plan":
        """Return the plan of a request that is not bound any more where it need not be."""
        return msgspec.structs.replace(self, tiers=self.otherwise, otherwise=()) if self.otherwise else self

    def beyond(self, tried: Collection["Candidate"]) -> "Plan":
        """Return the plan of a request that was there: nobody is left that it is bound to, or it left them already."""
        bound = {Candidate(account, tier.model) for tier in self.tiers for account in tier.only or ()}
        return self if bound > set(tried) else self.loosened()


class Lease(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """A slot on an account, taken for one attempt. Compared by identity; given back exactly once."""

    candidate: Candidate
    number: int
    """Unique in its pool, rising."""
    acquired_at: float
    """In seconds of the pool's clock."""
    epochs: tuple[int, int, int]
    """Of origin, account and account x model at that time: tells whether its report is old news."""
    probes: tuple[ScopeKind, ...] = ()
    """The scopes that wait for this attempt to reopen them."""


Reason = Literal[
    "rate_limited",
    "overloaded",
    "model_not_found",
    "server_fault",
    "gateway_fault",
    "unreachable",
    "timeout",
    "malformed",
    "interrupted",
    "slow",
    "blocked",
    "no_key",
    "quota",
    "auth",
]


class Neutral(msgspec.Struct, frozen=True):
    """Says nothing about the account: the caller's mistake, or ours."""


class Cool(msgspec.Struct, frozen=True, kw_only=True):
    """The scope asked for a pause. One such answer is enough."""

    scope: ScopeKind
    reason: Reason
    hint_s: float | None = None
    """How long it said; anything a float can be. None: it did not say."""
    cap_s: float = 3600.0
    """Most that a hint is believed."""
    is_capped: bool = False
    """May not take the last account."""


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that counts towards the breaker of the scope."""

    scope: ScopeKind
    reason: Reason
    weight: float = 1.0
    """1: a fault; less: it may have been mere slowness."""
    blames_origin: bool = False
    """Several accounts with this fault point at their origin."""


class Disable(msgspec.Struct, frozen=True, kw_only=True):
    """The account is refused until somebody pays or mends its key."""

    reason: Literal["quota", "auth"]
    is_certain: bool = True
    """Whether one such answer is enough; else a second one is waited for."""


Effect: TypeAlias = Neutral | Cool | Fail | Disable


StateName = Literal["healthy", "cooling", "probing", "disabled"]
Override = Literal["disable", "enable", "reset"]
"""What an operator says of an account by hand; see `pool.overrides`."""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An account x model that is not simply healthy."""

    model: str
    state: StateName
    reason: str
    opens_in_s: float


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An account as an operator sees it. Attempts so far are ``in_flight + completed + failed + abandoned``."""

    upstream: str
    label: str
    origin: str
    weight: float
    state: StateName
    reason: str
    """Why it is closed; empty if it is healthy."""
    opens_in_s: float
    """Until a probe may be made; 0 if it is open; a hundred years if only a hand opens it."""
    in_flight: int
    completed: int
    failed: int
    abandoned: int
    ewma_s: float | None = None
    """How long its answers take to begin: a moving average, as of the last, that a peak replaces at once. A fault
    counts for at least a second. None: it was not asked yet."""
    max_in_flight: int | None = None
    """None: no limit is configured."""
    requests_left: int | None = None
    """Of the limit a minute, and of what its headers said of any model: the least. None: nobody knows a limit."""
    tokens_left: int | None = None
    """Likewise."""
    models: tuple[ModelStatus, ...] = ()


class OriginStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An origin as an operator sees it."""

    origin: str
    state: StateName
    reason: str
    opens_in_s: float


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What an attempt cost, in tokens."""

    tokens: int = 0
    """In and out together."""
    input_tokens: int = 0
    cached_tokens: int = 0
    """Part of ``input_tokens``: read from the account's prompt cache."""


class AffinityStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What it is good for that conversations stay on their account, of one upstream."""

    upstream: str
    began: int
    """Attempts of conversations that were nowhere yet."""
    followed: int
    """That went where their conversation was."""
    spilled: int
    """That could not."""
    input_tokens: int
    """Of answers in conversations."""
    cached_tokens: int
    """Part of ``input_tokens`` that was read from prompt caches: what was saved."""


class PoolSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The pool at one moment. Holds labels, never a key."""

    accounts: tuple[AccountStatus, ...]
    origins: tuple[OriginStatus, ...]
    waiting: Mapping[str, int]
    """Upstream -> requests that wait for it now; who would take any of several is counted at each."""
    affinity: tuple[AffinityStatus, ...] = ()
    """Of upstreams with more than one account."""
    transitions: Mapping[str, int]
    """``healthy>cooling:rate_limited`` -> how often, since the pool was made."""
    stray_releases: int
    """Leases that were given back twice, or to the wrong pool: always 0, or there is a bug."""
