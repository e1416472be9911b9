"""Which turns of a talk call tools, and what was said to the model before each of them.

Pure. What was said is told by a digest: of the texts and results that came since the model's last turn, or of all the
talk. What the system says is no part of it, as it may change with every request (the time of day). Nor is reasoning,
which clients drop.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from ..canonical import Block, Message, Reasoning, Text, ToolCall, ToolResult

ASSISTANT: Final = "assistant"
_SYSTEM: Final = frozenset({"system", "developer"})
_Digest: TypeAlias = "hashlib._Hash"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of the model's that stand together and call tools."""

    first: int
    """Number of the first one in the talk."""
    last: int
    """Of the last one, inclusive."""
    calls: tuple[ToolCall, ...]
    said: str
    """Digest of what was said before."""

    @property
    def at(self) -> str:
        """Where the first call stands."""
        return self.calls[0].at or "messages"


def has_calls(messages: Iterable[Message]) -> bool:
    """Tell whether any message calls a tool."""
    return any(type(block) is ToolCall for message in messages for block in message.content)


def is_proof(block: Block | str) -> bool:
    """Tell whether a block is reasoning that its issuer can know again."""
    return isinstance(block, Reasoning) and (block.signature is not None or block.redacted is not None)


def bare_turns(messages: Sequence[Message], *, is_whole: bool) -> list[Turn]:
    """Return the turns that call tools and carry no proof of what the model thought.

    Args:
        messages: Of the talk.
        is_whole: All of the talk counts as said before a turn.
    """
    turns: list[Turn] = []
    digest, since = hashlib.sha256(), list[Message]()
    position = 0
    while position < len(messages):
        first, position = position, _end_of_run(messages, position)
        if messages[first].role != ASSISTANT:
            since += messages[first:position]
            continue
        run = messages[first:position]
        blocks = [block for message in run for block in message.content]
        calls = tuple([block for block in blocks if isinstance(block, ToolCall)])
        if calls and not any(is_proof(block) for block in blocks):
            _add(digest, since)
            since = []
            turns.append(Turn(first=first, last=position - 1, calls=calls, said=digest.hexdigest()))
        if is_whole:
            since += run
        else:
            digest, since = hashlib.sha256(), []
    return turns


def said_last(messages: Sequence[Message], *, is_whole: bool) -> str:
    """Return the digest of what was said before the answer to this talk; a message to be continued is part of it."""
    end = len(messages)
    while end and messages[end - 1].role == ASSISTANT:
        end -= 1
    start = end
    while start and (is_whole or messages[start - 1].role != ASSISTANT):
        start -= 1
    digest = hashlib.sha256()
    _add(digest, messages[start:end])
    return digest.hexdigest()


def start_of_loop(messages: Sequence[Message]) -> int:
    """Return where the running loop of tools begins: behind what the user said last, results apart."""
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if message.role == "user" and any(not isinstance(block, ToolResult) for block in message.content):
            return position + 1
    return 0


def _end_of_run(messages: Sequence[Message], start: int) -> int:
    """Return where the messages of the model's end that begin here; of another's, that message alone."""
    end = start + 1
    while messages[start].role == ASSISTANT and end < len(messages) and messages[end].role == ASSISTANT:
        end += 1
    return end


def _add(digest: _Digest, messages: Iterable[Message]) -> None:
    for message in messages:
        if message.role not in _SYSTEM:
            _add_blocks(digest, message.content)


def _add_blocks(digest: _Digest, blocks: Iterable[Block]) -> None:
    for block in blocks:
        match block:
            case Text(text=""):
                pass
            case Text(text=text):
                _add_text(digest, text)
            case ToolCall(name=name, arguments=arguments):
                _add_text(digest, name)
                _add_text(digest, arguments)
            case ToolResult(blocks=inner):
                _add_blocks(digest, inner)
            case _:
                pass


def _add_text(digest: _Digest, text: str) -> None:
    said = text.encode("utf-8", "surrogatepass")
    digest.update(len(said).to_bytes(8, "big"))
    digest.update(said)
