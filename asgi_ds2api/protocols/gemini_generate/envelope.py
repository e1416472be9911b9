"""What routing reads of a request, and the same request for another model.

The path says nearly everything: the model, what is asked for, and whether as a stream. Without ``alt=sse`` a stream is
one JSON array, written piece by piece.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...codec import RESERVED_FIELDS, Envelope, HTTPCall, Operation, Route
from ...errors import MalformedRequest
from ...headers import forwarded_headers
from ...json_guard import decode_object, encode_object
from ...json_pieces import fields_of, number_of, text_of
from ...profiles import Profile
from . import wire
from .absent import absent_routes
from .embeddings import retarget_batch
from .paths import BATCH_EMBED, COUNT, EMBED, GENERATE, STREAM, is_single, is_stream, model_in, path_of, query_of
from .wire import Shape

_ROOT: Final = "/{v1|v1beta|v1alpha|v1beta1}"
_PLACE: Final = "projects/{project}/locations/{location}"
_MODELS: Final = (
    "models/{model}",
    "tunedModels/{model}",
    "publishers/{publisher}/models/{model}",
    f"{_PLACE}/publishers/{{publisher}}/models/{{model}}",
    f"{_PLACE}/endpoints/{{model}}",
)
_LISTS: Final = ("models", "tunedModels")
_VERBS: Final[Sequence[tuple[str, Operation]]] = (
    (GENERATE, "generate"),
    (STREAM, "generate"),
    (COUNT, "count_tokens"),
    (EMBED, "embed"),
    (BATCH_EMBED, "embed"),
)

ROUTES: Final[Sequence[Route]] = (
    *(
        Route(method="POST", path=f"{_ROOT}/{models}:{verb}{{|/}}", operation=operation)
        for verb, operation in _VERBS
        for models in _MODELS
    ),
    *(Route(method="GET", path=f"{_ROOT}/{models}", operation="list_models") for models in _LISTS),
    *(Route(method="GET", path=f"{_ROOT}/{models}/{{model}}", operation="get_model") for models in _LISTS),
    *absent_routes(_ROOT),
)

ARRAY: Final = b"application/json"
"""Content type of a stream that is one JSON array."""
SESSION_HEADERS: Final = ("x-session-affinity", "session-id", "session_id", "x-session-id")
_OWN_HEADERS: Final = ("x-goog-api-client", "x-goog-api-key")
_OWN_QUERY: Final = frozenset({"key", "pageSize", "pageToken"})

_PEEK: Final = Shape("generationConfig", "cachedContent")
_CONFIG: Final = Shape("candidateCount", "maxOutputTokens", "thinkingConfig")
_THINKING: Final = Shape("includeThoughts")


def claims(call: HTTPCall) -> bool:
    """Tell whether a call on a path that several faces share comes from a client of Google's."""
    return any(name in call.headers for name in _OWN_HEADERS) or bool(_OWN_QUERY & call.query.keys())


def peek(call: HTTPCall, operation: Operation) -> Envelope:
    """Read what routing needs, without building the message tree.

    Raises:
        MalformedRequest: Not JSON, or the settings are of the wrong type.
    """
    fields, _ = _PEEK.split(decode_object(call.body))
    if operation == "embed":
        return Envelope(operation=operation, model=model_in(call.path), is_single=is_single(call.path))
    config, _ = _CONFIG.read(fields.get("generationConfig", Raw(b"{}")), "generationConfig")
    at = "generationConfig"
    count = wire.integer(config["candidateCount"], f"{at}.candidateCount") if "candidateCount" in config else 1
    thinking, _ = _THINKING.read(config.get("thinkingConfig", Raw(b"{}")), f"{at}.thinkingConfig")
    is_streamed = is_stream(call.path) and operation == "generate"
    is_array = is_streamed and call.query.get("alt", "json").lower() != "sse"
    header = next((value for name in SESSION_HEADERS if (value := call.headers.get(name))), None)
    return Envelope(
        operation=operation,
        model=model_in(call.path),
        stream=is_streamed,
        session=header or text_of(fields.get("cachedContent")),
        max_output_tokens=number_of(config.get("maxOutputTokens")),
        choices=count,
        include_thoughts=bytes(thinking.get("includeThoughts", b"false")) == b"true",
        stream_content_type=ARRAY if is_array else None,
    )


def retarget(call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
    """Return the same request for another model; all values of the body stay byte for byte.

    Raises:
        MalformedRequest: A field that would steer the gateway.
    """
    fields = decode_object(call.body)
    if reserved := sorted(RESERVED_FIELDS & fields.keys()):
        raise MalformedRequest("This field is reserved. Leave it out.", code="reserved_field", param=reserved[0])
    fields.pop("model", None)
    verb = _verb(call.path, operation)
    if verb == BATCH_EMBED:
        retarget_batch(fields, model_in(call.path), model)
    for name in ("generateContentRequest", "generate_content_request"):
        if verb == COUNT and (inner := fields_of(fields.get(name))):
            inner["model"] = Raw(msgspec.json.encode(f"models/{model}"))
            fields[name] = Raw(encode_object(inner))
    return HTTPCall(
        method="POST",
        path=path_of(profile, model, verb),
        body=encode_object(fields),
        headers=forwarded_headers(call.headers),
        query=query_of(profile, verb),
    )


def _verb(path: str, operation: Operation) -> str:
    if operation == "embed":
        return EMBED if is_single(path) else BATCH_EMBED
    if operation == "count_tokens":
        return COUNT
    return STREAM if is_stream(path) else GENERATE
