"""Tokens and the reason of the end, both ways.

Anthropic's ``input_tokens`` leave out what was read from and written to the cache; canonical ``input_total`` is all of
it. Figures of a stream are cumulative, and may be told in parts: the raw fields are merged, then read.

A figure that is no count (negative, huge, a text) is clamped or ignored: accounting never fails an answer.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Extras, Finish, FinishReason, Notices, Usage
from ...json_pieces import NULL

MAX_COUNT: Final = 2**53

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_NUMBER: Final = msgspec.json.Decoder(int | float)
_TEXT: Final = msgspec.json.Decoder(str)

_COUNTERS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
_NESTED: Final[Mapping[str, frozenset[str]]] = {
    "cache_creation": frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"}),
    "output_tokens_details": frozenset({"thinking_tokens"}),
}
"""Objects within usage, and what of them has a canonical form."""

_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "compaction",
}
_WORDS: Final[Mapping[FinishReason, str]] = {
    **{reason: word for word, reason in _REASONS.items()},
    "content_filter": "refusal",
}

_TIERS: Final[Mapping[str, str]] = {"standard": "default", "priority": "priority", "batch": "batch"}
"""Anthropic's words for the tier that served a request -> OpenAI's."""
_SERVED: Final[Mapping[str | None, str]] = {tier: word for word, tier in _TIERS.items()}

_AUDIO: Final = ("prompt_tokens_details.audio_tokens", "completion_tokens_details.audio_tokens")
"""OpenAI's names of the counters of audio, in and out, which Anthropic has not."""


def decode_usage(fields: Mapping[str, Raw]) -> Usage:
    """Return what a ``usage`` tells."""
    fresh, written, read, output = (_count(fields.get(name)) for name in _COUNTERS)
    cached = _object(fields.get("cache_creation"))
    details = _object(fields.get("output_tokens_details"))
    told = [count for count in (fresh, written, read) if count is not None]
    return Usage(
        input_total=sum(told) if told else None,
        cache_read=read,
        cache_write=written,
        cache_write_5m=_count(cached.get("ephemeral_5m_input_tokens")),
        cache_write_1h=_count(cached.get("ephemeral_1h_input_tokens")),
        output_total=output,
        reasoning=_count(details.get("thinking_tokens")),
        extras=_other_counters(fields),
    )


def encode_usage(usage: Usage, service_tier: str | None, *, is_native: bool) -> dict[str, object]:
    """Return a ``usage``. Counts are numbers always; those of other vendors' own are left out.

    Args:
        usage: All that is known.
        service_tier: In OpenAI's words.
        is_native: The usage came from this protocol: its own counters are written back, absent ones stay absent.
    """
    read, write = usage.cache_read or 0, usage.cache_write or 0
    if usage.input_total is not None:  # some vendors count what they wrote and read as both
        read = min(read, usage.input_total)
        write = min(write, usage.input_total - read)
    written: dict[str, object] = {"input_tokens": max(0, (usage.input_total or 0) - read - write)}
    if usage.cache_write is not None or not is_native:
        written["cache_creation_input_tokens"] = write
    if usage.cache_read is not None or not is_native:
        written["cache_read_input_tokens"] = read
    lifetimes = {
        "ephemeral_5m_input_tokens": usage.cache_write_5m,
        "ephemeral_1h_input_tokens": usage.cache_write_1h,
    }
    if any(count is not None for count in lifetimes.values()):
        written["cache_creation"] = {name: count or 0 for name, count in lifetimes.items()}
    written["output_tokens"] = usage.output_total or 0
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if service_tier in _SERVED:
        written["service_tier"] = _SERVED[service_tier]
    return {**written, **usage.extras} if is_native else written


def report_untold(usage: Usage, service_tier: str | None, created: int | None, notices: Notices) -> None:
    """Say what Anthropic has no field for of the figures around an answer of another protocol's."""
    audio = zip(_AUDIO, (usage.audio_input, usage.audio_output), strict=True)
    for name in (*usage.extras, *(name for name, count in audio if count is not None)):
        notices.hint(f"usage.{name}", "Anthropic has no such counter")
    if service_tier is not None and service_tier not in _SERVED:
        notices.hint("service_tier", "Anthropic knows no such tier")
    if created is not None:
        notices.hint("created", "Anthropic does not tell when it answered")


def decode_tier(usage: Mapping[str, Raw]) -> str | None:
    """Return the tier that served the request, in OpenAI's words."""
    tier = decode_text(usage.get("service_tier"))
    return None if tier is None else _TIERS.get(tier, tier)


def decode_finish(fields: Mapping[str, Raw], *, has_calls: bool) -> Finish:
    """Return why the answer ended: ``stop_reason``, ``stop_sequence`` and ``stop_details``.

    Args:
        fields: Of the message, or of the delta of a ``message_delta``.
        has_calls: The answer holds calls of the caller's tools; tells what an answer without a reason means.
    """
    word = decode_text(fields.get("stop_reason"))
    details = fields.get("stop_details")
    if details is not None and bytes(details) == NULL:
        details = None
    reason: FinishReason = "tool_calls" if has_calls else "stop"
    if word is not None:
        reason = _REASONS.get(word, "other")
    return Finish(
        reason=reason,
        raw=word,
        stop_sequence=decode_text(fields.get("stop_sequence")),
        explanation=decode_text(_object(details).get("explanation")),
        details=details,
        at="stop_reason",
    )


def encode_finish(finish: Finish, *, is_native: bool, has_calls: bool, refusal: str | None) -> dict[str, object]:
    """Return ``stop_reason``, ``stop_sequence`` and ``stop_details``.

    Args:
        finish: Why it ended.
        is_native: It came from this protocol: the vendor's own word and details are written back.
        has_calls: The answer holds calls: clients go by the reason alone, so it has to agree.
        refusal: What the model said when it declined.
    """
    if is_native:
        word = finish.raw if finish.reason == "other" else _WORDS[finish.reason]
        written: dict[str, object] = {"stop_reason": word, "stop_sequence": finish.stop_sequence}
        return written if finish.details is None else {**written, "stop_details": finish.details}
    reason = finish.reason
    if refusal is not None:
        reason = "refusal"
    elif reason in ("stop", "tool_calls", "other"):
        reason = "tool_calls" if has_calls else "stop"
    details: dict[str, object] | None = None
    if reason in ("refusal", "content_filter"):
        explanation = finish.explanation if finish.explanation is not None else refusal
        details = {"type": "refusal", "category": None, "explanation": explanation}
    return {"stop_reason": _WORDS[reason], "stop_sequence": finish.stop_sequence, "stop_details": details}


def decode_text(raw: Raw | None) -> str | None:
    """Return a string; None: absent, null or of another type."""
    if raw is None:
        return None
    try:
        return _TEXT.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _other_counters(fields: Mapping[str, Raw]) -> Extras:
    """Return what has no canonical form; of an object with a part that has none, the whole."""
    others: Extras = {}
    for name, value in fields.items():
        if name in _COUNTERS or bytes(value) == NULL:
            continue
        if name not in _NESTED or _object(value).keys() - _NESTED[name]:
            others[name] = value
    return others


def _object(raw: Raw | None) -> Mapping[str, Raw]:
    if raw is None:
        return {}
    try:
        return _OBJECT.decode(raw)
    except msgspec.MsgspecError:
        return {}


def _count(raw: Raw | None) -> int | None:
    if raw is None:
        return None
    try:
        number = _NUMBER.decode(raw)
    except msgspec.MsgspecError:
        return None
    return int(min(max(number, 0), MAX_COUNT))
