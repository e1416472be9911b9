"""A relayed stream, watched: whole frames pass as they came, and only those that matter are read.

Until something of the answer has passed, every frame is read; after that those that hold the name of what ends an
answer, or of an error. Of the figures, which are in every chunk, the last ones are read when somebody asks.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Finish
from ...codec import AnswerFacts
from ...errors import Interrupted, Malformed, UpstreamError
from ...framing import FrameSplitter, parse_frame, split_frames
from ...json_guard import is_too_deep
from ...profiles import Profile
from . import wire
from .errors import decode_in_band
from .usage import WORDS, decode_block, decode_finish, decode_usage
from .wire import Shape

_MARKS: Final = (b"finishReason", b"promptFeedback", b'"error"')
"""What stands in every frame that has to be read."""
_USAGE: Final = b"usageMetadata"

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_TOP: Final = Shape("candidates", "promptFeedback", "usageMetadata", "modelVersion", "error")
_CANDIDATE: Final = Shape("content", "finishReason", "index")
_PART: Final = Shape("text", "thought", "thoughtSignature")
_FEEDBACK: Final = Shape("blockReason", "blockReasonMessage")


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
        self._splitter = FrameSplitter(max_event_bytes)
        self._has_started = False
        self._model: str | None = None
        self._last_usage = b""
        """The last frame with figures."""
        self._finishes: dict[int, Finish | None] = {}
        """Of the candidates that were seen."""
        self._block: Finish | None = None

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far."""
        usage = decode_usage(self._fields(self._last_usage).get("usageMetadata"))
        return AnswerFacts(model=self._model, usage=usage, finish=self._finishes.get(0) or self._block)

    def feed(self, data: bytes) -> bytes:
        """Return the frames that these bytes complete, byte for byte."""
        if self.is_complete or self.failure is not None:
            return b""
        block = self._splitter.feed(data)
        passed = self._watch(block) if block else block
        if len(passed) == len(block):
            self.failure = self._splitter.failure
        return passed

    def close(self) -> bytes:
        """Say that the HTTP message ended; an event without its blank line was never sent."""
        if self.is_complete or self.failure is not None:
            return b""
        if self._block is not None or (self._finishes and all(self._finishes.values())):
            self.is_complete = self.is_meaningful = True
        elif self._has_started:
            self.failure = Interrupted("The upstream broke its answer off before its end.")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return b""

    def _watch(self, block: bytes) -> bytes:
        """Read the frames that matter; return those up to an error."""
        end = 0
        for frame in split_frames(block):
            try:
                self._read(frame)
            except UpstreamError as failure:
                self.failure = failure
                return block[:end]
            end += len(frame)
        return block

    def _read(self, frame: bytes) -> None:
        if _USAGE in frame:
            self._last_usage = frame
        if not self.is_meaningful or any(mark in frame for mark in _MARKS):
            self._read_chunk(frame)

    def _read_chunk(self, frame: bytes) -> None:
        """Read a chunk that may matter. What cannot be read is the client's to judge: it sees it as it came."""
        fields = self._fields(frame)
        if not fields:
            return
        if "error" in fields:
            parsed = parse_frame(frame)
            failure = decode_in_band(parsed.data) if parsed is not None else None
            raise failure or Malformed("The upstream sent an error that cannot be read.", code="bad_event")
        self._has_started = True
        self._model = wire.text_of(fields.get("modelVersion")) or self._model
        self._block = decode_block(_FEEDBACK.look(fields.get("promptFeedback"))) or self._block
        for position, item in enumerate(wire.items_of(fields.get("candidates"))):
            candidate = _CANDIDATE.look(item)
            number = wire.count_of(candidate.get("index"))
            number = position if number is None else number
            self._finishes.setdefault(number, None)
            word = wire.word_of(candidate.get("finishReason"), WORDS)
            if word and word != WORDS[0]:
                self._finishes[number] = decode_finish(word, has_calls=False, message=None, choice=number)
                self.is_meaningful = True
            parts = wire.items_of(wire.fields_of(candidate.get("content")).get("parts"))
            self.is_meaningful = self.is_meaningful or any(map(_says_something, parts))
        self.is_meaningful = self.is_meaningful or self._block is not None

    def _fields(self, frame: bytes) -> dict[str, Raw]:
        parsed = parse_frame(frame)
        if parsed is None or is_too_deep(parsed.data):
            return {}
        try:
            return _TOP.split(_FIELDS.decode(parsed.data))[0]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return {}


def _says_something(part: Raw) -> bool:
    known, others = _PART.split(wire.fields_of(part))
    return bool(others) or bool(wire.text_of(known.get("text")))
