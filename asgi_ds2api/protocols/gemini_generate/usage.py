"""Tokens and the reason of the end, both ways.

The vendor counts thoughts apart from the answer, and what its own tools fed back apart from the prompt. Canonical
totals hold both; the figures themselves are kept, so that they are written as they came.

A figure that is no count (negative, huge, a text) is clamped or ignored: accounting never fails an answer.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from ...canonical import Extras, Finish, FinishReason, Notices, Usage
from ...errors import Refused, ServerFault, UpstreamError
from ...json_pieces import JsonObject, fields_of, items_of, text_of
from . import wire
from .wire import Shape

# --- tokens -----------------------------------------------------------------------------------------------------------

_PROMPT: Final = "promptTokenCount"
_CACHED: Final = "cachedContentTokenCount"
_SAID: Final = "candidatesTokenCount"
_THOUGHT: Final = "thoughtsTokenCount"
_TOTAL: Final = "totalTokenCount"
_TOOLS: Final = "toolUsePromptTokenCount"
"""What tools of the vendor's fed back: part of the input, and not of the prompt."""
_COUNTERS: Final = frozenset({_PROMPT, _CACHED, _SAID, _THOUGHT, _TOTAL})
_DETAIL: Final = Shape("modality", "tokenCount")
_AUDIO: Final = "AUDIO"
_MODALITIES: Final = ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "VIDEO", _AUDIO, "DOCUMENT")
_TRAFFIC: Final = ("TRAFFIC_TYPE_UNSPECIFIED", "ON_DEMAND", "PROVISIONED_THROUGHPUT")
"""In the order of the vendor's numbers."""


def decode_usage(raw: Raw | None) -> Usage | None:
    """Return what ``usageMetadata`` tells; None: no figure."""
    fields = {name: _in_words(name, value) for name, value in fields_of(raw).items()}
    prompt, said = wire.count_of(fields.get(_PROMPT)), wire.count_of(fields.get(_SAID))
    thought, fed = wire.count_of(fields.get(_THOUGHT)), wire.count_of(fields.get(_TOOLS))
    extras: Extras = {name: value for name, value in fields.items() if name not in _COUNTERS}
    told = [count for count in (prompt, fed) if count is not None]
    output = [count for count in (said, thought) if count is not None]
    if not told and not output and not extras:
        return None
    return Usage(
        input_total=sum(told) if told else None,
        cache_read=wire.count_of(fields.get(_CACHED)),
        output_total=sum(output) if output else None,
        reasoning=thought,
        audio_input=_audio(fields.get("promptTokensDetails")),
        audio_output=_audio(fields.get("candidatesTokensDetails")),
        extras=extras,
    )


def encode_usage(usage: Usage, notices: Notices, *, is_native: bool) -> JsonObject:
    """Return ``usageMetadata``. Counts are numbers always; a total is the sum of its parts.

    Args:
        usage: All that is known.
        notices: Where other vendors' counters are reported.
        is_native: The usage came from this protocol: its own counters are written back.
    """
    extras = usage.extras if is_native else {}
    fed = wire.count_of(extras.get(_TOOLS)) or 0
    input_total, output_total = usage.input_total or 0, usage.output_total or 0
    thought = min(usage.reasoning or 0, output_total)
    written: JsonObject = {_PROMPT: max(0, input_total - fed)}
    if usage.cache_read:
        written[_CACHED] = usage.cache_read
    written[_SAID] = output_total - thought
    if thought:
        written[_THOUGHT] = thought
    written[_TOTAL] = input_total + output_total
    if not is_native:
        for name in usage.extras:
            notices.hint(f"usage.{name}", "Gemini has no such counter")
        if usage.cache_write:
            notices.hint("usage.cache_write", "Gemini does not tell what was written to a cache")
        if usage.cache_write_5m is not None or usage.cache_write_1h is not None:
            notices.hint("usage.cache_creation", "Gemini does not tell what was written to a cache")
        for name, count in (
            ("promptTokensDetails", usage.audio_input),
            ("candidatesTokensDetails", usage.audio_output),
        ):
            if count:
                written[name] = [{"modality": _AUDIO, "tokenCount": count}]
    return {**written, **extras}


