"""The JSON of a Responses request, field by field, in the vendor's order.

What a caller sends is strict: each Struct knows the documented fields, and what is of another shape is read again,
piece by piece, by its `Shape`, which keeps the unknown fields. Items are told apart by their ``type``; one without is a
message. Those without a Struct here are carried whole.

What an upstream sends is read tolerantly, by ``json_pieces``.

Follows the SDK's types (openai 3.57, November 2026) and what Codex 0.169 sends.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw

from ...canonical import ProtocolName
from ...json_pieces import JsonField

NAME: Final[ProtocolName] = "openai_responses"
PATH: Final = "/responses"
COUNT_PATH: Final = "/responses/input_tokens"
COMPACT_PATH: Final = "/responses/compact"

Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0, le=2**53)]
"""A whole number; ``1.0`` is one, `json_pieces.whole` tells."""
Real: TypeAlias = Annotated[int, Meta(ge=-(10**6), le=10**6)] | Annotated[float, Meta(ge=-1e6, le=1e6)]
"""Ranges are the vendors' to judge; this one only bounds the number."""
Identifier: TypeAlias = Annotated[str, Meta(max_length=1_024)]
Metadata: TypeAlias = Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=64)]


class Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """Base of what a caller sends."""


# --- content parts ----------------------------------------------------------------------------------------------------


class TextPart(Strict):
    """``input_text``, ``output_text``, and ``text``, which clients of Chat mix in."""

    type: str
    text: str
    annotations: list[Raw] | None = None
    logprobs: JsonField = UNSET
    prompt_cache_breakpoint: JsonField = UNSET


class RefusalPart(Strict):
    type: str
    refusal: str


class ImageUrl(Strict):
    """Of Chat; clients mix it in."""

    url: str
    detail: str | None = None


class ImagePart(Strict):
    type: str
    image_url: str | ImageUrl | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: JsonField = UNSET


class FilePart(Strict):
    type: str
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: JsonField = UNSET


class InputAudio(Strict):
    data: str
    format: str


class AudioPart(Strict):
    type: str
    input_audio: InputAudio | None = None
    audio_url: str | None = None
    """Of Codex."""
    prompt_cache_breakpoint: JsonField = UNSET


Part: TypeAlias = TextPart | RefusalPart | ImagePart | FilePart | AudioPart

# --- items ------------------------------------------------------------------------------------------------------------

Role = Literal["system", "developer", "user", "assistant"]


class Message(Strict):
    role: Role
    type: Literal["message"] = "message"
    content: JsonField = UNSET
    id: JsonField = UNSET
    status: JsonField = UNSET
    phase: JsonField = UNSET


class FunctionCall(Strict):
    type: str
    call_id: str
    name: str
    arguments: str | None = None
    id: JsonField = UNSET
    status: JsonField = UNSET
    namespace: str | None = None
    caller: JsonField = UNSET


class CustomToolCall(Strict):
    type: str
    call_id: str
    name: str
    input: str | None = None
    id: JsonField = UNSET
    status: JsonField = UNSET
    namespace: str | None = None
    caller: JsonField = UNSET


class CallOutput(Strict):
    """Of a function and of a custom tool."""

    type: str
    call_id: str
    output: JsonField = UNSET
    id: JsonField = UNSET
    status: JsonField = UNSET
    name: str | None = None
    namespace: JsonField = UNSET
    caller: JsonField = UNSET


class Reasoning(Strict):
    type: str
    id: JsonField = UNSET
    summary: list[Raw] | None = None
    content: list[Raw] | None = None
    encrypted_content: str | None = None
    status: JsonField = UNSET


class AdditionalTools(Strict):
    type: str
    tools: list[Raw]
    role: JsonField = UNSET
    id: JsonField = UNSET


class ConfigurationUpdate(Strict):
    type: str
    reasoning: JsonField = UNSET
    text: JsonField = UNSET
    id: JsonField = UNSET


# --- tools ------------------------------------------------------------------------------------------------------------


class Function(Strict):
    type: str
    name: str
    description: str | None = None
    parameters: JsonField = UNSET
    strict: bool | None = None


class Custom(Strict):
    type: str
    name: str
    description: str | None = None
    format: JsonField = UNSET


class Namespace(Strict):
    type: str
    name: str
    tools: list[Raw]
    description: str | None = None


class NamedTool(Strict):
    type: str
    name: str


class AllowedTools(Strict):
    type: str
    mode: Literal["auto", "required"]
    tools: list[Raw]


# --- the request ------------------------------------------------------------------------------------------------------


class ReasoningControl(Strict):
    effort: str | None = None
    summary: str | None = None


class Format(Strict):
    type: str
    name: str | None = None
    description: str | None = None
    schema: JsonField = UNSET
    strict: bool | None = None


class Text(Strict):
    format: JsonField = UNSET
    verbosity: str | None = None


class StreamOptions(Strict):
    include_obfuscation: bool | None = None


class Request(Strict):
    """The fields that have a canonical form typed, the others as they came."""

    model: str
    input: JsonField = UNSET
    access_programs: JsonField = UNSET
    background: bool | None = None
    background_options: JsonField = UNSET
    context_management: JsonField = UNSET
    conversation: JsonField = UNSET
    image: JsonField = UNSET
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Whole | None = None
    max_tool_calls: JsonField = UNSET
    metadata: Metadata | None = None
    moderation: JsonField = UNSET
    parallel_tool_calls: bool | None = None
    previous_response_id: Identifier | None = None
    prompt: JsonField = UNSET
    prompt_cache_key: Identifier | None = None
    prompt_cache_options: JsonField = UNSET
    prompt_cache_retention: str | None = None
    reasoning: JsonField = UNSET
    safety_identifier: Identifier | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: JsonField = UNSET
    temperature: Real | None = None
    text: JsonField = UNSET
    tool_choice: JsonField = UNSET
    tools: list[Raw] | None = None
    top_logprobs: Whole | None = None
    top_p: Real | None = None
    truncation: JsonField = UNSET
    user: Identifier | None = None
    # in the wild
    client_metadata: JsonField = UNSET
    frequency_penalty: Real | None = None
    presence_penalty: Real | None = None
    stop: str | list[str] | None = None
    # ours
    extra_body: dict[str, dict[str, Raw]] | None = None


EXTRAS: Final = (
    "access_programs",
    "background_options",
    "client_metadata",
    "context_management",
    "conversation",
    "image",
    "max_tool_calls",
    "moderation",
    "prompt",
    "prompt_cache_options",
    "truncation",
)
"""Known top-level fields without a canonical form."""

REQUIRED_EXTRAS: Final = ("background", "conversation", "prompt")
"""Fields that change what is asked: work that goes on without the caller, a talk and a prompt that the vendor keeps."""

IDLE: Final = frozenset({"user"})
"""Extras that no other upstream need know: it says again who asks, beside ``safety_identifier``."""

PRIVATE: Final = frozenset(
    {
        "client_metadata",
        "created_by",
        "encrypted_function_args",
        "internal_chat_message_metadata_passthrough",
        "parsed",
        "parsed_arguments",
    }
)
"""Fields that clients keep for themselves; servers that follow the document to the letter refuse them."""
