"""Pictures, both ways: base64 beside the text of a message, without a word about what they are.

So the first bytes tell. Nothing is fetched and nothing is converted: what has no place at an upstream is refused by its
path, before it costs a call.
"""

import binascii
import re
from typing import Final, assert_never

from ...canonical import Base64Source, BlocksSource, FileSource, Media, TextSource, UrlSource
from ...errors import MalformedRequest, Unsupported

_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_HEAD_CHARS: Final = 32
"""Of base64 that are looked at; a multiple of four."""
UNKNOWN: Final = "application/octet-stream"

_MAGIC: Final[tuple[tuple[bytes, int, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"BM", 0, "image/bmp"),
    (b"II*\x00", 0, "image/tiff"),
    (b"MM\x00*", 0, "image/tiff"),
    (b"ftypavif", 4, "image/avif"),
    (b"ftypheic", 4, "image/heic"),
)
"""First bytes, where they stand, and what they are of."""

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_image(data: str, at: str) -> Media:
    """Return what was sent as an image: newer models take recordings in the same place.

    Raises:
        MalformedRequest: It is no base64, or has a ``data:`` before it.
    """
    if len(data) % 4 or not _BASE64.fullmatch(data):
        raise MalformedRequest(f"Invalid '{at}': expected base64 without 'data:'.", code="invalid_value", param=at)
    media_type = media_type_of(data)
    is_audio = media_type.startswith("audio/")
    return Media(kind="audio" if is_audio else "image", source=Base64Source(media_type=media_type, data=data), at=at)


def media_type_of(data: str) -> str:
    """Return what base64 holds, by its first bytes."""
    try:
        head = binascii.a2b_base64(data[:_HEAD_CHARS])
    except binascii.Error:
        return UNKNOWN
    return next((kind for magic, at, kind in _MAGIC if head[at : at + len(magic)] == magic), UNKNOWN)


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_image(block: Media, *, is_own: bool) -> str:
    """Return an image as base64.

    Args:
        block: Its source is no text and no blocks: those are said as text.
        is_own: It came from this protocol, so what the model takes is the caller's to know.

    Raises:
        Unsupported: It is none, or it is not here.
    """
    source = block.source
    match source:
        case Base64Source() if is_own or block.kind == "image" or source.media_type.startswith("image/"):
            return source.data
        case Base64Source():
            raise _refused(block, f"The upstream takes pictures, and no {block.kind}.")
        case UrlSource():
            raise _refused(block, "The upstream fetches nothing. Send the content itself.")
        case FileSource():
            raise _refused(block, "Files live at the vendor that they were uploaded to. Send the content.")
        case TextSource() | BlocksSource():
            raise AssertionError("text is said as text")
        case _:
            assert_never(source)


def is_as_said(block: Media) -> bool:
    """Tell whether the content is of the type that it is said to be of."""
    source = block.source
    return not isinstance(source, Base64Source) or media_type_of(source.data) == source.media_type


def _refused(block: Media, message: str) -> Unsupported:
    return Unsupported(message, param=block.at or None)
