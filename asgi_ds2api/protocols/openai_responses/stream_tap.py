"""A relayed stream, watched: whole frames pass as they came, and only those that matter are read.

A frame matters when it holds an error or the end of the answer. Until something of the answer has passed, all are read.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...codec import AnswerFacts
from ...errors import Interrupted, Malformed, UpstreamError
from ...framing import FrameSplitter, data_frame, parse_frame, split_frames
from ...json_guard import is_too_deep
from ...json_pieces import fields_of, text_of
from ...openai_errors import decode_in_band
from ...profiles import Profile
from .response import facts_of
from .stream_decoder import FAILED, SENTINEL, TERMINAL
from .usage import finish_failure

DONE: Final = data_frame(SENTINEL)
_EVENT: Final = msgspec.json.Decoder(dict[str, Raw])
_MARKS: Final = (
    b'"error"', b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"
)  # fmt: skip
_QUIET: Final = frozenset({"response.created", "response.queued", "response.in_progress", "keepalive"})
"""Events that say nothing of the answer itself."""


class StreamTap:
    """See `codec.StreamTap`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
    """

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        self.is_meaningful = False
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self.facts = AnswerFacts()
        self._splitter = FrameSplitter(max_event_bytes)
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        """Return the frames that these bytes complete, byte for byte, and the sentinel behind the terminal event.

        Some clients wait for it and some upstreams do not send it, so it is always there, and what follows is dropped.
        """
        if self.is_complete or self.failure is not None:
            return b""
        block = self._splitter.feed(data)
        passed = block if self.is_meaningful and not _matters(block) else self._watch(block)
        if len(passed) == len(block) and not self.is_complete:
            self.failure = self._splitter.failure
        return passed

    def close(self) -> bytes:
        """Say that the HTTP message ended; an event without its blank line was never sent."""
        if self.is_complete or self.failure is not None:
            return b""
        if self._has_begun:
            self.failure = Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return b""

    def _watch(self, block: bytes) -> bytes:
        """Read the frames that matter; return those up to the end, or up to an error."""
        end = 0
        for frame in split_frames(block):
            try:
                if not self.is_meaningful or _matters(frame):
                    self._read(frame)
            except UpstreamError as failure:
                self.failure = failure
                return block[:end]
            end += len(frame)
            if self.is_complete:
                return block[:end] + DONE
        return block

    def _read(self, frame: bytes) -> None:
        """Read a frame that may matter. What cannot be read is the client's to judge: it sees it as it came."""
        parsed = parse_frame(frame)
        if parsed is None:
            return
        if is_too_deep(parsed.data):
            raise Malformed("The upstream sent an event that is nested too deep.")
        try:
            fields = _EVENT.decode(parsed.data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        kind = text_of(fields.get("type")) or ""
        if kind == "error" or fields_of(fields.get("error")) or text_of(fields.get("error")):
            raise _error(fields, parsed.data)
        self._has_begun = True
        answer = fields_of(fields.get("response"))
        if kind in TERMINAL:
            self._read_end(kind, answer)
        elif answer:
            self.facts = facts_of(answer)
        self.is_meaningful = self.is_meaningful or kind not in _QUIET

    def _read_end(self, kind: str, answer: dict[str, Raw]) -> None:
        if "error" in answer:
            told = msgspec.json.encode({"error": answer["error"]})
            raise decode_in_band(told) or Malformed("The upstream sent an error that cannot be read.")
        if (failure := finish_failure(answer)) is not None or kind in FAILED:
            raise failure or Interrupted("The upstream gave up in the middle of its answer.")
        self.facts = facts_of(answer)
        self.is_complete = True


def _error(fields: dict[str, Raw], data: bytes) -> UpstreamError:
    """Return an error in the middle of a stream, whose fields may stand flat or in an object."""
    if not fields_of(fields.get("error")):
        flat = {name: value for name, value in fields.items() if name not in ("type", "sequence_number")}
        data = msgspec.json.encode({"error": flat})
    return decode_in_band(data) or Malformed("The upstream sent an error that cannot be read.")


def _matters(block: bytes) -> bool:
    """Tell whether frames hold anything that has to be read."""
    return any(mark in block for mark in _MARKS)
