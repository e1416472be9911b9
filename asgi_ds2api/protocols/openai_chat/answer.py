"""What an upstream's answer is made of, in all the forms that look-alikes have for it: wire -> ours, piece by piece.

Whole answers and stream chunks hold the same pieces (a message, a delta), so both are read here. Everything is taken
tolerantly; what has no canonical name is kept.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Raw

from ...canonical import Citation, Extras, Finish, FinishReason, Logprobs, Usage
from . import wire

_ANY: Final = msgspec.json.Decoder()
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])
NULL: Final = b"null"
MAX_COUNT: Final = 2**53

FINISHES: Final[Mapping[str, FinishReason]] = {
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
}
FAILED_FINISHES: Final = frozenset({"error", "insufficient_system_resource"})
REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""In order of preference: those that are there together say the same."""


def fields_of(raw: Raw | bytes | None) -> dict[str, Raw]:
    """Return the fields of an object that are not null; of anything else, none."""
    if raw is None or bytes(raw)[:1] != b"{":
        return {}
    return {name: value for name, value in _FIELDS.decode(raw).items() if bytes(value) != NULL}


def items_of(raw: Raw | None) -> list[Raw]:
    """Return the items of a list; of anything else, none."""
    return _LIST.decode(raw) if raw is not None and bytes(raw)[:1] == b"[" else []


def text_of(raw: Raw | None) -> str | None:
    """Return a string; None: it is something else."""
    if raw is None:
        return None
    value = _ANY.decode(raw)
    return value if isinstance(value, str) else None


def number_of(raw: Raw | None) -> int | None:
    """Return a count of tokens within bounds; None: it is something else."""
    if raw is None:
        return None
    value = _ANY.decode(raw)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(int(value), 0), MAX_COUNT)


def arguments_of(raw: Raw | None) -> str:
    """Return tool arguments as text; an object is written out, null is nothing."""
    if raw is None or bytes(raw) == NULL:
        return ""
    text = text_of(raw)
    return text if text is not None else bytes(raw).decode()


def content_pieces(raw: Raw | None) -> list[tuple[Literal["text", "reasoning"], str]]:
    """Return the pieces of a message's content: one text, or Mistral's list of text and thinking."""
    if raw is None:
        return []
    text = text_of(raw)
    if text is not None:
        return [("text", text)]
    pieces: list[tuple[Literal["text", "reasoning"], str]] = []
    for item in items_of(raw):
        fields = fields_of(item)
        kind = text_of(fields.get("type"))
        if kind == "thinking":
            pieces.append(("reasoning", "".join(text for _, text in content_pieces(fields.get("thinking")))))
        elif (piece := text_of(fields.get("text"))) is not None:
            pieces.append(("text", piece))
    return pieces


def reasoning_text(fields: Mapping[str, Raw]) -> str:
    """Return reasoning from the first of the fields that holds any."""
    return next((text for name in REASONING_FIELDS if (text := text_of(fields.get(name)))), "")


def finish_of(raw: str | None, has_calls: bool, choice: int) -> Finish:
    """Return why a choice ended; calls say more than the word does."""
    reason: FinishReason = FINISHES.get(raw or "stop", "other")
    if has_calls and reason in ("stop", "other"):
        reason = "tool_calls"
    return Finish(reason=reason, raw=raw or None, choice=choice)


def logprobs_of(raw: Raw | None, choice: int) -> Logprobs | None:
    """Return log probabilities; None: there are none."""
    fields = fields_of(raw)
    if not fields:
        return None
    content = tuple(items_of(fields["content"])) if "content" in fields else None
    refusal = tuple(items_of(fields["refusal"])) if "refusal" in fields else None
    return Logprobs(content=content, refusal=refusal, choice=choice)


def citations_of(raw: Raw | None) -> list[Citation]:
    """Return the annotations of a message."""
    found: list[Citation] = []
    for item in items_of(raw):
        cited = fields_of(fields_of(item).get("url_citation"))
        found.append(
            Citation(
                protocol=wire.NAME,
                raw=item,
                url=text_of(cited.get("url")),
                title=text_of(cited.get("title")),
                start=number_of(cited.get("start_index")),
                end=number_of(cited.get("end_index")),
            )
        )
    return found


_CACHED: Final = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
"""Where DeepSeek, Mistral and Moonshot say what was read from the cache."""
_USAGE: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
                           "completion_tokens_details", "prompt_cache_miss_tokens", *_CACHED})  # fmt: skip


def usage_of(raw: Raw | None, *, reasoning_in_output: bool = True) -> Usage | None:
    """Return the figures of a usage object; None: it is none."""
    fields = fields_of(raw)
    if not fields:
        return None
    inputs, outputs = fields_of(fields.get("prompt_tokens_details")), fields_of(fields.get("completion_tokens_details"))
    reasoning = number_of(outputs.get("reasoning_tokens"))
    output = number_of(fields.get("completion_tokens"))
    if output is not None and not reasoning_in_output:
        output += reasoning or 0
    cached = [inputs.get("cached_tokens"), *(fields.get(name) for name in _CACHED)]
    extras: Extras = {name: value for name, value in fields.items() if name not in _USAGE}
    extras |= {
        f"prompt_tokens_details.{n}": v
        for n, v in inputs.items()
        if n not in ("cached_tokens", "cache_write_tokens", "audio_tokens")
    }
    extras |= {
        f"completion_tokens_details.{n}": v for n, v in outputs.items() if n not in ("reasoning_tokens", "audio_tokens")
    }
    return Usage(
        input_total=number_of(fields.get("prompt_tokens")),
        cache_read=next((n for raw in cached if (n := number_of(raw)) is not None), None),
        cache_write=number_of(inputs.get("cache_write_tokens")),
        output_total=output,
        reasoning=reasoning,
        audio_input=number_of(inputs.get("audio_tokens")),
        audio_output=number_of(outputs.get("audio_tokens")),
        extras=extras,
    )


def usage_object(usage: Usage, *, is_own: bool) -> dict[str, object]:
    """Write the figures: whole numbers always, never null."""
    inputs: dict[str, object] = {"cached_tokens": usage.cache_read or 0}
    if usage.cache_write is not None:
        inputs["cache_write_tokens"] = usage.cache_write
    outputs: dict[str, object] = {"reasoning_tokens": usage.reasoning or 0}
    if usage.audio_input is not None:
        inputs["audio_tokens"] = usage.audio_input
    if usage.audio_output is not None:
        outputs["audio_tokens"] = usage.audio_output
    prompt, completion = usage.input_total or 0, usage.output_total or 0
    out: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": outputs,
    }
    for name, value in usage.extras.items() if is_own else ():
        place, dot, field = name.partition(".")
        if not dot:
            out[name] = value
        elif place == "prompt_tokens_details":
            inputs[field] = value
        else:
            outputs[field] = value
    return out
