"""JSON from strangers: judged before it is read, and every way in which reading fails turned into one of our errors.

A caller's body is judged once, by `check_document`, before any codec sees it; then `decode_json` may read it as often
as it likes. What an upstream sends is judged and read in one step, by `decode_answer`.

What msgspec 0.22 leaves to this file (each has its test):

* It recurses: on a small thread stack, or under a host that raised the recursion limit, a body of brackets ends the
  process. Hence the depth is counted first, without recursion.
* It does not look into strings that it skips (unknown fields, ``Raw``): invalid UTF-8 would be passed on.
* Its messages quote what the caller sent. Ours hold field names of our own, types and byte offsets, nothing else.

What it does by itself, and what is only pinned by tests: NaN, Infinity, numbers beyond a float, raw control
characters, trailing bytes, a byte order mark and escapes of lone surrogates are refused, in skipped strings too. Of
two equal keys, written with escapes or not, the last counts.
"""

import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Final, Literal, TypeVar, overload

import msgspec
from msgspec import Raw

from .errors import Malformed, MalformedRequest
from .half_characters import without_halves

MAX_DEPTH: Final = 128
"""No client nests deeper than its tools' schemas do, and a 256 KiB stack holds it many times."""

T = TypeVar("T")
Code = Literal["invalid_json", "invalid_type", "invalid_value", "missing_required_parameter"]


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a document, in words that quote nothing of it."""

    code: Code
    message: str
    param: str | None = None
    """Path as OpenAI writes it: ``messages[2].content``; None: the document as a whole."""


def is_too_deep(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Tell whether brackets outside of strings are nested deeper than ``limit``.

    Exact for JSON. Of other bytes it tells the truth up to the byte at which a decoder stops. Linear, at worst 30 ms
    a MiB, without recursion.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # the quotes that are left open or close a string
    marks = unescaped.translate(_STEPS, _UNMARKED).replace(b'""', b"")  # two quotes side by side change no bracket
    steps = memoryview(_STRING.sub(b"", marks)).cast("b")
    depth = 0
    for start in range(0, len(steps), _STRIDE):  # in pieces: other threads get their turn only between two calls
        piece = steps[start : start + _STRIDE]
        if depth + max(accumulate(piece)) > limit:
            return True
        depth += sum(piece)
    return False


def check_document(body: bytes, max_depth: int = MAX_DEPTH) -> None:
    """Judge what a decoder would not, or would not survive.

    Args:
        body: A whole JSON document.
        max_depth: Deepest nesting of arrays and objects.

    Raises:
        MalformedRequest: Too deep (``invalid_value``), or not UTF-8 (``invalid_json``).
    """
    problem = _flaw(body, max_depth)
    if problem is not None:
        raise MalformedRequest(problem.message, code=problem.code)


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes | Raw, at: str = "") -> T:
    """Read a caller's document, which `check_document` has judged, or a part of it.

    Args:
        decoder: Of the expected shape.
        body: The JSON text.
        at: Where the part stands in the whole (``messages[2]``), for ``param``.

    Raises:
        MalformedRequest: Not JSON (``invalid_json``), or not of this shape: ``invalid_type``, ``invalid_value`` or
            ``missing_required_parameter``, with ``param``.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        problem = explain(exc, bytes(body), at)
        raise MalformedRequest(problem.message, code=problem.code, param=problem.param) from None


def decode_answer(
    decoder: msgspec.json.Decoder[T],
    body: bytes,
    max_depth: int = MAX_DEPTH,
    mend: Callable[[bytes], bytes] = without_halves,
) -> T:
    """Judge and read what an upstream sent: a whole answer, or the payload of one event.

    Args:
        decoder: Of the expected shape.
        body: The JSON text.
        max_depth: Deepest nesting of arrays and objects.
        mend: Takes halves of characters out of what could not be read; of a stream `HalfCharacters.join`, to which
            the other half of one may be known.

    Raises:
        Malformed: Not JSON, too deep, or not of this shape; ``detail`` says which, and where.
    """
    problem = _flaw(body, max_depth)
    if problem is None:
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            if (mended := mend(body)) != body:
                return decode_answer(decoder, mended, max_depth)
            problem = explain(exc, body)
    raise Malformed("The upstream sent an answer that cannot be read.", detail=problem.message)


def decode_object(body: bytes) -> dict[str, Raw]:
    """Read the top level of an object: its values as they came, of two equal keys the last.

    Raises:
        MalformedRequest: As `decode_json`.
    """
    return decode_json(_OBJECT, body)


