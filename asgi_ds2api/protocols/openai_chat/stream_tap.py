"""A relayed stream, watched: whole frames pass as they came, and only those that matter are read."""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Finish, Usage
from ...codec import AnswerFacts
from ...errors import Interrupted, Malformed, UpstreamError
from ...framing import FrameSplitter, data_frame, parse_frame, split_frames
from ...json_guard import is_too_deep
from ...profiles import Profile
from . import answer
from .errors import decode_in_band
from .stream_decoder import DONE

_CHUNK: Final = msgspec.json.Decoder(dict[str, Raw])
_MARKS: Final = (b'"error"', b'"usage"', b"[DONE]", b'"finish_reason":"', b'"finish_reason": "')
"""What stands in every frame that has to be read."""


class StreamTap:
    """See `codec.StreamTap`."""

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        self.is_meaningful = False
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._splitter = FrameSplitter(max_event_bytes)
        self._may_end_early = profile.done == "optional"
        self._is_started = False
        self._model: str | None = None
        self._usage: Usage | None = None
        self._finish: Finish | None = None

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far."""
        return AnswerFacts(model=self._model, usage=self._usage, finish=self._finish)

    def feed(self, data: bytes) -> bytes:
        """Return the frames that these bytes complete, byte for byte."""
        if self.is_complete or self.failure is not None:
            return b""
        block = self._splitter.feed(data)
        is_of_interest = not self.is_meaningful or any(mark in block for mark in _MARKS)
        passed = self._watch(block) if is_of_interest else block
        if len(passed) == len(block) and not self.is_complete:
            self.failure = self._splitter.failure
        return passed

    def close(self) -> bytes:
        """Say that the HTTP message ended; an event without its blank line was never sent.

        Where the upstream may leave the terminator out, the caller gets one all the same.
        """
        if self.is_complete or self.failure is not None:
            return b""
        if self._finish is not None and self._may_end_early and not self._splitter.has_tail:
            self.is_complete = True
            return data_frame(DONE)
        if self._is_started:
            self.failure = Interrupted("The upstream broke its answer off before its end.")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return b""

    def _watch(self, block: bytes) -> bytes:
        end = 0
        for frame in split_frames(block):
            try:
                self._read(frame)
            except UpstreamError as failure:
                self.failure = failure
                return block[:end]
            end += len(frame)
            if self.is_complete:
                return block[:end]
        return block

    def _read(self, frame: bytes) -> None:
        if self.is_meaningful and not any(mark in frame for mark in _MARKS):
            return
        parsed = parse_frame(frame)
        if parsed is None:
            return
        if parsed.data.startswith(DONE):
            self._end()
            return
        if is_too_deep(parsed.data):
            raise Malformed("The upstream sent an event that is nested too deep.")
        try:
            fields = _CHUNK.decode(parsed.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # what cannot be read is the client's to judge: it sees it as it came
        self._chunk(fields)

    def _end(self) -> None:
        if self._finish is None and not self._may_end_early:
            raise Interrupted("The upstream ended its answer without saying why.", code="incomplete_stream")
        self.is_meaningful = self.is_complete = True

    def _chunk(self, fields: dict[str, Raw]) -> None:
        error = fields.get("error")
        if error is not None and bytes(error) not in (answer.NULL, b"{}", b'""'):
            raise decode_in_band(fields) or Malformed("The upstream's stream holds an error.")
        self._is_started = True
        self._model = self._model or answer.text_of(fields.get("model"))
        self._usage = answer.usage_of(fields.get("usage")) or self._usage
        for raw in answer.items_of(fields.get("choices")):
            choice = answer.fields_of(raw)
            word = answer.text_of(choice.get("finish_reason"))
            if word:
                self._finish = self._finish or answer.finish_of(word, has_calls=False, choice=0)
            delta = answer.fields_of(choice.get("delta"))
            says = any(bytes(value) not in (b'""', b"[]", b"{}") for name, value in delta.items() if name != "role")
            self.is_meaningful = self.is_meaningful or says or bool(word)
