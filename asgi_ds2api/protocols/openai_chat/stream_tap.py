"""What is read of a relayed stream: `FrameTap` passes it on.

A frame matters when it has an error, a finish reason or a usage that is not null, or the end.
"""

from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Finish, Usage
from ...codec import AnswerFacts
from ...errors import Interrupted, Malformed
from ...frame_tap import FrameTap
from ...framing import data_frame, parse_frame
from ...json_guard import is_too_deep
from ...json_pieces import fields_of, items_of, text_of
from ...profiles import Profile
from .errors import decode_in_band
from .response import EMPTY, usage_of
from .stream_decoder import DONE
from .usage import decode_finish, finish_failure, latest

_CHUNK: Final = msgspec.json.Decoder(dict[str, Raw])
_MARKS: Final = (b'"error"', DONE)
_MOSTLY_NULL: Final = (b'"finish_reason"', b'"usage"')
"""Fields of every chunk, or of every one if usage was asked for; what is written in another way is looked at."""


class StreamTap(FrameTap):
    """See `codec.StreamTap`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
    """

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        super().__init__(max_event_bytes, terminator=data_frame(DONE), may_end_early=profile.done == "optional")
        self._profile = profile
        self._model: str | None = None
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._has_calls = False

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far."""
        return AnswerFacts(model=self._model, usage=self._usage, finish=self._finish)

    @property
    def _has_finish(self) -> bool:
        return self._finish is not None

    def _matters(self, block: bytes) -> bool:
        if any(mark in block for mark in _MARKS):
            return True
        return any(
            (found := block.count(name)) and found > block.count(name + b":null") + block.count(name + b": null")
            for name in _MOSTLY_NULL
        )

    def _read(self, frame: bytes) -> None:
        parsed = parse_frame(frame)
        if parsed is None:
            return
        if parsed.data.startswith(DONE):
            if self._finish is None and not self._may_end_early:
                raise Interrupted("The upstream ended its answer without saying why.", code="incomplete_stream")
            self.is_meaningful = self.is_complete = True
            return
        if is_too_deep(parsed.data):
            raise Malformed("The upstream sent an event that is nested too deep.")
        try:
            fields = _CHUNK.decode(parsed.data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        self._read_chunk(fields, parsed.data)

    def _read_chunk(self, fields: dict[str, Raw], data: bytes) -> None:
        if fields_of(fields.get("error")) or text_of(fields.get("error")):
            raise decode_in_band(data) or Malformed("The upstream sent an error that cannot be read.")
        if "choices" not in fields and (failure := decode_in_band(data)):
            raise failure
        self._has_begun = True
        self._model = self._model or text_of(fields.get("model"))
        self._usage = latest(self._usage, usage_of(fields, self._profile))
        for raw in items_of(fields.get("choices")):
            choice = fields_of(raw)
            delta = fields_of(choice.get("delta"))
            self._has_calls = self._has_calls or "tool_calls" in delta
            word = text_of(choice.get("finish_reason"))
            if failure := finish_failure(word):
                raise failure
            if word and self._finish is None:
                self._finish = decode_finish(word, has_calls=self._has_calls)
            says = any(bytes(value) not in EMPTY for name, value in delta.items() if name != "role")
            says = says or bool(text_of(choice.get("text")))  # of a legacy completion
            self.is_meaningful = self.is_meaningful or says or bool(word)
