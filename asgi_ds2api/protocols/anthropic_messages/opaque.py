"""Blocks that only this protocol understands, in pieces and whole: a pair.

In a stream the input of a server's tool comes in pieces of JSON, and a compaction in one delta; both begin empty. Of a
delta that is newer than this file, texts are added and all else is assigned, as in every delta so far.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ...canonical import Opaque
from ...json_guard import decode_answer

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TEXT: Final = msgspec.json.Decoder(str)

_WITH_INPUT: Final = frozenset({"server_tool_use", "mcp_tool_use"})
"""Blocks whose input clients expect in deltas."""
_COMPACTION: Final = "compaction"
_COMPACTED: Final = ("content", "encrypted_content")
_EMPTY: Final = (b"", b"{}", b"null")


def join_opaque(block: Opaque, deltas: Sequence[Raw]) -> Opaque:
    """Return an opaque block of this protocol with its deltas put in, for ``fold``.

    Raises:
        Malformed: The pieces of an input are no JSON object.
    """
    fields = _OBJECT.decode(block.raw)
    pieces: list[str] = []
    for raw in deltas:
        delta = _OBJECT.decode(raw)
        kind = bytes(delta.pop("type", b""))
        if kind == b'"input_json_delta"':
            pieces.append(_TEXT.decode(delta["partial_json"]))
        elif kind == b'"compaction_delta"':
            fields.update(delta)
        else:
            fields.update({name: _added(fields.get(name), value) for name, value in delta.items()})
    if text := "".join(pieces):
        decode_answer(_OBJECT, text.encode())
        fields["input"] = Raw(text.encode())
    return msgspec.structs.replace(block, raw=Raw(msgspec.json.encode(fields)))


def split_opaque(block: Opaque) -> tuple[object, dict[str, object] | None]:
    """Return a whole block as clients expect its start, and what they expect in a delta; None: nothing."""
    if block.type not in _WITH_INPUT and block.type != _COMPACTION:
        return block.raw, None
    fields: dict[str, object] = {**_OBJECT.decode(block.raw)}
    if block.type == _COMPACTION:
        told = {name: value for name in _COMPACTED if bytes(value := _raw(fields.get(name))) not in _EMPTY}
        if not told:
            return block.raw, None
        return {**fields, **dict.fromkeys(told)}, {"type": "compaction_delta", **told}
    text = bytes(_raw(fields.get("input")))
    if text in _EMPTY:
        return block.raw, None
    return {**fields, "input": {}}, {"type": "input_json_delta", "partial_json": text.decode()}


def _raw(value: object) -> Raw:
    return value if isinstance(value, Raw) else Raw(b"")


def _added(earlier: Raw | None, later: Raw) -> Raw:
    """Return two texts as one; else the later value."""
    if earlier is None or not bytes(earlier).startswith(b'"') or not bytes(later).startswith(b'"'):
        return later
    return Raw(msgspec.json.encode(_TEXT.decode(earlier) + _TEXT.decode(later)))
