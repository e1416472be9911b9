"""What went wrong, both ways: an upstream's error -> ours, and ours as Ollama has it: ``{"error": text}``.

A proxy may stand before an upstream: ``diagnosis`` reads what it says, in whatever form.

Follows the vendor's ``server/routes.go`` (0.33) and the SDK's ``ResponseError`` (ollama 0.6.3). Deliberate divergences,
each so that a client does what helps:

1. An upstream that refuses our key is a 502: the caller's own key is fine.
2. Overload is a 503, whatever status the upstream has for it.
3. ``param`` stands before the message: there is no field for it.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ...codec import ErrorAnswer
from ...diagnosis import Told, classify, diagnose, read
from ...error_answers import error_answer
from ...errors import GatewayError, Overloaded, UnknownModel, UpstreamError

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_STATUS_OF_WORDS: Final[tuple[tuple[re.Pattern[str], int], ...]] = (
    (re.compile(r"model .{0,200}not found|not found, try pulling", re.IGNORECASE), 404),
    (re.compile(r"does not support|invalid|illegal base64|is required", re.IGNORECASE), 400),
    (re.compile(r"unauthorized", re.IGNORECASE), 401),
    (re.compile(r"usage limit|rate limit|too many requests", re.IGNORECASE), 429),
    (re.compile(r"server busy|maximum pending|overloaded|too much load", re.IGNORECASE), 503),
)
"""The status that words stand for, where there is none: inside a 200."""


class _Status(msgspec.Struct):
    status_code: int | None = None


_STATUS: Final = msgspec.json.Decoder(_Status)


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer, whatever its form. As `diagnose`."""
    return diagnose(status, headers, body)


def decode_in_band(body: bytes) -> UpstreamError | None:
    """Read an error inside a 200: a whole answer, or a line of a stream; None: it is none."""
    told = read(body)
    if not told.kind and not told.message:
        return None
    return classify(_status_of(told, body), told)


def _status_of(told: Told, body: bytes) -> int:
    try:
        status = _STATUS.decode(body).status_code
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        status = None
    if status is not None and 400 <= status < 600:
        return status
    return next((status for pattern, status in _STATUS_OF_WORDS if pattern.search(told.message)), 500)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


class _Body(msgspec.Struct):
    error: str


_BODY: Final = msgspec.json.Decoder(_Body)


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error so that Ollama's SDK raises its ``ResponseError`` for it; the id is told by a header."""
    return error_answer(error, _status(error), encode_error_body(error), _is_own)


def _is_own(body: bytes) -> bool:
    return bool(_BODY.decode(body).error)


def encode_error_body(error: GatewayError) -> bytes:
    """Return the error as JSON: the body of an answer, or the last line of a stream."""
    return msgspec.json.encode({"error": _message(error)})


def _status(error: GatewayError) -> int:
    return 503 if isinstance(error, Overloaded) else error.status


def _message(error: GatewayError) -> str:
    if isinstance(error, UnknownModel) and error.asked:
        return f"model '{error.asked}' not found"  # words that clients look for
    if error.param is not None and error.param not in error.message:
        return f"{error.param}: {error.message}"
    return error.message
