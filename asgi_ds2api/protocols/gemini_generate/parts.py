"""Parts of a content, both ways. A part has one data field and any number of fields that modify it.

A thought's signature stands at the part that it came with: at a thought it is `Reasoning.signature`; at any other part
it is a `Reasoning` without text right before the block. So it travels through every client that can carry reasoning,
and is written at the very part again. What follows a signature that has no part of its own is an empty text.

Of the blocks that only this protocol understands (code that the vendor runs, steps of its tools) the whole part is
kept, its signature included; code and its output have a plain text.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    BlocksSource,
    Extras,
    Media,
    Notices,
    Opaque,
    ProtocolName,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
)
from ...errors import Unsupported
from ...json_guard import is_too_deep
from ...json_pieces import JsonObject, missing, put_extras, text_of
from ...seal import PREFIX, PREFIX_IN_BASE64
from ..calls_and_results import caption_of
from . import wire
from .media import check_url, decode_file, decode_inline, encode_media, standard_base64
from .wire import Shape, within

SENTINEL: Final = "skip_thought_signature_validator"
"""The vendor takes it in place of a signature, for calls that another model made."""

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_DATA: Final = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
_PART: Final = Shape(*_DATA, "thought", "thoughtSignature")
_CALL: Final = Shape("id", "name", "args")
_RESULT: Final = Shape("id", "name", "response", "parts")
_CODE: Final = Shape("id", "language", "code", "outcome", "output")
_SAID: Final = frozenset({"output", "error"})


class _PlainText(msgspec.Struct, forbid_unknown_fields=True):
    text: str


_PLAIN: Final = msgspec.json.Decoder(_PlainText)


class Part(msgspec.Struct, frozen=True):
    """A part as it was read."""

    block: Block
    signature: str | None = None
    """Of a part that is no thought."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The block, with its signature before it."""
        if self.signature is None:
            return (self.block,)
        return Reasoning(signature=self.signature, origin=_origin(self.signature), at=self.block.at), self.block


class Ids(Protocol):
    """Gives ids to calls and results that have none."""

    @property
    def names(self) -> Mapping[str, str]:
        """Id of a call -> name of its function."""
        ...

    def __call__(self, name: str, given: str | None, is_result: bool) -> str:
        """Return the id of a call, or of the call that a result belongs to."""
        ...


def decode_part(raw: Raw, at: str, ids: Ids) -> Part:
    """Read a part.

    Args:
        raw: As it came.
        at: Its path.
        ids: Gives ids to calls and results that have none.

    Raises:
        MalformedRequest: With ``param``, the path of what is wrong.
    """
    if bytes(raw).startswith(b'{"text":'):
        try:
            return Part(Text(text=_PLAIN.decode(raw).text, at=at))
        except msgspec.ValidationError:
            pass
    fields, extras = _PART.read(raw, at)
    signature = _opened(wire.text(fields["thoughtSignature"], f"{at}.thoughtSignature")) if (
        "thoughtSignature" in fields
    ) else ""  # fmt: skip
    is_thought = "thought" in fields and wire.boolean(fields["thought"], f"{at}.thought")
    kind = next((name for name in _DATA if name in fields), None)
    if kind is None and not extras and (signature or is_thought):
        kind, fields["text"] = "text", Raw(b'""')
    if is_thought and kind == "text":
        text = wire.text(fields["text"], f"{at}.text")
        if signature and not text and _origin(signature) is not None:
            extras = {"thought": fields["thought"], **extras}  # it is no mark of what follows
        return Part(Reasoning(text=text, signature=signature or None, origin=_origin(signature), extras=extras, at=at))
    if is_thought:
        extras = {"thought": fields["thought"], **extras}
    match kind:
        case "text":
            block: Block = Text(text=wire.text(fields[kind], f"{at}.text"), extras=extras, at=at)
        case "inlineData":
            block = decode_inline(fields[kind], extras, f"{at}.inlineData")
        case "fileData":
            block = decode_file(fields[kind], extras, f"{at}.fileData")
        case "functionCall":
            block = _decode_call(fields[kind], extras, at, ids)
        case "functionResponse":
            block = _decode_result(fields[kind], extras, at, ids)
        case _:
            return Part(_decode_opaque(kind, raw, fields, extras, at))
    return Part(block, signature or None)


