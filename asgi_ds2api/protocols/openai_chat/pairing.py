"""Puts the results of tools where Chat wants them: each in a message of its own, right behind the message that calls.

``calls_and_results`` says where they stood, and gives every call an id of its own. Here whatever stood between calls
and results is pushed behind them; results stay in the order in which they came. A tool's message holds text only, so
pictures follow in a user's message that names the call.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import Block, BlocksSource, Media, Message, Notices, Text, TextSource, ToolResult
from ..calls_and_results import Scan, caption_of, made_up_result, without_results
from .content import said_of

MAX_ID: Final = 64
"""Characters of a call's id that the vendor takes."""
SHOWN: Final = "(shown in the user's next message)"
"""A result that is nothing but pictures."""


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with every result behind its call.

    Args:
        messages: With the ids of calls that are sent, which captions name.
        notices: Missing results are ``lost`` (one is made up), results without a call and pictures are ``changed``.
    """
    scan = Scan.of(messages, notices, MAX_ID)
    if not scan.calls and not scan.results:
        return list(scan.messages)
    return list(_paired(scan, notices))


def _paired(scan: Scan, notices: Notices) -> Iterator[Message]:
    pictures: list[Block] = []
    places = {call_id: place for place, call_id in enumerate(scan.results)}
    for message, own, has_results in zip(scan.messages, scan.calls_of, scan.has_results, strict=True):
        if own:
            yield from _told(pictures)
            pictures = []
            yield message
            for call in sorted(own, key=lambda call: places.get(call.id, len(places))):
                result, shown = _split(scan.results.get(call.id) or made_up_result(call, notices), notices)
                pictures += shown
                yield Message(role="tool", content=(result,), at=result.at)
            continue
        rest = without_results(message, scan, notices) if has_results else message.content
        if pictures and message.role == "user" and rest:
            rest = (*pictures, *rest)
            pictures = []
        if rest or not message.content:
            yield from _told(pictures)
            pictures = []
            yield replace(message, role="user" if message.role == "tool" else message.role, content=rest)
    yield from _told(pictures)


def _told(pictures: Sequence[Block]) -> list[Message]:
    return [Message(role="user", content=tuple(pictures), at=pictures[0].at)] if pictures else []


def _split(result: ToolResult, notices: Notices) -> tuple[ToolResult, list[Block]]:
    """Return a result of text, and what else was in it under a caption."""
    if all(type(block) is Text for block in result.blocks):
        return result, []
    blocks = _flat(result.blocks)
    shown = [block for block in blocks if _is_picture(block)]
    if not shown:
        return result, []
    for block in shown:
        notices.changed(block.at, "sent behind the result, which holds text only", action="moved")
    caption = Text(text=caption_of(result), at=result.at)
    told = tuple(block for block in blocks if not _is_picture(block))
    return replace(result, blocks=told or (Text(text=SHOWN, at=result.at),)), [caption, *shown]


def _flat(blocks: Sequence[Block]) -> list[Block]:
    """Return blocks with what is inside of documents beside them."""
    flat: list[Block] = []
    for block in blocks:
        if isinstance(block, Media) and isinstance(block.source, BlocksSource):
            header = said_of(block, "")
            flat += [Text(text=header, at=block.at)] if header else []
            flat += _flat(block.source.blocks)
        else:
            flat.append(block)
    return flat


def _is_picture(block: Block) -> bool:
    return isinstance(block, Media) and not isinstance(block.source, TextSource)
