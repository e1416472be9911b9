"""A relayed stream, watched: whole lines pass as they came, and only those that matter are read.

A line matters when it may hold an error or the end. Once something of the answer has passed, a read of others costs two
searches.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Finish, Usage
from ...codec import AnswerFacts
from ...errors import Interrupted, Malformed, UpstreamError
from ...framing import LineSplitter, split_lines
from ...json_guard import is_too_deep
from ...json_pieces import fields_of, items_of, text_of
from ...profiles import Profile
from .answer_parts import is_true, message_of
from .errors import decode_in_band
from .usage import decode_finish, decode_usage

_LINE: Final = msgspec.json.Decoder(Raw)
_ERROR: Final = b'"error"'
_DONE: Final = b'"done"'
_NOT_DONE: Final = (b'"done":false', b'"done": false')


class StreamTap:
    """See `codec.StreamTap`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest line that is accepted.
    """

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        self.is_meaningful = False
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._splitter = LineSplitter(max_event_bytes)
        self._has_begun = False
        self._has_calls = False
        self._model: str | None = None
        self._usage: Usage | None = None
        self._finish: Finish | None = None

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far."""
        return AnswerFacts(model=self._model, usage=self._usage, finish=self._finish)

    def feed(self, data: bytes) -> bytes:
        """Return the lines that these bytes complete, byte for byte."""
        if self.is_complete or self.failure is not None:
            return b""
        block = self._splitter.feed(data)
        passed = block if self.is_meaningful and not _matters(block) else self._watch(block)
        if len(passed) == len(block) and not self.is_complete:
            self.failure = self._splitter.failure
        return passed

    def close(self) -> bytes:
        """Say that the HTTP message ended; the last line may have no end."""
        if self.is_complete or self.failure is not None:
            return b""
        rest = self._watch(self._splitter.close())
        if self.is_complete:
            return rest
        if self.failure is None:
            self.failure = (
                Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
                if self._has_begun
                else Malformed("The upstream sent no answer.", code="empty_response")
            )
        return b""

    def _watch(self, block: bytes) -> bytes:
        """Read the lines that matter; return those up to the end, or up to an error."""
        end = 0
        for line in split_lines(block):
            try:
                if not self.is_meaningful or _matters(line):
                    self._read(line)
            except UpstreamError as failure:
                self.failure = failure
                return block[:end]
            end += len(line)
            if self.is_complete:
                return block[:end]
        return block

    def _read(self, line: bytes) -> None:
        """Read a line that may matter. What cannot be read is the client's to judge: it sees it as it came."""
        if is_too_deep(line):
            raise Malformed("The upstream sent an event that is nested too deep.")
        try:
            fields = fields_of(_LINE.decode(line.strip()))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if "error" in fields:
            raise decode_in_band(line) or Malformed("The upstream sent an error that cannot be read.")
        if not fields:
            return
        self._has_begun = True
        self._model = self._model or text_of(fields.get("model")) or None
        message = message_of(fields)
        self._has_calls = self._has_calls or bool(items_of(message.get("tool_calls")))
        said = text_of(message.get("content")) or text_of(message.get("thinking"))
        self.is_meaningful = self.is_meaningful or bool(said) or self._has_calls
        if is_true(fields.get("done")):
            self._usage = decode_usage(fields)
            self._finish = decode_finish(fields, has_calls=self._has_calls)
            self.is_meaningful = self.is_complete = True


def _matters(block: bytes) -> bool:
    """Tell whether lines hold anything that has to be read."""
    return _ERROR in block or block.count(_DONE) > sum(block.count(mark) for mark in _NOT_DONE) or _CALLS in block


_CALLS: Final = b'"tool_calls"'
