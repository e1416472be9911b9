"""The pool at one moment, as an operator may see it: labels, never a key."""

from collections.abc import Iterable, Mapping
from math import inf

from . import health
from .affinity import Tally
from .gates import Gate
from .model import AccountStatus, ModelStatus, Origin, OriginStatus, PoolSnapshot
from .slots import Server, Slot


def snapshot_of(
    slots: Iterable[Slot],
    servers: Mapping[Origin, Server],
    *,
    waiting: Mapping[str, int],
    affinity: Mapping[str, Tally],
    transitions: Mapping[str, int],
    stray_releases: int,
    now: float,
) -> PoolSnapshot:
    """Return the whole pool.

    Args:
        slots: In the order of the configuration.
        servers: By their origins.
        waiting: See `PoolSnapshot`.
        affinity: Of upstreams with more than one account.
        transitions: See `PoolSnapshot`.
        stray_releases: See `PoolSnapshot`.
        now: The present.
    """
    return PoolSnapshot(
        accounts=tuple([_account_status(slot, now) for slot in slots]),
        origins=tuple(
            [
                OriginStatus(
                    origin=str(origin),
                    state=health.state_name(server.gate.state),
                    reason=_reason(server.gate),
                    opens_in_s=_opens_in_s(server.gate, now),
                )
                for origin, server in servers.items()
            ]
        ),
        waiting=waiting,
        affinity=tuple([tally.status(upstream) for upstream, tally in affinity.items()]),
        transitions=transitions,
        stray_releases=stray_releases,
    )


def _account_status(slot: Slot, now: float) -> AccountStatus:
    account, gate, meter = slot.account, slot.gate, slot.meter
    requests_left, tokens_left = meter.left(now)
    return AccountStatus(
        upstream=account.upstream,
        label=account.label,
        origin=str(account.origin),
        weight=account.weight,
        state=health.state_name(gate.state),
        reason=_reason(gate),
        opens_in_s=_opens_in_s(gate, now),
        in_flight=slot.in_flight,
        completed=slot.completed,
        failed=slot.failed,
        abandoned=slot.abandoned,
        ewma_s=_ewma_s(slot),
        max_in_flight=None if meter.max_in_flight == inf else int(meter.max_in_flight),
        requests_left=requests_left,
        tokens_left=tokens_left,
        models=tuple(
            [
                ModelStatus(
                    model=model,
                    state=health.state_name(narrow.state),
                    reason=_reason(narrow),
                    opens_in_s=_opens_in_s(narrow, now),
                )
                for model, narrow in gate.models.items()
                if not narrow.is_healthy
            ]
        ),
    )


def _reason(gate: Gate) -> str:
    why = health.closed(gate.state)
    return "" if why is None else why.reason


def _opens_in_s(gate: Gate, now: float) -> float:
    opens_at = gate.opens_at
    return health.SHUT_S if opens_at == inf else max(0.0, opens_at - now)  # a number, as this may become JSON


def _ewma_s(slot: Slot) -> float | None:
    latency = slot.group.rotation.standings.latencies[slot.index]
    return None if latency is None else latency.value_s
