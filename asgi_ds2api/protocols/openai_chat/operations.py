"""The smaller operations: models. Tokens are not counted by this protocol."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ... import openai_models
from ...canonical import Model, TokenCount
from ...errors import Malformed, UnknownRoute

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


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write the list of models, which has one page.

    Raises:
        UnknownRoute: Codex asks for a catalogue of its own form, of which there is none: it has one with it, and would
            read the vendor's list as a broken one.
    """
    if CLIENT_VERSION in query:
        raise UnknownRoute("There is no catalogue of this form here. Use the one that came with the client.")
    return openai_models.encode_list(models)
