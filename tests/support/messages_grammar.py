"""The grammar of an Anthropic stream, as a state machine: what the vendor's clients count on."""

from collections.abc import Sequence
from typing import Any


def violations(events: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the order of a stream's events; empty: nothing.

    One ``message_start``; blocks one after the other, numbered from 0, deltas of the open one alone; ``message_delta``
    and ``message_stop`` when all are closed, and nothing behind; an ``error`` may end it anywhere.
    """
    found: list[str] = []
    has_begun, opened, count, ended = False, False, 0, ""
    for place, event in enumerate(events):
        kind, index = event["type"], event.get("index")
        is_right = {
            "ping": not ended or ended == "message_delta",
            "error": ended != "message_stop",
            "message_start": not has_begun,
            "content_block_start": has_begun and not opened and not ended and index == count,
            "content_block_delta": opened and index == count,
            "content_block_stop": opened and index == count,
            "message_delta": has_begun and not opened and not ended,
            "message_stop": ended == "message_delta",
        }.get(kind, False)
        if not is_right or ended in ("message_stop", "error"):
            found.append(f"{place}: {kind}")
        has_begun = has_begun or kind == "message_start"
        opened = kind == "content_block_start" or (opened and kind != "content_block_stop")
        count += kind == "content_block_stop"
        if kind in ("message_delta", "message_stop", "error"):
            ended = kind
    return found if ended in ("message_stop", "error") else [*found, "no end"]
