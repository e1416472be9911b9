"""The messages of a request of another protocol, put into the turns that Anthropic takes: pure steps.

Each takes messages and returns messages. The order in which they are taken is ``preflight``'s.
"""

from collections.abc import Sequence
from typing import Final, TypeVar, assert_never

import msgspec

from ...canonical import (
    Block,
    FunctionTool,
    Media,
    Message,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from ...errors import MalformedRequest, Unsupported
from ...model_facts import ModelFacts
from ...profiles import Profile
from .blocks import is_replayable, read_mark
from .media import fit_media

Marked = TypeVar("Marked", Text, Media, ToolCall, ToolResult, FunctionTool)

CONTINUED: Final = "(conversation continues)"
SYSTEM: Final = ("system", "developer")
"""Roles that Anthropic has one word for."""


def fit_blocks(messages: Sequence[Message], profile: Profile, notices: Notices) -> list[Message]:
    """Add blank text to the text beside it, and put every block into a form that Anthropic has.

    Raises:
        Unsupported: A block has none, or a message of the user's says nothing.
    """
    fitted = [_fit_message(message, profile, notices) for message in messages]
    return [message for message in fitted if message is not None]


def place_system(messages: Sequence[Message], facts: ModelFacts, notices: Notices) -> list[Message]:
    """Leave leading system messages apart, keep later ones where the model takes them, and wrap the others.

    A system message in the middle stands behind a user's turn, and before an assistant's or at the end.
    """
    first = next((i for i, message in enumerate(messages) if message.role not in SYSTEM), len(messages))
    if all(message.role not in SYSTEM for message in messages[first:]) and first < 2:
        return [msgspec.structs.replace(m, role="system") if m.role == "developer" else m for m in messages]
    placed: list[Message] = []
    following = _roles_after(messages)
    has_begun = False
    for message, next_role in zip(messages, following, strict=True):
        if message.role not in SYSTEM:
            has_begun = True
            placed.append(message)
            continue
        message = msgspec.structs.replace(message, role="system")
        previous = placed[-1].role if placed else "system"
        is_legal = facts.system_midway and previous in ("user", "system") and next_role in ("assistant", None)
        if not has_begun or is_legal:
            placed.append(message)
        else:
            notices.changed(message.at, "no system message may stand here: sent as a tagged text of the user's")
            placed.append(as_tagged_user(message))
    return placed


def as_tagged_user(message: Message) -> Message:
    """Return a system message as a user's that says what it is."""
    text = "\n\n".join(block.text for block in message.content if isinstance(block, Text))
    tagged = Text(text=f"<system>\n{text}\n</system>", at=message.at)
    return msgspec.structs.replace(message, role="user", content=(tagged,), extras={})


def merge_turns(messages: Sequence[Message]) -> list[Message]:
    """Make one message of neighbours with the same role."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            content = (*merged[-1].content, *message.content)
            merged[-1] = msgspec.structs.replace(merged[-1], content=content)
        else:
            merged.append(message)
    return merged


def begin_with_user(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Put a user's message before an assistant's that begins the talk.

    Raises:
        Unsupported: Nobody says anything.
    """
    first = next((i for i, message in enumerate(messages) if message.role != "system"), None)
    if first is None:
        raise Unsupported("Anthropic needs at least one message of the user's in messages.", param="messages")
    if messages[first].role == "user":
        return list(messages)
    notices.changed(messages[first].at, "a talk begins with the user: a message was put before it", action="inserted")
    opening = Message(role="user", content=(Text(text=CONTINUED),), at=messages[first].at)
    return [*messages[:first], opening, *messages[first:]]


def judge_ending(messages: Sequence[Message], facts: ModelFacts, notices: Notices) -> list[Message]:
    """Let the model continue an assistant's message at the end, if it can.

    Raises:
        Unsupported: It cannot.
    """
    last = messages[-1]
    if last.role != "assistant":
        return list(messages)
    if not facts.prefill:
        raise Unsupported(
            "The model does not continue a message of its own: messages must end with the user's.", param="messages"
        )
    ending = last.content[-1]
    if not isinstance(ending, Text) or ending.text == (trimmed := ending.text.rstrip()):
        return list(messages)
    notices.changed(ending.at or last.at, "the message to continue may not end in white space", action="trimmed")
    content = (*last.content[:-1], msgspec.structs.replace(ending, text=trimmed))
    return [*messages[:-1], msgspec.structs.replace(last, content=content)]


def keep_reasoning(messages: Sequence[Message], profile: Profile, notices: Notices) -> list[Message]:
    """Keep the thinking that the upstream can be given back: its own, from the end to the first gap."""
    if not any(type(block) is Reasoning for message in messages for block in message.content):
        return list(messages)
    replays_unsigned = profile.reasoning_replay != "never"
    kept: list[Message] = []
    is_broken = False
    for message in reversed(messages):
        content: list[Block] = []
        for block in reversed(message.content):
            if not isinstance(block, Reasoning):
                content.append(block)
            elif not is_replayable(block, profile.vendor, replays_unsigned):
                is_broken = True
                notices.lost(block.at, "thinking without a signature of this vendor cannot be given back")
            elif is_broken:
                notices.lost(block.at, "thinking before a gap in it cannot be given back")
            else:
                content.append(block)
        if len(content) == len(message.content):
            kept.append(message)
        elif content:
            kept.append(msgspec.structs.replace(message, content=tuple(reversed(content))))
    return kept[::-1]


def lacks_loop_thinking(messages: Sequence[Message]) -> bool:
    """Tell whether the talk is within a loop of tools whose last turn does not begin with thinking.

    Models that take a budget refuse to think in the middle of a loop that began without.
    """
    last = next((i for i in range(len(messages) - 1, -1, -1) if messages[i].role == "assistant"), None)
    if last is None or not any(isinstance(block, ToolResult) for m in messages[last + 1 :] for block in m.content):
        return False
    return not isinstance(messages[last].content[0], Reasoning)


def _roles_after(messages: Sequence[Message]) -> list[str | None]:
    """Return, for each message, the role of the next that is no system message."""
    roles: list[str | None] = []
    following: str | None = None
    for message in reversed(messages):
        roles.append(following)
        if message.role not in SYSTEM:
            following = message.role
    return roles[::-1]


def _fit_message(message: Message, profile: Profile, notices: Notices) -> Message | None:
    """Return a message in forms that Anthropic has; None: it says nothing."""
    if message.name is None and not message.extras and message.content and _is_plain(message.content):
        return message
    if message.name is not None:
        notices.lost(f"{message.at}.name", "messages have no names here")
    for name in message.extras:
        notices.unknown(message.at, name, "Anthropic has no such field")
    blocks = _without_blanks(message.content, message.at, notices)
    content = tuple(fitted for block in blocks if (fitted := _fit_block(block, message, profile, notices)))
    if not content:
        is_blank = all(isinstance(block, Text) for block in message.content)
        if message.role == "user" and is_blank:
            raise Unsupported("The messages of the user's must hold more than white space.", param=message.at or None)
        if is_blank and message.role == "assistant":
            notices.hint(message.at, "the message is empty")
        return None
    return Message(role=message.role, content=content, at=message.at)


def _without_blanks(blocks: Sequence[Block], at: str, notices: Notices) -> list[Block]:
    """Return blocks with every blank text at the text beside it, the one before first.

    No text of white space alone is taken; but it may be all that keeps the texts around it apart.
    """
    kept: list[Block] = []
    for block in blocks:
        last = kept[-1] if kept else None
        if isinstance(last, Text) and isinstance(block, Text) and (_is_blank(last) or _is_blank(block)):
            kept[-1] = _joined(last, block, at, notices)
        else:
            kept.append(block)
    return kept


def _joined(first: Text, second: Text, at: str, notices: Notices) -> Text:
    """Return two texts, one of them blank, as one; of their cache marks the later one counts."""
    said, blank = (second, first) if _is_blank(first) else (first, second)
    if blank.text:
        notices.hint(blank.at or at, "blank text is no block of its own", action="merged")
    cache = adopt_mark(second).cache or adopt_mark(first).cache
    return msgspec.structs.replace(said, text=first.text + second.text, cache=cache)


def _is_blank(block: Text) -> bool:
    return not block.text or block.text.isspace()


def _is_plain(content: Sequence[Block]) -> bool:
    """Tell whether there is nothing to do about a content, as nearly always."""
    for block in content:
        if type(block) is Text:
            if block.extras or _is_blank(block):
                return False
        elif type(block) is ToolCall:
            if block.extras or block.kind != "function":
                return False
        elif type(block) is not ToolResult or block.extras or not _is_plain(block.blocks):
            return False
    return True


def _fit_block(block: Block, message: Message, profile: Profile, notices: Notices) -> Block | None:
    """Return a block as Anthropic takes it; None: it was left out, and reported."""
    match block:
        case Text():
            if not _is_blank(block):
                return adopt_mark(block)
            if block.text:
                notices.hint(block.at or message.at, "blank text is not taken")
            return None
        case Refusal():
            notices.changed(block.at or message.at, "a refusal is sent as text")
            return Text(text=block.text, at=block.at) if block.text.strip() else None
        case Media():
            if message.role not in ("user", "tool"):
                raise Unsupported("Only messages of the user's hold media.", param=block.at or None)
            return fit_media(adopt_mark(block), profile, notices)
        case Opaque():
            return _fit_opaque(block, notices)
        case ToolResult():
            parts = _without_blanks(block.blocks, block.at, notices)
            inner = (_fit_block(part, message, profile, notices) for part in parts)
            fitted = msgspec.structs.replace(block, blocks=tuple(part for part in inner if part is not None))
            return _hoist_marks(adopt_mark(fitted), notices)
        case ToolCall():
            if block.kind == "custom":
                notices.changed(block.at, "free text is sent as a JSON object")
            return adopt_mark(block)
        case Reasoning():
            return block
        case _:
            assert_never(block)


def adopt_mark(value: Marked) -> Marked:
    """Return a block or a tool with the ``cache_control`` that clients of other protocols write beside their fields."""
    raw = value.extras.get("cache_control")
    if raw is None:
        return value
    try:
        mark = read_mark(raw, "")
    except MalformedRequest:
        return value
    if mark is not None:
        mark = msgspec.structs.replace(mark, at=f"{value.at}.cache_control")
    extras = {name: extra for name, extra in value.extras.items() if name != "cache_control"}
    return msgspec.structs.replace(value, cache=value.cache or mark, extras=extras)


def _hoist_marks(result: ToolResult, notices: Notices) -> ToolResult:
    """Return a result that has the last mark of what is in it: inside of a result Anthropic takes none."""
    marks = [block.cache for block in result.blocks if isinstance(block, Text | Media) and block.cache is not None]
    if not marks:
        return result
    for mark in marks:
        notices.hint(mark.at or f"{result.at}.cache_control", "a mark stands at the result as a whole", action="moved")
    blocks = [msgspec.structs.replace(b, cache=None) if isinstance(b, Text | Media) else b for b in result.blocks]
    return msgspec.structs.replace(result, cache=result.cache or marks[-1], blocks=tuple(blocks))


def _fit_opaque(block: Opaque, notices: Notices) -> Block | None:
    if block.fallback == "":
        notices.hint(block.at, "it says nothing to a model")
        return None
    if block.fallback is not None:
        notices.changed(block.at, "sent as plain text")
        return Text(text=block.fallback, at=block.at)
    if block.is_required:
        raise Unsupported("Only the vendor that wrote this block can read it.", param=block.at or None)
    notices.lost(block.at, "Anthropic has no such content block")
    return None
