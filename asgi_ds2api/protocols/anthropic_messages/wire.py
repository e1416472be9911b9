"""The JSON of Anthropic Messages, field by field, in the vendor's order.

What a caller sends is strict: each Struct knows all fields that the vendor documents, and refuses others, so that a
body of known shape is read in one pass and nothing unknown is dropped on the way. What is not of a known shape is read
again, piece by piece (``blocks``, ``tools``, ``request``), and its unknown fields are kept.

What an upstream sends is read tolerantly: a Struct names the fields that are looked at.

``None`` stands for a field that is absent and for one that is null: the vendor makes no difference.

Follows https://docs.anthropic.com/en/api/messages and the SDK's types (2.14, November 2026).
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ...canonical import ProtocolName

NAME: Final[ProtocolName] = "anthropic_messages"
VENDOR: Final = "anthropic"
"""Who issues the signatures that travel on this protocol as they are."""

MESSAGES_PATH: Final = "/v1/messages"
COUNT_PATH: Final = "/v1/messages/count_tokens"
MODELS_PATH: Final = "/v1/models"

VERSION: Final = "2023-06-01"
STRICT_VERSION: Final = "2026-10-21"
"""Refuses sampling parameters, documents in assistant messages and citations in user messages."""
VERSIONS: Final = frozenset({VERSION, STRICT_VERSION})

VERSION_HEADER: Final = "anthropic-version"
BETA_HEADER: Final = "anthropic-beta"

JsonField: TypeAlias = Raw | UnsetType
"""A field that is carried as it came."""
Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0, le=2**53)]
"""A whole number; ``1.0`` is one, `whole` tells."""
Real: TypeAlias = Annotated[float, Meta(ge=-1e6, le=1e6)]
Identifier: TypeAlias = Annotated[str, Meta(max_length=1_024)]
"""Whose request it is; Anthropic takes 256 characters."""


class Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of what a caller sends."""


class Block(Strict, tag_field="type"):
    """Base of content blocks."""


class CacheControl(Strict):
    type: Literal["ephemeral"]
    ttl: str | None = None


class TextBlock(Block, tag="text"):
    text: str
    cache_control: CacheControl | None = None
    citations: list[Raw] | None = None


class Base64Source(Block, tag="base64"):
    media_type: str
    data: str


class UrlSource(Block, tag="url"):
    url: str


class FileSource(Block, tag="file"):
    file_id: str


class TextSource(Block, tag="text"):
    media_type: str
    data: str


class ImageBlock(Block, tag="image"):
    source: Base64Source | UrlSource | FileSource
    cache_control: CacheControl | None = None


class ContentSource(Block, tag="content"):
    content: str | list[TextBlock | ImageBlock]


class CitationsConfig(Strict):
    enabled: bool | None = None


class DocumentBlock(Block, tag="document"):
    source: Base64Source | UrlSource | FileSource | TextSource | ContentSource
    cache_control: CacheControl | None = None
    citations: CitationsConfig | None = None
    context: str | None = None
    title: str | None = None


class ThinkingBlock(Block, tag="thinking"):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Block, tag="redacted_thinking"):
    data: str


class ToolUseBlock(Block, tag="tool_use"):
    id: str
    name: str
    input: JsonField = UNSET
    cache_control: CacheControl | None = None
    caller: JsonField = UNSET
    toolset_name: JsonField = UNSET


class ToolReferenceBlock(Block, tag="tool_reference", omit_defaults=True):
    tool_name: str
    cache_control: CacheControl | None = None


ResultBlock: TypeAlias = TextBlock | ImageBlock | DocumentBlock | ToolReferenceBlock


class ToolResultBlock(Block, tag="tool_result"):
    tool_use_id: str
    cache_control: CacheControl | None = None
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    toolset_name: JsonField = UNSET


KnownBlock: TypeAlias = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolReferenceBlock
    | ToolResultBlock
)
"""Blocks that have a canonical form; all others are carried whole."""

BLOCK_TYPES: Final[dict[str, type[KnownBlock]]] = {
    "text": TextBlock,
    "image": ImageBlock,
    "document": DocumentBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
    "tool_use": ToolUseBlock,
    "tool_reference": ToolReferenceBlock,
    "tool_result": ToolResultBlock,
}

Role = Literal["user", "assistant", "system"]


class Message(Strict):
    content: str | list[KnownBlock]
    role: Role
    output_config: JsonField = UNSET
    clear_at: JsonField = UNSET


class Tool(Strict):
    """A function of the caller's; every other tool is known by its ``type``."""

    input_schema: Raw
    name: str
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    allowed_callers: JsonField = UNSET
    defer_loading: JsonField = UNSET
    eager_input_streaming: JsonField = UNSET
    input_examples: JsonField = UNSET


