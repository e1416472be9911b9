"""OpenAI Responses, as a client face and as an upstream. The module is the codec (`codec.Codec`)."""

from typing import Final

from ...codec import KeepingCodec
from ...openai_models import encode_key_check, encode_model
from ...profiles import PROFILES
from . import keeping
from .capabilities import CAPABILITIES
from .envelope import ROUTES, claims, peek, retarget
from .errors import decode_error, encode_error
from .hosted import join_opaque
from .operations import decode_token_count, encode_models, encode_token_count
from .repair import lesson, repair
from .request import decode_request, encode_count_request, encode_request
from .response import decode_response, encode_response, tap_response
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder
from .stream_tap import StreamTap
from .wire import NAME

COUNTS_TOKENS: Final = True
HAS_CHOICES: Final = False
CREDENTIAL_HEADERS: Final = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
EMBEDDINGS: Final = None
PAUSING: Final = None
HOLDING: Final = None
KEEPING: Final[KeepingCodec] = keeping
FAMILY: Final = "openai"
DEFAULT_PROFILE: Final = PROFILES["openai-responses"]
REQUEST_ID_HEADER: Final = "x-request-id"
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
