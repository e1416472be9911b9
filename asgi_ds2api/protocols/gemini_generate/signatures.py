"""Whose thoughts go back to the vendor, and which calls get a stand-in for a signature.

A signature is worth something to who issued it alone, at the part that it came with. Other vendors' reasoning stays
here. The newest models refuse a call of theirs that has none, so the first call of every step that lost its signature,
or that another model made, gets the vendor's own sentinel. A true signature is never replaced, nor copied.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from ...canonical import Block, Message, Notices, Reasoning, ToolCall
from ...json_pieces import fields_of, text_of
from ...profiles import Profile
from ...seal import PREFIX
from . import wire
from .parts import SENTINEL, SIGNED, is_mark

_HOLDERS: Final = ("google", "thought_signature")


def keep_own_thoughts(
    messages: Sequence[Message], profile: Profile, notices: Notices, *, is_native: bool
) -> list[Message]:
    """Return the messages without reasoning that this upstream did not issue."""
    kept: list[Message] = []
    for message in messages:
        if any(isinstance(block, Reasoning) for block in message.content):
            content = [
                block if is_native else _bare(block, notices)
                for block in message.content
                if not isinstance(block, Reasoning) or _is_own(block, profile, notices, is_native=is_native)
            ]
            message = replace(message, content=tuple(content))
        kept.append(message)
    return kept


def _is_own(block: Reasoning, profile: Profile, notices: Notices, *, is_native: bool) -> bool:
    if block.signature is None and block.redacted is None:
        if not is_native:
            notices.hint(block.at or "messages", "the model needs no thoughts back that are not signed")
        return is_native
    if block.signature == SENTINEL:
        return True
    issuers = (None, wire.VENDOR, profile.vendor) if is_native else (profile.vendor,)
    is_own = block.redacted is None and block.origin in issuers and not (block.signature or "").startswith(PREFIX)
    if not is_own:
        notices.lost(block.at or "messages", "reasoning belongs to the vendor that issued it")
    return is_own


def _bare(block: Block, notices: Notices) -> Block:
    """Return reasoning without what names it at another vendor: a signature is then known as what it is."""
    if not isinstance(block, Reasoning):
        return block
    for name in block.extras:
        notices.unknown(block.at, name, "Gemini has no such field")
    return replace(block, extras={})


def place_signatures(messages: Sequence[Message]) -> list[Message]:
    """Return the messages of a Chat caller with signatures at their calls.

    Chat has no order among reasoning, text and calls: the last signature that stands before everything is the first
    call's. A signature that a call carries itself, by Google's convention, is that call's; and one that was kept here
    is in its place already, as that of the block behind it tells.
    """
    return [
        replace(message, content=_placed(message.content))
        if any(isinstance(block, ToolCall) for block in message.content)
        else message
        for message in messages
    ]


def _placed(blocks: Sequence[Block]) -> tuple[Block, ...]:
    placed: list[Block] = []
    mark: Block | None = None
    has_calls = False
    for before, block, behind in zip((None, *blocks), blocks, (*blocks[1:], None), strict=False):
        if is_mark(block) and behind is not None and behind.at == block.at and not isinstance(behind, ToolCall):
            placed.append(block)
            continue
        if is_mark(block):
            mark = block
            continue
        if isinstance(block, ToolCall):
            carried = signature_of(block)
            if carried is not None:
                mark = Reasoning(signature=carried, origin=wire.VENDOR, at=block.at)
            is_its_own = carried is not None or (before is not None and is_mark(before))
            if mark is not None and (is_its_own or not has_calls):
                placed.append(mark)
            mark, has_calls = None, True
        placed.append(block)
    return tuple(placed if mark is None else (*placed, mark))


def signature_of(call: ToolCall) -> str | None:
    """Return the signature in ``extra_content.google.thought_signature`` of a call; None: there is none."""
    raw: Raw | None = call.extras.get(SIGNED)
    for name in _HOLDERS:
        raw = fields_of(raw).get(name)
    signature = text_of(raw)
    return signature if signature and not signature.startswith(PREFIX) else None


def sign_steps(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with the sentinel at the first call of each step that has no signature."""
    signed: list[Message] = []
    for message in messages:
        blocks = message.content
        first = next((i for i, block in enumerate(blocks) if isinstance(block, ToolCall)), None)
        if first is not None and not (first and is_mark(blocks[first - 1])):
            mark = Reasoning(signature=SENTINEL, origin=wire.VENDOR, at=blocks[first].at)
            message = replace(message, content=(*blocks[:first], mark, *blocks[first:]))
        signed.append(message)
    return signed
