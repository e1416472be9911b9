"""Where one record of a stream ends and the next begins: bytes in, frames out, and back.

This file knows nothing of HTTP, JSON or any vendor. Every format offers the same pair: a decoder with the shape of
`FrameDecoder`, and functions that write one frame. There are two: server-sent events, and lines of JSON (NDJSON).

Server-sent events follow the WHATWG HTML standard, section 9.2 "Server-sent events" (read 2026-11-20):

* Lines end in CR, LF or CRLF, nowhere else: U+2028, U+0085 and form feeds are data. All work is on bytes.
* An event ends with a blank line. What is left without one at the end of the stream was never an event.
* One byte order mark at the very start is no part of the stream.

Deliberate divergences:

1. ``id`` and ``retry`` are not passed on: they ask for a reconnection, and an answer of a model has none.
2. An event that is longer than ``max_event_bytes`` ends the stream; a browser would buffer it until memory runs out.

Lines of JSON end in LF, as https://github.com/ndjson/ndjson-spec has it; a CR before it is white space. What stands
between two documents is white space as well: empty lines are none, and the last line needs no end.
"""

import re
from itertools import pairwise
from typing import Final, Protocol

import msgspec

from .errors import Malformed

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Fits the largest event that vendors send (a whole image in base64), and bounds the memory of one stream."""


_LINE_ENDS: Final = tuple((end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x85\u2028\u2029")
NDJSON: Final = b"application/x-ndjson"
"""Content type of lines of JSON."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One record of a stream, in any format."""

    event: bytes
    """Its name; ``b""`` if it has none."""
    data: bytes
    """Its payload; several ``data`` lines are joined with LF."""