def _opened(signature: str) -> str:
    """Return a signature as it was before `spelled`."""
    if not signature.startswith(PREFIX_IN_BASE64):
        return signature
    try:
        return base64.b64decode(standard_base64(signature)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return signature


def spelled(signature: str) -> str:
    """Return a signature as this protocol writes it: bytes in base64. A seal of ours is text, so it is wrapped."""
    return base64.b64encode(signature.encode()).decode() if signature.startswith(PREFIX) else signature


def _origin(signature: str | None) -> str | None:
    """Return who issued a signature: a sealed one tells it when it is opened."""
    return wire.VENDOR if signature and not signature.startswith(PREFIX) else None


def _decode_call(raw: Raw, extras: Extras, at: str, ids: Ids) -> ToolCall:
    place = f"{at}.functionCall"
    fields, unknown = _CALL.read(raw, place)
    if "name" not in fields:
        raise missing(f"{place}.name")
    name = wire.text(fields["name"], f"{place}.name")
    arguments = ""
    if "args" in fields:
        wire.Shape().read(fields["args"], f"{place}.args")
        arguments = bytes(fields["args"]).decode()
    given = wire.text(fields["id"], f"{place}.id") if "id" in fields else None
    return ToolCall(
        id=ids(name, given, False),
        name=name,
        arguments=arguments,
        extras={**extras, **within("functionCall", unknown)},
        at=at,
    )


def _decode_result(raw: Raw, extras: Extras, at: str, ids: Ids) -> ToolResult:
    place = f"{at}.functionResponse"
    fields, unknown = _RESULT.read(raw, place)
    if "name" not in fields:
        raise missing(f"{place}.name")
    name = wire.text(fields["name"], f"{place}.name")
    given = wire.text(fields["id"], f"{place}.id") if "id" in fields else None
    text, is_error = _said(fields.get("response", Raw(b"{}")), f"{place}.response")
    blocks: list[Block] = [Text(text=text, at=f"{place}.response")]
    for position, part in enumerate(wire.items(fields["parts"], f"{place}.parts") if "parts" in fields else ()):
        blocks += decode_part(part, f"{place}.parts[{position}]", ids).blocks
    call_id = ids(name, given, True)
    if ids.names.get(call_id, name) != name:
        unknown = {"name": fields["name"], **unknown}  # says something else than its call does
    return ToolResult(
        call_id=call_id,
        blocks=tuple(blocks),
        is_error=is_error or None,
        name=name,
        extras={**extras, **within("functionResponse", unknown)},
        at=at,
    )


def _said(raw: Raw, at: str) -> tuple[str, bool]:
    """Return what a function gave back as text, and whether it is an error.

    The text of a lone ``output`` or ``error`` is the text; an object is its JSON. A text that is an object itself stays
    wrapped, so that it is written as it came.
    """
    fields, others = Shape("output", "error").read(raw, at)
    if len(fields) == 1 and not others:
        name, value = next(iter(fields.items()))
        text = text_of(value)
        if text is not None and (name == "error" or not is_object(text)):
            return text, name == "error"
    return bytes(raw).decode(), False


def is_object(text: str) -> bool:
    """Tell whether a text is a JSON object."""
    if not text.startswith("{") or is_too_deep(text.encode()):
        return False
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def _decode_opaque(kind: str | None, raw: Raw, fields: Mapping[str, Raw], extras: Extras, at: str) -> Opaque:
    spelled = kind or next(iter(extras), "unknown")
    fallback = None
    if kind == "executableCode":
        code = _CODE.look(fields[kind])
        fallback = _fenced(text_of(code.get("code")) or "", (text_of(code.get("language")) or "").lower())
    elif kind == "codeExecutionResult":
        result = _CODE.look(fields[kind])
        outcome = text_of(result.get("outcome")) or "OUTCOME_OK"
        failed = "" if outcome == "OUTCOME_OK" else f"{outcome}\n"
        fallback = _fenced(failed + (text_of(result.get("output")) or ""), "")
    return Opaque(protocol=wire.NAME, type=spelled, raw=raw, fallback=fallback, at=at)


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`{3,}", text)), 3)
    return f"{fence}{language}\n{text}\n{fence}"


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_RESOLUTIONS: Final[Mapping[str, str]] = {
    "low": "MEDIA_RESOLUTION_LOW",
    "medium": "MEDIA_RESOLUTION_MEDIUM",
    "high": "MEDIA_RESOLUTION_HIGH",
    "original": "MEDIA_RESOLUTION_HIGH",
}
"""Words of others for the detail that a picture is seen in -> the vendor's, from the lowest."""


SHOWN: Final = "(shown behind the results)"
"""A result of which nothing can stand inside."""


class PartWriter:
    """Writes blocks as parts.

    Args:
        source: The protocol that they came from. If it is this one, extras are written back, and nothing is left out.
        notices: Where losses are reported.
        writes_ids: Calls and results carry ids.
        media_in_results: Pictures may stand inside a result.
    """

    def __init__(
        self, *, source: ProtocolName, notices: Notices, writes_ids: bool = True, media_in_results: bool = True
    ) -> None:
        self.is_native = source == wire.NAME
        self.source = source
        self._notices = notices
        self._writes_ids = writes_ids
        self._media_in_results = media_in_results
        self.resolution: str | None = None
        """The highest that a picture written so far is asked to be seen in; None: the vendor chooses."""
        self._names: dict[str, str] = {}
        """Id of a call -> name of its function, of what was written so far."""

    def parts(self, blocks: Sequence[Block]) -> list[JsonObject | Raw]:
        """Return blocks as parts; a signature stands at the part that follows it.

        Raises:
            Unsupported: With ``param``, the path of what nothing can stand in for.
        """
        written: list[JsonObject | Raw] = []
        behind: list[JsonObject | Raw] = []
        signature: str | None = None
        for block in blocks:
            if is_mark(block):
                if signature is not None:
                    written.append({"text": "", "thoughtSignature": signature})
                signature = block.signature  # type: ignore[union-attr]  # a mark is Reasoning
                continue
            made = self._block(block, behind, is_signed=signature is not None)
            if signature is not None and made and isinstance(made[0], dict):
                made[0]["thoughtSignature"] = signature
                signature = None
            written += made
        if signature is not None:
            written.append({"text": "", "thoughtSignature": signature})
        return [*written, *behind]

    def _block(self, block: Block, behind: list[JsonObject | Raw], *, is_signed: bool) -> list[JsonObject | Raw]:
        """Return a block as parts; what cannot stand inside a result goes to ``behind``."""
        match block:
            case Text():
                return self._text(block, is_signed=is_signed)
            case ToolCall():
                return [self.call(block)]
            case ToolResult():
                return [self._result(block, behind)]
            case Media():
                return self._media(block)
            case Reasoning():
                return [self.thought(block)]
            case Refusal():
                self._notices.changed(block.at, "a refusal is sent as text")
                return [put_extras({"text": block.text}, self.own(block.extras, block.at))] if block.text else []
            case Opaque():
                return self._opaque(block)

    def _text(self, block: Text, *, is_signed: bool) -> list[JsonObject | Raw]:
        if block.cache is not None:
            self._notices.hint(block.cache.at or f"{block.at}.cache_control", "Gemini caches prompts by itself")
        for citation in block.citations:
            self._notices.lost(citation.at or f"{block.at}.citations", "texts of a request have no citations at Gemini")
        extras = self.own(block.extras, block.at)
        if not (block.text or is_signed or self.is_native):
            return []
        return [put_extras({"text": block.text}, extras)]

    def thought(self, block: Reasoning) -> JsonObject:
        """Return thinking as a part."""
        written: JsonObject = {"text": block.text, "thought": True}
        if block.signature is not None:
            written["thoughtSignature"] = block.signature
        return put_extras(written, self.own(block.extras, block.at))

    def call(self, call: ToolCall) -> JsonObject:
        """Return a call as a part.

        Raises:
            Unsupported: A call of a custom tool, which a shim lends as a function.
        """
        if call.kind == "custom":
            raise Unsupported("The upstream takes functions only.", param=call.at or None)
        self._mark(call)
        self._names[call.id] = call.name
        written: JsonObject = {"id": call.id} if self._writes_ids and call.id else {}
        written["name"] = call.name
        if call.arguments or not self.is_native:
            written["args"] = self._arguments(call)
        return put_extras({"functionCall": written}, self.own(call.extras, call.at))

    def _arguments(self, call: ToolCall) -> object:
        text = call.arguments.strip()
        if not text:
            return {}
        if is_object(text):
            return Raw(text.encode())
        self._notices.changed(f"{call.at}.arguments", "arguments that are no JSON object are wrapped in one")
        return {"_raw": call.arguments}

    def _result(self, result: ToolResult, behind: list[JsonObject | Raw]) -> JsonObject:
        self._mark(result)
        texts: list[str] = []
        media: list[JsonObject | Raw] = []
        for block in result.blocks:
            if isinstance(block, Text):
                texts.append(block.text)
                self.own(block.extras, block.at)
                continue
            for part in self._block(block, [], is_signed=False):
                if isinstance(part, dict) and isinstance(text := part.get("text"), str):
                    texts.append(text)  # of a document, a search, a reference
                else:
                    media.append(part)
        name = result.name or self._names.get(result.call_id) or result.call_id
        written: JsonObject = {"id": result.call_id} if self._writes_ids and result.call_id else {}
        inside = [part for part in media if self._media_in_results and isinstance(part, dict)]
        outside = [part for part in media if part not in inside]
        if outside:
            self._notices.changed(result.at, "what is no text stands behind the result", action="moved")
            behind += [{"text": caption_of(result)}, *outside]
            texts = texts or [SHOWN]
        written |= {"name": name, "response": _response("\n".join(texts), is_error=bool(result.is_error))}
        if inside:
            written["parts"] = inside
        return put_extras({"functionResponse": written}, self.own(result.extras, result.at))

    def _see(self, detail: str, at: str) -> None:
        wanted = _RESOLUTIONS.get(detail)
        if wanted is None:
            self._notices.hint(at, "the vendor chooses anyway")
            return
        self._notices.changed(at, "said for all media, by the highest that is asked for")
        self.resolution = max(self.resolution or wanted, wanted, key=list(_RESOLUTIONS.values()).index)

    def _media(self, block: Media) -> list[JsonObject | Raw]:
        self._mark(block)
        if block.context is not None:
            self._notices.changed(f"{block.at}.context", "said in the text before the file")
        if block.detail is not None:
            self._see(block.detail, f"{block.at}.{block.detail_at}")
        if block.citations_enabled is not None:
            report = self._notices.lost if block.citations_enabled else self._notices.hint
            report(f"{block.at}.citations", "Gemini cites no documents of a request")
        title = "\n".join(filter(None, (block.context,)))
        before: list[JsonObject | Raw] = [{"text": title}] if title else []
        match block.source:
            case TextSource(text=text):
                head = f"{block.name}:\n" if block.name else ""
                return [*before, put_extras({"text": head + text}, self.own(block.extras, block.at))]
            case BlocksSource(blocks=blocks):
                self.own(block.extras, block.at)
                named: list[JsonObject | Raw] = [{"text": f"{block.name}:"}] if block.name else []
                return [*before, *named, *self.parts(blocks)]
            case _:
                pass
        if not self.is_native and getattr(block.source, "url", None) is not None:
            check_url(block.source.url, block.at)  # type: ignore[union-attr]  # looked at above
        written = encode_media(block)
        assert written is not None
        return [*before, put_extras(written, self.own(block.extras, block.at))]

    def _opaque(self, block: Opaque) -> list[JsonObject | Raw]:
        if block.protocol == wire.NAME:
            return [block.raw]
        if block.fallback:
            self._notices.changed(block.at, "sent as text")
            return [{"text": block.fallback}]
        if block.is_required:
            raise Unsupported("Gemini has nothing that could stand in for this.", param=block.at or None)
        report = self._notices.hint if block.fallback == "" else self._notices.lost
        report(block.at, "Gemini has no such part")
        return []

    def _mark(self, block: ToolCall | ToolResult | Media) -> None:
        if block.cache is not None:
            self._notices.hint(block.cache.at or f"{block.at}.cache_control", "Gemini caches prompts by itself")

    def own(self, extras: Extras, at: str) -> Extras:
        """Return the extras if they are this protocol's own; else report each and return none."""
        if not extras or self.is_native:
            return extras
        for name in extras:
            if name != SIGNED:
                self._notices.unknown(at, name, "Gemini has no such field")
        return {}


SIGNED: Final = "extra_content"
"""Where a call of Chat's holds Google's signature, by Google's own convention; `signatures` reads it."""


def is_mark(block: Block) -> bool:
    """Tell whether a block is nothing but the signature of what follows it."""
    return isinstance(block, Reasoning) and not block.text and not block.extras and block.signature is not None


def _response(text: str, *, is_error: bool) -> object:
    """Return what a function gave back as the object that the vendor wants."""
    if is_error:
        return {"error": text}
    return Raw(text.encode()) if is_object(text) else {"output": text}
