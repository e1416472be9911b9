"""What an upstream's error means, whoever wrote it: any vendor, a proxy, a web server -> `UpstreamError`.

An upstream may be a look-alike, and a proxy may stand before it, so its error may be JSON of any vendor, HTML or text.
The words are looked at for what they mean; only those of a refusal are passed on, scrubbed.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from .errors import (
    KeyRefused,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    RefusalKind,
    Refused,
    ServerFault,
    Timeout,
    UpstreamError,
)
from .json_guard import is_too_deep
from .scrub import safe_body, safe_message

MAX_BODY_BYTES: Final = 64 * 1024
"""Of an error body that is looked into or passed on."""

_SHOWN: Final = frozenset({400, 404, 413, 422})
"""Statuses whose body is about the request, so that a caller of the same dialect may see it."""
_SPENT_CODES: Final = frozenset(
    {"ramp_limit_exceeded", "enforced_spend_limit_reached", "contract_spend_limit_reached", "insufficient_quota"}
)
_SPENT: Final = re.compile(
    r"credit balance|insufficient[ _](?:quota|balance|credit)|billing_(?:error|hard_limit)|spend(?:ing)?[ _]limit"
    r"|out of credits|exceeded your current quota",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"prompt is too long|exceed(?:s|ed)? (?:the )?(?:model'?s? )?(?:maximum |available )?context|context[ _]length"
    r"|context window|exceed_context_size|input is too long|exceeds the maximum number of tokens|range of input length"
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
_FOREIGN_REASONING: Final = re.compile(
    r"invalid_encrypted_content|encrypted content .{0,120}could not be (?:verified|decrypted|decoded)"
    r"|invalid .?signature.? in .?thinking|thought[ _]signature .{0,40}(?:not valid|invalid)"
    r"|corrupted thought signature",
    re.IGNORECASE,
)
_NO_CAPACITY: Final = re.compile(r"no available capacity", re.IGNORECASE)
_SPOILED_CALL: Final = re.compile(
    r"tool_use_failed|failed to call a function|malformed_(?:tool|function)_call", re.IGNORECASE
)
_NO_MODEL: Final = re.compile(r"^model: |model_not_found|model .{0,80}not (?:found|exist)", re.IGNORECASE)
_NO_MODEL_CODES: Final = ("model_not_found", "DeploymentNotFound")
_NO_FILE: Final = re.compile(
    r"no such file|\bfiles?\b.{0,400}(?:not found|do(?:es)? not exist|may not exist)|file_not_found|not found: file",
    re.IGNORECASE | re.DOTALL,
)
_KEY_ITSELF: Final = re.compile(r"api[- _]?key|x-api-key|bearer|token|credential|revoked|expired", re.IGNORECASE)
_PER_MODEL: Final = re.compile(r"\bmodel\b", re.IGNORECASE)
_DAILY: Final = re.compile(r"per day|daily|\bRPD\b|\bTPD\b", re.IGNORECASE)
_AGAIN: Final = re.compile(
    r"(?:try again|retry) (?:in|after) (?P<number>\d{1,9}(?:\.\d{1,9})?) ?(?P<unit>ms|s|m|h)?", re.IGNORECASE
)
_UNITS_S: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}
_HTML: Final = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)


class Told(msgspec.Struct, frozen=True):
    """What an error body says, whoever wrote it."""

    kind: str = ""
    message: str = ""
    code: str = ""
    is_html: bool = False

    @property
    def words(self) -> str:
        return f"{self.kind} {self.code} {self.message}"


def diagnose(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer, whatever its form.

    Args:
        status: 400 to 599.
        headers: Names in lower case.
        body: Perhaps only the beginning of it.
    """
    told = read(body)
    error = classify(status, told)
    if isinstance(error, KeyRefused):
        error.is_origin_wide = told.is_html or (status == 403 and "cf-ray" in headers and not told.kind)
    if isinstance(error, Refused) and status in _SHOWN and len(body) <= MAX_BODY_BYTES and not told.is_html:
        error.body = safe_body(body)
    error.upstream_status = status
    error.retry_after = headers.get("retry-after")
    error.retry_after_ms = headers.get("retry-after-ms")
    return error


