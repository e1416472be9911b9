"""How many tokens a request or an answer may have, by its size: where nobody counts them, and before any has. Pure.

Text is about four bytes a token, in all models. A picture, a recording or a document travels as base64, whose length
says little of what it costs. So what stands there is looked at: the first bytes of a file say what it is, and each kind
has a figure that is thought to be rather too much than too little.

It is made for every request, so most of a body is stepped over, and nothing is decoded but the beginnings of files.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from .canonical import Usage

BYTES_PER_TOKEN: Final = 4
"""Of text and of JSON around it."""
MIN_FILE_CHARS: Final = 4_096
"""Shorter base64 is counted as text: that is 1,000 tokens, less than most pictures have."""

Kind = Literal["image", "document", "audio", "video"]


class Price(msgspec.Struct, frozen=True):
    """What a file of a kind costs."""

    least: int
    """Tokens of the smallest one."""
    bytes_per_token: int
    """Of what is larger; 0: all cost the same."""


PRICES: Final[Mapping[Kind, Price]] = {
    "image": Price(1_600, 0),
    "document": Price(2_000, 25),
    "audio": Price(32, 500),
    "video": Price(300, 800),
}
"""A picture is scaled down by all vendors: 1,600 tokens is the most that Claude counts for a usual one, and more than
OpenAI and Gemini do. A page of a PDF is some 50 kB, and 1,500 to 3,000 tokens of text and picture. Gemini hears 32
tokens a second, of which a recording has about 16 kB, and sees 300 a second, of which a film has about 240 kB."""

_HEAD_CHARS: Final = 32
_DATA: Final = b";base64,"
_MAX_LABEL_CHARS: Final = 200
"""Of ``data:...;base64,`` before a file."""
_BASE64: Final = re.compile(rb"[A-Za-z0-9_-]{%d}" % _HEAD_CHARS)
_HEADS: Final[Sequence[tuple[re.Pattern[bytes], Kind]]] = (
    (re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*", re.DOTALL), "image"),
    (re.compile(rb"....ftyp(?:hei|mif|avif)", re.DOTALL), "image"),
    (re.compile(rb"%PDF|PK\x03\x04"), "document"),
    (re.compile(rb"....ftypM4A|RIFF....WAVE|ID3|OggS|fLaC|\xff[\xf0-\xff]", re.DOTALL), "audio"),
    (re.compile(rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xb3\xba]|FLV", re.DOTALL), "video"),
)
"""How files begin, in the order in which they are tried."""


def input_tokens(body: bytes) -> int:
    """Return how many tokens a request may have; 1 at least."""
    text_bytes, tokens = len(body), 0
    for start, end in _long_strings(body):
        begin = body.find(_DATA, start, start + _MAX_LABEL_CHARS)
        begin = start if begin < 0 else begin + len(_DATA)
        kind = _kind_of(body[begin : begin + 2 * _HEAD_CHARS])
        if kind is not None:
            text_bytes -= end - begin
            tokens += _tokens(PRICES[kind], (end - begin) * 3 // 4)
    return max(1, tokens + text_bytes // BYTES_PER_TOKEN)


def _long_strings(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where something long without a quotation mark begins and ends. Most of the body is stepped over."""
    start = 0
    while start + MIN_FILE_CHARS <= len(body):
        quote = body.rfind(b'"', start, start + MIN_FILE_CHARS)
        if quote < 0:
            quote = body.find(b'"', start + MIN_FILE_CHARS)
            if quote < 0:
                return
            yield start, quote
        start = quote + 1


def _kind_of(beginning: bytes) -> Kind | None:
    """Return what begins so; None: no file that is known, as text or ciphertext."""
    head = beginning.replace(b"\\", b"").translate(_URL_SAFE)  # slashes may be escaped
    match = _BASE64.match(head)
    data = b"" if match is None else urlsafe_b64decode(match[0])
    return next((kind for pattern, kind in _HEADS if pattern.match(data)), None)


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def _tokens(price: Price, size: int) -> int:
    return price.least if not price.bytes_per_token else max(price.least, size // price.bytes_per_token)


def output_tokens(characters: int) -> int:
    """Return how many tokens an answer may have whose usage nobody told; an answer has at least one."""
    return max(1, characters // BYTES_PER_TOKEN)


def estimated(characters: int) -> Usage:
    """Return figures for such an answer."""
    return Usage(input_total=0, output_total=output_tokens(characters), is_estimated=True)