class ToolChoice(Strict):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Strict):
    type: Literal["enabled", "adaptive", "disabled", "between_tools"]
    budget_tokens: Whole | None = None
    display: str | None = None


class Format(Strict):
    type: Literal["json_schema"]
    schema: Raw


class Request(Strict):
    """The fields that have a canonical form typed, the others as they came."""

    model: str
    messages: list[Message]
    max_tokens: Whole | None = None
    cache_control: CacheControl | None = None
    container: JsonField = UNSET
    diagnostics: JsonField = UNSET
    inference_geo: JsonField = UNSET
    metadata: dict[str, Raw] | None = None
    output_config: dict[str, Raw] | None = None
    service_tier: str | None = None
    speed: str | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    system: str | list[TextBlock] | None = None
    thinking: Thinking | None = None
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    user_profile_id: JsonField = UNSET
    workspace_id: JsonField = UNSET
    # 2023-06-01
    temperature: Real | None = None
    top_k: Whole | None = None
    top_p: Real | None = None
    # beta
    billing_policy: JsonField = UNSET
    compaction: JsonField = UNSET
    context_management: JsonField = UNSET
    fallback_credit_token: JsonField = UNSET
    fallbacks: JsonField = UNSET
    mcp_servers: JsonField = UNSET
    output_format: JsonField = UNSET
    safeguards: JsonField = UNSET
    thread: JsonField = UNSET
    # ours
    extra_body: dict[str, dict[str, Raw]] | None = None


EXTRAS: Final = (
    "container",
    "diagnostics",
    "inference_geo",
    "user_profile_id",
    "workspace_id",
    "billing_policy",
    "compaction",
    "context_management",
    "fallback_credit_token",
    "fallbacks",
    "mcp_servers",
    "safeguards",
    "thread",
)
"""Known top-level fields without a canonical form."""

REQUIRED_EXTRAS: Final = ("fallbacks", "mcp_servers", "thread")
"""Of these, those that change what is asked: tools, models and messages that stand elsewhere (those of a thread that
has begun)."""

IDLE: Final = frozenset({"billing_policy", "diagnostics", "user_profile_id", "workspace_id"})
"""Of these, those that say nothing about the answer."""


class Peek(msgspec.Struct):
    """What routing needs of a request."""

    model: str
    stream: bool | None = None
    max_tokens: JsonField = UNSET
    metadata: JsonField = UNSET


class Error(msgspec.Struct):
    type: str | None = None
    message: str | None = None
    details: dict[str, Raw] | None = None


class ErrorBody(msgspec.Struct):
    error: Error


# --- a stream -----------------------------------------------------------------------------------------------------


class TextDelta(msgspec.Struct, tag_field="type", tag="text_delta", gc=False):
    text: str


class InputJsonDelta(msgspec.Struct, tag_field="type", tag="input_json_delta", gc=False):
    partial_json: str


class ThinkingDelta(msgspec.Struct, tag_field="type", tag="thinking_delta", gc=False):
    thinking: str


class SignatureDelta(msgspec.Struct, tag_field="type", tag="signature_delta", gc=False):
    signature: str


class CitationsDelta(msgspec.Struct, tag_field="type", tag="citations_delta", gc=False):
    citation: Raw


Delta: TypeAlias = TextDelta | InputJsonDelta | ThinkingDelta | SignatureDelta | CitationsDelta


class MessageStart(msgspec.Struct, tag_field="type", tag="message_start", gc=False):
    message: dict[str, Raw]


class BlockStart(msgspec.Struct, tag_field="type", tag="content_block_start", gc=False):
    index: int
    content_block: Raw


class BlockDelta(msgspec.Struct, tag_field="type", tag="content_block_delta", gc=False):
    index: int
    delta: Delta


class BlockStop(msgspec.Struct, tag_field="type", tag="content_block_stop", gc=False):
    index: int


class MessageDelta(msgspec.Struct, tag_field="type", tag="message_delta", gc=False):
    delta: dict[str, Raw] = {}
    usage: dict[str, Raw] | None = None


class MessageStop(msgspec.Struct, tag_field="type", tag="message_stop", gc=False):
    pass


class Ping(msgspec.Struct, tag_field="type", tag="ping", gc=False):
    pass


class StreamError(msgspec.Struct, tag_field="type", tag="error", gc=False):
    error: Error


RareEvent: TypeAlias = MessageStart | BlockStart | BlockStop | MessageDelta | MessageStop | Ping | StreamError
StreamEvent: TypeAlias = BlockDelta | RareEvent
