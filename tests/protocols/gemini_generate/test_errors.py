"""Errors of the vendor, read."""

import json
from typing import Any

import pytest

from asgi_ds2api.errors import KeyRefused, Overloaded, QuotaExhausted, RateLimited, Refused
from asgi_ds2api.protocols.gemini_generate import decode_error

RPC = "type.googleapis.com/google.rpc."


def body(code: int, message: str, status: str, *details: dict[str, Any]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


def test_refused_key_is_the_gateways_own() -> None:
    reason = {"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID"}
    error = decode_error(400, {}, body(400, "API key not valid.", "INVALID_ARGUMENT", reason))
    assert isinstance(error, KeyRefused)
    assert error.is_key_invalid


def test_too_long_talk_is_told_with_its_figures() -> None:
    message = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
    error = decode_error(400, {}, body(400, message, "INVALID_ARGUMENT"))
    assert isinstance(error, Refused)
    assert (error.kind, error.tokens, error.max_tokens) == ("context_too_long", 9000, 8192)


@pytest.mark.parametrize(("quota", "is_daily"), [("RequestsPerMinute", False), ("RequestsPerDayPerProject", True)])
def test_limit_is_no_spent_quota(quota: str, is_daily: bool) -> None:
    details: list[dict[str, Any]] = [
        {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": quota}]},
        {"@type": f"{RPC}RetryInfo", "retryDelay": "7.5s"},
    ]
    message = "You exceeded your current quota, please check your plan and billing details."
    error = decode_error(429, {}, body(429, message, "RESOURCE_EXHAUSTED", *details))
    assert isinstance(error, RateLimited)
    assert (error.is_daily, error.retry_after_s) == (is_daily, 7.5)


def test_money_that_is_spent_is_a_spent_quota_or_a_limit() -> None:
    error = decode_error(402, {}, body(402, "Your prepaid credits are depleted.", "RESOURCE_EXHAUSTED"))
    assert isinstance(error, QuotaExhausted)


@pytest.mark.parametrize("wrapped", [False, True])
def test_error_may_stand_in_a_list(wrapped: bool) -> None:
    data = body(503, "The model is overloaded.", "UNAVAILABLE")
    assert isinstance(decode_error(503, {}, b"[" + data + b"]" if wrapped else data), Overloaded)


def test_field_at_fault_is_named() -> None:
    violation = {"@type": f"{RPC}BadRequest", "fieldViolations": [{"field": "contents[0].role"}]}
    assert decode_error(400, {}, body(400, "bad", "INVALID_ARGUMENT", violation)).param == "contents[0].role"
