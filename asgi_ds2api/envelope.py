"""What is known of a call and of its answer before anybody reads their bodies.

`codec` gives them all on, so that a protocol imports its contract from one place.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw

from .canonical import Finish, Usage

Operation = Literal[
    "generate", "count_tokens", "list_models", "get_model", "embed", "complete", "compact", "kept", "tell",
    "capabilities", "files", "absent",
]  # fmt: skip
"""``tell``: what is said is always the same (a version), and stands in the route. ``absent``: so does why it is not
served."""

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

OnUnsupported: TypeAlias = Literal["notice", "reject", "drop"]
"""What becomes of a request that an upstream cannot be told all of."""


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
    max_choices: int = 8
    """Of an answer whose choices are asked for one at a time."""


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
    ``{v1|v1beta}`` stands for either word, ``{|/}`` for a slash or none."""
    operation: Operation
    answer: bytes = b""
    """Of ``tell``: what is said to everybody, without credentials: JSON, or plain text. Of ``absent``: why, and what to
    do instead."""


def no_time() -> float:
    """Return 0: nobody measures."""
    return 0.0


class CompletionForm(msgspec.Struct, frozen=True, kw_only=True):
    """How legacy completions are told."""

    prompts: int = 1
    prefixes: tuple[str, ...] = ()
    """What the answers to each prompt begin with, if that was asked for."""


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
    profit from one account's prompt cache. Not who the user is: that may be all of an application."""
    max_output_tokens: int | None = None
    """As many as the answer may have, where the request says so: what is set aside."""
    choices: int = 1
    include_usage: bool = False
    """Chat: the usage chunk was asked for."""
    include_reasoning_details: bool = False
    """Chat: the caller can carry signatures (it asked for reasoning, or sent details back)."""
    legacy_functions: bool = False
    """Chat: the caller speaks ``functions`` and ``function_call``."""
    dialect: Literal["", "codex", "open_responses", "mistral"] = ""
    """Responses and Chat: whose reading of the protocol the caller has; asked for in the protocol's folder alone."""
    may_relay: bool = True
    """What an exact upstream of the caller's protocol says is what the caller reads; else it is always translated."""
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
    said: tuple[Raw, ...] = ()
    """Responses: what the user said in a talk that is compacted, for the answer to repeat."""
    is_kept: bool = False
    """Responses: the answer will be kept. Set by the gateway."""
    include_thoughts: bool = True
    """Gemini: thoughts were asked for."""
    stream_content_type: bytes | None = None
    """Where the stream is not of the form that is usual for the face (Gemini: a JSON array); such an answer is always
    translated."""
    on_unsupported: OnUnsupported | None = None
    """What the prefix says of losses, whatever its upstreams say; None: it says nothing. Set by the gateway."""
    patience_s: float | None = None
    """How long the caller's SDK waits, as it says; None: it does not say. Set by the gateway."""
    request_id: str = ""
    """The caller's own if it gave one; for bodies that carry one. Set by the gateway."""
    salt: str = ""
    """Tells what is made for this answer, as its ids, from what is made for any other: several requests of a caller may
    have one id. Set by the gateway."""
    created: int = 0
    """Seconds since 1970 when the request came; for bodies that carry it. Set by the gateway."""
    elapsed_s: Callable[[], float] = no_time
    """Tells how many seconds ago the request came; for bodies that carry durations. Set by the gateway."""


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """What is not settled yet of an answer that somebody works on in the background: what it uses nobody knows."""

    upstream: str
    model: str
    """As that upstream calls it."""
    tokens: float = 0
    """Reserved of its caller's limits."""
    usd: float | None = None
    """Reserved; None: nobody knows the price."""
    since: float
    """Seconds since 1970 when it was reserved: that day's budget is put right."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an answer, for the request that goes on from it."""

    input: tuple[Raw, ...]
    """Items that led to it, those of all earlier turns included."""
    output: tuple[Raw, ...]
    """Items of the answer."""
    answer: Raw
    """The whole answer, as its caller got it."""
    turns: int = 1
    """How many answers the talk has."""
    account: str = ""
    """``upstream/label`` of who was asked in the same protocol, and may keep it as well; empty: nobody does."""
    is_known: bool = False
    """That account goes on from it by its id, with nothing else."""
    is_open: bool = False
    """It has not ended: that account works on it in the background."""
    owed: Owed | None = None
    """What is to be settled once it has ended; None: nothing, or nothing any more."""


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
