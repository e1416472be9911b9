"""The JSON of a Chat Completions request, field by field, in the vendor's order.

What a caller sends is strict: each Struct knows the fields that are documented, by the vendor or by those who extend
the protocol, and refuses others, so that a body of known shape is read in one pass and nothing unknown is dropped on
the way. What is not of a known shape is read again, piece by piece, by its `Shape`, which keeps the unknown fields.

What an upstream sends is read tolerantly, by ``answer_parts``: look-alikes deviate in many ways, and each is survived.

``None`` stands for a field that is absent and for one that is null: the vendor makes no difference.

Follows the SDK's types (openai 3.57, November 2026) and the vendors' documents on their extensions.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw

from ...canonical import ProtocolName
from ...json_pieces import JsonField

NAME: Final[ProtocolName] = "openai_chat"
PATH: Final = "/chat/completions"
COMPLETIONS_PATH: Final = "/completions"
EMBEDDINGS_PATH: Final = "/embeddings"

Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0, le=2**53)]
"""A whole number; ``1.0`` is one, `whole` tells."""
Real: TypeAlias = Annotated[int, Meta(ge=-(10**6), le=10**6)] | Annotated[float, Meta(ge=-1e6, le=1e6)]
"""Ranges are the vendors' to judge; this one only bounds the number. ``1`` stays ``1``."""
Identifier: TypeAlias = Annotated[str, Meta(max_length=1_024)]
"""Who or what a request belongs to; the vendor takes 64 characters, clients send up to some hundred."""
Bias: TypeAlias = Annotated[dict[str, Real], Meta(max_length=1_024)]
Metadata: TypeAlias = Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=64)]
"""The vendor takes 16 pairs of 512 characters."""
Seed: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Meta(ge=-(2**53), le=2**53)]


class Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Base of what a caller sends."""


# --- content ----------------------------------------------------------------------------------------------------------


class Part(Strict, tag_field="type", kw_only=True):
    """Base of content parts."""

    prompt_cache_breakpoint: JsonField = UNSET
    cache_control: JsonField = UNSET
    """The spelling of OpenRouter, LiteLLM and others who pass marks on to Anthropic."""


class TextPart(Part, tag="text", kw_only=True):
    text: str


class InputTextPart(TextPart, tag="input_text", kw_only=True):
    """A name of the Responses API that clients mix in; so are the next ones."""


class OutputTextPart(TextPart, tag="output_text", kw_only=True):
    annotations: JsonField = UNSET


class ImageUrl(Strict):
    url: str
    detail: str | None = None


class ImagePart(Part, tag="image_url", kw_only=True):
    image_url: ImageUrl | str
    detail: str | None = None


class InputImagePart(ImagePart, tag="input_image", kw_only=True):
    pass


class InputAudio(Strict):
    data: str
    format: str


class AudioPart(Part, tag="input_audio", kw_only=True):
    input_audio: InputAudio


class File(Strict):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Part, tag="file", kw_only=True):
    file: File


class RefusalPart(Part, tag="refusal", kw_only=True):
    refusal: str


class Url(Strict):
    url: str


class VideoUrlPart(Part, tag="video_url", kw_only=True):
    """Of vLLM and Qwen; so is the next one."""

    video_url: Url | str


class AudioUrlPart(Part, tag="audio_url", kw_only=True):
    audio_url: Url | str


class DocumentUrlPart(Part, tag="document_url", kw_only=True):
    """Of Mistral."""

    document_url: Url | str
    document_name: str | None = None


KnownPart: TypeAlias = (
    TextPart
    | InputTextPart
    | OutputTextPart
    | ImagePart
    | InputImagePart
    | AudioPart
    | FilePart
    | RefusalPart
    | VideoUrlPart
    | AudioUrlPart
    | DocumentUrlPart
)
"""Parts that have a canonical form; all others are carried whole."""

# --- messages ---------------------------------------------------------------------------------------------------------


class FunctionCall(Strict):
    name: str
    arguments: str | None = None


class CustomCall(Strict):
    name: str
    input: str | None = None


class ToolCall(Strict):
    id: str
    type: Literal["function", "custom"] = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    cache_control: JsonField = UNSET


Role = Literal["developer", "system", "user", "assistant", "tool", "function"]


class Message(Strict):
    role: Role
    content: str | list[KnownPart] | None = None
    name: str | None = None
    # an assistant's
    audio: JsonField = UNSET
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    # a tool's
    tool_call_id: str | None = None
    # reasoning, in the spellings of the vendors
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    thinking_blocks: list[Raw] | None = None


# --- tools ------------------------------------------------------------------------------------------------------------


class Function(Strict):
    name: str
    description: str | None = None
    parameters: JsonField = UNSET
    strict: bool | None = None


class Custom(Strict):
    name: str
    description: str | None = None
    format: JsonField = UNSET


class Tool(Strict):
    type: Literal["function", "custom"] = "function"
    function: Function | None = None
    custom: Custom | None = None
    cache_control: JsonField = UNSET


class Named(Strict):
    name: str


class NamedTool(Strict):
    """One tool, named: in ``tool_choice``, and among the allowed ones."""

    type: Literal["function", "custom"] = "function"
    function: Named | None = None
    custom: Named | None = None
    name: str | None = None
    """As the Responses API writes it."""


class Allowed(Strict):
    mode: Literal["auto", "required"]
    tools: list[Raw]
    """Each is a `NamedTool`."""


class AllowedTools(Strict):
    type: Literal["allowed_tools"]
    allowed_tools: Allowed


# --- the request ------------------------------------------------------------------------------------------------------


class JsonSchema(Strict):
    name: str
    description: str | None = None
    schema: JsonField = UNSET
    strict: bool | None = None


class ResponseFormat(Strict):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Reasoning(Strict):
    """OpenRouter's way to ask for reasoning."""

    effort: str | None = None
    max_tokens: Whole | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    summary: str | None = None


