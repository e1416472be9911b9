"""What a place offers that several processes keep their state in: plain blocking functions, and what they take.

Times are durations here: each backend has a clock of its own. All functions may be called from several threads at once,
and raise `BackendError` for whatever goes wrong with the place.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from .contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted

SMALL_FACT_BYTES = 512
"""Facts up to this size are told to everybody (who is pinned to whom). Of larger ones is told that they have changed:
who holds another one forgets it, and looks it up when it is missed."""

ONCE_S = 120.0
"""How long is known what was done under a name: longer than a place that failed is left alone."""


NOBODY = ""
"""Stands for the writer of news that its writer has to hear as well: more was known than it wrote."""


class BackendError(Exception):
    """The place cannot be reached, or not be used. Its text holds no value that was kept and no credential.

    Who waited no longer does not know whether it was done: a server goes on with what it was told.
    """


class CooldownNews(msgspec.Struct, frozen=True):
    """What became of a scope."""

    scope: HealthScope
    entry: Cooldown
    """Its ``until`` is a duration: seconds from now, below 0 if it is past."""


class FactNews(msgspec.Struct, frozen=True):
    """A fact that was put, or (a life of 0 or less) forgotten."""

    table: str
    key: str
    value: bytes
    ttl_s: float


News: TypeAlias = CooldownNews | FactNews


class Missed(msgspec.Struct, frozen=True):
    """News of facts that are no longer told: what is held of others' facts may be older than what there is."""


class Granted(msgspec.Struct, frozen=True):
    """What an admission took."""

    used: tuple[float, ...] = ()
    """How much of each of its amounts is used now, by everybody together."""


class Backend(Protocol):
    """Where several processes keep their state."""

    def open(self) -> None:
        """Make it ready; what is missing in it is made. Idempotent."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...

    def write(self, writer: str, news: Sequence[News]) -> None:
        """Merge cooldowns (`contract.merged`), replace facts; both become news for all but the writer.

        Of a scope of which more was known than it wrote, the writer hears the sum, too.

        A fact above `SMALL_FACT_BYTES` becomes the news that it was forgotten: of what others hold of it that is so.
        """
        ...

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
        """Return what others wrote since a cursor, and the cursor of the next call.

        An empty cursor, or one from which on not all is told any more: all cooldowns that are known, whoever wrote
        them. Facts from before are found when missed; `Missed` comes first where some of them may be held as they were.
        """
        ...

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        """Return the facts that there are, each with the seconds it still lives."""
        ...

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[NotAdmitted | Granted]:
        """Judge several, one after the other, in one go (see `StateStore.admit`).

        Where this raises, they may have been admitted all the same: ``once``, a name that nobody used before, is what
        `undo` knows them by.

        Slots and probes are lost after ``lease_s``; slots are renewed before.
        """
        ...

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        """Take back what `admit` took under this name, all of it or a part; later it takes nothing any more.

        Idempotent. Known for `ONCE_S`, so to be called within that time.
        """
        ...

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        """Give back slots and probes: of each holder their names (`ledger.probe_name`)."""
        ...

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None:
        """Let slots that these holders hold live for another ``lease_s``; what they have lost stays lost."""
        ...

    def add(self, amounts: Sequence[Amount], once: str) -> None:
        """See `StateStore.add`. What was added under this name within `ONCE_S` is not added again."""
        ...
