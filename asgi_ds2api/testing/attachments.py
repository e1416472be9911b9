"""Images, documents and sounds that come as text: base64, plain or in a data URL."""

import base64
import binascii

from .answer import invalid
from .turn import Media

_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def size_of(data: str, path: str) -> int:
    """Return how many bytes base64 holds.

    Raises:
        Fault: It is not base64; the answer names ``path``.
    """
    try:
        return len(base64.b64decode(data, validate=True))
    except binascii.Error:
        raise invalid(f"Invalid base64 in '{path}'.", path, "invalid_base64_image") from None


def seen(data: str, path: str) -> Media:
    """Return the image that base64 holds, known by its first bytes."""
    size = size_of(data, path)
    kind = next((kind for begin, kind in _MAGIC.items() if base64.b64decode(data[:16]).startswith(begin)), "")
    return Media(kind="image", media_type=kind, size_bytes=size)


def from_url(url: str, kind: str, path: str) -> Media:
    """Read a data URL; one of the web is not fetched.

    Raises:
        Fault: It is neither.
    """
    if url.startswith(("https://", "http://")):
        return Media(kind=kind)
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise invalid(f"Invalid '{path}': expected a URL or a base64 data URL.", path, "invalid_image_url")
    return Media(kind=kind, media_type=head[5:-7], size_bytes=size_of(data, path))


def noun_of(media_type: str) -> str:
    """Return what a media type is of, as the fake speaks of it."""
    return {"image": "image", "audio": "sound", "video": "video"}.get(media_type.partition("/")[0], "document")
