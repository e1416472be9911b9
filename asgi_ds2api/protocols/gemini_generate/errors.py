"""What went wrong, both ways: an upstream's error -> ours, and ours in the words of Google's SDK.

The vendor's errors are those of ``google.rpc``: a status in words beside the number, and ``details`` with what helps:
when to come back (``RetryInfo``), which quota is spent (``QuotaFailure``), why a key is refused (``ErrorInfo``). To a
caller who asked for a stream that is an array it sends a list of one error; its SDK reads both, and ours is never in a
list.

Follows https://ai.google.dev/gemini-api/docs/troubleshooting and the SDK's ``errors.py`` (3.4, November 2026).
Deliberate divergences, each so that a client does what helps:

1. An upstream that refuses our key is a 502: the caller's own key is fine.
2. A 429 is a quota that is spent only where the vendor says per day and no time to come back, or speaks of money: its
   words for the limit of a minute are the same.
3. A caller's bad key is a 400, and a missing one a 403, as the vendor has it.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...codec import ErrorAnswer
from ...diagnosis import MAX_BODY_BYTES, Told, classify, read
from ...error_answers import error_answer
from ...errors import (
    GatewayError,
    Interrupted,
    KeyRefused,
    Malformed,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFault,
    Unauthenticated,
    Unreachable,
    UpstreamError,
)
from ...headers import round_up
from ...json_guard import is_too_deep
from ...json_pieces import JsonObject, fields_of, items_of, text_of
from ...scrub import safe_body, safe_message
from .wire import Shape

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_STATUS_OF_WORD: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The status that a word stands for, where there is none: inside a 200."""

_ERROR: Final = Shape("code", "message", "status", "details")
_DETAIL: Final = Shape("@type", "reason", "retryDelay", "violations", "fieldViolations")
_VIOLATION: Final = Shape("quotaMetric", "quotaId", "field", "description")
_DELAY: Final = re.compile(r"(?P<s>\d{1,9}(?:\.\d{1,9})?)s")
_TOO_LONG: Final = re.compile(
    r"input token count \(?(?P<tokens>[\d,]{1,15})\)? exceeds the maximum number of tokens allowed "
    r"\(?(?P<limit>[\d,]{1,15})"
)
_TOO_LONG_TOO: Final = re.compile(r"input token count .{0,40}exceeds the maximum", re.IGNORECASE)
_PLACE: Final = "User location is not supported"
_PER_DAY: Final = re.compile(r"per ?day", re.IGNORECASE)
_BAD_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
_MONEY: Final = re.compile(
    r"billing account|prepay|credits? (?:are|is) depleted|spend(?:ing)? (?:cap|limit)", re.IGNORECASE
)


