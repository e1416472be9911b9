"""Figures of usage and reasons of an end, both ways.

Tokens are counted as OpenAI counts them: all input, all output. Look-alikes put the same figures elsewhere; what has no
canonical name is kept. Written are whole numbers always, never null, and totals are sums.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from ...canonical import Extras, Finish, FinishReason, Usage
from ...errors import Interrupted, Overloaded, UpstreamError
from ...json_pieces import JsonObject, fields_of, number_of, put_extras, rest_of, text_of

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "length": "length",
    "max_tokens": "length",
    "model_length": "context_window",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
}
_OVERLOADED: Final = "insufficient_system_resource"
_FAILED: Final = frozenset({"error", "abort", _OVERLOADED})
"""Words for an answer that is none."""
_SPOILED: Final = "malformed_"
"""In words for the end of an answer that was to be a call (``malformed_function_call``)."""

_INPUT: Final = "prompt_tokens_details"
_OUTPUT: Final = "completion_tokens_details"
_COUNTERS: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", _INPUT, _OUTPUT})
_CACHED: Final = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
"""Where look-alikes count what was read from a cache."""


def decode_usage(raw: Raw | None, *, reasoning_in_output: bool = True) -> Usage | None:
    """Return the figures; None: there are none.

    Args:
        raw: ``usage``.
        reasoning_in_output: ``completion_tokens`` include the tokens of reasoning.
    """
    fields = fields_of(raw)
    if not fields:
        return None
    inputs, outputs = fields_of(fields.get(_INPUT)), fields_of(fields.get(_OUTPUT))
    reasoning = number_of(outputs.pop("reasoning_tokens", None))
    output = number_of(fields.get("completion_tokens"))
    if output is not None and not reasoning_in_output:
        output += reasoning or 0
    extras: Extras = rest_of(fields, _COUNTERS)
    cached = number_of(inputs.pop("cached_tokens", None))
    if cached is None:
        cached = next((n for name in _CACHED if (n := number_of(fields.get(name))) is not None), None)
    usage = Usage(
        input_total=number_of(fields.get("prompt_tokens")),
        cache_read=cached,
        cache_write=number_of(inputs.pop("cache_write_tokens", None)),
        output_total=output,
        reasoning=reasoning,
        audio_input=number_of(inputs.pop("audio_tokens", None)),
        audio_output=number_of(outputs.pop("audio_tokens", None)),
        extras=extras,
    )
    extras |= {f"{_INPUT}.{name}": value for name, value in inputs.items()}
    extras |= {f"{_OUTPUT}.{name}": value for name, value in outputs.items()}
    return usage


def latest(known: Usage | None, told: Usage | None) -> Usage | None:
    """Return the figures that count: those told last, as they are cumulative, unless they say that nothing was used."""
    says_something = told is not None and bool(told.input_total or told.output_total)
    return told if says_something or known is None else known


def decode_finish(word: str | None, *, has_calls: bool, stop_reason: Raw | None = None, choice: int = 0) -> Finish:
    """Return why a choice ended.

    Args:
        word: ``finish_reason``; None: the upstream did not say.
        has_calls: The caller is to run tools, which says more than the word.
        stop_reason: vLLM's: the text that matched, if it is one.
        choice: Which.
    """
    lowered = (word or "stop").lower()
    reason: FinishReason = _REASONS.get(lowered, "other")
    if has_calls and reason in ("stop", "other"):
        reason = "tool_calls"
    matched = text_of(stop_reason)
    if matched is not None and reason == "stop":
        reason = "stop_sequence"
    is_spoiled = _SPOILED in lowered
    return Finish(
        reason=reason,
        raw=word or None,
        stop_sequence=matched,
        is_spoiled=is_spoiled,
        choice=choice,
        at=f"choices[{choice}].finish_reason",
    )


def finish_failure(word: str | None) -> UpstreamError | None:
    """Return the error that stands for an answer that failed; None: the word says nothing of the kind."""
    if word not in _FAILED:
        return None
    if word == _OVERLOADED:
        return Overloaded("The upstream is overloaded. Try again later.")
    return Interrupted("The upstream gave up in the middle of its answer.")


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_usage(usage: Usage, *, is_own: bool) -> JsonObject:
    """Return the figures as JSON."""
    inputs: JsonObject = {"cached_tokens": usage.cache_read or 0}
    if usage.cache_write is not None:
        inputs["cache_write_tokens"] = usage.cache_write
    if usage.audio_input is not None:
        inputs["audio_tokens"] = usage.audio_input
    outputs: JsonObject = {"reasoning_tokens": usage.reasoning or 0}
    if usage.audio_output is not None:
        outputs["audio_tokens"] = usage.audio_output
    prompt, completion = usage.input_total or 0, usage.output_total or 0
    written: JsonObject = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        _INPUT: inputs,
        _OUTPUT: outputs,
    }
    return put_extras(written, usage.extras) if is_own else written


def encode_finish(finish: Finish, *, has_calls: bool, is_legacy: bool) -> str:
    """Return the vendor's word; calls say more than the reason does, but not more than that they were cut.

    Args:
        finish: Why the choice ended.
        has_calls: The caller is told of calls.
        is_legacy: It knows them as ``function_call``.
    """
    match finish.reason:
        case "length" | "context_window" | "compaction":
            return "length"
        case "content_filter" | "refusal":
            return "content_filter"
        case "stop" | "stop_sequence" | "tool_calls" | "pause" | "other" if has_calls:
            return "function_call" if is_legacy else "tool_calls"
        case "stop" | "stop_sequence" | "tool_calls" | "pause" | "other":
            return "stop"
