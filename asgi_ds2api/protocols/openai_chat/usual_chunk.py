"""The chunk that nearly all chunks of a stream are: more of what is open already, of one choice.

Strict on purpose: a chunk with any other field, or with another value where nothing is usual, is no usual one and is
read field by field (``stream_decoder``). What is here has been seen in every chunk of some vendor.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET

from ...json_pieces import JsonField


class _Shape(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Base of the usual chunk; one with any other field is read field by field."""


class _UsualFunction(_Shape):
    arguments: str


class UsualFragment(_Shape):
    """More arguments of a call that has begun."""

    index: int
    function: _UsualFunction
    id: Literal[""] | None = None
    type: str | None = None


class UsualDelta(_Shape):
    """More of a text, of a thought or of calls."""

    content: str | None = None
    tool_calls: list[UsualFragment] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    role: str | None = None
    refusal: None = None
    function_call: None = None


class _UsualChoice(_Shape):
    delta: UsualDelta
    index: int = 0
    finish_reason: None = None
    native_finish_reason: None = None
    logprobs: None = None
    stop_reason: None = None
    token_ids: None = None
    content_filter_results: JsonField = UNSET


class _UsualChunk(_Shape):
    choices: list[_UsualChoice]
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    system_fingerprint: str | None = None
    service_tier: str | None = None
    provider: str | None = None
    usage: None = None
    obfuscation: str = ""
    p: str = ""


USUAL: Final = msgspec.json.Decoder(_UsualChunk)