class FrameDecoder(Protocol):
    """Bytes of a stream -> frames; at any split of the bytes the same."""

    @property
    def failure(self) -> Malformed | None:
        """Why no more frames will come. Those before the break have been returned."""
        ...

    @property
    def has_tail(self) -> bool:
        """There are bytes that belong to no complete frame. At the end of the stream: it was cut."""
        ...

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that these bytes complete, in order; an empty list means that more bytes are needed."""
        ...

    def close(self) -> list[Frame]:
        """Say that the stream ended; return the frames that its end completes."""
        ...


class FrameSplitter:
    """Cuts a stream of server-sent events after its last whole event, and does not look inside.

    What `feed` returns are *blocks*: any number of whole frames, byte for byte as they came, each with its blank line.
    This is all that a relay needs: a read that ends with an event is passed on as the same object. `split_frames`
    and `parse_frames` look into a block.

    Law: ``bom + b"".join(blocks) + tail`` is the input.

    Args:
        max_event_bytes: Longest frame that is accepted, its blank line included.
    """

    __slots__ = ("_at_start", "_max_event_bytes", "_tail", "bom", "failure")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail = bytearray()  # empty, or begins with a byte of an event; holds no blank line
        self._at_start = True
        self.bom = b""
        """The byte order mark, if the stream began with one."""
        self.failure: Malformed | None = None
        """An event was too long. The blocks before it have been returned; no more will come."""

    @property
    def has_tail(self) -> bool:
        """An event has begun whose blank line has not come yet."""
        return bool(self._tail)

    def feed(self, data: bytes) -> bytes:
        """Return the block that these bytes complete; ``b""`` means that more bytes are needed.

        Blank lines between events belong to no event and are passed on at once: they keep connections alive.
        """
        if self.failure is not None:
            return b""
        if self._at_start:
            data = self._without_bom(data)
        return self._within_limit(self._cut(data))

    def close(self) -> bytes:
        """Say that the stream ended; return the tail, which no blank line completed."""
        return bytes(self._tail)

    def _cut(self, data: bytes) -> bytes:
        """Move what follows the last blank line to the tail; return what comes before.

        Every byte is searched once and copied a fixed number of times, however the stream is cut into reads.
        """
        tail = self._tail
        if not tail:
            end = _end_of_last_frame(data, 0) or len(data) - len(data.lstrip(b"\r\n"))
            if end < len(data):
                tail += data[end:]
            return data[:end]
        seam = len(tail) - 1  # a blank line may have begun with the tail's last byte
        tail += data
        end = _end_of_last_frame(tail, seam)
        if not end:
            return b""
        with memoryview(tail) as view:
            block = bytes(view[:end])
        del tail[:end]
        return block

    def _within_limit(self, block: bytes) -> bytes:
        """Return the block up to its first frame that is too long; set `failure` if there is one, or the tail is."""
        end = len(block)
        if end > self._max_event_bytes:
            end = 0
            for frame in split_frames(block):
                if len(frame) > self._max_event_bytes:
                    break
                end += len(frame)
        if end < len(block) or len(self._tail) > self._max_event_bytes:
            self.failure = Malformed("The upstream sent an event that is too large.", code="event_too_large")
            self._tail = bytearray()
        return block[:end]

    def _without_bom(self, data: bytes) -> bytes:
        """Take a byte order mark off the start of the stream, of which single bytes may have come so far."""
        data = bytes(self._tail) + data
        self._tail.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._tail += data
            return b""
        self._at_start = False
        if data.startswith(_BOM):
            self.bom = _BOM
        return data.removeprefix(_BOM)


class SSEDecoder:
    """Server-sent events -> frames. A `FrameDecoder`.

    Args:
        max_event_bytes: Longest event that is accepted, field names, comments and its blank line included.
    """

    __slots__ = ("_splitter",)

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._splitter = FrameSplitter(max_event_bytes)

    @property
    def failure(self) -> Malformed | None:
        """An event was too long (code ``event_too_large``)."""
        return self._splitter.failure

    @property
    def has_tail(self) -> bool:
        """An event has begun whose blank line has not come yet."""
        return self._splitter.has_tail

    def feed(self, data: bytes) -> list[Frame]:
        """Return the events that these bytes complete, in order, without those that have no ``data`` line."""
        block = self._splitter.feed(data)
        return parse_frames(block) if block else []

    def close(self) -> list[Frame]:
        """Say that the stream ended. It completes nothing: an event without its blank line was never sent."""
        self._splitter.close()
        return []


class LineSplitter:
    """Cuts a stream of lines after its last whole line, and does not look inside; the twin of `FrameSplitter`.

    Law: ``b"".join(blocks) + tail`` is the input.

    Args:
        max_event_bytes: Longest line that is accepted, its end included.
    """

    __slots__ = ("_max_event_bytes", "_tail", "failure")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail = bytearray()  # holds no line end
        self.failure: Malformed | None = None
        """A line was too long. The blocks before it have been returned; no more will come."""

    @property
    def has_tail(self) -> bool:
        """A line has begun that has not ended."""
        return bool(self._tail.strip())

    def feed(self, data: bytes) -> bytes:
        """Return the block of whole lines that these bytes complete; ``b""`` means that more bytes are needed."""
        if self.failure is not None:
            return b""
        end = data.rfind(b"\n") + 1
        block = b""
        if end:
            block = bytes(self._tail) + data[:end] if self._tail else data[:end]
            self._tail.clear()
        self._tail += data[end:]
        return self._within_limit(block)

    def close(self) -> bytes:
        """Say that the stream ended; return the tail, which may be a whole document without a line end."""
        return bytes(self._tail)

    def _within_limit(self, block: bytes) -> bytes:
        """Return the block up to its first line that is too long; set `failure` if there is one, or the tail is."""
        end = len(block)
        if end > self._max_event_bytes:
            end = 0
            for line in split_lines(block):
                if len(line) > self._max_event_bytes:
                    break
                end += len(line)
        if end < len(block) or len(self._tail) > self._max_event_bytes:
            self.failure = Malformed("The upstream sent an event that is too large.", code="event_too_large")
            self._tail = bytearray()
        return block[:end]


class NDJSONDecoder:
    """Bytes of a stream of lines -> frames; has the shape of `FrameDecoder`.

    Args:
        max_event_bytes: Longest line that is accepted.
    """

    __slots__ = ("_splitter",)

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._splitter = LineSplitter(max_event_bytes)

    @property
    def failure(self) -> Malformed | None:
        """A line was too long (code ``event_too_large``)."""
        return self._splitter.failure

    @property
    def has_tail(self) -> bool:
        """A line has begun that has not ended."""
        return self._splitter.has_tail

    def feed(self, data: bytes) -> list[Frame]:
        """Return the lines that these bytes complete, in order, without empty ones."""
        block = self._splitter.feed(data)
        return [Frame(b"", line) for part in block.split(b"\n") if (line := part.strip())] if block else []

    def close(self) -> list[Frame]:
        """Say that the stream ended: the last line may have no end. Whether it is whole, its reader can tell."""
        line = self._splitter.close().strip()
        return [Frame(b"", line)] if line else []


def split_lines(block: bytes) -> list[bytes]:
    """Cut a block into its lines, each with its end; joined, they are the block."""
    *lines, rest = block.split(b"\n")
    found = [line + b"\n" for line in lines]
    return [*found, rest] if rest else found


def split_frames(block: bytes) -> list[bytes]:
    """Cut a block into its frames, each with its blank line; joined, they are the block."""
    if b"\r" not in block:
        *frames, rest = block.split(b"\n\n")
        frames = [frame + b"\n\n" for frame in frames]
    else:
        ends = [0, *(match.end() for match in _BLANK_LINE.finditer(block))]
        frames = [block[start:end] for start, end in pairwise(ends)]
        rest = block[ends[-1] :]
    return [*frames, rest] if rest else frames


def missing_line_feed(frame: bytes) -> bytes:
    """Return what a stream's last frame lacks: the line feed of its last CRLF, if that is not yet there.

    A carriage return ends a line by itself, so that a frame never waits for more. Behind the last frame nothing is
    read, and with this it is the same however the stream was cut into reads.
    """
    return b"\n" if frame.endswith(b"\r\n\r") else b""


def line_end_of(frame: bytes) -> bytes:
    """Return what ends the lines of a frame."""
    if frame.endswith((b"\r\n\r\n", b"\r\n\r")):
        return b"\r\n"
    return b"\r" if frame.endswith(b"\r") else b"\n"


def parse_frames(block: bytes) -> list[Frame]:
    """Read all events of a block, in order, without those that have no ``data`` line."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if _PLAIN_BLOCK.fullmatch(block):
        return [Frame(event, data) for event, data in _PLAIN_FRAME.findall(block)]
    return [frame for part in block.split(b"\n\n") if (frame := _parse_lines(part)) is not None]


