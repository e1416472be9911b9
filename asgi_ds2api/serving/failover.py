"""What the failure of one attempt means for the next one, and for the caller. Pure.

Pauses are full jitter, as AWS describes it ("Exponential backoff and jitter", 2015): all who failed at the same moment
come back at different ones. So do those who are told when somebody will be free (`spread_out`).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from ..errors import (
    CapacityError,
    GatewayError,
    NoCapacity,
    Overloaded,
    PoolExhausted,
    QueueFull,
    QueueTimeout,
    RateLimited,
    Refused,
    ServerFault,
    Timeout,
    UpstreamError,
)
from ..pool.model import Plan

FIRST_PAUSE_S: Final = 0.2
"""Longest pause behind a first failure; doubled with each further one."""
MAX_PAUSE_S: Final = 2.0
OVERLOAD_PAUSE_S: Final = 1.0
"""Shortest pause before a provider is asked again that has said that it has too much to do (529)."""
SPREAD: Final = 0.1
"""By which part of the time that a caller is told to wait it is told more, at most."""
MIN_LEFT_S: Final = 1.0
"""Less than that is too short for another attempt."""


def may_be_asked_elsewhere(error: UpstreamError) -> bool:
    """Tell whether another candidate may be asked: not what all would refuse, nor what may have been billed."""
    is_absent = isinstance(error, Refused) and error.kind in ("model_not_found", "unknown_file")
    return is_absent or (error.is_retryable and not error.may_be_billed)


def following_plan(plan: Plan, error: UpstreamError, upstream: str) -> Plan:
    """Return where a request may go after an upstream failed: a file may be with another account of that upstream."""
    if not (isinstance(error, Refused) and error.kind == "unknown_file"):
        return plan
    tiers, otherwise = ([tier for tier in some if tier.upstream == upstream] for some in (plan.tiers, plan.otherwise))
    return msgspec.structs.replace(plan, tiers=tuple(tiers), otherwise=tuple(otherwise))


def decisive(first: UpstreamError, second: UpstreamError) -> UpstreamError:
    """Return which of two failures says what comes next: as if the second had been asked after the first had failed."""
    return second if may_be_asked_elsewhere(first) else first


def without_retry(error: UpstreamError) -> UpstreamError:
    """Return an error whose repetition by an SDK would multiply our attempts by its own."""
    error.should_retry = False
    return error


def pause_s(error: UpstreamError, failures: int, rng: Callable[[], float]) -> float:
    """Return how long to wait before the same provider is asked once more, by another account or for another model.

    Args:
        error: Of the last attempt. What is wrong with an account alone, or with the way to the provider, is no reason
            to wait.
        failures: Attempts that failed so far, 1 or more.
        rng: Returns floats in [0, 1).
    """
    if not isinstance(error, ServerFault | Overloaded | Timeout):
        return 0.0
    pause = rng() * min(MAX_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (failures - 1))
    return OVERLOAD_PAUSE_S + pause if error.upstream_status == 529 else pause


def more_telling(last: UpstreamError, full: CapacityError) -> GatewayError:
    """Return what tells the caller more: why the last attempt failed, or that a slot comes free sooner than it says."""
    is_sooner = full.retry_after_s is not None and (
        last.retry_after_s is None or full.retry_after_s < last.retry_after_s
    )
    return full if isinstance(last, RateLimited) and full.status == 429 and is_sooner else last


def spread_out(error: GatewayError, rng: Callable[[], float]) -> GatewayError:
    """Return what a caller is told for whom nobody is free: when to come back, by chance a little later than others.

    Whoever waits here does so by the exact time. A caller's own limits are told exactly, and an upstream's words pass
    as they came.

    Args:
        error: Its caller's alone.
        rng: Returns floats in [0, 1).
    """
    is_told_to_many = isinstance(error, PoolExhausted | NoCapacity | QueueFull | QueueTimeout)
    if is_told_to_many and error.retry_after_s is not None:
        error.retry_after_s *= 1.0 + SPREAD * rng()
    return error
