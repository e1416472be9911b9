"""Errors, both ways: whatever an upstream says becomes ours, and ours comes out as the SDK's own class."""

import json
from typing import Any

import anthropic
import httpx2
import pytest

from asgi_ds2api.errors import (
    AuthorizerFailed,
    Forbidden,
    GatewayError,
    HeadersTooLarge,
    InternalError,
    Interrupted,
    KeyRefused,
    Malformed,
    MalformedRequest,
    MethodNotAllowed,
    NoCapacity,
    Overloaded,
    PoolExhausted,
    QuotaExhausted,
    RateLimited,
    Refused,
    RequestTimeout,
    RequestTooLarge,
    ServerFault,
    ShuttingDown,
    Timeout,
    Unauthenticated,
    UnknownModel,
    UnknownRoute,
    Unreachable,
    Unsupported,
    UpstreamError,
)
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import Recording, recorded_params

SECRET = "sk-ant-api03-SECRETSECRETSECRET"


def vendor(kind: str, message: str, **details: str) -> bytes:
    error: dict[str, object] = {"type": kind, "message": message}
    if details:
        error["details"] = details
    return json.dumps({"type": "error", "error": error, "request_id": "req_u"}).encode()


def decode(status: int, body: bytes, **headers: str) -> UpstreamError:
    return codec.decode_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


INVALID = "invalid_request_error"
DECODED: list[Any] = [
    pytest.param(400, vendor(INVALID, "max_tokens: too large"), Refused, {"kind": "invalid_request"}, id="400"),
    pytest.param(
        400,
        vendor(INVALID, "prompt is too long: 215032 tokens > 200000 maximum"),
        Refused,
        {"kind": "context_too_long", "tokens": 215032, "max_tokens": 200000},
        id="C23-too-long",
    ),
    pytest.param(
        400,
        vendor(INVALID, "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease"),
        Refused,
        {"kind": "context_too_long", "tokens": 209573, "max_tokens": 200000},
        id="context-limit",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, your messages resulted in'
        b' 9000 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}',
        Refused,
        {"kind": "context_too_long", "tokens": 9000, "max_tokens": 8192},
        id="openai-C23",
    ),
    pytest.param(400, vendor(INVALID, "Your credit balance is too low"), QuotaExhausted, {}, id="credit"),
    pytest.param(
        429, vendor("rate_limit_error", "x", error_code="enforced_spend_limit_reached"), QuotaExhausted, {}, id="spend"
    ),
    pytest.param(402, vendor("billing_error", "pay"), QuotaExhausted, {"should_retry": False}, id="402"),
    pytest.param(
        401, vendor("authentication_error", "invalid x-api-key"), KeyRefused, {"is_key_invalid": True}, id="C22-401"
    ),
    pytest.param(
        403,
        vendor("permission_error", "Your organization may not use this"),
        KeyRefused,
        {"is_key_invalid": False, "is_origin_wide": False, "should_retry": False},
        id="403",
    ),
    pytest.param(403, b"<!DOCTYPE html><title>Blocked</title>", KeyRefused, {"is_origin_wide": True}, id="firewall"),
    pytest.param(404, vendor("not_found_error", "model: claude-x"), Refused, {"kind": "model_not_found"}, id="model"),
    pytest.param(404, vendor("not_found_error", "Not Found"), Refused, {"kind": "not_found", "status": 404}, id="404"),
    pytest.param(409, vendor("conflict_error", "busy"), Refused, {"kind": "conflict", "status": 409}, id="409"),
    pytest.param(413, vendor("request_too_large", "big"), Refused, {"kind": "too_large", "status": 413}, id="413"),
    pytest.param(
        422, b'{"detail":[{"loc":["body","x"],"msg":"bad"}]}', Refused, {"message": "body.x: bad"}, id="fastapi"
    ),
    pytest.param(
        429,
        vendor("rate_limit_error", "exceed the rate limit for your organization of 1 (model: claude)"),
        RateLimited,
        {"scope": "model", "is_daily": False},
        id="C21-429-model",
    ),
    pytest.param(
        429,
        vendor("rate_limit_error", "Number of requests per day"),
        RateLimited,
        {"scope": "account", "is_daily": True},
        id="daily",
    ),
    pytest.param(
        429, b'{"error":{"message":"Please try again in 1.2s."}}', RateLimited, {"retry_after_s": 1.2}, id="try-again"
    ),
    pytest.param(429, b'{"message":"try again in 250ms"}', RateLimited, {"retry_after_s": 0.25}, id="milliseconds"),
    pytest.param(500, vendor("api_error", "Internal server error"), ServerFault, {"status": 502}, id="500"),
    pytest.param(502, b"<html><body>Bad Gateway</body></html>", ServerFault, {}, id="html"),
    pytest.param(504, vendor("timeout_error", "late"), Timeout, {}, id="504"),
    pytest.param(529, vendor("overloaded_error", "Overloaded"), Overloaded, {}, id="529"),
    pytest.param(503, b"", Overloaded, {}, id="C22-503-empty"),
    pytest.param(400, b"plain words", Refused, {"message": "plain words"}, id="plain"),
    pytest.param(
        400, b'[{"error":{"code":400,"message":"array","status":"X"}}]', Refused, {"message": "array"}, id="array"
    ),
    pytest.param(400, b'{"detail":"why"}', Refused, {"message": "why"}, id="detail"),
    pytest.param(400, b'{"object":"error","message":"vllm"}', Refused, {"message": "vllm"}, id="vllm"),
    pytest.param(400, b'{"error":"text"}', Refused, {"message": "text"}, id="text"),
    pytest.param(400, b"\xff\xfe", Refused, {}, id="garbage"),
    pytest.param(400, b"[" * 5_000, Refused, {"message": "The upstream refused the request."}, id="B14-deep"),
    pytest.param(
        400,
        vendor(INVALID, "Output blocked by content filtering policy"),
        Refused,
        {"kind": "content_blocked"},
        id="blocked",
    ),
]


