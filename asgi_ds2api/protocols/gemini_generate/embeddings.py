"""Embeddings, both ways: ``:embedContent`` for one content, ``:batchEmbedContents`` for several.

Follows https://ai.google.dev/api/embeddings and the official SDK (``google-genai`` 3.6, November 2026). What is wanted
of a content (``taskType``, ``outputDimensionality``, ...) stands beside it or, as Vertex has it, in
``embedContentConfig``; both are read, and written is the former, which both read.

Encoded again for this protocol, a request is JSON-equal to what came, but for this:

* names are in ``camelCase``, words in upper case, fields that are null are left out;
* a content is its texts, joined, without a role: it says nothing here. Anything but text is refused by name;
* a batch of one content is sent as that content alone;
* ``model`` is left out of the request for one content, whose path names it.

Vectors pass as they are: older models of the vendor do not bring shortened ones to the length of 1.
"""

from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from ...canonical import EmbeddingInput, Embeddings, EmbeddingsRequest, Extras, Notices, Usage, Vector
from ...codec import DEFAULT_LIMITS, AnswerFacts, Envelope, HTTPCall, RequestLimits
from ...errors import Malformed, MalformedRequest, Unsupported
from ...headers import forwarded_headers
from ...json_guard import decode_answer, decode_object, encode_object
from ...json_pieces import JsonObject, bound, fields_of, items_of, missing, put_extras
from ...profiles import Profile
from ..reserved import is_reserved
from . import wire
from .errors import decode_in_band
from .paths import BATCH_EMBED, EMBED, is_single, model_in, name_in, path_of
from .usage import decode_usage
from .wire import Shape, put_within, within

# --- wire -> ours: a request ------------------------------------------------------------------------------------------

_WANTED: Final = ("taskType", "title", "outputDimensionality", "autoTruncate")
_CONFIG: Final = "embedContentConfig"
_BATCH: Final = Shape("requests")
_ITEM: Final = Shape("model", "content", _CONFIG, *_WANTED)
_SETTINGS: Final = Shape(*_WANTED)
_CONTENT: Final = Shape("role", "parts")
_PART: Final = Shape("text")
_MAX_DIMENSIONS: Final = 2**31
T = TypeVar("T")


def decode_embeddings_request(call: HTTPCall, limits: RequestLimits = DEFAULT_LIMITS) -> EmbeddingsRequest:
    """Read a caller's request.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong, or of what is over a limit.
        Unsupported: Something is to be embedded that is no text, or two contents of a batch want different things.
    """
    fields = decode_object(call.body)
    model = model_in(call.path)
    extras: Extras = {}
    if is_single(call.path):
        items = [_Item(fields, "", model, limits)]
        extras = items[0].extras
    else:
        known, extras = _BATCH.split(fields)
        raws = wire.items(known["requests"], "requests") if "requests" in known else []
        if not raws:
            raise MalformedRequest("Send at least one request.", code="empty_array", param="requests")
        bound(len(raws), limits.max_inputs, "requests")
        places = [f"requests[{position}]" for position in range(len(raws))]
        items = [_Item(wire.object_of(raw, at), at, model, limits) for raw, at in zip(raws, places, strict=True)]
    return EmbeddingsRequest(
        source=wire.NAME,
        model=model,
        inputs=tuple([item.input for item in items]),
        dimensions=_shared([item.dimensions for item in items], "outputDimensionality"),
        truncate=_shared([item.truncate for item in items], "autoTruncate"),
        vendor_headers=forwarded_headers(call.headers),
        extras=extras,
    )


class _Item:
    """One content, and what is wanted of it. Unknown fields of the body's own are the request's, not the content's.

    Args:
        fields: Of its request.
        at: Path of its request; empty: it is the body.
        model: That the path names.
        limits: Bound its parts.

    Raises:
        MalformedRequest: Something is missing, of a wrong type, or of another model.
        Unsupported: It is no text.
    """

    def __init__(self, fields: dict[str, Raw], at: str, model: str, limits: RequestLimits) -> None:
        inside = f"{at}." if at else ""
        known, extras = _ITEM.split(fields)
        check_model(known.get("model"), model, f"{inside}model")
        if _CONFIG in known:
            settings, unknown = _SETTINGS.read(known[_CONFIG], f"{inside}{_CONFIG}")
            known = {**settings, **known}
            extras |= within(_CONFIG, unknown)
        if "content" not in known:
            raise missing(f"{inside}content")
        self.extras = extras
        self.input = EmbeddingInput(
            text=_text_of(known["content"], f"{inside}content", limits),
            title=wire.text(known["title"], f"{inside}title") if "title" in known else None,
            task=wire.word(known["taskType"], f"{inside}taskType") if "taskType" in known else None,
            extras=extras if at else {},
            at=at or "content",
        )
        self.dimensions = _dimensions(known.get("outputDimensionality"), f"{inside}outputDimensionality")
        truncate = known.get("autoTruncate")
        self.truncate = None if truncate is None else wire.boolean(truncate, f"{inside}autoTruncate")


