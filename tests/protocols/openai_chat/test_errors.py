"""Errors, both ways: whatever an upstream says becomes ours, and ours comes out as the SDK's own class.

The tables are sections D1 to D5 of the vendor's reference, and 7.3 of that of those who resemble it.
"""

import json
from typing import Any

import httpx2
import openai
import pytest

from asgi_ds2api import errors
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
    QueueTimeout,
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
    UnsupportedMediaType,
    UpstreamError,
)
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.cases import row_params
from tests.support.recorded import Recording, recorded_params

SECRET = "sk-proj-SECRETSECRETSECRET"
INVALID, SERVER = "invalid_request_error", "server_error"


def vendor(message: str, kind: str = INVALID, **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": None, **fields}}).encode()


def decode(status: int, body: bytes, **headers: str) -> UpstreamError:
    return codec.decode_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize("row", row_params("openai_chat", "errors"))
def test_an_upstreams_error_becomes_ours(row: dict[str, Any]) -> None:
    body = row["body"].encode() if isinstance(row["body"], str) else json.dumps(row["body"]).encode()
    error = decode(row["status"], body)
    assert type(error) is getattr(errors, row["error"])
    assert error.upstream_status == row["status"]
    assert {name: getattr(error, name) for name in row["attributes"]} == row["attributes"]


@pytest.mark.parametrize("row", row_params("openai_chat", "errors"))
def test_whatever_an_upstream_says_a_caller_gets_all_four_keys_openai_C58(row: dict[str, Any]) -> None:
    body = row["body"].encode() if isinstance(row["body"], str) else json.dumps(row["body"]).encode()
    answer = codec.encode_error(decode(row["status"], body), "req_1")
    told = json.loads(answer.body)["error"]
    assert 400 <= answer.status < 600
    assert told["message"]
    assert isinstance(told["message"], str)
    if json.loads(answer.body) != row["body"]:
        assert told.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("record", recorded_params("chat", status=400))
def test_a_recorded_refusal_is_one(record: Recording) -> None:
    assert isinstance(decode(400, record.response.body), Refused | QuotaExhausted)


def test_hints_of_the_upstream_are_kept_openai_C59() -> None:
    error = decode(429, b"", retry_after="7", retry_after_ms="6900")
    assert (error.retry_after, error.retry_after_ms) == ("7", "6900")


def test_a_firewall_in_front_of_the_vendor_is_not_the_keys_fault() -> None:
    error = decode(403, b"error code: 1020", cf_ray="abc")
    assert isinstance(error, KeyRefused)
    assert (error.is_origin_wide, error.is_key_invalid) == (True, False)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 502, 529])
def test_no_key_gets_through(status: int) -> None:
    error = decode(status, vendor(f"bad key {SECRET}"))
    assert SECRET not in f"{error.message} {error.detail} {error.body!r}"
    assert (error.body is not None) == (status in (400, 404, 413, 422))


@pytest.mark.parametrize("status", [401, 403, 500, 502, 503, 529])
def test_what_an_upstream_says_about_itself_is_not_passed_on(status: int) -> None:
    assert "10.0.0.7" not in decode(status, vendor("host 10.0.0.7 broke")).message


def raised(error: GatewayError) -> openai.APIStatusError:
    """Return what the official SDK raises for an error of ours."""
    answer = codec.encode_error(error, "req_1")
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(answer.status, headers=[*headers, ("x-request-id", "req_1")], content=answer.body)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        client = openai.OpenAI(api_key="k", base_url="http://test", max_retries=0, http_client=http)
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    return caught.value


def refused(kind: str, status: int, message: str = "no", **figures: int) -> Refused:
    error = Refused(message, status=status)
    error.kind = kind  # type: ignore[assignment]  # a table's word
    for name, value in figures.items():
        setattr(error, name, value)
    return error


