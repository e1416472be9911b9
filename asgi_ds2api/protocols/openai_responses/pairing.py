"""Sees to it that every call has exactly one result, and every result its call.

Other protocols let results stand in a user's message and have looser rules; here a call without a result, and a result
without a call, refuse the whole request.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import Message, Notices, ToolCall, ToolResult
from ..calls_and_results import Scan, made_up_result, without_results

MAX_ID: Final = 64
"""Characters of a call's id that the vendor takes."""


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with one result for each call.

    Args:
        messages: Of another protocol.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed``.
    """
    scan = Scan.of(messages, notices, MAX_ID)
    if not scan.calls and not scan.results:
        return list(messages)
    paired: list[Message] = []
    for message, own, has_results in zip(scan.messages, scan.calls_of, scan.has_results, strict=True):
        content = message.content
        if has_results:
            results = [block for block in content if isinstance(block, ToolResult) and _counts(block, scan)]
            content = (*results, *without_results(message, scan, notices))
        if content or not message.content:
            paired.append(replace(message, content=content))
        paired += [_made_up(call, notices) for call in own or () if call.id not in scan.results]
    return paired


def _counts(result: ToolResult, scan: Scan) -> bool:
    """Tell whether a result is the one of its call that counts."""
    return result.call_id in scan.calls and scan.results[result.call_id] is result


def _made_up(call: ToolCall, notices: Notices) -> Message:
    result = made_up_result(call, notices)
    return Message(role="tool", content=(result,), at=result.at)
