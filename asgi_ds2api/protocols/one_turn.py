"""Makes one turn of what an assistant said in several messages, whoever wrote them.

Within a message an assistant's texts follow each other without a break, as they were told: a sentence with a citation
in it is three of them. Two messages are two statements, so a blank line comes between them.
"""

from collections.abc import Sequence
from typing import Final, TypeGuard

from msgspec.structs import replace

from ..canonical import Block, Reasoning, Text

BETWEEN_MESSAGES: Final = "\n\n"


def said_in_one(earlier: Sequence[Block], later: Sequence[Block]) -> tuple[Block, ...]:
    """Return the content of two messages of an assistant's as that of one."""
    first = next((place for place, block in enumerate(later) if not isinstance(block, Reasoning)), len(later))
    last = next((block for block in reversed(earlier) if not isinstance(block, Reasoning)), None)
    opening = later[first] if first < len(later) else None
    if not (isinstance(last, Text) and isinstance(opening, Text) and last.text and opening.text):
        return (*earlier, *later)
    if first == 0 and last is earlier[-1] and is_plain(last) and is_plain(opening):
        joined = replace(last, text=f"{last.text}{BETWEEN_MESSAGES}{opening.text}")
        return (*earlier[:-1], joined, *later[1:])
    behind = replace(opening, text=f"{BETWEEN_MESSAGES}{opening.text}")
    return (*earlier, *later[:first], behind, *later[first + 1 :])


def is_plain(block: Block) -> TypeGuard[Text]:
    """Tell whether a block is nothing but text."""
    return isinstance(block, Text) and not (block.cache or block.extras or block.citations)
