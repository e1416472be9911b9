"""What is read of a relayed stream: `FrameTap` passes it on.

A frame matters when its bytes hold the name of an event that does; a text that only quotes such a name is found out by
reading it.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Finish
from ...codec import AnswerFacts
from ...errors import Malformed, UpstreamError
from ...frame_tap import FrameTap
from ...framing import parse_frame
from ...json_guard import is_too_deep
from ...json_pieces import without_null
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


class StreamTap(FrameTap):
    """See `codec.StreamTap`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
    """

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes, terminator=MESSAGE_STOP, may_end_early=profile.done == "optional")
        self._model: str | None = None
        self._usage: dict[str, Raw] = {}
        self._finish: Finish | None = None

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far."""
        usage = decode_usage(self._usage) if self._usage else None
        return AnswerFacts(model=self._model, usage=usage, finish=self._finish)

    @property
    def _has_finish(self) -> bool:
        return self._finish is not None

    def _matters(self, block: bytes) -> bool:
        return any(mark in block for mark in _MARKS)

    def _read(self, frame: bytes) -> None:
        if self._matters(frame):
            self._read_event(frame)
        elif not self.is_meaningful and (_DELTA in frame or (_START in frame and _says_something(frame))):
            self.is_meaningful = True

    def _read_event(self, frame: bytes) -> None:
        fields = _fields(frame)
        if fields is None:
            return
        match decode_text(fields.get("type")):
            case "message_start":
                self._has_begun = True
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
        self._usage.update(without_null(usage_fields(holder.get("usage")) or {}))


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
