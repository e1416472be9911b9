"""Reasoning, both ways: what the model thought, and how hard it is asked to think.

The vendor has a word for the effort alone. Who extends the protocol spells all of it in his own way, and every spelling
is read: ``reasoning_content``, ``reasoning``, ``reasoning_details`` (OpenRouter) and ``thinking_blocks`` (LiteLLM) of a
message; ``reasoning``, ``thinking``, ``enable_thinking`` and ``thinking_budget`` of a request. Spellings that come
together say the same, so the richest one counts and the others are not added.

A caller's own spelling goes back to an upstream of this protocol; what came in another protocol is spelled as the
profile says.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ...canonical import Extras, Notices, Reasoning, ReasoningControl
from ...json_guard import whole
from ...json_pieces import (
    JsonObject,
    Shape,
    fields_of,
    items_of,
    present,
    put_extras,
    rest_of,
    set_fields,
    text_of,
    without_none,
)
from ...model_facts import ModelFacts, nearest_effort
from ...profiles import Profile
from ...seal import PREFIX
from . import wire
from .answer_parts import plain_reasoning

# --- what the model thought: wire -> ours -----------------------------------------------------------------------------

_ENCRYPTED: Final = "reasoning.encrypted"
_SUMMARY: Final = "reasoning.summary"
_TEXT: Final = "reasoning.text"
_DETAIL: Final = ("text", "summary", "data", "signature")
_BLOCK: Final = ("type", "thinking", "data", "signature")


def decode_detail(raw: Raw, at: str = "") -> Reasoning:
    """Return one of ``reasoning_details``; what names it (``id``, ``format``, ``index``) is in its extras."""
    fields = fields_of(raw)
    kind = text_of(fields.pop("type", None))
    extras = rest_of(fields, _DETAIL)
    if kind not in (_ENCRYPTED, _SUMMARY, _TEXT) and kind is not None:
        extras["type"] = Raw(msgspec.json.encode(kind))
    text, summary = text_of(fields.get("text")), text_of(fields.get("summary"))
    return Reasoning(
        text=(summary if text is None else text) or "",
        is_summary=kind == _SUMMARY,
        signature=text_of(fields.get("signature")) or None,
        redacted=text_of(fields.get("data")) or None,
        extras=extras,
        at=at,
    )


def decode_thinking_block(raw: Raw, at: str) -> Reasoning:
    """Return one of ``thinking_blocks``, which are Anthropic's."""
    fields = fields_of(raw)
    return Reasoning(
        text=text_of(fields.get("thinking")) or "",
        signature=text_of(fields.get("signature")) or None,
        redacted=text_of(fields.get("data")) or None,
        extras=rest_of(fields, _BLOCK),
        at=at,
    )


def decode_thought(fields: Mapping[str, Raw], at: str) -> list[Reasoning]:
    """Return the reasoning of an answer, from the richest of its spellings."""
    details, thinking = items_of(fields.get("reasoning_details")), items_of(fields.get("thinking_blocks"))
    return richest(details, thinking, plain_reasoning(fields, at), at)


def richest(details: Sequence[Raw], thinking: Sequence[Raw], plain: Reasoning, at: str) -> list[Reasoning]:
    """Return reasoning from the first spelling that says something.

    Args:
        details: ``reasoning_details``.
        thinking: ``thinking_blocks``.
        plain: ``reasoning_content``, or one of its other names.
        at: Of the message.
    """
    blocks = [decode_detail(raw, f"{at}.reasoning_details[{position}]") for position, raw in enumerate(details)]
    if not blocks:
        blocks = [
            decode_thinking_block(raw, f"{at}.thinking_blocks[{position}]") for position, raw in enumerate(thinking)
        ]
    if plain.text and not any(block.text for block in blocks):
        signed = next((i for i, block in enumerate(blocks) if block.signature is not None), None)
        if signed is None:
            return [plain, *blocks]
        blocks[signed] = replace(blocks[signed], text=plain.text)
    return blocks


# --- what the model thought: ours -> wire -----------------------------------------------------------------------------


def encode_detail(block: Reasoning, position: int | None, *, is_own: bool) -> JsonObject:
    """Return reasoning with all that its issuer needs to know it again.

    Args:
        block: What the model thought.
        position: Among the details, for one that nobody named; None: it needs none.
        is_own: It came from this protocol, and goes back with the names that it came with.
    """
    if block.redacted is not None:
        written: JsonObject = {"type": _ENCRYPTED, "data": block.redacted}
    elif block.is_summary:
        written = {"type": _SUMMARY, "summary": block.text}
    else:
        written = {"type": _TEXT, "text": block.text}
    if block.signature is not None:
        written["signature"] = block.signature
    put_extras(written, block.extras if is_own else block.issued)
    if position is not None and not block.issued:
        written.setdefault("index", position)
    return written


