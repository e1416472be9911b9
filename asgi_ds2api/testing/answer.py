"""What goes back over the wire, and what a protocol of the fake offers: `Face`.

A face is a module (`chat`, `responses`, `messages`, `contents`, `lines`). It shares nothing with the gateway's
own codecs: the fake is a witness, and a witness that reads with the same eyes proves nothing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from .turn import Prompt, Turn

if TYPE_CHECKING:
    from .http1 import Request

Headers = tuple[tuple[str, str], ...]
T = TypeVar("T")

SSE_HEADERS: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """An error before it is put in the words of a protocol."""

    status: int
    message: str
    type: str | None = None
    """None: what the vendor says with this status."""
    code: str | None = None
    param: str | None = None
    """Path of the part of the request at fault."""
    headers: Headers = ()


class Fault(Exception):
    """A request that is answered with an error."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class Frame(msgspec.Struct, frozen=True):
    """A piece of a body that is sent at once."""

    data: bytes
    is_word: bool = False
    """Takes a word's time to say."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer. Without ``length`` the body is chunked."""

    status: int = 200
    headers: Headers = ()
    frames: Iterable[Frame] = ()
    length: int | None = None
    cut_after: int | None = None
    """The connection ends after so many bytes of the body, if there are so many."""
    hangs: bool = False
    """Where it would be cut, it falls silent instead and keeps the connection open; without ``cut_after``, before the
    status line."""


def json_answer(status: int, body: object, headers: Headers = ()) -> Answer:
    """Return an answer with a JSON body."""
    data = msgspec.json.encode(body)
    all_headers = (("content-type", "application/json"), *headers)
    return Answer(status=status, headers=all_headers, frames=(Frame(data),), length=len(data))


class Face(Protocol):
    """A protocol that the fake speaks."""

    @property
    def STREAM_HEADERS(self) -> Headers:
        """What a stream says of itself."""
        ...

    def read(self, body: object, asked: "Request") -> Prompt:
        """Understand a request: its body, decoded, and what path, query and headers say.

        Raises:
            Fault: The vendor would answer this one with an error.
        """
        ...

    def answer(self, prompt: Prompt, turn: Turn, serial: int) -> Answer:
        """Say a turn, streamed if that was asked for. ``serial`` makes ids that differ."""
        ...

    def no_key(self) -> Error:
        """Return what is said without a key that is known."""
        ...

    def no_model(self, name: str) -> Error:
        """Return what is said of a model that does not exist."""
        ...

    def error(self, error: Error, serial: int) -> Answer:
        """Say an error."""
        ...

    def event(self, value: object) -> bytes:
        """Return one event of a stream, or a line: of text as it is, of anything else as JSON."""
        ...

    def models(self, names: Sequence[str], query: Mapping[str, str], serial: int) -> Answer:
        """List the models."""
        ...

    def model(self, name: str, serial: int) -> Answer:
        """Describe one model."""
        ...


def converted(body: object, kind: type[T]) -> T:
    """Read decoded JSON as a Struct.

    Raises:
        Fault: It is not one; ``param`` says where, as in ``messages[0].role``.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as exc:
        problem, _, path = str(exc).partition(" - at `$")
        where = path.rstrip("`").lstrip(".")
        if missing := re.fullmatch(r"Object missing required field `(.+)`", problem):
            where = ".".join(filter(None, (where, missing[1])))
            error = Error(
                status=400,
                message=f"Missing required parameter: '{where}'.",
                param=where,
                code="missing_required_parameter",
            )
        else:
            where = where or "body"
            error = Error(
                status=400, message=f"Invalid value for '{where}': {problem}.", param=where, code="invalid_type"
            )
        raise Fault(error) from None


def invalid(message: str, param: str | None = None, code: str | None = "invalid_value") -> Fault:
    """Return the usual 400, to be raised."""
    return Fault(Error(status=400, message=message, param=param, code=code))
