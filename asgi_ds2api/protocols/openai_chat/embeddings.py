"""Embeddings, both ways: https://platform.openai.com/docs/api-reference/embeddings (2026-11).

A vector is a list of numbers or, where the caller asks for ``base64``, the bytes of its numbers as floats of 32 bits,
little-endian. Python's SDK asks for it without being told to, and reads both; other clients read what they asked for.

Encoded again for this protocol, a request is JSON-equal to what came, but for this:

* fields that are null are left out; one text or one list of tokens is written as a list of one;
* ``encoding_format`` is the gateway's own: base64 from who speaks the protocol to the letter, else not said: it
  means numbers, and is what look-alikes know;
* fields that steer gateways, and ``extra_body``, are not sent.
"""

import binascii
import math
import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ...canonical import EmbeddingInput, Embeddings, EmbeddingsRequest, Extras, Notices, Usage, Vector
from ...codec import DEFAULT_LIMITS, AnswerFacts, Envelope, HTTPCall, RequestLimits
from ...errors import Malformed, MalformedRequest, Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_answer, decode_json, decode_object, whole
from ...json_pieces import (
    JsonObject,
    bound,
    fields_of,
    items_of,
    missing,
    present,
    rest_of,
    text_of,
    without_null,
)
from ...profiles import Profile
from ..reserved import is_reserved
from . import wire
from .errors import decode_in_band
from .request import path_of
from .usage import decode_usage

# --- wire -> ours: a request ------------------------------------------------------------------------------------------


class _Peek(msgspec.Struct):
    model: str | UnsetType = UNSET
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Request(msgspec.Struct):
    input: Raw | UnsetType = UNSET
    dimensions: wire.Whole | None = None
    user: wire.Identifier | None = None


_Token = Annotated[int, Meta(ge=0, le=2**53)]
_Batch = str | list[str | _Token | list[_Token]]

_PEEK: Final = msgspec.json.Decoder(_Peek)
_REQUEST: Final = msgspec.json.Decoder(_Request)
_INPUT: Final = msgspec.json.Decoder(_Batch)
_READ: Final = frozenset({"model", "encoding_format", *_Request.__struct_fields__})
_EXTRA_BODY: Final = "extra_body"
"""What clients merge into the body by themselves, and gateways read."""


def peek_embeddings(call: HTTPCall) -> Envelope:
    """Read what routing needs.

    Raises:
        MalformedRequest: Not JSON, no model, or a form of vectors that nobody knows.
    """
    head = decode_json(_PEEK, call.body)
    model = call.model or head.model
    if model is UNSET:
        raise missing("model")
    is_packed = head.encoding_format == "base64"
    return Envelope(operation="embed", model=model, session=head.user, vectors="base64" if is_packed else "float")


def decode_embeddings_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> EmbeddingsRequest:
    """Read a caller's request.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
    """
    head = decode_json(_REQUEST, call.body)
    fields = decode_object(call.body)
    return EmbeddingsRequest(
        source=wire.NAME,
        model=text_of(fields.get("model")) or "",
        inputs=_decode_inputs(present(head.input), limits),
        dimensions=whole(head.dimensions, "dimensions"),
        user=head.user,
        vendor_headers=forwarded_headers(call.headers),
        extras=rest_of(fields, _READ),
    )


def _decode_inputs(raw: Raw | None, limits: RequestLimits) -> tuple[EmbeddingInput, ...]:
    if raw is None:
        raise missing("input")
    batch = decode_json(_INPUT, raw, "input")
    if isinstance(batch, str):
        return (EmbeddingInput(text=batch, at="input"),)
    if not batch:
        raise MalformedRequest("Invalid 'input': send at least one text.", code="empty_array", param="input")
    if all(isinstance(item, int) for item in batch):
        return (EmbeddingInput(tokens=tuple(item for item in batch if isinstance(item, int)), at="input"),)
    bound(len(batch), limits.max_inputs, "input")
    return tuple(_decode_input(item, f"input[{position}]") for position, item in enumerate(batch))


def _decode_input(item: str | int | list[int], at: str) -> EmbeddingInput:
    if isinstance(item, int):
        message = f"Invalid type for '{at}': a list holds texts, or tokens, not both."
        raise MalformedRequest(message, code="invalid_type", param=at)
    return EmbeddingInput(text=item, at=at) if isinstance(item, str) else EmbeddingInput(tokens=tuple(item), at=at)


# --- ours -> wire: a request ------------------------------------------------------------------------------------------


