"""An answer that says an error: what is alike in all protocols. The words are each protocol's own."""

from collections.abc import Callable

import msgspec

from .codec import ErrorAnswer
from .errors import GatewayError, UpstreamError
from .headers import retry_headers


def error_answer(error: GatewayError, status: int, body: bytes, is_own: Callable[[bytes], bool]) -> ErrorAnswer:
    """Return an answer with what tells an SDK whether and when to come back.

    Args:
        error: Of any kind.
        status: As the caller's protocol has it.
        body: The error in the words of the caller's protocol.
        is_own: Tells whether an upstream's body is one of the caller's protocol; such a body passes as it came.
    """
    told = error.body if isinstance(error, UpstreamError) else None
    headers = ((b"content-type", b"application/json"), *retry_headers(error))
    is_relayed = told is not None and _is_readable_as(told, is_own)
    return ErrorAnswer(status=status, headers=headers, body=told if told is not None and is_relayed else body)


def _is_readable_as(body: bytes, is_own: Callable[[bytes], bool]) -> bool:
    try:
        return is_own(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
