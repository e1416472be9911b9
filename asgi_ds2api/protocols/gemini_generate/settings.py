"""``generationConfig``, both ways: sampling, limits, the form of the answer, thinking."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Raw

from ...canonical import Extras, Notices, OutputFormat, ReasoningControl, Request, Sampling, Tool, VendorTool
from ...codec import RequestLimits
from ...errors import MalformedRequest
from ...json_pieces import JsonObject
from ...model_facts import ModelFacts
from ...profiles import Profile
from . import wire
from .parts import PartWriter
from .reasoning import decode_thinking, encode_thinking
from .schema import check_size, fit_schema, from_openapi, to_openapi
from .wire import Shape, within

_NUMBERS: Final = {
    "temperature": "temperature",
    "topP": "top_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_COUNTS: Final = {"topK": "top_k", "seed": "seed", "logprobs": "top_logprobs"}
"""Field -> name in `Sampling`."""
FORMAT_FIELDS: Final = ("responseMimeType", "responseSchema", "responseJsonSchema")
GENERATION: Final = Shape(
    *_NUMBERS, *_COUNTS, *FORMAT_FIELDS, "candidateCount", "maxOutputTokens", "stopSequences", "responseLogprobs",
    "thinkingConfig", "responseModalities", "responseFormat", "speechConfig", "imageConfig", "mediaResolution",
    "routingConfig", "modelConfig", "audioTimestamp", "enableEnhancedCivicAnswers",
)  # fmt: skip

_JSON: Final = "application/json"
_TEXT: Final = "text/plain"
_WORD: Final = "text/x.enum"

_PLACE: Final = "generationConfig"
PLACES: Final = {
    **{field: f"{_PLACE}.{name}" for name, field in (*_NUMBERS.items(), *_COUNTS.items())},
    "logprobs": f"{_PLACE}.responseLogprobs",
    "max_completion_tokens": f"{_PLACE}.maxOutputTokens",
    "n": f"{_PLACE}.candidateCount",
    "stop": f"{_PLACE}.stopSequences",
    f"{_PLACE}.responseJsonSchema.schema": f"{_PLACE}.responseJsonSchema",
    f"{_PLACE}.responseSchema.schema": f"{_PLACE}.responseSchema",
    f"{_PLACE}.thinkingConfig.budget_tokens": f"{_PLACE}.thinkingConfig.thinkingBudget",
    f"{_PLACE}.thinkingConfig.display": f"{_PLACE}.thinkingConfig.includeThoughts",
    f"{_PLACE}.thinkingConfig.effort": f"{_PLACE}.thinkingConfig.thinkingLevel",
    "contents[].parts[].arguments": "contents[].parts[].functionCall.args",
    "contents[].parts[].call_id": "contents[].parts[].functionResponse.id",
    "contents[].parts[].id": "contents[].parts[].functionCall.id",
    "contents[].parts[].is_error": "contents[].parts[].functionResponse.response",
    "metadata": "labels",
    "service_tier": "serviceTier",
}
"""Names that encoders report settings and fields of values by -> where they stand here."""


def places_of(tools: Sequence[Tool]) -> dict[str, str]:
    """Return where it stands what others have elsewhere. The vendor's own tools have no type: a field holds each."""
    own = {f"{tool.at}.type": tool.at for tool in tools if isinstance(tool, VendorTool)}
    return {**PLACES, **own} if own else PLACES


# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_format(config: dict[str, Raw], extras: Extras, limits: RequestLimits) -> OutputFormat | None:
    """Return the form of the answer, taken out of ``config``; one that is not known goes to the extras."""
    given: Extras = {name: config.pop(name) for name in FORMAT_FIELDS if name in config}
    place = "generationConfig"
    mime = wire.text(given["responseMimeType"], f"{place}.responseMimeType") if "responseMimeType" in given else _TEXT
    schema: Raw | None = None
    at = f"{place}.responseMimeType"
    for name in ("responseSchema", "responseJsonSchema"):
        if name in given:
            at = f"{place}.{name}"
            check_size(given[name], at, limits.max_schema_bytes)
            schema = given[name] if name == "responseJsonSchema" else from_openapi(given[name], at)
    if mime == _JSON:
        kind = "json_object" if schema is None else "json_schema"
        return OutputFormat(kind=kind, schema=schema, at=at)  # type: ignore[arg-type]  # one of two words
    if mime == _WORD and schema is not None and _is_of_words(schema):
        return OutputFormat(kind="json_schema", schema=schema, is_bare=True, at=at)
    if mime == _TEXT and schema is None:
        return OutputFormat(kind="text", at=at) if given else None
    extras |= within(place, given)
    return None


