"""Content blocks, both ways: what stands in ``messages[i].content``, in ``system`` and in an answer's ``content``.

A block of known shape becomes its canonical value; unknown fields of one are kept in its ``extras``. A block that has
no canonical form, or whose inner parts are of an unknown shape, is carried whole (`Opaque`), with what it says in
plain text beside it.

Blocks are written without judging them: of requests of other protocols, ``preflight`` has taken out what Anthropic
does not take. What is left of their foreign fields is reported here, as it is here that it is not written.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, Raw

from ...canonical import (
    Base64Source,
    Block,
    BlocksSource,
    CacheMark,
    Citation,
    Extras,
    FileSource,
    Media,
    MediaSource,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
)
from ...codec import DEFAULT_LIMITS, RequestLimits
from ...errors import MalformedRequest, Unsupported
from ...json_guard import decode_json, encode_object, explain, is_too_deep
from ...json_pieces import NULL, JsonField, set_fields, without_null
from ...seal import PREFIX
from . import wire
from .plain_text import plain_text

JsonObject: TypeAlias = dict[str, object]

# --- wire -> ours -----------------------------------------------------------------------------------------------------


class _Typed(msgspec.Struct):
    type: str


class _Cited(msgspec.Struct):
    url: str | None = None
    title: str | None = None
    document_title: str | None = None
    source: str | None = None
    cited_text: str | None = None


_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_ANY: Final = msgspec.json.Decoder(Raw)
_CONTENT: Final = msgspec.json.Decoder(str | list[wire.KnownBlock])
_PIECES: Final = msgspec.json.Decoder(str | list[Raw])
_BLOCK: Final[msgspec.json.Decoder[wire.KnownBlock]] = msgspec.json.Decoder(wire.KnownBlock)
_TYPED: Final = msgspec.json.Decoder(_Typed)
_CITED: Final = msgspec.json.Decoder(_Cited)
_TTL: Final = msgspec.json.Decoder(str | None)

_SHALLOW_BYTES: Final = 128
"""A text of so few bytes cannot be nested too deep."""
_PLAIN_MARK: Final = CacheMark()
_NONE: Final[Extras] = {}
_PLACES: Final = tuple(f"[{i}]" for i in range(32))
"""Ends of paths, which are made for every block of every request."""
_UNKNOWN_SHAPE: Final = ("Object contains unknown field", "Invalid value", "Invalid enum value")
"""What msgspec says of a shape that is newer than this file; everything else is a mistake of the sender's."""


def decode_content(content: str | Sequence[wire.KnownBlock], at: str, limits: RequestLimits) -> tuple[Block, ...]:
    """Return the blocks of a content of known shape.

    Args:
        content: As it was read; an empty string has no blocks.
        at: Path of the content (``messages[2].content``).
        limits: Bounds the number of blocks.

    Raises:
        MalformedRequest: More blocks than that.
    """
    if isinstance(content, str):
        return (Text(text=content, at=at),) if content else ()
    _check_count(len(content), at, limits)
    blocks: list[Block] = []
    for i, block in enumerate(content):
        place = at + _PLACES[i] if i < len(_PLACES) else f"{at}[{i}]"
        if type(block) is wire.TextBlock and block.cache_control is None and not block.citations:
            blocks.append(Text(text=block.text, at=place))
        else:
            blocks.append(_from_wire(block, place, _NONE, limits))
    return tuple(blocks)


def read_content(raw: Raw, at: str, limits: RequestLimits) -> tuple[Block, ...]:
    """Return the blocks of a content of any shape.

    Raises:
        MalformedRequest: Neither text nor a list of blocks, too many of them, or a block is malformed.
    """
    try:
        return decode_content(_CONTENT.decode(raw), at, limits)
    except msgspec.ValidationError:
        pieces = decode_json(_PIECES, raw, at)
    assert not isinstance(pieces, str), "a content that is text is of known shape"
    _check_count(len(pieces), at, limits)
    return tuple([read_block(piece, f"{at}[{i}]", limits) for i, piece in enumerate(pieces)])


