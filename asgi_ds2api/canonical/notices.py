"""The base of all values, and how one says that something did not go through as it came."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from ..errors import MalformedRequest, Unsupported

Extras: TypeAlias = dict[str, Raw]
"""Fields that have no canonical name: the source protocol's field name -> JSON as it came."""

ProtocolName: TypeAlias = str
"""``NAME`` of a codec: its row in ``protocols.PROTOCOLS``. Nothing below the protocols lists them."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all canonical values."""


Severity = Literal["hint", "changed", "lost"]

BOOKKEEPING: Final = frozenset(
    {
        "cache_control",
        "client_metadata",
        "completed_at",
        "created_by",
        "fileData.mimeType",
        "id",
        "index",
        "internal_chat_message_metadata_passthrough",
        "item.id",
        "item.phase",
        "item.status",
        "parsed",
        "parsed_arguments",
        "phase",
        "status",
        "type",
    }
)
"""Names of fields that name, date, number or mark a part of a talk, or say its kind again: what was said is the same
without them."""

_ITEM = "item."
"""What the names of fields of an item of Responses begin with that are kept at its parts."""
_PART = re.compile(r"\.content\[\d+\]\Z")
_INDEX = re.compile(r"\[\d+\]")
_ANY_INDEX = re.compile(r"\[\]")
_UNSAFE = re.compile(r"[^\x21-\x7e]|[;=]")


class Notice(Value, frozen=True, kw_only=True, tag="notice", tag_field="event"):
    """One thing that did not go through as it came.

    Attributes:
        path: Where it stood, in the sender's terms: ``messages[2].content[0].cache_control``.
        action: What was done, one word: dropped, clamped, emulated, moved, renamed, merged, inserted.
        reason: Why, in a few words; never a value that somebody sent.
        severity: ``hint``: no effect on the answer. ``changed``: coerced or emulated. ``lost``: left out.
    """

    path: str
    action: str
    reason: str
    severity: Severity

    @property
    def pattern(self) -> str:
        """``path`` without indexes, so that equal places count as one.

        A sender may have made up the names in it, so whatever a header or a log line cannot hold becomes ``?``.
        """
        return _UNSAFE.sub("?", _INDEX.sub("[]", self.path))


def placed(path: str, places: Mapping[str, str]) -> str:
    """Return a path of a setting, or of a field of a value, in the sender's terms.

    Args:
        path: As an encoder has it: settings have Chat's names, fields of values those that they have in canonical.
        places: `Request.places`.
    """
    if not places or path in places:
        return places.get(path, path)
    pattern = place = _INDEX.sub("[]", path)
    while place not in places:
        cut = max(place.rfind("."), place.rfind("["))
        if cut < 0:
            return path
        place = place[:cut]
    indexes = iter(_INDEX.findall(path))
    return _ANY_INDEX.sub(lambda _: next(indexes), places[place] + pattern[len(place) :])


@contextmanager
def naming(places: Mapping[str, str]) -> Iterator[None]:
    """Let what is refused meanwhile be named in the sender's terms.

    Args:
        places: `Request.places`.
    """
    try:
        yield
    except (MalformedRequest, Unsupported) as error:
        error.param = error.param and placed(error.param, places)
        raise


def field_at(at: str, name: str) -> str:
    """Return the path of a field that a part keeps: it is the part's, or, as its name says, that of the item around it.

    Args:
        at: Path of the part; empty: the field stands at the top.
        name: Of the field.
    """
    if name.startswith(_ITEM):
        at, name = _PART.sub("", at), name.removeprefix(_ITEM)
    return f"{at}.{name}" if at else name


class Notices(list[Notice]):
    """Collects the Notices of one encoding; what every encoder reports to.

    Args:
        places: `Request.places`. What is the sender's own (`unknown`, `extra`, `overruled`, `tell`) has its path.
    """

    def __init__(self, places: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._places = places or {}

    def hint(self, path: str, reason: str, action: str = "dropped") -> None:
        """Report something without effect on the answer (a cache mark, a billing text)."""
        self._setting(path, reason, "hint", action)

    def changed(self, path: str, reason: str, action: str = "emulated") -> None:
        """Report something that was coerced or emulated."""
        self._setting(path, reason, "changed", action)

    def lost(self, path: str, reason: str, action: str = "dropped") -> None:
        """Report something that was left out and may matter."""
        self._setting(path, reason, "lost", action)

    def unknown(self, at: str, name: str, reason: str) -> None:
        """Report a field that the other side has no place for: lost, or a hint if it only names a part.

        Args:
            at: Path of what the field belongs to; may be empty.
            name: Of the field, which is the sender's own.
            reason: Why it has no place.
        """
        at = placed(at, self._places) if at else at
        self.tell(field_at(at, name), reason, "hint" if name in BOOKKEEPING else "lost")

    def extra(self, name: str, idle: Collection[str], reason: str) -> None:
        """Report one of a request's extras that the other side has no place for.

        Args:
            name: Its path, which is the sender's own.
            idle: `Request.idle_extras`, which are a hint.
            reason: Why it has no place.
        """
        self.tell(name, reason, "hint" if name in idle else "lost")

    def overruled(self, paths: Iterable[str]) -> None:
        """Report what the sender said elsewhere as well, which counts.

        Args:
            paths: `Request.overruled`.
        """
        for path in paths:
            self.tell(path, "it is said elsewhere as well, which counts", "hint")

    def tell(self, path: str, reason: str, severity: Severity, action: str = "dropped") -> None:
        """Report what stands at a path of the sender's own."""
        self.append(Notice(path=path, action=action, reason=reason, severity=severity))

    def _setting(self, path: str, reason: str, severity: Severity, action: str) -> None:
        place = placed(path, self._places)
        if place or not path:
            self.tell(place, reason, severity, action)


def reject_losses(notices: Sequence[Notice]) -> None:
    """Refuse a request of which a part would be lost.

    Raises:
        Unsupported: With the path of the first loss.
    """
    for notice in notices:
        if notice.severity == "lost":
            raise Unsupported(
                f"The upstream that serves this model has nothing for this: {notice.reason}. Leave it out, ask for "
                'another model, or set on_unsupported = "notice".',
                param=notice.path,
            )
