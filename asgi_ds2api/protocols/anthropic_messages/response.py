"""A whole answer, both ways.

What an upstream sends is read tolerantly: whatever fields are there, in any order; a call without input is a call
without arguments. Encoded again for this protocol, an answer is JSON-equal to what came, but for fields that are null
or empty lists, text blocks without text, and the model's name, which is the asked one.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import (
    Block,
    Choice,
    Extras,
    Finish,
    Media,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    Usage,
)
from ...codec import AnswerFacts, Envelope
from ...errors import Malformed, MalformedRequest
from ...json_guard import decode_answer
from ...json_pieces import without_null
from ...profiles import Profile
from . import wire
from .blocks import BlockWriter, JsonObject, read_block
from .errors import read_in_band
from .usage import decode_finish, decode_text, decode_tier, decode_usage, encode_finish, encode_usage, report_untold

# --- wire -> ours -----------------------------------------------------------------------------------------------------

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])

KNOWN_FIELDS: Final = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
)
"""Of a message; all others are carried as they came."""


def decode_response(body: bytes, profile: Profile, salt: str = "") -> Response:
    """Read an upstream's whole answer.

    Raises:
        UpstreamError: Malformed, or an error inside a 200.
    """
    fields = _message(body)
    blocks = tuple([read_answer_block(raw, i) for i, raw in enumerate(_content(fields))])
    usage = usage_fields(fields.get("usage"))
    return Response(
        source=wire.NAME,
        id=decode_text(fields.get("id")) or "",
        model=decode_text(fields.get("model")) or "",
        choices=(Choice(blocks=blocks, finish=decode_finish(fields, has_calls=has_calls(blocks))),),
        usage=None if usage is None else decode_usage(usage),
        service_tier=None if usage is None else decode_tier(usage),
        extras=message_extras(fields),
    )


def tap_response(body: bytes) -> AnswerFacts:
    """Judge a whole answer that will be relayed as it is.

    Raises:
        UpstreamError: Malformed, empty, or an error inside a 200.
    """
    fields = _message(body)
    usage = usage_fields(fields.get("usage"))
    return AnswerFacts(
        model=decode_text(fields.get("model")),
        usage=None if usage is None else decode_usage(usage),
        finish=decode_finish(fields, has_calls=False),
    )


def read_answer_block(raw: Raw, position: int) -> Block:
    """Return a block of an answer.

    What only Anthropic understands stays hidden from others: it has no plain text. Thinking is the upstream's own,
    signed or not yet.

    Raises:
        Malformed: No object with a ``type``, or a known block with a missing or wrong field.
    """
    try:
        block = read_block(raw, f"content[{position}]")
    except MalformedRequest as exc:
        raise Malformed("The upstream sent an answer that cannot be read.", detail=exc.message) from None
    match block:
        case Opaque():
            return msgspec.structs.replace(block, fallback=None, is_required=False)
        case Reasoning():
            return msgspec.structs.replace(block, origin=wire.VENDOR)
        case _:
            return block


def message_extras(fields: Mapping[str, Raw]) -> Extras:
    """Return the fields of a message that have no canonical form."""
    return without_null({name: value for name, value in fields.items() if name not in KNOWN_FIELDS})


def usage_fields(raw: Raw | None) -> dict[str, Raw] | None:
    """Return the fields of a ``usage``; None: there is none that can be read."""
    if raw is None:
        return None
    try:
        return _OBJECT.decode(raw)
    except msgspec.MsgspecError:
        return None


def has_calls(blocks: Sequence[Block]) -> bool:
    """Tell whether the caller is to run a tool."""
    return any(isinstance(block, ToolCall) for block in blocks)


def _message(body: bytes) -> dict[str, Raw]:
    """Return the fields of an answer.

    Raises:
        UpstreamError: It is none.
    """
    fields = decode_answer(_OBJECT, body)
    if "content" not in fields:
        raise read_in_band(body) or Malformed("The upstream sent an answer that cannot be read.", detail="no content")
    return fields


def _content(fields: Mapping[str, Raw]) -> list[Raw]:
    try:
        return _LIST.decode(fields["content"])
    except msgspec.MsgspecError:
        detail = "content is no list"
        raise Malformed("The upstream sent an answer that cannot be read.", detail=detail) from None


# --- ours -> wire -----------------------------------------------------------------------------------------------------

_UNTOLD: Final = frozenset({"object", "system_fingerprint"})
"""Fields of other vendors that say nothing about the answer."""


def encode_response(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write a whole answer for the caller."""
    is_native = response.source == wire.NAME
    writer = AnswerWriter(is_native=is_native, notices=notices)
    choice = response.choices[0]
    for number in range(1, len(response.choices)):
        notices.lost(f"choices[{number}]", "Anthropic gives one answer at a time")
    content = [written for block in choice.blocks if (written := writer.block(block)) is not None]
    if not is_native:
        writer.report("choices[0].message", choice.message_extras)
        writer.report("choices[0]", choice.extras)
        writer.report("", response.extras)
        if choice.logprobs is not None:
            notices.lost("choices[0].logprobs", "Anthropic tells no probabilities")
        writer.report_finish(choice.finish)
        report_untold(response.usage or Usage(), response.service_tier, response.created, notices)
    usage = response.usage or Usage(input_total=0, output_total=0)
    finish = encode_finish(
        choice.finish, is_native=is_native, has_calls=has_calls(choice.blocks), refusal=writer.refusal
    )
    body: JsonObject = {
        "id": answer_id(response.id, envelope),
        "type": "message",
        "role": "assistant",
        "model": envelope.model,
        "content": content,
        **finish,
        "usage": encode_usage(usage, response.service_tier, is_native=is_native),
    }
    return msgspec.json.encode({**body, **response.extras} if is_native else body)


