"""Accounts in line for one model, in two orders: by rank, or by chance. Who is closed is not in it; see `rotation`.

Nothing is searched: a rank that changed is mended when its account comes to the front, or pushed anew if it fell.
"""

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Protocol, TypeAlias

from .strategies import Latency, load

_Entry: TypeAlias = tuple[float, int, int]
"""Rank, turn, index."""
_SPARE = 64
"""Entries that are old news, beyond as many as accounts, before a heap is made anew."""


class Standings:
    """What is known of the accounts of an upstream, by their index; the same for all models.

    Args:
        ranks: At first.
    """

    def __init__(self, ranks: Iterable[float]) -> None:
        self.ranks = list(ranks)
        self.turns = [0] * len(self.ranks)
        self.in_flight = [0] * len(self.ranks)
        self.total = 0
        """Attempts on all of them now."""
        self.latencies: list[Latency | None] = [None] * len(self.ranks)

    def order(self, index: int) -> _Entry:
        """Return what sorts accounts."""
        return self.ranks[index], self.turns[index], index


class Order(Protocol):
    """Who is in line."""

    def front(self, now: float) -> int | None:
        """Return who is next; None: nobody is in line."""
        ...

    def remove(self, index: int) -> None:
        """Take somebody out of the line who is in it."""
        ...

    def add(self, index: int) -> None:
        """Put somebody in line who is not in it."""
        ...

    def moved(self, index: int) -> None:
        """Hear that a rank fell."""
        ...


class RankedOrder:
    """The lowest rank is next, and among equals the one that was used longest ago. O(log n)."""

    def __init__(self, standings: Standings, members: Iterable[int]) -> None:
        self._standings = standings
        self._entries = {index: standings.order(index) for index in members}
        """The one entry of each account that counts."""
        self._heap = list(self._entries.values())
        heapify(self._heap)

    def front(self, _now: float) -> int | None:
        """See `Order`."""
        heap, entries, standings = self._heap, self._entries, self._standings
        while heap:
            entry = heap[0]
            index = entry[2]
            if entries.get(index) is not entry:
                heappop(heap)
            elif entry[1] == standings.turns[index] and entry[0] == standings.ranks[index]:
                return index
            else:
                entries[index] = fresh = standings.order(index)
                heapreplace(heap, fresh)
        return None

    def remove(self, index: int) -> None:
        """See `Order`."""
        del self._entries[index]

    def add(self, index: int) -> None:
        """See `Order`."""
        self._entries[index] = entry = self._standings.order(index)
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _SPARE:
            self._heap = list(self._entries.values())
            heapify(self._heap)

    def moved(self, index: int) -> None:
        """See `Order`."""
        if index in self._entries:
            self.add(index)


class DrawnOrder:
    """Two are drawn by chance, and the one that has less to do is next. O(1).

    Args:
        standings: Of all accounts.
        members: In line at first.
        rng: Returns floats in [0, 1).
    """

    def __init__(self, standings: Standings, members: Iterable[int], rng: Callable[[], float]) -> None:
        self._standings = standings
        self._rng = rng
        self._members = list(members)
        self._places = {index: place for place, index in enumerate(self._members)}

    def front(self, now: float) -> int | None:
        """See `Order`."""
        members = self._members
        count = len(members)
        if count < 2:
            return members[0] if members else None
        first = int(self._rng() * count)
        second = int(self._rng() * (count - 1))
        one, other = members[first], members[second if second < first else second + 1]
        return min(one, other, key=lambda index: self._load(index, now))

    def remove(self, index: int) -> None:
        """See `Order`."""
        place, last = self._places.pop(index), self._members.pop()
        if last != index:
            self._members[place] = last
            self._places[last] = place

    def add(self, index: int) -> None:
        """See `Order`."""
        self._places[index] = len(self._members)
        self._members.append(index)

    def moved(self, index: int) -> None:
        """See `Order`. Loads are looked at when they are asked for."""

    def _load(self, index: int, now: float) -> tuple[float, int]:
        standings = self._standings
        return load(standings.latencies[index], standings.in_flight[index], now), standings.turns[index]
