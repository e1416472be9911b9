"""What may be known for longer than a request lives, and how two who know different things agree.

What is synchronous here answers from memory. A store that is shared (a file, a server) keeps a copy in memory, writes
behind, and tells its watchers what others wrote. Three things alone may wait for others, none of them once an event:
`StateStore.admit`, of which there is one an attempt at most, a fact that is not in the copy (`find`), and what others
must see before an answer ends (`settled`). Each has a short limit, after which the store goes on alone.

Times are seconds of the clock that the store was given. A store that outlives the process, or is read by others,
converts at its own border. Losing a store's content is harmless: what is not known counts as healthy, and as unused.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

ScopeKind = Literal["origin", "account", "model"]
"""How far evidence reaches: a server, an account on it, that account for one model. Wide to narrow."""


class HealthScope(msgspec.Struct, frozen=True):
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


OPERATOR = "operator"
"""The reason of what was closed by hand."""
_PHASES: dict[CooldownState, int] = {"cooling": 0, "disabled": 1, "healthy": 2}

ERA = 2**24
"""Epochs of one era: more closings, of which there is one a second at most, than there are between two words of an
operator. Each such word begins an era; so it is later than whatever others have found out by themselves meanwhile."""


def next_era(epoch: int) -> int:
    """Return the epoch in which an operator's word about a scope holds."""
    return (epoch // ERA + 1) * ERA


def merged(one: Cooldown, other: Cooldown) -> Cooldown:
    """Return what somebody who heard both knows.

    The later epoch wins; within an epoch what was closed by hand, else the later phase; ``until`` never falls but by a
    new era, which knows nothing of what was before. Commutative, associative and idempotent, so that news may come in
    any order and more than once.
    """
    newer = max(one, other, key=_age)
    if one.epoch // ERA != other.epoch // ERA:
        return newer
    return msgspec.structs.replace(newer, until=max(one.until, other.until))


def _age(entry: Cooldown) -> tuple[int, bool, int, int, int, str, bool]:
    return (
        entry.epoch,
        entry.reason == OPERATOR,
        _PHASES[entry.state],
        entry.ejections,
        entry.refusals,
        entry.reason,
        entry.is_capped,
    )


Watcher: TypeAlias = Callable[[HealthScope, Cooldown], None]
"""Is told of every entry after it was merged, its own included. Called in the event loop; must not raise."""


class SharedSlot(msgspec.Struct, frozen=True):
    """A place among those who may do something at the same time."""

    name: str
    """What they do; holds labels and names, never a key."""
    limit: int
    """How many may, everybody who shares the store together."""


class Probe(msgspec.Struct, frozen=True):
    """The right to be the one who finds out whether a closed scope is open again."""

    scope: HealthScope
    epoch: int
    """Of the closing that is seen: who sees an older one than the store has no right to probe."""


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a limit is used: requests in a minute, tokens in a day, money in a month."""

    name: str
    """What is counted, of whom and, unless it is paced, in which period."""
    amount: float
    """At least 0 where it asks to be admitted; what `StateStore.add` corrects may be less."""
    limit: float
    """Of 0, or what is less or no number, nothing is admitted."""
    life_s: float
    """Time in which ``limit`` may be used, above 0."""
    is_paced: bool = False
    """It comes back bit by bit: ``limit`` in ``life_s``, and at most ``limit`` at once. Else all of it comes back
    ``life_s`` after the first use."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt needs of what is shared: all of it, or nothing."""

    holder: str
    """Who asks; unique among all who share the store. Gives back what it holds by this name."""
    probes: tuple[Probe, ...] = ()
    slots: tuple[SharedSlot, ...] = ()
    amounts: tuple[Amount, ...] = ()


class NotAdmitted(msgspec.Struct, frozen=True):
    """Why somebody was not admitted."""

    name: str
    """Of the slot or the amount; of a probe the scope as text."""
    wait_s: float
    """When to ask again: exact for an amount, a guess for a slot."""


class Found(msgspec.Struct, frozen=True):
    """What a look-up found."""

    facts: Mapping[str, bytes]
    """Key -> value, of those that there are."""
    is_whole: bool = True
    """False: others could not be asked, who may know what is not there."""


class StateStore(Protocol):
    """Where cooldowns, counts, and short-lived facts such as who answered what, are kept. Every part is bounded."""

    @property
    def is_shared(self) -> bool:
        """Whether others may know what this process does not, so that `admit` is worth its wait."""
        ...

    @property
    def is_alone(self) -> bool:
        """Whether a shared store is out of reach, and this process decides by itself for now."""
        ...

    async def open(self) -> None:
        """Begin to hear of others, in the running event loop. Idempotent; called before the first request."""
        ...

    async def close(self) -> None:
        """Write what is not yet written, and stop. It may be opened again."""
        ...

    def cooldown(self, scope: HealthScope) -> Cooldown | None:
        """Return what is known of a scope; None: nothing."""
        ...

    def cooldowns(self) -> Iterable[tuple[HealthScope, Cooldown]]:
        """Return all that is known, as a snapshot."""
        ...

    def merge(self, scope: HealthScope, entry: Cooldown) -> Cooldown:
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

    async def find(self, table: str, keys: Collection[str]) -> Found:
        """Return the facts that there are, also those that others put; one that cannot be asked for is not there."""
        ...

    async def settled(self) -> None:
        """Return when others can find what was put so far; or soon, if they cannot be reached."""
        ...

    async def admit(self, admission: Admission) -> NotAdmitted | None:
        """Take all that is asked for, in one step among all who share the store; None: it was taken.

        What was taken is given back by `leave` (slots and probes) and corrected by `add` (amounts). A holder that dies
        loses its slots by itself, and a probe is lost in any case if it takes too long.
        """
        ...

    def leave(self, holder: str) -> None:
        """Give back the slots and probes of a holder; one that holds nothing is none."""
        ...

    def add(self, amount: Amount) -> None:
        """Count ``amount.amount`` without asking; below 0: less was used than was admitted."""
        ...

    def used(self, amount: Amount) -> float:
        """Return how much of a limit is used, as far as this process knows; for looking, not for deciding."""
        ...
