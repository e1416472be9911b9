"""Tells code that Gemini ran, and what it printed, as fenced text: other protocols have no place for it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..canonical import BlockStart, Event, Notice, Notices, Opaque, Request, Text

PROTOCOL: Final = "gemini_generate"


class CodeRuns:
    """See the module."""

    is_over = False

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether an answer of Gemini's goes to a caller of another protocol."""
        return request.source != PROTOCOL == protocol

    def request(self, request: Request, notices: Notices) -> Request:
        """Return the request: nothing is to be done about it."""
        return request

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Say in text what a block says that only Gemini's own protocol can show."""
        if not any(isinstance(event, BlockStart) and _said(event) for event in events):
            return events
        out: list[Event] = []
        for event in events:
            if isinstance(event, BlockStart) and (said := _said(event)):
                at = event.block.at or "content"
                out.append(Notice(path=at, action="emulated", reason="told as fenced text", severity="changed"))
                event = msgspec.structs.replace(event, block=Text(text=f"\n{said}\n", at=at))
            out.append(event)
        return out


def _said(event: BlockStart) -> str | None:
    """Return what a block says in plain text, if it is Gemini's alone."""
    block = event.block
    return block.fallback if isinstance(block, Opaque) and block.protocol == PROTOCOL else None
