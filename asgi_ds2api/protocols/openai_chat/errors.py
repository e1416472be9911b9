"""What went wrong, both ways: an upstream's error -> ours, and ours in the words of OpenAI's SDK.

All of the vendor's protocols say it in the same words (``openai_errors``).
"""

from typing import Final

import msgspec

from ... import openai_errors
from ...codec import ErrorAnswer
from ...errors import GatewayError
from ...openai_errors import decode_error as decode_error
from ...openai_errors import decode_in_band as decode_in_band

_CONTENT: Final = "messages"


def encode_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """Write an error so that OpenAI's SDK raises its own class for it; the id is told by a header."""
    return openai_errors.encode_error(error, _CONTENT)


def encode_error_body(error: GatewayError) -> bytes:
    """Return the error as JSON: the payload of a stream's last event."""
    return msgspec.json.encode({"error": openai_errors.told(error, _CONTENT)})