def encode_replay(
    blocks: Sequence[Reasoning], profile: Profile, notices: Notices, *, is_own: bool, has_calls: bool
) -> JsonObject:  # fmt: skip
    """Return the fields of an assistant's message that carry its earlier reasoning; what stays here is reported.

    Args:
        blocks: What the model thought.
        profile: The upstream's.
        notices: Where losses are reported.
        is_own: It came from this protocol.
        has_calls: The message calls tools.
    """
    mode = profile.reasoning_replay
    kept = [block for block in blocks if _may_return(block, profile, notices)]
    if mode == "details":
        places = [None if is_own else position for position in range(len(kept))]
        details = [encode_detail(block, place, is_own=is_own) for block, place in zip(kept, places, strict=True)]
        return {"reasoning_details": details} if details else {}
    for block in kept:
        if mode == "never":
            notices.hint(block.at or "content", "the upstream does not take earlier reasoning back")
        elif block.redacted is not None:
            notices.lost(block.at or "content", _AS_TEXT)
        else:
            if block.signature is not None and mode != "chunks":
                notices.hint(f"{block.at}.signature", _AS_TEXT)
            for name in {**block.extras, **block.issued}:
                if mode != "chunks" or name not in OF_A_CHUNK:
                    notices.tell(f"{block.at}.{name}", _AS_TEXT, "hint")
    if mode == "chunks":
        chunks = [_chunk(block, is_own=is_own) for block in kept if block.text or block.signature is not None]
        return {THOUGHT: chunks} if chunks else {}
    told = [block.text for block in kept if block.redacted is None]
    is_told = mode == "content" or (mode == "tool_turns" and has_calls)
    if mode == "tool_turns" and not has_calls:
        for block in kept:
            notices.hint(block.at or "content", "the upstream takes earlier reasoning back beside calls alone")
    return {profile.reasoning_field: "".join(told)} if told and is_told else {}


_AS_TEXT: Final = "the upstream takes earlier reasoning as text"
THOUGHT: Final = "thought"
"""Under which `encode_replay` returns chunks, which belong before the text of the content."""


OF_A_CHUNK: Final = frozenset({"thinking", "closed"})
"""What a chunk of Mistral's says beside its text and its signature: thoughts that are more than text, and whether there
are more to come."""


def _chunk(block: Reasoning, *, is_own: bool) -> JsonObject:
    """Return reasoning as Mistral has it: a part of the content."""
    chunk: JsonObject = {"type": "thinking", "thinking": [{"type": "text", "text": block.text}]}
    if block.signature is not None:
        chunk["signature"] = block.signature
    named = block.extras if is_own else block.issued
    return {**chunk, **{name: raw for name, raw in named.items() if name in OF_A_CHUNK}}


def _may_return(block: Reasoning, profile: Profile, notices: Notices) -> bool:
    """Tell whether reasoning may go to an upstream: what is signed, to who issued it alone."""
    proof = block.redacted or block.signature
    if proof is None or (block.origin in (None, profile.vendor) and not proof.startswith(PREFIX)):
        return True
    notices.hint(block.at or "content", "reasoning belongs to the vendor that issued it")
    return False


# --- how hard it is asked to think: wire -> ours ----------------------------------------------------------------------

_OBJECT: Final = Shape(wire.Reasoning)
_THINKING: Final = Shape(wire.Thinking)

HIDDEN: Final = "omitted"
"""How reasoning is shown that shall not be."""
_MODES: Final[Mapping[str, Literal["enabled", "adaptive", "disabled"]]] = {
    "enabled": "enabled",
    "adaptive": "adaptive",
    "disabled": "disabled",
}
_EFFORT: Final = "reasoning_effort"
_ENABLE: Final = "enable_thinking"
_BUDGET: Final = "thinking_budget"


def decode_control(body: wire.Request, extras: Extras) -> ReasoningControl | None:
    """Return how hard the model shall think; None: nothing is said.

    Args:
        body: The request.
        extras: Takes the spellings that another one stands before.

    Raises:
        MalformedRequest: With ``param``: a field of the wrong type.
    """
    spelled = (spelling(body, extras) for spelling in (_as_object, _as_thinking, _as_switch, _as_effort))
    return next((control for control in spelled if control is not None), None)