def parse_frame(raw: bytes) -> Frame | None:
    """Read one raw frame; None if it has no ``data`` line, and so is no event (a comment, a blank line)."""
    frames = parse_frames(raw)
    return frames[0] if frames else None


def data_frame(payload: bytes) -> bytes:
    """Write an event without a name.

    Args:
        payload: JSON in one line, as msgspec writes it: no text can end the frame early.
    """
    assert b"\n" not in payload, "a payload is one line"
    assert b"\r" not in payload, "a payload is one line"
    return b"data: " + payload + b"\n\n"


def json_line(payload: bytes) -> bytes:
    """Write a line of JSON.

    Args:
        payload: JSON in one line, as msgspec writes it.
    """
    assert b"\n" not in payload, "a payload is one line"
    return escape_line_ends(payload) + b"\n"


def escape_line_ends(lines: bytes) -> bytes:
    """Escape the characters in strings of JSON that some readers of lines, httpx among them, take for their ends."""
    for character, escaped in _LINE_ENDS:
        if character in lines:
            lines = lines.replace(character, escaped)
    return lines


def frame_mark(content_type: bytes) -> bytes:
    """Return what stands once in every frame of a stream of this type: how a relay counts without reading."""
    return b"data:" if content_type.startswith(b"text/event-stream") else b"\n"


def event_frame(name: bytes, payload: bytes) -> bytes:
    """Write an event with a name.

    Args:
        name: A constant of ours, or a vendor's event name.
        payload: JSON in one line, as msgspec writes it.

    Raises:
        ValueError: The name would end its line.
    """
    return b"event: " + _one_line(name) + b"\n" + data_frame(payload)


def comment_frame(text: bytes) -> bytes:
    """Write a comment, which every reader skips.

    Raises:
        ValueError: The text would end its line.
    """
    return b": " + _one_line(text) + b"\n\n"


_BOM: Final = b"\xef\xbb\xbf"

_BLANK_LINE: Final = re.compile(rb"\n\n|[\r\n]\r\n?")
"""The end of a line and the blank line after it, given that CRLF is one line end."""

_BLANK_LINES: Final = (b"\n\n", b"\n\r\n", b"\n\r", b"\r\r\n", b"\r\r")
"""All that `_BLANK_LINE` matches. A CR at the end of a read counts at once: an LF after it is one more blank line."""

_PLAIN_BLOCK: Final = re.compile(rb"(?:(?:event:[^\n]*+\n)?+data:[^\n]*+\n\n)*+")
_PLAIN_FRAME: Final = re.compile(rb"(?:event: ?+([^\n]*+)\n)?+data: ?+([^\n]*+)\n\n")
"""What all vendors send nearly always, read in two passes in C. Possessive, so linear in any input."""


def _end_of_last_frame(buffer: bytes | bytearray, start: int) -> int:
    """Return the index after the last blank line that ends in ``buffer[start:]``; 0 if there is none."""
    if buffer.find(b"\r", start) < 0:
        at = buffer.rfind(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    return max(at + len(end) if (at := buffer.rfind(end, start)) >= 0 else 0 for end in _BLANK_LINES)


def _parse_lines(text: bytes) -> Frame | None:
    """Read the lines of one event, which end in LF alone."""
    event = b""
    data: list[bytes] = []
    for line in text.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ")
    return Frame(event, b"\n".join(data)) if data else None


def _one_line(text: bytes) -> bytes:
    """Return the text as it is, if it is one line."""
    if b"\n" in text or b"\r" in text:
        raise ValueError("a line break inside a field of a server-sent event")
    return text
