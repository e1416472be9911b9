"""What look-alikes want of a talk: who may follow whom, what ids of calls are made of.

Pure functions over messages, canonical or written; the profile says which of them apply. The vendor himself wants none.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import Block, Message, Notices, Reasoning, Text, ToolCall, ToolResult
from ...json_pieces import JsonObject
from ...profiles import Profile
from ..one_turn import BETWEEN_MESSAGES, is_plain, said_in_one

FILLER: Final = "OK."
"""What an assistant says behind a tool's result, where nobody else may speak."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 9
_LEGAL: Final = re.compile(rf"[{_ALPHABET}]{{{_LENGTH}}}")
_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def fit_speakers(messages: Sequence[Message], profile: Profile, notices: Notices) -> list[Message]:
    """Return messages whose speakers take turns, and the last of whom is no system, where a vendor wants that.

    Args:
        messages: Each call has its result behind it, in a message of its own.
        profile: The upstream's.
        notices: Where changes are reported.
    """
    fitted = list(messages) if profile.silent_assistant else _speaking(messages, notices)
    if profile.last_must_be_user and fitted and fitted[-1].role in ("system", "developer"):
        notices.changed(fitted[-1].at or "messages", "the user speaks last: sent as a tagged text", action="moved")
        fitted[-1] = _tagged(fitted[-1])
    return _merged(fitted, notices) if profile.merge_same_role else fitted


def fit_turns(
    messages: list[JsonObject], places: Sequence[str], profile: Profile, notices: Notices
) -> list[JsonObject]:
    """Return messages as a vendor wants them.

    Args:
        messages: Each call has its result behind it, in order.
        places: For each, where the sender has it.
        profile: The upstream's.
        notices: Where changes are reported.
    """
    if not profile.message_names:
        for message, at in zip(messages, places, strict=True):
            if message["role"] != "tool" and message.pop("name", None) is not None:
                notices.lost(f"{at}.name", "messages have no names here")
    if profile.after_tool == "assistant":
        messages = list(_filled(messages, places, notices))
    if profile.prefix_field == "prefix" and messages[-1]["role"] == "assistant":
        messages[-1]["prefix"] = True
    return messages


def shorten_ids(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return messages with ids of nine letters and digits, alike in calls and results.

    Args:
        messages: No two calls have the same id.
        notices: Each id that is another one now is a hint.
    """
    short: dict[str, str] = {}

    def legal(id_: str, at: str) -> str:
        if id_ not in short:
            short[id_] = short_id(id_, tuple(short.values()))
        if short[id_] != id_ and at:
            notices.hint(at, "ids are nine letters and digits", action="renamed")
        return short[id_]

    def renamed(block: Block) -> Block:
        if type(block) is ToolCall:
            return replace(block, id=legal(block.id, f"{block.at}.id"))
        if type(block) is ToolResult:
            return replace(block, call_id=legal(block.call_id, block.at and f"{block.at}.call_id"))
        return block

    return [replace(message, content=tuple(map(renamed, message.content))) for message in messages]


def short_id(id_: str, taken: Sequence[str] = ()) -> str:
    """Return nine letters and digits for an id: the same for the same id, on every worker and in every turn.

    Args:
        id_: As its issuer wrote it; one that fits stays as it is.
        taken: What stands for other ids already.
    """
    if _LEGAL.fullmatch(id_) and id_ not in taken:
        return id_
    made = _digest(id_)
    while made in taken:
        made = _digest(made + id_)
    return made


def _speaking(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages without those in which an assistant says nothing; what comes last is to be answered."""
    speaking: list[Message] = []
    for place, message in enumerate(messages, 1):
        if message.role == "assistant" and place < len(messages) and all(map(_is_silent, message.content)):
            notices.hint(message.at or "messages", "the message is empty")
        else:
            speaking.append(message)
    return speaking


def _is_silent(block: Block) -> bool:
    if isinstance(block, Reasoning):
        return not (block.text or block.signature or block.redacted)
    return isinstance(block, Text) and not block.text


def _tagged(message: Message) -> Message:
    """Return a system message as a user's that says what it is."""
    opened = _joined((Text(text="<system>"),), message.content, "\n")
    content = _joined(opened, (Text(text="</system>"),), "\n")
    return replace(message, role="user", content=content)


def _merged(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return messages with one for what a user or an assistant says in several behind each other."""
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is None or message.role not in ("user", "assistant") or _speaker(last) != _speaker(message):
            merged.append(message)
            continue
        notices.changed(message.at or "messages", "one speaks once before another does", action="merged")
        join = said_in_one if message.role == "assistant" else _joined
        content = join(last.content, message.content)
        merged[-1] = replace(last, content=content, extras={**last.extras, **message.extras})
    return merged


def _speaker(message: Message) -> tuple[str, str | None]:
    return message.role, message.name


def _joined(
    before: Sequence[Block], behind: Sequence[Block], between: str = BETWEEN_MESSAGES
) -> tuple[Block, ...]:  # fmt: skip
    """Return blocks in a row; of two texts that meet, if they are nothing but text, one is made."""
    if before and behind and is_plain(last := before[-1]) and is_plain(first := behind[0]):
        return (*before[:-1], replace(last, text=f"{last.text}{between}{first.text}"), *behind[1:])
    return (*before, *behind)


def _digest(text: str) -> str:
    number = _FNV_START
    for byte in text.encode():
        number = ((number ^ byte) * _FNV_PRIME) % 2**64
    digits: list[str] = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _filled(messages: Sequence[JsonObject], places: Sequence[str], notices: Notices) -> Iterator[JsonObject]:
    """Yield messages with an assistant's between a tool's and a user's."""
    earlier = ""
    for message, at in zip(messages, places, strict=True):
        if earlier == "tool" and message["role"] not in ("tool", "assistant"):
            notices.changed(at or "messages", "an assistant speaks before it", action="inserted")
            yield {"role": "assistant", "content": FILLER}
        earlier = str(message["role"])
        yield message