def _as_object(body: wire.Request, extras: Extras) -> ReasoningControl | None:
    """Return what OpenRouter's ``reasoning`` says, or Responses' under its name."""
    raw = present(body.reasoning)
    if raw is None:
        return None
    asked, unknown = _OBJECT.read(raw, "reasoning")
    extras |= set_fields(body, "thinking")
    _keep(extras, _switches(body))
    if asked.effort is not None:
        _keep(extras, {_EFFORT: body.reasoning_effort})
    return ReasoningControl(
        mode=None if asked.enabled is None else "enabled" if asked.enabled else "disabled",
        effort=asked.effort or body.reasoning_effort,
        budget_tokens=whole(asked.max_tokens, "reasoning.max_tokens"),
        display=HIDDEN if asked.exclude else asked.summary,
        extras=unknown,
        at="reasoning",
    )


def _as_thinking(body: wire.Request, extras: Extras) -> ReasoningControl | None:
    """Return what Anthropic's ``thinking`` says, beside an effort."""
    raw = present(body.thinking)
    if raw is None:
        return None
    asked, unknown = _THINKING.read(raw, "thinking")
    _keep(extras, _switches(body))
    mode = _MODES.get(asked.type or "")
    if mode is None:
        _keep(unknown, {"type": asked.type})
    return ReasoningControl(
        mode=mode,
        effort=body.reasoning_effort,
        budget_tokens=whole(asked.budget_tokens, "thinking.budget_tokens"),
        display=_display(body),
        extras=unknown,
        at="thinking",
    )


def _as_switch(body: wire.Request, _extras: Extras) -> ReasoningControl | None:
    """Return what Qwen's switch and budget say, beside an effort."""
    if body.enable_thinking is None and body.thinking_budget is None:
        return None
    return ReasoningControl(
        mode="disabled" if body.enable_thinking is False else "enabled",
        effort=body.reasoning_effort,
        budget_tokens=whole(body.thinking_budget, _BUDGET),
        display=_display(body),
        at=_ENABLE,
    )


def _as_effort(body: wire.Request, _extras: Extras) -> ReasoningControl | None:
    """Return what the vendor's own word says."""
    effort = body.reasoning_effort
    return None if effort is None else ReasoningControl(effort=effort, display=_display(body), at=_EFFORT)


def _switches(body: wire.Request) -> Mapping[str, object]:
    return {_ENABLE: body.enable_thinking, _BUDGET: body.thinking_budget}


def _display(body: wire.Request) -> str | None:
    """Return how thoughts are shown: some vendors show them to who asks alone."""
    return "summarized" if present(body.include_reasoning) == Raw(b"true") else None


def _keep(extras: Extras, values: Mapping[str, object]) -> None:
    extras.update({name: Raw(msgspec.json.encode(value)) for name, value in values.items() if value is not None})


# --- how hard it is asked to think: ours -> wire ----------------------------------------------------------------------

_EFFORT_BELOW: Final = ((1_025, "minimal"), (2_048, "low"), (12_288, "medium"), (28_000, "high"))
"""Budgets under the first number -> effort; all others are ``xhigh``."""

NEAREST: Final[Mapping[str, Sequence[str]]] = {
    "none": ("none", "minimal", "low"),
    "minimal": ("minimal", "low", "default", "none"),
    "low": ("low", "minimal", "medium", "high", "default"),
    "medium": ("medium", "low", "high", "default"),
    "high": ("high", "medium", "max", "default"),
    "xhigh": ("xhigh", "max", "high", "default"),
    "max": ("max", "xhigh", "high", "default"),
    "default": ("default", "medium", "high", "low"),
}
"""Efforts to try in turn; ``default`` is Groq's word for thinking of models that have no levels."""
EFFORTS: Final = frozenset(NEAREST)
"""Words for an effort, of all vendors."""
NEAREST_EFFORT: Final = "the nearest effort that the model knows"


def encode_own_control(control: ReasoningControl) -> JsonObject:
    """Return the fields that say what a caller of this protocol asked for, in the caller's spelling."""
    match control.at:
        case "reasoning":
            asked: JsonObject = {
                "effort": control.effort,
                "max_tokens": control.budget_tokens,
                "enabled": None if control.mode is None else control.mode != "disabled",
                "exclude": True if control.display == "omitted" else None,
                "summary": None if control.display == "omitted" else control.display,
            }
            return {"reasoning": put_extras(without_none(asked), control.extras)}
        case "thinking":
            asked = {"type": control.mode, "budget_tokens": control.budget_tokens}
            return {
                "thinking": put_extras(without_none(asked), control.extras),
                **without_none({_EFFORT: control.effort}),
            }
        case "enable_thinking":
            is_on = control.mode != "disabled"
            return without_none({_ENABLE: is_on, _BUDGET: control.budget_tokens, _EFFORT: control.effort})
        case _:
            return {}