def check_model(raw: Raw | None, model: str, at: str) -> None:
    """Refuse a request inside a batch that is for another model than the path says.

    Raises:
        MalformedRequest: It is.
    """
    named = model if raw is None else wire.text(raw, at)
    if model not in (named, name_in(named)):
        raise MalformedRequest("The path names another model.", code="invalid_value", param=at)


def _dimensions(raw: Raw | None, at: str) -> int | None:
    if raw is None:
        return None
    count = wire.integer(raw, at)
    if not 1 <= count <= _MAX_DIMENSIONS:
        raise MalformedRequest(f"Invalid value for '{at}': at least 1.", code="invalid_value", param=at)
    return count


def _text_of(raw: Raw, at: str, limits: RequestLimits) -> str:
    """Return the texts of a content, joined."""
    if bytes(raw).startswith(b'"'):
        return wire.text(raw, at)
    fields, extras = _CONTENT.read(raw, at)
    if extras:
        raise Unsupported("Texts alone can be embedded here.", param=f"{at}.{next(iter(extras))}")
    parts = wire.items(fields["parts"], f"{at}.parts") if "parts" in fields else []
    if not parts:
        raise MalformedRequest("Send at least one part.", code="empty_array", param=f"{at}.parts")
    bound(len(parts), limits.max_parts, f"{at}.parts")
    texts: list[str] = []
    for position, part in enumerate(parts):
        place = f"{at}.parts[{position}]"
        known, extras = _PART.read(part, place)
        if extras or "text" not in known:
            raise Unsupported("Texts alone can be embedded here.", param=".".join([place, *extras][:2]))
        texts.append(wire.text(known["text"], f"{place}.text"))
    return "".join(texts)


def _shared(wanted: list[T], name: str) -> T:
    """Return what all contents of a batch want alike."""
    for position, value in enumerate(wanted):
        if value != wanted[0]:
            raise Unsupported("All contents of a batch want the same here.", param=f"requests[{position}].{name}")
    return wanted[0]


def retarget_batch(fields: dict[str, Raw], asked: str, model: str) -> None:
    """Let each request of a batch that names its model name another one; all else stays byte for byte.

    Args:
        fields: Of the body; changed.
        asked: The model that the caller's path names.
        model: The upstream's.

    Raises:
        MalformedRequest: One is for another model than the path says, or is no request.
    """
    name = Raw(msgspec.json.encode(f"models/{model}"))
    written: list[Raw] = []
    for position, raw in enumerate(wire.items(fields.get("requests", Raw(b"[]")), "requests")):
        inner = wire.object_of(raw, f"requests[{position}]")
        check_model(inner.get("model"), asked, f"requests[{position}].model")
        written.append(Raw(encode_object({**inner, "model": name})) if "model" in inner else raw)
    fields["requests"] = Raw(msgspec.json.encode(written))


# --- ours -> wire: a request ------------------------------------------------------------------------------------------


def encode_embeddings_request(request: EmbeddingsRequest, profile: Profile, notices: Notices) -> HTTPCall:
    """Write a request for an upstream.

    Raises:
        Unsupported: Tokens: the vendor takes text.
    """
    is_own = request.source == wire.NAME
    wanted: JsonObject = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    if profile.labels and (request.truncate is not None or not is_own):
        wanted["autoTruncate"] = request.truncate or False
    elif request.truncate is not None:
        notices.lost("truncate", "the upstream decides by itself whether a text is cut")
    if request.user is not None:
        notices.hint("user", "the upstream knows no end users")
    extras = {name: value for name, value in request.extras.items() if not is_reserved(name, notices)}
    if not is_own:
        for name in extras:
            notices.lost(name, "the upstream has no such field")
        extras = {}
    items = [_encode_item(item, position, wanted, notices, is_own) for position, item in enumerate(request.inputs)]
    if len(items) == 1:
        verb, body = EMBED, put_within(items[0], extras)
    else:
        named: JsonObject = {} if profile.labels else {"model": f"models/{request.model}"}  # Vertex has it in the path
        verb, body = BATCH_EMBED, put_extras({"requests": [{**named, **item} for item in items]}, extras)
    return HTTPCall(
        method="POST",
        path=path_of(profile, request.model, verb),
        body=msgspec.json.encode(body),
        headers=request.vendor_headers if is_own else {},
        query=profile.query,
    )


