"""How many further attempts an origin is asked to bear: a pure token bucket.

Every first attempt pays in a part of another one, which is lost after at most ten seconds; beside it a small reserve
refills by itself, so that a quiet gateway may try again too. If everything fails, an origin sees 1.2 times the callers'
requests plus the reserve, not three times.

Two things are asked for, each out of a bucket of its own, so that neither uses up what the other needs: another try
after the server failed, and another key after one was refused. The second is rarer, as a key that is known to be
refused is not asked; but it comes in bursts, when many keys reach their limits at once.

Follows Finagle's ``RetryBudget`` (percentage, time to live, floor), looked at in 2026.
"""

from typing import Final

import msgspec

TTL_S = 10.0
_HALF_S = TTL_S / 2
RESERVE_PER_S = 1.0


class Allowance(msgspec.Struct, frozen=True):
    """What is allowed for one purpose."""

    firsts: int
    """First attempts that pay for one more."""
    reserve: float
    """Further attempts that are in hand at most, whoever pays."""


RETRIES: Final = Allowance(firsts=5, reserve=3.0)
"""After failures of the server: 20 %."""
CHANGES: Final = Allowance(firsts=25, reserve=10.0)
"""Of keys: 4 %, so that both together stay below a quarter of the callers' requests."""


class RetryBudget(msgspec.Struct, frozen=True, gc=False):
    """What is left. Deposits are counted in halves of the time to live; a half is dropped as a whole."""

    allowance: Allowance = RETRIES
    since: float = 0.0
    """Start of the young half, in seconds."""
    young: int = 0
    """First attempts of the current half that nothing has used up."""
    old: int = 0
    """The same, of the half before."""
    borrowed: float = 0.0
    """What of the reserve is gone."""
    borrowed_at: float = 0.0
    """When that was right."""

    def deposit(self, now: float) -> "RetryBudget":
        """Return the budget after a first attempt."""
        current = self._at(now)
        return RetryBudget(
            current.allowance, current.since, current.young + 1, current.old, current.borrowed, current.borrowed_at
        )

    def take_back(self, now: float) -> "RetryBudget":
        """Return the budget after a first attempt that was paid in and not made. What it has paid for is owed."""
        current = self._at(now)
        if current.young:
            return msgspec.structs.replace(current, young=current.young - 1)
        if current.old:
            return msgspec.structs.replace(current, old=current.old - 1)
        borrowed = current._borrowed(now) + 1.0 / self.allowance.firsts
        return msgspec.structs.replace(current, borrowed=borrowed, borrowed_at=now)

    def withdraw(self, now: float) -> "RetryBudget | None":
        """Return the budget after one more attempt; None: there is none left."""
        current, firsts = self._at(now), self.allowance.firsts
        if current.old + current.young >= firsts:
            from_old = min(current.old, firsts)
            young = current.young - (firsts - from_old)
            return msgspec.structs.replace(current, young=young, old=current.old - from_old)
        borrowed = current._borrowed(now)
        if borrowed + 1.0 <= self.allowance.reserve:
            return msgspec.structs.replace(current, borrowed=borrowed + 1.0, borrowed_at=now)
        return None

    def _borrowed(self, now: float) -> float:
        return max(0.0, self.borrowed - (now - self.borrowed_at) * RESERVE_PER_S)

    def _at(self, now: float) -> "RetryBudget":
        age = now - self.since
        if age < _HALF_S:
            return self
        old, since = (self.young, self.since + _HALF_S) if age < TTL_S else (0, now)
        return RetryBudget(self.allowance, since, 0, old, self.borrowed, self.borrowed_at)
