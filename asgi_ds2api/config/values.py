"""What a gateway is made of: settled, complete, nothing left to look up. Safe to show: a secret's repr is a mask."""

import msgspec

from ..budgets import NO_LIMITS, CallerLimits
from ..canonical import ProtocolName
from ..envelope import OnUnsupported
from ..profiles import Profile
from ..secret import KeyDigest, Secret
from .keys import AccountKey
from .tables import Strategy, Transport


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One key of an upstream."""

    label: str
    """Unique within the upstream."""
    key: AccountKey | None
    """None: the server wants none, and gets none."""
    weight: float = 1.0
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    models: tuple[str, ...] = ()
    """Globs of the upstream's names; empty: all."""
    customer: str = ""
    """Of the vendor, whose key it is; empty: nobody else's."""


class UpstreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A server that answers."""

    name: str
    protocol: ProtocolName
    base_url: str
    """Without a slash at its end, a query or a user."""
    profile: Profile
    accounts: tuple[AccountConfig, ...]
    """At least one: that of a keyless server has no key."""
    models: tuple[str, ...]
    """Names and globs of bare model names."""
    on_unsupported: OnUnsupported
    responses: bool
    """What its Chat refuses is asked in Responses."""
    files: bool
    """It has its vendor's paths for files."""
    fan_out: bool
    resume_pauses: bool
    hedge: bool
    max_connections: int
    proxy: Secret | None
    """URL, with user and password if it has them."""
    ca_file: str | None
    client_cert: str | None
    transport: Transport
    strategy: Strategy
    auto_reenable: bool
    """Accounts that their provider refused are tried again."""


class ModelAlias(msgspec.Struct, frozen=True, kw_only=True):
    """A name that callers may ask for."""

    name: str
    """A glob of names, or one."""
    targets: tuple[str, ...]
    """``upstream/model`` or ``upstream/*``, in order of preference; every upstream exists."""


class StatusConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who may see and steer a running gateway."""

    key: KeyDigest
    has_health: bool
    """Everybody may ask whether it is ready."""


class CallerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may use the gateway."""

    label: str
    key: KeyDigest
    models: tuple[str, ...]
    """Globs of the names, as asked for, that the caller may use."""
    expires_at: float | None = None
    """Seconds since 1970; None: never."""
    limits: CallerLimits = NO_LIMITS
