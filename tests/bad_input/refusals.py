"""What every refusal of a request has in common, whichever check made it.

A refusal is a whole JSON answer in the words of the caller's SDK, small, without anything of what was sent, and made
before an upstream was asked.
"""

import json
from collections.abc import Mapping

from tests.faults.bench import Bench
from tests.support.asgi_driver import Answer

ECHO = "zq9-of-the-caller"
"""Put it into what a request should not hold: no answer may quote it."""
MAX_REFUSAL_BYTES = 512
_CLAUDE_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    503: "api_error",
}
_CHAT_CODES: Mapping[str, str | None] = {
    "invalid_framing": None,
    "invalid_json": None,
    "method_not_allowed": "method_not_supported",
    "missing_api_key": None,
    "model_not_allowed": "model_not_found",
    "unsupported_media_type": "unsupported_content_type",
}
"""Where OpenAI's word is not ours."""


def assert_refused(bench: Bench, answer: Answer, status: int, code: str, param: str | None = None) -> None:
    """The request of ``bench`` was refused with ``status``, our ``code`` and the path ``param``."""
    assert bench.scripted.calls == []
    assert_refusal(bench.way.face.name, answer, status, code, param)
    assert (bench.record.result, bench.record.code, bench.record.status) == ("error", code, status)


def assert_refusal(face: str, answer: Answer, status: int, code: str, param: str | None = None) -> None:
    """An answer is a refusal in the words of ``face``."""
    assert (answer.status, answer.header("x-ds2api-error")) == (status, code), answer.text
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-content-type-options") == "nosniff"
    assert len(answer.body) <= MAX_REFUSAL_BYTES
    assert ECHO.encode() not in answer.body
    assert not any(ECHO.encode() in value for _, value in answer.headers)
    body = json.loads(answer.body)
    if face == "chat":
        kind = "invalid_request_error" if status < 500 else "server_error"
        error = body["error"]
        assert error == {"message": error["message"], "type": kind, "param": param, "code": _CHAT_CODES.get(code, code)}
    else:
        error = body["error"]
        assert body.keys() == {"type", "error", "request_id"}
        assert body["request_id"] == answer.header("request-id")
        assert (body["type"], error["type"]) == ("error", _CLAUDE_TYPES.get(status, "invalid_request_error"))
        assert param is None or param in error["message"]
    assert error["message"]
