"""Token counts and lists of models, both ways."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...canonical import Model, TokenCount
from ...envelope import HTTPCall
from ...errors import MalformedRequest
from ...json_guard import decode_answer
from ...profiles import Profile
from . import wire

DEFAULT_PAGE: Final = 20
MAX_PAGE: Final = 1_000
MAX_SECONDS: Final = 253_402_300_799
"""The last second of the year 9999, the last that has an RFC 3339 form."""


class _Count(msgspec.Struct):
    input_tokens: Annotated[int, Meta(ge=0, le=2**53)]


_COUNT: Final = msgspec.json.Decoder(_Count)


def decode_token_count(body: bytes) -> TokenCount:
    """Read an upstream's token count.

    Raises:
        Malformed: It is none.
    """
    return TokenCount(input_tokens=decode_answer(_COUNT, body).input_tokens)


def encode_token_count(count: TokenCount) -> bytes:
    """Write a token count."""
    return msgspec.json.encode({"input_tokens": count.input_tokens})


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models, or for what the profile has instead; None: it has nothing."""
    path = profile.key_check(wire.MODELS_PATH)
    headers = {wire.VERSION_HEADER: profile.version or wire.VERSION}
    return None if path is None else HTTPCall(method="GET", path=path, headers=headers)


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write a page of the list of models.

    Args:
        models: All of them, in order.
        query: ``limit`` (1 to 1000, default 20) and ``after_id`` or ``before_id``, as the vendor's paging has it.

    Raises:
        MalformedRequest: ``limit`` is no number in its range.
    """
    limit = _limit(query.get("limit"))
    ids = [model.id for model in models]
    after, before = query.get("after_id"), query.get("before_id")
    if after is not None:
        first = ids.index(after) + 1 if after in ids else len(ids)
        page = models[first : first + limit]
        has_more = first + limit < len(ids)
    else:
        last = ids.index(before) if before in ids else len(ids) if before is None else 0
        first = max(0, last - limit) if before is not None else 0
        page = models[first : min(last, first + limit)]
        has_more = first > 0 if before is not None else limit < len(ids)
    return msgspec.json.encode(
        {
            "data": [_model(model) for model in page],
            "has_more": has_more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def encode_model(model: Model) -> bytes:
    """Write one model."""
    return msgspec.json.encode(_model(model))


def _model(model: Model) -> dict[str, object]:
    created = datetime.fromtimestamp(min(max(model.created, 0), MAX_SECONDS), UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": created,
        "lifecycle": "active",
    }


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 0 < int(text) <= MAX_PAGE):
        raise MalformedRequest(f"limit is a number from 1 to {MAX_PAGE}.", code="invalid_value", param="limit")
    return int(text)