def encode_control(
    control: ReasoningControl, profile: Profile, facts: ModelFacts, notices: Notices
) -> JsonObject:  # fmt: skip
    """Return the fields that ask for reasoning as the profile spells them; what they cannot say is reported."""
    at = control.at or "reasoning"
    if control.mode == "between_tools":
        notices.lost(at, "the upstream thinks when it likes")
    if control.display is not None:
        notices.hint(f"{at}.display", "the upstream shows its reasoning or not by itself")
    for name in control.extras:
        notices.unknown(at, name, "the upstream has no such field")
    effort = _asked_effort(control, at, notices)
    budget = control.budget_tokens
    if effort is None and budget is None and (control.mode is None or profile.reasoning_in in ("effort", "none")):
        return {}  # it thinks as much as it likes, which is what it does anyway
    match profile.reasoning_in:
        case "effort":
            return without_none({_EFFORT: _effort(effort, budget, at, profile, facts, notices)})
        case "thinking":
            is_on = effort != "none"
            word = _effort(effort, budget, at, profile, facts, notices) if is_on and (effort or budget) else None
            return {"thinking": {"type": "enabled" if is_on else "disabled"}, **without_none({_EFFORT: word})}
        case "enable_thinking" | "chat_template":
            if effort not in (None, "none"):
                notices.changed(at, "thinking is on or off here", action="coerced")
            return _switch(profile.reasoning_in, is_on=effort != "none", budget=budget)
        case "object":
            if effort == "none":
                return {"reasoning": {"enabled": False}}
            return {
                "reasoning": {"max_tokens": budget} if effort is None and budget else {"effort": effort or "medium"}
            }
        case "none":
            notices.lost(at, "the upstream cannot be told how hard to think")
            return {}


def _switch(spelling: str, *, is_on: bool, budget: int | None) -> JsonObject:
    if spelling == "chat_template":
        return {"chat_template_kwargs": {_ENABLE: is_on}}
    return without_none({_ENABLE: is_on, _BUDGET: budget})


def _asked_effort(control: ReasoningControl, at: str, notices: Notices) -> str | None:
    """Return the effort that is asked for: none where there is no thinking."""
    if control.mode != "disabled":
        return control.effort
    if control.effort not in (None, "none"):
        notices.hint(f"{at}.effort", "there is no effort where there is no thinking")
    return "none"


def _effort(
    effort: str | None, budget: int | None, at: str, profile: Profile, facts: ModelFacts, notices: Notices
) -> str | None:  # fmt: skip
    """Return the word for an effort, or for a budget of tokens."""
    if budget is not None and effort != "none":
        notices.changed(f"{at}.budget_tokens", "the upstream takes an effort in place of a budget")
    effort = effort_of(effort, budget)
    if effort in profile.effort_map:
        notices.changed(at, "the nearest effort that the vendor has", action="coerced")
        effort = profile.effort_map[effort]
    if effort is None or not facts.efforts:
        return effort
    fitted = nearest_effort(effort, facts.efforts, NEAREST)
    if fitted is None:
        notices.lost(at, "the model knows no such effort")
    elif fitted != effort:
        notices.changed(at, NEAREST_EFFORT, action="coerced")
    return fitted


def is_thinking_asked(control: ReasoningControl) -> bool:
    """Tell whether the model is asked to think, in whatever words."""
    asked = (control.mode, control.effort, control.budget_tokens)
    return any(word is not None for word in asked) and control.mode != "disabled" and control.effort != "none"


def without_thinking(control: ReasoningControl | None) -> ReasoningControl:
    """Return what asks for no thinking, in the place of what was asked; None: nothing was."""
    return ReasoningControl(mode="disabled", at=_EFFORT if control is None else control.at)


def effort_of(effort: str | None, budget: int | None) -> str | None:
    """Return an effort, or what stands for a budget of tokens; None: neither is told."""
    if effort is not None or budget is None:
        return effort
    return next((word for limit, word in _EFFORT_BELOW if budget < limit), "xhigh")
