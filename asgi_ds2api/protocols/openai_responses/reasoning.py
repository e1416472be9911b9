"""Reasoning, both ways: what the model thought, and how hard it is asked to think.

An item of reasoning holds a summary or the thoughts themselves, in parts, and a ciphertext that only its issuer can
read. Parts are joined by an empty line, and written as one. An item with both is two blocks, one behind the other, of
which the second has the ciphertext and nothing that names it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Block, Extras, Message, Notices, Reasoning, ReasoningControl, Request, ToolCall
from ...json_pieces import JsonObject, Shape, fields_of, put_extras, set_fields, text_of, without_none
from ...model_facts import ModelFacts, nearest_effort
from ...seal import PREFIX
from . import wire
from .content import PartWriter

# --- what the model thought: wire -> ours -----------------------------------------------------------------------------

_ID: Final = "id"
BETWEEN_PARTS: Final = "\n\n"
_ITEM: Final = Shape(wire.Reasoning)
SUMMARY: Final = "summary_text"
THOUGHT: Final = "reasoning_text"


def decode_thought(raw: Raw, at: str) -> list[Reasoning]:
    """Return the blocks of an item: one, or two if it holds a summary and the thoughts themselves.

    Raises:
        MalformedRequest: With ``param``: a field of the wrong type.
    """
    item, unknown = _ITEM.read(raw, at)
    extras = {**set_fields(item, "id", "status"), **unknown}
    return thoughts(item.summary or (), item.content or (), item.encrypted_content, extras, at)


def thoughts(
    summary: Sequence[Raw], content: Sequence[Raw], ciphertext: str | None, extras: Extras, at: str
) -> list[Reasoning]:  # fmt: skip
    """Return the blocks of an item of these parts."""
    said, is_plain = _joined(summary, SUMMARY)
    if not is_plain:
        extras = {**extras, "summary": Raw(msgspec.json.encode(summary))}
    thought, is_plain = _joined(content, THOUGHT)
    if not is_plain:
        extras = {**extras, "content": Raw(msgspec.json.encode(content))}
    signature = ciphertext or None
    if said and thought:
        return [
            Reasoning(text=said, is_summary=True, extras=extras, at=at),
            Reasoning(text=thought, signature=signature, at=at),
        ]
    return [Reasoning(text=said or thought, is_summary=bool(said), signature=signature, extras=extras, at=at)]


def _joined(parts: Sequence[Raw], kind: str) -> tuple[str, bool]:
    """Return the text of parts, and whether it is all that they say."""
    fields = [fields_of(part) for part in parts]
    is_plain = all(part.keys() == {"type", "text"} and text_of(part["type"]) == kind for part in fields)
    return BETWEEN_PARTS.join(text_of(part.get("text")) or "" for part in fields), is_plain


# --- what the model thought: ours -> wire -----------------------------------------------------------------------------


def encode_thought(block: Reasoning, extras: Extras, writer: PartWriter) -> list[JsonObject]:
    """Return what goes back to an upstream of earlier reasoning; what stays here is reported."""
    proof = block.redacted or block.signature
    at = block.at or "content"
    if proof is None and not writer.is_own:
        writer.notices.hint(at, "the upstream takes back no reasoning but its own")
        return []
    is_issuer = block.origin == writer.profile.vendor or (block.origin is None and writer.is_own)
    if proof is not None and (not is_issuer or proof.startswith(PREFIX)):
        writer.notices.hint(at, "reasoning belongs to the vendor that issued it")
        return []
    if proof is not None and not writer.is_own:
        block = msgspec.structs.replace(block, is_summary=True)  # who encrypts thoughts has shown no more of them
    return [put_extras(thought_item(block), extras)]


def thought_item(block: Reasoning) -> JsonObject:
    """Return a block as an item, without what names it."""
    item: JsonObject = {"type": "reasoning", "summary": []}
    if block.text and block.is_summary:
        item["summary"] = [{"type": SUMMARY, "text": block.text}]
    elif block.text:
        item["content"] = [{"type": THOUGHT, "text": block.text}]
    proof = block.redacted if block.redacted is not None else block.signature
    if proof is not None:
        item["encrypted_content"] = proof
    return item


def goes_on(earlier: Block | None, block: Reasoning) -> bool:
    """Tell whether a block holds the thoughts of the item whose summary the block before it is."""
    is_summary = isinstance(earlier, Reasoning) and earlier.is_summary and earlier.signature is None
    return is_summary and not block.is_summary and block.redacted is None and not block.extras


# --- what another customer's model thought ----------------------------------------------------------------------------

SEALED: Final = "sealed for another customer of the vendor"
"""Why reasoning was left out that its own vendor does not take back."""


def without_sealed(request: Request, notices: Notices) -> Request | None:
    """Return a request without reasoning that is encrypted; None: it has none.

    The vendor knows an item by its id, and wants the reasoning before it that it came with: what was said and called
    goes without ids.
    """
    if not any(map(_is_sealed, (block for message in request.messages for block in message.content))):
        return None
    messages: list[Message] = []
    for message in request.messages:
        content = tuple([_without_id(block, notices) for block in message.content if not _left_out(block, notices)])
        if message.role == "assistant":
            extras = _without(message.extras, message.at, notices)
            message = msgspec.structs.replace(message, extras=extras)
        if content or not message.content:
            messages.append(msgspec.structs.replace(message, content=content))
    return msgspec.structs.replace(request, messages=tuple(messages))


def _is_sealed(block: Block) -> bool:
    return isinstance(block, Reasoning) and (block.signature or block.redacted) is not None


def _left_out(block: Block, notices: Notices) -> bool:
    if not _is_sealed(block):
        return False
    notices.lost(getattr(block, "at", "") or "content", SEALED)
    return True


def _without_id(block: Block, notices: Notices) -> Block:
    if not isinstance(block, ToolCall) or _ID not in block.extras:
        return block
    return msgspec.structs.replace(block, extras=_without(block.extras, block.at, notices))


def _without(extras: Extras, at: str, notices: Notices) -> Extras:
    """Return the extras of an item without its id."""
    if _ID not in extras:
        return extras
    notices.tell(f"{at}.{_ID}", "the item goes without the reasoning that it came with", "hint")
    return {name: raw for name, raw in extras.items() if name != _ID}


# --- how hard it is asked to think: wire -> ours ----------------------------------------------------------------------

_CONTROL: Final = Shape(wire.ReasoningControl)
UNSAID: Final = "omitted"
"""How reasoning is shown where nothing says how: the vendor's own words say more."""


