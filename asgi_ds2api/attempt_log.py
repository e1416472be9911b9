"""What is told of one attempt once it is over."""

from .errors import UpstreamError
from .observe import Attempt
from .pool.model import Lease


def attempt_of(lease: Lease, error: UpstreamError | None, *, is_settled: bool, duration_s: float) -> Attempt:
    """Return what the Record says of an attempt.

    Args:
        lease: Whom it asked.
        error: What the upstream did wrong; None: nothing that we saw.
        is_settled: Whether it came to an end of its own; else the caller left, or it was cut.
        duration_s: How long it took.
    """
    candidate = lease.candidate
    return Attempt(
        upstream=candidate.account.upstream,
        account=candidate.account.label,
        model=candidate.model,
        code=error.code if error is not None else "ok" if is_settled else "abandoned",
        status=error.upstream_status if error is not None else 200 if is_settled else None,
        duration_s=duration_s,
    )
