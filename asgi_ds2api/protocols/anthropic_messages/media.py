"""Images and documents of other protocols, put into the forms that Anthropic takes.

Images are PNG, JPEG, GIF or WebP; documents are PDF or plain text. Nothing is fetched and nothing is converted: what
has another form is refused by its path, before it costs a call.
"""

import base64
import binascii
from typing import Final, assert_never

import msgspec

from ...canonical import (
    Base64Source,
    BlocksSource,
    FileSource,
    Media,
    MediaSource,
    Notices,
    TextSource,
    UrlSource,
)
from ...errors import Unsupported
from ...profiles import Profile
from . import wire

IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF: Final = "application/pdf"

_TEXT_LIKE: Final = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
_ALIASES: Final = {"image/jpg": "image/jpeg", "application/x-pdf": PDF}


def fit_media(block: Media, profile: Profile, notices: Notices) -> Media:
    """Return an image or a document as Anthropic takes it.

    Args:
        block: Of a request of another protocol.
        profile: The upstream's.
        notices: Where it is reported what has no place here.

    Raises:
        Unsupported: Anthropic has nothing for it.
    """
    param = ".".join(filter(None, (block.at, block.source_at))) or None
    if block.kind in ("audio", "video"):
        raise Unsupported(f"The model takes no {block.kind}.", param=param)
    if block.detail is not None:
        report = notices.hint if block.detail == "auto" else notices.lost
        report(f"{block.at}.{block.detail_at}", "Anthropic chooses the resolution by itself")
    source = _fit_source(block.source, profile, param)
    kind = "image" if _is_image(block, source) else "document"
    if kind == "image" and block.name is not None:
        notices.hint(f"{block.at}.name", "images have no names here")
    media_type = source.media_type if isinstance(source, Base64Source) else None
    if media_type is not None and media_type not in (IMAGE_TYPES if kind == "image" else {PDF}):
        if kind == "image":
            raise Unsupported("Images must be PNG, JPEG, GIF or WebP.", param=param)
        source = _plain_text(source, param)
    return msgspec.structs.replace(block, kind=kind, source=source, detail=None)


def _is_image(block: Media, source: MediaSource) -> bool:
    if isinstance(source, Base64Source):
        return source.media_type.startswith("image/")
    return block.kind == "image"


def _fit_source(source: MediaSource, profile: Profile, param: str | None) -> MediaSource:
    match source:
        case Base64Source():
            return _bare(source)
        case UrlSource() if source.url[:5].lower() == "data:":
            return _bare(Base64Source(media_type="", data=source.url))
        case UrlSource() if not profile.image_urls:
            raise Unsupported("The upstream fetches nothing. Send the content itself.", param=param)
        case FileSource() if source.protocol != wire.NAME:
            raise Unsupported("Files live at the vendor that they were uploaded to.", param=param)
        case UrlSource() | FileSource() | TextSource() | BlocksSource():
            return source
        case _:
            assert_never(source)


def _bare(source: Base64Source) -> Base64Source:
    """Take the ``data:`` prefix off, which clients leave on by mistake; it knows the type best."""
    media_type, data = source.media_type, source.data
    if data[:5].lower() == "data:":
        head, _, data = data.partition(",")
        media_type = head[5:].partition(";")[0] or media_type
    media_type = media_type.partition(";")[0].strip().lower()
    return Base64Source(media_type=_ALIASES.get(media_type, media_type), data=data)


def _plain_text(source: MediaSource, param: str | None) -> TextSource:
    """Return a document of plain text as text.

    Raises:
        Unsupported: It is none.
    """
    if isinstance(source, Base64Source) and (source.media_type.startswith("text/") or source.media_type in _TEXT_LIKE):
        try:
            return TextSource(text=base64.b64decode(source.data, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise Unsupported("The document is no base64 of UTF-8 text.", param=param) from None
    raise Unsupported("Documents must be PDF or plain text.", param=param)