def encode_embeddings_request(request: EmbeddingsRequest, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: Tokens of another vendor's vocabulary.
    """
    is_own = request.source == wire.NAME
    body: JsonObject = {"input": _encode_inputs(request, notices), "model": request.model}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if profile.exact:
        body["encoding_format"] = "base64"
    if request.user is not None:
        body["user"] = request.user
    if request.truncate:
        notices.lost("truncate", "the upstream refuses texts that are too long")
    for name, value in request.extras.items():
        if is_reserved(name, notices):
            continue
        if name == _EXTRA_BODY:
            notices.lost(name, "nothing is merged into a request for embeddings")
        elif is_own:
            body[name] = value
        else:
            notices.lost(name, "the upstream has no such field")
    return HTTPCall(
        method="POST",
        path=path_of(profile, request.model, wire.EMBEDDINGS_PATH),
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if is_own else {},
        query=profile.query,
    )


def _encode_inputs(request: EmbeddingsRequest, notices: Notices) -> list[str | tuple[int, ...]]:
    written: list[str | tuple[int, ...]] = []
    for position, item in enumerate(request.inputs):
        at = item.at or f"input[{position}]"
        for name, value in (("title", item.title), ("taskType", item.task)):
            if value is not None:
                notices.lost(f"{at}.{name}", "a text stands alone here")
        for name in item.extras:
            notices.lost(f"{at}.{name}", "a text stands alone here")
        if item.tokens is not None and request.source != wire.NAME:
            raise Unsupported("The upstream's tokens are others: send text.", param=at)
        written.append(item.text or "" if item.tokens is None else item.tokens)
    return written


# --- wire -> ours: an answer ------------------------------------------------------------------------------------------


class _Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None
    object: str | None = None


class _Usual(_Vector, forbid_unknown_fields=True):
    """What nearly every vector is; what has more fields is read again."""


_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
_VECTORS: Final = msgspec.json.Decoder(list[_Vector])
_USUAL: Final = msgspec.json.Decoder(list[_Usual])
_VECTOR: Final = frozenset(_Vector.__struct_fields__)
_ANSWER: Final = frozenset({"object", "data", "model", "usage", "error"})
_FLOAT_BYTES: Final = 4


def decode_embeddings(body: bytes, profile: Profile) -> Embeddings:
    """Read an upstream's answer, whichever form its vectors have.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(body)
    vectors, beside = _decode_data(fields["data"])
    order = sorted(range(len(vectors)), key=lambda position: _place(vectors[position], position))
    return Embeddings(
        source=wire.NAME,
        model=text_of(fields.get("model")) or "",
        vectors=tuple(_decode_vector(vectors[position].embedding) for position in order),
        beside=tuple(beside[position] for position in order) if beside else (),
        usage=decode_usage(fields.get("usage")),
        extras=rest_of(fields, _ANSWER),
    )


def _decode_data(raw: Raw) -> tuple[Sequence[_Vector], Sequence[Extras]]:
    """Return the vectors as they came, and what stands beside each; nothing, if nothing stands beside any."""
    try:
        return _USUAL.decode(raw), ()
    except msgspec.ValidationError:
        return decode_answer(_VECTORS, bytes(raw)), [rest_of(fields_of(item), _VECTOR) for item in items_of(raw)]


def tap_embeddings(body: bytes) -> AnswerFacts:
    """Judge an answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(body)
    return AnswerFacts(model=text_of(fields.get("model")), usage=decode_usage(fields.get("usage")))


def _checked(body: bytes) -> dict[str, Raw]:
    fields = without_null(decode_answer(_BODY, body))
    is_error = fields_of(fields.get("error")) or text_of(fields.get("error"))
    if is_error or bytes(fields.get("data", b"")).strip(b"[] \t\r\n") == b"":
        failure = decode_in_band(body)
        raise failure or Malformed("The upstream sent an answer without vectors.", code="empty_response")
    return fields


def _place(vector: _Vector, position: int) -> int:
    return position if vector.index is None else vector.index


def _decode_vector(told: list[float] | str) -> Vector:
    """Return the numbers of a vector.

    Raises:
        Malformed: Not floats, or none that are numbers.
    """
    if not isinstance(told, str):
        return tuple(told)
    try:
        packed = binascii.a2b_base64(told, strict_mode=True)
    except (binascii.Error, ValueError):
        packed = b""
    if not packed or len(packed) % _FLOAT_BYTES:
        raise Malformed("The upstream sent a vector that cannot be read.")
    vector = struct.unpack(f"<{len(packed) // _FLOAT_BYTES}f", packed)
    if not all(map(math.isfinite, vector)):
        raise Malformed("The upstream sent a vector with what is no number.")
    return vector


# --- ours -> wire: an answer ------------------------------------------------------------------------------------------


def encode_embeddings(embeddings: Embeddings, envelope: Envelope, notices: Notices) -> bytes:
    """Write an answer for the caller.

    Raises:
        Malformed: A number is beyond what the caller's form of a vector holds.
    """
    is_own = embeddings.source == wire.NAME
    beside = embeddings.beside if is_own and embeddings.beside else ({},) * len(embeddings.vectors)
    write = _pack if envelope.vectors == "base64" else _list
    data = [
        {"object": "embedding", "index": index, "embedding": write(vector), **more}
        for index, (vector, more) in enumerate(zip(embeddings.vectors, beside, strict=True))
    ]
    body: JsonObject = {
        "object": "list",
        "data": data,
        "model": envelope.model,
        "usage": _encode_usage(embeddings.usage or Usage()),
    }
    if is_own:
        return msgspec.json.encode({**body, **embeddings.extras})
    for name in embeddings.unsaid():
        notices.hint(name, "answers have no such field here")
    return msgspec.json.encode(body)


def _list(vector: Vector) -> Sequence[float]:
    return vector


def _pack(vector: Vector) -> str:
    try:
        return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise Malformed("The upstream sent a vector with a number that 32 bits do not hold.") from None


def _encode_usage(usage: Usage) -> JsonObject:
    tokens = usage.input_total or 0
    return {"prompt_tokens": tokens, "total_tokens": tokens}