BAD, FAILED = openai.BadRequestError, openai.InternalServerError
ENCODED: list[tuple[GatewayError, type[openai.APIStatusError], int, str, str | None]] = [
    (MalformedRequest("bad", param="messages[0]"), BAD, 400, INVALID, "invalid_value"),
    (MalformedRequest("bad", code="invalid_json"), BAD, 400, INVALID, None),
    (MalformedRequest("bad", code="missing_required_parameter"), BAD, 400, INVALID, "missing_required_parameter"),
    (Unsupported("no"), BAD, 400, INVALID, "unsupported_value"),
    (Unauthenticated("who"), openai.AuthenticationError, 401, INVALID, "invalid_api_key"),
    (Unauthenticated("who", code="missing_api_key"), openai.AuthenticationError, 401, INVALID, None),
    (Forbidden("no"), openai.PermissionDeniedError, 403, INVALID, "model_not_found"),
    (UnknownModel("none"), openai.NotFoundError, 404, INVALID, "model_not_found"),
    (UnknownRoute("none"), openai.NotFoundError, 404, INVALID, "unknown_url"),
    (MethodNotAllowed("no", allow=("POST",)), openai.APIStatusError, 405, INVALID, "method_not_supported"),
    (RequestTimeout("slow"), openai.APIStatusError, 408, INVALID, "request_timeout"),
    (RequestTooLarge("big"), openai.APIStatusError, 413, INVALID, "request_too_large"),
    (UnsupportedMediaType("no"), openai.APIStatusError, 415, INVALID, "unsupported_content_type"),
    (HeadersTooLarge("big"), openai.APIStatusError, 431, INVALID, "headers_too_large"),
    (PoolExhausted("wait", retry_after_s=2.5), openai.RateLimitError, 429, "requests", "rate_limit_exceeded"),
    (QueueTimeout("wait", retry_after_s=1), openai.RateLimitError, 429, "requests", "rate_limit_exceeded"),
    (NoCapacity("none", retry_after_s=1), FAILED, 503, SERVER, "server_is_overloaded"),
    (ShuttingDown("bye", retry_after_s=1), FAILED, 503, SERVER, "server_is_overloaded"),
    (AuthorizerFailed("broken"), FAILED, 503, SERVER, "authorization_unavailable"),
    (refused("invalid_request", 400), BAD, 400, INVALID, None),
    (refused("context_too_long", 400), BAD, 400, INVALID, "context_length_exceeded"),
    (refused("content_blocked", 400), BAD, 400, INVALID, "content_policy_violation"),
    (refused("model_not_found", 404), openai.NotFoundError, 404, INVALID, "model_not_found"),
    (refused("not_found", 404), openai.NotFoundError, 404, INVALID, None),
    (refused("conflict", 409), openai.ConflictError, 409, INVALID, None),
    (refused("too_large", 413), openai.APIStatusError, 413, INVALID, "request_too_large"),
    (RateLimited("slow"), openai.RateLimitError, 429, "requests", "rate_limit_exceeded"),
    (QuotaExhausted("none"), openai.RateLimitError, 429, "insufficient_quota", "insufficient_quota"),
    (KeyRefused("key"), FAILED, 502, SERVER, "upstream_auth_error"),
    (Overloaded("busy"), FAILED, 503, SERVER, "server_is_overloaded"),
    (Overloaded("busy", status=529), FAILED, 503, SERVER, "server_is_overloaded"),
    (ServerFault("boom"), FAILED, 502, SERVER, "upstream_error"),
    (Unreachable("gone"), FAILED, 502, SERVER, "upstream_error"),
    (Timeout("late"), FAILED, 504, SERVER, "upstream_timeout"),
    (Malformed("odd"), FAILED, 502, SERVER, "upstream_error"),
    (Interrupted("cut"), FAILED, 502, SERVER, "upstream_truncated"),
    (InternalError("ours"), FAILED, 500, SERVER, None),
]


@pytest.mark.parametrize(
    ("error", "sdk_class", "status", "kind", "code"),
    ENCODED,
    ids=[f"{type(row[0]).__name__}-{row[2]}-{row[4]}" for row in ENCODED],
)
def test_the_sdk_raises_its_own_class_openai_C58(
    error: GatewayError, sdk_class: type[openai.APIStatusError], status: int, kind: str, code: str | None
) -> None:
    seen = raised(error)
    assert type(seen) is sdk_class
    too_long = isinstance(error, Refused) and error.kind == "context_too_long"
    param = "messages" if too_long else error.param
    assert (seen.status_code, seen.type, seen.code, seen.param) == (status, kind, code, param)
    assert seen.request_id == "req_1"


def message(error: GatewayError) -> str:
    told: str = json.loads(codec.encode_error(error, "req_1").body)["error"]["message"]
    return told


def test_a_talk_that_is_too_long_is_told_in_the_words_that_clients_know() -> None:
    error = refused("context_too_long", 400, "prompt is too long", tokens=9000, max_tokens=8192)
    assert message(error) == (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
        "Please reduce the length of the messages."
    )
    assert message(refused("context_too_long", 400, "prompt is too long")) == "prompt is too long"


def test_a_body_of_this_protocol_is_relayed_as_it_came() -> None:
    body = vendor("no", code="invalid_prompt", misalignment={"x": 1})
    assert codec.encode_error(decode(400, body), "req_1").body == body
    foreign = b'{"type":"error","message":"no"}'
    assert json.loads(codec.encode_error(decode(400, foreign), "req_1").body)["error"].keys() == {
        "message", "type", "param", "code",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        pytest.param(decode(429, b"", retry_after="7"), {"retry-after": "7"}, id="openai-C59-theirs"),
        pytest.param(PoolExhausted("x", retry_after_s=1.2), {"retry-after": "2", "retry-after-ms": "1200"}, id="ours"),
        pytest.param(decode(401, b""), {"x-should-retry": "false"}, id="openai-C59-key"),
        pytest.param(decode(402, b""), {"x-should-retry": "false"}, id="openai-C59-quota"),
        pytest.param(MalformedRequest("x"), {}, id="none"),
    ],
)
def test_hints_about_retrying(error: GatewayError, headers: dict[str, str]) -> None:
    answer = codec.encode_error(error, "req_1")
    assert {n.decode(): v.decode() for n, v in answer.headers} == {"content-type": "application/json", **headers}
