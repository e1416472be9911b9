"""What is read of a relayed stream: `FrameTap` passes it on.

A frame matters when its bytes hold the name of what ends an answer, or of an error; a text that only quotes such a name
is found out by reading it. Of the figures, which are in every chunk, the last ones are read when somebody asks. The
stream has no end of its own: it is complete if the message ends when every candidate has told why it ended.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Finish
from ...codec import AnswerFacts
from ...errors import Malformed
from ...frame_tap import FrameTap
from ...framing import parse_frame
from ...json_guard import is_too_deep
from ...json_pieces import fields_of, items_of, text_of
from ...profiles import Profile
from . import wire
from .errors import decode_in_band
from .usage import WORDS, decode_block, decode_finish, decode_usage, finish_failure
from .wire import Shape

_MARKS: Final = (b"finishReason", b"promptFeedback", b'"error"')
"""What stands in every frame that has to be read."""
_USAGE: Final = b"usageMetadata"

_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_TOP: Final = Shape("candidates", "promptFeedback", "usageMetadata", "modelVersion", "error")
_CANDIDATE: Final = Shape("content", "finishReason", "index")
_PART: Final = Shape("text", "thought", "thoughtSignature")
_FEEDBACK: Final = Shape("blockReason", "blockReasonMessage")


class StreamTap(FrameTap):
    """See `codec.StreamTap`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
    """

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes, terminator=b"", may_end_early=True)
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

    @property
    def _has_finish(self) -> bool:
        return self._block is not None or (bool(self._finishes) and all(self._finishes.values()))

    def feed(self, data: bytes) -> bytes:
        """Return the frames that these bytes complete, byte for byte."""
        passed = super().feed(data)
        place = passed.rfind(_USAGE)
        if place >= 0:
            start = max(passed.rfind(end, 0, place) for end in (b"\n\n", b"\r\n\r\n"))
            self._last_usage = passed[max(start, 0) :].lstrip(b"\r\n")
        return passed

    def _matters(self, block: bytes) -> bool:
        return any(mark in block for mark in _MARKS)

    def _read(self, frame: bytes) -> None:
        """Read a chunk that may matter. What cannot be read is the client's to judge: it sees it as it came."""
        fields = self._fields(frame)
        if not fields:
            return
        if "error" in fields:
            parsed = parse_frame(frame)
            failure = decode_in_band(parsed.data) if parsed is not None else None
            raise failure or Malformed("The upstream sent an error that cannot be read.", code="bad_event")
        self._has_begun = True
        self._model = text_of(fields.get("modelVersion")) or self._model
        self._block = decode_block(_FEEDBACK.look(fields.get("promptFeedback"))) or self._block
        for position, item in enumerate(items_of(fields.get("candidates"))):
            candidate = _CANDIDATE.look(item)
            number = wire.count_of(candidate.get("index"))
            number = position if number is None else number
            self._finishes.setdefault(number, None)
            parts = items_of(fields_of(candidate.get("content")).get("parts"))
            self.is_meaningful = self.is_meaningful or any(map(_says_something, parts))
            word = wire.word_of(candidate.get("finishReason"), WORDS)
            if word and word != WORDS[0]:
                failure = None if self.is_meaningful else finish_failure(word, is_empty=True)
                if failure is not None:
                    raise failure
                self._finishes[number] = decode_finish(word, has_calls=False, message=None, choice=number)
                self.is_meaningful = True
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
    known, others = _PART.split(fields_of(part))
    return bool(others) or bool(text_of(known.get("text")))
