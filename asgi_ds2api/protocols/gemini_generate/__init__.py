"""Google Gemini, as a client face and as an upstream: https://ai.google.dev/api/generate-content (2026-11).

This module is the codec (`codec.Codec`). What is lost on the way stands in the docstrings of ``request`` and
``response``; what is changed for a request of another protocol, in ``preflight``.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from ...canonical import Opaque
from ...profiles import PROFILES
from . import embeddings
from .capabilities import CAPABILITIES
from .envelope import ROUTES, claims, peek, retarget
from .errors import decode_error, encode_error
from .operations import decode_token_count, encode_key_check, encode_model, encode_models, encode_token_count
from .repair import lesson, repair
from .request import decode_request, encode_count_request, encode_request
from .response import decode_response, encode_response, tap_response
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder
from .stream_tap import StreamTap
from .wire import NAME

CREDENTIAL_HEADERS: Final[Sequence[str]] = ("x-goog-api-key", "authorization", "?key")
REQUEST_ID_HEADER: Final = "x-request-id"
COUNTS_TOKENS: Final = True
HAS_CHOICES: Final = True
HOLDING: Final = None
KEEPING: Final = None
EMBEDDINGS: Final = embeddings
PAUSING: Final = None
FAMILY: Final = "gemini"
DEFAULT_PROFILE: Final = PROFILES["gemini"]
STREAM_CONTENT_TYPE: Final = b"text/event-stream"


def join_opaque(block: Opaque, deltas: Sequence[Raw]) -> Opaque:
    """Return an opaque block as it began: in this protocol each comes whole."""
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
