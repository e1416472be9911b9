"""Embeddings, both ways: ``/api/embed``, and the older ``/api/embeddings`` that takes one text.

Vectors are lists of numbers. The vendor cuts a text that is too long unless it is told not to. Others refuse one, so
that a request of theirs says ``truncate: false`` here.

Encoded again for this protocol, a request is JSON-equal to what came, but for this: fields that are null are left out,
one text is written as a list of one, and what came by the older path goes by the newer one.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ...canonical import EmbeddingInput, Embeddings, EmbeddingsRequest, Notices, Usage
from ...codec import DEFAULT_LIMITS, AnswerFacts, Envelope, HTTPCall, RequestLimits
from ...errors import Malformed, MalformedRequest, Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_answer, decode_json, decode_object
from ...json_pieces import JsonObject, bound, fields_of, items_of, missing, present, rest_of, text_of
from ...profiles import Profile
from ..reserved import is_reserved
from . import wire
from .errors import decode_in_band
from .usage import DURATIONS, decode_usage

# --- wire -> ours: a request ------------------------------------------------------------------------------------------


class _Request(msgspec.Struct):
    dimensions: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    input: Raw | UnsetType = UNSET
    prompt: Raw | UnsetType = UNSET
    truncate: bool | None = None


_REQUEST: Final = msgspec.json.Decoder(_Request)
_INPUT: Final = msgspec.json.Decoder(str | list[str])
_READ: Final = frozenset({"model", *_Request.__struct_fields__})


def is_single(call: HTTPCall) -> bool:
    """Tell whether a call takes the older path, of one text and one vector."""
    return call.path.endswith(wire.EMBEDDINGS_PATH)


def decode_embeddings_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> EmbeddingsRequest:
    """Read a caller's request.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
    """
    head = decode_json(_REQUEST, call.body)
    fields = decode_object(call.body)
    name = "prompt" if is_single(call) else "input"
    return EmbeddingsRequest(
        source=wire.NAME,
        model=text_of(fields.get("model")) or "",
        inputs=_decode_inputs(present(head.prompt if name == "prompt" else head.input), name, limits),
        dimensions=head.dimensions,
        truncate=head.truncate,
        vendor_headers=forwarded_headers(call.headers),
        extras=rest_of(fields, _READ),
    )


def _decode_inputs(raw: Raw | None, name: str, limits: RequestLimits) -> tuple[EmbeddingInput, ...]:
    if raw is None:
        raise missing(name)
    batch = decode_json(_INPUT, raw, name)
    if isinstance(batch, str):
        return (EmbeddingInput(text=batch, at=name),)
    if not batch or name == "prompt":
        raise MalformedRequest(f"Invalid '{name}': send at least one text.", code="empty_array", param=name)
    bound(len(batch), limits.max_inputs, name)
    return tuple(EmbeddingInput(text=text, at=f"{name}[{position}]") for position, text in enumerate(batch))


# --- ours -> wire: a request ------------------------------------------------------------------------------------------


def encode_embeddings_request(request: EmbeddingsRequest, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: Tokens: the vendor takes text.
    """
    is_own = request.source == wire.NAME
    body: JsonObject = {"model": request.model, "input": _encode_inputs(request, notices)}
    if request.truncate is not None or not is_own:
        body["truncate"] = request.truncate or False
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        notices.hint("user", "the upstream knows no end users")
    for name, value in request.extras.items():
        if is_reserved(name, notices):
            continue
        if is_own:
            body[name] = value
        else:
            notices.lost(name, "the upstream has no such field")
    return HTTPCall(
        method="POST",
        path=wire.EMBED_PATH,
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if is_own else {},
        query=profile.query,
    )


def _encode_inputs(request: EmbeddingsRequest, notices: Notices) -> list[str]:
    written: list[str] = []
    for position, item in enumerate(request.inputs):
        at = item.at or f"input[{position}]"
        told = {"title": item.title, "taskType": item.task, **item.extras}
        for name in (name for name, value in told.items() if value is not None):
            notices.lost(f"{at}.{name}", "a text stands alone here")
        if item.text is None:
            raise Unsupported("The upstream takes text alone: send the text of the tokens.", param=at)
        written.append(item.text)
    return written


# --- wire -> ours: an answer ------------------------------------------------------------------------------------------

_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
_VECTORS: Final = msgspec.json.Decoder(list[tuple[float, ...]])
_ANSWER: Final = frozenset({"model", "embedding", "embeddings", "error", "prompt_eval_count", *DURATIONS})


def decode_embeddings(body: bytes, profile: Profile) -> Embeddings:
    """Read an upstream's answer.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(body)
    vectors = decode_answer(_VECTORS, bytes(fields["embeddings"]))
    return Embeddings(
        source=wire.NAME,
        model=text_of(fields.get("model")) or "",
        vectors=tuple(vectors),
        usage=decode_usage(fields),
        extras=rest_of(fields, _ANSWER),
    )


def tap_embeddings(body: bytes) -> AnswerFacts:
    """Judge an answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(body)
    return AnswerFacts(model=text_of(fields.get("model")) or None, usage=decode_usage(fields))


def _checked(body: bytes) -> dict[str, Raw]:
    """Return the fields of an answer that has vectors, whichever path it came by."""
    decode_answer(_BODY, body)
    fields = fields_of(body)
    if items_of(fields.get("embedding")):
        fields["embeddings"] = Raw(b"[%b]" % bytes(fields["embedding"]))
    if not items_of(fields.get("embeddings")):
        raise decode_in_band(body) or Malformed("The upstream sent an answer without vectors.", code="empty_response")
    return fields


# --- ours -> wire: an answer ------------------------------------------------------------------------------------------


def encode_embeddings(embeddings: Embeddings, envelope: Envelope, notices: Notices) -> bytes:
    """Write an answer for the caller."""
    is_own = embeddings.source == wire.NAME
    extras = embeddings.extras if is_own else {}
    for name in () if is_own else embeddings.unsaid():
        notices.hint(name, "answers have no such field here")
    if envelope.is_single:
        return msgspec.json.encode({"embedding": embeddings.vectors[0], **extras})
    usage = embeddings.usage or Usage()
    body: JsonObject = {
        "model": envelope.model,
        "embeddings": embeddings.vectors,
        "prompt_eval_count": usage.input_total or 0,
    }
    return msgspec.json.encode({**body, **(usage.extras if is_own else {}), **extras})
