"""What a protocol offers: the contract that every module ``protocols/<name>`` fulfils.

A codec is a module, not an object: mypy checks each against `Codec`. It is pure: bytes and values in, bytes and values
out; no clock, no randomness, no sockets. Each pair stands here as `decode_x`, then `encode_x`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Raw

from .canonical import (
    Embeddings,
    EmbeddingsRequest,
    Event,
    Model,
    Notices,
    Opaque,
    ProtocolName,
    Request,
    Response,
    TokenCount,
)
from .capabilities import Capabilities
from .envelope import (
    DEFAULT_LIMITS,
    RESERVED_FIELDS,
    AnswerFacts,
    CompletionForm,
    Envelope,
    ErrorAnswer,
    Heard,
    HTTPCall,
    Kept,
    Operation,
    Owed,
    RequestLimits,
    Route,
    no_time,
)
from .errors import GatewayError, Refused, UpstreamError
from .keeping import Held, HoldingCodec, KeepingCodec
from .profiles import Profile

__all__ = [
    "DEFAULT_LIMITS",
    "RESERVED_FIELDS",
    "AnswerFacts",
    "Codec",
    "CompletionForm",
    "EmbeddingsCodec",
    "Envelope",
    "ErrorAnswer",
    "EventDecoder",
    "EventEncoder",
    "Face",
    "HTTPCall",
    "Heard",
    "Held",
    "HoldingCodec",
    "KeepingCodec",
    "Kept",
    "Operation",
    "Owed",
    "PausingCodec",
    "RequestLimits",
    "Route",
    "StreamTap",
    "no_time",
]


class EventDecoder(Protocol):
    """Bytes of an upstream's stream -> events, at any split of the bytes the same."""

    @property
    def is_complete(self) -> bool:
        """The protocol's terminal event was seen; later bytes are ignored."""
        ...

    @property
    def failure(self) -> UpstreamError | None:
        """Why the stream is broken. The events before the break have been returned; no more will come."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete, in order; an empty list means that more bytes are needed."""
        ...

    def close(self) -> list[Event]:
        """Say that the HTTP message ended. Sets `failure` unless the stream is complete."""
        ...


class EventEncoder(Protocol):
    """Events -> bytes of a caller's stream. Accepts interleaved blocks; serialises them where its protocol must."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """Return the whole frames for these events, perhaps none."""
        ...

    def close(self) -> bytes:
        """Return what ends the stream with success. Only after the decoder was complete.

        Raises:
            Refused: What was written of a call is none, and clients of this protocol would take it for another one.
        """
        ...

    def error(self, error: GatewayError) -> bytes:
        """Return the in-band form of an error. Nothing may follow it."""
        ...

    def heartbeat(self) -> bytes:
        """Return bytes that keep the connection busy and that every SDK ignores."""
        ...


class StreamTap(Protocol):
    """Watches a relayed stream: passes whole frames on unchanged, and reads only those that matter."""

    @property
    def is_meaningful(self) -> bool:
        """Something of the answer itself has passed: text, reasoning, a tool call, a refusal, the end."""
        ...

    @property
    def is_complete(self) -> bool:
        """As `EventDecoder.is_complete`."""
        ...

    @property
    def failure(self) -> UpstreamError | None:
        """As `EventDecoder.failure`. The frame that carried the error is not passed on."""
        ...

    @property
    def facts(self) -> AnswerFacts:
        """What was read so far; reading may fail without harm."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Return the frames that these bytes complete, byte for byte."""
        ...

    def close(self) -> bytes:
        """Say that the HTTP message ended; return what is left if it completes the stream."""
        ...


class PausingCodec(Protocol):
    """What a protocol whose upstreams pause answers (``Finish.reason``) offers for that: a module of its own."""

    def go_on_from(self, call: HTTPCall, answer: Response) -> HTTPCall:
        """Return the call that goes on from an answer to ``call``, which this codec wrote."""
        ...


