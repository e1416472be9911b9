"""What went wrong in the words of OpenAI's API, both ways; what all of its protocols have in common.

An upstream may be a look-alike, and a proxy may stand before it: ``diagnosis`` reads what it says, in whatever form.

Follows the vendor's error reference and the SDK's ``_exceptions.py`` (3.57, November 2026). Deliberate divergences,
each so that a client does what helps:

1. An upstream that refuses our key is a 502: the caller's own key is fine.
2. Overload is a 503, whatever status the upstream has for it.
3. An upstream's 422 is a 400, as the vendor has it for the same cause.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from .codec import ErrorAnswer
from .diagnosis import Told, classify, diagnose, read
from .error_answers import error_answer
from .errors import (
    CallerBudgetSpent,
    CallerLimited,
    Forbidden,
    GatewayError,
    Interrupted,
    KeyRefused,
    Malformed,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Refused,
    RequestError,
    ServerFault,
    Timeout,
    UnknownModel,
    Unreachable,
    UpstreamError,
)

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_STATUS_OF_WORD: Final[Mapping[str, int]] = {
    "BadRequestError": 400,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_request_error": 400,
    "tool_use_failed": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "NotFoundError": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "server_error": 500,
    "UNAVAILABLE": 503,
    "server_is_overloaded": 503,
    "unavailable_error": 503,
    "overloaded_error": 529,
}
"""The status that a word stands for, where there is none: inside a 200."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer, whatever its form. As `diagnose`."""
    error = diagnose(status, headers, body)
    if isinstance(error, Refused):
        error.param = _param(body)
    return error


def decode_in_band(body: bytes) -> UpstreamError | None:
    """Read an error inside a 200: a whole answer, or an event of a stream; None: it is none."""
    told = read(body)
    if not told.kind and not told.message:
        return None
    return classify(_status_of(told), told)


def _status_of(told: Told) -> int:
    if told.code.isdigit() and len(told.code) == 3 and 400 <= int(told.code) < 600:
        return int(told.code)
    return _STATUS_OF_WORD.get(told.code) or _STATUS_OF_WORD.get(told.kind) or 500


class _Param(msgspec.Struct):
    param: str | None = None


class _WithParam(msgspec.Struct):
    error: _Param


_PARAM: Final = msgspec.json.Decoder(_WithParam)


def _param(body: bytes) -> str | None:
    try:
        return _PARAM.decode(body).error.param
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_OWN_CODES: Final[Mapping[str, str | None]] = {
    "internal_error": None,
    "invalid_framing": None,
    "invalid_json": None,
    "item_not_found": None,
    "unmatched_output": None,
    "method_not_allowed": "method_not_supported",
    "missing_api_key": None,
    "no_capacity": "server_is_overloaded",
    "pool_exhausted": "rate_limit_exceeded",
    "queue_full": "rate_limit_exceeded",
    "queue_timeout": "rate_limit_exceeded",
    "shutting_down": "server_is_overloaded",
    "unsupported_media_type": "unsupported_content_type",
}
"""Codes of ours -> the vendor's, where they differ."""
_KIND_CODES: Final[Mapping[str, str]] = {
    "content_blocked": "content_policy_violation",
    "context_too_long": "context_length_exceeded",
    "model_not_found": "model_not_found",
    "too_large": "request_too_large",
}


class _Body(msgspec.Struct):
    error: dict[str, Raw]


_BODY: Final = msgspec.json.Decoder(_Body)


def encode_error(error: GatewayError, content_field: str) -> ErrorAnswer:
    """Write an error so that OpenAI's SDK raises its own class for it; the id is told by a header.

    Args:
        error: Of any kind.
        content_field: What holds the conversation: the culprit where one is too long.
    """
    body = msgspec.json.encode({"error": told(error, content_field)})
    return error_answer(error, _status(error), body, _is_own)


def _is_own(body: bytes) -> bool:
    return bool(_BODY.decode(body).error)


def told(error: GatewayError, content_field: str) -> dict[str, str | None]:
    """Return what a caller is told of an error: all four fields, always."""
    is_too_long = isinstance(error, Refused) and error.kind == "context_too_long"
    param = error.param or (content_field if is_too_long else None)
    return {"message": _message(error), "type": _type(error), "param": param, "code": _code(error)}


def _status(error: GatewayError) -> int:
    return 503 if isinstance(error, Overloaded) else error.status


def _type(error: GatewayError) -> str:
    match error:
        case QuotaExhausted() | CallerBudgetSpent():
            return "insufficient_quota"
        case RequestError() | Refused():
            return "invalid_request_error"
        case _:
            return "requests" if error.status == 429 else "server_error"


def _code(error: GatewayError) -> str | None:
    match error:
        case Overloaded():
            return "server_is_overloaded"
        case KeyRefused():
            return "upstream_auth_error"
        case Timeout():
            return "upstream_timeout"
        case Interrupted():
            return "upstream_truncated"
        case ServerFault() | Malformed() | Unreachable():
            return "upstream_error"
        case RateLimited() | CallerLimited():
            return "rate_limit_exceeded"
        case CallerBudgetSpent():
            return "insufficient_quota"
        case Refused():
            return _KIND_CODES.get(error.kind)
        case UnknownModel() | Forbidden():
            return "model_not_found"
        case _:
            return _OWN_CODES.get(error.code, error.code)


def _message(error: GatewayError) -> str:
    if isinstance(error, Refused) and error.kind == "context_too_long" and error.max_tokens and error.tokens:
        return (
            f"This model's maximum context length is {error.max_tokens} tokens. However, your messages resulted in "
            f"{error.tokens} tokens. Please reduce the length of the messages."
        )
    return error.message
