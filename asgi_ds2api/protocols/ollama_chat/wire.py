"""The JSON of Ollama's requests, field by field, in the vendor's order.

What a caller sends is strict: each Struct knows the fields that are documented and refuses others, so that a body of
known shape is read in one pass and nothing unknown is dropped on the way. What is not of a known shape is read again,
piece by piece, by its `Shape`, which keeps the unknown fields. ``options`` are open by nature: unknown ones are kept.

What an upstream sends is read tolerantly, by ``answer_parts``.

``None`` stands for a field that is absent and for one that is null: the vendor makes no difference.

Follows the vendor's ``api/types.go`` (0.33) and the SDK's types (ollama 0.6.3), both of November 2026.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw

from ...canonical import ProtocolName
from ...json_pieces import JsonField

NAME: Final[ProtocolName] = "ollama_chat"
CHAT_PATH: Final = "/api/chat"
GENERATE_PATH: Final = "/api/generate"
EMBED_PATH: Final = "/api/embed"
EMBEDDINGS_PATH: Final = "/api/embeddings"
"""The older one."""

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