def read_block(raw: Raw, at: str, limits: RequestLimits = DEFAULT_LIMITS) -> Block:
    """Return a block of any shape, of a request or an answer.

    Raises:
        MalformedRequest: No object with a ``type``, or a known block with a missing or wrong field.
    """
    try:
        return _from_wire(_BLOCK.decode(raw), at, _NONE, limits)
    except msgspec.ValidationError:
        fields = decode_json(_OBJECT, raw, at)
    kind = decode_json(_TYPED, raw, at).type
    struct = wire.BLOCK_TYPES.get(kind)
    if struct is None:
        return _opaque(kind, raw, fields, at)
    parts: dict[str, object] = {}
    if (mark := read_mark(fields.pop("cache_control", None), f"{at}.cache_control")) is not None:
        parts["cache"] = mark
    if kind == "tool_result" and (content := without_null(fields).get("content")) is not None:
        parts["blocks"] = read_content(content, f"{at}.content", limits)
        del fields["content"]
    names = (*struct.__struct_fields__, "type")
    known = {name: value for name, value in fields.items() if name in names}
    unknown = {name: value for name, value in fields.items() if name not in names}
    try:
        block = _from_wire(_BLOCK.decode(encode_object(known)), at, without_null(unknown), limits)
    except msgspec.ValidationError as exc:
        if str(exc).startswith(_UNKNOWN_SHAPE):
            return _opaque(kind, raw, fields, at)
        problem = explain(exc, b"", at)
        raise MalformedRequest(problem.message, code=problem.code, param=problem.param) from None
    return msgspec.structs.replace(block, **parts) if parts else block


def read_mark(raw: Raw | None, at: str) -> CacheMark | None:
    """Return a ``cache_control`` of any shape, which stands at ``at``.

    Raises:
        MalformedRequest: No object.
    """
    if raw is None or bytes(raw) == NULL:
        return None
    fields = decode_json(_OBJECT, raw, at)
    ttl = decode_json(_TTL, fields.pop("ttl", NULL), f"{at}.ttl")
    if bytes(fields.get("type", b"")) == b'"ephemeral"':
        del fields["type"]
    return CacheMark(ttl=ttl, extras=without_null(fields))


def decode_mark(control: wire.CacheControl | None) -> CacheMark | None:
    """Return a ``cache_control`` of known shape."""
    if control is None:
        return None
    return _PLAIN_MARK if control.ttl is None else CacheMark(ttl=control.ttl)


def decode_citation(raw: Raw, at: str) -> Citation:
    """Return a citation; whatever of it cannot be read is still in ``raw``."""
    try:
        cited = _CITED.decode(raw)
    except msgspec.MsgspecError:
        cited = _Cited()
    source_url = cited.source if cited.source is not None and cited.source.startswith("http") else None
    return Citation(
        protocol=wire.NAME,
        raw=raw,
        url=cited.url or source_url,
        title=cited.title or cited.document_title,
        cited_text=cited.cited_text,
        at=at,
    )


def _check_count(count: int, at: str, limits: RequestLimits) -> None:
    if count > limits.max_parts:
        raise MalformedRequest(f"At most {limits.max_parts} content blocks are read here.", param=at)


def _opaque(kind: str, raw: Raw, fields: Extras, at: str) -> Opaque:
    text = plain_text(kind, fields)
    return Opaque(protocol=wire.NAME, type=kind, raw=raw, fallback=text, is_required=kind == "compaction", at=at)


def _from_wire(block: wire.KnownBlock, at: str, extras: Extras, limits: RequestLimits) -> Block:
    """Return the canonical value of a block; ``extras`` are the fields that its Struct does not know.

    The three kinds that nearly all blocks are of come first: this is where a long talk spends its time.
    """
    if isinstance(block, wire.TextBlock):
        citations = [decode_citation(raw, f"{at}.citations[{i}]") for i, raw in enumerate(block.citations or ())]
        cache = decode_mark(block.cache_control)
        return Text(text=block.text, citations=tuple(citations), cache=cache, extras=extras, at=at)
    if isinstance(block, wire.ToolUseBlock):
        if block.caller is not UNSET or block.toolset_name is not UNSET:
            extras = {**set_fields(block, "caller", "toolset_name"), **extras}
        arguments = _arguments(block.input, at)
        if block.cache_control is None:
            return ToolCall(id=block.id, name=block.name, arguments=arguments, extras=extras, at=at)
        cache = decode_mark(block.cache_control)
        return ToolCall(id=block.id, name=block.name, arguments=arguments, cache=cache, extras=extras, at=at)
    if isinstance(block, wire.ToolResultBlock):
        if block.toolset_name is not UNSET:
            extras = {**set_fields(block, "toolset_name"), **extras}
        inner = () if block.content is None else decode_content(block.content, f"{at}.content", limits)
        cache = decode_mark(block.cache_control)
        return ToolResult(
            call_id=block.tool_use_id, blocks=inner, is_error=block.is_error, cache=cache, extras=extras, at=at
        )
    return _from_rare(block, at, extras, limits)


