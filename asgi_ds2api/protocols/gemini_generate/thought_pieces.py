"""Puts thoughts together again that were told in pieces.

A stream has each piece as a part, and the seal of the thought behind the last. SDKs send the parts back as they came,
each perhaps in a content of its own, and a seal is worth something at the whole thought alone. The vendor's own
signatures are left where it put them.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ...canonical import Block, Message, Reasoning
from ...seal import PREFIX


def join_thoughts(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages with every thought that is sealed in one block, where its seal stood."""
    if not any(_is_sealed(block) for message in messages for block in message.content):
        return tuple(messages)
    contents: list[list[Block]] = [[] for _ in messages]
    pieces: list[tuple[int, Reasoning]] = []
    for number, message in enumerate(messages):
        if message.role != "assistant":
            pieces = []
        for block in message.content:
            if isinstance(block, Reasoning) and _is_piece(block):
                pieces.append((number, block))
            elif isinstance(block, Reasoning) and _is_sealed(block):
                for at, piece in pieces:
                    contents[at] = [kept for kept in contents[at] if kept is not piece]
                block = replace(block, text="".join(piece.text for _, piece in pieces) + block.text)
                pieces = []
            else:
                pieces = []
            contents[number].append(block)
    told = zip(messages, contents, strict=True)
    return tuple(replace(message, content=tuple(blocks)) for message, blocks in told if blocks or not message.content)


def _is_piece(block: Reasoning) -> bool:
    return block.signature is None and block.redacted is None and not block.extras


def _is_sealed(block: Block) -> bool:
    return isinstance(block, Reasoning) and block.signature is not None and block.signature.startswith(PREFIX)
