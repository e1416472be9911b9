"""Images, recordings and files, both ways.

Nothing is fetched and nothing is converted: what has no place at an upstream is refused by its path, before it costs a
call.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, assert_never

from ...canonical import Base64Source, BlocksSource, FileSource, Media, MediaSource, TextSource, UrlSource
from ...errors import MalformedRequest, Unsupported
from ...json_pieces import JsonObject, missing, no_base64
from . import wire

_DATA_URL: Final = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w-]+=[\w.+-]+)*;base64,(?P<data>[A-Za-z0-9+/]*={0,2})"
)
_WEB_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_PDF: Final = "application/pdf"
_AUDIO_TYPES: Final[Mapping[str, str]] = {"mp3": "audio/mpeg", "wav": "audio/wav"}
"""Formats that the vendor takes."""
_AUDIO_FORMATS: Final[Mapping[str, str]] = {
    **{media_type: format_ for format_, media_type in _AUDIO_TYPES.items()},
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}

MediaPart: TypeAlias = wire.ImagePart | wire.FilePart | wire.AudioPart

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_media(part: MediaPart, at: str) -> Media:
    """Return a part's media, without mark and extras.

    Raises:
        MalformedRequest: A URL that nobody could read, content that is no base64, a part without content.
    """
    match part:
        case wire.ImagePart():
            return _decode_image(part, at)
        case wire.FilePart():
            return _decode_file(part, at)
        case wire.AudioPart(input_audio=wire.InputAudio() as audio):
            if not _BASE64.fullmatch(audio.data):
                raise no_base64(f"{at}.input_audio.data")
            media_type = _AUDIO_TYPES.get(audio.format, f"audio/{audio.format}")
            return Media(kind="audio", source=Base64Source(media_type=media_type, data=audio.data), at=at)
        case wire.AudioPart(audio_url=str(url)):
            return Media(kind="audio", source=_linked(url, f"{at}.audio_url"), at=at)
        case wire.AudioPart():
            raise missing(f"{at}.input_audio")
        case _:
            assert_never(part)


def _decode_image(part: wire.ImagePart, at: str) -> Media:
    match part.image_url:
        case str(url):
            return Media(kind="image", source=_linked(url, f"{at}.image_url"), detail=part.detail, at=at)
        case wire.ImageUrl() as image:
            source = _linked(image.url, f"{at}.image_url.url")
            if image.detail is None:
                return Media(kind="image", source=source, detail=part.detail, at=at)
            return Media(kind="image", source=source, detail=image.detail, detail_at="image_url.detail", at=at)
        case None if part.file_id is not None:
            source_of_file = FileSource(file_id=part.file_id, protocol=wire.NAME)
            return Media(kind="image", source=source_of_file, detail=part.detail, at=at)
        case None:
            raise missing(f"{at}.image_url")


def _decode_file(part: wire.FilePart, at: str) -> Media:
    source: MediaSource
    if part.file_id is not None:
        source = FileSource(file_id=part.file_id, protocol=wire.NAME)
        return Media(kind="file", source=source, name=part.filename, detail=part.detail, at=at)
    if part.file_url is not None:
        source = _linked(part.file_url, f"{at}.file_url")
        return Media(kind="document", source=source, name=part.filename, detail=part.detail, at=at)
    if part.file_data is None:
        raise missing(f"{at}.file_data")
    if part.file_data.startswith("data:"):
        source = _linked(part.file_data, f"{at}.file_data")
    elif _BASE64.fullmatch(part.file_data):
        source = Base64Source(media_type=_PDF, data=part.file_data)
    else:
        raise no_base64(f"{at}.file_data")
    media_type = source.media_type if isinstance(source, Base64Source) else _PDF
    is_document = media_type == _PDF or media_type.startswith("text/")
    kind: Literal["document", "file"] = "document" if is_document else "file"
    return Media(kind=kind, source=source, name=part.filename, detail=part.detail, at=at)


def _linked(url: str, param: str) -> Base64Source | UrlSource:
    if _WEB_URL.match(url):
        return UrlSource(url=url)
    match = _DATA_URL.fullmatch(url)
    if match is None:
        raise MalformedRequest(
            f"Invalid '{param}': expected a URL of http or https, or a data URL in base64.",
            code="invalid_image_url",
            param=param,
        )
    return Base64Source(media_type=match["type"].lower(), data=match["data"])


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_media(block: Media, *, is_own: bool, takes_image_urls: bool) -> JsonObject:
    """Return media as a content part, without mark and extras.

    Args:
        block: Its source is no text and no blocks: those are said as parts of their own.
        is_own: It came from this protocol, so what the upstream takes is the caller's to know.
        takes_image_urls: The upstream fetches images.

    Raises:
        Unsupported: There is no such part.
    """
    source = block.source
    is_image = block.kind == "image"
    match source:
        case FileSource():
            if source.protocol != wire.NAME:
                raise _refused(block, "Files live at the vendor that they were uploaded to. Send the content.")
            written: JsonObject = {"type": "input_image" if is_image else "input_file", "file_id": source.file_id}
            return _described(written, block)
        case UrlSource() if is_image:
            if not takes_image_urls:
                raise _refused(block, "The upstream fetches nothing. Send the content itself.")
            return _described({"type": "input_image", "image_url": source.url}, block)
        case UrlSource() if block.kind in ("document", "file"):
            return _described({"type": "input_file", "file_url": source.url}, block)
        case UrlSource():
            if block.kind == "audio" and is_own:
                return {"type": "input_audio", "audio_url": source.url}
            raise _refused(block, f"The upstream takes no {block.kind} by its URL. Send the content itself.")
        case Base64Source():
            return _encode_data(block, source, is_own=is_own)
        case TextSource() | BlocksSource():
            raise AssertionError("text is said as text")
        case _:
            assert_never(source)


def _encode_data(block: Media, source: Base64Source, *, is_own: bool) -> JsonObject:
    kind, url = block.kind, f"data:{source.media_type};base64,{source.data}"
    if kind == "image" or (kind in ("document", "file") and source.media_type.startswith("image/") and not is_own):
        return _described({"type": "input_image", "image_url": url}, block)
    if kind == "audio":
        format_ = _AUDIO_FORMATS.get(source.media_type)
        if format_ is None and not is_own:
            raise _refused(block, "The upstream takes recordings as WAV or MP3.")
        audio = {"data": source.data, "format": format_ or source.media_type.partition("/")[2]}
        return {"type": "input_audio", "input_audio": audio}
    if kind == "video":
        raise _refused(block, "The upstream takes no films.")
    written: JsonObject = {"type": "input_file", "file_data": url}
    if block.name is None and not is_own:
        written["filename"] = "document.pdf" if source.media_type == _PDF else "document"  # the vendor wants one
    return _described(written, block)


def _described(written: JsonObject, block: Media) -> JsonObject:
    if block.name is not None and written["type"] == "input_file":
        written["filename"] = block.name
    if block.detail is not None:
        written["detail"] = block.detail
    return written


def _refused(block: Media, message: str) -> Unsupported:
    return Unsupported(message, param=block.at or None)
