"""Texts, and the vectors that stand for what they mean."""

from typing import TypeAlias

from .notices import Extras, ProtocolName, Value
from .response import Usage

Vector: TypeAlias = tuple[float, ...]
"""Numbers that a float of 32 bits can hold. Those that came as such are exactly these; others as near as JSON said."""


class EmbeddingInput(Value, frozen=True, kw_only=True):
    """One text, or the tokens of one: exactly one of both."""

    text: str | None = None
    tokens: tuple[int, ...] | None = None
    """In the vocabulary of the model, which no other vendor's model shares."""
    title: str | None = None
    """Of the document that the text is."""
    task: str | None = None
    """What the vector is for, in Google's words: RETRIEVAL_QUERY, CLUSTERING, ..."""
    extras: Extras = {}
    at: str = ""


class EmbeddingsRequest(Value, frozen=True, kw_only=True):
    """One batch of texts. The form of the vectors that the caller wants stands in the Envelope."""

    source: ProtocolName
    model: str
    inputs: tuple[EmbeddingInput, ...]
    """At least one; a protocol that takes a single one is told of by the Envelope."""
    dimensions: int | None = None
    """Length of the vectors."""
    truncate: bool | None = None
    """Whether a text that is too long is cut; if not, it is refused."""
    user: str | None = None
    vendor_headers: dict[str, str] = {}
    """Headers of the source protocol that go on within it."""
    extras: Extras = {}
    """Unknown or own fields of the source protocol, by their path in it."""


class Embeddings(Value, frozen=True, kw_only=True):
    """The vectors of a batch, in its order."""

    source: ProtocolName
    model: str
    vectors: tuple[Vector, ...]
    beside: tuple[Extras, ...] = ()
    """What the source protocol tells of each vector besides its numbers; empty: of none."""
    usage: Usage | None = None
    extras: Extras = {}

    def unsaid(self) -> list[str]:
        """Return the paths of what only the source protocol has a word for."""
        names = {name: None for extras in self.beside for name in extras}
        return [*self.extras, *(f"vectors[].{name}" for name in names)]
