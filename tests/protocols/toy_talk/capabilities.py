"""What the fields of toy talk mean, and what becomes here of what others mean: a toy has a place for it all."""

from typing import Final, get_args

from asgi_ds2api.capabilities import LOSSLESS, USUAL, Asks, Capabilities, Says, Takes, Tells
from asgi_ds2api.meanings import Meaning, Telling

_MEANINGS: Final[tuple[Meaning, ...]] = get_args(Meaning)
_TELLINGS: Final[tuple[Telling, ...]] = get_args(Telling)
_FOREIGN: Final = frozenset({"headers", "own", "own.idle", "own.required", "own.usual"})

_ASKS: Final = (
    Asks("messages[].role: system", "system"),
    Asks("messages[].content[]: text", "text"),
    Asks("messages[].content[]: tool_call", "call"),
    Asks("messages[].content[]: tool_result", "result"),
    Asks("tools[]", "tool"),
    Asks("tool_choice", "choice.named"),
    Asks("max_output_tokens", "limit"),
    Asks("sampling.temperature", "temperature"),
    Asks("stop", "stop"),
    Asks("stream", "stream"),
    Asks("any other field", "own"),
)
_TAKES: Final[Takes] = {
    meaning: USUAL.get(meaning, LOSSLESS) if meaning in _FOREIGN else LOSSLESS for meaning in _MEANINGS
}
_SAYS: Final = (
    Says("content[]: text", "text"),
    Says("content[]: tool_call", "call"),
    Says("usage", "usage"),
    Says("finish", "end.stop"),
)
_TELLS: Final[Tells] = dict.fromkeys(_TELLINGS, LOSSLESS)

CAPABILITIES: Final = Capabilities(asks=_ASKS, takes=_TAKES, says=_SAYS, tells=_TELLS)
