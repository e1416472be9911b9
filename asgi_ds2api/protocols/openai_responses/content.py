"""The content of a message and of a tool's result, both ways.

A part of known shape becomes its canonical value; unknown fields of one are kept in its ``extras``. A part that has no
canonical form is kept whole, as `Opaque`. Content of one plain text is the same as its text, and is written so.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    BlocksSource,
    CacheMark,
    Citation,
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
from ...json_pieces import JsonObject, Shape, bound, fields_of, number_of, present, put_extras, set_fields, text_of
from ...profiles import Profile
from . import wire
from .media import decode_media, encode_media

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
_WORDS: Final = Shape(wire.TextPart)
_SHAPES: Final[Mapping[str, Shape[wire.Part]]] = {
    "input_text": _WORDS,
    "output_text": _WORDS,
    "text": _WORDS,
    "refusal": Shape(wire.RefusalPart),
    "input_image": Shape(wire.ImagePart, image_url=Shape(wire.ImageUrl)),
    "input_file": Shape(wire.FilePart),
    "input_audio": Shape(wire.AudioPart, input_audio=Shape(wire.InputAudio)),
}


def read_content(raw: Raw, at: str, limits: RequestLimits) -> tuple[Block, ...]:
    """Return the blocks of a content.

    Raises:
        MalformedRequest: With ``param``: it is none, or a part cannot be meant.
    """
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
    match part:
        case wire.RefusalPart():
            return Refusal(text=part.refusal, extras=extras, at=at)
        case wire.TextPart():
            citations = tuple(
                [decode_citation(item, f"{at}.annotations[{i}]") for i, item in enumerate(part.annotations or ())]
            )
            logprobs = present(part.logprobs)
            if logprobs is not None and bytes(logprobs) != b"[]":
                extras = {**set_fields(part, "logprobs"), **extras}
            return Text(text=part.text, citations=citations, cache=_mark(part, at), extras=extras, at=at)
        case _:
            media = decode_media(part, at)
            mark = _mark(part, at)
            return msgspec.structs.replace(media, cache=mark, extras=extras) if mark or extras else media


def _mark(part: wire.TextPart | wire.ImagePart | wire.FilePart | wire.AudioPart, at: str) -> CacheMark | None:
    raw = present(part.prompt_cache_breakpoint)
    if raw is None:
        return None
    place = f"{at}.prompt_cache_breakpoint"
    found, extras = _BREAKPOINT.read(raw, place)
    if found.mode not in (None, "explicit"):
        extras = {**extras, "mode": Raw(msgspec.json.encode(found.mode))}
    return CacheMark(ttl=found.ttl, extras=extras, at=place)


def decode_citation(raw: Raw, at: str, before: int = 0) -> Citation:
    """Return an annotation of a text.

    Args:
        raw: The annotation, whose span counts from the beginning of its part.
        at: Where it stands.
        before: Length of the answer's text before that part.
    """
    fields = fields_of(raw)
    start, end = number_of(fields.get("start_index")), number_of(fields.get("end_index"))
    return Citation(
        protocol=wire.NAME,
        raw=raw,
        url=text_of(fields.get("url")),
        title=text_of(fields.get("title")),
        start=None if start is None else before + start,
        end=None if end is None else before + end,
        at=at,
    )


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_TTLS: Final[Mapping[str | None, str | None]] = {"1h": "12h", "30m": "30m", "12h": "12h"}
"""Lifetimes of cache marks -> those that the vendor has; others are left to its default."""

Content: TypeAlias = str | list[JsonObject | Raw]
Side: TypeAlias = Literal["input_text", "output_text"]
"""What a text is called: in what the model is told, and in what it said."""


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

    def content(self, blocks: Sequence[Block], side: Side) -> Content:
        """Return blocks as a content: plain text as a string, anything else as parts; empty if they say nothing.

        Raises:
            Unsupported: With ``param``, the path of what nothing can stand in for.
        """
        only = blocks[0] if len(blocks) == 1 else None
        if type(only) is Text and not (only.cache or only.extras or only.citations):
            return only.text
        parts = self.parts(blocks, side)
        first = parts[0] if len(parts) == 1 else None
        text = first.get("text") if isinstance(first, dict) and len(first) == 2 else None
        return text if isinstance(text, str) else parts or ""

    def parts(self, blocks: Iterable[Block], side: Side) -> list[JsonObject | Raw]:
        """Return blocks as parts; what has no place in a content is reported. Raises as `content`."""
        written: list[JsonObject | Raw] = []
        for block in blocks:
            written += self._part(block, side)
        return written

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own, without a client's private ones; else report each."""
        if not extras:
            return extras
        if self.is_own:
            for name in wire.PRIVATE & extras.keys():
                self.notices.hint(f"{at}.{name}", "of the client's own: servers know no such field")
            return {name: value for name, value in extras.items() if name not in wire.PRIVATE}
        for name in extras:
            self.notices.unknown(at, name, "the upstream has no such field")
        return {}

    def report_mark(self, mark: CacheMark | None, at: str) -> None:
        """Report a cache mark where the upstream has no place for one."""
        if mark is not None:
            self.notices.hint(mark.at or f"{at}.cache_control", "no cache mark can stand here")

    def _marked(self, written: JsonObject, mark: CacheMark | None, at: str, *, is_allowed: bool = True) -> JsonObject:
        """Add a cache mark to a part, if the upstream takes it."""
        if mark is None:
            return written
        place = mark.at or f"{at}.cache_control"
        if not ((self.is_own or self._takes_marks) and is_allowed):
            self.notices.hint(place, "the upstream caches by itself")
            return written
        ttl = mark.ttl if self.is_own else _TTLS.get(mark.ttl)
        if ttl != mark.ttl:
            self.notices.hint(place, "the nearest lifetime that the vendor has", action="coerced")
        lifetime: JsonObject = {} if ttl is None else {"ttl": ttl}
        return {**written, "prompt_cache_breakpoint": {"mode": "explicit", **lifetime, **self.own(mark.extras, place)}}

    def _part(self, block: Block, side: Side) -> list[JsonObject | Raw]:
        match block:
            case Text():
                return self._text(block, side)
            case Media():
                return self._media(block, side)
            case Refusal():
                return [put_extras({"type": "refusal", "refusal": block.text}, self.own(block.extras, block.at))]
            case Opaque():
                return self.opaque(block, side)
            case Reasoning() | ToolCall() | ToolResult():
                self.notices.lost(block.at or "content", "it cannot stand in this message")
                return []
            case _:
                assert_never(block)

    def _text(self, block: Text, side: Side) -> list[JsonObject | Raw]:
        if not block.text and not self.is_own:
            return []
        written: JsonObject = {"type": side, "text": block.text}
        if side == "output_text" and self.is_own:
            written["annotations"] = [citation.raw for citation in block.citations]
        else:
            for citation in block.citations:
                self.notices.lost(citation.at or f"{block.at}.citations", "text that is sent back cites nothing")
        marked = self._marked(written, block.cache, block.at, is_allowed=side == "input_text")
        return [put_extras(marked, self.own(block.extras, block.at)) if block.extras else marked]

    def opaque(self, block: Opaque, side: Side) -> list[JsonObject | Raw]:
        """Return a block that only its own protocol understands; raises as `content`."""
        if block.protocol == wire.NAME:
            return [block.raw]
        at = block.at or "content"
        if block.fallback == "":
            self.notices.hint(at, "it says nothing to a model")
            return []
        if block.fallback is not None:
            self.notices.changed(at, "said in plain text")
            return [{"type": side, "text": block.fallback}]
        if block.is_required:
            raise Unsupported("Only the vendor that wrote this block can read it.", param=block.at or None)
        self.notices.lost(at, "the upstream has no such content part")
        return []

    def _media(self, block: Media, side: Side) -> list[JsonObject | Raw]:
        if block.citations_enabled:
            self.notices.lost(f"{block.at}.citations", "the upstream cites no documents")
        if side == "output_text" and not isinstance(block.source, TextSource):
            self.notices.lost(block.at or "content", "an assistant's message holds text only")
            return []
        match block.source:
            case TextSource(text=text):
                self.notices.changed(block.at, "a document of text is sent as text")
                self.own(block.extras, block.at)
                said: JsonObject = {"type": side, "text": said_of(block, text)}
                return [self._marked(said, block.cache, block.at, is_allowed=side == "input_text")]
            case BlocksSource(blocks=blocks):
                self.notices.changed(block.at, "a document of blocks is sent as the blocks")
                self.report_mark(block.cache, block.at)
                self.own(block.extras, block.at)
                header = said_of(block, "")
                return self.parts((Text(text=header, at=block.at), *blocks) if header else blocks, side)
            case _:
                return self._file(block)

    def _file(self, block: Media) -> list[JsonObject | Raw]:
        written = encode_media(block, is_own=self.is_own, takes_image_urls=self.profile.image_urls)
        if block.name is not None and "filename" not in written:
            self.notices.hint(f"{block.at}.title", "an image has no name here")
        marked = self._marked(written, block.cache, block.at)
        part: list[JsonObject | Raw] = [put_extras(marked, self.own(block.extras, block.at))]
        if block.context is None:
            return part
        self.notices.changed(f"{block.at}.context", "said in a text before the document", action="moved")
        return [{"type": "input_text", "text": block.context}, *part]


def said_of(block: Media, text: str) -> str:
    """Return a document's text under its title and what the sender says about it."""
    return "\n\n".join(piece for piece in (block.name, block.context, text) if piece)