def classify(status: int, told: Told) -> UpstreamError:
    """Return what a status and the words beside it mean.

    Args:
        status: 400 to 599.
        told: What `read` found.
    """
    if status == 402 or (status in (400, 403, 429) and (told.code in _SPENT_CODES or _SPENT.search(told.words))):
        return QuotaExhausted("The upstream account has no quota left.", should_retry=False, detail=_detail(told))
    if status in (401, 403) and not (status == 403 and (_BLOCKED.search(told.words) or _NO_FILE.search(told.message))):
        error = KeyRefused(
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
    if status in (503, 529) or (status == 400 and _NO_CAPACITY.search(told.message)):
        return Overloaded("The upstream is overloaded. Try again later.", detail=_detail(told))
    if status >= 500:
        return ServerFault("The upstream failed. Try again.", detail=_detail(told))
    return _refused(status, told)


def _rate_limited(told: Told) -> RateLimited:
    error = RateLimited(safe_message(told.message) or "The upstream limits how often it may be asked.")
    error.scope = "model" if _PER_MODEL.search(told.message) else "account"
    error.is_daily = bool(_DAILY.search(told.message))
    if match := _AGAIN.search(told.message):
        error.retry_after_s = float(match["number"]) * _UNITS_S[(match["unit"] or "s").lower()]
    return error


def _refused(status: int, told: Told) -> Refused:
    message = "" if told.is_html else safe_message(told.message)
    error = Refused(message or "The upstream refused the request.", status=status if status in (404, 409, 413) else 400)
    error.kind = _kind(status, told)
    if error.kind == "unknown_file" and status == 403:
        error.status = 404  # Google does not tell what is not there from what is not for this key
    if error.kind == "context_too_long":
        error.status = 400
        for figures in _FIGURES:
            if match := figures.search(told.message):
                groups = match.groupdict()
                error.tokens = int(groups["tokens"]) + int(groups.get("more") or 0)
                error.max_tokens = int(groups["limit"])
                break
    return error


def _kind(status: int, told: Told) -> RefusalKind:
    if _TOO_LONG.search(told.words):
        return "context_too_long"
    if _FOREIGN_REASONING.search(told.words):
        return "foreign_reasoning"
    if status == 413:
        return "too_large"
    if status == 409:
        return "conflict"
    if _BLOCKED.search(told.words):
        return "content_blocked"
    if _SPOILED_CALL.search(told.words):
        return "spoiled_call"
    if _NO_MODEL.search(told.message) or any(word in told.words for word in _NO_MODEL_CODES):
        return "model_not_found"
    if _NO_FILE.search(told.words):
        return "unknown_file"
    return "not_found" if status == 404 else "invalid_request"


def read(body: bytes) -> Told:
    """Read an error body of any vendor."""
    if _HTML.match(body):
        return Told(is_html=True)
    if len(body) > MAX_BODY_BYTES or is_too_deep(body):
        return Told()
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Told(message=body.decode("utf-8", "replace").strip())
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return Told()
    return _from_object(value)


def _from_object(body: dict[str, object]) -> Told:
    inner = body.get("error", body)
    match inner:
        case str():
            return Told(message=inner, kind=as_text(body.get("type")))
        case {"detail": str(detail)}:
            return Told(message=detail)
        case {"detail": list(problems)}:
            return Told(message="; ".join(map(_problem, problems)))
        case dict():
            details = inner.get("details")
            code = details.get("error_code") if isinstance(details, dict) else None
            is_message = inner is body and inner.get("object") != "error" and "content" in inner
            if is_message:
                return Told()
            kind = "" if inner.get("type") == "error" else as_text(inner.get("type") or inner.get("status"))
            return Told(kind=kind, message=as_text(inner.get("message")), code=as_text(code or inner.get("code")))
        case _:
            return Told()


def _problem(problem: object) -> str:
    """Return one entry of a FastAPI's ``detail``: where, and what."""
    if not isinstance(problem, dict):
        return as_text(problem)
    where = problem.get("loc")
    path = ".".join(map(str, where)) if isinstance(where, list) else ""
    return f"{path}: {as_text(problem.get('msg'))}" if path else as_text(problem.get("msg"))


def as_text(value: object) -> str:
    """Return what stands for a word or a code; of anything else, nothing."""
    return str(value) if isinstance(value, str | int) else ""


def _detail(told: Told) -> str:
    """Return an upstream's words for the log."""
    return safe_message(told.words)
