"""The content of a message, both ways.

A part of known shape becomes its canonical value; unknown fields of one are kept in its ``extras``. A part that has no
canonical form is kept whole, as `Opaque`. Content of one plain text part is the same as its text, and is written so.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, Raw

from ...canonical import (
    Block,
    BlocksSource,
    CacheMark,
    Extras,
    Media,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
)
from ...codec import RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json
from ...json_pieces import JsonObject, Shape, bound, present, put_extras, set_fields
from ...profiles import Profile
from ..one_turn import is_plain
from . import wire
from .media import MediaPart, decode_media, encode_media

AUDIO: Final = "message.audio"
"""Type of the `Opaque` that stands for a spoken answer, which stands beside the content of its message."""
EXPLICIT: Final = "explicit"
"""The one mode that a cache breakpoint has; any other is kept as it came."""
BEHIND_A_CALL: Final = "text stands before all calls here"
"""Why text that came behind a call is told to be ``moved``."""

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_LIST: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)


class _Kind(msgspec.Struct):
    type: str


class _Breakpoint(wire.Strict):
    mode: str | None = None
    ttl: str | None = None


_KIND: Final = msgspec.json.Decoder(_Kind)
_BREAKPOINT: Final = Shape(_Breakpoint)
_URL: Final = Shape(wire.Url)
_SHAPES: Final[Mapping[str, Shape[wire.Part]]] = {
    "text": Shape(wire.TextPart),
    "input_text": Shape(wire.InputTextPart),
    "output_text": Shape(wire.OutputTextPart),
    "image_url": Shape(wire.ImagePart, image_url=Shape(wire.ImageUrl)),
    "input_image": Shape(wire.InputImagePart, image_url=Shape(wire.ImageUrl)),
    "input_audio": Shape(wire.AudioPart, input_audio=Shape(wire.InputAudio)),
    "file": Shape(wire.FilePart, file=Shape(wire.File)),
    "refusal": Shape(wire.RefusalPart),
    "video_url": Shape(wire.VideoUrlPart, video_url=_URL),
    "audio_url": Shape(wire.AudioUrlPart, audio_url=_URL),
    "document_url": Shape(wire.DocumentUrlPart, document_url=_URL),
}


def decode_content(content: str | Sequence[wire.KnownPart], at: str, limits: RequestLimits) -> tuple[Block, ...]:
    """Return the blocks of a content of known shape.

    Raises:
        MalformedRequest: With ``param``: a part that cannot be meant.
    """
    if isinstance(content, str):
        return (Text(text=content, at=at),)
    bound(len(content), limits.max_parts, at)
    return tuple([_decode_part(part, {}, f"{at}[{position}]") for position, part in enumerate(content)])


def read_content(raw: Raw, at: str, limits: RequestLimits) -> tuple[Block, ...]:
    """Return the blocks of a content of any shape; raises as `decode_content`."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return (Text(text=decode_json(_TEXT, raw, at), at=at),)
    if not text.startswith(b"["):
        raise MalformedRequest(
            f"Invalid type for '{at}': expected a string or an array.", code="invalid_type", param=at
        )
    parts = decode_json(_LIST, raw, at)
    bound(len(parts), limits.max_parts, at)
    return tuple([_read_part(part, f"{at}[{position}]") for position, part in enumerate(parts)])


def _read_part(raw: Raw, at: str) -> Block:
    kind = decode_json(_KIND, raw, at).type
    shape = _SHAPES.get(kind)
    if shape is None:
        return Opaque(protocol=wire.NAME, type=kind, raw=raw, at=at)
    part, extras = shape.read(raw, at)
    return _decode_part(part, extras, at)


