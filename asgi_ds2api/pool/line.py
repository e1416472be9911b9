"""Requests that wait for an account: who is next, and how many there may be. Knows callers and plans, no accounts.

Those who want the same wait in one queue. Callers take turns: next is who was served longest ago, in a queue and over
all of them, and the requests of one caller are served in the order in which they came. So a caller with a hundred
requests does not push back one who has a single one.

A line that is full takes a newcomer only in place of the last request of the caller who has most of them.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import TypeAlias

from ..errors import CapacityError, GatewayError, QueueFull
from .model import Candidate, Lease, Plan, Tier

Key: TypeAlias = tuple[tuple[Tier, ...], int, frozenset[Candidate]]
"""Those who want the same: if one of them finds nobody, none of them does."""


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
        number: In the order of arrival.
        latest: When it gives up, in seconds of the pool's clock.
        lease: What was handed to it, until it takes it.
        refusal: Why it need not wait any longer.
    """

    __slots__ = ("_wake", "key", "latest", "lease", "number", "plan", "refusal", "tried")

    def __init__(
        self,
        plan: Plan,
        tried: Collection[Candidate],
        latest: float,
        number: int,
        wake: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.tried = frozenset(tried)
        self.latest = latest
        self.number = number
        self.key: Key = (plan.tiers, plan.need, self.tried)
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

    def serve(self, caller: str) -> None:
        self._services += 1
        self._served[caller] = self._services
        self._served.move_to_end(caller)
        if len(self._served) > self._size:
            self._served.popitem(last=False)


class _Queue:
    """Those who want the same. The caller is next who was served longest ago, with the first of its requests.

    A turn that was used meanwhile, here or in another queue, is found when its caller comes to the front.
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
        if caller not in self._waiting:
            self._waiting[caller] = OrderedDict()
            heappush(self._order, (self._turns.of(caller), waiter.number, caller))
        self._waiting[caller][waiter] = None

    def remove(self, waiter: Waiter) -> None:
        caller = waiter.plan.caller
        del self._waiting[caller][waiter]
        if not self._waiting[caller]:
            del self._waiting[caller]
        if len(self._order) > 2 * len(self._waiting) + _SPARE:
            self._order = [
                (self._turns.of(caller), next(iter(w)).number, caller) for caller, w in self._waiting.items()
            ]
            heapify(self._order)

    def front(self) -> Waiter:
        """Return who is next; the queue is not empty."""
        while True:
            turn, _, caller = self._order[0]
            waiters = self._waiting.get(caller)
            if waiters is None:
                heappop(self._order)
                continue
            first = next(iter(waiters))
            if turn == self._turns.of(caller):
                return first
            heapreplace(self._order, (self._turns.of(caller), first.number, caller))


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
        self._arrivals = 0

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
        self, plan: Plan, tried: Collection[Candidate], latest: float, wake: Callable[[], None], full: CapacityError
    ) -> Waiter:
        """Put a request in line.

        Args:
            plan: Where it may go.
            tried: Where it was.
            latest: When it gives up.
            wake: Is called when something was handed to it, or waiting is no use.
            full: Why it has to wait; its ``retry_after_s`` is told if it may not even do that.

        Raises:
            QueueFull: There is no room for it.
        """
        if self._count >= self.max_waiting:
            longest = self._longest()
            if not self.has_room(plan.caller):
                raise _queue_full(full)
            last = next(reversed(self._by_caller[longest]))
            self.leave(last)
            last.refuse(_queue_full(full))
        self._arrivals += 1
        waiter = Waiter(plan, tried, latest, self._arrivals, wake)
        if waiter.key not in self._queues:
            self._queues[waiter.key] = _Queue(self._turns)
        self._queues[waiter.key].add(waiter)
        self._by_caller.setdefault(plan.caller, OrderedDict())[waiter] = None
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
        queue = self._queues[waiter.key]
        queue.remove(waiter)
        if not queue:
            del self._queues[waiter.key]
        for upstream in {tier.upstream for tier in waiter.plan.tiers}:
            self._by_upstream[upstream] -= 1
            if not self._by_upstream[upstream]:
                del self._by_upstream[upstream]
        self._count -= 1

    def fronts(self) -> list[Waiter]:
        """Return who is next in each queue, in the order in which they are to be asked."""
        fronts = [queue.front() for queue in self._queues.values()]
        return sorted(fronts, key=lambda waiter: (self._turns.of(waiter.plan.caller), waiter.number))

    def serve(self, waiter: Waiter, lease: Lease) -> None:
        """Hand a lease to somebody; its caller's next turn is when all others had theirs."""
        self._turns.serve(waiter.plan.caller)
        self.leave(waiter)
        waiter.hand(lease)

    def refuse(self, key: Key, refusal: GatewayError, opens_at: float) -> None:
        """Tell those of a queue that waiting is no use, who give up before anybody opens."""
        for waiter in list(self._queues[key]):
            if waiter.latest < opens_at:
                self.leave(waiter)
                waiter.refuse(refusal)

    def _longest(self) -> str:
        return max(self._by_caller, key=lambda caller: len(self._by_caller[caller]), default="")


def _queue_full(full: CapacityError) -> QueueFull:
    return QueueFull("Too many requests wait for this model. Try again later.", retry_after_s=full.retry_after_s)


def most_waiting(limits: Iterable[int | None]) -> int:
    """Return how many may stand in line: twice as many as are served at a time, where that is known of all accounts."""
    told = tuple(limits)
    known = [limit for limit in told if limit is not None]
    return max(MIN_WAITING, 2 * sum(known)) if known and len(known) == len(told) else MAX_WAITING
