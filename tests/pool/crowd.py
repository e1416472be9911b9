"""Requests that come to a pool that has no room for them, and stand in line there."""

from collections.abc import Collection
from typing import Any

import pytest

from asgi_ds2api.errors import PoolExhausted
from asgi_ds2api.pool.line import Waiter
from asgi_ds2api.pool.model import Candidate, Lease, Plan, Target

from .rig import Rig, accounts


class Crowd:
    """Requests that come to a pool, and stand in line if nobody is free for them.

    Args:
        rig: The pool.
        wait_s: How long each would wait.
    """

    def __init__(self, rig: Rig, wait_s: float = 1_000.0) -> None:
        self.rig = rig
        self.woken: list[str] = []
        self._wait_s = wait_s

    def plan(self, caller: str = "", model: str = "m", upstream: str = "openai", *only: str) -> Plan:
        target = Target(upstream=upstream, model=model)
        return self.rig.pool.plan([target], allowed=only or None, caller=caller)

    def come(self, name: str, plan: Plan | None = None, tried: Collection[Candidate] = ()) -> Waiter:
        """Let a request come that finds nobody."""
        plan = plan or self.plan()
        with pytest.raises(PoolExhausted) as caught:
            self.rig.pool.acquire(plan, tried)
        return self.rig.pool.join(plan, tried, self._wait_s, lambda: self.woken.append(name), caught.value)

    def end(self, lease: Lease | None) -> None:
        assert lease is not None
        self.rig.pool.release(lease)


def full(count: int = 1, concurrency: int = 1, **options: Any) -> tuple[Rig, list[Lease]]:
    """Return a pool whose slots are all taken, and the leases."""
    rig = Rig(accounts(count, concurrency=concurrency), **options)
    return rig, [rig.acquire() for _ in range(count * concurrency)]