class EmbeddingsCodec(Protocol):
    """What a protocol that has embeddings offers for them: a module of its own beside the codec."""

    def decode_embeddings_request(
        self, call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS
    ) -> EmbeddingsRequest:  # fmt: skip
        """Read a caller's request.

        Raises:
            MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
        """
        ...

    def encode_embeddings_request(self, request: EmbeddingsRequest, profile: Profile, notices: Notices) -> HTTPCall:
        """Write a request for an upstream; ``request.model`` is already the upstream's name.

        Raises:
            Unsupported: With ``param``, the path of what nothing can stand in for (tokens of another vocabulary).
        """
        ...

    def decode_embeddings(self, body: bytes, profile: Profile) -> Embeddings:
        """Read an upstream's answer; that it has a vector for each input is judged by who asked.

        Raises:
            UpstreamError: Malformed, empty, or an error inside a 200.
        """
        ...

    def tap_embeddings(self, body: bytes) -> AnswerFacts:
        """Judge an answer that will be relayed as it is. Raises as `decode_embeddings`."""
        ...

    def encode_embeddings(self, embeddings: Embeddings, envelope: Envelope, notices: Notices) -> bytes:
        """Write an answer for the caller.

        Raises:
            Malformed: A number is beyond what the caller's form of a vector holds.
        """
        ...


class Face(Protocol):
    """What an answer needs of a caller's protocol; every `Codec` is one."""

    @property
    def NAME(self) -> ProtocolName:
        """See `Codec`."""
        ...

    @property
    def STREAM_CONTENT_TYPE(self) -> bytes:
        """See `Codec`."""
        ...

    def encode_response(self, response: Response, envelope: Envelope, notices: Notices) -> bytes:
        """See `Codec`."""
        ...

    def StreamEncoder(self, envelope: Envelope, notices: Notices) -> EventEncoder:
        """See `Codec`."""
        ...


