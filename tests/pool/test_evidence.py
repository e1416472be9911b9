"""What each error says about whom."""

import pytest

from asgi_ds2api import errors
from asgi_ds2api.errors import (
    Interrupted,
    Malformed,
    Overloaded,
    QuotaExhausted,
    ServerFault,
    Timeout,
    Unreachable,
    UpstreamError,
)
from asgi_ds2api.pool.evidence import effect_of
from asgi_ds2api.pool.model import Cool, Disable, Effect, Fail, Neutral

from .verdicts import limited, refused, unauthorized

TABLE = [
    pytest.param(Unreachable("no"), Fail(scope="origin", reason="unreachable"), id="F1-connection-refused"),
    pytest.param(
        Timeout("slow", code="connect_timeout"), Fail(scope="origin", reason="timeout"), id="F6-connect-timeout"
    ),
    pytest.param(Interrupted("cut"), Fail(scope="account", reason="interrupted"), id="F14-lost"),
    pytest.param(
        Timeout("slow", may_be_billed=True),
        Fail(scope="account", reason="timeout", weight=0.5),
        id="F15-first-byte-timeout",
    ),
    pytest.param(Malformed("html"), Fail(scope="account", reason="malformed"), id="F18-bad-protocol"),
    pytest.param(limited(7), Cool(scope="account", reason="rate_limited", hint_s=7), id="F23-retry-after"),
    pytest.param(
        limited(51820.6, by_model=True, is_daily=True),
        Cool(scope="model", reason="rate_limited", hint_s=51820.6, cap_s=86_400),
        id="F26-quota-per-day",
    ),
    pytest.param(limited(), Cool(scope="account", reason="rate_limited"), id="F27-no-hint"),
    pytest.param(QuotaExhausted("pay"), Disable(reason="quota"), id="F29-quota"),
    pytest.param(limited(by_model=True), Cool(scope="model", reason="rate_limited"), id="F30-model-limit"),
    pytest.param(unauthorized(is_key_invalid=True), Disable(reason="auth", is_certain=True), id="F31-key-invalid"),
    pytest.param(unauthorized(), Disable(reason="auth", is_certain=False), id="F31-plain-401"),
    pytest.param(unauthorized(is_origin_wide=True), Fail(scope="origin", reason="blocked"), id="F32-firewall-page"),
    *[
        pytest.param(refused(kind), Neutral(), id=f"F33-{kind}")
        for kind in ("invalid_request", "context_too_long", "content_blocked", "not_found", "too_large", "conflict")
    ],
    pytest.param(
        refused("model_not_found"),
        Cool(scope="model", reason="model_not_found", hint_s=600, is_capped=True),
        id="F33-model-not-found",
    ),
    pytest.param(Timeout("slow", upstream_status=408), Neutral(), id="F34-408"),
    pytest.param(ServerFault("oops", upstream_status=500), Fail(scope="account", reason="server_fault"), id="F35-500"),
    *[
        pytest.param(error, Fail(scope="account", reason="gateway_fault", blames_origin=True), id=f"F36-{status}")
        for status, error in (
            (502, ServerFault("bad", upstream_status=502)),
            (503, Overloaded("full", upstream_status=503)),
            (504, Timeout("slow", upstream_status=504)),
            ("504-inside-a-200", Timeout("slow")),
        )
    ],
    pytest.param(Overloaded("full", upstream_status=529), Fail(scope="origin", reason="overloaded"), id="F37-529"),
    pytest.param(Overloaded("full"), Fail(scope="origin", reason="overloaded"), id="F49-overloaded-inside-a-200"),
    pytest.param(
        Overloaded("full", upstream_status=503, retry_after_s=12),
        Cool(scope="origin", reason="overloaded", hint_s=12),
        id="F38-503-with-retry-after",
    ),
    pytest.param(Malformed("empty"), Fail(scope="account", reason="malformed"), id="F43-empty-body"),
    pytest.param(
        UpstreamError("no key", code="key_unavailable"), Fail(scope="account", reason="no_key"), id="key-unavailable"
    ),
    pytest.param(UpstreamError("?"), Fail(scope="account", reason="malformed"), id="unknown-kind"),
]


@pytest.mark.parametrize(("error", "expected"), TABLE)
def test_evidence_goes_to_the_narrowest_scope(error: UpstreamError, expected: Effect) -> None:
    assert effect_of(error) == expected


def test_every_error_of_an_upstream_is_in_the_table() -> None:
    judged = {type(param.values[0]) for param in TABLE}
    ours = {kind for kind in UpstreamError.__subclasses__() if kind.__module__ == errors.__name__}
    assert judged == {UpstreamError, *ours}
