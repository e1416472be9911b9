"""The smaller operations: models. Tokens are not counted by this protocol."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ...canonical import Model, TokenCount
from ...envelope import HTTPCall
from ...errors import Malformed, UnknownRoute
from ...profiles import Profile

CLIENT_VERSION: Final = "client_version"
"""The query by which Codex asks for its catalogue."""


def decode_token_count(body: bytes) -> TokenCount:
    """Raise: no upstream of this protocol counts tokens.

    Raises:
        Malformed: Always.
    """
    raise Malformed("The upstream does not count tokens.")


def encode_token_count(count: TokenCount) -> bytes:
    """Write a token count, for which the vendor has no form: no route of this face leads here."""
    return msgspec.json.encode({"object": "token_count", "input_tokens": count.input_tokens})


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models, or for what the profile has instead; None: it has nothing."""
    path = profile.key_check("/models")
    return None if path is None else HTTPCall(method="GET", path=path)


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write the list of models, which has one page.

    Raises:
        UnknownRoute: Codex asks for a catalogue of its own form, of which there is none: it has one with it, and would
            read the vendor's list as a broken one.
    """
    if CLIENT_VERSION in query:
        raise UnknownRoute("There is no catalogue of this form here. Use the one that came with the client.")
    return msgspec.json.encode({"object": "list", "data": [_model(model) for model in models]})


def encode_model(model: Model) -> bytes:
    """Write one model."""
    return msgspec.json.encode(_model(model))


def _model(model: Model) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owner}
