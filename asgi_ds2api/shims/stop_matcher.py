"""Lends stop sequences to an upstream that takes fewer than the caller has.

The first ones are sent; the others are looked for in the text here. Text is held back while it could be the start of
one, no longer. When one is found the answer is over, though the upstream may go on.
"""

from collections.abc import Sequence

import msgspec

from ..canonical import (
    BlockStart,
    BlockStop,
    Event,
    Finish,
    Notices,
    Request,
    Text,
    TextDelta,
)
from ..profiles import Profile


class StopMatcher:
    """See the module.

    Args:
        sent_max: How many sequences the upstream takes.
    """

    def __init__(self, sent_max: int) -> None:
        self.is_over = False
        self._sent_max = sent_max
        self._watched: tuple[str, ...] = ()
        self._held = ""
        self._open: list[int] = []

    @staticmethod
    def is_needed(request: Request, profile: Profile) -> bool:
        """Tell whether there are more than the upstream takes. Several choices at once are left to the upstream."""
        return len(request.stop) > profile.stop_max and (request.choices or 1) == 1

    def request(self, request: Request, notices: Notices) -> Request:
        """Send as many as fit; watch for the rest."""
        self._watched = request.stop[self._sent_max :]
        for position in range(self._sent_max, len(request.stop)):
            notices.changed(f"stop[{position}]", "matched by the gateway: the upstream takes fewer stop sequences")
        return msgspec.structs.replace(request, stop=request.stop[: self._sent_max])

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Cut the text at the first match."""
        out: list[Event] = []
        for event in events:
            if self.is_over:
                break
            match event:
                case BlockStart(block=Text(text=text) as block) if text:
                    self._open.append(event.index)
                    out.append(msgspec.structs.replace(event, block=msgspec.structs.replace(block, text="")))
                    out += self._scan(event.index, text)
                case BlockStart():
                    self._open.append(event.index)
                    out.append(event)
                case TextDelta():
                    out += self._scan(event.index, event.text)
                case BlockStop():
                    out += self._flush(event.index)
                    self._open.remove(event.index)
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _scan(self, index: int, text: str) -> list[Event]:
        text = self._held + text
        found = [(position, stop) for stop in self._watched if (position := text.find(stop)) >= 0]
        if found:
            # The one that is complete first, as a vendor that looks at each token would find it.
            position, stop = min(found, key=lambda match: (match[0] + len(match[1]), match[0]))
            self._held = ""
            self.is_over = True
            return [
                *_delta(index, text[:position]),
                *(BlockStop(index=open_index) for open_index in self._open),
                Finish(reason="stop_sequence", stop_sequence=stop),
            ]
        keep = max((_overlap(text, stop) for stop in self._watched), default=0)
        self._held = text[len(text) - keep :]
        return _delta(index, text[: len(text) - keep])

    def _flush(self, index: int) -> list[Event]:
        text, self._held = self._held, ""
        return _delta(index, text)


def _delta(index: int, text: str) -> list[Event]:
    return [TextDelta(index=index, text=text)] if text else []


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of the text that a stop sequence begins with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
