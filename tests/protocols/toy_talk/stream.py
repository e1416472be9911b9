"""A streamed answer, both ways: one canonical event a line, and an empty object at the end."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from asgi_ds2api.canonical import Event, Finish, Notice, Notices, Ping, Start, Usage
from asgi_ds2api.codec import AnswerFacts, Envelope
from asgi_ds2api.errors import GatewayError, Interrupted, Malformed, UpstreamError
from asgi_ds2api.fold import merge_usage
from asgi_ds2api.framing import LineSplitter, NDJSONDecoder, json_line, split_lines
from asgi_ds2api.json_guard import decode_answer
from asgi_ds2api.profiles import Profile

from . import wire

END: Final = b"{}"
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_EVENT: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_NAME: Final = Raw(msgspec.json.encode(wire.NAME))


def read_line(line: bytes) -> Event | None:
    """Return the event of a line; None: the answer is over.

    Raises:
        UpstreamError: It is an error, or no line of this protocol.
    """
    fields = decode_answer(_FIELDS, line)
    if failure := wire.failure_in(line):
        raise failure
    if not fields:
        return None
    if bytes(fields.get("event", b"")) == b'"start"':
        fields["source"] = _NAME
    return decode_answer(_EVENT, msgspec.json.encode(fields))


class StreamDecoder:
    """See `codec.EventDecoder`."""

    def __init__(self, profile: Profile, max_event_bytes: int, salt: str = "") -> None:
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self._frames = NDJSONDecoder(max_event_bytes)
        self._has_begun = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete."""
        events: list[Event] = []
        for frame in self._frames.feed(data):
            if self.is_complete or self.failure is not None:
                return events
            try:
                event = read_line(frame.data)
            except UpstreamError as failure:
                self.failure = failure
                return events
            self.is_complete = event is None
            if event is not None:
                events.append(event)
        self.failure = self.failure or self._frames.failure
        self._has_begun = self._has_begun or bool(events)
        return events

    def close(self) -> list[Event]:
        """Say that the HTTP message ended: without its last line the answer broke off."""
        self.failure = self.failure or (None if self.is_complete else broken(has_begun=self._has_begun))
        return []


def broken(*, has_begun: bool) -> UpstreamError:
    """Return what an end without the last line is."""
    if not has_begun:
        return Malformed("The toy said nothing.", code="empty_response")
    return Interrupted("The toy broke its answer off.", code="incomplete_stream")


class StreamEncoder:
    """See `codec.EventEncoder`."""

    def __init__(self, envelope: Envelope, notices: Notices) -> None:
        self._envelope = envelope
        self._notices = notices

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the lines of these events."""
        return b"".join(self._line(event) for event in events)

    def _line(self, event: Event) -> bytes:
        match event:
            case Ping() | Notice():
                return b""
            case Start():
                is_own = event.source == wire.NAME
                for name in () if is_own else event.extras:
                    self._notices.hint(name, "answers have no such field here")
                extras = wire.own(event.extras, is_own=is_own)
                told = wire.told(event, model=self._envelope.model, extras=extras)
                return json_line(msgspec.json.encode({"event": "start", **told}))
            case Finish():
                return json_line(msgspec.json.encode(wire.finish_of(event, self._notices)))
            case _:
                return json_line(msgspec.json.encode(event))

    def close(self) -> bytes:
        """Return what ends the stream with success."""
        return json_line(END)

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error."""
        return json_line(wire.encode_failure(error))

    def heartbeat(self) -> bytes:
        """Return an empty line, which is none."""
        return b"\n"


class StreamTap:
    """See `codec.StreamTap`."""

    def __init__(self, profile: Profile, max_event_bytes: int) -> None:
        self.is_meaningful = False
        self.is_complete = False
        self.failure: UpstreamError | None = None
        self.facts = AnswerFacts()
        self._splitter = LineSplitter(max_event_bytes)
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        """Return the lines that these bytes complete, byte for byte."""
        passed = b""
        for line in split_lines(self._splitter.feed(data)):
            if self.is_complete or self.failure is not None:
                return passed
            try:
                if line.strip():
                    self._read(line)
            except UpstreamError as failure:
                self.failure = failure
                return passed
            passed += line
        self.failure = self.failure or self._splitter.failure
        return passed

    def _read(self, line: bytes) -> None:
        event = read_line(line)
        self._has_begun = True
        match event:
            case None:
                self.is_complete = True
            case Start():
                self.facts = msgspec.structs.replace(self.facts, model=event.model)
            case Usage():
                usage = event if self.facts.usage is None else merge_usage(self.facts.usage, event)
                self.facts = msgspec.structs.replace(self.facts, usage=usage)
            case Finish():
                self.is_meaningful = True
                self.facts = msgspec.structs.replace(self.facts, finish=event)
            case _:
                self.is_meaningful = True

    def close(self) -> bytes:
        """Say that the HTTP message ended."""
        self.failure = self.failure or (None if self.is_complete else broken(has_begun=self._has_begun))
        return b""