def _decode_part(part: wire.Part, extras: Extras, at: str) -> Block:
    mark: CacheMark | None = None
    if part.cache_control is not UNSET:
        extras = {**set_fields(part, "cache_control"), **extras}
    if (breakpoint_ := present(part.prompt_cache_breakpoint)) is not None:
        place = f"{at}.prompt_cache_breakpoint"
        found, more = _BREAKPOINT.read(breakpoint_, place)
        if found.mode not in (None, EXPLICIT):
            more = {"mode": Raw(msgspec.json.encode(found.mode)), **more}
        mark = CacheMark(ttl=found.ttl, extras=more, at=place)
    match part:
        case wire.TextPart():
            if isinstance(part, wire.OutputTextPart):
                extras = {**set_fields(part, "annotations"), **extras}
            return Text(text=part.text, cache=mark, extras=extras, at=at)
        case wire.RefusalPart():
            return Refusal(text=part.refusal, extras=extras, at=at)
        case _:
            assert isinstance(part, MediaPart)
            media = decode_media(part, at)
            return msgspec.structs.replace(media, cache=mark, extras=extras) if mark or extras else media


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_TTLS: Final[Mapping[str | None, str | None]] = {"1h": "30m", "30m": "30m", "12h": "12h"}
"""Lifetimes of cache marks -> those that the vendor has; others are left to its default."""


_MARK: Final = "prompt_cache_breakpoint"
_BETWEEN_BLOCKS: Final = "\n\n"
Content: TypeAlias = str | list[JsonObject | Raw]