def encode_object(fields: Mapping[str, Raw]) -> bytes:
    """Write an object from its parts. What is forwarded is what was judged: no key is there twice."""
    return msgspec.json.encode(fields)


@overload
def whole(value: float, param: str) -> int: ...


@overload
def whole(value: float | None, param: str) -> int | None: ...


def whole(value: float | None, param: str) -> int | None:
    """Return a number that has to be whole; ``1.0`` is.

    Raises:
        MalformedRequest: It has a fraction.
    """
    if value is None or isinstance(value, int):
        return value
    if not value.is_integer():
        raise MalformedRequest(f"Invalid type for '{param}': expected an integer.", code="invalid_type", param=param)
    return int(value)


def explain(exc: msgspec.MsgspecError | UnicodeDecodeError | RecursionError, body: bytes, at: str = "") -> Problem:
    """Say why a document could not be read.

    Args:
        exc: What a decoder raised.
        body: What it read.
        at: Where ``body`` stands in the whole document.
    """
    if isinstance(exc, RecursionError):
        return Problem("invalid_value", "The JSON document is nested too deep.")
    if isinstance(exc, msgspec.ValidationError):
        return _explain_shape(str(exc), at)
    if not body.strip():
        return Problem("invalid_json", "The JSON document is empty.")
    return _not_utf8(body) or _not_json(str(exc), body)


_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""An opening bracket is one step down (1), a closing one is one step up (-1, as a signed byte)."""
_UNMARKED: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STRIDE: Final = 65_536
_STRING: Final = re.compile(rb'"[^"]*+"?+')

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])

_OFFSET: Final = re.compile(r"\(byte (\d+)\)$")
_AT: Final = re.compile(r"(?P<fault>.*?)(?: - at (?:`key` in )?`\$(?P<path>[\w.\[\]-]*)`)?", re.DOTALL)
_ANY_KEY: Final = "[...]"
"""Stands in msgspec's paths for a key that the sender made up: what holds it is named."""
_WRONG_TYPE: Final = re.compile(r"Expected `(?P<expected>[\w| ]+)`(?:, got `(?P<got>\w+)`)?")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_OUT_OF_BOUNDS: Final = re.compile(r"Expected `(?P<expected>\w+)` (?P<bound>(?:of length )?[<>=]*\s?[\d.e+-]+)")

_KINDS: Final = {
    "array": "an array",
    "bool": "a boolean",
    "float": "a decimal number",
    "int": "an integer",
    "object": "an object",
    "str": "a string",
}
"""msgspec's names of types, in OpenAI's words."""


def _flaw(body: bytes, max_depth: int) -> Problem | None:
    if is_too_deep(body, max_depth):
        return Problem("invalid_value", f"The JSON document is nested deeper than {max_depth} levels.")
    return None if body.isascii() else _not_utf8(body)


def _not_utf8(body: bytes) -> Problem | None:
    try:
        body.decode()
    except UnicodeDecodeError as exc:
        return Problem("invalid_json", f"The JSON document is not UTF-8 (byte {exc.start}).")
    return None


def _not_json(text: str, body: bytes) -> Problem:
    match = _OFFSET.search(text)
    offset = int(match[1]) if match else len(body)
    return Problem("invalid_json", f"The JSON document cannot be parsed (byte {offset}).")


def _explain_shape(text: str, at: str) -> Problem:
    """Put msgspec's words for a wrong shape into OpenAI's, and leave out what it quotes."""
    parts = _AT.fullmatch(text)
    fault, path = (parts["fault"], parts["path"] or "") if parts else (text, "")
    param = (at + path.partition(_ANY_KEY)[0]).removeprefix(".")
    where = f"'{param}'" if param else "the JSON document"
    if match := _MISSING.fullmatch(fault):
        param = f"{param}.{match['field']}".removeprefix(".")
        return Problem("missing_required_parameter", f"Missing required parameter: '{param}'.", param)
    if match := _WRONG_TYPE.fullmatch(fault):
        got = f", but got {_kind(match['got'])} instead" if match["got"] else ""
        return Problem(
            "invalid_type", f"Invalid type for {where}: expected {_kind(match['expected'])}{got}.", param or None
        )
    if match := _OUT_OF_BOUNDS.fullmatch(fault):
        expected = f": expected {_kind(match['expected'])} {match['bound']}"
        return Problem("invalid_value", f"Invalid value for {where}{expected}.", param or None)
    return Problem("invalid_value", f"Invalid value for {where}.", param or None)


def _kind(names: str) -> str:
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | "))
