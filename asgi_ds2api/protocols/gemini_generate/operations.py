"""Token counts and lists of models, both ways."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ...canonical import Model, TokenCount
from ...envelope import HTTPCall
from ...errors import Malformed, MalformedRequest
from ...json_guard import decode_answer
from ...profiles import Profile
from . import wire

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 1_000

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_METHODS: Final = ("generateContent", "countTokens")


def decode_token_count(body: bytes) -> TokenCount:
    """Read an upstream's token count.

    Raises:
        Malformed: It is none.
    """
    total = wire.count_of(decode_answer(_OBJECT, body).get("totalTokens"))
    if total is None:
        raise Malformed("The upstream sent an answer that cannot be read.", detail="no totalTokens")
    return TokenCount(input_tokens=total)


def encode_token_count(count: TokenCount) -> bytes:
    """Write a token count."""
    return msgspec.json.encode({"totalTokens": count.input_tokens})


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models, or for what the profile has instead; None: it has nothing."""
    path = profile.key_check(f"/{wire.VERSION}/models")
    return None if path is None else HTTPCall(method="GET", path=path)


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write a page of the list of models.

    Args:
        models: All of them, in order.
        query: ``pageSize`` (1 to 1000, default 50) and ``pageToken``, as the vendor's paging has it.

    Raises:
        MalformedRequest: ``pageSize`` is no number in its range, or ``pageToken`` none of ours.
    """
    size = _page_size(query.get("pageSize"))
    first = _page_start(query.get("pageToken"), len(models))
    page = models[first : first + size]
    written: dict[str, object] = {"models": [_model(model) for model in page]}
    if first + size < len(models):
        written["nextPageToken"] = str(first + size)
    return msgspec.json.encode(written)


def encode_model(model: Model) -> bytes:
    """Write one model."""
    return msgspec.json.encode(_model(model))


def _model(model: Model) -> dict[str, object]:
    return {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.id,
        "supportedGenerationMethods": _METHODS,
    }


def _page_size(text: str | None) -> int:
    if text is None or text == "":
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= MAX_PAGE):
        raise MalformedRequest(f"pageSize is a number from 1 to {MAX_PAGE}.", code="invalid_value", param="pageSize")
    return int(text) or DEFAULT_PAGE


def _page_start(token: str | None, count: int) -> int:
    if token is None or token == "":
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= 9):
        raise MalformedRequest("pageToken is one that this list gave.", code="invalid_value", param="pageToken")
    return min(int(token), count)
