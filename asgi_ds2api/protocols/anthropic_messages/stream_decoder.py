"""A streamed answer, read: server-sent events -> canonical events.

The vendor opens one block at a time, and numbers them without gaps; here any order is survived, and blocks are numbered
as they appear. What of them only this protocol understands is carried as it came.

Deliberate divergences from the vendor's stream:

1. Fields of a delta that are newer than this file are passed over; unknown events are ignored and counted.
2. A stream that breaks off is never mended, unless the profile says that it may end without ``message_stop``.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import msgspec
from msgspec import Raw

from ...canonical import (
    ArgumentsDelta,
    Block,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Notice,
    Opaque,
    OpaqueDelta,
    Ping,
    Reasoning,
    ReasoningDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
)
from ...errors import Interrupted, Malformed, UpstreamError
from ...framing import SSEDecoder
from ...half_characters import HalfCharacters
from ...json_guard import decode_answer, is_too_deep
from ...json_pieces import without_null
from ...profiles import Profile
from . import wire
from .blocks import decode_citation
from .errors import decode_in_band, read_in_band
from .response import KNOWN_FIELDS, message_extras, read_answer_block, usage_fields
from .usage import decode_finish, decode_text, decode_tier, decode_usage

_EVENT: Final = msgspec.json.Decoder(wire.StreamEvent)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_INDEX: Final = msgspec.json.Decoder(int)

_SHALLOW_BYTES: Final = 128
"""An event of so few bytes cannot be nested too deep."""

_FINISH_FIELDS: Final = frozenset({"stop_reason", "stop_sequence", "stop_details"})
_OF_THE_EVENT: Final = frozenset({"type", "delta", "usage"})
_MISPLACED: Final = KNOWN_FIELDS | _OF_THE_EVENT
"""What neither stands beside a delta nor in it: written out again, it would take the place of what does."""
_DONE: Final = b"[DONE]"
"""OpenAI's end of a stream, which some proxies add."""


class _Open:
    """A block that has begun."""

    __slots__ = ("block", "citations", "has_arguments", "index", "seed")

    def __init__(self, index: int, block: Block) -> None:
        self.index = index
        self.block = block
        self.seed = ""
        """Arguments that came with the start of a call."""
        self.has_arguments = False
        """Others came after it."""
        self.citations = 0