@pytest.mark.parametrize(("status", "body", "error", "attributes"), DECODED)
def test_an_upstreams_error_becomes_ours(
    status: int, body: bytes, error: type[UpstreamError], attributes: dict[str, object]
) -> None:
    decoded = decode(status, body)
    assert type(decoded) is error
    assert decoded.upstream_status == status
    assert {name: getattr(decoded, name) for name in attributes} == attributes


@pytest.mark.parametrize("record", recorded_params("anthropic", status=400))
def test_a_recorded_refusal_is_one(record: Recording) -> None:
    assert isinstance(decode(400, record.response.body), Refused)


def test_hints_of_the_upstream_are_kept_C21() -> None:
    error = decode(429, b"", retry_after="7", retry_after_ms="6900")
    assert (error.retry_after, error.retry_after_ms) == ("7", "6900")


def test_a_firewall_in_front_of_the_vendor_is_not_the_keys_fault() -> None:
    error = decode(403, b"error code: 1020", cf_ray="abc")
    assert isinstance(error, KeyRefused)
    assert (error.is_origin_wide, error.is_key_invalid) == (True, False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 502, 529])
def test_no_key_gets_through(status: int) -> None:
    error = decode(status, vendor("x", f"bad key {SECRET}"))
    assert SECRET not in f"{error.message} {error.detail} {error.body!r}"
    assert (error.body is not None) == (status in (400, 404, 413, 422))


@pytest.mark.parametrize("status", [401, 403, 500, 502, 503, 529])
def test_what_an_upstream_says_about_itself_is_not_passed_on(status: int) -> None:
    assert "10.0.0.7" not in decode(status, vendor("x", "host 10.0.0.7 broke")).message


def raised(error: GatewayError) -> anthropic.APIStatusError:
    """Return what the official SDK raises for an error of ours."""
    answer = codec.encode_error(error, "req_1")
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(answer.status, headers=[*headers, ("request-id", "req_1")], content=answer.body)

    transport = httpx2.MockTransport(respond)
    with httpx2.Client(transport=transport) as http:
        client = anthropic.Anthropic(api_key="k", base_url="http://test", max_retries=0, http_client=http)
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
    return caught.value


def refused(kind: str, status: int, message: str = "no", **figures: int) -> Refused:
    error = Refused(message, status=status)
    error.kind = kind  # type: ignore[assignment]  # a table's word
    for name, value in figures.items():
        setattr(error, name, value)
    return error


ENCODED = [
    (MalformedRequest("bad", param="messages[0]"), anthropic.BadRequestError, 400, "invalid_request_error"),
    (Unsupported("no"), anthropic.BadRequestError, 400, "invalid_request_error"),
    (Unauthenticated("who"), anthropic.AuthenticationError, 401, "authentication_error"),
    (Forbidden("no"), anthropic.PermissionDeniedError, 403, "permission_error"),
    (UnknownModel("none"), anthropic.NotFoundError, 404, "not_found_error"),
    (UnknownRoute("none"), anthropic.NotFoundError, 404, "not_found_error"),
    (MethodNotAllowed("no", allow=("POST",)), anthropic.APIStatusError, 405, "invalid_request_error"),
    (RequestTimeout("slow"), anthropic.RequestTimeoutError, 408, "timeout_error"),
    (RequestTooLarge("big"), anthropic.ContentTooLargeError, 413, "request_too_large"),
    (HeadersTooLarge("big"), anthropic.RequestHeaderFieldsTooLargeError, 431, "invalid_request_error"),
    (PoolExhausted("wait", retry_after_s=2.5), anthropic.RateLimitError, 429, "rate_limit_error"),
    (NoCapacity("none", retry_after_s=1), anthropic.ServiceUnavailableError, 503, "overloaded_error"),
    (ShuttingDown("bye", retry_after_s=1), anthropic.ServiceUnavailableError, 503, "overloaded_error"),
    (AuthorizerFailed("broken"), anthropic.ServiceUnavailableError, 503, "api_error"),
    (refused("invalid_request", 400), anthropic.BadRequestError, 400, "invalid_request_error"),
    (refused("model_not_found", 404), anthropic.NotFoundError, 404, "not_found_error"),
    (refused("conflict", 409), anthropic.ConflictError, 409, "conflict_error"),
    (RateLimited("slow"), anthropic.RateLimitError, 429, "rate_limit_error"),
    (QuotaExhausted("none", should_retry=False), anthropic.RateLimitError, 429, "rate_limit_error"),
    (KeyRefused("key", should_retry=False), anthropic.InternalServerError, 502, "api_error"),
    (Overloaded("busy"), anthropic.OverloadedError, 529, "overloaded_error"),
    (ServerFault("boom"), anthropic.InternalServerError, 502, "api_error"),
    (Unreachable("gone"), anthropic.InternalServerError, 502, "api_error"),
    (Timeout("late"), anthropic.GatewayTimeoutError, 504, "timeout_error"),
    (Malformed("odd"), anthropic.InternalServerError, 502, "api_error"),
    (Interrupted("cut"), anthropic.InternalServerError, 502, "api_error"),
    (InternalError("ours"), anthropic.InternalServerError, 500, "api_error"),
]


