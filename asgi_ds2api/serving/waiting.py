"""Waits for an account: the one place where a request stands in line. Who is next is decided by the pool.

Nothing here runs beside a request. Whoever gives a slot back hands it on; what opens with time is found by those who
wait for it, at the time that was told.
"""

from collections.abc import Awaitable, Callable, Collection

import anyio

from ..errors import CapacityError, PoolExhausted, QueueTimeout
from ..pool.model import Candidate, Lease, Plan
from ..pool.pool import Pool
from ..state.contract import NotAdmitted
from .fleet import Fleet, pass_over_s


def slot_for(pool: Pool, plan: Plan, tried: Collection[Candidate]) -> Lease:
    """Take a slot at once, if somebody is free; elsewhere, if those are closed by whom a request is better served.

    Raises:
        CapacityError: Nobody is; or of those somebody is merely busy, and may be waited for.
    """
    try:
        return pool.acquire(plan, tried)
    except CapacityError as refusal:
        if not plan.otherwise or (isinstance(refusal, PoolExhausted) and refusal.is_busy):
            raise
    return pool.acquire(plan.loosened(), tried)


async def lease_for(pool: Pool, plan: Plan, max_wait_s: float, tried: Collection[Candidate] = ()) -> Lease:
    """Take a slot; wait for one that may come free in time.

    A request that is better served by some, and may go elsewhere, waits for those first.

    Args:
        pool: Whose.
        plan: Where the request may go.
        max_wait_s: Longest wait, in seconds.
        tried: Where it was.

    Raises:
        CapacityError: Nobody will be free in time; at once if that is known before. ``retry_after_s`` is that of the
            soonest.
        QueueFull: Too many wait already.
        QueueTimeout: Nobody came free in time.
    """
    if not plan.otherwise:
        return await _lease_for(pool, plan, max_wait_s, tried)
    latest = anyio.current_time() + max_wait_s
    try:
        return await _lease_for(pool, plan, max_wait_s, tried)
    except CapacityError:  # also where the line is full: it cannot even wait for them
        left_s = max(0.0, latest - anyio.current_time())
        return await _lease_for(pool, plan.loosened(), left_s, tried)


async def _lease_for(pool: Pool, plan: Plan, max_wait_s: float, tried: Collection[Candidate]) -> Lease:
    try:
        return pool.acquire(plan, tried)
    except PoolExhausted as exhausted:
        refusal: CapacityError = exhausted
    if not is_worth_waiting(refusal, max_wait_s):
        raise refusal
    woken = anyio.Event()
    latest = anyio.current_time() + max_wait_s
    waiter = pool.join(plan, tried, max_wait_s, woken.set, refusal)
    try:
        while True:
            left_s = latest - anyio.current_time()
            with anyio.move_on_after(max(0.0, min(left_s, refusal.retry_after_s or 0.0))):
                await woken.wait()
            lease = waiter.take()
            if lease is not None:
                return lease
            if waiter.refusal is not None:
                raise waiter.refusal
            found = pool.look(waiter)
            if found is None:
                continue
            left_s = latest - anyio.current_time()
            if left_s <= 0 or not is_worth_waiting(found, left_s):
                raise _timed_out(found)
            refusal = found
    finally:
        pool.leave(waiter)


async def granted(
    pool: Pool, fleet: Fleet, plan: Plan, lease: Lease,
    another: Callable[[], Awaitable[Lease]],
) -> Lease:  # fmt: skip
    """Return a lease that those who share its account grant: this one, or another in its place.

    Args:
        pool: Whose.
        fleet: Those who share the accounts.
        plan: Where the request may go.
        lease: That this process has given out.
        another: Takes a slot, or the place in line that leads to one, as long as the request may still wait.

    Raises:
        CapacityError: As `lease_for`.
    """
    while (refusal := await refusal_of(pool, fleet, plan, lease)) is not None:
        try:
            lease = await another()
        except CapacityError as full:
            full.retry_after_s = max(full.retry_after_s or 0.0, refusal.wait_s)
            raise
    return lease


async def refusal_of(pool: Pool, fleet: Fleet, plan: Plan, lease: Lease) -> NotAdmitted | None:
    """Ask those who share an account for an attempt on it; return why not. What they do not grant is given back."""
    is_answered = False
    try:
        refusal = await fleet.admit(lease, plan.demand)
        is_answered = True
    finally:
        if not is_answered:
            pool.put_back(lease)
    if refusal is not None:
        pool.refuse(lease, pass_over_s(refusal))
    return refusal


def is_worth_waiting(refusal: CapacityError, max_wait_s: float) -> bool:
    """Tell whether somebody may come free in time."""
    if not isinstance(refusal, PoolExhausted) or max_wait_s <= 0:
        return False
    return refusal.is_busy or (refusal.retry_after_s is not None and refusal.retry_after_s <= max_wait_s)


def _timed_out(refusal: CapacityError) -> CapacityError:
    """Return what a caller is told who waited in vain."""
    if isinstance(refusal, PoolExhausted) and refusal.is_busy:
        return QueueTimeout("No account came free in time. Try again later.", retry_after_s=refusal.retry_after_s)
    return refusal
