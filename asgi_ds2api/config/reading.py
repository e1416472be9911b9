"""Reads a mapping as a Struct and reports every problem, not the first.

The Struct's own type says what is allowed; nothing here knows a key of the configuration. In ``Meta(extra={...})``
stands what a type cannot say: ``check`` is a function that judges a value by itself (`Check`), ``read`` one that must
know where it stands (`Read`), and ``one_or_list`` lets a single value stand for a list. msgspec's own conversion is not
used: it stops at the first error, and its messages quote values.

A problem says where, what is wrong and how to mend it. It quotes no value, not even of what is no secret: somebody may
have written one in the wrong place. What is quoted is known here, or the name of a key that looks like no credential.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, TypeVar, cast

from msgspec import inspect

from ..scrub import scrub

T = TypeVar("T")

_kind_of: Final[Callable[[type], inspect.Type]] = cache(inspect.type_info)
"""Slow, and the same for every gateway of a process."""
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FOUND: Final[Mapping[type | tuple[type, ...], str]] = {
    bool: "true or false",
    str: "a string",
    int: "an integer",
    float: "a number",
    (list, tuple): "an array",
    Mapping: "a table",
    (date, time): "a date or a time",
}
_WANTED: Final[Mapping[type[inspect.Type], str]] = {
    inspect.StructType: "a table",
    inspect.DictType: "a table",
    inspect.VarTupleType: "an array",
    inspect.TupleType: "an array",
    inspect.StrType: "a string",
    inspect.BoolType: "true or false",
    inspect.IntType: "an integer",
    inspect.FloatType: "a number",
}


class Flaw(Exception):
    """What is wrong with one value, in words that do not quote it.

    Args:
        what: The predicate of a sentence whose subject is the place: ``is empty``.
        mend: What to do about it.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


class Environment(Mapping[str, str]):
    """Environment variables whose repr shows none, so that no traceback with locals prints them all."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return "Environment(***)"


class Reading:
    """What the values of one configuration are read with, and the problems found so far.

    Args:
        environ: Where ``env:NAME`` looks.
        base_dir: What relative paths start from.
        places: Path of a value -> what a reader knows it as, where that is something else.
        strays: Key that belongs elsewhere -> how to mend that it is here.
        protocols: Names of what an upstream may speak.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        base_dir: Path,
        *,
        places: Mapping[str, str] | None = None,
        strays: Mapping[str, str] | None = None,
        protocols: Collection[str] = (),
    ) -> None:
        self.environ = Environment(environ)
        self.base_dir = base_dir
        self.problems: list[str] = []
        self.protocols = protocols
        self._places = places or {}
        self._strays = strays or {}
        self._bad: list[str] = []

    def problem(self, at: str, what: str, mend: str) -> None:
        """Note that the value at ``at`` cannot be used."""
        self._bad.append(at)
        self.conflict(at, what, mend)

    def conflict(self, at: str, what: str, mend: str) -> None:
        """Note that the value at ``at``, sound by itself, does not go together with others."""
        self.problems.append(problem_line(self.shown(at), what, mend))

    def shown(self, at: str) -> str:
        """Return what people call a place."""
        return self._places.get(at, at)

    def is_sound(self, at: str) -> bool:
        """Tell whether the value at ``at``, with everything around and inside it, can be used."""
        return not any(at == bad or _is_inside(bad, at) or _is_inside(at, bad) for bad in self._bad)

    def sound(self, at: str, values: Sequence[T]) -> Iterator[tuple[str, T]]:
        """Yield the place and the value of those in an array that can be used."""
        for index, value in enumerate(values):
            place = f"{at}[{index}]"
            if self.is_sound(place):
                yield place, value

    def unknown_key(self, at: str, key: object, known: Sequence[str]) -> None:
        """Note that a table has a key that nobody reads."""
        name = _public(key)
        mend = self._strays.get(name)
        if mend is None:
            close = nearest(name, known)
            mend = f"did you mean {close}?" if close is not None else f"known here: {', '.join(known)}"
        self.problem(join(at, name), "there is no such key", mend)


