"""The signature of a call, both ways: Google's convention, by which a call carries that of the thought that led to it.

Here it is reasoning before the call, without a text, at the call's path. One that a call of this protocol carried has
what stood around the signature as its extra, and goes back to its issuer in the same place: of Gemini's own face of
Chat, which refuses calls without it, and of those who speak to it for others. What this gateway put there is sealed.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures (2026-11).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Block, Extras, Notices, Reasoning, ToolCall
from ...json_pieces import JsonObject, fields_of, text_of
from ...seal import PREFIX

EXTRA: Final = "extra_content"
_HOLDERS: Final = ("google", "vertex")
_SIGNATURE: Final = "thought_signature"

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_mark(extras: Extras, at: str) -> tuple[list[Reasoning], Extras]:
    """Return the signature that a call of an answer carries, and the call's other extras."""
    around = fields_of(extras.get(EXTRA))
    for holder in _HOLDERS:
        held = fields_of(around.get(holder))
        if signature := text_of(held.pop(_SIGNATURE, None)):
            rest = Raw(msgspec.json.encode({**around, holder: held}))
            return [Reasoning(signature=signature, extras={EXTRA: rest}, at=at)], _without_extra(extras)
    return [], extras


def split_mark(extras: Extras, at: str) -> tuple[list[Reasoning], Extras]:
    """Return the signature that a call carries for this gateway, and the other extras; a vendor's own stays there."""
    signature = text_of(fields_of(fields_of(extras.get(EXTRA)).get(_HOLDERS[0])).get(_SIGNATURE))
    if signature is None or not signature.startswith(PREFIX):
        return [], extras
    return [Reasoning(signature=signature, at=at)], _without_extra(extras)


def _without_extra(extras: Extras) -> Extras:
    return {name: raw for name, raw in extras.items() if name != EXTRA}


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def is_of_a_call(block: Block) -> bool:
    """Tell whether a block is the signature that a call of this protocol carried."""
    return isinstance(block, Reasoning) and not block.text and (EXTRA in block.extras or EXTRA in block.issued)


def mark_of(block: Block, *, is_own: bool) -> Reasoning | None:
    """Return a block that is nothing but the signature of what follows it; None: it is another.

    Args:
        block: Of an answer.
        is_own: The answer came from this protocol, whose reasoning may be a signature alone without being a call's.
    """
    if not isinstance(block, Reasoning) or block.text or not block.signature or block.redacted is not None:
        return None
    return block if not is_own or is_of_a_call(block) else None


def marks_of(blocks: Sequence[Block], notices: Notices) -> dict[int, Reasoning]:
    """Return the signatures of calls that an assistant's message holds, each by the position of its call."""
    marks: dict[int, Reasoning] = {}
    waiting: list[Reasoning] = []
    for position, block in enumerate(blocks):
        if isinstance(block, Reasoning) and is_of_a_call(block):
            waiting.append(block)
        elif waiting and isinstance(block, ToolCall):
            marks[position] = waiting.pop()
    for block in waiting:
        notices.hint(block.at or "content", "the call that was signed did not come back")
    return marks


def with_mark(written: JsonObject, mark: Reasoning | None) -> JsonObject:
    """Return a call with the signature that it is to carry; one that carries something itself keeps that."""
    if mark is None or EXTRA in written:
        return written
    around = fields_of((mark.issued or mark.extras).get(EXTRA))
    holder = next((name for name in _HOLDERS if name in around), _HOLDERS[0])
    signed = {**fields_of(around.get(holder)), _SIGNATURE: mark.signature}
    return {**written, EXTRA: {**around, holder: signed}}