def answer_id(upstream_id: str, envelope: Envelope) -> str:
    """Return the id of an answer: the upstream's, or one of ours if it gave none."""
    return upstream_id or f"msg_{envelope.salt}"


class AnswerWriter:
    """Writes the blocks of an answer.

    Args:
        is_native: They came from this protocol.
        notices: Where losses are reported.
    """

    def __init__(self, *, is_native: bool, notices: Notices) -> None:
        self._blocks = BlockWriter(is_native=is_native, notices=notices, marks_caches=False)
        self._notices = notices
        self.refusal: str | None = None
        """What the model said when it declined, if it did."""

    def block(self, block: Block) -> object | None:
        """Return a block as JSON; None: there is nothing to show, or no way to show it (which is reported)."""
        match block:
            case Text(text="") if not self._blocks.citations(block.citations):
                self.own(block)
                return None
            case Reasoning(text="", signature=None, redacted=None):
                self.own(block)
                return None
            case Reasoning(is_summary=True):
                self._report_summary(block)
                return self._blocks.block(block)
            case Refusal(text=text):
                if not text:
                    return None
                self.refusal = (self.refusal or "") + text
                return self._blocks.block(block)
            case Media():
                self._notices.lost(block.at or "content", f"Anthropic's answers hold no {block.kind}")
                return None
            case Opaque() if block.protocol != wire.NAME:
                self._notices.lost(block.at or "content", "only the upstream's own protocol can show this block")
                return None
            case _:
                return self._blocks.block(block)

    def own(self, block: Text | Refusal | Reasoning) -> Extras:
        """Return a block's extras if they are this protocol's own; else report each and return none."""
        if isinstance(block, Reasoning) and block.is_summary:
            self._report_summary(block)
        return self._blocks.own(block.extras, block.at)

    def _report_summary(self, block: Reasoning) -> None:
        self._notices.hint(f"{block.at}.type", "a summary is shown as thinking")

    def tool_input(self, call: ToolCall) -> Raw:
        """Return a call's arguments as a JSON object."""
        return self._blocks.tool_input(call)

    def report_finish(self, finish: Finish) -> None:
        """Report a reason of another vendor's that Anthropic has no word for."""
        if finish.reason == "other":
            self._notices.changed(finish.at, "Anthropic has no such reason")

    def report(self, at: str, extras: Extras) -> None:
        """Report fields of another vendor's answer, which have no place in ours."""
        for name in extras:
            if name in _UNTOLD:
                self._notices.hint(f"{at}.{name}".removeprefix("."), "Anthropic has no such field")
            else:
                self._notices.unknown(at, name, "Anthropic has no such field")
