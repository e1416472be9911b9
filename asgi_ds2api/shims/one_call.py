"""Lends one call at a time to an upstream that cannot be told to make no more.

The first call of an answer is kept, and further ones are left out: their results were not wanted together. A model that
sees the result of the first may call again.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
    Notice,
    Notices,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Request,
    SignatureDelta,
    TextDelta,
    ToolCall,
    placed,
)
from ..profiles import Profile

FIELD: Final = "parallel_tool_calls"


class OneCall:
    """See the module."""

    is_over = False

    def __init__(self) -> None:
        self._field = FIELD
        self._called: set[int] = set()
        """Choices that have their call."""
        self._indexes: dict[int, int | None] = {}
        """Index of an open block -> that which the caller is told; None: it is left out."""
        self._told = 0
        """How many blocks the caller is told."""
        self._is_said = False

    @staticmethod
    def is_needed(request: Request, profile: Profile) -> bool:
        """Tell whether the caller wants one call at a time, and the upstream cannot be told so."""
        return request.parallel_tool_calls is False and not profile.parallel_switch

    def request(self, request: Request, notices: Notices) -> Request:
        """Take the wish out."""
        self._field = placed(FIELD, request.places)
        choice = request.tool_choice
        if not request.tools or (choice is not None and choice.mode == "none"):
            notices.hint(FIELD, "nothing is called")
        else:
            notices.changed(FIELD, "the upstream may call several functions: the first call alone is told")
        return msgspec.structs.replace(request, parallel_tool_calls=None)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Leave further calls out; the blocks that are told are counted without them."""
        return [told for event in events for told in self._pass_on(event)]

    def _pass_on(self, event: Event) -> tuple[Event, ...]:
        index: int | None
        match event:
            case BlockStart(block=ToolCall()) if event.choice in self._called:
                self._indexes[event.index] = None
                return self._say()
            case BlockStart():
                if isinstance(event.block, ToolCall):
                    self._called.add(event.choice)
                index = self._indexes[event.index] = self._told
                self._told += 1
            case BlockStop():
                index = self._indexes.pop(event.index)
            case (
                TextDelta() | ReasoningDelta() | SignatureDelta() | ArgumentsDelta() | RefusalDelta()
                | CitationDelta() | OpaqueDelta()
            ):  # fmt: skip
                index = self._indexes[event.index]
            case _:
                return (event,)
        if index == event.index:
            return (event,)
        return () if index is None else (msgspec.structs.replace(event, index=index),)

    def _say(self) -> tuple[Event, ...]:
        if self._is_said:
            return ()
        self._is_said = True
        reason = "the model made more calls than the one that was wanted"
        return (Notice(path=self._field, action="dropped", reason=reason, severity="changed"),)
