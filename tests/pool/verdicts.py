"""What an upstream says, as the pool is told."""

from asgi_ds2api.errors import KeyRefused, RateLimited, RefusalKind, Refused


def limited(retry_after_s: float | None = None, *, by_model: bool = False, is_daily: bool = False) -> RateLimited:
    """Return a 429, of the account or of the account for this model."""
    error = RateLimited("limit", retry_after_s=retry_after_s)
    error.scope = "model" if by_model else "account"
    error.is_daily = is_daily
    return error


def unauthorized(*, is_key_invalid: bool = False, is_origin_wide: bool = False) -> KeyRefused:
    """Return a 401: the key itself is named, or it is a firewall's page, or nobody knows."""
    error = KeyRefused("no")
    error.is_key_invalid = is_key_invalid
    error.is_origin_wide = is_origin_wide
    return error


def refused(kind: RefusalKind) -> Refused:
    """Return what the upstream thinks wrong with the request."""
    error = Refused("no")
    error.kind = kind
    return error
