"""Puts the results of tools where Anthropic wants them: all in the user message right behind the calls, each once.

``calls_and_results`` says where they stood, and gives every call an id of its own.
"""

import sys
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ...canonical import Block, Message, Notices, ToolCall
from ..calls_and_results import Scan, made_up_result, without_results


def pair_results(messages: Sequence[Message], notices: Notices) -> list[Message]:
    """Return the messages with every result behind its call, and ids that are legal and unique; ``tool`` is ``user``.

    Args:
        messages: Of any protocol. What stands between calls and results moves behind the results.
        notices: Missing results are ``lost`` (one is made up), results without a call are ``changed`` (into text).
    """
    scan = Scan.of(messages, notices, sys.maxsize)
    if not scan.calls and not scan.results:
        return list(scan.messages)
    places = {call_id: place for place, call_id in enumerate(scan.results)}
    paired: list[Message] = []
    for message, own, has_results in zip(scan.messages, scan.calls_of, scan.has_results, strict=True):
        if own:
            paired += (message, Message(role="user", content=_answers(own, scan, places, notices), at=message.at))
        elif not has_results:
            paired.append(message)
        elif rest := without_results(message, scan, notices):
            paired.append(replace(message, role="user" if message.role == "tool" else message.role, content=rest))
    return paired


def _answers(calls: Sequence[ToolCall], scan: Scan, places: Mapping[str, int], notices: Notices) -> tuple[Block, ...]:
    """Return the results of a turn as they came, and one for each call that got none."""
    found = [scan.results[call.id] for call in calls if call.id in scan.results]
    if len(found) > 1:
        found.sort(key=lambda result: places[result.call_id])
    if len(found) < len(calls):
        found += [made_up_result(call, notices) for call in calls if call.id not in scan.results]
    return tuple(found)