def decode_control(raw: Raw | None, at: str) -> ReasoningControl | None:
    """Return how hard the model shall think; None: nothing is said.

    Args:
        raw: What is said.
        at: Where: in the request, or in an item that changes it.

    Raises:
        MalformedRequest: With ``param``: a field of the wrong type.
    """
    if raw is None:
        return None
    asked, unknown = _CONTROL.read(raw, at)
    if asked.effort is None and asked.summary is None and not unknown:
        return None
    display = asked.summary or UNSAID
    return ReasoningControl(effort=asked.effort, display=display, extras=unknown, at=at)


# --- how hard it is asked to think: ours -> wire ----------------------------------------------------------------------

_EFFORT_BELOW: Final = ((1_025, "minimal"), (2_048, "low"), (12_288, "medium"), (28_000, "high"))
"""Budgets under the first number -> effort; all others are ``xhigh``."""
_NEAREST: Final[Mapping[str, Sequence[str]]] = {
    "none": ("none", "minimal", "low"),
    "minimal": ("minimal", "low", "none"),
    "low": ("low", "minimal", "medium"),
    "medium": ("medium", "low", "high"),
    "high": ("high", "medium", "max"),
    "xhigh": ("xhigh", "max", "high"),
    "max": ("max", "xhigh", "high"),
}
"""Efforts to try in turn."""
_SUMMARIES: Final[Mapping[str, str]] = {"summarized": "auto"}


def encode_control(control: ReasoningControl, facts: ModelFacts, notices: Notices, *, is_own: bool) -> JsonObject:
    """Return ``reasoning``; empty: there is nothing to ask for. What it cannot say is reported."""
    if is_own:
        summary = None if control.display == UNSAID else control.display
        return put_extras(without_none({"effort": control.effort, "summary": summary}), control.extras)
    at = control.at or "reasoning"
    for name in control.extras:
        notices.unknown(at, name, "the upstream has no such field")
    if control.mode == "between_tools":
        notices.lost(at, "the upstream thinks when it likes")
    effort = _effort(control, at, facts, notices)
    is_thinking = control.mode in ("enabled", "adaptive") and effort != "none"
    display = control.display or ("summarized" if is_thinking else "omitted")
    summary = None if display == "omitted" else _SUMMARIES.get(display, display)
    return without_none({"effort": effort, "summary": summary})


def _effort(control: ReasoningControl, at: str, facts: ModelFacts, notices: Notices) -> str | None:
    """Return the word for an effort, or for a budget of tokens."""
    effort, budget = control.effort, control.budget_tokens
    if control.mode == "disabled":
        if effort not in (None, "none"):
            notices.hint(at, "there is no effort where there is no thinking")
        effort = "none"
    elif budget is not None and effort != "none":
        notices.changed(f"{at}.budget_tokens", "the upstream takes an effort in place of a budget")
        effort = effort or next((word for limit, word in _EFFORT_BELOW if budget < limit), "xhigh")
    if effort is None or not facts.efforts:
        return effort
    fitted = nearest_effort(effort, facts.efforts, _NEAREST)
    if fitted is None:
        notices.lost(at, "the model knows no such effort")
    elif fitted != effort:
        notices.changed(at, "the nearest effort that the model knows", action="coerced")
    return fitted
