"""Requests that wait for an account: who is next, and how many there may be. Knows callers and plans, no accounts.

Those who want the same wait in one queue; what is the same, says the pool. Callers take turns: next is who was served
longest ago, in a queue and over all of them, and the requests of one caller are served in the order in which they came.
So a caller with a hundred requests does not push back one who has a single one.

Who was served and could not use it (`Line.take_back`) was not served: its caller's turn is what it was. So is its own
place, as requests stand by their arrival, whenever they join.

A line that is full takes a newcomer only in place of the last request of the caller who has most of them, and who comes
back also in place of a later request of its own caller.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import copy
from heapq import heapify, heappop, heappush, heapreplace
from itertools import takewhile
from typing import TypeAlias

import msgspec

from ..errors import CapacityError, GatewayError, QueueFull
from .model import Account, Candidate, Lease, Plan

Wish: TypeAlias = tuple[str, str | None, tuple[Account, ...] | None]
"""Upstream, model (None: one that is like all others), and the accounts that it is bound to."""
Key: TypeAlias = tuple[tuple[Wish, ...], int, frozenset[Candidate]]
"""Those who want the same: if the first of them finds nobody, none of them does."""

MAX_WAITING = 1_000
"""Requests in line where nobody knows how many are served at a time."""
MIN_WAITING = 16
"""And at least: one request may be several questions, and a server that takes one at a time is not short of time."""
_SPARE = 16
"""Entries that are old news, beyond as many as callers, before a heap is made anew."""
_MIN_TURNS = 64
"""Callers whose last turn is remembered, at least."""


class Waiter:
    """A request in line.

    Attributes:
        plan: Where it may go.
        tried: Where it was.
        key: Of its queue.
        number: In the order of arrival, as its plan has it.
        latest: When it gives up, in seconds of the pool's clock.
        lease: What was handed to it, until it takes it.
        refusal: Why it need not wait any longer.
    """

    __slots__ = ("_wake", "key", "latest", "lease", "number", "plan", "refusal", "tried")

    def __init__(
        self,
        plan: Plan,
        tried: Collection[Candidate],
        key: Key,
        latest: float,
        wake: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.tried = frozenset(tried)
        self.latest = latest
        self.number = plan.arrival
        self.key = key
        self.lease: Lease | None = None
        self.refusal: GatewayError | None = None
        self._wake = wake

    def hand(self, lease: Lease) -> None:
        """Give it what it waits for."""
        self.lease = lease
        self._wake()

    def refuse(self, refusal: GatewayError) -> None:
        """Tell it that waiting is no use."""
        self.refusal = refusal
        self._wake()

    def take(self) -> Lease | None:
        """Return what was handed to it; from here on it is the request's to give back."""
        lease, self.lease = self.lease, None
        return lease


class Turn(msgspec.Struct, frozen=True):
    """A service of a caller, and what was before it."""

    caller: str
    service: int
    before: int


class _Turns:
    """When callers were served last, counted in services; 0: not lately.

    Args:
        size: Callers that are remembered; who was served longest ago is forgotten first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._served: OrderedDict[str, int] = OrderedDict()
        self._services = 0

    def of(self, caller: str) -> int:
        return self._served.get(caller, 0)

    def serve(self, caller: str) -> Turn:
        self._services += 1
        turn = Turn(caller, self._services, self.of(caller))
        self._served[caller] = turn.service
        self._served.move_to_end(caller)
        if len(self._served) > self._size:
            self._served.popitem(last=False)
        return turn

    def take_back(self, turn: Turn) -> None:
        if self.of(turn.caller) == turn.service:  # else it was served again since
            self._served[turn.caller] = turn.before


class _Queue:
    """Those who want the same. The caller is next who was served longest ago, with the first of its requests.

    What has become later meanwhile, by a turn that was used here or in another queue, or a first request that left, is
    found when its caller comes to the front; what has become earlier is said (`place`).
    """

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self._waiting: dict[str, OrderedDict[Waiter, None]] = {}
        self._order: list[tuple[int, int, str]] = []
        """Turn, number of the first request, caller."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiter]:
        for waiters in self._waiting.values():
            yield from waiters

    def add(self, waiter: Waiter) -> None:
        caller = waiter.plan.caller
        waiters = self._waiting.setdefault(caller, OrderedDict())
        _insert(waiters, waiter)
        if next(iter(waiters)) is waiter:
            self.place(caller)

    def place(self, caller: str) -> None:
        """Put a caller where its turn and its first request belong, if it waits here."""
        if caller in self._waiting:
            heappush(self._order, self._rank(caller))
            self._tidy()

    def remove(self, waiter: Waiter) -> None:
        caller = waiter.plan.caller
        del self._waiting[caller][waiter]
        if not self._waiting[caller]:
            del self._waiting[caller]
        self._tidy()

    def front(self) -> Waiter:
        """Return who is next; the queue is not empty."""
        while True:
            *_, caller = self._order[0]
            if caller not in self._waiting:
                heappop(self._order)
                continue
            rank = self._rank(caller)
            if self._order[0] == rank:
                return next(iter(self._waiting[caller]))
            heapreplace(self._order, rank)

    def _rank(self, caller: str) -> tuple[int, int, str]:
        return self._turns.of(caller), next(iter(self._waiting[caller])).number, caller

    def _tidy(self) -> None:
        if len(self._order) > 2 * len(self._waiting) + _SPARE:
            self._order = [self._rank(caller) for caller in self._waiting]
            heapify(self._order)