Check = Callable[[object], object]
"""Returns a value in its one spelling, or raises `Flaw`."""
Read = Callable[[object, Reading, str], object]
"""The same of a value at a place; may note problems inside it by itself."""


def read_table(shape: type[T], raw: Mapping[str, object], reading: Reading) -> T:
    """Return the mapping as a Struct. Where `Reading.is_sound` says no, what stands there has no meaning."""
    return cast("T", _read(_kind_of(shape), raw, "", reading))


def read_fields(
    shape: type, raw: object, reading: Reading, at: str, *, besides: Sequence[str] = ()
) -> dict[str, object]:  # fmt: skip
    """Return those fields of a Struct that a mapping has, without the defaults of the others.

    Args:
        shape: The Struct.
        raw: What stands there; None as a value means that the key is absent.
        reading: Takes the problems.
        at: Its place.
        besides: Keys of the mapping that the caller reads itself.
    """
    kind = _kind_of(shape)
    assert isinstance(kind, inspect.StructType)
    if not isinstance(raw, Mapping):
        _wrong_kind(kind, raw, at, reading)
        return {}
    fields = {field.encode_name: field.type for field in kind.fields}
    for name in raw:
        if name not in fields and name not in besides:
            reading.unknown_key(at, name, [*besides, *fields])
    said = [name for name in fields if raw.get(name) is not None]
    return {name: _read(fields[name], raw[name], join(at, name), reading) for name in said}


def _public(key: object) -> str:
    """Return the name of a key that is not known here, unless it may be something that should not be shown."""
    return key if isinstance(key, str) and _BARE_KEY.fullmatch(key) and scrub(key) == key else "?"


def _is_inside(at: str, outer: str) -> bool:
    return at.startswith((f"{outer}.", f"{outer}["))


def problem_line(at: str, what: str, mend: str) -> str:
    """Return a problem as people read it."""
    return f"{at}: {what}; {mend}"


