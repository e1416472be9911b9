"""The JSON of OpenAI Chat Completions, field by field, in the vendor's order.

What a caller sends is strict: a body of known shape is read in one pass, and nothing unknown is dropped on the way;
what is of another shape is read again by ``read``, which keeps the unknown fields. What an upstream sends is read
tolerantly: look-alikes deviate in many ways, and each is survived (``response``, ``stream_decoder``).

``None`` stands for a field that is absent and for one that is null.

Follows the SDK's types (openai 3.57, November 2026) and the vendors' documents on their extensions.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ...canonical import Extras, ProtocolName
from ...errors import MalformedRequest
from ...json_guard import decode_json, encode_object

NAME: Final[ProtocolName] = "openai_chat"
PATH: Final = "/chat/completions"

JsonField: TypeAlias = Raw | UnsetType
"""A field that is carried as it came; `present` tells whether it is there."""
Whole: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0, le=2**53)]
Real: TypeAlias = Annotated[float, Meta(ge=-1e6, le=1e6)]
Identifier: TypeAlias = Annotated[str, Meta(max_length=1_024)]
"""Who or what a request belongs to; OpenAI takes 64 characters, clients send up to some hundred."""
Bias: TypeAlias = Annotated[dict[str, Real], Meta(max_length=1_024)]
Metadata: TypeAlias = Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=64)]
"""OpenAI takes 16 pairs of 512 characters."""
Seed: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | Annotated[float, Meta(ge=-(2**53), le=2**53)]


class Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of what a caller sends."""


class CacheBreakpoint(Strict):
    mode: str
    ttl: str | None = None


class TextPart(Strict):
    type: Literal["text", "input_text", "output_text"]
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class ImageUrl(Strict):
    url: str
    detail: str | None = None


class ImagePart(Strict):
    type: Literal["image_url", "input_image"]
    image_url: ImageUrl | str
    detail: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputAudio(Strict):
    data: str
    format: str


class AudioPart(Strict):
    type: Literal["input_audio"]
    input_audio: InputAudio
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class File(Strict):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Strict):
    type: Literal["file"]
    file: File
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(Strict):
    type: Literal["refusal"]
    refusal: str


Part: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | RefusalPart
PART_TYPES: Final[dict[str, type[Part]]] = {
    "text": TextPart,
    "input_text": TextPart,
    "output_text": TextPart,
    "image_url": ImagePart,
    "input_image": ImagePart,
    "input_audio": AudioPart,
    "file": FilePart,
    "refusal": RefusalPart,
}


class FunctionCall(Strict):
    name: str
    arguments: str | None = None


class CustomCall(Strict):
    name: str
    input: str


class ToolCall(Strict):
    id: str
    type: Literal["function", "custom"] = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None


Role = Literal["developer", "system", "user", "assistant", "tool", "function"]


class Message(Strict):
    role: Role
    content: JsonField = UNSET
    name: str | None = None
    tool_calls: list[Raw] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    thinking_blocks: list[Raw] | None = None


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


class Request(Strict):
    """The fields that have a canonical form typed; the others are found as unknown and kept."""

    model: str
    messages: list[Raw]
    frequency_penalty: Real | None = None
    function_call: JsonField = UNSET
    functions: list[Function] | None = None
    logit_bias: Bias | None = None
    logprobs: bool | None = None
    max_completion_tokens: Whole | None = None
    max_tokens: Whole | None = None
    metadata: Metadata | None = None
    min_p: Real | None = None
    n: Whole | None = None
    parallel_tool_calls: bool | None = None
    presence_penalty: Real | None = None
    prompt_cache_key: Identifier | None = None
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
    tools: list[Raw] | None = None
    top_k: Whole | None = None
    top_logprobs: Whole | None = None
    top_p: Real | None = None
    user: Identifier | None = None
    verbosity: str | None = None
    extra_body: JsonField = UNSET


NESTED: Final[dict[type, dict[str, msgspec.json.Decoder[Any]]]] = {
    TextPart: {"prompt_cache_breakpoint": msgspec.json.Decoder(CacheBreakpoint)},
    ImagePart: {
        "image_url": msgspec.json.Decoder(ImageUrl),
        "prompt_cache_breakpoint": msgspec.json.Decoder(CacheBreakpoint),
    },
    AudioPart: {"input_audio": msgspec.json.Decoder(InputAudio)},
    FilePart: {"file": msgspec.json.Decoder(File)},
    ToolCall: {"function": msgspec.json.Decoder(FunctionCall), "custom": msgspec.json.Decoder(CustomCall)},
    Message: {"function_call": msgspec.json.Decoder(FunctionCall)},
    Tool: {"function": msgspec.json.Decoder(Function), "custom": msgspec.json.Decoder(Custom)},
    ResponseFormat: {"json_schema": msgspec.json.Decoder(JsonSchema)},
}
"""Objects inside of objects, whose unknown fields are kept as well, under ``outer.inner``."""

S = TypeVar("S", bound=msgspec.Struct)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
NULL: Final = b"null"


def read(decoder: msgspec.json.Decoder[S], raw: bytes | Raw, at: str) -> tuple[S, Extras]:
    """Read an object of a known shape, and what it holds besides.

    Raises:
        MalformedRequest: A known field is missing or of another type.
    """
    try:
        return decoder.decode(raw), {}
    except (msgspec.ValidationError, UnicodeDecodeError):
        fields = decode_json(_FIELDS, raw, at)
    known, extras = _parted(fields, decoder)
    for name, inner in NESTED.get(decoder.type, {}).items():
        value = known.get(name)
        if value is None or bytes(value)[:1] != b"{":
            continue
        kept, unknown = _parted(decode_json(_FIELDS, value, f"{at}.{name}"), inner)
        known[name] = Raw(encode_object(kept))
        extras |= {f"{name}.{field}": unknown[field] for field in unknown}
    return decode_json(decoder, encode_object(known), at), extras


def _parted(fields: Extras, decoder: msgspec.json.Decoder[Any]) -> tuple[Extras, Extras]:
    """Return what a shape knows, and what it does not and is not null."""
    known = decoder.type.__struct_fields__
    unknown = {name: value for name, value in fields.items() if name not in known and bytes(value) != NULL}
    return {name: value for name, value in fields.items() if name in known}, unknown


def present(field: JsonField) -> Raw | None:
    """Return a field that is there and not null."""
    return None if field is UNSET or bytes(field) == NULL else field


def whole(value: int | float | None, param: str) -> int | None:
    """Return a whole number; ``1.0`` is one.

    Raises:
        MalformedRequest: It has a fraction.
    """
    if value is None or isinstance(value, int):
        return value
    if not value.is_integer():
        raise MalformedRequest("This must be a whole number.", code="invalid_type", param=param)
    return int(value)
