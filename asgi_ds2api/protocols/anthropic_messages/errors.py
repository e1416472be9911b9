"""What went wrong, both ways: an upstream's error -> ours, and ours in the words of Anthropic's SDK.

An upstream may be a look-alike, and a proxy may stand before it: its error may be JSON of any vendor, HTML or text.

Follows https://docs.anthropic.com/en/api/errors and the SDK's ``_exceptions.py`` (2.14, November 2026). Deliberate
divergences, each so that a client does what helps:

1. An upstream that refuses our key is a 502: the caller's own key is fine.
2. Spent quota is a 429 that says not to retry, where the vendor has a 402: older SDKs know no 402.
3. ``param`` stands before the message, as the vendor writes paths; there is no field for it.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ...codec import ErrorAnswer
from ...errors import (
    AuthorizerFailed,
    GatewayError,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    RefusalKind,
    Refused,
    ServerFault,
    Timeout,
    Unauthorized,
    UnknownModel,
    UpstreamError,
)
from ...headers import retry_headers
from ...json_guard import is_too_deep
from ...scrub import safe_body, safe_message
from . import wire

# --- wire -> ours -----------------------------------------------------------------------------------------------------

MAX_BODY_BYTES: Final = 64 * 1024
"""Of an error body that is looked into or passed on."""

_STATUS_OF_TYPE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "timeout_error": 504,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}

_SPENT_CODES: Final = frozenset(
    {"ramp_limit_exceeded", "enforced_spend_limit_reached", "contract_spend_limit_reached", "insufficient_quota"}
)
_SPENT: Final = re.compile(
    r"credit balance|insufficient[ _](?:quota|balance|credit)|billing_(?:error|hard_limit)|spend(?:ing)?[ _]limit"
    r"|out of credits|exceeded your current quota",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"prompt is too long|exceed(?:s|ed)? (?:the )?(?:model'?s? )?(?:maximum )?context|context[ _]length|context window"
    r"|exceed_context_size|input is too long|exceeds the maximum number of tokens|range of input length"
    r"|too many tokens",
    re.IGNORECASE,
)
_FIGURES: Final = (
    re.compile(r"(?P<tokens>\d{1,12}) tokens? > (?P<limit>\d{1,12}) maximum"),
    re.compile(r"(?P<tokens>\d{1,12}) \+ (?P<more>\d{1,12}) > (?P<limit>\d{1,12})"),
    re.compile(
        r"(?:maximum context length|context (?:size|window)) (?:is|of) (?P<limit>\d{1,12}).*?(?P<tokens>\d{1,12})"
    ),
    re.compile(r"\((?P<tokens>\d{1,12}) tokens\).*?context size \((?P<limit>\d{1,12})"),
)
_BLOCKED: Final = re.compile(
    r"content[ _](?:filter|policy|management)|ResponsibleAI|data_inspection|moderation|content exists risk"
    r"|safety system",
    re.IGNORECASE,
)
_NO_MODEL: Final = re.compile(r"^model: |model_not_found|model .{0,80}not (?:found|exist)", re.IGNORECASE)
_KEY_ITSELF: Final = re.compile(r"api[- _]?key|x-api-key|bearer|token|credential|revoked|expired", re.IGNORECASE)
_PER_MODEL: Final = re.compile(r"\bmodel\b", re.IGNORECASE)
_DAILY: Final = re.compile(r"per day|daily|\bRPD\b|\bTPD\b", re.IGNORECASE)
_AGAIN: Final = re.compile(
    r"(?:try again|retry) (?:in|after) (?P<number>\d{1,9}(?:\.\d{1,9})?) ?(?P<unit>ms|s|m|h)?", re.IGNORECASE
)
_UNITS_S: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}
_HTML: Final = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)


class _Told(msgspec.Struct, frozen=True):
    """What an error body says, whoever wrote it."""

    kind: str = ""
    message: str = ""
    code: str = ""
    is_html: bool = False

    @property
    def words(self) -> str:
        return f"{self.kind} {self.code} {self.message}"


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer, whatever its form.

    Args:
        status: 400 to 599.
        headers: Names in lower case.
        body: Perhaps only the beginning of it.
    """
    told = _read(body)
    if told.is_html and status in (401, 403):
        told = msgspec.structs.replace(told, kind="firewall")
    error = _classify(status, told)
    if isinstance(error, Unauthorized):
        error.is_origin_wide = told.is_html or (status == 403 and "cf-ray" in headers and not told.kind)
    if isinstance(error, Refused) and status in (400, 404, 413, 422) and len(body) <= MAX_BODY_BYTES:
        error.body = safe_body(body)
    error.upstream_status = status
    error.retry_after = headers.get("retry-after")
    error.retry_after_ms = headers.get("retry-after-ms")
    return error


