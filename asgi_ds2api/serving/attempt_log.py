"""What is told of one attempt once it is over."""

from ..canonical import Usage
from ..errors import UpstreamError
from ..observe import Attempt
from ..pool.model import Lease, Spent


def attempt_of(lease: Lease, error: UpstreamError | None, code: str, *, duration_s: float) -> Attempt:
    """Return what the Record says of an attempt.

    Args:
        lease: Whom it asked.
        error: What the upstream did wrong; None: nothing that we saw.
        code: How it ended without an error: ``ok``; ``hedge_lost``: another one was first; ``abandoned``: the caller
            left, or it was cut.
        duration_s: How long it took.
    """
    candidate = lease.candidate
    return Attempt(
        upstream=candidate.account.upstream,
        account=candidate.account.label,
        model=candidate.model,
        code=code if error is None else error.code,
        status=error.upstream_status if error is not None else 200 if code == "ok" else None,
        duration_s=duration_s,
    )


def spent_of(usage: Usage | None, error: UpstreamError | None, *, is_committed: bool) -> Spent | None:
    """Return what an attempt cost, as far as it was told or seen; None: nobody knows.

    Args:
        usage: Of its answer, perhaps estimated.
        error: Why it failed, if it did. Before an answer that costs nothing.
        is_committed: Its answer has reached the caller.
    """
    if error is not None and not (error.may_be_billed or is_committed):
        return Spent()
    if usage is None:
        return None
    read = usage.input_total or 0
    return Spent(read + (usage.output_total or 0), read, usage.cache_read or 0)
