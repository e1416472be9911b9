"""Which files a request names. Pure; of a request that names none no more is done than to look for a word.

A name that is not found here is not checked, so that it is looked for wherever a reader of the request might find it:
at any depth, in each of two equal members (some readers take the first), in any case (some do not mind it), and with
letters that are written as their numbers. One place is left out: answers cite files, and ask for none of them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from ..errors import MalformedRequest

MAX_FILES: Final = 1_000
"""Of one request: a long talk about pictures has a hundred."""
_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("file_id", "file_ids"),
    "anthropic": ("file_id", "file_ids"),
    "gemini": ("fileuri", "file_uri"),
}
"""Family of the face -> where its requests name files, in small letters."""
_NUMBERED: Final = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")
"""Begins a letter that is written as its number. No encoder does that: what they write so has other numbers."""
_CITING: Final = ("annotations", "citations")
"""Members that hold where an answer has something from. No vendor looks for a file there."""
_CITATIONS: Final = (
    "char_location", "container_file_citation", "content_block_location", "file_citation", "file_path",
    "page_location",
)  # fmt: skip
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,256}")
"""What a file may be called; anything else was never noted, and is the vendor's to judge."""
_GOOGLES_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}(?![A-Za-z0-9-])")
_VERSION: Final = re.compile(r"/v1\w*/")


def files_named(family: str, body: bytes) -> tuple[str, ...]:
    """Return the ids of the files that a request names, each once.

    Args:
        family: Of the face.
        body: JSON that was judged.

    Raises:
        MalformedRequest: There are more than anybody needs.
    """
    members = _MEMBERS.get(family)
    if members is None:
        return ()
    small = body.lower()
    if not any(sign in small for sign in (*[member.encode() for member in members], *_NUMBERED)):
        return ()
    ids: dict[str, None] = {}
    for name in _names(body, members):
        id_ = _id_in_uri(name) if family == "gemini" else name.strip()
        if _ID.fullmatch(id_):
            ids[id_] = None
        if len(ids) > MAX_FILES:
            raise MalformedRequest(f"A request may name {MAX_FILES} files at most.", code="invalid_value")
    return tuple(ids)


def _names(body: bytes, members: tuple[str, ...]) -> Iterator[str]:
    """Return the texts in these members, in the order in which they stand there."""
    whole = json.loads(body.decode(), object_pairs_hook=_pairs, parse_int=float)  # no number has too many digits so
    left: list[tuple[str, object]] = [("", whole)]
    while left:
        member, value = left.pop()
        if isinstance(value, str) and member in members:
            yield value
        elif isinstance(value, list):
            left += [(member, inner) for inner in reversed(value)]
        elif isinstance(value, tuple):
            skipped = members if member in _CITING and _is_citation(value) else ()
            left += [(name.lower(), inner) for name, inner in reversed(value) if name.lower() not in skipped]


def _pairs(pairs: list[tuple[str, object]]) -> tuple[tuple[str, object], ...]:
    """Return all members of an object, equal ones too. In Python, so that other threads get their turn meanwhile."""
    return tuple(pairs)


def _is_citation(pairs: tuple[tuple[str, object], ...]) -> bool:
    types = [value for name, value in pairs if name == "type"]
    return bool(types) and all(type_ in _CITATIONS for type_ in types)


def _id_in_uri(uri: str) -> str:
    """Return which of Google's files a URI means, of whatever host: an upstream may be asked through another.

    A version in the path tells the vendor's from pages of others; empty: it is none of them.
    """
    path = unquote(uri.partition("?")[0].partition("#")[0]).strip()
    scheme, colon, _ = path.partition(":")
    has_scheme = bool(colon) and "/" not in scheme  # files/abc:download has none
    place, mark, name = path.rpartition("files/")
    is_googles = scheme.lower() in ("http", "https") and _VERSION.search(place) if has_scheme else mark
    match = _GOOGLES_ID.match(name.lstrip("/")) if is_googles else None
    return "" if match is None else match[0]