class Thinking(Strict):
    """The way of DeepSeek, Moonshot, Z.ai and LiteLLM."""

    type: str | None = None
    budget_tokens: Whole | None = None


class Request(Strict):
    """The fields that have a canonical form typed, the others as they came."""

    model: str
    messages: list[Message]
    audio: JsonField = UNSET
    frequency_penalty: Real | None = None
    function_call: JsonField = UNSET
    functions: list[Function] | None = None
    logit_bias: Bias | None = None
    logprobs: bool | None = None
    max_completion_tokens: Whole | None = None
    max_tokens: Whole | None = None
    metadata: Metadata | None = None
    modalities: JsonField = UNSET
    moderation: JsonField = UNSET
    n: Annotated[int, Meta(ge=1, le=128)] | Annotated[float, Meta(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: JsonField = UNSET
    presence_penalty: Real | None = None
    prompt_cache_key: Identifier | None = None
    prompt_cache_options: JsonField = UNSET
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: JsonField = UNSET
    safety_identifier: Identifier | None = None
    seed: Seed | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: JsonField = UNSET
    temperature: Real | None = None
    tool_choice: JsonField = UNSET
    tools: list[Tool] | None = None
    top_logprobs: Whole | None = None
    top_p: Real | None = None
    user: Identifier | None = None
    verbosity: str | None = None
    web_search_options: JsonField = UNSET
    # in the wild
    enable_thinking: bool | None = None
    include_reasoning: JsonField = UNSET
    min_p: Real | None = None
    reasoning: JsonField = UNSET
    thinking: JsonField = UNSET
    thinking_budget: Whole | None = None
    top_k: Whole | None = None
    # ours
    extra_body: dict[str, dict[str, Raw]] | None = None


EXTRAS: Final = (
    "audio",
    "include_reasoning",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_options",
    "web_search_options",
)
"""Known top-level fields without a canonical form."""

REQUIRED_EXTRAS: Final = ("audio", "moderation")
"""Of these, those that change what is asked: another form of the answer, a judgement of it."""

IDLE: Final = frozenset({"include_reasoning", "user"})
"""Extras that no other upstream need know: the gateway itself heeds them as it writes the answer, or they say again
who asks, beside ``safety_identifier``."""
