"""A whole answer, and the answers of the smaller operations."""

from typing import Literal

from msgspec import Raw

from .blocks import Block
from .notices import Extras, ProtocolName, Value

FinishReason = Literal[
    "stop",
    "stop_sequence",
    "length",
    "context_window",
    "tool_calls",
    "content_filter",
    "refusal",
    "pause",
    "compaction",
    "other",
]


class Finish(Value, frozen=True, kw_only=True, tag="finish", tag_field="event"):
    """Why a choice ended. As an event: the choice is complete."""

    reason: FinishReason
    raw: str | None = None
    """The vendor's own word."""
    stop_sequence: str | None = None
    """The text that matched, where the vendor tells it."""
    explanation: str | None = None
    """Why the model refused, in words."""
    details: Raw | None = None
    """The vendor's structured details (``stop_details``), as they came."""
    is_spoiled: bool = False
    """The model began a call that cannot be read: asked once more, it may write one."""
    choice: int = 0
    at: str = "finish_reason"
    """Where the vendor's word stood."""


class Usage(Value, frozen=True, kw_only=True, tag="usage", tag_field="event"):
    """Tokens of the whole exchange. Cumulative: a later one replaces an earlier one, field by field where not None.

    Attributes:
        input_total: All input, cached or not, written to the cache or not.
        cache_read: Part of ``input_total`` that was read from the vendor's prompt cache.
        cache_write: Part of ``input_total`` that was written to it; for 5 minutes, 1 hour and others together.
        cache_write_5m: Part of ``cache_write``.
        cache_write_1h: Part of ``cache_write``.
        output_total: All output, reasoning included.
        reasoning: Part of ``output_total``.
        audio_input: Part of ``input_total``.
        audio_output: Part of ``output_total``.
        is_estimated: At least one of the numbers is the gateway's own estimate.
        extras: Other counters, in the source protocol's terms.
    """

    input_total: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output_total: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    is_estimated: bool = False
    extras: Extras = {}


class Logprobs(Value, frozen=True, kw_only=True, tag="logprobs", tag_field="event"):
    """Log probabilities of tokens, as OpenAI writes them. As an event: more of them, to be appended."""

    content: tuple[Raw, ...] | None = None
    refusal: tuple[Raw, ...] | None = None
    choice: int = 0


class Choice(Value, frozen=True, kw_only=True):
    """One answer of possibly several."""

    blocks: tuple[Block, ...]
    finish: Finish
    logprobs: Logprobs | None = None
    message_extras: Extras = {}
    """Unknown fields of the message."""
    extras: Extras = {}
    """Unknown fields of the choice."""


class Response(Value, frozen=True, kw_only=True):
    """A whole answer."""

    source: ProtocolName
    id: str
    model: str
    choices: tuple[Choice, ...]
    """At least one; those of protocols without choices have exactly one."""
    created: int | None = None
    """Seconds since 1970."""
    usage: Usage | None = None
    service_tier: str | None = None
    extras: Extras = {}
    echo: Extras = {}
    """What the answer repeats of the request; its own protocol shows it again, to others it is nothing new."""


class Model(Value, frozen=True, kw_only=True):
    """A model that callers may ask for."""

    id: str
    owner: str
    """Name of the upstream that serves it first."""
    created: int = 0
    """Seconds since 1970; 0 where nobody knows."""
    context_tokens: int = 0
    """What fits into its window; 0 where nobody knows."""


class TokenCount(Value, frozen=True, kw_only=True):
    """How many tokens a request would cost as input."""

    input_tokens: int
