"""How hard the model thinks, both ways: ``thinkingConfig`` <-> `ReasoningControl`.

Models up to 2.5 take a budget of tokens (-1: as the model likes, 0: none), newer ones a level. Which a model takes is
among its facts; of one that is not known, each is sent in the form that it came in.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Raw

from ...canonical import Notices, ReasoningControl
from ...errors import MalformedRequest
from ...json_pieces import JsonObject, put_extras
from ...model_facts import ModelFacts, nearest_effort
from . import wire
from .parts import PartWriter
from .wire import Shape

SHAPE: Final = Shape("includeThoughts", "thinkingBudget", "thinkingLevel")
AT: Final = "generationConfig.thinkingConfig"
DYNAMIC: Final = -1

_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 512,
    "low": 2_048,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Effort -> tokens, for models that take a budget; within what each of them takes."""
_EFFORT_BELOW: Final = ((1_024, "minimal"), (4_096, "low"), (16_384, "medium"))
"""Budgets under the first number -> effort; all others are ``high``."""
_NEAREST: Final[Mapping[str, Sequence[str]]] = {
    "minimal": ("minimal", "low", "medium", "high"),
    "low": ("low", "minimal", "medium", "high"),
    "medium": ("medium", "high", "low"),
    "high": ("high", "medium", "low"),
    "xhigh": ("xhigh", "high", "medium", "low"),
    "max": ("xhigh", "high", "medium", "low"),
}
_LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh")

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_thinking(raw: Raw) -> ReasoningControl | None:
    """Return what ``thinkingConfig`` says; None: nothing.

    Raises:
        MalformedRequest: With ``param``: a wrong type, or a budget beside a level.
    """
    fields, extras = SHAPE.read(raw, AT)
    if "thinkingBudget" in fields and "thinkingLevel" in fields:
        raise MalformedRequest(
            "You can only set one of thinking budget and thinking level.", param=f"{AT}.thinkingLevel"
        )
    display = None
    if "includeThoughts" in fields:
        display = "summarized" if wire.boolean(fields["includeThoughts"], f"{AT}.includeThoughts") else "omitted"
    effort = wire.text(fields["thinkingLevel"], f"{AT}.thinkingLevel").lower() if "thinkingLevel" in fields else None
    if effort == "thinking_level_unspecified":
        effort = None
    if "thinkingBudget" in fields:
        budget = wire.integer(fields["thinkingBudget"], f"{AT}.thinkingBudget")
        if budget == 0:
            return ReasoningControl(mode="disabled", display=display, extras=extras, at=AT)
        if budget == DYNAMIC:
            return ReasoningControl(mode="adaptive", display=display, extras=extras, at=AT)
        return ReasoningControl(mode="enabled", budget_tokens=budget, display=display, extras=extras, at=AT)
    if effort is None and display is None and not extras:
        return None
    return ReasoningControl(effort=effort, display=display, extras=extras, at=AT)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_thinking(
    control: ReasoningControl | None, facts: ModelFacts, writer: PartWriter, notices: Notices
) -> JsonObject | None:
    """Return ``thinkingConfig``; None: the model does as it always does.

    Args:
        control: What is asked.
        facts: Of the model.
        writer: Knows what is native, which is not changed.
        notices: Where it is reported what the model does not know.
    """
    if control is None:
        return None
    written: JsonObject = {}
    if writer.is_native:
        if control.display is not None:
            written["includeThoughts"] = control.display != "omitted"
        written |= _asked(control)
    else:
        written |= _fitted(control, facts, notices)
        if control.display is not None:
            notices.hint(f"{control.at}.display", "Gemini shows thoughts or not, and no more")
        is_silent = control.mode == "disabled" or control.effort == "none" or control.display == "omitted"
        if not is_silent:
            written["includeThoughts"] = True
    return put_extras(written, writer.own(control.extras, control.at)) or None


def _asked(control: ReasoningControl) -> JsonObject:
    if control.budget_tokens is not None:
        return {"thinkingBudget": control.budget_tokens}
    if control.effort is not None:
        return {"thinkingLevel": control.effort.upper()}
    match control.mode:
        case "disabled":
            return {"thinkingBudget": 0}
        case "adaptive" | "between_tools":
            return {"thinkingBudget": DYNAMIC}
        case _:
            return {}


def _fitted(control: ReasoningControl, facts: ModelFacts, notices: Notices) -> JsonObject:
    at = control.at or "reasoning_effort"
    if control.effort is not None:
        at = f"{at}.effort"
    if control.mode == "disabled" or control.effort == "none":
        if control.effort not in (None, "none"):
            notices.hint(at, "a model that shall not think takes no effort")
        if "disabled" in facts.thinking:
            return {"thinkingBudget": 0}
        notices.changed(at, "the model always thinks: asked to do so as little as possible", action="clamped")
        return {"thinkingLevel": facts.efforts[0].upper()} if facts.efforts else {"thinkingBudget": 128}
    takes_level = bool(facts.efforts) or "adaptive" in facts.thinking
    if control.effort is not None:
        if control.budget_tokens is not None:
            notices.changed(f"{control.at}.budget_tokens", "the effort says how much to think", action="dropped")
        return _level(control.effort, facts, at, notices) if takes_level else _budget(control.effort, at, notices)
    if control.budget_tokens is not None:
        if not facts.efforts:
            return {"thinkingBudget": control.budget_tokens}
        notices.changed(at, "the model takes a level in place of a budget")
        return _level(_effort_of(control.budget_tokens), facts, at, notices)
    return {}


def _level(effort: str, facts: ModelFacts, at: str, notices: Notices) -> JsonObject:
    known = facts.efforts or _LEVELS
    level = nearest_effort(effort, known, _NEAREST)
    if level is None:
        notices.lost(at, "the model knows no such effort")
        return {}
    if level != effort:
        notices.changed(at, "the nearest level that the model knows", action="clamped")
    return {"thinkingLevel": level.upper()}


def _budget(effort: str, at: str, notices: Notices) -> JsonObject:
    if effort not in _BUDGETS:
        notices.lost(at, "the model knows no such effort")
        return {}
    notices.changed(at, "the model takes a budget in place of an effort")
    return {"thinkingBudget": _BUDGETS[effort]}


def _effort_of(budget_tokens: int) -> str:
    return next((effort for limit, effort in _EFFORT_BELOW if budget_tokens < limit), "high")