class PartWriter:
    """Writes blocks as content parts.

    Args:
        is_own: They came from this protocol, so their extras are its own.
        profile: The upstream's.
        takes_marks: The model takes cache breakpoints, also of other protocols.
        notices: Where losses are reported.
    """

    def __init__(self, *, is_own: bool, profile: Profile, takes_marks: bool, notices: Notices) -> None:
        self.is_own = is_own
        self.profile = profile
        self.notices = notices
        self._takes_marks = takes_marks

    def parts(self, blocks: Iterable[Block]) -> list[JsonObject | Raw]:
        """Return blocks as parts; what has no place in a content is reported.

        Raises:
            Unsupported: With ``param``, the path of what nothing can stand in for.
        """
        written: list[JsonObject | Raw] = []
        for block in blocks:
            written += self._part(block)
        return written

    def content(self, blocks: Sequence[Block], *, keeps_parts: bool) -> Content:
        """Return blocks as a content: plain text as a string, anything else as parts; empty if they say nothing.

        Args:
            blocks: Of a message, or of a tool's result.
            keeps_parts: Several texts are several parts, if the upstream takes lists of them; else one string.

        Raises:
            Unsupported: As `parts`.
        """
        only = blocks[0] if len(blocks) == 1 else None
        if only is not None and is_plain(only):
            return only.text
        parts = self.parts(blocks)
        if not parts or (len(parts) > 1 and keeps_parts and self.profile.text_lists):
            return parts or ""
        texts = _plain_texts(parts)
        return parts if texts is None else _BETWEEN_BLOCKS.join(texts)

    def speech(self, runs: Sequence[Sequence[Block]]) -> Content:
        """Return what an assistant says as a content: its texts are one, as they were told.

        Args:
            runs: Blocks that follow each other; between two runs something else stood, which has no place here.

        Raises:
            Unsupported: As `parts`.
        """
        if self.is_own and self.profile.text_lists:
            return self.content([block for run in runs for block in run], keeps_parts=True)
        told = [run for run in runs if run]
        if len(told) == 1 and len(told[0]) == 1 and is_plain(only := told[0][0]):
            return only.text
        written = [self.parts(run) for run in told]
        texts = [_plain_texts(parts) for parts in written]
        if None in texts:
            return [part for parts in written for part in parts]
        said = ["".join(run) for run in texts if run]
        return _BETWEEN_BLOCKS.join(run for run in said if run)

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own, without what the profile drops; report all others."""
        kept = {name: raw for name, raw in extras.items() if name not in self.profile.drop} if self.is_own else {}
        for name in extras.keys() - kept.keys():
            self.notices.unknown(at, name, "the upstream has no such field")
        return kept

    def report_mark(self, mark: CacheMark | None, at: str) -> None:
        """Report a cache mark where the upstream has no place for one."""
        if mark is not None:
            self.notices.hint(mark.at or f"{at}.cache_control", "no cache mark can stand here")

    def marked(self, written: JsonObject, mark: CacheMark | None, at: str) -> JsonObject:
        """Add a cache mark to a part, if the upstream takes it."""
        if mark is None:
            return written
        place = mark.at or f"{at}.cache_control"
        is_taken = _MARK not in self.profile.drop if self.is_own else self._takes_marks
        if not is_taken:
            self.notices.hint(place, "the upstream caches by itself")
            return written
        ttl = mark.ttl if self.is_own else _TTLS.get(mark.ttl)
        if ttl != mark.ttl:
            self.notices.hint(place, "the nearest lifetime that the vendor has", action="coerced")
        lifetime: JsonObject = {} if ttl is None else {"ttl": ttl}
        extras = self.own(mark.extras, place)
        return {**written, _MARK: {"mode": EXPLICIT, **lifetime, **extras}}

    def _part(self, block: Block) -> list[JsonObject | Raw]:
        match block:
            case Text():
                return self._text(block)
            case Media():
                return self._media(block)
            case Refusal():
                return [put_extras({"type": "refusal", "refusal": block.text}, self.own(block.extras, block.at))]
            case Opaque():
                return self._opaque(block)
            case Reasoning() | ToolCall() | ToolResult():
                self.notices.lost(block.at or "content", "it cannot stand in this message")
                return []
            case _:
                assert_never(block)

    def _text(self, block: Text) -> list[JsonObject | Raw]:
        if not block.text and not self.is_own:
            return []
        for citation in block.citations:
            self.notices.lost(citation.at or f"{block.at}.citations", "text that is sent back cites nothing")
        written = self.marked({"type": "text", "text": block.text}, block.cache, block.at)
        return [put_extras(written, self.own(block.extras, block.at)) if block.extras else written]

    def _opaque(self, block: Opaque) -> list[JsonObject | Raw]:
        if block.protocol == wire.NAME:
            return [block.raw]
        if block.fallback == "":
            self.notices.hint(block.at or "content", "it says nothing to a model")
            return []
        if block.fallback is not None:
            self.notices.changed(block.at or "content", "said in plain text")
            return [{"type": "text", "text": block.fallback}]
        if block.is_required:
            raise Unsupported("Only the vendor that wrote this block can read it.", param=block.at or None)
        self.notices.lost(block.at or "content", "the upstream has no such content part")
        return []

    def _media(self, block: Media) -> list[JsonObject | Raw]:
        if block.citations_enabled:
            self.notices.lost(f"{block.at}.citations", "the upstream cites no documents")
        match block.source:
            case TextSource(text=text):
                said: JsonObject = {"type": "text", "text": said_of(block, text)}
                self.notices.changed(block.at, "a document of text is sent as text")
                self.own(block.extras, block.at)
                return [self.marked(said, block.cache, block.at)]
            case BlocksSource(blocks=blocks):
                self.notices.changed(block.at, "a document of blocks is sent as the blocks")
                self.report_mark(block.cache, block.at)
                self.own(block.extras, block.at)
                header = said_of(block, "")
                return self.parts((Text(text=header, at=block.at), *blocks) if header else blocks)
            case _:
                return self._file(block)

    def _file(self, block: Media) -> list[JsonObject | Raw]:
        if block.detail == "original" and not self.profile.original_detail:
            self.notices.changed(f"{block.at}.{block.detail_at}", "the most that the upstream has", action="coerced")
            block = msgspec.structs.replace(block, detail="high")
        written = encode_media(block, is_own=self.is_own, profile=self.profile)
        marked = self.marked(written, block.cache, block.at)
        part: list[JsonObject | Raw] = [put_extras(marked, self.own(block.extras, block.at))]
        if block.context is None:
            return part
        self.notices.changed(f"{block.at}.context", "said in a text before the document", action="moved")
        return [{"type": "text", "text": block.context}, *part]


def said_of(block: Media, text: str) -> str:
    """Return a document's text under its title and what the sender says about it."""
    return "\n\n".join(piece for piece in (block.name, block.context, text) if piece)


def _plain_texts(parts: Sequence[JsonObject | Raw]) -> list[str] | None:
    """Return the texts of parts that are nothing but text; None: some are more."""
    texts: list[str] = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) and len(part) == 2 else None
        if not isinstance(text, str):
            return None
        texts.append(text)
    return texts
