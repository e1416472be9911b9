"""What a message is made of."""

from typing import Literal, TypeAlias

from msgspec import Raw

from .notices import Extras, ProtocolName, Value


class CacheMark(Value, frozen=True, kw_only=True):
    """The end of a prefix that the sender wants cached."""

    ttl: str | None = None
    """As the source protocol writes it: ``5m``, ``1h``, ``30m``, ``12h``; None is that protocol's default."""
    extras: Extras = {}
    at: str = ""
    """Empty: under the name that is usual in the protocol."""


class Text(Value, frozen=True, kw_only=True, tag="text", tag_field="block"):
    """Plain text."""

    text: str
    citations: tuple["Citation", ...] = ()
    cache: CacheMark | None = None
    extras: Extras = {}
    at: str = ""


class Citation(Value, frozen=True, kw_only=True):
    """Where a piece of text comes from."""

    protocol: ProtocolName
    raw: Raw
    """The whole citation as its protocol writes it."""
    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    start: int | None = None
    """First character of the cited span in the answer's text, all of its texts joined, where the protocol tells it."""
    end: int | None = None
    """One past the last character of that span."""
    at: str = ""


class Base64Source(Value, frozen=True, kw_only=True, tag="base64", tag_field="source"):
    """Bytes in standard base64 with padding, without a ``data:`` prefix."""

    media_type: str
    data: str


class UrlSource(Value, frozen=True, kw_only=True, tag="url", tag_field="source"):
    """A reference that the provider fetches; never fetched here."""

    url: str


class FileSource(Value, frozen=True, kw_only=True, tag="file", tag_field="source"):
    """An id of a file that was uploaded to the vendor of ``protocol``."""

    file_id: str
    protocol: ProtocolName


class TextSource(Value, frozen=True, kw_only=True, tag="text", tag_field="source"):
    """A document that is plain text."""

    text: str
    media_type: str = "text/plain"


class BlocksSource(Value, frozen=True, kw_only=True, tag="blocks", tag_field="source"):
    """A document that is made of text and image blocks."""

    blocks: tuple["Block", ...]


MediaSource: TypeAlias = Base64Source | UrlSource | FileSource | TextSource | BlocksSource


class Media(Value, frozen=True, kw_only=True, tag="media", tag_field="block"):
    """An image, a recording, a film, a document or any other file."""

    kind: Literal["image", "audio", "video", "document", "file"]
    source: MediaSource
    name: str | None = None
    """File name or title."""
    context: str | None = None
    """What the sender tells the model about a document, beside its content."""
    detail: str | None = None
    """Resolution asked for: auto, low, high, original."""
    detail_at: str = "detail"
    """Where that stood in the block."""
    source_at: str = ""
    """Where the content stood in it; empty: it is the block."""
    citations_enabled: bool | None = None
    cache: CacheMark | None = None
    extras: Extras = {}
    at: str = ""


class Reasoning(Value, frozen=True, kw_only=True, tag="reasoning", tag_field="block"):
    """What the model thought. Only who issued the signature can read it back."""

    text: str = ""
    is_summary: bool = False
    signature: str | None = None
    """Opaque proof or ciphertext, bit for bit; sealed (``ds2r1.``) on its way through a client of another vendor."""
    redacted: str | None = None
    """Ciphertext of thinking that is not shown at all; then ``text`` is empty."""
    origin: str | None = None
    """Who issued it: a profile's ``vendor``. None: not known, or unsigned."""
    issued: Extras = {}
    """What its issuer put beside it, in the issuer's protocol, and a seal or the state brought back: it goes there with
    it, whatever protocol the caller speaks."""
    extras: Extras = {}
    at: str = ""


class ToolCall(Value, frozen=True, kw_only=True, tag="tool_call", tag_field="block"):
    """The model wants a tool to be run by the caller."""

    id: str
    name: str
    arguments: str
    """JSON text of an object for ``function`` (``""`` if none was sent); free text for ``custom``."""
    kind: Literal["function", "custom"] = "function"
    cache: CacheMark | None = None
    extras: Extras = {}
    at: str = ""


class ToolResult(Value, frozen=True, kw_only=True, tag="tool_result", tag_field="block"):
    """What a tool gave back."""

    call_id: str
    blocks: tuple["Block", ...] = ()
    is_error: bool | None = None
    name: str | None = None
    """Name of the tool, where the protocol tells it."""
    cache: CacheMark | None = None
    extras: Extras = {}
    at: str = ""


class Refusal(Value, frozen=True, kw_only=True, tag="refusal", tag_field="block"):
    """The model declined, in its own words."""

    text: str
    extras: Extras = {}
    at: str = ""


class Opaque(Value, frozen=True, kw_only=True, tag="opaque", tag_field="block"):
    """A block that only its own protocol understands: server tools, compaction, whatever comes next year."""

    protocol: ProtocolName
    type: str
    """Its type name in that protocol."""
    raw: Raw
    fallback: str | None = None
    """What it says in plain text, for a protocol that cannot carry it; empty: nothing that concerns a model (a billing
    text), so leaving it out is a hint; None: nothing can stand in for it."""
    is_required: bool = False
    """Without it (or its ``fallback``) the talk is another one: a foreign encoder refuses it (`Unsupported`)."""
    at: str = ""


Block: TypeAlias = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Opaque

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(Value, frozen=True, kw_only=True):
    """One turn. System and developer messages stay in sequence; hoisting them is the encoder's business."""

    role: Role
    content: tuple[Block, ...]
    name: str | None = None
    extras: Extras = {}
    at: str = ""
