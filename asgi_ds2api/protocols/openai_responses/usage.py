"""Figures of usage, and how an answer ended, both ways.

Tokens are counted as OpenAI counts them: all input, all output. Written are whole numbers always, never null, and
totals are sums: clients (Codex) fail on details that are missing.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from ...canonical import Extras, Finish, FinishReason, Usage
from ...errors import Interrupted, UpstreamError
from ...json_pieces import JsonObject, fields_of, number_of, put_extras, rest_of, text_of

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_INPUT: Final = "input_tokens_details"
_OUTPUT: Final = "output_tokens_details"
_COUNTERS: Final = frozenset({"input_tokens", "output_tokens", "total_tokens", _INPUT, _OUTPUT})
_REASONS: Final[Mapping[str, FinishReason]] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
FAILED: Final = frozenset({"failed", "cancelled"})
"""Words for an answer that is none."""


def decode_usage(raw: Raw | None) -> Usage | None:
    """Return the figures; None: there are none."""
    fields = fields_of(raw)
    if not fields:
        return None
    inputs, outputs = fields_of(fields.get(_INPUT)), fields_of(fields.get(_OUTPUT))
    usage = Usage(
        input_total=number_of(fields.get("input_tokens")),
        cache_read=number_of(inputs.pop("cached_tokens", None)),
        cache_write=number_of(inputs.pop("cache_write_tokens", None)),
        output_total=number_of(fields.get("output_tokens")),
        reasoning=number_of(outputs.pop("reasoning_tokens", None)),
        audio_input=number_of(inputs.pop("audio_tokens", None)),
        audio_output=number_of(outputs.pop("audio_tokens", None)),
        extras=rest_of(fields, _COUNTERS),
    )
    extras: Extras = usage.extras
    extras |= {f"{_INPUT}.{name}": value for name, value in inputs.items()}
    extras |= {f"{_OUTPUT}.{name}": value for name, value in outputs.items()}
    return usage


def decode_finish(fields: Mapping[str, Raw], *, has_calls: bool) -> Finish:
    """Return why an answer ended.

    Args:
        fields: Of the answer.
        has_calls: The caller is to run tools, which says more than the state.
    """
    status = text_of(fields.get("status"))
    why = text_of(fields_of(fields.get("incomplete_details")).get("reason"))
    if status == "incomplete" or (status is None and why):
        return Finish(reason=_REASONS.get(why or "", "other"), raw=why, at="incomplete_details.reason")
    if status in ("queued", "in_progress"):
        return Finish(reason="other", raw=status, at="status")
    return Finish(reason="tool_calls" if has_calls else "stop", raw=status, at="status")


def finish_failure(fields: Mapping[str, Raw]) -> UpstreamError | None:
    """Return the error that stands for an answer that failed and does not say how; None: it did not fail."""
    if text_of(fields.get("status")) not in FAILED:
        return None
    return Interrupted("The upstream gave up in the middle of its answer.")


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_usage(usage: Usage, *, is_own: bool) -> JsonObject:
    """Return the figures as JSON."""
    inputs: JsonObject = {"cached_tokens": usage.cache_read or 0, "cache_write_tokens": usage.cache_write or 0}
    if usage.audio_input is not None:
        inputs["audio_tokens"] = usage.audio_input
    outputs: JsonObject = {"reasoning_tokens": usage.reasoning or 0}
    if usage.audio_output is not None:
        outputs["audio_tokens"] = usage.audio_output
    taken, given = usage.input_total or 0, usage.output_total or 0
    written: JsonObject = {
        "input_tokens": taken,
        _INPUT: inputs,
        "output_tokens": given,
        _OUTPUT: outputs,
        "total_tokens": taken + given,
    }
    return put_extras(written, usage.extras) if is_own else written


def encode_state(finish: Finish, *, is_own: bool) -> tuple[str, str | None]:
    """Return the vendor's word for how an answer ended, and why it is not whole; None: it is.

    Args:
        finish: Why it ended.
        is_own: It came from this protocol, so that its own words can be told again.
    """
    match finish.reason:
        case "length" | "context_window" | "compaction":
            return "incomplete", "max_output_tokens"
        case "content_filter" | "refusal":
            return "incomplete", "content_filter"
        case "other" if is_own and finish.raw in ("queued", "in_progress"):
            return finish.raw, None
        case "other" if is_own:
            return "incomplete", finish.raw
        case _:
            return "completed", None