def _from_rare(
    block: wire.ThinkingBlock
    | wire.RedactedThinkingBlock
    | wire.ToolReferenceBlock
    | wire.ImageBlock
    | wire.DocumentBlock,
    at: str,
    extras: Extras,
    limits: RequestLimits,
) -> Block:
    match block:
        case wire.ThinkingBlock():
            signature = block.signature or None
            return Reasoning(text=block.thinking, signature=signature, origin=_origin(signature), extras=extras, at=at)
        case wire.RedactedThinkingBlock():
            return Reasoning(redacted=block.data, origin=_origin(block.data), extras=extras, at=at)
        case wire.ToolReferenceBlock():
            fields = _OBJECT.decode(msgspec.json.encode(block)) | extras
            return _opaque("tool_reference", Raw(msgspec.json.encode(fields)), fields, at)
        case wire.ImageBlock() | wire.DocumentBlock():
            return _media(block, at, extras, limits)
        case _:
            assert_never(block)


def _media(block: wire.ImageBlock | wire.DocumentBlock, at: str, unknown: Extras, limits: RequestLimits) -> Media:
    source = _source(block.source, f"{at}.source", limits)
    cache = decode_mark(block.cache_control)
    if isinstance(block, wire.ImageBlock):
        return Media(kind="image", source=source, cache=cache, extras=unknown, at=at)
    return Media(
        kind="document",
        source=source,
        name=block.title,
        context=block.context,
        citations_enabled=None if block.citations is None else block.citations.enabled,
        cache=cache,
        extras=unknown,
        at=at,
    )


def _source(
    source: wire.Base64Source | wire.UrlSource | wire.FileSource | wire.TextSource | wire.ContentSource,
    at: str,
    limits: RequestLimits,
) -> MediaSource:
    match source:
        case wire.Base64Source():
            return Base64Source(media_type=source.media_type, data=source.data)
        case wire.UrlSource():
            return UrlSource(url=source.url)
        case wire.FileSource():
            return FileSource(file_id=source.file_id, protocol=wire.NAME)
        case wire.TextSource():
            return TextSource(text=source.data, media_type=source.media_type)
        case wire.ContentSource():
            return BlocksSource(blocks=decode_content(source.content, f"{at}.content", limits))
        case _:
            assert_never(source)


def _arguments(value: JsonField, at: str) -> str:
    """Return a call's input as the text that came; a call without one is a call without arguments."""
    if value is UNSET:
        return ""
    text = bytes(value)
    if not text.startswith(b"{"):
        if text == NULL:
            return ""
        raise MalformedRequest(
            f"Invalid type for '{at}.input': expected an object.", code="invalid_type", param=f"{at}.input"
        )
    return text.decode()


def _origin(carried: str | None) -> str | None:
    """Return who issued a signature: only Anthropic's travel bare on this protocol."""
    return None if carried is None or carried.startswith(PREFIX) else wire.VENDOR


# --- ours -> wire -----------------------------------------------------------------------------------------------------


def is_replayable(block: Reasoning, vendor: str, replays_unsigned: bool) -> bool:
    """Tell whether an upstream can be given this reasoning back: it issued it, or it takes any.

    Args:
        block: Signatures that are still sealed belong to nobody.
        vendor: The upstream's.
        replays_unsigned: The upstream wants its thinking back and does not sign it.
    """
    carried = block.redacted if block.redacted is not None else block.signature
    if carried is None:
        return replays_unsigned and bool(block.text) and block.origin in (None, vendor)
    return bool(carried) and not carried.startswith(PREFIX) and block.origin in (vendor, wire.VENDOR)


_PLAIN_TEXT: Final = {"type", "text"}


def is_json_object(data: bytes) -> bool:
    """Tell whether bytes are one JSON object, as the arguments of a call are to be."""
    if len(data) > _SHALLOW_BYTES and is_too_deep(data):
        return False
    try:
        _OBJECT.decode(data)
    except msgspec.MsgspecError:
        return False
    return True