def _in_words(name: str, raw: Raw) -> Raw:
    """Return a value of the usage with enums in words, where a client has asked the vendor for numbers."""
    if name == "trafficType" and (number := wire.count_of(raw)) is not None:
        return wire.raw_of(_TRAFFIC[number]) if number < len(_TRAFFIC) else raw
    if not name.endswith("TokensDetails"):
        return raw
    details = [_DETAIL.look(item) for item in items_of(raw)]
    if not any(wire.count_of(detail.get("modality")) is not None for detail in details):
        return raw
    told = [{**detail, "modality": wire.word_of(detail.get("modality"), _MODALITIES)} for detail in details]
    return wire.raw_of(told)


def _audio(raw: Raw | None) -> int | None:
    """Return how many tokens of a side were audio; None: nobody told."""
    for item in items_of(raw):
        detail = _DETAIL.look(item)
        if text_of(detail.get("modality")) == _AUDIO:
            return wire.count_of(detail.get("tokenCount"))
    return None


# --- the end ----------------------------------------------------------------------------------------------------------

WORDS: Final = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
)
"""In the order of the vendor's numbers, by which some clients have enums told."""

_REASONS: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        (
            "SAFETY",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "RECITATION",
            "LANGUAGE",
            "ESCALATION",
            "PUP_LIMITED_DISABLED",
            "MODEL_ARMOR",
        ),
        "content_filter",
    ),
}
_UNEXPLAINED: Final = "other"
"""Of ``OTHER``, ``MALFORMED_RESPONSE``, ``NO_IMAGE``, ``IMAGE_OTHER`` and words that nobody knows yet."""
_SPOILED: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})
"""Ends of an answer that was to be a call, and is none."""
_UNSIGNED: Final = "MISSING_THOUGHT_SIGNATURE"
UNSIGNED: Final = "The upstream misses the signature of an earlier call."

_SPELLED: Final[Mapping[FinishReason, str]] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "pause": "STOP",
    "compaction": "MAX_TOKENS",
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "other": "OTHER",
}
_UNKNOWN: Final = frozenset({"pause", "compaction", "other"})


def decode_finish(word: str, *, has_calls: bool, message: str | None, choice: int = 0) -> Finish:
    """Return why a candidate ended.

    Args:
        word: ``finishReason``.
        has_calls: The caller is to run tools: the vendor says STOP then, too.
        message: ``finishMessage``.
        choice: Which candidate.
    """
    reason = _REASONS.get(word, _UNEXPLAINED)
    if reason == "stop" and has_calls:
        reason = "tool_calls"
    explanation = message or (f"The answer was blocked: {word}." if reason == "content_filter" else None)
    return Finish(
        reason=reason,
        raw=word,
        explanation=explanation,
        is_spoiled=word in _SPOILED,
        choice=choice,
        at=f"candidates[{choice}].finishReason",
    )


def decode_block(feedback: Mapping[str, Raw]) -> Finish | None:
    """Return the end of an answer whose prompt was blocked (``promptFeedback``); None: it was not."""
    word = wire.word_of(feedback.get("blockReason"))
    if word is None:
        return None
    message = text_of(feedback.get("blockReasonMessage"))
    explanation = message or f"The prompt was blocked: {word}."
    return Finish(reason="content_filter", raw=word, explanation=explanation, at="promptFeedback.blockReason")


def finish_failure(word: str, *, is_empty: bool) -> UpstreamError | None:
    """Return the error that an end stands for; None: it ends an answer.

    Args:
        word: ``finishReason``.
        is_empty: Nothing was said before it. A call that cannot be read is an end all the same (`Finish.is_spoiled`).
    """
    if word == _UNSIGNED:
        return Refused(UNSIGNED, status=502, detail=word)
    if is_empty and word not in _SPOILED and _REASONS.get(word, _UNEXPLAINED) == _UNEXPLAINED:
        return ServerFault("The upstream ended its answer before it said anything. Try again.", detail=word)
    return None


def encode_finish(finish: Finish, *, is_native: bool, is_spoiled: bool, notices: Notices) -> str:
    """Return ``finishReason``.

    Args:
        finish: Why the answer ended.
        is_native: It came from this protocol: the vendor's own word is written back.
        is_spoiled: A call could not be written.
        notices: Where it is reported what the vendor has no word for.
    """
    if is_spoiled:
        return "MALFORMED_FUNCTION_CALL"
    if is_native and finish.raw is not None:
        return finish.raw
    if finish.stop_sequence is not None and not is_native:
        notices.hint("stop_sequence", "the text that matched is not told here")
    if finish.reason in _UNKNOWN and not is_native:
        notices.changed(finish.at, "Gemini has no such reason", action="coerced")
    return _SPELLED[finish.reason]
