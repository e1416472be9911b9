"""Which headers pass, in both directions, and what the numbers in them mean. Pure: the wall clock is an argument.

Names are lower-case, as ASGI and ``upstream.contract`` give them. Nothing passes that is not on a list here. What
cannot be read strictly does not exist: a hint that is garbage is no hint.

Sources: RFC 9110 sections 5.6.7, 7.6.1 and 10.2.3; the rate-limit documentation of OpenAI, Azure OpenAI, Anthropic,
Groq and OpenRouter (read 2026-11-20).
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias

import msgspec

from .errors import GatewayError, MalformedRequest, QuotaExhausted, UpstreamError

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

MAX_VALUE_BYTES: Final = 1_024
"""Of one header that is passed on, in either direction; vendors send less than half of it."""
MAX_RELAYED: Final = 64
"""Response headers that are passed on; the largest known set (a subscriber of Anthropic's) has about thirty."""
MAX_RETRY_AFTER_S: Final = 3_600.0
MAX_RESET_S: Final = 86_400.0
"""A daily window is the longest that any vendor has."""

_PATIENCE: Final = ("x-request-timeout", "x-server-timeout", "x-stainless-timeout")

FORWARDED: Final = frozenset({"anthropic-beta", "anthropic-version", "idempotency-key", "openai-beta"})
"""What may reach an upstream of the same protocol. Never what names an account: the accounts are ours."""

CODEX: Final = frozenset({"session-id", "x-codex-turn-state"})
"""What Codex wants to reach an upstream of Responses: which conversation this is, for its cache, and what it was told
earlier in the turn."""

READ: Final = (
    FORWARDED
    | CODEX
    | {
        "accept",
        "originator",
        "session_id",
        "thread-id",
        "user-agent",
        "x-claude-code-session-id",
        "x-client-request-id",
        "x-goog-api-client",
        "x-goog-upload-command",
        "x-goog-upload-file-name",
        "x-goog-upload-header-content-length",
        "x-goog-upload-header-content-type",
        "x-goog-upload-offset",
        "x-goog-upload-protocol",
        "x-openresponses",
        "x-request-id",
        "x-request-timeout",
        "x-server-timeout",
        "x-session-affinity",
        "x-session-id",
        "x-stainless-helper-method",
        "x-stainless-read-timeout",
        "x-stainless-retry-count",
        "x-stainless-timeout",
    }
)
"""What a codec or the gateway may read: what is forwarded, what tells clients and sessions apart, ids, and how an
upload goes on that takes several calls."""


TOLD = frozenset({"x-goog-api-key"})
"""Of what a codec may know that it is there: its value is a secret, and is left out."""


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what a codec may see of a caller's headers; different values of one name are joined with commas.

    A value that is not printable ASCII, or too long, is left out; where it would have been forwarded, it is refused.

    Raises:
        MalformedRequest: A header that would be forwarded has a value that cannot be.
    """
    found: dict[str, dict[str, None]] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1").strip(" \t")
        if name in TOLD:
            found[name] = {_TOLD_VALUE: None}
        if name in READ:
            found.setdefault(name, {})[value] = None
    joined = {name: ", ".join(values) for name, values in found.items()}
    if bad := sorted(name for name, value in joined.items() if name in FORWARDED and not _is_plain(value)):
        raise MalformedRequest(
            f"The header {bad[0]} holds characters that cannot be passed on, or is too long.", code="invalid_header"
        )
    return {name: value for name, value in joined.items() if _is_plain(value)}


def forwarded_headers(headers: Mapping[str, str], more: Collection[str] = ()) -> dict[str, str]:
    """Return those of a caller's headers, as `read_headers` gave them, that go on to an upstream.

    Args:
        headers: The caller's.
        more: Names that mean something in this protocol alone.
    """
    return {name: value for name, value in headers.items() if name in FORWARDED or name in more}


def request_id_from(value: str | None) -> str | None:
    """Return a caller's request id if it is one; None: make one."""
    return value if value is not None and _REQUEST_ID.fullmatch(value) else None


def patience_s(headers: Mapping[str, str], *, stream: bool) -> float | None:
    """Return how long a caller says that it waits for an answer to begin, or for a whole one, in seconds.

    The least of what its SDK tells. How long one waits between two bytes says nothing of a stream that is kept busy.

    Args:
        headers: As `read_headers` gave them.
        stream: Whether the answer is one.

    Returns:
        None: it does not say, or not so that it can be read.
    """
    names = _PATIENCE if stream else (*_PATIENCE, "x-stainless-read-timeout")
    told = [seconds for name in names if (seconds := _decimal(headers.get(name)))]
    return min(told, default=None)


def relayed_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return what may be passed on of an answer's head: content type, ids, rate limits, what Codex looks for.

    In the order in which they came, the first of equal names, and none that ``connection`` names.
    """
    hop_by_hop = {
        token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")
    }
    relayed: dict[bytes, bytes] = {}
    for name, value in headers:
        is_wanted = _RELAYED.fullmatch(name) and name not in hop_by_hop and name not in relayed
        if is_wanted and _is_plain(value.decode("latin-1")) and len(relayed) < MAX_RELAYED:
            relayed[name] = value
    return list(relayed.items())


def retry_headers(error: GatewayError) -> list[tuple[bytes, bytes]]:
    """Return what tells an SDK whether and when to repeat a request.

    An upstream's own hints pass as they came; ours are rounded up, so that nobody comes back too early. A 429 says
    either when to come back or that it is no use, never both: SDKs would obey the second alone.
    """
    hints = [] if isinstance(error, QuotaExhausted) else _retry_hints(error)
    if error.should_retry is None or (hints and error.status == 429):
        return hints
    return [*hints, (b"x-should-retry", b"true" if error.should_retry else b"false")]


def retry_after_s(headers: Mapping[str, str], wall_now_s: float) -> float | None:
    """Return how long an upstream asks us to wait, in 0..`MAX_RETRY_AFTER_S` seconds; None if it does not.

    ``retry-after-ms`` wins over ``retry-after``, as in the SDKs.
    """
    if (milliseconds := _decimal(headers.get("retry-after-ms"))) is not None:
        return _clamp(milliseconds / 1_000, MAX_RETRY_AFTER_S)
    value = headers.get("retry-after")
    if (seconds := _decimal(value)) is not None:
        return _clamp(seconds, MAX_RETRY_AFTER_S)
    moment = http_date(value) if value is not None else None
    return None if moment is None else _clamp(moment - wall_now_s, MAX_RETRY_AFTER_S)


Resource = Literal["requests", "tokens", "input_tokens", "output_tokens"]


class RateWindow(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may still use of one resource. None: the upstream did not say."""

    limit: int | None = None
    """Per window; 0 or more."""
    remaining: int | None = None
    reset_s: float | None = None
    """Seconds until the window is full again, in 0..`MAX_RESET_S`."""


def rate_windows(headers: Mapping[str, str], wall_now_s: float) -> dict[Resource, RateWindow]:
    """Return what the rate-limit headers of an answer say; values that cannot be read are left out.

    Headers without a resource are of requests, unless others name these: then they are somebody else's, such as a
    proxy's, or of something else, and the limit of one says nothing of what remains of the other.
    """
    found: dict[Resource | None, dict[str, int | float]] = {}
    for name, value in headers.items():
        match = _RATE_LIMIT.fullmatch(name)
        if match is None:
            continue
        named = match["after"] or match["before"]
        resource = _RESOURCES[named] if named else None
        what = match["first"] or match["last"]
        number = reset_s(value, wall_now_s) if what == "reset" else _count(value)
        if number is not None:
            found.setdefault(resource, {})["reset_s" if what == "reset" else what] = number
    nameless = found.pop(None, None)
    if nameless is not None:
        found.setdefault("requests", nameless)
    return {resource: msgspec.convert(fields, RateWindow) for resource, fields in found.items() if resource}


def reset_s(value: str, wall_now_s: float) -> float | None:
    """Return the seconds until a window is full again, in 0..`MAX_RESET_S`.

    Reads durations of Go (``6m0s``, ``17ms``), times of RFC 3339, seconds or milliseconds since 1970, and plain
    seconds (Azure). Azure's -1 means that nothing is known.
    """
    seconds = _decimal(value, digits=13)
    if seconds is not None:
        if seconds >= _EPOCH_MS_FROM:
            seconds = seconds / 1_000 - wall_now_s
        elif seconds >= _EPOCH_S_FROM:
            seconds -= wall_now_s
        return _clamp(seconds, MAX_RESET_S)
    if value and len(value) <= MAX_VALUE_BYTES and (duration := _GO_DURATION.fullmatch(value)):
        parts = zip(duration.groups(), _GO_UNITS_S, strict=True)
        return _clamp(sum(float(part) * unit_s for part, unit_s in parts if part), MAX_RESET_S)
    if _RFC_3339.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return _clamp(moment.timestamp() - wall_now_s, MAX_RESET_S)
    return None


def http_date(value: str) -> float | None:
    """Return an HTTP date as seconds since 1970; None if it is none. Without a zone it is taken for UTC."""
    if not value.isascii() or len(value) > _MAX_DATE_BYTES:
        return None
    try:
        moment = parsedate_to_datetime(value)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return aware.timestamp()
    except (ValueError, OverflowError):
        return None


def round_up(seconds: float) -> int:
    """Return whole seconds for a ``retry-after``: at least 1, as SDKs ignore 0."""
    return max(1, math.ceil(seconds))


_TOLD_VALUE: Final = "(set)"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PLAIN: Final = re.compile(r"[\x20-\x7e]+")
_DECIMAL: Final = re.compile(r"([0-9]+)(\.[0-9]{1,6})?")
_COUNT: Final = re.compile(r"[0-9]{1,15}")
_MAX_DATE_BYTES: Final = 64

_RELAYED: Final = re.compile(
    rb"content-type|(?:x-)?request-id|openai-(?:model|processing-ms|version)|retry-after(?:-ms)?"
    rb"|(?:x|anthropic)-ratelimit-[a-z0-9-]{1,64}"
    rb"|x-models-etag|x-reasoning-included|x-codex-turn-state"
    rb"|x-codex-(?:primary|secondary)-(?:used-percent|window-minutes|reset-at)"
)
_RATE_LIMIT: Final = re.compile(
    r"x-ratelimit-(?P<first>limit|remaining|reset)(?:-(?P<after>requests|tokens))?"
    r"|anthropic-ratelimit-(?P<before>requests|tokens|input-tokens|output-tokens)-(?P<last>limit|remaining|reset)"
)
_RESOURCES: Final[Mapping[str, Resource]] = {
    "requests": "requests",
    "tokens": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
}

_GO_DURATION: Final = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?"
    r"(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)[uµ]s)?(?:([0-9]{1,9})ns)?"
)
_GO_UNITS_S: Final = (86_400.0, 3_600.0, 60.0, 1.0, 1e-3, 1e-6, 1e-9)
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH_S_FROM: Final = 1e9
"""2001. Nobody's window is thirty years long."""
_EPOCH_MS_FROM: Final = 1e12