class BlockWriter:
    """Writes blocks, and reports what of them has no place on this protocol.

    Args:
        is_native: They came from this protocol, so their extras are its own.
        notices: Where losses are reported.
        marks_caches: They are a request's; an answer has no cache marks.
    """

    def __init__(self, *, is_native: bool, notices: Notices, marks_caches: bool = True) -> None:
        self._is_native = is_native
        self._marks_caches = marks_caches
        self._notices = notices

    def content(self, blocks: Sequence[Block]) -> str | list[object]:
        """Return a content: the plain text if there is nothing else, as clients write it, else a list."""
        written = [
            {"type": "text", "text": block.text}
            if type(block) is Text and not (block.citations or block.cache or block.extras)
            else self.block(block)
            for block in blocks
        ]
        if len(written) == 1 and isinstance(only := written[0], dict) and only.keys() == _PLAIN_TEXT:
            return str(only["text"])
        return written

    def block(self, block: Block) -> object:
        """Return a block as JSON.

        Raises:
            Unsupported: A block that cannot stand in a request or an answer of this protocol.
        """
        if isinstance(block, Text):
            return self._text(block)
        if isinstance(block, ToolCall):
            arguments = self.tool_input(block)
            call: JsonObject = {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments}
            return self._finished(call, block) if block.cache or block.extras else call
        if isinstance(block, ToolResult):
            result = self._result(block)
            return self._finished(result, block) if block.cache or block.extras else result
        return self._rare(block)

    def _rare(self, block: Reasoning | Media | Refusal | Opaque) -> object:
        match block:
            case Reasoning(redacted=str(data)):
                return {"type": "redacted_thinking", "data": data, **self.own(block.extras, block.at)}
            case Reasoning():
                written: JsonObject = {"type": "thinking", "thinking": block.text, "signature": block.signature or ""}
                return {**written, **self.own(block.extras, block.at)}
            case Media():
                return self._finished(self._media(block), block)
            case Refusal():
                return {"type": "text", "text": block.text, **self.own(block.extras, block.at)}
            case Opaque() if block.protocol == wire.NAME:
                return block.raw
            case Opaque():
                raise Unsupported("Anthropic has no such content block.", param=block.at or None)
            case _:
                assert_never(block)

    def _text(self, block: Text) -> JsonObject:
        written: JsonObject = {"type": "text", "text": block.text}
        if block.citations and (citations := self.citations(block.citations)):
            written["citations"] = citations
        return self._finished(written, block) if block.cache or block.extras else written

    def tool_input(self, call: ToolCall) -> Raw:
        """Return a call's arguments as the JSON object that Anthropic wants."""
        if call.kind == "custom":
            return _object_of("input", call.arguments)
        data = call.arguments.encode()
        if not data or data.isspace():
            return Raw(b"{}")
        if is_json_object(data):
            return Raw(data)
        if len(data) <= _SHALLOW_BYTES or not is_too_deep(data):
            try:
                _ANY.decode(data)
                self._notices.changed(call.at, "the arguments are no JSON object: wrapped as its only value")
                return Raw(b'{"value":' + data + b"}")
            except msgspec.MsgspecError:
                pass
        self._notices.changed(call.at, "the arguments are no JSON: wrapped as text")
        return _object_of("_raw", call.arguments)

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own; else report each and return none."""
        if not extras or self._is_native:
            return extras
        for name in extras:
            self._notices.unknown(at, name, "Anthropic has no such field")
        return {}

    def _finished(self, written: JsonObject, block: Text | ToolCall | ToolResult | Media) -> JsonObject:
        if block.extras:
            written.update(self.own(block.extras, block.at))
        if block.cache is not None and self._marks_caches:
            written["cache_control"] = encode_mark(block.cache)
        return written

    def citations(self, citations: Sequence[Citation]) -> list[Raw]:
        """Return the citations that are this protocol's own; report the others."""
        for citation in citations:
            if citation.protocol != wire.NAME:
                self._notices.lost(citation.at or "citations", "citations of other vendors have no form at Anthropic")
        return [citation.raw for citation in citations if citation.protocol == wire.NAME]

    def _result(self, block: ToolResult) -> JsonObject:
        written: JsonObject = {"type": "tool_result", "tool_use_id": block.call_id}
        if block.blocks:
            written["content"] = self.content(block.blocks)
        if block.is_error is not None:
            written["is_error"] = block.is_error
        return written

    def _media(self, block: Media) -> JsonObject:
        written: JsonObject = {"type": "image" if block.kind == "image" else "document"}
        written["source"] = self._source(block.source, block.at)
        if block.name is not None and block.kind != "image":
            written["title"] = block.name
        if block.context is not None:
            written["context"] = block.context
        if block.citations_enabled is not None:
            written["citations"] = {"enabled": block.citations_enabled}
        return written

    def _source(self, source: MediaSource, at: str) -> JsonObject:
        match source:
            case Base64Source():
                return {"type": "base64", "media_type": source.media_type, "data": source.data}
            case UrlSource():
                return {"type": "url", "url": source.url}
            case FileSource() if source.protocol == wire.NAME:
                return {"type": "file", "file_id": source.file_id}
            case FileSource():
                raise Unsupported("Files live at the vendor that they were uploaded to.", param=at or None)
            case TextSource():
                return {"type": "text", "media_type": source.media_type, "data": source.text}
            case BlocksSource():
                return {"type": "content", "content": self.content(source.blocks)}
            case _:
                assert_never(source)


def encode_mark(mark: CacheMark) -> JsonObject:
    """Return a ``cache_control``."""
    written: JsonObject = {"type": "ephemeral"}
    if mark.ttl is not None:
        written["ttl"] = mark.ttl
    return {**written, **mark.extras}


def _object_of(name: str, text: str) -> Raw:
    return Raw(msgspec.json.encode({name: text}))
