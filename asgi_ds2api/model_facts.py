"""What single models accept, by globs of their names: data, and how it is read; `Profile.facts` looks a model up.

Sources: the vendors' documentation as collected on 2026-11-22; facts of Anthropic's models from its migration guides.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec

Replay = Literal["never", "content", "details", "tool_turns", "chunks"]
ReasoningIn = Literal["effort", "thinking", "enable_thinking", "object", "chat_template", "none"]


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one model, or a family of models, accepts."""

    sampling: Literal["any", "one", "none"] = "any"
    """``one``: temperature or top_p, not both. ``none``: any value is refused."""
    thinking: tuple[str, ...] = ("enabled", "adaptive", "disabled", "between_tools")
    """Modes that are accepted; ``enabled`` takes a budget of tokens."""
    efforts: tuple[str, ...] = ()
    """Words that ``effort`` takes; empty: it is not accepted."""
    default_display: Literal["summarized", "omitted"] = "summarized"
    forced_tool_choice: bool = True
    prefill: bool = True
    """Whether a last assistant message is continued."""
    system_midway: bool = False
    """Whether a system message may stand in the middle of a conversation."""
    structured_outputs: bool = True
    max_output_tokens: int | None = None
    cache_marks: bool = False
    """Chat: ``prompt_cache_breakpoint`` is accepted."""
    signs_calls: bool = False
    """Gemini: earlier calls must carry the signature of their thoughts."""
    media_in_results: bool = True
    """Gemini: the result of a function may hold pictures and files."""
    own_tools_beside_functions: bool = True
    """Gemini: the vendor's own tools may stand beside functions."""
    form_beside_tools: bool = True
    """Gemini: the answer may be bound to JSON where there are tools."""
    web_search: bool = False
    """Chat: the model searches the web by itself (``web_search_options``)."""
    chat_tools: Literal["any", "without_effort", "without_reasoning"] = "any"
    """Chat: what functions may stand beside. ``without_effort``: no effort but ``none``. ``without_reasoning``: this
    effort alone, as the model reasons unasked."""
    context_tokens: int = 0
    """What fits into its window; 0 where nobody knows."""
    stream_only: bool = False
    """Chat: it answers with a stream alone; callers who want a whole answer get the stream added up."""
    reasoning_replay: Replay | None = None
    """Chat: in place of the profile's."""
    reasoning_in: ReasoningIn | None = None
    """Chat: in place of the profile's."""
    drop: tuple[str, ...] = ()
    """Chat: top-level fields that it refuses, besides the profile's."""


_EFFORTS = ("low", "medium", "high", "max")
_EFFORTS_X = ("low", "medium", "high", "xhigh", "max")
_BUDGET_ONLY = ModelFacts(
    sampling="one", thinking=("enabled", "disabled"), max_output_tokens=64_000, context_tokens=200_000
)
_ALWAYS_ADAPTIVE = ModelFacts(
    sampling="none",
    thinking=("adaptive",),
    efforts=_EFFORTS_X,
    default_display="omitted",
    forced_tool_choice=False,
    prefill=False,
    system_midway=True,
    max_output_tokens=128_000,
    context_tokens=200_000,
)
_ADAPTIVE_OR_OFF = ModelFacts(
    sampling="none",
    thinking=("adaptive", "disabled"),
    efforts=_EFFORTS_X,
    default_display="omitted",
    prefill=False,
    system_midway=True,
    max_output_tokens=128_000,
    context_tokens=200_000,
)