def decode_in_band(error: wire.Error) -> UpstreamError:
    """Read an error that came inside a 200."""
    code = _error_code(error)
    told = _Told(kind=error.type or "", message=error.message or "", code=code)
    return _classify(_STATUS_OF_TYPE.get(told.kind, 500), told)


def read_in_band(body: bytes) -> UpstreamError | None:
    """Read a whole answer that may be an error inside a 200; None: it is none."""
    told = _read(body)
    if not told.kind and not told.message:
        return None
    return _classify(_STATUS_OF_TYPE.get(told.kind, 500), told)


def _classify(status: int, told: _Told) -> UpstreamError:
    if status == 402 or (status in (400, 403, 429) and (told.code in _SPENT_CODES or _SPENT.search(told.words))):
        return QuotaExhausted("The upstream account has no quota left.", should_retry=False, detail=_detail(told))
    if status in (401, 403) and not (status == 403 and _BLOCKED.search(told.words)):
        error = Unauthorized(
            "The upstream did not accept the gateway's credential. Ask whoever runs the gateway.",
            should_retry=False,
            detail=_detail(told),
        )
        error.is_key_invalid = status == 401 and not told.is_html and bool(_KEY_ITSELF.search(told.words))
        return error
    if status == 429:
        return _rate_limited(told)
    if status in (408, 504):
        return Timeout("The upstream took too long to answer.", detail=_detail(told))
    if status in (503, 529):
        return Overloaded("The upstream is overloaded. Try again later.", detail=_detail(told))
    if status >= 500:
        return ServerFault("The upstream failed. Try again.", detail=_detail(told))
    return _refused(status, told)


def _rate_limited(told: _Told) -> RateLimited:
    error = RateLimited(safe_message(told.message) or "The upstream limits how often it may be asked.")
    error.scope = "model" if _PER_MODEL.search(told.message) else "account"
    error.is_daily = bool(_DAILY.search(told.message))
    if match := _AGAIN.search(told.message):
        error.retry_after_s = float(match["number"]) * _UNITS_S[(match["unit"] or "s").lower()]
    return error


def _refused(status: int, told: _Told) -> Refused:
    message = "" if told.is_html else safe_message(told.message)
    error = Refused(message or "The upstream refused the request.", status=status if status in (404, 409, 413) else 400)
    error.kind = _kind(status, told)
    if error.kind == "context_too_long":
        error.status = 400
        for figures in _FIGURES:
            if match := figures.search(told.message):
                groups = match.groupdict()
                error.tokens = int(groups["tokens"]) + int(groups.get("more") or 0)
                error.max_tokens = int(groups["limit"])
                break
    return error


def _kind(status: int, told: _Told) -> RefusalKind:
    if _TOO_LONG.search(told.words):
        return "context_too_long"
    if status == 413:
        return "too_large"
    if status == 409:
        return "conflict"
    if _BLOCKED.search(told.words):
        return "content_blocked"
    if _NO_MODEL.search(told.message) or "model_not_found" in told.words:
        return "model_not_found"
    return "not_found" if status == 404 else "invalid_request"


def _read(body: bytes) -> _Told:
    """Read an error body of any vendor."""
    if _HTML.match(body):
        return _Told(is_html=True)
    if len(body) > MAX_BODY_BYTES or is_too_deep(body):
        return _Told()
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Told(message=body.decode("utf-8", "replace").strip())
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return _Told()
    return _from_object(value)