@pytest.mark.parametrize(
    ("error", "sdk_class", "status", "kind"), ENCODED, ids=[f"{type(row[0]).__name__}-{row[2]}" for row in ENCODED]
)
def test_the_sdk_raises_its_own_class(
    error: GatewayError, sdk_class: type[anthropic.APIStatusError], status: int, kind: str
) -> None:
    seen = raised(error)
    assert type(seen) is sdk_class
    assert (seen.status_code, seen.type, seen.request_id) == (status, kind, "req_1")
    assert isinstance(seen.body, dict)
    assert seen.body["request_id"] == "req_1"


def message(error: GatewayError) -> str:
    told: str = json.loads(codec.encode_error(error, "req_1").body)["error"]["message"]
    return told


def test_a_path_stands_before_the_message() -> None:
    assert message(MalformedRequest("is wrong.", param="messages[0]")) == "messages[0]: is wrong."
    assert message(MalformedRequest("Missing required parameter: 'model'.", param="model")).startswith("Missing")


def test_an_unknown_model_begins_as_the_vendors_does() -> None:
    assert message(UnknownModel("It does not exist.")) == "model: It does not exist."


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            refused("context_too_long", 400, "maximum context length is 8192", tokens=9000, max_tokens=8192),
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        (refused("context_too_long", 400, "x", max_tokens=8192), "prompt is too long: 8193 tokens > 8192 maximum"),
        (refused("context_too_long", 400, "x", tokens=9000), "prompt is too long: 9000 tokens > 8999 maximum"),
        (refused("context_too_long", 400, "x"), "prompt is too long"),
        (
            refused("context_too_long", 400, "input length and `max_tokens` exceed context limit: 1 + 2 > 2"),
            "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
        ),
    ],
)
def test_a_talk_that_is_too_long_is_told_in_the_words_that_clients_know_C23(error: Refused, told: str) -> None:
    assert message(error) == told


def test_a_duplicate_name_has_the_vendors_code() -> None:
    body = json.loads(codec.encode_error(MalformedRequest("x", code="tool_name_conflict"), "req_1").body)
    assert body["error"]["details"] == {"error_code": "tool_name_conflict"}


def test_thread_that_cannot_be_served_is_refused_in_the_vendors_own_code() -> None:
    """Its SDK then goes on without one."""
    body = json.loads(codec.encode_error(Unsupported("x", param="thread"), "req_1").body)
    assert body["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_a_body_of_this_protocol_is_relayed_as_it_came() -> None:
    body = vendor(INVALID, "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1")
    assert codec.encode_error(decode(400, body), "req_1").body == body
    foreign = b'{"error":{"message":"no","type":"invalid_request_error"}}'
    assert json.loads(codec.encode_error(decode(400, foreign), "req_1").body)["error"]["message"] == "no"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        pytest.param(decode(429, b"", retry_after="7"), {"retry-after": "7"}, id="C21-theirs"),
        pytest.param(PoolExhausted("x", retry_after_s=1.2), {"retry-after": "2", "retry-after-ms": "1200"}, id="ours"),
        pytest.param(decode(401, b""), {"x-should-retry": "false"}, id="C22-key"),
        pytest.param(decode(402, b""), {"x-should-retry": "false"}, id="quota"),
        pytest.param(MalformedRequest("x"), {}, id="none"),
    ],
)
def test_hints_about_retrying_C21_C22(error: GatewayError, headers: dict[str, str]) -> None:
    answer = codec.encode_error(error, "req_1")
    assert {n.decode(): v.decode() for n, v in answer.headers} == {"content-type": "application/json", **headers}
