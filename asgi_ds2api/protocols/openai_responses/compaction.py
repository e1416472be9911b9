"""``/responses/compact``: a talk in, and out what stands in for it, the user's own words and one item of a summary.

Follows protocol-openai B13 and the SDK's types (openai 3.57, November 2026). An upstream of this protocol makes the
item itself. For any other, a request ends with the item that asks for a summary (``compaction_trigger``), as Codex has
it, and the gateway sees to the rest.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Message, Notices, Opaque, Response
from ...codec import Envelope, HTTPCall
from ...json_pieces import JsonObject, fields_of, items_of, text_of
from . import wire
from .answer_writer import AnswerWriter
from .hosted import TRIGGER, decode_item
from .usage import encode_usage

_RAW: Final = Raw(b'{"type":"compaction_trigger"}')
_PLACE: Final = "input"


def is_compaction(call: HTTPCall) -> bool:
    """Tell whether a call asks for what stands in for a talk."""
    return call.path.rstrip("/").endswith(wire.COMPACT_PATH)


def asking() -> Message:
    """Return the message that asks for a summary."""
    return Message(role="user", content=(decode_item(_RAW, TRIGGER, _PLACE),), at=_PLACE)


def words_of_user(given: Raw | None) -> tuple[Raw, ...]:
    """Return the items of an input that the user said."""
    if given is not None and bytes(given).startswith(b'"'):
        return (Raw(msgspec.json.encode({"role": "user", "content": given})),)
    return tuple([item for item in items_of(given) if text_of(fields_of(item).get("role")) == "user"])


def encode_compaction(response: Response, envelope: Envelope, notices: Notices) -> bytes:
    """Write what stands in for a talk."""
    is_own = response.source == wire.NAME
    writer = AnswerWriter(envelope, notices, is_own=is_own, answer_id=response.id)
    output: list[JsonObject | Raw] = [_said(item, n, writer) for n, item in enumerate(envelope.said)]
    blocks = response.choices[0].blocks
    output += _items(blocks, len(output), writer)
    usage = response.usage or writer.estimate(blocks)
    body: JsonObject = {
        "id": writer.id,
        "object": "response.compaction",
        "created_at": response.created or envelope.created,
        "output": output,
        "usage": encode_usage(usage, is_own=is_own),
    }
    writer.own(response.extras, "")
    return msgspec.json.encode(body)


def _said(raw: Raw, number: int, writer: AnswerWriter) -> JsonObject:
    """Return a message of the user's with every field that an answer's items have."""
    fields: JsonObject = {**fields_of(raw)}
    content = fields.get("content")
    if isinstance(content, Raw) and bytes(content).startswith(b'"'):
        fields["content"] = [{"type": "input_text", "text": content}]
    return {"id": writer.item_id("msg", number), "type": "message", "status": "completed", **fields}


def _items(blocks: Sequence[object], first: int, writer: AnswerWriter) -> list[JsonObject | Raw]:
    found = [writer.item(block, first + n) for n, block in enumerate(blocks) if isinstance(block, Opaque)]
    return [item for item in found if item is not None]
