"""Takes a snapshot of a running gateway: asks each of its parts what it knows."""

from typing import Protocol, runtime_checkable

from ..budgets import uses
from ..serving.engine import Engine
from ..state.contract import StateStore
from .snapshot import CallerView, Snapshot, StateKind, StateView, snapshot_of


@runtime_checkable
class Sharing(Protocol):
    """What a store tells that goes on alone when others are out of reach."""

    @property
    def switches(self) -> int:
        """How often it did."""
        ...

    @property
    def dropped(self) -> int:
        """Facts that others will not find."""
        ...


def take(engine: Engine, kind: StateKind) -> Snapshot:
    """Return the gateway as it is now.

    Args:
        engine: Its parts.
        kind: Where its state is kept.
    """
    wall_now = engine.wall_now()
    return snapshot_of(
        engine.pool.snapshot(),
        _callers(engine, wall_now),
        _state(engine.store, kind),
        engine.observatory.counters(),
        engine.costs.saved_usd,
        active=len(engine.active),
        is_draining=engine.is_draining,
        wall_now=wall_now,
    )


def _callers(engine: Engine, wall_now: float) -> list[CallerView]:
    return [
        CallerView(
            caller=label,
            in_flight=engine.spenders.in_flight(label),
            max_in_flight=limits.concurrency,
            limits=uses(label, limits, engine.store.used, wall_now),
        )
        for label, limits in engine.spenders
    ]


def _state(store: StateStore, kind: StateKind) -> StateView:
    switches, dropped = (store.switches, store.dropped) if isinstance(store, Sharing) else (0, 0)
    return StateView(
        kind=kind, is_shared=store.is_shared, is_alone=store.is_alone, switches=switches, dropped=dropped
    )  # fmt: skip
