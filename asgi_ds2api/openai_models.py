"""Models, as OpenAI's protocols write them, and the question by which a key is checked."""

from collections.abc import Sequence

import msgspec

from .canonical import Model
from .envelope import HTTPCall
from .profiles import Profile


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models, or for what the profile has instead; None: it has nothing."""
    path = profile.key_check("/models")
    return None if path is None else HTTPCall(method="GET", path=path)


def encode_list(models: Sequence[Model]) -> bytes:
    """Write the list of models, which has one page."""
    return msgspec.json.encode({"object": "list", "data": [_model(model) for model in models]})


def encode_model(model: Model) -> bytes:
    """Write one model."""
    return msgspec.json.encode(_model(model))


def _model(model: Model) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owner}