def _from_object(body: dict[str, object]) -> _Told:
    inner = body.get("error", body)
    match inner:
        case str():
            return _Told(message=inner, kind=_as_text(body.get("type")))
        case {"detail": str(detail)}:
            return _Told(message=detail)
        case {"detail": list(problems)}:
            return _Told(message="; ".join(map(_problem, problems)))
        case dict():
            details = inner.get("details")
            code = details.get("error_code") if isinstance(details, dict) else None
            is_message = inner is body and inner.get("object") != "error" and "content" in inner
            if is_message:
                return _Told()
            kind = "" if inner.get("type") == "error" else _as_text(inner.get("type") or inner.get("status"))
            return _Told(kind=kind, message=_as_text(inner.get("message")), code=_as_text(code or inner.get("code")))
        case _:
            return _Told()


def _problem(problem: object) -> str:
    """Return one entry of a FastAPI's ``detail``: where, and what."""
    if not isinstance(problem, dict):
        return _as_text(problem)
    where = problem.get("loc")
    path = ".".join(map(str, where)) if isinstance(where, list) else ""
    return f"{path}: {_as_text(problem.get('msg'))}" if path else _as_text(problem.get("msg"))


def _as_text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _error_code(error: wire.Error) -> str:
    raw = (error.details or {}).get("error_code")
    if raw is None:
        return ""
    try:
        return _as_text(msgspec.json.decode(raw))
    except msgspec.MsgspecError:
        return ""


def _detail(told: _Told) -> str:
    """Return an upstream's words for the log."""
    return safe_message(told.words)


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_TYPE_OF_STATUS: Final[Mapping[int, str]] = {
    **{status: kind for kind, status in _STATUS_OF_TYPE.items()},
    408: "timeout_error",
    501: "not_supported",
    503: "overloaded_error",
}
_NATIVE_TOO_LONG: Final = re.compile(r"prompt is too long: \d+ tokens|exceed context limit: \d+ \+ \d+ > \d+")
_OWN_CODES: Final = frozenset({"tool_name_conflict"})
"""Codes of ours that are the vendor's as well."""


class _Body(msgspec.Struct):
    type: str
    error: wire.Error


_BODY: Final = msgspec.json.Decoder(_Body)


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error so that Anthropic's SDK raises its own class for it."""
    body = _relayed(error) or encode_error_body(error, request_id)
    headers = ((b"content-type", b"application/json"), *retry_headers(error))
    return ErrorAnswer(status=_status(error), headers=headers, body=body)


def encode_error_body(error: GatewayError, request_id: str) -> bytes:
    """Return the error as JSON: the body of an answer, or the payload of an ``error`` event."""
    status = _status(error)
    kind = "api_error" if isinstance(error, AuthorizerFailed) else _type_of(status)
    told: dict[str, object] = {"type": kind, "message": _message(error)}
    if error.code in _OWN_CODES:
        told["details"] = {"error_code": error.code}
    return msgspec.json.encode({"type": "error", "error": told, "request_id": request_id})


def _status(error: GatewayError) -> int:
    return 529 if isinstance(error, Overloaded) else error.status


def _type_of(status: int) -> str:
    fallback = "invalid_request_error" if status < 500 else "api_error"
    return _TYPE_OF_STATUS.get(status, fallback)


def _message(error: GatewayError) -> str:
    message = error.message
    if isinstance(error, Refused) and error.kind == "context_too_long" and not _NATIVE_TOO_LONG.search(message):
        return _too_long(error.tokens, error.max_tokens)
    if isinstance(error, UnknownModel):
        return f"model: {message}"
    if error.param is not None and error.param not in message:
        return f"{error.param}: {message}"
    return message


def _too_long(tokens: int | None, limit: int | None) -> str:
    """Return the words by which clients know that they must shorten the talk."""
    if tokens is None and limit is None:
        return "prompt is too long"
    if limit is None:
        limit = (tokens or 1) - 1
    return f"prompt is too long: {tokens if tokens is not None else limit + 1} tokens > {limit} maximum"


def _relayed(error: GatewayError) -> bytes | None:
    """Return the upstream's own body, if it is one of this protocol."""
    if not isinstance(error, UpstreamError) or error.body is None:
        return None
    try:
        return error.body if _BODY.decode(error.body).type == "error" else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
