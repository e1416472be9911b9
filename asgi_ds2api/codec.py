"""What a protocol offers: the contract that every module ``protocols/<name>`` fulfils.

A codec is a module, not an object: mypy checks each against `Codec`. It is pure: bytes and values in, bytes and values
out; no clock, no randomness, no sockets. The pairs of DESIGN.md, section 4, stand here in the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Raw

from .canonical import (
    Embeddings,
    EmbeddingsRequest,
    Event,
    Finish,
    Model,
    Notices,
    Opaque,
    ProtocolName,
    Request,
    Response,
    TokenCount,
    Usage,
)
from .errors import GatewayError, Refused, UpstreamError
from .profiles import Profile

Operation = Literal["generate", "count_tokens", "list_models", "get_model", "embed", "complete", "tell"]
"""``tell``: what is said is always the same (a version), and stands in the route."""

RESERVED_FIELDS = frozenset(
    {
        "api_base",
        "api_key",
        "base_url",
        "callbacks",
        "extra_headers",
        "guardrails",
        "organization",
        "proxy",
        "timeout",
    }
)
"""Top-level fields by which callers steer other gateways. A relay refuses them, an encoder never writes them."""


class RequestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a request that is decoded; what is relayed is bounded by its bytes alone.

    No client comes near them, and a body within ``max_body_bytes`` that passes them would cost out of proportion: a
    decoder counts before it builds.
    """

    max_messages: int = 20_000
    max_parts: int = 2_000
    """Of one message."""
    max_tools: int = 512
    max_schema_bytes: int = 4 * 1024 * 1024
    """Of one JSON Schema."""
    max_stop: int = 64
    max_inputs: int = 2_048
    """Of one batch of embeddings: as many as OpenAI takes."""
    max_prompts: int = 128
    """Of one call for completions; each is asked by itself."""


DEFAULT_LIMITS = RequestLimits()


class HTTPCall(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request without its origin and its credential: what comes in from a caller, what goes to an upstream."""

    method: str
    path: str
    """Decoded; of a caller: after the prefix. To an upstream: under ``base_url``, quoted where it needs to be."""
    body: bytes = b""
    headers: Mapping[str, str] = {}
    """Names in lower case; only those that a codec may read or wants to be sent."""
    query: Mapping[str, str] = {}
    model: str = ""
    """Of a caller: the model that the path names, if it does."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A path of a client face."""

    method: str
    path: str
    """From the prefix on. ``{model}`` takes as much as it can, slashes included; any other parameter one segment.
    ``{v1|v1beta}`` stands for either word."""
    operation: Operation
    answer: bytes = b""
    """Of ``tell``: what is said to everybody, without credentials: JSON, or plain text."""


def no_time() -> float:
    """Return 0: nobody measures."""
    return 0.0


class CompletionForm(msgspec.Struct, frozen=True, kw_only=True):
    """How legacy completions are told, and which part of the answer this is if several upstream calls make it up."""

    prompts: int = 1
    prefixes: tuple[str, ...] = ()
    """What the answers to each prompt begin with, if that was asked for."""
    first_choice: int = 0
    """Number of the first choice of this part in the whole answer."""
    is_continued: bool = False
    """Other parts follow: a stream is not ended."""
    earlier: Usage | None = None
    """Of the parts before."""


class Heard(msgspec.Struct):
    """What heartbeats told a caller whose client counts events, not bytes; changes while the request lives."""

    events: int = 0
    """How many events went out, whoever wrote them."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What routing needs of a request, and the form that the caller wants the answer in."""

    operation: Operation = "generate"
    model: str
    stream: bool = False
    session: str | None = None
    """Which conversation this is, in the caller's words: the key of soft affinity, as requests of one conversation
    profit from one account's prompt cache. The pool has no affinity yet, so that nobody asks for it so far."""
    choices: int = 1
    include_usage: bool = False
    """Chat: the usage chunk was asked for."""
    include_reasoning_details: bool = False
    """Chat: the caller can carry signatures (it asked for reasoning, or sent details back)."""
    legacy_functions: bool = False
    """Chat: the caller speaks ``functions`` and ``function_call``."""
    dialect: Literal["", "codex", "open_responses"] = ""
    """Responses: whose reading of the protocol the caller has."""
    heard: Heard | None = None
    """Responses: the caller wants heartbeats that are events; what it has heard is shared by all attempts."""
    echo: Mapping[str, Raw] = {}
    """Responses: fields of the request that the answer repeats."""
    namespaces: Mapping[str, str] = {}
    """Responses: name of each tool that stands in a namespace, as upstreams know it -> the namespace."""
    thoughts: Mapping[str, str] = {}
    """Responses: place of each piece of reasoning that the caller sent back -> its id."""
    plain_prompt: bool = False
    """Ollama: a prompt was sent, and a text is wanted, not a message."""
    other_names: tuple[str, ...] = ()
    """Ollama: what else the model may be called (``llama3:latest`` is ``llama3``); looked up where ``model`` is
    unknown."""
    finish: Finish | None = None
    """Ollama: nothing is asked, and this is why the empty answer ends; no upstream is needed for it."""
    vectors: Literal["float", "base64"] = "float"
    """Embeddings: the form that is wanted."""
    is_single: bool = False
    """Embeddings: one vector is wanted, not a list with one."""
    completion: CompletionForm = CompletionForm()
    """Legacy completions: how they are told."""
    include_thoughts: bool = True
    """Gemini: thoughts were asked for."""
    stream_content_type: bytes | None = None
    """Where the stream is not of the form that is usual for the face (Gemini: a JSON array); such an answer is always
    translated."""
    request_id: str = ""
    """Ours; for bodies that carry one. Set by the gateway."""
    created: int = 0
    """Seconds since 1970 when the request came; for bodies that carry it. Set by the gateway."""
    elapsed_s: Callable[[], float] = no_time
    """Tells how many seconds ago the request came; for bodies that carry durations. Set by the gateway."""


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An error in a face's own words."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """Content type and retry hints; not the ids, which every answer carries."""
    body: bytes


class AnswerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a relayed answer tells the Record."""

    model: str | None = None
    usage: Usage | None = None
    finish: Finish | None = None


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
        """Return what ends the stream with success. Only after the decoder was complete."""
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

    def decode_response(self, body: bytes, profile: Profile) -> Response:
        """Read an upstream's whole answer.

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

    def StreamDecoder(self, profile: Profile, max_event_bytes: int) -> EventDecoder:
        """Return a fresh decoder for one answer."""
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
