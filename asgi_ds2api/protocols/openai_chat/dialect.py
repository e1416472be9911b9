"""What look-alikes want of a talk that is written: who may follow whom, what ids of calls are made of.

Pure functions over written messages; the profile says which of them apply. The vendor himself wants none of it.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from ...canonical import Notices
from ...profiles import Profile
from .wire import JsonObject

FILLER: Final = "OK."
"""What an assistant says behind a tool's result, where nobody else may speak."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 9
_LEGAL: Final = re.compile(rf"[{_ALPHABET}]{{{_LENGTH}}}")
_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def fit_turns(messages: list[JsonObject], profile: Profile, notices: Notices) -> list[JsonObject]:
    """Return messages as a vendor wants them.

    Args:
        messages: Each call has its result behind it, in order.
        profile: The upstream's.
        notices: Where changes are reported.
    """
    if not profile.message_names:
        for position, message in enumerate(messages):
            if message["role"] != "tool" and message.pop("name", None) is not None:
                notices.hint(f"messages[{position}].name", "messages have no names here")
    if profile.tool_ids == "alnum9":
        _shorten_ids(messages)
    if profile.after_tool == "assistant":
        messages = list(_filled(messages, notices))
    if profile.prefix_field == "prefix" and messages[-1]["role"] == "assistant":
        messages[-1]["prefix"] = True
    return messages


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


def _digest(text: str) -> str:
    number = _FNV_START
    for byte in text.encode():
        number = ((number ^ byte) * _FNV_PRIME) % 2**64
    digits: list[str] = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _shorten_ids(messages: Sequence[JsonObject]) -> None:
    """Write legal ids into calls and results, alike in both."""
    short: dict[str, str] = {}

    def legal(holder: object, field: str) -> None:
        if isinstance(holder, dict) and isinstance(id_ := holder.get(field), str):
            if id_ not in short:
                short[id_] = short_id(id_, tuple(short.values()))
            holder[field] = short[id_]

    for message in messages:
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            legal(call, "id")
        legal(message, "tool_call_id")


def _filled(messages: Sequence[JsonObject], notices: Notices) -> Iterator[JsonObject]:
    """Yield messages with an assistant's between a tool's and a user's."""
    earlier = ""
    for position, message in enumerate(messages):
        if earlier == "tool" and message["role"] not in ("tool", "assistant"):
            notices.changed(f"messages[{position}]", "an assistant speaks before it", action="inserted")
            yield {"role": "assistant", "content": FILLER}
        earlier = str(message["role"])
        yield message
