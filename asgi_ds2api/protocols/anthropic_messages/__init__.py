"""Anthropic Messages, as a client face and as an upstream: https://docs.anthropic.com/en/api/messages (2026-11).

This module is the codec (`codec.Codec`). What is lost on the way stands in the docstrings of ``request`` and
``response``; what is changed for a request of another protocol, in ``preflight``.
"""

from collections.abc import Sequence
from typing import Final

from ...codec import HoldingCodec, PausingCodec
from ...profiles import PROFILES
from . import holding, pausing
from .capabilities import CAPABILITIES
from .envelope import ROUTES, claims, peek, retarget
from .errors import decode_error, encode_error
from .opaque import join_opaque
from .operations import decode_token_count, encode_key_check, encode_model, encode_models, encode_token_count
from .repair import lesson, repair
from .request import decode_request, encode_count_request, encode_request
from .response import decode_response, encode_response, tap_response
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder
from .stream_tap import StreamTap
from .wire import NAME

CREDENTIAL_HEADERS: Final[Sequence[str]] = ("x-api-key", "authorization")
HOLDING: Final[HoldingCodec] = holding
KEEPING: Final = None
PAUSING: Final[PausingCodec | None] = pausing
EMBEDDINGS: Final = None
FAMILY: Final = "anthropic"
DEFAULT_PROFILE: Final = PROFILES["anthropic"]
REQUEST_ID_HEADER: Final = "request-id"
COUNTS_TOKENS: Final = True
HAS_CHOICES: Final = False
STREAM_CONTENT_TYPE: Final = b"text/event-stream; charset=utf-8"

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
