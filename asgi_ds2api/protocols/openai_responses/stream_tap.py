"""What is read of a relayed stream: `FrameTap` passes it on.

A frame matters when it holds an error, or the end of the answer. Nothing is waited for behind that: a sentinel is Open
Responses', and the vendor sends none. The caller gets one all the same.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...codec import AnswerFacts
from ...errors import Interrupted, Malformed
from ...frame_tap import FrameTap
from ...framing import data_frame, parse_frame
from ...json_guard import is_too_deep
from ...json_pieces import fields_of, text_of
from ...openai_errors import decode_in_band
from ...profiles import Profile
from .errors import decode_stream_error
from .response import facts_of
from .stream_decoder import FAILED, SENTINEL, TERMINAL
from .usage import finish_failure

_EVENT: Final = msgspec.json.Decoder(dict[str, Raw])
_MARKS: Final = (
    SENTINEL, b'"error"', b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"
)  # fmt: skip
_QUIET: Final = frozenset(
    {
        "response.created", "response.queued", "response.in_progress", "keepalive",
        "response.content_part.added", "response.reasoning_summary_part.added",
    }
)  # fmt: skip
"""Events that say nothing of the answer itself."""
_ITEM: Final = "response.output_item.added"
_SILENT: Final = frozenset({"message", "reasoning"})
"""Items that say nothing by beginning."""


class StreamTap(FrameTap):
    """See `codec.StreamTap`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
    """

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes, terminator=b"", may_end_early=False)
        self.facts = AnswerFacts()
        self._behind_end = data_frame(SENTINEL)

    @property
    def _has_finish(self) -> bool:
        return self.is_complete

    def _matters(self, block: bytes) -> bool:
        return any(mark in block for mark in _MARKS)

    def _read(self, frame: bytes) -> None:
        parsed = parse_frame(frame)
        if parsed is None:
            return
        if parsed.data.startswith(SENTINEL):
            raise Interrupted("The upstream ended its answer without saying why.", code="incomplete_stream")
        if is_too_deep(parsed.data):
            raise Malformed("The upstream sent an event that is nested too deep.")
        try:
            fields = _EVENT.decode(parsed.data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        kind = text_of(fields.get("type")) or ""
        if kind == "error" or fields_of(fields.get("error")) or text_of(fields.get("error")):
            raise decode_stream_error(fields, parsed.data)
        self._has_begun = True
        answer = fields_of(fields.get("response"))
        if kind in TERMINAL:
            self._read_end(kind, answer)
        elif answer:
            self.facts = facts_of(answer)
        self.is_meaningful = self.is_meaningful or not (kind in _QUIET or (kind == _ITEM and _is_silent(fields)))

    def _read_end(self, kind: str, answer: dict[str, Raw]) -> None:
        if "error" in answer:
            told = msgspec.json.encode({"error": answer["error"]})
            raise decode_in_band(told) or Malformed("The upstream sent an error that cannot be read.")
        if (failure := finish_failure(answer)) is not None or kind in FAILED:
            raise failure or Interrupted("The upstream gave up in the middle of its answer.")
        self.facts = facts_of(answer)
        self.is_complete = True


def _is_silent(fields: dict[str, Raw]) -> bool:
    """Tell whether an item begins without anything to show."""
    return text_of(fields_of(fields.get("item")).get("type")) in _SILENT