class Codec(Protocol):
    """A protocol, as a client face and as an upstream."""

    @property
    def NAME(self) -> ProtocolName:
        """Its row in ``PROTOCOLS``."""
        ...

    @property
    def FAMILY(self) -> str:
        """Name of the vendor whose SDKs speak it: all its routes are also found under ``/FAMILY``, unshared."""
        ...

    @property
    def CAPABILITIES(self) -> Capabilities:
        """What its fields mean, and what becomes of what the fields of others mean."""
        ...

    @property
    def DEFAULT_PROFILE(self) -> Profile:
        """The dialect of an upstream that names none: the protocol to the letter."""
        ...

    @property
    def ROUTES(self) -> Sequence[Route]:
        """The paths of its face."""
        ...

    @property
    def CREDENTIAL_HEADERS(self) -> Sequence[str]:
        """Where its SDKs put the key: its own header first. ``authorization`` is read with the Bearer scheme."""
        ...

    @property
    def REQUEST_ID_HEADER(self) -> str:
        """The header in which its SDKs look for the id of a request."""
        ...

    @property
    def COUNTS_TOKENS(self) -> bool:
        """Whether its upstreams count the tokens of a request."""
        ...

    @property
    def HAS_CHOICES(self) -> bool:
        """Whether one answer of its upstreams may have several choices."""
        ...

    @property
    def KEEPING(self) -> KeepingCodec | None:
        """How its answers are kept, looked up and gone on from; None: they never are."""
        ...

    @property
    def HOLDING(self) -> HoldingCodec | None:
        """What its vendor holds of answers, for later requests to name; None: nothing."""
        ...

    @property
    def PAUSING(self) -> PausingCodec | None:
        """How an answer that its upstreams paused is gone on from; None: they never pause one."""
        ...

    @property
    def EMBEDDINGS(self) -> EmbeddingsCodec | None:
        """Its embeddings; None: it has none, as a face and as an upstream."""
        ...

    @property
    def STREAM_CONTENT_TYPE(self) -> bytes:
        """Content type of a streamed answer: of its face, and of its upstreams, whose streams are known by it."""
        ...

    def claims(self, call: HTTPCall) -> bool:
        """Tell whether a call on a path that several faces share (``/v1/models``) is meant for this one."""
        ...

    def peek(self, call: HTTPCall, operation: Operation) -> Envelope:
        """Read what routing needs, without building the message tree.

        Raises:
            MalformedRequest: Not JSON, or a field of the envelope has the wrong type or is missing.
        """
        ...

    def retarget(self, call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
        """Return the same request for another model of the same protocol; all other values stay byte for byte.

        Raises:
            MalformedRequest: A field that would steer the gateway (``api_base``, ...).
        """
        ...

    def decode_request(self, call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
        """Read a caller's request.

        Raises:
            MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
        """
        ...

    def encode_request(self, request: Request, profile: Profile, notices: Notices) -> HTTPCall:
        """Write a request for an upstream; ``request.model`` is already the upstream's name.

        Raises:
            Unsupported: With ``param``, the path of what nothing can stand in for; of a foreign request also what its
                decoder called required (``required_extras``, ``Opaque.is_required``) and this protocol cannot say.
        """
        ...

    def encode_count_request(self, request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
        """Write a token count request; None: this protocol has no such operation."""
        ...

    def repair(self, request: Request, error: Refused, notices: Notices) -> Request | None:
        """Return the request without what the upstream objected to; None: nothing known helps.

        Args:
            request: As it was given to ``encode_request``.
            error: As ``decode_error`` made it: ``param`` and ``body`` are the upstream's own.
            notices: What is left out is reported here.
        """
        ...

    def lesson(self, error: Refused) -> str | None:
        """Return what an objection says of every request to the model, as a message that ``repair`` understands.

        None: it may be about this request alone (a value of the caller's, a part of the talk, two fields together).
        """
        ...

    def decode_response(self, body: bytes, profile: Profile, salt: str = "") -> Response:
        """Read an upstream's whole answer.

        Args:
            body: As it came.
            profile: The upstream's.
            salt: Tells this answer from any other, where it does not by itself: for ids of calls that have none.

        Raises:
            UpstreamError: Malformed, or an error inside a 200.
        """
        ...

    def encode_response(self, response: Response, envelope: Envelope, notices: Notices) -> bytes:
        """Write a whole answer for the caller."""
        ...

    def tap_response(self, body: bytes) -> AnswerFacts:
        """Judge a whole answer that will be relayed as it is.

        Raises:
            UpstreamError: Malformed, empty, or an error inside a 200.
        """
        ...

    def StreamDecoder(self, profile: Profile, max_event_bytes: int, salt: str = "") -> EventDecoder:
        """Return a fresh decoder for one answer; its ``salt`` is that of `decode_response`."""
        ...

    def StreamEncoder(self, envelope: Envelope, notices: Notices) -> EventEncoder:
        """Return a fresh encoder for one answer."""
        ...

    def join_opaque(self, block: Opaque, deltas: Sequence[Raw]) -> Opaque:
        """Return an opaque block of this protocol with its deltas put in, for ``fold``."""
        ...

    def StreamTap(self, profile: Profile, max_event_bytes: int) -> StreamTap:
        """Return a fresh tap for one relayed answer."""
        ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Read an upstream's error answer, whatever its form (HTML, arrays and plain text included)."""
        ...

    def encode_error(self, error: GatewayError, request_id: str) -> ErrorAnswer:
        """Write an error so that the SDK of this face raises its own class for it."""
        ...

    def encode_key_check(self, profile: Profile) -> HTTPCall | None:
        """Write a request that costs nothing and is answered only to a good key: the list of models, unless the profile
        names another. None: nothing is known to be that."""
        ...

    def decode_token_count(self, body: bytes) -> TokenCount:
        """Read an upstream's token count."""
        ...

    def encode_token_count(self, count: TokenCount) -> bytes:
        """Write a token count."""
        ...

    def encode_models(self, models: Sequence[Model], query: Mapping[str, str]) -> bytes:
        """Write the list of models; ``query`` may page it."""
        ...

    def encode_model(self, model: Model) -> bytes:
        """Write one model."""
        ...
