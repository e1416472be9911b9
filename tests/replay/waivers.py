"""The exceptions of `test_recorded`: ``tests/protocols/waivers.toml``."""

import tomllib
from pathlib import Path

import msgspec

from .stage import Face, Way

FILE = Path(__file__).parents[1] / "protocols" / "waivers.toml"


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of a recording that ends elsewhere."""

    recording: str
    face: Face
    upstream: str
    differs: tuple[str, ...]
    """Fields of `Outcome`."""
    reason: str

    def is_of(self, way: Way) -> bool:
        """Tell whether it is this way's."""
        return (self.recording, self.face, self.upstream) == (way.record.id, way.face, way.dialect)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    waiver: tuple[Waiver, ...] = ()


def waivers() -> tuple[Waiver, ...]:
    """Return all exceptions."""
    return msgspec.convert(tomllib.loads(FILE.read_text()), _File).waiver


def waived(way: Way) -> set[str]:
    """Return the fields in which a way must differ."""
    return {name for waiver in waivers() if waiver.is_of(way) for name in waiver.differs}
