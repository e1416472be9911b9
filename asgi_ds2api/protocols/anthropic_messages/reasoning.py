"""How hard the model thinks, both ways: ``thinking`` and ``output_config.effort`` <-> `ReasoningControl`.

`fit_reasoning` puts what another protocol asks into the words that a model knows: older models take a budget of
tokens, newer ones an effort, the newest cannot be kept from thinking at all.
"""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

import msgspec
from msgspec import Raw

from ...canonical import Effort, Notices, ReasoningControl
from ...json_guard import decode_json, encode_object, whole
from ...json_pieces import without_null
from ...model_facts import ModelFacts, nearest_effort
from . import wire
from .blocks import BlockWriter, JsonObject

MIN_BUDGET: Final = 1_024
"""Tokens; the vendor refuses less."""

BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_000,
    "max": 128_000,
}
"""Effort -> tokens, for models that take a budget."""

_EFFORT_BELOW: Final = ((2_048, "low"), (12_288, "medium"), (28_000, "high"))
"""Budgets under the first number -> effort; all others are ``xhigh``."""

NEAREST: Final[Mapping[str, Sequence[str]]] = {
    "minimal": ("low",),
    "low": ("low", "medium"),
    "medium": ("medium", "low", "high"),
    "high": ("high", "medium"),
    "xhigh": ("xhigh", "high", "max"),
    "max": ("max", "xhigh", "high"),
}
"""Efforts to try in turn."""

_DISPLAYS: Final[Mapping[str, str]] = {"auto": "summarized", "concise": "summarized", "detailed": "summarized"}
"""OpenAI's words for how a summary is shown."""

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_THINKING: Final = msgspec.json.Decoder(wire.Thinking)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TEXT: Final = msgspec.json.Decoder(str | None)

_MODES: Final = ("enabled", "adaptive", "disabled", "between_tools")


def decode_reasoning(thinking: wire.Thinking | None, output_config: dict[str, Raw] | None) -> ReasoningControl | None:
    """Return what ``thinking`` and ``output_config`` say; None: nothing."""
    raw = (output_config or {}).get("effort")
    effort = None if raw is None else decode_json(_TEXT, raw, "output_config.effort")
    if thinking is None:
        return None if effort is None else ReasoningControl(effort=effort, at="output_config.effort")
    return ReasoningControl(
        mode=thinking.type,
        effort=effort,
        budget_tokens=whole(thinking.budget_tokens, "thinking.budget_tokens"),
        display=thinking.display,
        at="thinking",
    )


def read_reasoning(raw: Raw, output_config: dict[str, Raw] | None) -> ReasoningControl | None:
    """Return what a ``thinking`` with unknown fields says, beside ``output_config``; None: its type is unknown.

    Raises:
        MalformedRequest: No object, or a known field of the wrong type.
    """
    fields = decode_json(_OBJECT, raw, "thinking")
    names = wire.Thinking.__struct_fields__
    known = {name: value for name, value in fields.items() if name in names}
    unknown = {name: value for name, value in fields.items() if name not in names}
    if "type" in known and decode_json(_TEXT, known["type"], "thinking.type") not in _MODES:
        return None
    thinking = decode_json(_THINKING, encode_object(known), "thinking")
    control = decode_reasoning(thinking, output_config)
    assert control is not None
    return msgspec.structs.replace(control, extras=without_null(unknown))


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_thinking(control: ReasoningControl | None, writer: BlockWriter) -> JsonObject | None:
    """Return ``thinking``; None: nothing to say beyond the effort."""
    if control is None or (control.mode is None and control.budget_tokens is None and not control.extras):
        return None
    written: JsonObject = {"type": control.mode or "enabled"}
    if control.budget_tokens is not None:
        written["budget_tokens"] = control.budget_tokens
    if control.display is not None:
        written["display"] = control.display
    return {**written, **writer.own(control.extras, control.at)}


