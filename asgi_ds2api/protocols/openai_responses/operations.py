"""The smaller operations: token counts, and models as OpenAI writes them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ... import openai_models
from ...canonical import Model, TokenCount
from ...json_guard import decode_answer

# --- wire -> ours -----------------------------------------------------------------------------------------------------


class _Count(msgspec.Struct):
    input_tokens: Annotated[int, Meta(ge=0)]


_COUNT: Final = msgspec.json.Decoder(_Count)


def decode_token_count(body: bytes) -> TokenCount:
    """Read an upstream's token count.

    Raises:
        Malformed: It is none.
    """
    return TokenCount(input_tokens=decode_answer(_COUNT, body).input_tokens)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_token_count(count: TokenCount) -> bytes:
    """Write a token count."""
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": count.input_tokens})


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write the list of models; the vendor's has one page, so ``query`` says nothing."""
    return openai_models.encode_list(models)
