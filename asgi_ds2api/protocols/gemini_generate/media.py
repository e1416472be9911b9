"""Pictures, recordings, films and files, both ways: ``inlineData`` and ``fileData`` <-> `Media`.

The vendor takes any kind of file, as bytes or by URI. Its SDK writes base64 in the alphabet for URLs, perhaps without
padding; here and at other vendors it is standard. Nothing is fetched: a URL of another protocol goes on as one, if it
is one that the vendor can reach.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Raw

from ...canonical import Base64Source, Extras, FileSource, Media, UrlSource
from ...errors import Unsupported
from ...json_pieces import JsonObject, missing
from . import wire
from .wire import Shape, within

Kind: TypeAlias = Literal["image", "audio", "video", "document", "file"]

_INLINE: Final = Shape("mimeType", "data", "displayName")
_FILE: Final = Shape("mimeType", "fileUri", "displayName")
_TO_STANDARD: Final = str.maketrans("-_", "+/", "\r\n")

_KINDS: Final[Mapping[str, Kind]] = {"image": "image", "audio": "audio", "video": "video", "text": "document"}
_DOCUMENTS: Final = frozenset({"application/pdf", "application/x-pdf", "application/json", "application/xml"})
_PUBLIC: Final = re.compile(r"https?://(?!generativelanguage\.googleapis\.com/)", re.IGNORECASE)
"""Begins what means something to others than the vendor."""
_FILES_HOST: Final = re.compile(r"generativelanguage\.(?:[\w.-]+\.)?googleapis\.com")
"""Where the vendor keeps files that were uploaded, and reads them for whoever has the account's key."""
_FILM: Final = re.compile(r"https?://(?:www\.|m\.)?(?:youtube\.com|youtu\.be)/", re.IGNORECASE)
_ENDINGS: Final[Mapping[str, str]] = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "txt": "text/plain",
}
_USUAL: Final[Mapping[Kind, str]] = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "document": "application/pdf",
    "file": "application/octet-stream",
}
_ALIASES: Final = {"image/jpg": "image/jpeg", "application/x-pdf": "application/pdf", "audio/mpeg": "audio/mp3"}

# --- wire -> ours -----------------------------------------------------------------------------------------------------


def decode_inline(raw: Raw, extras: Extras, at: str) -> Media:
    """Return bytes that came in the message.

    Raises:
        MalformedRequest: With ``param``: no data, or a field of the wrong type.
    """
    fields, unknown = _INLINE.read(raw, at)
    if "data" not in fields:
        raise missing(f"{at}.data")
    media_type = wire.text(fields["mimeType"], f"{at}.mimeType") if "mimeType" in fields else ""
    kind = kind_of(media_type)
    return Media(
        kind=kind,
        source=Base64Source(media_type=media_type, data=standard_base64(wire.text(fields["data"], f"{at}.data"))),
        name=_name(fields, kind, unknown, at),
        extras={**extras, **within("inlineData", unknown)},
        at=at.rpartition(".")[0],
    )


def decode_file(raw: Raw, extras: Extras, at: str) -> Media:
    """Return a file that is named by its URI; its media type stays among the extras.

    Raises:
        MalformedRequest: With ``param``: no URI, or a field of the wrong type.
    """
    fields, unknown = _FILE.read(raw, at)
    if "fileUri" not in fields:
        raise missing(f"{at}.fileUri")
    uri = wire.text(fields["fileUri"], f"{at}.fileUri")
    media_type = wire.text(fields["mimeType"], f"{at}.mimeType") if "mimeType" in fields else None
    kind: Kind = "video" if media_type is None and _FILM.match(uri) else kind_of(media_type or "")
    if media_type is not None:
        unknown = {"mimeType": fields["mimeType"], **unknown}
    is_own = _PUBLIC.match(uri) is None
    return Media(
        kind=kind,
        source=FileSource(file_id=uri, protocol=wire.NAME) if is_own else UrlSource(url=uri),
        name=_name(fields, kind, unknown, at),
        extras={**extras, **within("fileData", unknown)},
        at=at.rpartition(".")[0],
    )


def _name(fields: Mapping[str, Raw], kind: Kind, unknown: Extras, at: str) -> str | None:
    """Return the name of a document; that of a picture, which has none elsewhere, goes to the extras."""
    if "displayName" not in fields:
        return None
    name = wire.text(fields["displayName"], f"{at}.displayName")
    if kind in ("document", "file"):
        return name
    unknown["displayName"] = fields["displayName"]
    return None


def standard_base64(data: str) -> str:
    """Return base64 of either alphabet in the standard one, with padding."""
    data = data.translate(_TO_STANDARD)
    return data if len(data) % 4 == 0 else data.rstrip("=") + "=" * (-len(data.rstrip("=")) % 4)


def kind_of(media_type: str) -> Kind:
    """Return what a media type is a kind of."""
    if media_type in _DOCUMENTS:
        return "document"
    return _KINDS.get(media_type.partition("/")[0], "file")


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def encode_media(block: Media) -> JsonObject | None:
    """Return the data field of a part; None: it is made of text, or of other blocks.

    Raises:
        Unsupported: A file of another vendor's.
    """
    match block.source:
        case Base64Source() as source:
            inline: JsonObject = {"mimeType": _media_type(source, block.kind), "data": _bare(source)}
            return {"inlineData": _named(inline, block)}
        case UrlSource(url=url):
            file: JsonObject = {"fileUri": url}
            if "fileData.mimeType" not in block.extras and not _FILM.match(url):
                file["mimeType"] = _guessed(url, block.kind)
            return {"fileData": _named(file, block)}
        case FileSource(protocol=wire.NAME, file_id=uri):
            return {"fileData": _named({"fileUri": uri}, block)}
        case FileSource():
            raise Unsupported("Files live at the vendor that they were uploaded to.", param=block.at or None)
        case _:
            return None


def check_url(url: str, at: str) -> None:
    """Refuse a URL that the vendor cannot reach, or should not: only names of the public web pass, over https.

    A file that was uploaded is no page of the web: whose it is, is asked where this vendor's own callers name it.

    Raises:
        Unsupported: With ``param``.
    """
    refusal = Unsupported("The upstream fetches public https URLs alone. Send the content itself.", param=at or None)
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme.lower() != "https" or "." not in host or host.endswith((".local", ".internal", ".localhost")):
        raise refusal
    if _FILES_HOST.fullmatch(host):
        raise Unsupported("Files of this vendor's are named in its own protocol alone.", param=at or None)
    try:
        is_public = ipaddress.ip_address(host).is_global
    except ValueError:
        return  # a name
    if not is_public:
        raise refusal


def _named(written: JsonObject, block: Media) -> JsonObject:
    return written if block.name is None else {**written, "displayName": block.name}


def _media_type(source: Base64Source, kind: Kind) -> str:
    media_type = source.media_type
    if source.data[:5].lower() == "data:":
        media_type = source.data[5:].partition(",")[0].partition(";")[0] or media_type
    return _ALIASES.get(media_type, media_type) or _USUAL[kind]


def _bare(source: Base64Source) -> str:
    """Return the data without a ``data:`` prefix, which clients leave on by mistake."""
    return source.data.partition(",")[2] if source.data[:5].lower() == "data:" else source.data


def _guessed(url: str, kind: Kind) -> str:
    ending = urlsplit(url).path.rpartition(".")[2].lower()
    return _ENDINGS.get(ending, _USUAL[kind])
