"""What the failure of one attempt means for the next one, and for the caller. Pure."""

from ..errors import CapacityError, GatewayError, RateLimited, Refused, UpstreamError


def may_be_asked_elsewhere(error: UpstreamError) -> bool:
    """Tell whether another candidate may be asked: not what all would refuse, nor what may have been billed."""
    is_absent_model = isinstance(error, Refused) and error.kind == "model_not_found"
    return is_absent_model or (error.is_retryable and not error.may_be_billed)


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
