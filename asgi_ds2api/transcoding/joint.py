"""One answer out of several: what each part says, and the whole that its caller is told. Pure.

A part is not told in the caller's words but in events, as JSON; whoever joins the parts makes the caller's words of
them. So nothing of a part is in the answer before its bytes are sent, and a part that fails over starts clean.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from ..canonical import (
    BlockStart,
    Choice,
    Event,
    Extras,
    ExtrasDelta,
    Finish,
    Logprobs,
    Notice,
    Notices,
    Ping,
    ProtocolName,
    Request,
    Response,
    Start,
    Usage,
)
from ..codec import Envelope, EventEncoder, Face
from ..errors import GatewayError
from ..fold import add_usage, merge_usage

_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(list[Event]).decode


class PartFace:
    """The face that a part is answered on.

    Args:
        face: The caller's.
        keep: Takes the answer, if it is a whole one.
    """

    def __init__(self, face: Face, keep: Callable[[Response], None]) -> None:
        self._face = face
        self._keep = keep

    @property
    def NAME(self) -> ProtocolName:
        """See `Face`."""
        return self._face.NAME

    @property
    def STREAM_CONTENT_TYPE(self) -> bytes:
        """See `Face`."""
        return self._face.STREAM_CONTENT_TYPE

    def StreamEncoder(self, envelope: Envelope, notices: Notices) -> EventEncoder:
        """See `Face`."""
        return _PartEncoder()

    def encode_response(self, response: Response, envelope: Envelope, notices: Notices) -> bytes:
        """See `Face`; nothing is told yet."""
        self._keep(response)
        return b""


class _PartEncoder:
    """See `EventEncoder`. What ends a stream is for the whole to say."""

    def encode(self, events: Sequence[Event]) -> bytes:
        return b"".join(_write(event) + b"," for event in events)

    def close(self) -> bytes:
        return b""

    def error(self, error: GatewayError) -> bytes:
        return b""

    def heartbeat(self) -> bytes:
        return b""


class Joint:
    """Makes the caller's one stream of the streams of all parts.

    Args:
        face: The caller's protocol.
        envelope: What the caller asked.
        width: Choices that each part gives.
        source: What the whole counts as an answer of; None: of what the first part is one of.
    """

    def __init__(self, face: Face, envelope: Envelope, *, width: int, source: ProtocolName | None) -> None:
        self.notices = Notices()
        """What the whole could not tell."""
        self._width = width
        self._source = source
        self._encoder = face.StreamEncoder(envelope, self.notices)
        self._usages: dict[int, Usage] = {}
        self._blocks: dict[tuple[int, int], int] = {}
        """Part, and number of a block in it -> its number in the whole."""

    def pass_on(self, number: int, data: bytes) -> bytes:
        """Return the caller's bytes for what a part said. Part 0 speaks first."""
        events = _read(b"[" + data[:-1] + b"]")
        return self._encoder.encode([said for event in events if (said := self._in_whole(number, event)) is not None])

    def close(self) -> bytes:
        """Return what ends the whole with success."""
        return self._encoder.close()

    def error(self, error: GatewayError) -> bytes:
        """Return an error as the last frame."""
        return self._encoder.error(error)

    def heartbeat(self) -> bytes:
        """Return bytes that keep the stream busy."""
        return self._encoder.heartbeat()

    def _in_whole(self, number: int, event: Event) -> Event | None:
        """Return an event of a part as one of the whole; None: of all parts only the first one's counts."""
        first = number * self._width
        match event:
            case Start() if number:
                _leave(event.extras, self.notices)
                return None
            case Start():
                return replace(event, id="", source=self._source or event.source)
            case BlockStart():
                index = self._blocks[number, event.index] = len(self._blocks)
                return replace(event, index=index, choice=first + event.choice)
            case Finish() | Logprobs():
                return replace(event, choice=first + event.choice)
            case ExtrasDelta(level="response") if number:
                _leave(event.fields, self.notices)
                return None
            case ExtrasDelta():
                return replace(event, choice=first + event.choice)
            case Usage():
                self._usages[number] = merge_usage(self._usages.get(number), event)
                return total_of(usage for _, usage in sorted(self._usages.items()))
            case Notice() | Ping():
                return event
            case _:  # a delta of a block, or its end
                return replace(event, index=self._blocks[number, event.index])


def total_of(usages: Iterable[Usage | None]) -> Usage | None:
    """Return the usage of all parts that told theirs; None: none did."""
    total: Usage | None = None
    for usage in usages:
        total = total if usage is None else add_usage(total, usage)
    return total


def part_of(request: Request, number: int, *, is_single: bool) -> Request:
    """Return what one part asks: one of the conversations, and for a single answer if the choices are parts as well."""
    copies = (request.choices or 1) if is_single else 1
    messages = (request.messages, *request.alternatives)[number // copies]
    return replace(request, messages=messages, alternatives=(), choices=None if is_single else request.choices)


def join_responses(responses: Sequence[Response], source: ProtocolName | None, notices: Notices) -> Response:
    """Return several answers as one: their choices in order, their usage together, all else but the id of the first."""
    first, *others = responses
    for response in others:
        _leave(response.extras, notices)
    choices = [choice for response in responses for choice in response.choices]
    return replace(
        first,
        id="",
        source=source or first.source,
        choices=tuple(_numbered(choice, number) for number, choice in enumerate(choices)),
        usage=total_of(response.usage for response in responses),
    )


def _numbered(choice: Choice, number: int) -> Choice:
    logprobs = None if choice.logprobs is None else replace(choice.logprobs, choice=number)
    return replace(choice, finish=replace(choice.finish, choice=number), logprobs=logprobs)


def _leave(extras: Extras, notices: Notices) -> None:
    """Report fields of an answer that is not the first: the whole has each but once."""
    for name in extras:
        notices.hint(name, "told of the first of several answers")
