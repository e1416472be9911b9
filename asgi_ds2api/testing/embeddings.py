"""Embeddings as the fake makes them, in the words of OpenAI, of Ollama (``/api/embed``) and of Gemini.

A vector is made of the text by a digest: equal texts have equal vectors, of length 1, and nothing else can be said of
them. Numbers are rounded as the vendor's are, to floats of 32 bits, in the text as in base64.
"""

import base64
import hashlib
import math
import struct
from typing import Annotated, Literal

import msgspec

from .answer import Answer, converted, invalid, json_answer
from .turn import count

_DIMENSIONS = 16
"""Of a vector, where nobody asks for more or fewer."""
_MAX_INPUTS = 2_048


class _Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4_096)] | None = None
    encoding_format: Literal["float", "base64"] | msgspec.UnsetType = msgspec.UNSET
    user: str | None = None


class _Lines(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1)]
    input: str | list[str]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4_096)] | None = None


class _Part(msgspec.Struct):
    text: str = ""


class _Content(msgspec.Struct):
    parts: list[_Part]


class _Contents(msgspec.Struct, rename="camel"):
    content: _Content
    output_dimensionality: Annotated[int, msgspec.Meta(ge=1, le=4_096)] | None = None


class _Batch(msgspec.Struct):
    requests: list[_Contents]


def embed(body: object) -> Answer:
    """Answer ``POST /v1/embeddings``.

    Raises:
        Fault: The vendor would answer this one with an error.
    """
    request = converted(body, _Request)
    texts = _texts(request.input)
    vectors = [_vector(text, request.dimensions or _DIMENSIONS) for text in texts]
    tokens = sum(map(count, texts))
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, request)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_answer(200, {"object": "list", "data": data, "model": request.model, "usage": usage})


def embed_lines(body: object) -> Answer:
    """Answer ``POST /api/embed``. Raises as `embed`."""
    request = converted(body, _Lines)
    texts = [request.input] if isinstance(request.input, str) else request.input
    vectors = [_vector(text, request.dimensions or _DIMENSIONS) for text in texts]
    durations = {"total_duration": 3_000_000, "load_duration": 1_000_000}
    told = {"model": request.model, "embeddings": vectors, "prompt_eval_count": sum(map(count, texts))}
    return json_answer(200, {**told, **durations})


def embed_contents(body: object, *, is_batch: bool) -> Answer:
    """Answer Gemini's ``:embedContent``, or ``:batchEmbedContents``. Raises as `embed`."""
    requests = converted(body, _Batch).requests if is_batch else [converted(body, _Contents)]
    vectors = []
    for request in requests:
        text = "\n".join(part.text for part in request.content.parts)
        vectors.append({"values": _vector(text, request.output_dimensionality or _DIMENSIONS)})
    return json_answer(200, {"embeddings": vectors} if is_batch else {"embedding": vectors[0]})


def _texts(given: str | list[str | int | list[int]]) -> list[str]:
    """Return the inputs, tokens as text of as many words."""
    if isinstance(given, str):
        given = [given]
    tokens = [item for item in given if isinstance(item, int)]
    if tokens and len(tokens) < len(given):
        raise invalid("Invalid 'input': texts and tokens are mixed.", "input")
    batch = [tokens] if tokens else given
    texts = [item if isinstance(item, str) else " ".join(map(str, item)) for item in batch if not isinstance(item, int)]
    if not texts or not all(texts):
        raise invalid("Invalid 'input': input cannot be an empty string or list.", "input")
    if len(texts) > _MAX_INPUTS:
        raise invalid(f"Invalid 'input': at most {_MAX_INPUTS} inputs.", "input", "array_above_max_length")
    return texts


def _vector(text: str, dimensions: int) -> list[float]:
    raw = hashlib.shake_256(text.encode()).digest(2 * dimensions)
    numbers = [value - 32_768 + 0.5 for value in struct.unpack(f"<{dimensions}H", raw)]
    length = math.hypot(*numbers)
    rounded = struct.pack(f"<{dimensions}f", *(number / length for number in numbers))
    return list(struct.unpack(f"<{dimensions}f", rounded))


def _written(vector: list[float], request: _Request) -> list[float] | str:
    if request.encoding_format != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
