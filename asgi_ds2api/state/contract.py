"""What may be known for longer than a request lives, and how two who know different things agree.

Everything here is synchronous and answers from memory. A store that is shared (a file, a server) keeps a copy in
memory, writes behind, and tells its watchers what others wrote: nobody on the way of a request waits for it.

Times are seconds of the clock that the store was given. A store that outlives the process, or is read by others,
converts to wall time at its own border. Losing a store's content is harmless: what is not known counts as healthy.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol, TypeAlias

import msgspec

ScopeKind = Literal["origin", "account", "model"]
"""How far evidence reaches: a server, an account on it, that account for one model. Wide to narrow."""


class Scope(msgspec.Struct, frozen=True):
    """What a cooldown is about; the key under which it is kept. Holds names and labels, never a key."""

    kind: ScopeKind
    name: str
    """Of an origin: ``https://host:443``. Else the account: ``upstream/label``."""
    model: str = ""
    """The upstream's name of the model; empty unless ``kind`` is ``model``."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.model}".rstrip()


CooldownState = Literal["cooling", "disabled", "healthy"]


class Cooldown(msgspec.Struct, frozen=True, kw_only=True):
    """What others must know of a scope's health."""

    state: CooldownState
    until: float
    """When a probe may be made; in the past if ``healthy``."""
    epoch: int
    """How often the scope has closed: tells old news from new."""
    ejections: int = 0
    """Exponent of the next backoff."""
    refusals: int = 0
    """How often in a row the account was found disabled: exponent of the next wait for a probe."""
    reason: str = ""
    """One word, for the log and the snapshot."""
    is_capped: bool = False
    """Counts against the ceiling of its kind (see `pool.health`)."""


_PHASES: dict[CooldownState, int] = {"cooling": 0, "disabled": 1, "healthy": 2}


def merged(one: Cooldown, other: Cooldown) -> Cooldown:
    """Return what somebody who heard both knows.

    The later epoch wins, and within an epoch the later phase; ``until`` never falls. Commutative, associative and
    idempotent, so that news may come in any order and more than once.
    """
    newer = max(one, other, key=_age)
    return msgspec.structs.replace(newer, until=max(one.until, other.until))


def _age(entry: Cooldown) -> tuple[int, int, int, int, str, bool]:
    return (
        entry.epoch,
        _PHASES[entry.state],
        entry.ejections,
        entry.refusals,
        entry.reason,
        entry.is_capped,
    )


Watcher: TypeAlias = Callable[[Scope, Cooldown], None]
"""Is told of every entry after it was merged, its own included. Called in the event loop; must not raise."""


class StateStore(Protocol):
    """Where cooldowns, and short-lived facts such as who answered what, are kept. Every part of it is bounded."""

    def cooldown(self, scope: Scope) -> Cooldown | None:
        """Return what is known of a scope; None: nothing."""
        ...

    def cooldowns(self) -> Iterable[tuple[Scope, Cooldown]]:
        """Return all that is known, as a snapshot."""
        ...

    def merge(self, scope: Scope, entry: Cooldown) -> Cooldown:
        """Add news of a scope (see `merged`), tell the watchers, return the sum."""
        ...

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell ``watcher`` of every change from now on, whoever made it; return how to stop that (idempotent)."""
        ...

    def get(self, table: str, key: str) -> bytes | None:
        """Return a fact that has not expired; None: there is none."""
        ...

    def put(self, table: str, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a fact for ``ttl_s`` seconds, in place of any before it; 0 or less: forget it."""
        ...
