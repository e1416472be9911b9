"""What the failure of one attempt means for the next one, and for the caller. Pure."""

import msgspec

from ..errors import CapacityError, GatewayError, RateLimited, Refused, UpstreamError
from ..pool.model import Plan


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
    if error.status >= 500:
        error.should_retry = False
    return error


def more_telling(last: UpstreamError, full: CapacityError) -> GatewayError:
    """Return what tells the caller more: why the last attempt failed, or that a slot comes free sooner than it says."""
    is_sooner = full.retry_after_s is not None and (
        last.retry_after_s is None or full.retry_after_s < last.retry_after_s
    )
    return full if isinstance(last, RateLimited) and full.status == 429 and is_sooner else last
