"""OpenAI Chat Completions, as a client face and as an upstream. The module is the codec (`codec.Codec`).

Beside the main operation the face has embeddings, and legacy completions, which are asked by a conversation.
"""

from typing import Final

from ...canonical import Notices, Request, Response
from ...codec import DEFAULT_LIMITS, EmbeddingsCodec, Envelope, EventEncoder, HTTPCall, RequestLimits
from ...openai_models import encode_key_check, encode_model
from ...profiles import PROFILES, Profile
from . import embeddings
from .audio import join_opaque
from .capabilities import CAPABILITIES
from .completion_stream import CompletionEncoder
from .completions import decode_completion, encode_completion
from .envelope import ROUTES, claims, is_completion, peek, retarget
from .errors import decode_error, encode_error
from .operations import decode_token_count, encode_models, encode_token_count
from .repair import lesson, repair
from .request import decode_request as decode_chat_request
from .request import encode_request
from .response import decode_response, tap_response
from .response import encode_response as encode_chat_response
from .stream_decoder import StreamDecoder
from .stream_encoder import StreamEncoder as ChatEncoder
from .stream_tap import StreamTap
from .wire import NAME

COUNTS_TOKENS: Final = False
HAS_CHOICES: Final = True
CREDENTIAL_HEADERS: Final = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
HOLDING: Final = None
KEEPING: Final = None
EMBEDDINGS: Final[EmbeddingsCodec] = embeddings
PAUSING: Final = None
FAMILY: Final = "openai"
DEFAULT_PROFILE: Final = PROFILES["openai"]
REQUEST_ID_HEADER: Final = "x-request-id"
STREAM_CONTENT_TYPE: Final = b"text/event-stream; charset=utf-8"


def decode_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> Request:
    """Read a caller's request: for an answer, or for completions as the conversation that stands for them."""
    decode = decode_completion if is_completion(call) else decode_chat_request
    return decode(call, limits)


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    encode = encode_completion if envelope.operation == "complete" else encode_chat_response
    return encode(response, envelope, notices)


def StreamEncoder(envelope: Envelope, notices: Notices) -> EventEncoder:
    """Return a fresh encoder for one answer."""
    if envelope.operation == "complete":
        return CompletionEncoder(envelope, notices)
    return ChatEncoder(envelope, notices)


def encode_count_request(request: Request, profile: Profile, notices: Notices) -> HTTPCall | None:
    """Return None: this protocol counts no tokens."""
    return None


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
