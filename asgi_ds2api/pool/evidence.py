"""What an error says about whom: a pure table from our error classes to effects.

An effect names the narrowest scope that the evidence supports. What is the caller's fault, or ours, is `Neutral`.
"""

from ..errors import (
    Interrupted,
    KeyRefused,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFault,
    Timeout,
    Unreachable,
    UpstreamError,
)
from .model import Cool, Disable, Effect, Fail, Neutral

HOUR_S = 3_600.0
DAY_S = 86_400.0
ABSENT_MODEL_S = 600.0
"""How long an account is not asked again for a model that it does not know."""
SLOW_WEIGHT = 0.5
"""An answer that did not come in time may have been a long thought: it counts half."""


def effect_of(error: UpstreamError) -> Effect:
    """Return what an error says about the origin, the account, or the account for this model."""
    match error:
        case RateLimited():
            cap_s = DAY_S if error.is_daily else HOUR_S
            return Cool(scope=error.scope, reason="rate_limited", hint_s=error.retry_after_s, cap_s=cap_s)
        case QuotaExhausted():
            return Disable(reason="quota")
        case KeyRefused(is_origin_wide=True):
            return Fail(scope="origin", reason="blocked")
        case KeyRefused():
            return Disable(reason="auth", is_certain=error.is_key_invalid)
        case Refused(kind="model_not_found"):
            return Cool(scope="model", reason="model_not_found", hint_s=ABSENT_MODEL_S, is_capped=True)
        case Refused():
            return Neutral()
        case _:
            return _effect_of_fault(error)


def is_of_the_key(error: UpstreamError) -> bool:
    """Tell whether an error is about the account that was asked: its server may serve another one's key."""
    match error:
        case KeyRefused(is_origin_wide=True):
            return False
        case RateLimited() | QuotaExhausted() | KeyRefused() | UpstreamError(code="key_unavailable"):
            return True
        case Refused():
            return error.kind in ("model_not_found", "foreign_reasoning", "unknown_file")
        case _:
            return False


def _effect_of_fault(error: UpstreamError) -> Effect:
    """Judge what no server says on purpose."""
    match error:
        case Overloaded(retry_after_s=float() | int()):
            return Cool(scope="origin", reason="overloaded", hint_s=error.retry_after_s)
        case Timeout(upstream_status=408):
            return Neutral()
        case (
            Overloaded(upstream_status=503)
            | ServerFault(upstream_status=502)
            | Timeout(code=Timeout.code, may_be_billed=False)
        ):  # the last as a gateway before the provider says it, or an error inside a 200; ours have codes of their own
            return Fail(scope="account", reason="gateway_fault", blames_origin=True)
        case Overloaded():
            return Fail(scope="origin", reason="overloaded")
        case ServerFault():
            return Fail(scope="account", reason="server_fault")
        case Unreachable():
            return Fail(scope="origin", reason="unreachable")
        case Timeout(may_be_billed=False):
            return Fail(scope="origin", reason="timeout")
        case Timeout():
            return Fail(scope="account", reason="timeout", weight=SLOW_WEIGHT)
        case Interrupted():
            return Fail(scope="account", reason="interrupted")
        case UpstreamError(code="key_unavailable"):
            return Fail(scope="account", reason="no_key")
        case _:  # Malformed, and whatever else is not an answer
            return Fail(scope="account", reason="malformed")