class Settings(msgspec.Struct, frozen=True):
    """What ``generationConfig`` says, but for the form of the answer."""

    sampling: Sampling
    max_output_tokens: int | None
    stop: tuple[str, ...]
    choices: int | None
    reasoning: ReasoningControl | None


def decode_settings(config: dict[str, Raw], limits: RequestLimits) -> Settings:
    """Return the settings, taken out of ``config``; the rest has no canonical name."""
    place = "generationConfig"
    sampling: JsonObject = {}
    for name, field in _NUMBERS.items():
        if name in config:
            sampling[field] = wire.number(config.pop(name), f"{place}.{name}")
    for name, field in _COUNTS.items():
        if name in config:
            sampling[field] = wire.integer(config.pop(name), f"{place}.{name}")
    if "responseLogprobs" in config:
        sampling["logprobs"] = wire.boolean(config.pop("responseLogprobs"), f"{place}.responseLogprobs")
    stop = wire.texts(config.pop("stopSequences"), f"{place}.stopSequences") if "stopSequences" in config else ()
    if len(stop) > limits.max_stop:
        raise MalformedRequest(
            f"At most {limits.max_stop} stop sequences are read here.", param=f"{place}.stopSequences"
        )
    counts = {
        name: wire.integer(config.pop(name), f"{place}.{name}")
        for name in ("maxOutputTokens", "candidateCount")
        if name in config
    }
    reasoning = decode_thinking(config.pop("thinkingConfig")) if "thinkingConfig" in config else None
    modalities = config.get("responseModalities")
    if modalities is not None and [m.upper() for m in wire.texts(modalities, f"{place}.responseModalities")] == [
        "TEXT"
    ]:
        del config["responseModalities"]
    return Settings(
        sampling=msgspec.convert(sampling, Sampling),
        max_output_tokens=counts.get("maxOutputTokens"),
        stop=stop,
        choices=counts.get("candidateCount"),
        reasoning=reasoning,
    )


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_settings(
    request: Request, profile: Profile, facts: ModelFacts, writer: PartWriter, notices: Notices
) -> JsonObject:
    """Return ``generationConfig``; the writer has written the talk."""
    sampling = request.sampling
    for name, value in (("min_p", sampling.min_p), ("logit_bias", sampling.logit_bias)):
        if value is not None:
            notices.lost(name, "Gemini has no such field")
    fields: JsonObject = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "candidateCount": request.choices,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": request.stop or None,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
        "seed": sampling.seed,
        "responseLogprobs": sampling.logprobs,
        "logprobs": sampling.top_logprobs,
        **_encode_format(request.output_format, profile, writer, notices),
        "thinkingConfig": encode_thinking(request.reasoning, facts, writer, notices),
        "mediaResolution": writer.resolution,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _encode_format(wanted: OutputFormat | None, profile: Profile, writer: PartWriter, notices: Notices) -> JsonObject:
    if wanted is None:
        return {}
    writer.own(wanted.extras, wanted.at)
    for name, value in {"name": wanted.name, "description": wanted.description, "strict": wanted.strict}.items():
        if value is not None and not writer.is_native:
            notices.hint(f"{wanted.at}.{name}", "Gemini is always strict and knows the schema alone")
    if wanted.kind == "text":
        return {"responseMimeType": _TEXT} if writer.is_native else {}
    if wanted.kind == "json_object" or wanted.schema is None:
        return {"responseMimeType": _JSON}
    kind = _WORD if wanted.is_bare else _JSON
    if profile.parameters_json_schema and not wanted.is_bare:
        schema = wanted.schema if writer.is_native else fit_schema(wanted.schema, f"{wanted.at}.schema")
        return {"responseMimeType": kind, "responseJsonSchema": schema}
    return {"responseMimeType": kind, "responseSchema": to_openapi(wanted.schema, f"{wanted.at}.schema", notices)}


class _Words(msgspec.Struct):
    enum: list[str]
    type: Literal["string"] = "string"


_WORDS: Final = msgspec.json.Decoder(_Words)


def _is_of_words(schema: Raw) -> bool:
    """Tell whether a schema is one of several words."""
    try:
        return bool(_WORDS.decode(schema).enum)
    except msgspec.MsgspecError:
        return False
