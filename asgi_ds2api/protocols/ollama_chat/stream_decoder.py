"""A streamed answer, read: lines of JSON -> canonical events.

* Nearly every line holds a piece of text or of thought, and nothing else but the model's name and a time. Such a line
  has a short way; every other one is read field by field, as tolerantly as a whole answer. Both ways tell the same.
* The text of an answer is one block, also where calls stand between its pieces; a thought ends where another thing
  begins, and may begin again. Calls come whole.
* The line that is ``done`` has the figures, and ends the answer; what follows is ignored. Without it the answer broke
  off, whatever the server made of the connection.
* A keep-alive is white space: an empty line, or spaces before the next one.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Raw

from ...canonical import (
    ArgumentsDelta,
    Block,
    Event,
    Extras,
    ExtrasDelta,
    Opaque,
    Reasoning,
    ReasoningDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
)
from ...errors import Interrupted, Malformed, UpstreamError
from ...fold import BlockTracker
from ...framing import NDJSONDecoder
from ...half_characters import HalfCharacters
from ...json_guard import decode_answer
from ...json_pieces import items_of, rest_of, text_of, without_null
from ...profiles import Profile
from . import wire
from .answer_parts import MESSAGE, TOP, call_of, is_true, logprobs_of, message_of
from .errors import decode_in_band
from .operations import seconds_of
from .usage import decode_finish, decode_usage

_LINE: Final = msgspec.json.Decoder(dict[str, Raw])


class _UsualMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str
    thinking: str = ""


class _Usual(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The line that comes nearly always."""

    model: str
    created_at: str
    message: _UsualMessage
    done: bool


_USUAL: Final = msgspec.json.Decoder(_Usual)


class StreamDecoder:
    """Bytes of an upstream's stream -> events. See `codec.EventDecoder`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest line that is accepted.
        salt: Tells the ids of this answer's calls from another's, with the time at which the answer began.
    """

    def __init__(self, profile: Profile, max_event_bytes: int, salt: str = "") -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._lines = NDJSONDecoder(max_event_bytes)
        self._halves = HalfCharacters()
        self._has_begun = False
        self._salt = salt
        self._text = self._thought = -1
        """Index of the open block of each kind; -1: none is open."""
        self._calls = 0
        self._extras: Extras = {}
        self._message_extras: Extras = {}
        self._blocks = BlockTracker()
        self._events: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete, in order; an empty list means that more bytes are needed."""
        if self.is_complete or self.failure is not None:
            return []
        try:
            for frame in self._lines.feed(data):
                if not self._read_usual(frame.data):
                    self._read(frame.data)
                if self.is_complete:
                    break
            else:
                self.failure = self._lines.failure
        except UpstreamError as failure:
            self.failure = failure
        return self._taken()

    def close(self) -> list[Event]:
        """Say that the HTTP message ended. Sets `failure` unless the stream is complete."""
        if self.is_complete or self.failure is not None:
            return []
        failure: UpstreamError = Malformed("The upstream sent no answer.", code="empty_response")
        if self._has_begun:
            failure = Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
        for frame in self._lines.close():
            try:
                self._read(frame.data)
            except Malformed:
                pass  # a line that was cut
            except UpstreamError as told:
                failure = told
        if not self.is_complete:
            self.failure = failure
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # --- the usual line -----------------------------------------------------------------------------------------------

    def _read_usual(self, line: bytes) -> bool:
        """Read a line with more of what is open already; False: it is another one, and nothing was read."""
        try:
            usual = _USUAL.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        content, thinking = usual.message.content, usual.message.thinking
        if usual.done or not self._has_begun:
            return False
        if content:
            if thinking or self._text < 0 or self._thought >= 0:
                return False
            self._events.append(TextDelta(index=self._text, text=content))
        elif thinking:
            if self._thought < 0:
                return False
            self._events.append(ReasoningDelta(index=self._thought, text=thinking))
        return True

    # --- any line -----------------------------------------------------------------------------------------------------

    def _read(self, line: bytes) -> None:
        told = decode_answer(_LINE, line, mend=self._halves.join)
        fields = without_null(told)
        if "error" in fields:
            raise decode_in_band(line) or Malformed("The upstream sent an error that cannot be read.")
        if not self._has_begun:
            self._begin(fields)
        else:
            self._tell("response", rest_of(fields, TOP), self._extras)
        message = message_of(fields)
        self._tell("message", rest_of(message, MESSAGE), self._message_extras)
        self._read_message(message)
        if logprobs := logprobs_of(fields):
            self._events.append(logprobs)
        if is_true(fields.get("done")):
            self._end(fields)

    def _begin(self, fields: Mapping[str, Raw]) -> None:
        self._has_begun = True
        created = text_of(fields.get("created_at")) or ""
        self._salt = created + self._salt
        self._extras = rest_of(fields, TOP)
        self._events.append(
            Start(
                source=wire.NAME,
                id="",
                model=text_of(fields.get("model")) or "",
                created=seconds_of(created),
                extras=dict(self._extras),
            )
        )

    def _tell(self, level: Literal["response", "message"], fields: Extras, known: Extras) -> None:
        """Tell fields without a canonical name, where they are new or have changed."""
        news = {name: value for name, value in fields.items() if known.get(name) != value}
        if news:
            known |= news
            self._events.append(ExtrasDelta(level=level, fields=news))

    def _read_message(self, message: Mapping[str, Raw]) -> None:
        if thinking := text_of(message.get("thinking")):
            if self._thought < 0:
                self._thought = self._open(Reasoning(at="message.thinking"))
            self._events.append(ReasoningDelta(index=self._thought, text=thinking))
        if content := text_of(message.get("content")):
            self._end_thought()
            if self._text < 0:
                self._text = self._open(Text(text="", at="message.content"))
            self._events.append(TextDelta(index=self._text, text=content))
        for raw in items_of(message.get("tool_calls")):
            self._read_call(raw)

    def _read_call(self, raw: Raw) -> None:
        call = call_of(raw, self._salt, self._calls)
        at = f"message.tool_calls[{self._calls}]"
        self._calls += 1
        if call is None:
            self._stop(self._open(Opaque(protocol=wire.NAME, type="tool_call", raw=raw, at=at)))
            return
        index = self._open(_emptied(call))
        if call.arguments:
            self._events.append(ArgumentsDelta(index=index, arguments=call.arguments))
        self._stop(index)

    def _open(self, block: Block) -> int:
        """Begin a block; a thought ends where another thing begins."""
        self._end_thought()
        start = self._blocks.start(block)
        self._events.append(start)
        return start.index

    def _stop(self, index: int) -> None:
        self._events.append(self._blocks.stop(index))

    def _end_thought(self) -> None:
        if self._thought >= 0:
            self._stop(self._thought)
            self._thought = -1

    def _end(self, fields: Mapping[str, Raw]) -> None:
        """Close what is open, tell the usage, then why the answer ended."""
        self._events += self._blocks.stop_all()
        if usage := decode_usage(fields):
            self._events.append(usage)
        self._events.append(decode_finish(fields, has_calls=self._calls > 0))
        self.is_complete = True


def _emptied(call: ToolCall) -> ToolCall:
    return msgspec.structs.replace(call, arguments="")