def join(at: str, key: str) -> str:
    """Return the place of a key inside a table."""
    return f"{at}.{key}" if at else key


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like ``name``, in quotes; None if none is near."""
    by_form = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    close = get_close_matches(name.lower().replace("-", "_"), by_form, n=1, cutoff=0.6)
    return f"'{by_form[close[0]]}'" if close else None


def kind_of(raw: object) -> str:
    """Return what kind of value this is, in the words of TOML."""
    return next((words for kind, words in _FOUND.items() if isinstance(raw, kind)), "something else")


def text_of(raw: object) -> str:
    """Return a string.

    Raises:
        Flaw: It is something else.
    """
    if not isinstance(raw, str):
        raise Flaw(f"is {kind_of(raw)}", "write a string")
    return raw


def range_words(kind: inspect.IntType | inspect.FloatType) -> str:
    """Return the range of a number in words; empty if it has none."""
    low = f"from {kind.ge:,}" if kind.ge is not None else f"above {kind.gt:,}" if kind.gt is not None else ""
    high = f"to {kind.le:,}" if kind.le is not None else ""
    return f"{low} {high}".strip()


# --- by type ----------------------------------------------------------------------------------------------------------


def _read(kind: inspect.Type, raw: object, at: str, reading: Reading) -> object:
    match kind:
        case inspect.Metadata():
            return _read_annotated(kind, raw, at, reading)
        case inspect.UnionType(types=types):
            return _read(next(t for t in types if not isinstance(t, inspect.NoneType)), raw, at, reading)
        case inspect.StructType():
            return _read_struct(kind, raw, at, reading)
        case inspect.VarTupleType() | inspect.TupleType():
            return _read_array(kind, raw, at, reading)
        case inspect.DictType():
            return _read_dict(kind, raw, at, reading)
        case inspect.LiteralType():
            return _read_word(kind, raw, at, reading)
        case _:
            return _read_scalar(kind, raw, at, reading)


def _read_annotated(kind: inspect.Metadata, raw: object, at: str, reading: Reading) -> object:
    extra = kind.extra or {}
    check: Check | None = extra.get("check")
    read: Read | None = extra.get("read")
    try:
        if check is not None:
            return check(raw)
        if read is not None:
            return read(raw, reading, at)
    except Flaw as flaw:
        reading.problem(at, flaw.what, flaw.mend)
        return None
    if extra.get("one_or_list") and not isinstance(raw, list | tuple):
        assert isinstance(kind.type, inspect.VarTupleType)
        return (_read(kind.type.item_type, raw, at, reading),)
    return _read(kind.type, raw, at, reading)


def _read_struct(kind: inspect.StructType, raw: object, at: str, reading: Reading) -> object:
    found = read_fields(kind.cls, raw, reading, at)
    values = {name: value for name, value in found.items() if value is not None}
    for field in kind.fields:
        if field.required and field.name not in found and isinstance(raw, Mapping):
            reading.problem(join(at, field.name), "is missing", "every table of this kind needs it")
        if field.required:
            values.setdefault(field.name, None)
    return kind.cls(**values)


def _read_array(
    kind: inspect.VarTupleType | inspect.TupleType, raw: object, at: str, reading: Reading
) -> tuple[object, ...]:  # fmt: skip
    if not isinstance(raw, list | tuple):
        _wrong_kind(kind, raw, at, reading)
        return ()
    if isinstance(kind, inspect.VarTupleType):
        kinds: Sequence[inspect.Type] = [kind.item_type] * len(raw)
        if len(raw) < (kind.min_length or 0):
            reading.problem(at, "is empty", "write at least one value, or leave the key out")
    else:
        kinds = kind.item_types
        if len(raw) != len(kinds):
            reading.problem(at, "has the wrong length", f"write {len(kinds)} values")
            return ()
    return tuple(_read(kinds[index], item, f"{at}[{index}]", reading) for index, item in enumerate(raw))


def _read_dict(kind: inspect.DictType, raw: object, at: str, reading: Reading) -> dict[str, object]:
    if not isinstance(raw, Mapping):
        _wrong_kind(kind, raw, at, reading)
        return {}
    return {str(key): _read(kind.value_type, value, join(at, _public(key)), reading) for key, value in raw.items()}


def _read_word(kind: inspect.LiteralType, raw: object, at: str, reading: Reading) -> object:
    if raw in kind.values:
        return raw
    words = [str(value) for value in kind.values]
    close = nearest(raw, words) if isinstance(raw, str) else None
    what = "is none of the words that may stand here" if isinstance(raw, str) else f"is {kind_of(raw)}"
    reading.problem(at, what, f"did you mean {close}?" if close else f"write one of {', '.join(map(repr, words))}")
    return None


def _read_scalar(kind: inspect.Type, raw: object, at: str, reading: Reading) -> object:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    match kind:
        case inspect.BoolType() if isinstance(raw, bool):
            return raw
        case inspect.StrType() if isinstance(raw, str):
            return raw
        case inspect.IntType() if isinstance(raw, int) and is_number:
            return _in_range(kind, raw, at, reading)
        case inspect.FloatType() if isinstance(raw, int | float) and is_number:
            return _in_range(kind, raw, at, reading)
    _wrong_kind(kind, raw, at, reading)
    return None


def _in_range(kind: inspect.IntType | inspect.FloatType, value: float, at: str, reading: Reading) -> float | None:
    low = -math.inf if kind.ge is None else kind.ge
    high = math.inf if kind.le is None else kind.le
    if low <= value <= high and (kind.gt is None or value > kind.gt):
        return value if isinstance(kind, inspect.IntType) else float(value)
    reading.problem(at, "is out of range", f"write a number {range_words(kind)}")
    return None


def _wrong_kind(kind: inspect.Type, raw: object, at: str, reading: Reading) -> None:
    reading.problem(at, f"is {kind_of(raw)}", f"write {_WANTED[type(kind)]}")
