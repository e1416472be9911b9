"""An answer in pieces."""

from typing import Literal, TypeAlias

from msgspec import Raw

from .blocks import Block, Citation
from .notices import Extras, Notice, ProtocolName, Value
from .response import Finish, Logprobs, Usage


class Start(Value, frozen=True, kw_only=True, tag="start", tag_field="event"):
    """The first event of a stream."""

    source: ProtocolName
    id: str
    model: str
    created: int | None = None
    service_tier: str | None = None
    extras: Extras = {}
    echo: Extras = {}
    """As ``Response.echo``."""


class BlockStart(Value, frozen=True, kw_only=True, tag="block_start", tag_field="event"):
    """A block begins. ``block`` holds what is known at this moment; deltas add to it."""

    index: int
    """Unique in the stream, over all choices; in order of first appearance, from 0 without gaps."""
    block: Block
    choice: int = 0


class TextDelta(Value, frozen=True, kw_only=True, tag="text_delta", tag_field="event"):
    """More text of a Text block."""

    index: int
    text: str


class ReasoningDelta(Value, frozen=True, kw_only=True, tag="reasoning_delta", tag_field="event"):
    """More text of a Reasoning block."""

    index: int
    text: str


class SignatureDelta(Value, frozen=True, kw_only=True, tag="signature_delta", tag_field="event"):
    """The signature of a Reasoning block. Assigned, never appended."""

    index: int
    signature: str


class ArgumentsDelta(Value, frozen=True, kw_only=True, tag="arguments_delta", tag_field="event"):
    """More of a ToolCall's arguments: JSON text for a function, free text for a custom tool."""

    index: int
    arguments: str


class RefusalDelta(Value, frozen=True, kw_only=True, tag="refusal_delta", tag_field="event"):
    """More text of a Refusal block."""

    index: int
    text: str


class CitationDelta(Value, frozen=True, kw_only=True, tag="citation_delta", tag_field="event"):
    """One more citation of a Text block."""

    index: int
    citation: Citation


class OpaqueDelta(Value, frozen=True, kw_only=True, tag="opaque_delta", tag_field="event"):
    """A delta that only its own protocol understands; it belongs to an Opaque block."""

    index: int
    protocol: ProtocolName
    raw: Raw


class BlockStop(Value, frozen=True, kw_only=True, tag="block_stop", tag_field="event"):
    """A block is complete."""

    index: int


class ExtrasDelta(Value, frozen=True, kw_only=True, tag="extras_delta", tag_field="event"):
    """Fields without a canonical name that came along; a later value replaces an earlier one."""

    level: Literal["response", "choice", "message"]
    fields: Extras
    choice: int = 0


class Ping(Value, frozen=True, kw_only=True, tag="ping", tag_field="event"):
    """The upstream is alive and has nothing to say."""


Delta: TypeAlias = (
    TextDelta | ReasoningDelta | SignatureDelta | ArgumentsDelta | RefusalDelta | CitationDelta | OpaqueDelta
)
Event: TypeAlias = Start | BlockStart | Delta | BlockStop | Logprobs | ExtrasDelta | Usage | Finish | Notice | Ping
"""Errors are exceptions, not events. A stream is complete when every choice has its Finish."""
