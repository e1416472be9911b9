"""A spoken answer: nothing else speaks, so that it is kept as it came, and its pieces are put together here."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from ...canonical import Opaque
from ...json_pieces import fields_of, text_of
from . import wire
from .content import AUDIO


def opaque_audio(fields: Mapping[str, Raw], at: str = "") -> Opaque:
    """Return a spoken answer, or the beginning of one."""
    return Opaque(protocol=wire.NAME, type=AUDIO, raw=Raw(msgspec.json.encode(fields)), at=at)


def join_opaque(block: Opaque, deltas: Sequence[Raw]) -> Opaque:
    """Return a spoken answer with its pieces put in: data and transcript are added, all else is assigned."""
    fields = fields_of(block.raw)
    for raw in deltas:
        for name, value in fields_of(raw).items():
            earlier, later = text_of(fields.get(name)), text_of(value)
            is_added = name in ("data", "transcript") and earlier is not None and later is not None
            fields[name] = Raw(msgspec.json.encode(f"{earlier}{later}")) if is_added else value
    return msgspec.structs.replace(block, raw=Raw(msgspec.json.encode(fields)))