def fit_reasoning(
    control: ReasoningControl, facts: ModelFacts, max_tokens: int, *, is_shown: bool, notices: Notices
) -> ReasoningControl | None:
    """Say in a model's words what another protocol asks for.

    Args:
        control: As the other protocol's decoder wrote it.
        facts: Of the model.
        max_tokens: Limit of the whole answer, thinking included.
        is_shown: The caller's protocol shows thinking, so a model that hides it is asked not to.
        notices: Where it is reported what could not be said.

    Returns:
        Nothing if the model shall do as it always does.
    """
    for name in control.extras:
        notices.unknown(control.at, name, "Anthropic has no such field")
    control = msgspec.structs.replace(control, extras={})
    if control.mode == "disabled" or control.effort == "none":
        if control.display is not None:
            notices.hint(f"{control.at}.display", "what does not think shows nothing")
        return _without(control, facts, notices)
    if control.mode is None and control.effort is None and control.budget_tokens is None:
        if control.display is not None:
            notices.hint(control.at, "nothing is asked of the model's thinking")
        return None
    display = _DISPLAYS.get(control.display or "", control.display)
    if display is None and is_shown and facts.default_display == "omitted":
        display = "summarized"
    effort = control.effort if control.effort is not None else effort_of(control.budget_tokens)
    fitted = msgspec.structs.replace(control, display=display, effort=effort)
    takes_effort = bool(facts.efforts) and "adaptive" in facts.thinking
    is_adaptive = control.mode == "adaptive" or takes_effort or "enabled" not in facts.thinking
    if is_adaptive:
        return _adaptive(fitted, facts, notices)
    return _budgeted(fitted, max_tokens, notices, is_told=control.effort is not None)


def effort_of(budget_tokens: int | None) -> str | None:
    """Return the effort that a budget of tokens comes nearest to."""
    if budget_tokens is None:
        return None
    return next((effort for limit, effort in _EFFORT_BELOW if budget_tokens < limit), "xhigh")


def _without(control: ReasoningControl, facts: ModelFacts, notices: Notices) -> ReasoningControl | None:
    """Ask for no thinking, or for as little as the model can do."""
    if "disabled" in facts.thinking:
        # Models with a budget do not think unless asked to.
        return ReasoningControl(mode="disabled", at=control.at) if "adaptive" in facts.thinking else None
    notices.changed(control.at, "the model always thinks: asked to do so as little as possible")
    effort = nearest_effort("low", facts.efforts, NEAREST)
    return ReasoningControl(mode="adaptive", effort=effort, at=control.at)


def _adaptive(control: ReasoningControl, facts: ModelFacts, notices: Notices) -> ReasoningControl:
    effort = control.effort
    if effort is not None and facts.efforts:
        effort = nearest_effort(effort, facts.efforts, NEAREST)
        if effort is None:
            notices.lost(control.at, "the model knows no such effort")
        elif effort != control.effort:
            notices.changed(control.at, "the nearest effort that the model knows", action="coerced")
    if control.budget_tokens is not None:
        notices.changed(control.at, "the model takes an effort in place of a budget")
    return msgspec.structs.replace(control, mode="adaptive", effort=effort, budget_tokens=None)


def _budgeted(
    control: ReasoningControl, max_tokens: int, notices: Notices, *, is_told: bool
) -> ReasoningControl | None:
    budget = control.budget_tokens
    if budget is not None and is_told:
        notices.changed(f"{control.at}.effort", "the budget says how much to think", action="dropped")
    if budget is None:
        if control.effort is not None and control.effort not in get_args(Effort):
            notices.lost(control.at, "the model knows no such effort")
            return None
        budget = BUDGETS[control.effort or "medium"]
    fitted = min(budget, max_tokens - 1)
    if fitted < MIN_BUDGET:
        notices.changed(control.at, "the limit of the answer leaves no room for thinking", action="dropped")
        return None
    if control.budget_tokens is not None and fitted != control.budget_tokens:
        notices.changed(control.at, "thinking counts within the limit of the answer", action="clamped")
    return msgspec.structs.replace(control, mode="enabled", effort=None, budget_tokens=fitted)
