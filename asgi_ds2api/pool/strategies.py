"""Which of the open accounts is next: pure functions over ranks, and a measure of how slow an account is.

The pool takes the open account of the lowest rank, and among equals the one that was used longest ago. A strategy says
which rank an account has at first, and which it gets when it was taken or given back. So picking costs O(log n),
whatever the strategy. ``p2c_ewma`` has no ranks: two accounts are drawn by chance, and the one with the lower `load` is
taken, which costs O(1) and spreads traffic nearly as well as looking at all.

Follows Finagle's ``p2cPeakEwma`` (a peak counts at once, and is forgotten by and by), looked at in 2026.
"""

from collections.abc import Callable, Mapping
from math import exp, inf
from typing import Literal, NamedTuple, TypeAlias

import msgspec

StrategyName = Literal["round_robin", "weighted", "least_inflight", "p2c_ewma", "fill_first"]

DECAY_S = 10.0
"""What was measured so long ago counts a third."""
UNTRIED_LOAD = 1e9
"""Load of an account that was asked and has not answered yet: more than of any that has. One request finds out how
fast a new account is, not all of them."""
FAULT_S = 1.0
"""What a fault counts for at least, in place of the time that it took."""
SLOW_FACTOR = 4.0
SLOW_S = 10.0
"""An answer that began later than this, and `SLOW_FACTOR` times later than is usual, counts half a fault."""


class Use(NamedTuple):
    """An account that was just taken or given back."""

    rank: float
    """What it had."""
    weight: float
    """Its own, above 0."""
    reached: float
    """How far the rotation has come: the highest rank that was ever the lowest of its upstream."""
    turn: int
    """How many accounts the pool has handed out when this one was taken last."""
    in_flight: int
    """Attempts on it now."""


Ranking: TypeAlias = Callable[[Use], float]


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """Ranks the accounts of one upstream."""

    first: Callable[[int], float] = lambda _index: 0.0
    """Rank of the account at a place of the configuration that was never taken."""
    taken: Ranking
    """Never falls while the account is only taken."""
    given_back: Ranking | None = None
    """None: giving back changes nothing."""
    is_drawn: bool = False
    """The lower load of two that chance draws, in place of the lowest rank."""


def round_robin(use: Use) -> float:
    """Least recently used first."""
    return float(use.turn)


def weighted(use: Use) -> float:
    """Traffic in proportion to the weights, spread evenly (stride scheduling).

    An account that comes back after a while starts from where the others are: it makes up for nothing.
    """
    return max(use.rank, use.reached) + 1.0 / use.weight


def least_inflight(use: Use) -> float:
    """Fewest attempts at a time first."""
    return float(use.in_flight)


def fill_first(use: Use) -> float:
    """The first in the configuration as long as it is open, then the next."""
    return use.rank


STRATEGIES: Mapping[StrategyName, Strategy] = {
    "round_robin": Strategy(taken=round_robin),
    "weighted": Strategy(taken=weighted),
    "least_inflight": Strategy(taken=least_inflight, given_back=least_inflight),
    "p2c_ewma": Strategy(taken=round_robin, is_drawn=True),
    "fill_first": Strategy(first=float, taken=fill_first),
}


class Latency(msgspec.Struct, frozen=True, gc=False):
    """How long an account took to begin its answers, in seconds: a moving average that a peak replaces at once."""

    value_s: float
    at: float
    """When it was right."""

    def after(self, sample_s: float, now: float) -> "Latency":
        """Return the average after another answer."""
        if sample_s >= self.value_s:
            return Latency(sample_s, now)
        share = exp(-max(0.0, now - self.at) / DECAY_S)
        return Latency(self.value_s * share + sample_s * (1.0 - share), now)

    def after_fault(self, took_s: float, now: float) -> "Latency":
        """Return the average after a fault: a quick one is no reason to come back soon."""
        return self.after(max(took_s, FAULT_S, 2.0 * self.at_time(now)), now)

    def at_time(self, now: float) -> float:
        """Return what is left of it: who was slow once is tried again."""
        return self.value_s * exp(-max(0.0, now - self.at) / DECAY_S)

    def is_slow(self, sample_s: float) -> bool:
        """Tell whether another answer was slow, for this account."""
        return sample_s > SLOW_S and sample_s > SLOW_FACTOR * self.value_s


def load(latency: Latency | None, in_flight: int, now: float) -> float:
    """Return what the next attempt on an account would wait for, as far as one can tell."""
    if latency is None:
        return UNTRIED_LOAD + in_flight if in_flight else -inf
    return latency.at_time(now) * (in_flight + 1)
