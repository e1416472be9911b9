"""Figures of usage and reasons of an end, both ways.

Tokens are counted whole: thinking is part of the output, and what came from a cache is part of the input. How long it
took, in nanoseconds, has no canonical name; readers divide by these numbers, so that none is ever written as zero.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from ...canonical import Finish, FinishReason, Usage
from ...json_pieces import JsonObject, number_of, text_of

DURATIONS: Final = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_NS: Final = 1_000_000_000

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_REASONS: Final[Mapping[str, FinishReason]] = {"stop": "stop", "length": "length"}


def decode_usage(fields: Mapping[str, Raw]) -> Usage | None:
    """Return the figures of an answer; None: there are none."""
    given, made = number_of(fields.get("prompt_eval_count")), number_of(fields.get("eval_count"))
    if given is None and made is None:  # times alone are no figures: somebody has to estimate them
        return None
    times = {name: fields[name] for name in DURATIONS if name in fields}
    return Usage(input_total=given, output_total=made, extras=times)


def decode_finish(fields: Mapping[str, Raw], *, has_calls: bool) -> Finish:
    """Return why an answer ended.

    Args:
        fields: Of the answer, or of the last line of a stream.
        has_calls: The caller is to run tools: the vendor says ``stop`` then as well.
    """
    word = text_of(fields.get("done_reason"))
    reason: FinishReason = _REASONS.get(word or "stop", "other")
    if has_calls and reason in ("stop", "other"):
        reason = "tool_calls"
    return Finish(reason=reason, raw=word or None, at="done_reason")


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_usage(usage: Usage, *, is_own: bool, first_s: float, total_s: float) -> JsonObject:
    """Return the figures as JSON.

    Args:
        usage: Of the answer.
        is_own: It came from this protocol, and told how long it took.
        first_s: Seconds from the question to the beginning of the answer, as far as they are known.
        total_s: Seconds from the question to the end of the answer.
    """
    total, first = int(total_s * _NS), int(first_s * _NS)
    times: JsonObject = {
        "total_duration": max(1, total),
        "load_duration": 1,
        "prompt_eval_duration": max(1, first),
        "eval_duration": max(1, total - first),
    }
    if is_own:
        times |= {name: value for name, value in usage.extras.items() if name in times}
    return {
        "total_duration": times["total_duration"],
        "load_duration": times["load_duration"],
        "prompt_eval_count": usage.input_total or 0,
        "prompt_eval_duration": times["prompt_eval_duration"],
        "eval_count": usage.output_total or 0,
        "eval_duration": times["eval_duration"],
    }


UNTOLD: Final = ("cache_read", "cache_write", "reasoning", "audio_input", "audio_output")
"""Parts of the counts, which others tell apart."""


def encode_finish(finish: Finish, *, is_own: bool) -> str:
    """Return the vendor's word; calls, refusals and filters have none of their own."""
    if (is_own or finish.reason == "other") and finish.raw in ("load", "unload"):
        return finish.raw
    match finish.reason:
        case "length" | "context_window" | "compaction":
            return "length"
        case "stop" | "stop_sequence" | "tool_calls" | "content_filter" | "refusal" | "pause":
            return "stop"
        case "other":
            return finish.raw if is_own and finish.raw else "stop"
