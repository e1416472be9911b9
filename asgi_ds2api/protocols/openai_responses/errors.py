"""What went wrong, both ways: an upstream's error -> ours, and ours in the words of OpenAI's SDK.

All of the vendor's protocols say it in the same words (``openai_errors``). In a stream the answer itself failed, and
says why in the words that clients of this protocol look for.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ... import openai_errors
from ...codec import ErrorAnswer
from ...errors import GatewayError, Malformed, Overloaded, QuotaExhausted, RateLimited, Refused, UpstreamError
from ...json_pieces import fields_of
from ...openai_errors import decode_error as decode_error
from ...openai_errors import decode_in_band as decode_in_band

_CONTENT: Final = "input"
_KINDS: Final[Mapping[str, str]] = {"context_too_long": "context_length_exceeded", "content_blocked": "invalid_prompt"}


def decode_stream_error(fields: Mapping[str, Raw], data: bytes) -> UpstreamError:
    """Read an error in the middle of a stream, whose fields may stand flat or in an object.

    Args:
        fields: Of the event.
        data: The event.
    """
    if not fields_of(fields.get("error")):
        flat = {name: value for name, value in fields.items() if name not in ("type", "sequence_number")}
        data = msgspec.json.encode({"error": flat})
    return decode_in_band(data) or Malformed("The upstream sent an error that cannot be read.")


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error so that OpenAI's SDK raises its own class for it; the id is told by a header."""
    return openai_errors.encode_error(error, _CONTENT)


def told(error: GatewayError) -> dict[str, str | None]:
    """Return what a caller is told of an error, in the words of an error answer."""
    return openai_errors.told(error, _CONTENT)


def failed_code(error: GatewayError) -> str:
    """Return the code of an answer that failed in the middle of its stream."""
    match error:
        case Overloaded():
            return "server_is_overloaded"
        case QuotaExhausted():
            return "insufficient_quota"
        case RateLimited():
            return "rate_limit_exceeded"
        case Refused():
            return _KINDS.get(error.kind, "invalid_prompt")
        case _:
            return "rate_limit_exceeded" if error.status == 429 else "server_error"
