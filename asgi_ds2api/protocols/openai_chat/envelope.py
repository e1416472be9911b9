"""What routing reads of a request, and the same request for another model."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from ...codec import Envelope, HTTPCall, Operation, Route
from ...headers import forwarded_headers
from ...json_guard import decode_json, whole
from ...json_pieces import JsonField, missing, number_of, present
from ...profiles import Profile
from ..reserved import for_another_model
from . import wire
from .completions import peek_completion
from .embeddings import peek_embeddings
from .request import path_of

_DEPLOYMENT: Final = "/deployments/{model}"
"""Azure's SDK names the model in the path, under ``/openai``."""
_GOOGLE: Final = "/{v1|v1beta|v1alpha|v1beta1}/openai"
"""Google has this face there, for clients of OpenAI's."""
_FACES: Final = (
    "/v1/chat/completions",
    "/chat/completions",
    f"{_DEPLOYMENT}/chat/completions",
    f"{_GOOGLE}/chat/completions",
)
_COMPLETIONS: Final = ("/v1/completions", "/completions", f"{_DEPLOYMENT}/completions")
_EMBEDDINGS: Final = ("/v1/embeddings", "/embeddings", f"{_DEPLOYMENT}/embeddings", f"{_GOOGLE}/embeddings")
_LISTS: Final = ("/v1/models", "/models", f"{_GOOGLE}/models")

ROUTES: Final[Sequence[Route]] = (
    *(Route(method="POST", path=path, operation="generate") for path in _FACES),
    *(Route(method="POST", path=path, operation="complete") for path in _COMPLETIONS),
    *(Route(method="POST", path=path, operation="embed") for path in _EMBEDDINGS),
    *(Route(method="GET", path=path, operation="list_models") for path in _LISTS),
    *(Route(method="GET", path=f"{path}/{{model}}", operation="get_model") for path in _LISTS),
)

_UPSTREAM_PATHS: Final[Mapping[Operation, str]] = {
    "complete": wire.COMPLETIONS_PATH,
    "embed": wire.EMBEDDINGS_PATH,
}

SESSION_HEADERS: Final = ("x-session-affinity", "session_id", "session-id", "x-session-id")
"""Where clients say which conversation a request belongs to: narrower than the user's id."""

_MISTRAL: Final = "mistral-client-"
"""How Mistral's SDKs begin to say who they are. They cannot ask for the usage of a stream: Mistral always tells it."""
_DETAILS: Final = (b'"reasoning_details"', b'"thinking_blocks"')


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Peek(msgspec.Struct):
    """What routing, and the form of the answer, need of a request."""

    model: str | UnsetType = UNSET
    functions: JsonField = UNSET
    include_reasoning: bool | None = None
    max_completion_tokens: JsonField = UNSET
    max_tokens: JsonField = UNSET
    n: wire.Whole | None = None
    prompt_cache_key: str | None = None
    reasoning: JsonField = UNSET
    stream: bool | None = None
    stream_options: _Options | None = None
    tools: JsonField = UNSET


_PEEK: Final = msgspec.json.Decoder(_Peek)


def claims(call: HTTPCall) -> bool:
    """Return False: a path that several faces share is this one's where no other claims it."""
    return False


def peek(call: HTTPCall, operation: Operation) -> Envelope:
    """Read what routing needs, without building the message tree.

    Raises:
        MalformedRequest: Not JSON, or a field of the envelope is missing or of the wrong type.
    """
    if operation == "embed":
        return peek_embeddings(call)
    if operation == "complete":
        return peek_completion(call)
    head = decode_json(_PEEK, call.body)
    model = call.model or head.model
    if model is UNSET:
        raise missing("model")
    header = next((value for name in SESSION_HEADERS if (value := call.headers.get(name))), None)
    is_mistral = call.headers.get("user-agent", "").startswith(_MISTRAL)
    return Envelope(
        operation=operation,
        model=model,
        stream=bool(head.stream) and operation == "generate",
        session=head.prompt_cache_key or header,
        max_output_tokens=number_of(present(head.max_completion_tokens) or present(head.max_tokens)),
        choices=whole(head.n, "n") or 1,
        include_usage=is_mistral or (head.stream_options is not None and bool(head.stream_options.include_usage)),
        include_reasoning_details=_wants_details(head, call.body),
        legacy_functions=present(head.functions) is not None and present(head.tools) is None,
        dialect="mistral" if is_mistral else "",
        may_relay=not is_mistral,
    )


def is_completion(call: HTTPCall) -> bool:
    """Tell whether a caller's request is one for legacy completions."""
    return call.path.endswith(wire.COMPLETIONS_PATH) and not call.path.endswith(wire.PATH)


def retarget(call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
    """Return the same request for another model; all other values stay byte for byte.

    Raises:
        MalformedRequest: A field that would steer the gateway.
    """
    return HTTPCall(
        method="POST",
        path=path_of(profile, model, _UPSTREAM_PATHS.get(operation, wire.PATH)),
        body=for_another_model(call.body, model),
        headers=forwarded_headers(call.headers),
        query=profile.query,
    )


def _wants_details(head: _Peek, body: bytes) -> bool:
    """Tell whether a caller can carry signatures: it asks for reasoning, or sends some back.

    A text that quotes the name of the field counts too: no harm comes of details that nobody looks at.
    """
    if head.include_reasoning is not None:
        return head.include_reasoning
    return present(head.reasoning) is not None or any(name in body for name in _DETAILS)