CLAUDE_MODELS: tuple[tuple[str, ModelFacts], ...] = (
    ("*sonnet-5-5*", msgspec.structs.replace(_ALWAYS_ADAPTIVE, thinking=("adaptive", "between_tools"))),
    ("*opus-5-5*", _ALWAYS_ADAPTIVE),
    ("*fable-5-[12]*", _ALWAYS_ADAPTIVE),
    ("*fable-5*", msgspec.structs.replace(_ALWAYS_ADAPTIVE, forced_tool_choice=True)),
    ("*mythos*", _ALWAYS_ADAPTIVE),
    ("*haiku-5-5*", _ADAPTIVE_OR_OFF),
    ("*opus-5*", _ADAPTIVE_OR_OFF),
    ("*sonnet-5*", msgspec.structs.replace(_ADAPTIVE_OR_OFF, system_midway=False)),
    ("*opus-4-8*", _ADAPTIVE_OR_OFF),
    ("*opus-4-7*", msgspec.structs.replace(_ADAPTIVE_OR_OFF, system_midway=False)),
    (
        "*-4-6*",
        ModelFacts(
            sampling="one",
            thinking=("adaptive", "enabled", "disabled"),
            efforts=_EFFORTS,
            prefill=False,
            max_output_tokens=128_000,
            context_tokens=200_000,
        ),
    ),
    ("*opus-4-5*", msgspec.structs.replace(_BUDGET_ONLY, efforts=("low", "medium", "high"))),
    ("*-4-5*", _BUDGET_ONLY),
    ("*-4-*", msgspec.structs.replace(_BUDGET_ONLY, structured_outputs=False, max_output_tokens=32_000)),
    ("*-3-7-*", msgspec.structs.replace(_BUDGET_ONLY, sampling="any", structured_outputs=False)),
    (
        "*claude-3*",
        ModelFacts(thinking=("disabled",), structured_outputs=False, max_output_tokens=4_096, context_tokens=200_000),
    ),
)
"""First match counts, so the newer and narrower pattern stands above."""

OPENAI_MODELS: tuple[tuple[str, ModelFacts], ...] = (
    ("*-search-*", ModelFacts(web_search=True)),
    ("gpt-5.4*", ModelFacts(chat_tools="without_effort")),
    ("gpt-5.5*", ModelFacts(chat_tools="without_reasoning")),
    ("gpt-5.[6-9]*", ModelFacts(cache_marks=True, chat_tools="without_reasoning")),
    ("gpt-[6-9]*", ModelFacts(cache_marks=True, chat_tools="without_reasoning")),
)

_LEVELS = ModelFacts(thinking=("adaptive",), efforts=("minimal", "low", "medium", "high"), signs_calls=True)
_BUDGETS = ModelFacts(
    thinking=("enabled", "disabled"),
    media_in_results=False,
    own_tools_beside_functions=False,
    form_beside_tools=False,
)

GEMINI_MODELS: tuple[tuple[str, ModelFacts], ...] = (
    ("*gemini-4-hydrogen*", msgspec.structs.replace(_LEVELS, efforts=("low", "medium", "high", "xhigh"))),
    ("*gemini-4*", _LEVELS),
    ("*gemini-3*-pro-image*", ModelFacts(signs_calls=True)),
    ("*gemini-3*-pro*", msgspec.structs.replace(_LEVELS, efforts=("low", "medium", "high"))),
    ("*gemini-3.[78]-flash*", msgspec.structs.replace(_LEVELS, efforts=("low", "medium", "high"))),
    ("*gemini-3*", _LEVELS),
    ("*gemini-2.5-pro*", msgspec.structs.replace(_BUDGETS, thinking=("enabled",))),
    ("*gemini-2.5*", _BUDGETS),
    ("*gemini-[12]*", _BUDGETS),
)
"""Thinking by level from 3 on, by budget before; first match counts."""


def nearest_effort(effort: str, known: Collection[str], steps: Mapping[str, Sequence[str]]) -> str | None:
    """Return the word nearest to an effort among those that a model knows; None: none is near.

    Args:
        effort: That is asked for.
        known: That the model takes.
        steps: Words to try in turn for each effort: vendors differ in what they call near.
    """
    return next((word for word in steps.get(effort, (effort,)) if word in known), None)
