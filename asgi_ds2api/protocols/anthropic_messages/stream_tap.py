"""A relayed stream, watched: whole frames pass as they came, and only those that matter are read.

A frame is read when its bytes hold the name of an event that matters; a text that only quotes such a name is found out
by reading it. Once something of the answer has passed, a read without any such name costs a few searches.
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
from .errors import decode_in_band, read_in_band
from .response import usage_fields
from .stream_encoder import MESSAGE_STOP
from .usage import decode_finish, decode_text, decode_usage

_MARKS: Final = (b"message_start", b"message_delta", b"message_stop", b'"error"')
"""What stands in every frame that has to be read."""
_START: Final = b"content_block_start"
_DELTA: Final = b"content_block_delta"

_KINDS: Final = msgspec.json.Decoder(dict[str, Raw])
_SILENT: Final = frozenset({"text", "thinking"})
"""Blocks that say nothing by beginning."""


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
        self._may_end_early = profile.done == "optional"
        self._has_started = False
        self._model: str | None = None
        self._usage: dict[str, Raw] = {}
        self._finish: Finish | None = None

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far."""
        usage = decode_usage(self._usage) if self._usage else None
        return AnswerFacts(model=self._model, usage=usage, finish=self._finish)

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
        if self._finish is not None and self._may_end_early:
            self.is_complete = True
            return MESSAGE_STOP
        if self._has_started:
            self.failure = Interrupted("The upstream broke its answer off before its end.")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return b""

    def _watch(self, block: bytes) -> bytes:
        """Read the frames that matter; return those up to the end, or up to an error."""
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
        if any(mark in frame for mark in _MARKS):
            self._read_event(frame)
        elif not self.is_meaningful and (_DELTA in frame or (_START in frame and _says_something(frame))):
            self.is_meaningful = True

    def _read_event(self, frame: bytes) -> None:
        """Read a frame that may matter. What cannot be read is the client's to judge: it sees it as it came."""
        fields = _fields(frame)
        if fields is None:
            return
        match decode_text(fields.get("type")):
            case "message_start":
                self._has_started = True
                message = _object(fields.get("message"))
                self._model = decode_text(message.get("model"))
                self._add_usage(message)
            case "message_delta":
                self.is_meaningful = True
                self._add_usage(fields)
                if self._finish is None or self._finish.raw is None:
                    self._finish = decode_finish(_object(fields.get("delta")), has_calls=False)
            case "message_stop":
                self.is_meaningful = self.is_complete = True
            case "error":
                raise _failure(fields, frame)
            case None if "error" in fields:
                raise _failure(fields, frame)
            case "content_block_start" | "content_block_delta":
                self.is_meaningful = True
            case _:
                pass

    def _add_usage(self, holder: dict[str, Raw]) -> None:
        self._usage.update(wire.carried(usage_fields(holder.get("usage")) or {}))


def _says_something(frame: bytes) -> bool:
    """Tell whether a block begins with something to show."""
    block = _object((_fields(frame) or {}).get("content_block"))
    return decode_text(block.get("type")) not in _SILENT or bool(decode_text(block.get("text")))


def _fields(frame: bytes) -> dict[str, Raw] | None:
    parsed = parse_frame(frame)
    if parsed is None or is_too_deep(parsed.data):
        return None
    try:
        return _KINDS.decode(parsed.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _object(raw: Raw | None) -> dict[str, Raw]:
    if raw is None:
        return {}
    try:
        return _KINDS.decode(raw)
    except msgspec.MsgspecError:
        return {}


def _failure(fields: dict[str, Raw], frame: bytes) -> UpstreamError:
    try:
        return decode_in_band(msgspec.json.decode(fields["error"], type=wire.Error))
    except (KeyError, msgspec.MsgspecError):
        parsed = parse_frame(frame)
        failure = read_in_band(parsed.data) if parsed is not None else None
        return failure or Malformed("The upstream sent an error that cannot be read.", code="bad_event")