class _Details(msgspec.Struct, frozen=True):
    """What the ``details`` of an error say."""

    reason: str = ""
    retry_s: float | None = None
    is_daily: bool = False
    field: str | None = None


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer, whatever its form.

    Args:
        status: 400 to 599.
        headers: Names in lower case.
        body: Perhaps only the beginning of it.
    """
    told = read(body)
    error = _classified(status, told, _details(body))
    if isinstance(error, KeyRefused):
        error.is_origin_wide = told.is_html or (status == 403 and "cf-ray" in headers and not told.kind)
    is_telling = isinstance(error, RateLimited) or (isinstance(error, Refused) and status in (400, 404, 413, 422))
    if is_telling and len(body) <= MAX_BODY_BYTES and not told.is_html:
        error.body = safe_body(body)
    error.upstream_status = status
    error.retry_after = headers.get("retry-after")
    error.retry_after_ms = headers.get("retry-after-ms")
    return error


def decode_in_band(body: bytes) -> UpstreamError | None:
    """Read an error inside a 200: a whole answer, or an event of a stream; None: it is none."""
    told = read(body)
    if not told.kind and not told.message:
        return None
    status = int(told.code) if told.code.isdigit() and len(told.code) == 3 else 0
    if not 400 <= status < 600:
        status = _STATUS_OF_WORD.get(told.kind, 500)
    return _classified(status, told, _details(body))


def _classified(status: int, told: Told, details: _Details) -> UpstreamError:
    if status == 429 and not _MONEY.search(told.message):
        limited = RateLimited(safe_message(told.message) or "The upstream limits how often it may be asked.")
        limited.scope = "model"  # the vendor counts by model
        limited.is_daily = details.is_daily or bool(_PER_DAY.search(told.message))
        limited.retry_after_s = details.retry_s
        return limited
    if status == 400 and (details.reason in _BAD_KEY or _PLACE in told.message):
        refused = classify(401 if details.reason in _BAD_KEY else 403, told)
        assert isinstance(refused, KeyRefused)
        refused.is_key_invalid = details.reason in _BAD_KEY
        return refused
    error = classify(499 if status == 499 else status, told)
    if isinstance(error, Refused):
        error.param = details.field
        if match := _TOO_LONG.search(told.message):
            error.kind, error.status = "context_too_long", 400
            error.tokens, error.max_tokens = (int(match[name].replace(",", "")) for name in ("tokens", "limit"))
        elif _TOO_LONG_TOO.search(told.message):
            error.kind, error.status = "context_too_long", 400
        elif status == 404 and "not found" in told.message and "model" in told.message.lower():
            error.kind = "model_not_found"
    elif details.retry_s is not None:
        error.retry_after_s = details.retry_s
    return error


def _details(body: bytes) -> _Details:
    """Return what the details of an error say; of what cannot be read, nothing."""
    if len(body) > MAX_BODY_BYTES or is_too_deep(body):
        return _Details()
    try:
        raw = Raw(body.strip())
        if bytes(raw).startswith(b"["):
            raw = items_of(raw)[0]
        items = items_of(_ERROR.look(fields_of(raw).get("error")).get("details"))
        return _of_items([_DETAIL.look(item) for item in items])
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError):
        return _Details()


def _of_items(items: list[dict[str, Raw]]) -> _Details:
    reason, retry_s, is_daily, field = "", None, False, None
    for item in items:
        reason = text_of(item.get("reason")) or reason
        if match := _DELAY.fullmatch(text_of(item.get("retryDelay")) or ""):
            retry_s = float(match["s"])
        for violation in (_VIOLATION.look(raw) for raw in items_of(item.get("violations"))):
            is_daily = is_daily or bool(_PER_DAY.search(text_of(violation.get("quotaId")) or ""))
        for violation in (_VIOLATION.look(raw) for raw in items_of(item.get("fieldViolations"))):
            field = field or text_of(violation.get("field"))
    return _Details(reason=reason, retry_s=retry_s, is_daily=is_daily, field=field)


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_WORD_OF_STATUS: Final[Mapping[int, str]] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPE: Final = "type.googleapis.com/google.rpc."


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error so that Google's SDK raises its own class for it."""
    return error_answer(error, _status(error), encode_error_body(error, request_id), _is_own)


def _is_own(body: bytes) -> bool:
    return {"code", "status"} <= _ERROR.look(fields_of(Raw(body.strip())).get("error")).keys()


def encode_error_body(error: GatewayError, request_id: str) -> bytes:
    """Return the error as JSON: the body of an answer, or an element of a stream."""
    status = _status(error)
    told: JsonObject = {"code": status, "message": _message(error), "status": _word(error, status)}
    details: list[JsonObject] = []
    if isinstance(error, Unauthenticated) and error.code == Unauthenticated.code:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if (delay := _delay(error)) is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{delay}s"})
    if request_id:
        details.append({"@type": f"{_TYPE}RequestInfo", "requestId": request_id})
    if details:
        told["details"] = details
    return msgspec.json.encode({"error": told})


def _status(error: GatewayError) -> int:
    match error:
        case Unauthenticated():
            return 403 if error.code == "missing_api_key" else 400
        case Overloaded():
            return 503
        case _:
            return error.status


def _word(error: GatewayError, status: int) -> str:
    if isinstance(error, ServerFault | Malformed | Interrupted | KeyRefused) and not isinstance(error, Unreachable):
        return "INTERNAL"
    return _WORD_OF_STATUS.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")


def _delay(error: GatewayError) -> int | None:
    """Return the seconds after which to come back; None: nobody said, or it is of no use."""
    if isinstance(error, QuotaExhausted) or error.retry_after_s is None:
        return None
    return round_up(error.retry_after_s)


def _message(error: GatewayError) -> str:
    if isinstance(error, Refused) and error.kind == "context_too_long" and error.max_tokens and error.tokens:
        return (
            f"The input token count ({error.tokens}) exceeds the maximum number of tokens allowed ({error.max_tokens})."
        )
    return error.message
