"""Who holds which slot, and how much of which limit is used: judged and taken in one step.

Two kinds of amounts:

* **paced** (GCRA): kept is the time at which nothing would be used any more. Using ``n`` of ``limit`` in ``life_s``
  moves it by ``n * life_s / limit``, so that no window has an edge at which twice the limit passes. What asks for more
  than the whole limit passes when nothing is used: it would never pass otherwise. Of a limit of nothing nothing passes.
* **counted**: kept is a sum, gone ``life_s`` after it began. For budgets of a day or a month; the period is in the
  name. What asks for more than is left is refused.
"""

from collections.abc import Callable, Collection

import msgspec
from cachetools import TLRUCache

from .contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted, Probe

SLOT_WAIT_S = 1.0
"""What is said of a slot and of a probe: nobody knows when they come free."""


class Count(msgspec.Struct, frozen=True, gc=False):
    """What is kept of an amount."""

    value: float
    """Paced: the time at which nothing is used. Counted: the sum, at least 0."""
    ends_at: float
    """When it need not be kept any more."""


def used(amount: Amount, count: Count | None, now: float) -> float:
    """Return how much of the limit is used."""
    if count is None or count.ends_at <= now:
        return 0.0
    return (count.value - now) * amount.limit / amount.life_s if amount.is_paced else count.value


def wait_for(amount: Amount, count: Count | None, now: float) -> float:
    """Return how long the amount must wait to fit into its limit; 0: it fits."""
    if not amount.limit > 0:  # no number as well
        return amount.life_s
    already = used(amount, count, now)
    if not amount.is_paced:
        fits = already + amount.amount <= amount.limit
        return 0.0 if fits else amount.life_s if count is None else max(0.0, count.ends_at - now)
    over = already + min(amount.amount, amount.limit) - amount.limit
    return max(0.0, over * amount.life_s / amount.limit)


def after(amount: Amount, count: Count | None, now: float) -> Count:
    """Return what is kept once the amount is used, or (below 0) was not."""
    total = max(0.0, used(amount, count, now) + amount.amount)
    if amount.is_paced:
        empty_at = now + total * amount.life_s / amount.limit if amount.limit > 0 else now
        return Count(empty_at, empty_at)
    begins = count is None or count.ends_at <= now
    return Count(total, now + amount.life_s if begins or count is None else count.ends_at)


def may_probe(probe: Probe, known: Cooldown | None, now: float) -> bool:
    """Tell whether nothing newer is known of a scope than who wants to probe it has seen, and its time is up."""
    return known is None or (known.epoch <= probe.epoch and known.state != "healthy" and known.until <= now)


def probe_name(probe: Probe) -> str:
    """Return the name under which the right to probe a scope is held.

    Of each closing its own: who probed an earlier one with success may hold that for as long as its answer goes on.
    """
    return f"probe {probe.epoch} {probe.scope}"


class Ledger:
    """The slots and amounts of one process.

    Args:
        now: Monotonic clock, in seconds.
        cooldown: Tells what is known of a scope.
        max_counts: How many amounts are kept; the least recently used goes first, and counts as unused.
    """

    def __init__(
        self, now: Callable[[], float], cooldown: Callable[[HealthScope], Cooldown | None], max_counts: int
    ) -> None:
        self._now = now
        self._cooldown = cooldown
        self._counts: TLRUCache[str, Count] = TLRUCache(max_counts, ttu=_end_of_count, timer=now)
        self._held_by: dict[str, tuple[str, ...]] = {}
        """Holder -> names."""
        self._holders: dict[str, int] = {}
        """Name -> how many hold it."""

    def admit(self, admission: Admission) -> NotAdmitted | None:
        """Take all that is asked for; None: it was taken."""
        refusal = self._refusal(admission)
        if refusal is None:
            self._take(admission)
        return refusal

    def hold(self, holder: str, names: Collection[str]) -> None:
        """Let somebody hold what it was granted."""
        self._held_by[holder] = (*self._held_by.get(holder, ()), *names)
        for name in names:
            self._holders[name] = self._holders.get(name, 0) + 1

    def leave(self, holder: str) -> None:
        """Give back what a holder holds."""
        for name in self._held_by.pop(holder, ()):
            self._holders[name] -= 1
            if not self._holders[name]:
                del self._holders[name]

    def add(self, amount: Amount) -> None:
        """Count what was used, or (below 0) what was not."""
        self._counts[amount.name] = after(amount, self._counts.get(amount.name), self._now())

    def used(self, amount: Amount) -> float:
        """Return how much of a limit is used."""
        return used(amount, self._counts.get(amount.name), self._now())

    def _refusal(self, admission: Admission) -> NotAdmitted | None:
        now = self._now()
        for probe in admission.probes:
            is_free = probe_name(probe) not in self._holders
            if not is_free or not may_probe(probe, self._cooldown(probe.scope), now):
                return NotAdmitted(str(probe.scope), SLOT_WAIT_S)
        for slot in admission.slots:
            if self._holders.get(slot.name, 0) >= slot.limit:
                return NotAdmitted(slot.name, SLOT_WAIT_S)
        for amount in admission.amounts:
            wait_s = wait_for(amount, self._counts.get(amount.name), now)
            if wait_s > 0:
                return NotAdmitted(amount.name, wait_s)
        return None

    def _take(self, admission: Admission) -> None:
        names = (*[probe_name(probe) for probe in admission.probes], *[slot.name for slot in admission.slots])
        if names:
            self.hold(admission.holder, names)
        for amount in admission.amounts:
            self.add(amount)


def _end_of_count(_name: str, count: Count, _now: float) -> float:
    return count.ends_at
