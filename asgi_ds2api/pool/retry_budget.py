"""How many retries an origin is asked to bear: a pure token bucket.

Every first attempt pays in a fifth of a retry, which is lost after at most ten seconds; beside it a small reserve
refills by itself, so that a quiet gateway may retry too. If everything fails, an origin sees 1.2 times the callers'
requests plus the reserve, not three times.

Follows Finagle's ``RetryBudget`` (percentage, time to live, floor), looked at in 2026.
"""

import msgspec

FIRSTS_PER_RETRY = 5
"""20 %."""
TTL_S = 10.0
_HALF_S = TTL_S / 2
RESERVE = 3.0
RESERVE_PER_S = 1.0


class RetryBudget(msgspec.Struct, frozen=True, gc=False):
    """What is left. Deposits are counted in halves of the time to live; a half is dropped as a whole."""

    since: float = 0.0
    """Start of the young half, in seconds."""
    young: int = 0
    """First attempts of the current half that no retry has used up."""
    old: int = 0
    """The same, of the half before."""
    reserve: float = RESERVE
    reserve_at: float = 0.0
    """When ``reserve`` was right."""

    def deposit(self, now: float) -> "RetryBudget":
        """Return the budget after a first attempt."""
        current = self._at(now)
        return RetryBudget(current.since, current.young + 1, current.old, current.reserve, current.reserve_at)

    def withdraw(self, now: float) -> "RetryBudget | None":
        """Return the budget after a retry; None: there is none left."""
        current = self._at(now)
        if current.old + current.young >= FIRSTS_PER_RETRY:
            from_old = min(current.old, FIRSTS_PER_RETRY)
            young = current.young - (FIRSTS_PER_RETRY - from_old)
            return RetryBudget(current.since, young, current.old - from_old, current.reserve, current.reserve_at)
        reserve = min(RESERVE, current.reserve + (now - current.reserve_at) * RESERVE_PER_S)
        if reserve >= 1.0:
            return RetryBudget(current.since, current.young, current.old, reserve - 1.0, now)
        return None

    def _at(self, now: float) -> "RetryBudget":
        age = now - self.since
        if age < _HALF_S:
            return self
        old, since = (self.young, self.since + _HALF_S) if age < TTL_S else (0, now)
        return RetryBudget(since, 0, old, self.reserve, self.reserve_at)
