"""The order in which the accounts of one upstream are taken, and who is left out until when.

Knows indexes and times, nothing of health, limits or models' meaning: the pool says until when one is to be left out.
Each model of which something is known has a ring of its own, because an account may be closed for one model only; what
an account's rank is, is the same in all of them.

A pick costs O(log n) however many accounts there are, and however many are closed: who is found closed at the front is
parked until the time that was told, and is not looked at before. Who is at its limit of attempts is parked without a
time, and comes back when it is woken.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import TypeAlias

from .orders import DrawnOrder, Order, RankedOrder, Standings
from .strategies import Latency, Strategy, Use, load

MAX_RINGS = 64
"""Models of one upstream with a ring; others are rebuilt when asked for. Bounds memory where callers choose names."""
_SPARE = 64
"""Parked entries that are old news, beyond as many as accounts, before they are thrown away."""

OpensAt: TypeAlias = Callable[[int], float]
"""When an account may be taken again, as far as is known now; infinity: when somebody says so."""
RingKey: TypeAlias = tuple[str | None, int]
"""The upstream's name of a model (None: of any that is like all others), and how many tokens a request needs at least
(see `limits.need_of`)."""


class Rotation:
    """Standings of all accounts of an upstream, and a ring for each model in use.

    Args:
        weights: Of the accounts, by index.
        strategy: Ranks them.
        rng: Returns floats in [0, 1); for strategies that leave it to chance.
    """

    def __init__(self, weights: Sequence[float], strategy: Strategy, rng: Callable[[], float]) -> None:
        self._weights = tuple(weights)
        self._strategy = strategy
        self._rng = rng
        self._reached = 0.0
        self._rings: OrderedDict[RingKey, Ring] = OrderedDict()
        self.standings = Standings([strategy.first(index) for index in range(len(self._weights))])

    def ring(self, key: RingKey, members: Callable[[], Iterable[int]] | None = None) -> "Ring":
        """Return the ring of a model; a new one has everybody in line.

        Args:
            key: Of the ring.
            members: Tells who serves the model, for a new ring; None: everybody.
        """
        ring = self._rings.get(key)
        if ring is None:
            everybody = range(len(self._weights)) if members is None else members()
            ring = self._rings[key] = Ring(self._line(everybody))
            if len(self._rings) > MAX_RINGS:
                self._rings.popitem(last=False)
        else:
            self._rings.move_to_end(key)
        return ring

    def _line(self, members: Iterable[int]) -> Order:
        if self._strategy.is_drawn:
            return DrawnOrder(self.standings, members, self._rng)
        return RankedOrder(self.standings, members)

    def taken(self, index: int, turn: int, *, by_rank: bool) -> None:
        """Note that an account was taken.

        Args:
            index: Which.
            turn: Unique, rising, above 0.
            by_rank: Whether it was the first in line, so that the rotation has come as far as its rank.
        """
        standings = self.standings
        rank = standings.ranks[index]
        if by_rank and rank > self._reached:
            self._reached = rank
        standings.ranks[index] = self._strategy.taken(self._use(index, turn, standings.in_flight[index] + 1))
        standings.turns[index] = turn
        standings.in_flight[index] += 1
        standings.total += 1

    def given_back(self, index: int) -> None:
        """Note that an attempt on an account has ended."""
        standings = self.standings
        standings.in_flight[index] -= 1
        standings.total -= 1
        if self._strategy.given_back is None:
            return
        use = self._use(index, standings.turns[index], standings.in_flight[index])
        standings.ranks[index] = self._strategy.given_back(use)
        for ring in self._rings.values():
            ring.moved(index)

    def answered(self, index: int, sample_s: float, now: float) -> bool:
        """Note how long an account took to begin an answer; tell whether that was slow for it."""
        before = self.standings.latencies[index]
        self.standings.latencies[index] = Latency(sample_s, now) if before is None else before.after(sample_s, now)
        return before is not None and before.is_slow(sample_s)

    def failed(self, index: int, took_s: float, now: float) -> None:
        """Note that an account did not answer."""
        before = self.standings.latencies[index] or Latency(0.0, now)
        self.standings.latencies[index] = before.after_fault(took_s, now)

    def lowest(self, indexes: Sequence[int], now: float) -> int:
        """Return which of some accounts is the first in line."""
        standings = self.standings
        if not self._strategy.is_drawn:
            return min(indexes, key=standings.order)
        return min(
            indexes, key=lambda i: (load(standings.latencies[i], standings.in_flight[i], now), standings.order(i))
        )

    def wake(self, index: int) -> None:
        """Put an account back in line that opened before its time."""
        for ring in self._rings.values():
            ring.wake(index)

    def wake_all(self) -> None:
        """Put everybody back in line."""
        self._rings.clear()

    def _use(self, index: int, turn: int, in_flight: int) -> Use:
        return Use(self.standings.ranks[index], self._weights[index], self._reached, turn, in_flight)


class Ring:
    """Who is in line for one model, and who is parked until when. Every account is in exactly one of the two."""

    def __init__(self, line: Order) -> None:
        self._line = line
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
        set_aside: list[int] = []
        line = self._line
        first = line.front(now)
        while first is not None:
            until = opens_at(first)
            if until > now:
                line.remove(first)
                self._park(first, until)
            elif first in passed_over:
                line.remove(first)
                set_aside.append(first)
            else:
                break
            first = line.front(now)
        for index in set_aside:
            line.add(index)
        return first

    def soonest(self, opens_at: OpensAt) -> float:
        """Return when the first of the parked opens; infinity if none is parked, or none for a known time."""
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
            self._line.add(index)

    def moved(self, index: int) -> None:
        """Hear that the rank of an account fell."""
        self._line.moved(index)

    def _park(self, index: int, until: float) -> None:
        self._parked_until[index] = until
        if until == inf:
            return
        heappush(self._parked, (until, index))
        if len(self._parked) > 2 * len(self._parked_until) + _SPARE:
            self._parked = [(time, index) for index, time in self._parked_until.items() if time != inf]
            heapify(self._parked)
