"""The order in which the accounts of one upstream are taken: heaps that are mended as they are used.

Knows indexes and times, nothing of health, accounts or models' meaning: the pool says until when one is to be left
out. Each model has a ring of its own, because an account may be closed for one model only; what an account's rank is,
is the same in all of them.

A pick costs O(log n) however many accounts there are, and however many are closed: who is found closed at the front is
parked until the time that was told, and is not looked at before. Nothing is moved in the middle of a heap: an entry
whose account was taken elsewhere meanwhile is mended when it comes to the front.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import TypeAlias

from .strategies import Strategy

MAX_RINGS = 64
"""Models of one upstream with a ring; others are rebuilt when asked for. Bounds memory where callers choose names."""

OpensAt: TypeAlias = Callable[[int], float]
"""When an account may be taken again, as far as is known now."""

_Entry: TypeAlias = tuple[float, int, int]
"""Rank, turn, index."""


class Rotation:
    """Ranks of all accounts of an upstream, and a ring for each model in use.

    Args:
        weights: Of the accounts, by index.
        strategy: Ranks an account that was taken.
    """

    def __init__(self, weights: Sequence[float], strategy: Strategy) -> None:
        self._weights = tuple(weights)
        self._strategy = strategy
        self._reached = 0.0
        self._rings: OrderedDict[str, Ring] = OrderedDict()
        self.ranks = [0.0] * len(self._weights)
        self.turns = [0] * len(self._weights)

    def ring(self, model: str) -> "Ring":
        """Return the ring of a model; a new one has everybody in line."""
        ring = self._rings.get(model)
        if ring is None:
            ring = self._rings[model] = Ring(self)
            if len(self._rings) > MAX_RINGS:
                self._rings.popitem(last=False)
        else:
            self._rings.move_to_end(model)
        return ring

    def taken(self, index: int, turn: int, *, by_rank: bool) -> None:
        """Note that an account was taken.

        Args:
            index: Which.
            turn: Unique, rising, above 0.
            by_rank: Whether it was the first in line, so that the rotation has come as far as its rank.
        """
        rank = self.ranks[index]
        if by_rank and rank > self._reached:
            self._reached = rank
        self.ranks[index] = self._strategy(rank, self._weights[index], self._reached, turn)
        self.turns[index] = turn

    def lowest(self, indexes: Sequence[int]) -> int:
        """Return which of some accounts is the first in line."""
        return min(indexes, key=lambda index: (self.ranks[index], self.turns[index], index))

    def wake(self, index: int) -> None:
        """Put an account back in line that opened before its time."""
        for ring in self._rings.values():
            ring.wake(index)

    def wake_all(self) -> None:
        """Put everybody back in line."""
        self._rings.clear()


class Ring:
    """Who is in line for one model, and who is parked until when. Every account is in exactly one of the two."""

    def __init__(self, rotation: Rotation) -> None:
        self._ranks = rotation.ranks
        self._turns = rotation.turns
        self._line: list[_Entry] = list(zip(self._ranks, self._turns, range(len(self._ranks)), strict=True))
        heapify(self._line)
        self._parked: list[tuple[float, int]] = []
        self._parked_until: dict[int, float] = {}
        """Tells a valid entry of ``_parked`` from one whose account was woken before its time."""

    def pick(self, now: float, opens_at: OpensAt, passed_over: Container[int]) -> int | None:
        """Return the first in line who is open and is not passed over; None: there is none.

        Args:
            now: The present, or a time to come: then it tells who would be picked, as things stand.
            opens_at: Asked about whoever comes to the front.
            passed_over: A few, who keep their place.
        """
        while self._parked and self._parked[0][0] <= now:
            until, index = heappop(self._parked)
            if self._parked_until.get(index) == until:
                self.wake(index)
        waiting: list[_Entry] = []
        first = self._front()
        while first is not None:
            until = opens_at(first)
            if until > now:
                heappop(self._line)
                self._park(first, until)
            elif first in passed_over:
                waiting.append(heappop(self._line))
            else:
                break
            first = self._front()
        for entry in waiting:
            heappush(self._line, entry)
        return first

    def soonest(self, opens_at: OpensAt) -> float:
        """Return when the first of the parked opens; infinity if none is parked."""
        while self._parked:
            until, index = self._parked[0]
            if self._parked_until.get(index) != until:
                heappop(self._parked)
                continue
            actual = opens_at(index)
            if actual <= until:
                return until
            heappop(self._parked)
            self._park(index, actual)
        return inf

    def wake(self, index: int) -> None:
        """Put an account back in line, if it is parked."""
        if self._parked_until.pop(index, None) is not None:
            heappush(self._line, (self._ranks[index], self._turns[index], index))

    def _park(self, index: int, until: float) -> None:
        self._parked_until[index] = until
        heappush(self._parked, (until, index))

    def _front(self) -> int | None:
        while self._line:
            _, turn, index = self._line[0]
            if turn == self._turns[index]:
                return index
            heapreplace(self._line, (self._ranks[index], self._turns[index], index))
        return None