class Line:
    """All who wait for a pool.

    Args:
        max_waiting: How many there may be.
    """

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self._queues: dict[Key, _Queue] = {}
        self._by_caller: dict[str, OrderedDict[Waiter, None]] = {}
        self._by_upstream: Counter[str] = Counter()
        self._turns = _Turns(max(_MIN_TURNS, 2 * max_waiting))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def waiting(self) -> Mapping[str, int]:
        """Upstream -> how many wait for it; who would take any of several is counted at each."""
        return dict(self._by_upstream)

    @property
    def upstreams(self) -> int:
        """How many upstreams are waited for."""
        return len(self._by_upstream)

    def join(
        self, plan: Plan, tried: Collection[Candidate], key: Key, latest: float, wake: Callable[[], None],
        full: CapacityError,
    ) -> Waiter:  # fmt: skip
        """Put a request in line.

        Args:
            plan: Where it may go.
            tried: Where it was.
            key: Of those who want the same.
            latest: When it gives up.
            wake: Is called when something was handed to it, or waiting is no use.
            full: Why it has to wait; its ``retry_after_s`` is told if it may not even do that.

        Raises:
            QueueFull: There is no room for it.
        """
        if self._count >= self.max_waiting:
            last = self._gives_way_to(plan)
            if last is None:
                raise _queue_full(full)
            self.leave(last)
            last.refuse(_queue_full(full))
        waiter = Waiter(plan, tried, key, latest, wake)
        self._enter(waiter)
        _insert(self._by_caller.setdefault(plan.caller, OrderedDict()), waiter)
        self._by_upstream.update({tier.upstream for tier in plan.tiers})
        self._count += 1
        return waiter

    def has_room(self, caller: str) -> bool:
        """Tell whether a caller may put one more in line: there is room, or somebody else takes up more."""
        if self._count < self.max_waiting:
            return True
        return self._count > 0 and len(self._by_caller.get(caller, ())) + 1 < len(self._by_caller[self._longest()])

    def leave(self, waiter: Waiter) -> None:
        """Take a request out of line; one that is not in it is none."""
        caller = waiter.plan.caller
        mine = self._by_caller.get(caller, OrderedDict())
        if waiter not in mine:
            return
        del mine[waiter]
        if not mine:
            del self._by_caller[caller]
        self._exit(waiter)
        for upstream in {tier.upstream for tier in waiter.plan.tiers}:
            self._by_upstream[upstream] -= 1
            if not self._by_upstream[upstream]:
                del self._by_upstream[upstream]
        self._count -= 1

    def change(self, waiter: Waiter, key: Key) -> None:
        """Put a request into another queue: it wants something else than those who it stood with."""
        self._exit(waiter)
        waiter.key = key
        self._enter(waiter)

    def fronts(self) -> list[Waiter]:
        """Return who is next in each queue, in the order in which they are to be asked."""
        fronts = [queue.front() for queue in self._queues.values()]
        return sorted(fronts, key=lambda waiter: (self._turns.of(waiter.plan.caller), waiter.number))

    def serve(self, waiter: Waiter, lease: Lease) -> Turn:
        """Hand a lease to somebody; its caller's next turn is when all others had theirs."""
        turn = self._turns.serve(waiter.plan.caller)
        self.leave(waiter)
        waiter.hand(lease)
        return turn

    def take_back(self, turn: Turn) -> None:
        """Note that what was handed to somebody was of no use to it."""
        self._turns.take_back(turn)
        for queue in self._queues.values():
            queue.place(turn.caller)

    def refuse(self, key: Key, refusal: GatewayError, opens_at: float) -> None:
        """Tell those of a queue that waiting is no use, who give up before anybody opens; each has its own refusal."""
        for waiter in list(self._queues[key]):
            if waiter.latest < opens_at:
                self.leave(waiter)
                waiter.refuse(copy(refusal))

    def _enter(self, waiter: Waiter) -> None:
        if waiter.key not in self._queues:
            self._queues[waiter.key] = _Queue(self._turns)
        self._queues[waiter.key].add(waiter)

    def _exit(self, waiter: Waiter) -> None:
        queue = self._queues[waiter.key]
        queue.remove(waiter)
        if not queue:
            del self._queues[waiter.key]

    def _gives_way_to(self, plan: Plan) -> Waiter | None:
        """Return who loses its place in a full line to a request; None: nobody."""
        has_room = self.has_room(plan.caller)
        waiters = self._by_caller.get(self._longest() if has_room else plan.caller)
        last = next(reversed(waiters)) if waiters else None
        return last if last is not None and (has_room or last.number > plan.arrival) else None

    def _longest(self) -> str:
        return max(self._by_caller, key=lambda caller: len(self._by_caller[caller]), default="")


def _insert(waiters: OrderedDict[Waiter, None], waiter: Waiter) -> None:
    """Put a request among those of its caller, in the order of arrival; a newcomer is the last."""
    later = list(takewhile(lambda other: other.number > waiter.number, reversed(waiters)))
    waiters[waiter] = None
    for other in reversed(later):
        waiters.move_to_end(other)


def _queue_full(full: CapacityError) -> QueueFull:
    return QueueFull("Too many requests wait for this model. Try again later.", retry_after_s=full.retry_after_s)


def most_waiting(limits: Iterable[int | None]) -> int:
    """Return how many may stand in line: twice as many as are served at a time, where that is known of all accounts."""
    told = tuple(limits)
    known = [limit for limit in told if limit is not None]
    return max(MIN_WAITING, 2 * sum(known)) if known and len(known) == len(told) else MAX_WAITING
