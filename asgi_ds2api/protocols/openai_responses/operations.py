"""The smaller operations: token counts, and models as OpenAI writes them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...canonical import Model, TokenCount
from ...envelope import HTTPCall
from ...json_guard import decode_answer
from ...profiles import Profile

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


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models, or for what the profile has instead; None: it has nothing."""
    path = profile.key_check("/models")
    return None if path is None else HTTPCall(method="GET", path=path)


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write the list of models; the vendor's has one page, so ``query`` says nothing."""
    return msgspec.json.encode({"object": "list", "data": [_model(model) for model in models]})


def encode_model(model: Model) -> bytes:
    """Write one model."""
    return msgspec.json.encode(_model(model))


def _model(model: Model) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owner}
