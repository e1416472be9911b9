"""Which conversation a request belongs to: what the caller calls it, else how it begins.

Prompt caches work on beginnings: two requests with the same instructions and the same first words of the user share
one. So the beginning is as good a name as any; it is the same in every turn. Only its digest leaves this file.

The fields of all protocols are looked for, so that no codec has to know of it; what cannot be read has no name.
What a request carries that only the account can read which answered before is looked for in the same way.
"""

import re
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..json_pieces import items_of
from ..seal import PREFIX, PREFIX_IN_BASE64

MAX_BODY_BYTES: Final = 1024 * 1024
"""Larger bodies are not looked into: who sends them, an agent with its files, names its conversations."""
MAX_OPENING: Final = 8
"""Messages before the user's first one."""

_CIPHERTEXT: Final = b'"encrypted_content"'
_SEALED: Final = re.compile(_CIPHERTEXT + rb'\s*:\s*"')
"""Reasoning, or the summary of a talk, as OpenAI encrypts it. Looked for from the end: it takes a tenth of the time, as
CPython looks for what is not there."""
_SEALS: Final = (PREFIX.encode(), PREFIX_IN_BASE64.encode())
_CALLS: Final = (b'"tool_calls"', b'"tool_use"', b'"functionCall"', b'"function_call"')
"""What a turn that called tools holds, on every face."""

_Field = Raw | UnsetType


class _Opening(msgspec.Struct):
    system: _Field = UNSET
    instructions: _Field = UNSET
    systemInstruction: _Field = UNSET
    system_instruction: _Field = UNSET
    messages: _Field = UNSET
    input: _Field = UNSET
    contents: _Field = UNSET
    prompt: _Field = UNSET


class _Message(msgspec.Struct):
    role: str | None = None


_OPENING: Final = msgspec.json.Decoder(_Opening)
_MESSAGE: Final = msgspec.json.Decoder(_Message)


def session_of(caller: str, named: str | None, body: bytes) -> str:
    """Return a digest of a conversation's name, of this caller's; empty: it has none.

    Args:
        caller: Label of the caller: nobody shares a conversation.
        named: What the caller calls it.
        body: JSON of the request.
    """
    opening = b"" if named else _opening(body)
    if not named and not opening:
        return ""
    digest = blake2b(digest_size=12)
    for part in (caller.encode(), b"named" if named else b"begins", (named or "").encode("utf-8", "replace"), opening):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def may_be_sealed(body: bytes, *, is_relayed: bool, is_lent: bool) -> bool:
    """Tell whether a request carries what a vendor may have sealed for one customer. Looks for bytes, reads nothing.

    Args:
        body: JSON of the request. A large one counts as carrying some.
        is_relayed: Whether it is one in the vendor's own protocol, that carries what it does as it came.
        is_lent: Whether what a model thought before its calls may be put back by this gateway.
    """
    if len(body) > MAX_BODY_BYTES:
        return True
    at = body.rfind(_CIPHERTEXT)
    if at >= 0 and (_SEALED.match(body, at) or _SEALED.search(body)) is not None:
        return True
    marks = () if is_relayed else (*_SEALS, *_CALLS) if is_lent else _SEALS
    return any(body.rfind(mark) >= 0 for mark in marks)


def _opening(body: bytes) -> bytes:
    """Return instructions and messages up to the user's first one, as they stand there."""
    if len(body) > MAX_BODY_BYTES:
        return b""
    try:
        head = _OPENING.decode(body)
        parts = [head.system, head.instructions, head.systemInstruction, head.system_instruction, head.prompt]
        found = [bytes(part) for part in parts if part is not UNSET]
        for talk in (head.messages, head.input, head.contents):
            if talk is not UNSET:
                found += _first_words(talk)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return b""
    return b"\n".join(found)


def _first_words(talk: Raw) -> list[bytes]:
    if not bytes(talk).startswith(b"["):
        return [bytes(talk)]
    found = []
    for item in items_of(talk)[:MAX_OPENING]:
        raw = bytes(item)
        found.append(raw)
        if not raw.startswith(b"{") or _MESSAGE.decode(item).role == "user":
            break
    return found
