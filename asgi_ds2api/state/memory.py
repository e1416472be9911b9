"""State in this process's memory: fast, bounded, gone with the process. Each worker has its own.

Deliberate, because of how ``cachetools.TLRUCache`` works:

1. Full, it evicts what was used least recently, alive or not: an open cooldown may vanish. So its size must lie above
   accounts x models; and a pool decides by what it holds itself and only reports here.
2. What is set with an end in the past is removed at once. An entry's life ends a day after its cooldown, so that its
   epoch outlives every request that began before it, and so that the end of a cooldown is not the end of its entry.
3. A look-up costs microseconds. It happens at start and at transitions, never per request.
"""

from collections.abc import Callable, Collection, Iterable

import msgspec
from cachetools import TLRUCache

from .contract import Admission, Amount, Cooldown, Found, HealthScope, NotAdmitted, Watcher, merged
from .ledger import Ledger

RETENTION_S = 86_400.0
"""How long an epoch is remembered after its cooldown: longer than any request lives."""
FACT_OVERHEAD_BYTES = 400
"""What a fact takes beside its value: its key, its place in the cache."""


class _Fact(msgspec.Struct, frozen=True):
    value: bytes
    expires_at: float


class MemoryStore:
    """A `StateStore` for one event loop.

    Args:
        now: Monotonic clock, in seconds; the same as the pool's.
        max_cooldowns: More than accounts x models. An entry takes about 500 bytes.
        max_facts: Of all tables together, to within a thousandth; the least recently used goes first.
        max_fact_bytes: Of the values of all facts together, each counted with what it costs to keep it.
        max_counts: Of amounts (see `Ledger`).
    """

    is_shared = False
    is_alone = False

    def __init__(
        self,
        now: Callable[[], float],
        *,
        max_cooldowns: int = 100_000,
        max_facts: int = 100_000,
        max_fact_bytes: int = 64 * 1024 * 1024,
        max_counts: int = 100_000,
    ) -> None:
        self._now = now
        self._cooldowns: TLRUCache[HealthScope, Cooldown] = TLRUCache(max_cooldowns, ttu=_end_of_cooldown, timer=now)
        # One cache has one size: each fact weighs at least its share, so that neither bound is passed.
        self._fact_share = max_fact_bytes // max_facts
        self._max_fact_bytes = max_fact_bytes
        self._facts = self._no_facts()
        self._ledger = Ledger(now, self.cooldown, max_counts)
        self._watchers: list[Watcher] = []

    async def open(self) -> None:
        """Do nothing: there are no others."""

    async def close(self) -> None:
        """Do nothing: what is known stays."""

    def cooldown(self, scope: HealthScope) -> Cooldown | None:
        """Return what is known of a scope; None: nothing."""
        return self._cooldowns.get(scope)

    def cooldowns(self) -> Iterable[tuple[HealthScope, Cooldown]]:
        """Return all that is known, as a snapshot."""
        known = ((scope, self._cooldowns.get(scope)) for scope in tuple(self._cooldowns))
        return tuple((scope, entry) for scope, entry in known if entry is not None)

    def merge(self, scope: HealthScope, entry: Cooldown) -> Cooldown:
        """Add news of a scope, tell the watchers, return the sum."""
        known = self._cooldowns.get(scope)
        total = entry if known is None else merged(known, entry)
        self._cooldowns[scope] = total
        for watcher in tuple(self._watchers):
            watcher(scope, total)
        return total

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell ``watcher`` of every change from now on; return how to stop that (idempotent)."""
        self._watchers.append(watcher)

        def stop() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return stop

    def get(self, table: str, key: str) -> bytes | None:
        """Return a fact that has not expired; None: there is none."""
        fact = self._facts.get((table, key))
        return None if fact is None else fact.value

    def put(self, table: str, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a fact for ``ttl_s`` seconds, in place of any before it; 0 or less, or too large: forget it."""
        fact = _Fact(value, self._now() + ttl_s)
        if self._weigh(fact) > self._max_fact_bytes:
            self._facts.pop((table, key), None)
        else:
            self._facts[table, key] = fact

    def forget_facts(self, but: Iterable[tuple[str, str]]) -> None:
        """Forget all facts but those of these tables and keys."""
        kept = [(key, self._facts.get(key)) for key in but]
        self._facts = self._no_facts()
        for key, fact in kept:
            if fact is not None:
                self._facts[key] = fact

    async def find(self, table: str, keys: Collection[str]) -> Found:
        """Return the facts that there are."""
        found = ((key, self.get(table, key)) for key in keys)
        return Found({key: value for key, value in found if value is not None})

    async def settled(self) -> None:
        """Return at once: nobody else looks."""

    async def admit(self, admission: Admission) -> NotAdmitted | None:
        """Take all that is asked for, without a wait; None: it was taken."""
        return self._ledger.admit(admission)

    def hold(self, holder: str, names: Collection[str]) -> None:
        """Note what somebody was granted elsewhere: it counts among what is given out here."""
        self._ledger.hold(holder, names)

    def leave(self, holder: str) -> None:
        """Give back what a holder holds."""
        self._ledger.leave(holder)

    def add(self, amount: Amount) -> None:
        """Count what was used, or (below 0) what was not."""
        self._ledger.add(amount)

    def used(self, amount: Amount) -> float:
        """Return how much of a limit is used."""
        return self._ledger.used(amount)

    def _no_facts(self) -> TLRUCache[tuple[str, str], _Fact]:
        return TLRUCache(self._max_fact_bytes, ttu=_end_of_fact, timer=self._now, getsizeof=self._weigh)

    def _weigh(self, fact: _Fact) -> int:
        return max(self._fact_share, len(fact.value) + FACT_OVERHEAD_BYTES)


def _end_of_cooldown(_scope: HealthScope, entry: Cooldown, _now: float) -> float:
    return entry.until + RETENTION_S


def _end_of_fact(_key: tuple[str, str], fact: _Fact, _now: float) -> float:
    return fact.expires_at
