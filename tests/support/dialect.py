"""A protocol as both ends of a gateway see it, for tests of what goes wrong in between; ``dialects`` has them all.

What an upstream says is written frame by frame; what a caller got is read strictly and by other means than the
product's. A frame is one server-sent event with its blank line, or one line of JSON.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

Name: TypeAlias = Literal["chat", "responses", "claude", "gemini", "ollama"]
TEXT = ("Es war ", "é日😀", " einmal.")
"""Pieces of an answer, with characters of two, three and four bytes."""
ARGUMENTS = ('{"ci', 'ty": "Sã', 'o Paulo"}')
"""Pieces of a tool call's arguments."""
PROMPT_TOKENS, ANSWER_TOKENS = 11, 7
SSE = "text/event-stream"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a caller got."""

    text: str = ""
    arguments: str = ""
    finish: str | None = None
    is_ended: bool = False
    """The protocol's success terminator came."""
    error: dict[str, Any] | None = None
    """What stands in the ``error`` of a body or of the last event; no success terminator can stand beside it."""
    usage: dict[str, Any] | None = None
    heartbeats: int = 0

    @property
    def is_success(self) -> bool:
        """It is a whole answer, and says so."""
        return self.is_ended and self.finish is not None and self.error is None


@dataclass(kw_only=True)
class Draft:
    """What is read of a stream so far."""

    text: str = ""
    arguments: str = ""
    finish: str | None = None
    is_ended: bool = False
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    heartbeats: int = 0
    open_blocks: set[int] = field(default_factory=set)

    def settled(self) -> Seen:
        """Return what was read."""
        fields = {name: value for name, value in vars(self).items() if name != "open_blocks"}
        return Seen(**fields)


class Dialect(Protocol):
    """A protocol."""

    name: Name
    path: str
    headers: dict[str, str]
    """Of a caller."""
    content_type: str
    """Of a stream."""
    before_text: int
    """Frames of a stream that come before the first that says something."""

    def address(self, model: str, *, stream: bool) -> tuple[str, str]:
        """Return the path and the query of a request."""
        ...

    def ask(self, model: str, *, stream: bool) -> dict[str, Any]:
        """Return a small request."""
        ...

    def text_stream(self, pieces: Sequence[str] = TEXT) -> list[bytes]:
        """Return the frames of an answer: ``before_text``, one a piece, the end."""
        ...

    def tool_stream(self, pieces: Sequence[str] = ARGUMENTS) -> list[bytes]:
        """Return the frames of an answer that calls a tool."""
        ...

    def whole(self, text: str = "".join(TEXT)) -> bytes:
        """Return an answer that is no stream."""
        ...

    def error(self, status: int, message: str = "no") -> bytes:
        """Return the body of an error."""
        ...

    def event(self, data: bytes) -> bytes:
        """Return a frame that holds these bytes."""
        ...

    def error_frame(self, status: int, message: str = "no") -> bytes:
        """Return an error as an event of a stream."""
        ...

    def read_stream(self, body: bytes) -> Seen:
        """Read what a caller got of a stream; all of it is whole frames."""
        ...

    def read_whole(self, body: bytes) -> Seen:
        """Read an answer, or an error, that is no stream."""
        ...


def json_bytes(value: object) -> bytes:
    """Return an object as JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def event_lines(body: bytes) -> Iterator[list[bytes]]:
    """Yield the lines of each server-sent event; the body is whole events, in line feeds alone."""
    assert body == b"" or body.endswith(b"\n\n"), f"cut in the middle of a frame: {body[-80:]!r}"
    for frame in body.split(b"\n\n"):
        if frame:
            yield frame.split(b"\n")
