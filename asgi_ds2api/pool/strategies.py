"""Which of the open accounts is next: pure functions over ranks.

The pool takes the open account of the lowest rank, and among equals the one that was used longest ago. A strategy says
which rank an account gets when it has been taken. So picking costs O(log n), whatever the strategy.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

StrategyName = Literal["round_robin", "weighted"]


class Strategy(Protocol):
    """Ranks an account that was just taken."""

    def __call__(self, rank: float, weight: float, reached: float, turn: int, /) -> float:
        """Return the new rank.

        Args:
            rank: The rank with which the account was taken.
            weight: The account's, above 0.
            reached: How far the rotation has come: the highest rank that was ever the lowest of its upstream.
            turn: How many accounts the pool has handed out, this one included.
        """
        ...


def round_robin(_rank: float, _weight: float, _reached: float, turn: int, /) -> float:
    """Least recently used first."""
    return float(turn)


def weighted(rank: float, weight: float, reached: float, _turn: int, /) -> float:
    """Traffic in proportion to the weights, spread evenly (stride scheduling).

    An account that comes back after a while starts from where the others are: it makes up for nothing.
    """
    return max(rank, reached) + 1.0 / weight


STRATEGIES: Mapping[StrategyName, Strategy] = {"round_robin": round_robin, "weighted": weighted}
