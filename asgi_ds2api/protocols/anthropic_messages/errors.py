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
from ...diagnosis import Told, as_text, classify, diagnose, read
from ...error_answers import error_answer
from ...errors import (
    AuthorizerFailed,
    GatewayError,
    Overloaded,
    Refused,
    UnknownModel,
    Unsupported,
    UpstreamError,
)
from . import wire

# --- wire -> ours -----------------------------------------------------------------------------------------------------

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


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer, whatever its form. As `diagnose`."""
    return diagnose(status, headers, body)


def decode_in_band(error: wire.Error) -> UpstreamError:
    """Read an error that came inside a 200."""
    code = _error_code(error)
    told = Told(kind=error.type or "", message=error.message or "", code=code)
    return classify(_STATUS_OF_TYPE.get(told.kind, 500), told)


def read_in_band(body: bytes) -> UpstreamError | None:
    """Read a whole answer that may be an error inside a 200; None: it is none."""
    told = read(body)
    if not told.kind and not told.message:
        return None
    return classify(_STATUS_OF_TYPE.get(told.kind, 500), told)


def _error_code(error: wire.Error) -> str:
    raw = (error.details or {}).get("error_code")
    if raw is None:
        return ""
    try:
        return as_text(msgspec.json.decode(raw))
    except msgspec.MsgspecError:
        return ""


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_TYPE_OF_STATUS: Final[Mapping[int, str]] = {
    **{status: kind for kind, status in _STATUS_OF_TYPE.items()},
    408: "timeout_error",
    503: "overloaded_error",
}
_NATIVE_TOO_LONG: Final = re.compile(r"prompt is too long: \d+ tokens|exceed context limit: \d+ \+ \d+ > \d+")
NO_THREAD: Final = "thread_not_found"
"""On which the SDK sends the whole talk."""
_OWN_CODES: Final = frozenset({"tool_name_conflict", NO_THREAD})
"""Codes of ours that are the vendor's as well."""
_UNSUPPORTED: Final[Mapping[str | None, str]] = {"thread": "thread_unsupported_request"}
"""Field that cannot be served -> the vendor's code for that: its SDK then sends the whole talk, without a thread."""


class _Body(msgspec.Struct):
    type: str
    error: wire.Error


_BODY: Final = msgspec.json.Decoder(_Body)


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error so that Anthropic's SDK raises its own class for it."""
    return error_answer(error, _status(error), encode_error_body(error, request_id), _is_own)


def _is_own(body: bytes) -> bool:
    return _BODY.decode(body).type == "error"


def encode_error_body(error: GatewayError, request_id: str) -> bytes:
    """Return the error as JSON: the body of an answer, or the payload of an ``error`` event."""
    status = _status(error)
    kind = "api_error" if isinstance(error, AuthorizerFailed) else _type_of(status)
    told: dict[str, object] = {"type": kind, "message": _message(error)}
    code = error.code if error.code in _OWN_CODES else None
    if isinstance(error, Unsupported):
        code = _UNSUPPORTED.get(error.param, code)
    if code is not None:
        told["details"] = {"error_code": code}
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