def _retry_hints(error: GatewayError) -> list[tuple[bytes, bytes]]:
    if isinstance(error, UpstreamError):
        told = {b"retry-after": error.retry_after, b"retry-after-ms": error.retry_after_ms}
        as_it_came = [(name, value.encode()) for name, value in told.items() if value is not None and _is_plain(value)]
        if as_it_came:
            return as_it_came
    if error.retry_after_s is None:
        return []
    milliseconds = max(1, math.ceil(error.retry_after_s * 1_000))
    return [(b"retry-after", b"%d" % round_up(error.retry_after_s)), (b"retry-after-ms", b"%d" % milliseconds)]


def _is_plain(value: str) -> bool:
    return len(value) <= MAX_VALUE_BYTES and _PLAIN.fullmatch(value) is not None


def _decimal(value: str | None, digits: int = 9) -> float | None:
    """Read ASCII digits, perhaps with a fraction; no sign, exponent, NaN or digit of another script."""
    match = _DECIMAL.fullmatch(value.strip(" \t")) if value is not None and len(value) <= MAX_VALUE_BYTES else None
    return float(match[0]) if match and len(match[1]) <= digits else None


def _count(value: str) -> int | None:
    return int(value) if _COUNT.fullmatch(value) else None


def _clamp(seconds: float, longest_s: float) -> float:
    return min(max(seconds, 0.0), longest_s)
