"""Ollama's own API, as a client face and as an upstream. The module is the codec (`codec.Codec`)."""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from ...canonical import Notices, Opaque, Request
from ...codec import EmbeddingsCodec, HTTPCall
from ...framing import NDJSON
from ...profiles import PROFILES, Profile
from . import embeddings
from .capabilities import CAPABILITIES
from .envelope import ROUTES, claims, peek, retarget
from .errors import decode_error, encode_error
from .operations import decode_token_count, encode_key_check, encode_model, encode_models, encode_token_count
from .repair import lesson, repair
from .request import decode_request, encode_request
from .response import decode_response, encode_response, tap_response
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder
from .stream_tap import StreamTap
from .wire import NAME

COUNTS_TOKENS: Final = False
HAS_CHOICES: Final = False
HOLDING: Final = None
KEEPING: Final = None
EMBEDDINGS: Final[EmbeddingsCodec] = embeddings
PAUSING: Final = None
FAMILY: Final = "ollama"
DEFAULT_PROFILE: Final = PROFILES["ollama"]
CREDENTIAL_HEADERS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
REQUEST_ID_HEADER: Final = "x-request-id"
STREAM_CONTENT_TYPE: Final = NDJSON


def encode_count_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
    """Return None: this protocol counts no tokens."""
    return None


def join_opaque(block: Opaque, deltas: Sequence[Raw]) -> Opaque:
    """Return the block as it is: in this protocol nothing opaque comes in pieces."""
    return block


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
