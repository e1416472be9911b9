"""Which files a request names. Pure; of a request that names none no more is done than to look for a word.

Members are found in the text itself: within a string of JSON each quote has a backslash before it, so that a name in
quotes with a colon behind it is a member. One that is written with escapes (``\\u0066ile_id``), which no encoder does,
is found as well. Only where answers are quoted that cite files, which asks for none of them, are values built and
looked through.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ..errors import MalformedRequest

MAX_FILES: Final = 1_000
"""Of one request: a long talk about pictures has a hundred."""
_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("file_id", "file_ids"),
    "anthropic": ("file_id", "file_ids"),
    "gemini": ("fileUri", "file_uri"),
}
"""Family of the face -> where its requests name files."""
_SIGNS: Final = {"openai": (b"file_id",), "anthropic": (b"file_id",), "gemini": (b"fileUri", b"file_uri")}
"""What stands in a request with such a member."""
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FOUND: Final = {
    family: re.compile(
        rb'"(?:' + "|".join(names).encode() + rb')"\s*+:\s*+(' + _STRING + rb"|\[[^\[\]]*+\])", re.DOTALL
    )
    for family, names in _MEMBERS.items()
}
_QUOTED: Final = re.compile(_STRING, re.DOTALL)
_ESCAPE: Final = b"\\u00"
_ESCAPED: Final = re.compile(rb"\\u00([5-7][0-9a-fA-F])")
"""A letter that is written as its number; what encoders write so (``<``, accents) has other ones."""
_KEPT_ESCAPED: Final = frozenset(b'"\\')
_CITING: Final = (b'citation"', b'"file_path"', b'_location"')
_CITATIONS: Final = frozenset(
    {
        "char_location", "container_file_citation", "content_block_location", "file_citation", "file_path",
        "page_location",
    }
)  # fmt: skip
"""What an answer says of where it has something from."""
_ID: Final = re.compile(r"([A-Za-z0-9._-]{1,256})")
"""What a file may be called; anything else was never noted, and is the vendor's to judge."""
_GOOGLES: Final = re.compile(r"(?:https?://[^/?#]+/v1\w*/)?files/([A-Za-z0-9-]{1,64})")


def files_named(family: str, body: bytes) -> tuple[str, ...]:
    """Return the ids of the files that a request names, each once.

    Args:
        family: Of the face.
        body: JSON that was judged.

    Raises:
        MalformedRequest: There are more than anybody needs.
    """
    signs = _SIGNS.get(family, ())
    is_escaped = bool(signs) and _ESCAPE in body and _ESCAPED.search(body) is not None
    if not is_escaped and not any(sign in body for sign in signs):
        return ()
    if any(mark in body for mark in _CITING):
        names = _looked_through(msgspec.json.decode(body), _MEMBERS[family])
    else:
        names = _found(_FOUND[family], _ESCAPED.sub(_unescaped, body) if is_escaped else body)
    pattern = _GOOGLES if family == "gemini" else _ID
    ids: dict[str, None] = {}
    for name in names:
        if match := pattern.fullmatch(name):
            ids[match[1]] = None
        if len(ids) > MAX_FILES:
            raise MalformedRequest(f"A request may name {MAX_FILES} files at most.", code="invalid_value")
    return tuple(ids)


def _found(pattern: re.Pattern[bytes], body: bytes) -> Iterator[str]:
    for match in pattern.finditer(body):
        for text in _QUOTED.findall(match[1]):
            yield msgspec.json.decode(text, type=str)


def _looked_through(value: object, members: tuple[str, ...]) -> Iterator[str]:
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict) and part.get("type") not in _CITATIONS:
            for name, inner in part.items():
                if name in members:
                    yield from (text for text in (inner if isinstance(inner, list) else [inner]) if type(text) is str)
                else:
                    left.append(inner)


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Return a character that was written as its number; not one that would change where a string ends."""
    character = int(match[1], 16)
    return match[0] if character in _KEPT_ESCAPED or character == 0x7F else bytes([character])