def _encode_item(
    item: EmbeddingInput, position: int, wanted: JsonObject, notices: Notices, is_own: bool
) -> JsonObject:  # fmt: skip
    at = item.at or f"input[{position}]"
    if item.text is None:
        raise Unsupported("The upstream takes text alone: send the text of the tokens.", param=at)
    written: JsonObject = {"content": {"parts": [{"text": item.text}]}}
    if item.task is not None:
        written["taskType"] = item.task
    if item.title is not None:
        written["title"] = item.title
    if is_own:
        return put_within({**written, **wanted}, item.extras)
    for name in item.extras:
        notices.lost(f"{at}.{name}", "the upstream has no such field")
    return {**written, **wanted}


# --- wire -> ours: an answer ------------------------------------------------------------------------------------------


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """What nearly every vector is: its numbers alone."""

    values: tuple[float, ...]


_BODY: Final = msgspec.json.Decoder(dict[str, Raw])
_USUAL: Final = msgspec.json.Decoder(list[_Usual])
_NUMBERS: Final = msgspec.json.Decoder(tuple[float, ...])
_ANSWER: Final = frozenset({"embedding", "embeddings", "usageMetadata", "error"})


def decode_embeddings(body: bytes, profile: Profile) -> Embeddings:
    """Read an upstream's answer, of one content or of several.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _checked(body)
    vectors, beside = _decode_vectors(fields["embeddings"])
    return Embeddings(
        source=wire.NAME,
        model="",
        vectors=vectors,
        beside=beside,
        usage=decode_usage(fields.get("usageMetadata")),
        extras={name: value for name, value in fields.items() if name not in _ANSWER},
    )


def tap_embeddings(body: bytes) -> AnswerFacts:
    """Judge an answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    return AnswerFacts(usage=decode_usage(_checked(body).get("usageMetadata")))


def _checked(body: bytes) -> dict[str, Raw]:
    """Return the fields of an answer that has vectors; one alone is a list of one."""
    decode_answer(_BODY, body)
    fields = fields_of(body)
    if fields_of(fields.get("embedding")):
        fields["embeddings"] = Raw(b"[%b]" % bytes(fields["embedding"]))
    if not items_of(fields.get("embeddings")):
        raise decode_in_band(body) or Malformed("The upstream sent an answer without vectors.", code="empty_response")
    return fields


def _decode_vectors(raw: Raw) -> tuple[tuple[Vector, ...], tuple[Extras, ...]]:
    """Return the vectors, and what stands beside their numbers."""
    try:
        return tuple([item.values for item in _USUAL.decode(raw)]), ()
    except msgspec.ValidationError:
        pass
    found = [fields_of(item) for item in items_of(raw)]
    vectors = tuple([decode_answer(_NUMBERS, bytes(fields.pop("values", b""))) for fields in found])
    return vectors, tuple(found)


# --- ours -> wire: an answer ------------------------------------------------------------------------------------------


def encode_embeddings(embeddings: Embeddings, envelope: Envelope, notices: Notices) -> bytes:
    """Write an answer for the caller."""
    is_own = embeddings.source == wire.NAME
    beside = embeddings.beside if is_own and embeddings.beside else ({},) * len(embeddings.vectors)
    vectors = [{"values": vector, **more} for vector, more in zip(embeddings.vectors, beside, strict=True)]
    body: JsonObject = {"embedding": vectors[0]} if envelope.is_single else {"embeddings": vectors}
    usage = embeddings.usage or Usage()
    body["usageMetadata"] = {"promptTokenCount": usage.input_total or 0, **(usage.extras if is_own else {})}
    if is_own:
        return msgspec.json.encode({**body, **embeddings.extras})
    for name in embeddings.unsaid():
        notices.hint(name, "answers have no such field here")
    return msgspec.json.encode(body)
