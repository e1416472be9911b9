"""How a configuration says in which dialect an upstream speaks."""

from collections.abc import Mapping

import msgspec

from ..profiles import PROFILES, Profile
from . import texts
from .reading import Flaw, Reading, join, read_fields


class ProfileChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect: a row of the known ones, and the fields that differ from it."""

    base: str | None = None
    """Name of the row; None: that of the preset or of the protocol."""
    fields: Mapping[str, object] = {}


def profile_choice(raw: object, reading: Reading, at: str) -> ProfileChoice:
    """Return what is said of the dialect: a name, or a table of fields beside an optional ``base``."""
    if isinstance(raw, str):
        return ProfileChoice(base=texts.profile_name(raw))
    if not isinstance(raw, Mapping):
        raise Flaw("is neither a name nor a table", f"write one of {', '.join(PROFILES)}, or a table of fields")
    fields = read_fields(Profile, raw, reading, at, besides=("base",))
    for key, value in fields.items():
        if flaw := texts.dialect_flaw(key, value):
            reading.problem(join(at, key), flaw.what, flaw.mend)
    try:
        base = None if raw.get("base") is None else texts.profile_name(raw["base"])
    except Flaw as flaw:
        reading.problem(join(at, "base"), flaw.what, flaw.mend)
        base = None
    return ProfileChoice(base=base, fields=fields)