class StreamDecoder:
    """Bytes of an upstream's stream -> events. See `codec.EventDecoder`.

    Args:
        profile: The upstream's.
        max_event_bytes: Longest event that is accepted.
        salt: For others; here every call has an id.
    """

    def __init__(self, profile: Profile, max_event_bytes: int, salt: str = "") -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._frames = SSEDecoder(max_event_bytes)
        self._halves = HalfCharacters()
        self._may_end_early = profile.done == "optional"
        self._has_started = False
        self._open: dict[int, _Open] = {}
        self._next_index = 0
        self._usage: dict[str, Raw] = {}
        self._finish: Mapping[str, Raw] | None = None
        self._has_calls = False
        self._events: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete, in order; an empty list means that more bytes are needed."""
        if self.is_complete or self.failure is not None:
            return []
        self._events = []
        try:
            self._read_events([frame.data for frame in self._frames.feed(data)])
            if self._frames.failure is not None and not self.is_complete:
                raise self._frames.failure
        except UpstreamError as failure:
            self.failure = failure
        return self._events

    def close(self) -> list[Event]:
        """Say that the HTTP message ended. Sets `failure` unless the stream is complete."""
        self._events = []
        if self.is_complete or self.failure is not None:
            return []
        if self._finish is not None and self._may_end_early and not self._frames.has_tail:
            self._complete()
        elif self._has_started:
            self.failure = Interrupted("The upstream broke its answer off before its end.", code="incomplete_stream")
        else:
            self.failure = Malformed("The upstream sent no answer.", code="empty_response")
        return self._events

    def _read_events(self, payloads: Sequence[bytes]) -> None:
        for data in payloads:
            if len(data) > _SHALLOW_BYTES and is_too_deep(data):
                raise _unreadable("an event is nested too deep")
            try:
                event = _EVENT.decode(data)
            except msgspec.ValidationError:
                if data.strip() != _DONE:
                    self._read_unknown(data)
                continue
            except (msgspec.MsgspecError, UnicodeDecodeError):
                if (mended := self._halves.join(data)) == data:
                    raise _unreadable("an event is no JSON") from None
                self._read_events([mended])
                continue
            if isinstance(event, wire.BlockDelta):
                self._delta(event.index, event.delta)
                continue
            self._read_event(event, data)
            if self.is_complete:
                return

    def _read_event(self, event: wire.RareEvent, data: bytes) -> None:
        match event:
            case wire.BlockStart():
                self._block_start(event.index, event.content_block)
            case wire.BlockStop():
                self._block_stop(event.index)
            case wire.Ping():
                self._events.append(Ping())
            case wire.MessageStart():
                self._message_start(event.message)
            case wire.MessageDelta():
                self._message_delta(event, data)
            case wire.MessageStop():
                self._complete()
            case wire.StreamError():
                raise decode_in_band(event.error)
            case _:
                assert_never(event)

    def _read_unknown(self, data: bytes) -> None:
        """Read an event of a shape that is not known.

        Raises:
            UpstreamError: It is an error in another vendor's words, or a known event that is malformed.
        """
        fields = decode_answer(_OBJECT, data)
        kind = decode_text(fields.get("type"))
        if kind == "error" or (kind is None and "error" in fields):
            raise read_in_band(data) or _unreadable("an error of an unknown form")
        if kind == "content_block_delta" and {"index", "delta"} <= fields.keys():
            delta = decode_answer(_OBJECT, bytes(fields["delta"]))
            delta_kind = decode_text(delta.get("type"))
            if delta_kind is not None and delta_kind not in _DELTA_TYPES:
                self._unknown_delta(decode_answer(_INDEX, bytes(fields["index"])), fields["delta"])
                return
        if kind in _EVENT_TYPES:
            raise _unreadable(f"a malformed {kind}")
        self._ignore("unknown event")

    # --- blocks -------------------------------------------------------------------------------------------------------

    def _block_start(self, position: int, raw: Raw) -> None:
        if self._is_over():
            return
        self._block_stop(position)
        _check_text(raw)
        block = read_answer_block(raw, self._next_index)
        opened = _Open(self._next_index, block)
        if isinstance(block, ToolCall):
            self._has_calls = True
            opened.seed = block.arguments
            opened.block = block = msgspec.structs.replace(block, arguments="")
        self._next_index += 1
        self._open[position] = opened
        self._events.append(BlockStart(index=opened.index, block=block))

    def _delta(self, position: int, delta: wire.Delta) -> None:
        opened = self._open.get(position)
        if opened is None:
            if not self._is_over():
                raise _unreadable("a delta without its block")
            return
        kind = type(opened.block)
        if type(delta) is wire.TextDelta and kind is Text:
            if delta.text:
                self._events.append(TextDelta(index=opened.index, text=delta.text))
        elif type(delta) is wire.InputJsonDelta and kind is ToolCall:
            if delta.partial_json:
                opened.has_arguments = True
                self._events.append(ArgumentsDelta(index=opened.index, arguments=delta.partial_json))
        elif type(delta) is wire.ThinkingDelta and kind is Reasoning:
            if delta.thinking:
                self._events.append(ReasoningDelta(index=opened.index, text=delta.thinking))
        else:
            self._rare_delta(opened, delta)

    def _rare_delta(self, opened: _Open, delta: wire.Delta) -> None:
        match delta, opened.block:
            case wire.SignatureDelta(), Reasoning():
                if delta.signature:
                    self._events.append(SignatureDelta(index=opened.index, signature=delta.signature))
            case wire.CitationsDelta(), Text():
                _check_text(delta.citation)
                citation = decode_citation(delta.citation, f"content[{opened.index}].citations[{opened.citations}]")
                opened.citations += 1
                self._events.append(CitationDelta(index=opened.index, citation=citation))
            case _, Opaque():
                self._opaque_delta(opened, Raw(msgspec.json.encode(delta)))
            case _:
                raise _unreadable("a delta of another kind than its block")

    def _unknown_delta(self, position: int, raw: Raw) -> None:
        opened = self._open.get(position)
        if opened is None or not isinstance(opened.block, Opaque):
            self._ignore("unknown delta")
        else:
            self._opaque_delta(opened, raw)

    def _opaque_delta(self, opened: _Open, raw: Raw) -> None:
        self._events.append(OpaqueDelta(index=opened.index, protocol=wire.NAME, raw=raw))

    def _block_stop(self, position: int) -> None:
        opened = self._open.pop(position, None)
        if opened is None:
            return
        if isinstance(opened.block, ToolCall) and not opened.has_arguments:
            self._events.append(ArgumentsDelta(index=opened.index, arguments=opened.seed or "{}"))
        self._events.append(BlockStop(index=opened.index))

    # --- the message --------------------------------------------------------------------------------------------------

    def _message_start(self, message: dict[str, Raw]) -> None:
        if self._has_started:
            self._ignore("second message_start")
            return
        self._has_started = True
        for value in message.values():
            _check_text(value)
        usage = usage_fields(message.get("usage")) or {}
        start = Start(
            source=wire.NAME,
            id=decode_text(message.get("id")) or "",
            model=decode_text(message.get("model")) or "",
            service_tier=decode_tier(usage),
            extras=message_extras(message),
        )
        self._events.append(start)
        self._add_usage(usage)

    def _message_delta(self, event: wire.MessageDelta, data: bytes) -> None:
        fields = decode_answer(_OBJECT, data)
        beside = {name: value for name, value in fields.items() if name not in _OF_THE_EVENT}
        within = {name: value for name, value in event.delta.items() if name not in _FINISH_FIELDS}
        told = {**beside, **within}
        for name in sorted(told.keys() & _MISPLACED):
            self._ignore(f"{name} of a message in its message_delta")
            del told[name]
        if extras := without_null(told):
            self._events.append(ExtrasDelta(level="response", fields=extras))
        self._add_usage(event.usage or {})
        if self._finish is None or decode_text(self._finish.get("stop_reason")) is None:
            self._finish = event.delta

    def _add_usage(self, fields: dict[str, Raw]) -> None:
        """Merge what is told of the usage: figures are cumulative, those that are null were told before."""
        if fields := without_null(fields):
            self._usage.update(fields)
            self._events.append(decode_usage(self._usage))

    def _complete(self) -> None:
        if not self._has_started:
            raise _unreadable("an end without a beginning")
        for position in list(self._open):
            self._block_stop(position)
        finish: Finish = decode_finish(self._finish or {}, has_calls=self._has_calls)
        self._events.append(finish)
        self.is_complete = True

    def _is_over(self) -> bool:
        """Tell whether the reason of the end has come; what comes behind it is dropped, and counted.

        Raises:
            Malformed: Nothing has begun yet.
        """
        if not self._has_started:
            raise _unreadable("a block before the message")
        if self._finish is None or decode_text(self._finish.get("stop_reason")) is None:
            return False
        self._ignore("content after the end")
        return True

    def _ignore(self, what: str) -> None:
        self._events.append(Notice(path="stream", action="ignored", reason=what, severity="hint"))


_DELTA_TYPES: Final = frozenset(
    {"text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"}
)
_EVENT_TYPES: Final = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)


def _check_text(raw: Raw) -> None:
    """Make sure that what is carried as it came is UTF-8, which nobody has looked at yet."""
    data = bytes(raw)
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError:
        raise _unreadable("an event is not UTF-8") from None


def _unreadable(detail: str) -> Malformed:
    return Malformed("The upstream sent an answer that cannot be read.", code="bad_event", detail=detail)
