"""Toy talk: a sixth protocol, which nothing but this folder and one row knows; and it holds the gateway to that.

It is the plainest protocol that there can be: canonical values as JSON, a stream as one event a line. So it has a place
for everything but what belongs to another vendor. This module is the codec (`codec.Codec`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from asgi_ds2api.canonical import Model, Notices, Opaque, Request, TokenCount
from asgi_ds2api.codec import Envelope, ErrorAnswer, HTTPCall, Operation, Route
from asgi_ds2api.diagnosis import classify, read
from asgi_ds2api.errors import GatewayError, Malformed, Refused, UpstreamError
from asgi_ds2api.headers import retry_headers
from asgi_ds2api.json_guard import decode_json
from asgi_ds2api.profiles import Profile
from asgi_ds2api.protocols.reserved import for_another_model

from .answer import decode_response, encode_response, tap_response
from .capabilities import CAPABILITIES
from .request import PATH, decode_request, encode_request
from .stream import StreamDecoder, StreamEncoder, StreamTap
from .wire import NAME, STREAM_CONTENT_TYPE, encode_failure

FAMILY: Final = "toys"
DEFAULT_PROFILE: Final = Profile(vendor="toys", exact=True)
ROUTES: Final[Sequence[Route]] = (
    Route(method="POST", path=PATH, operation="generate"),
    Route(method="GET", path="/toy/models", operation="list_models"),
    Route(method="GET", path="/toy/models/{model}", operation="get_model"),
)
CREDENTIAL_HEADERS: Final[Sequence[str]] = ("x-toy-key", "authorization")
REQUEST_ID_HEADER: Final = "x-request-id"
COUNTS_TOKENS: Final = False
HAS_CHOICES: Final = True
HOLDING: Final = None
KEEPING: Final = None
PAUSING: Final = None
EMBEDDINGS: Final = None


class _Peek(msgspec.Struct):
    model: str
    stream: bool = False
    choices: int | None = None


_PEEK: Final = msgspec.json.Decoder(_Peek)


def claims(call: HTTPCall) -> bool:
    """Tell whether a call is meant for this face: its paths are its own."""
    return call.path.startswith("/toy/")


def peek(call: HTTPCall, operation: Operation) -> Envelope:
    """Read what routing needs."""
    head = decode_json(_PEEK, call.body)
    return Envelope(operation=operation, model=head.model, stream=head.stream, choices=head.choices or 1)


def retarget(call: HTTPCall, model: str, profile: Profile, operation: Operation) -> HTTPCall:
    """Return the same request for another model."""
    return HTTPCall(method="POST", path=PATH, body=for_another_model(call.body, model))


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return None: a toy objects to nothing."""
    return None


def lesson(error: Refused) -> str | None:
    """Return None: nothing is learned."""
    return None


def join_opaque(block: Opaque, deltas: Sequence[Raw]) -> Opaque:
    """Return an opaque block as it began."""
    return block


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Read an upstream's error answer."""
    return classify(status, read(body))


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error."""
    headers = ((b"content-type", b"application/json"), *retry_headers(error))
    return ErrorAnswer(status=error.status, headers=headers, body=encode_failure(error))


def encode_count_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
    """Return None: toys do not count."""
    return None


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models."""
    return HTTPCall(method="GET", path="/toy/models")


def decode_token_count(body: bytes) -> TokenCount:
    """Refuse it: nobody asked for one."""
    raise Malformed("Toys do not count.")


def encode_token_count(count: TokenCount) -> bytes:
    """Write a token count."""
    return msgspec.json.encode(count)


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write the list of models."""
    return msgspec.json.encode({"models": [model.id for model in models]})


def encode_model(model: Model) -> bytes:
    """Write one model."""
    return msgspec.json.encode({"model": model.id})


__all__ = [
    "CAPABILITIES",
    "COUNTS_TOKENS",
    "CREDENTIAL_HEADERS",
    "DEFAULT_PROFILE",
    "EMBEDDINGS",
    "FAMILY",
    "HAS_CHOICES",
    "HOLDING",
    "KEEPING",
    "NAME",
    "PAUSING",
    "REQUEST_ID_HEADER",
    "ROUTES",
    "STREAM_CONTENT_TYPE",
    "StreamDecoder",
    "StreamEncoder",
    "StreamTap",
    "claims",
    "decode_error",
    "decode_request",
    "decode_response",
    "decode_token_count",
    "encode_count_request",
    "encode_error",
    "encode_key_check",
    "encode_model",
    "encode_models",
    "encode_request",
    "encode_response",
    "encode_token_count",
    "join_opaque",
    "lesson",
    "peek",
    "repair",
    "retarget",
    "tap_response",
]
