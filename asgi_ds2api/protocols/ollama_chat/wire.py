"""The JSON of Ollama's requests, field by field, in the vendor's order.

What a caller sends is strict: each Struct knows the fields that are documented and refuses others, so that a body of
known shape is read in one pass and nothing unknown is dropped on the way. What is not of a known shape is read again,
piece by piece, by its `Shape`, which keeps the unknown fields. ``options`` are open by nature: unknown ones are kept.

What an upstream sends is read tolerantly, by ``answer``.

``None`` stands for a field that is absent and for one that is null: the vendor makes no difference.

Follows the vendor's ``api/types.go`` (0.33) and the SDK's types (ollama 0.6.3), both of November 2026.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ...canonical import Extras, ProtocolName
from ...errors import MalformedRequest
from ...json_guard import decode_json, encode_object

NAME: Final[ProtocolName] = "ollama_chat"
CHAT_PATH: Final = "/api/chat"
GENERATE_PATH: Final = "/api/generate"
EMBED_PATH: Final = "/api/embed"
EMBEDDINGS_PATH: Final = "/api/embeddings"
"""The older one."""

JsonObject: TypeAlias = dict[str, object]
"""What is written: msgspec writes ``Raw`` inside of it as it is."""

JsonField: TypeAlias = Raw | UnsetType
"""A field that is carried as it came; `present` tells whether it is there."""
Whole: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[float, Meta(ge=-(2**53), le=2**53)]
"""A whole number; ``1.0`` is one, `json_guard.whole` tells. Some settings are negative: -1 is "without end"."""
Real: TypeAlias = Annotated[int, Meta(ge=-(10**6), le=10**6)] | Annotated[float, Meta(ge=-1e6, le=1e6)]
"""Ranges are the vendors' to judge; this one only bounds the number. ``1`` stays ``1``."""


class Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Base of what a caller sends."""


# --- messages ---------------------------------------------------------------------------------------------------------


class FunctionCall(Strict):
    name: str
    arguments: JsonField = UNSET
    """An object."""
    index: Whole | None = None


class ToolCall(Strict):
    function: FunctionCall
    id: str | None = None
    type: Literal["function"] | None = None


class Message(Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    """Base64, without ``data:``."""
    tool_calls: list[ToolCall] | None = None
    # a tool's
    tool_name: str | None = None
    tool_call_id: str | None = None


# --- tools ------------------------------------------------------------------------------------------------------------


class Function(Strict):
    name: str
    description: str | None = None
    parameters: JsonField = UNSET


class Tool(Strict):
    function: Function
    type: Literal["function"] | None = None


# --- the request ------------------------------------------------------------------------------------------------------


class Options(msgspec.Struct):
    """The options that have a canonical form; all others are extras."""

    num_predict: Whole | None = None
    temperature: Real | None = None
    top_k: Whole | None = None
    top_p: Real | None = None
    min_p: Real | None = None
    seed: Whole | None = None
    stop: str | list[str] | None = None
    presence_penalty: Real | None = None
    frequency_penalty: Real | None = None


class Asking(Strict, kw_only=True):
    """What both operations have."""

    model: str
    stream: bool | None = None
    """Absent: true."""
    format: JsonField = UNSET
    """``json``, or a schema."""
    keep_alive: JsonField = UNSET
    options: dict[str, Raw] | None = None
    think: bool | str | None = None
    truncate: JsonField = UNSET
    shift: JsonField = UNSET
    logprobs: bool | None = None
    top_logprobs: Whole | None = None


class Chat(Asking, kw_only=True):
    """``/api/chat``."""

    messages: list[Message] = []
    tools: list[Tool] | None = None


class Generate(Asking, kw_only=True):
    """``/api/generate``."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: JsonField = UNSET
    raw: bool | None = None
    images: list[str] | None = None


EXTRAS: Final = ("keep_alive", "truncate", "shift")
"""Known top-level fields without a canonical form."""

