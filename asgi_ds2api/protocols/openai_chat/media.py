"""Images, recordings, films and documents, both ways.

Nothing is fetched and nothing is converted: what has no place at an upstream is refused by its path, before it costs a
call.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, assert_never

from ...canonical import Base64Source, BlocksSource, FileSource, Media, MediaSource, TextSource, UrlSource
from ...errors import MalformedRequest, Unsupported
from ...json_pieces import JsonObject, missing, no_base64
from ...profiles import Profile
from . import wire

DATA_URL: Final = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w-]+=[\w.+-]+)*;base64,(?P<data>[A-Za-z0-9+/]*={0,2})"
)
_WEB_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")

_AUDIO_TYPES: Final[Mapping[str, str]] = {"mp3": "audio/mpeg", "wav": "audio/wav"}
"""Formats that the vendor takes."""
_AUDIO_FORMATS: Final = {
    **{media_type: format_ for format_, media_type in _AUDIO_TYPES.items()},
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}
_PDF: Final = "application/pdf"

MediaPart: TypeAlias = (
    wire.ImagePart
    | wire.InputImagePart
    | wire.AudioPart
    | wire.FilePart
    | wire.VideoUrlPart
    | wire.AudioUrlPart
    | wire.DocumentUrlPart
)
_DETAIL: Final = "image_url.detail"
_URL: Final = "image_url.url"
_FILE: Final = "file"
_LINKED: Final[Mapping[str, str]] = {"video": "video_url", "audio": "audio_url", "document": "document_url"}
"""Parts of look-alikes that hold a URL, by kind."""

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_media(part: MediaPart, at: str) -> Media:
    """Return a part's media, without mark and extras.

    Raises:
        MalformedRequest: A URL that nobody could read, content that is no base64, a file without content.
    """
    match part:
        case wire.ImagePart(image_url=str(url)):
            source = _linked(url, f"{at}.image_url")
            return Media(kind="image", source=source, source_at="image_url", detail=part.detail, at=at)
        case wire.ImagePart(image_url=wire.ImageUrl() as image):
            source = _linked(image.url, f"{at}.image_url.url")
            if image.detail is None:
                return Media(kind="image", source=source, source_at=_URL, detail=part.detail, at=at)
            return Media(kind="image", source=source, source_at=_URL, detail=image.detail, detail_at=_DETAIL, at=at)
        case wire.AudioPart(input_audio=audio):
            if not _BASE64.fullmatch(audio.data):
                raise no_base64(f"{at}.input_audio.data")
            media_type = _AUDIO_TYPES.get(audio.format, f"audio/{audio.format}")
            recording = Base64Source(media_type=media_type, data=audio.data)
            return Media(kind="audio", source=recording, source_at="input_audio", at=at)
        case wire.FilePart():
            return _decode_file(part.file, at)
        case wire.VideoUrlPart():
            return Media(kind="video", source=_linked(_url(part.video_url), f"{at}.video_url"), at=at)
        case wire.AudioUrlPart():
            return Media(kind="audio", source=_linked(_url(part.audio_url), f"{at}.audio_url"), at=at)
        case wire.DocumentUrlPart():
            source = _linked(_url(part.document_url), f"{at}.document_url")
            return Media(kind="document", source=source, name=part.document_name, at=at)
    raise AssertionError(part)


def _decode_file(file: wire.File, at: str) -> Media:
    if file.file_id is not None:
        source: MediaSource = FileSource(file_id=file.file_id, protocol=wire.NAME)
        return Media(kind="file", source=source, source_at=_FILE, name=file.filename, at=at)
    if file.file_data is None:
        raise missing(f"{at}.file.file_data")
    if file.file_data.startswith("data:") or _WEB_URL.match(file.file_data):
        source = _linked(file.file_data, f"{at}.file.file_data")
    elif _BASE64.fullmatch(file.file_data):
        source = Base64Source(media_type=_PDF, data=file.file_data)
    else:
        raise no_base64(f"{at}.file.file_data")
    is_document = isinstance(source, UrlSource) or source.media_type == _PDF or source.media_type.startswith("text/")
    kind: Literal["document", "file"] = "document" if is_document else "file"
    return Media(kind=kind, source=source, source_at=_FILE, name=file.filename, at=at)


def _linked(url: str, param: str) -> Base64Source | UrlSource:
    if _WEB_URL.match(url):
        return UrlSource(url=url)
    match = DATA_URL.fullmatch(url)
    if match is None:
        raise MalformedRequest(
            f"Invalid '{param}': expected a URL of http or https, or a data URL in base64.",
            code="invalid_image_url",
            param=param,
        )
    return Base64Source(media_type=match["type"].lower(), data=match["data"])


def _url(holder: wire.Url | str) -> str:
    return holder if isinstance(holder, str) else holder.url


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_media(block: Media, *, is_own: bool, profile: Profile) -> JsonObject:
    """Return media as a content part, without mark and extras.

    Args:
        block: Its source is no text and no blocks: those are said as parts of their own.
        is_own: It came from this protocol, so what the upstream takes is the caller's to know.
        profile: The upstream's.

    Raises:
        Unsupported: There is no such part.
    """
    source = block.source
    match source:
        case FileSource():
            if source.protocol != wire.NAME:
                raise _refused(block, "Files live at the vendor that they were uploaded to. Send the content.")
            return {"type": "file", "file": _named({"file_id": source.file_id}, block)}
        case UrlSource() if block.kind == "image":
            if not profile.image_urls:
                raise _refused(block, "The upstream fetches nothing. Send the content itself.")
            return _image(block, source.url, profile)
        case UrlSource():
            return _encode_link(block, source.url, is_own=is_own or _is_linked_document(block, profile))
        case Base64Source():
            return _encode_data(block, source, profile, is_own=is_own)
        case TextSource() | BlocksSource():
            raise AssertionError("text is said as text")
        case _:
            assert_never(source)


def url_of(source: Base64Source | UrlSource) -> str:
    """Return a URL that holds or names the content."""
    return source.url if isinstance(source, UrlSource) else f"data:{source.media_type};base64,{source.data}"


def _encode_link(block: Media, url: str, *, is_own: bool) -> JsonObject:
    field = _LINKED.get(block.kind)
    if field is None or not is_own:
        raise _refused(block, f"The upstream takes no {block.kind} by its URL. Send the content itself.")
    if block.kind != "document":
        return {"type": field, field: {"url": url}}
    name: JsonObject = {} if block.name is None else {"document_name": block.name}
    return {"type": field, field: url, **name}


def _is_linked_document(block: Media, profile: Profile) -> bool:
    return block.kind == "document" and profile.documents == "document_url"


def _encode_data(block: Media, source: Base64Source, profile: Profile, *, is_own: bool) -> JsonObject:
    kind = block.kind
    if kind == "image" or (kind in ("document", "file") and source.media_type.startswith("image/")):
        return _image(block, url_of(source), profile)
    if _is_linked_document(block, profile):
        return _encode_link(block, url_of(source), is_own=True)
    if kind == "audio":
        format_ = _AUDIO_FORMATS.get(source.media_type)
        if format_ is None and not is_own:
            raise _refused(block, "The upstream takes recordings as WAV or MP3.")
        if profile.audio == "text":
            return {"type": "input_audio", "input_audio": source.data}
        audio = {"data": source.data, "format": format_ or source.media_type.partition("/")[2]}
        return {"type": "input_audio", "input_audio": audio}
    if kind == "video":
        if not is_own:
            raise _refused(block, "The upstream takes no films.")
        return {"type": "video_url", "video_url": {"url": url_of(source)}}
    file: JsonObject = {"file_data": url_of(source)}
    if block.name is None and not is_own:
        file["filename"] = "document.pdf" if source.media_type == _PDF else "document"  # the vendor wants one
    return {"type": "file", "file": _named(file, block)}


def _image(block: Media, url: str, profile: Profile) -> JsonObject:
    if not profile.images:
        raise _refused(block, "The upstream takes no images.")
    image: JsonObject = {"url": url}
    if block.detail is not None:
        image["detail"] = block.detail
    return {"type": "image_url", "image_url": image}


def _named(file: JsonObject, block: Media) -> JsonObject:
    return file if block.name is None else {**file, "filename": block.name}


def _refused(block: Media, message: str) -> Unsupported:
    return Unsupported(message, param=block.at or None)
