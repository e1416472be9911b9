"""Characters that an upstream cut in two: an escape of one half of a surrogate pair, without the other.

JSON's grammar allows ``"\\ud83d"`` alone, and a proxy that cuts a text by UTF-16 units, as JavaScript does, sends such
a half at the end of one event and the other at the beginning of the next. No text can hold half a character, so that
msgspec refuses the document.

Nothing here looks at a document that could be read: this is for those that could not. An emoji that is lost is better
than an answer that is.

Source: RFC 8259, section 8.2 (unpaired surrogates).
"""

import re
from typing import Final

REPLACEMENT: Final = rb"\ufffd"
MAX_HELD: Final = 256
"""Halves of one stream that wait for their other half: more than it has blocks at a time."""

_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING: Final = re.compile(rb'(?:"(?P<name>[^"\\]*+)"\s*+:\s*+)?"(?P<text>(?:[^"\\]|\\.)*+)(?P<end>"?+)', re.DOTALL)
"""A string, with the name of its field if it is the value of one; without an end it runs to that of the document."""
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
    rb"|(?P<high>u[dD][89abAB][\da-fA-F]{2})|(?P<low>u[dD][c-fC-F][\da-fA-F]{2})|.)",
    re.DOTALL,
)
"""An escape: a whole pair, half of one, or anything else."""
_PLACE: Final = re.compile(rb'"\w*index"\s*+:\s*+(\d+)')
"""What tells the blocks of a stream apart, in every protocol that does."""


def without_halves(document: bytes) -> bytes:
    """Return a document with U+FFFD in place of every half of a character."""
    if not _HALF.search(document):
        return document
    return _STRING.sub(lambda string: _written(string, _replaced(string["text"])), document)


class HalfCharacters:
    """The halves of one stream, each of which waits for the other.

    A half at the end of a string is held back, and put before the next string of the same field and the same block
    that begins with the other half. One whose other half never comes is left out, as of a text that was cut short;
    every other one becomes U+FFFD.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[tuple[bytes, ...], bytes] = {}

    def join(self, event: bytes) -> bytes:
        """Return the payload of an event without halves. Each event is to be asked about once, in order."""
        if not _HALF.search(event):
            return event
        place = tuple(_PLACE.findall(event))
        return _STRING.sub(lambda string: _written(string, self._joined(string, place)), event)

    def _joined(self, string: re.Match[bytes], place: tuple[bytes, ...]) -> bytes:
        text, key = string["text"], (string["name"] or b"", *place)
        escapes = list(_ESCAPE.finditer(text))
        if not escapes:
            return text
        first, last = escapes[0], escapes[-1]
        begun = self._held.pop(key, b"") if first["low"] and first.start() == 0 else b""
        if last["high"] and last.end() == len(text) and len(self._held) < MAX_HELD:
            self._held[key] = last[0]
            text = text[: last.start()]
        return _replaced(begun + text)


def _replaced(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda escape: REPLACEMENT if escape["high"] or escape["low"] else escape[0], text)


def _written(string: re.Match[bytes], text: bytes) -> bytes:
    start, end = string.span("text")
    document = string.string
    return document[string.start() : start] + text + document[end : string.end()]