PROMPT_EXTRAS: Final = ("suffix", "template", "context", "raw")
"""Fields of ``/api/generate`` alone: a request that has one goes back there, all others are talks."""

REQUIRED_EXTRAS: Final = ("suffix",)
"""Of these, what changes the question: a text is to be filled in before it."""

IDLE: Final = frozenset(
    {
        *EXTRAS,
        *(
            f"options.{name}"
            for name in (
                "num_batch", "num_ctx", "num_gpu", "num_keep", "num_thread", "main_gpu", "use_mmap", "use_mlock",
                "numa", "low_vram", "vocab_only", "num_predict",
            )
        ),
    }
)  # fmt: skip
"""Extras that say how a model is run, not what it says; ``num_predict`` is one where it says "without end"."""

NULL: Final = b"null"

S_co = TypeVar("S_co", bound=msgspec.Struct, covariant=True)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])


class Shape(Generic[S_co]):
    """An object that callers send, read with what it holds besides.

    Args:
        type_: Of the object; strict.
        inner: Its fields that are objects of a known shape, whose unknown fields are kept as well.
    """

    __slots__ = ("_decoder", "_inner", "_names")

    def __init__(self, type_: type[S_co], **inner: "Shape[msgspec.Struct]") -> None:
        self._decoder = msgspec.json.Decoder(type_)
        self._names = frozenset(type_.__struct_fields__)
        self._inner: Mapping[str, Shape[msgspec.Struct]] = inner

    def read(self, raw: Raw | bytes, at: str) -> tuple[S_co, Extras]:
        """Return the object, and its unknown fields by their path in it (``function.x``).

        Args:
            raw: Its JSON.
            at: Where it stands in the body; empty: it is the body.

        Raises:
            MalformedRequest: A known field is missing or of another type.
        """
        try:
            return self._decoder.decode(raw), {}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            known, extras = self.part(raw, at)
        return decode_json(self._decoder, encode_object(known), at), extras

    def part(self, raw: Raw | bytes, at: str) -> tuple[dict[str, Raw], Extras]:
        """Return the known fields and the unknown ones; of objects inside, the unknown ones are taken out.

        Raises:
            MalformedRequest: No object.
        """
        known: dict[str, Raw] = {}
        extras: Extras = {}
        for name, value in decode_json(_FIELDS, raw, at).items():
            if name not in self._names:
                if bytes(value) != NULL:
                    extras[name] = value
            elif name in self._inner and bytes(value).startswith(b"{"):
                kept, unknown = self._inner[name].part(value, f"{at}.{name}".removeprefix("."))
                known[name] = Raw(encode_object(kept))
                extras |= {f"{name}.{path}": more for path, more in unknown.items()}
            else:
                known[name] = value
        return known, extras

    def decode(self, fields: Mapping[str, Raw], at: str) -> S_co:
        """Return the object of known fields; raises as `read`."""
        return decode_json(self._decoder, encode_object(fields), at)


def put_extras(out: JsonObject, extras: Extras) -> JsonObject:
    """Write unknown fields back into their places; the twin of `Shape.part`."""
    for path, value in extras.items():
        parent, dot, name = path.partition(".")
        place = out.get(parent)
        if dot and isinstance(place, dict):
            put_extras(place, {name: value})
        else:
            out[path] = value
    return out


def present(field: JsonField) -> Raw | None:
    """Return a field that is there and not null."""
    return None if field is UNSET or bytes(field) == NULL else field


def missing(param: str) -> MalformedRequest:
    """Return the error for a field that has to be there."""
    return MalformedRequest(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def bound(count: int, limit: int, param: str) -> None:
    """Refuse more than is read here.

    Raises:
        MalformedRequest: There are more.
    """
    if count > limit:
        raise MalformedRequest(
            f"Invalid '{param}': at most {limit} are read here.", code="array_above_max_length", param=param
        )
