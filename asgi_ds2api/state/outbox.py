"""What this process has to tell others and has not told yet: filled in the event loop, emptied by a thread.

Bounded whatever the backend does: of a scope and of an amount only the sum waits, of a fact only the last value, and of
all facts together so many bytes, the oldest given up first. A fact that the place does not take keeps nothing else from
it. What waits grows no younger by that: a fact ends when it would have ended anyway.
"""

import math
import secrets
import threading
from collections.abc import Sequence

import msgspec

from .backend import Backend, BackendError, CooldownNews, FactNews
from .contract import Admission, Amount, Cooldown, HealthScope

MAX_UNDONE = 64
"""Askings that failed and wait to be undone: one each time that a place is tried again, which takes up to 30 s."""


class _Fact(msgspec.Struct, frozen=True):
    """A fact that waits."""

    news: FactNews
    ends_at: float
    """By the clock of who put it; of one that is forgotten: never."""

    def at(self, now: float) -> FactNews:
        """Return the fact as others are told it: with what is left of its life."""
        return msgspec.structs.replace(self.news, ttl_s=min(self.news.ttl_s, self.ends_at - now))


class _Load:
    """What waits."""

    __slots__ = ("amounts", "cooldowns", "facts", "leaves", "number", "undone")

    def __init__(self) -> None:
        self.cooldowns: dict[HealthScope, Cooldown] = {}
        self.facts: dict[tuple[str, str], _Fact] = {}
        self.amounts: dict[str, Amount] = {}
        self.leaves: dict[str, tuple[str, ...]] = {}
        self.undone: dict[str, tuple[Admission, ...]] = {}
        """Name of an asking that failed -> what it asked for."""
        self.number = 0


class Outbox:
    """Collects for a backend.

    Args:
        max_fact_bytes: Of the values of all facts that wait.
    """

    def __init__(self, max_fact_bytes: int) -> None:
        self._max_fact_bytes = max_fact_bytes
        self._lock = threading.Lock()
        self._load = _Load()
        self._fact_bytes = 0
        self._put_at: dict[tuple[str, str], int] = {}
        """Of each fact the number of its last put, in that order; until what others wrote before it was heard."""
        self._written = 0
        self._adding: tuple[str, tuple[Amount, ...]] | None = None
        """Amounts that were sent, and not heard of since, under the name by which they are counted once."""
        self.dropped = 0
        """Facts that were given up."""

    @property
    def number(self) -> int:
        """How many things were collected so far."""
        return self._load.number

    def is_written(self, number: int) -> bool:
        """Tell whether what was collected up to a number was carried."""
        return self._written >= number

    def merge(self, scope: HealthScope, total: Cooldown) -> None:
        """Collect what is known of a scope."""
        with self._lock:
            self._load.cooldowns[scope] = total
            self._load.number += 1

    def put(self, fact: FactNews, now: float) -> None:
        """Collect a fact."""
        with self._lock:
            facts = self._load.facts
            before = facts.pop((fact.table, fact.key), None)
            self._fact_bytes += len(fact.value) - (0 if before is None else len(before.news.value))
            facts[fact.table, fact.key] = _Fact(fact, now + fact.ttl_s if fact.ttl_s > 0 else math.inf)
            self._load.number += 1
            self._put_at.pop((fact.table, fact.key), None)
            self._put_at[fact.table, fact.key] = self._load.number
            self._bound_facts()

    def put_since(self, number: int) -> set[tuple[str, str]]:
        """Return which facts were put after what was collected up to a number; of others, forget when they were.

        What others wrote of these, and was read when all up to that number was carried, is older.
        """
        with self._lock:
            while self._put_at and (oldest := next(iter(self._put_at.items())))[1] <= number:
                del self._put_at[oldest[0]]
            return set(self._put_at)

    def add(self, amount: Amount) -> None:
        """Collect what was used."""
        with self._lock:
            before = self._load.amounts.get(amount.name)
            total = amount.amount + (0.0 if before is None else before.amount)
            self._load.amounts[amount.name] = msgspec.structs.replace(amount, amount=total)
            self._load.number += 1

    def leave(self, holder: str, names: Sequence[str]) -> None:
        """Collect what a holder gives back."""
        with self._lock:
            self._load.leaves[holder] = (*self._load.leaves.get(holder, ()), *names)
            self._load.number += 1

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        """Collect what may have been granted to nobody."""
        with self._lock:
            self._load.undone[once] = tuple(admissions)
            self._load.number += 1
            _bound(self._load.undone)

    def carry(self, backend: Backend, writer: str, now: float) -> int:
        """Write all that waits; return the number up to which that is. What could not be written waits on.

        What a probe found out goes before its right to probe: else somebody might probe again who has not heard of it.

        Raises:
            BackendError: As the backend.
        """
        load = self._take()
        try:
            for once, admissions in tuple(load.undone.items()):
                backend.undo(admissions, once)
                del load.undone[once]
            if load.cooldowns:
                backend.write(writer, [_news(scope, entry, now) for scope, entry in load.cooldowns.items()])
                load.cooldowns.clear()
            if load.leaves:
                backend.leave(load.leaves)
                load.leaves.clear()
            self._add(backend, load)
            self._write_facts(backend, writer, load.facts, now)
        finally:
            self._put_back(load)
        self._written = load.number
        return load.number

    def _add(self, backend: Backend, load: _Load) -> None:
        """Count each amount once: what may have been counted when the place failed is sent again as it was."""
        while self._adding is not None or load.amounts:
            if self._adding is None:
                self._adding = secrets.token_hex(8), tuple(load.amounts.values())
                load.amounts.clear()
            once, amounts = self._adding
            backend.add(amounts, once)
            self._adding = None

    def _write_facts(self, backend: Backend, writer: str, facts: dict[tuple[str, str], _Fact], now: float) -> None:
        """Write facts, all in one step; each by itself where that fails, so that one of them fails for itself alone.

        One that has ended is none any more: what it would have replaced has ended before it.
        """
        for key in [key for key, fact in facts.items() if fact.ends_at <= now]:
            del facts[key]
        if not facts:
            return
        try:
            backend.write(writer, [fact.at(now) for fact in facts.values()])
            facts.clear()
        except BackendError:
            for key, fact in tuple(facts.items()):
                self._write_one(backend, writer, fact.at(now))
                del facts[key]

    def _write_one(self, backend: Backend, writer: str, fact: FactNews) -> None:
        """Write a fact, or give it up if the place takes anything but that: what was known before it is forgotten.

        Raises:
            BackendError: Nothing can be written.
        """
        try:
            backend.write(writer, (fact,))
        except BackendError:
            backend.write(writer, (FactNews(fact.table, fact.key, b"", 0),))
            try:
                backend.write(writer, (fact,))  # the place is there: it may have been away for a moment
            except BackendError:
                self.dropped += 1

    def _take(self) -> _Load:
        with self._lock:
            load, self._load = self._load, _Load()
            self._load.number = load.number
            self._fact_bytes = 0
            return load

    def _put_back(self, load: _Load) -> None:
        """Let what is left of a load wait on, behind what came since: that is newer."""
        with self._lock:
            current = self._load
            current.cooldowns = {**load.cooldowns, **current.cooldowns}
            for amount in load.amounts.values():
                before = current.amounts.get(amount.name)
                total = amount.amount + (0.0 if before is None else before.amount)
                current.amounts[amount.name] = msgspec.structs.replace(amount, amount=total)
            for holder, names in load.leaves.items():
                current.leaves[holder] = (*names, *current.leaves.get(holder, ()))
            current.undone = {**load.undone, **current.undone}
            _bound(current.undone)
            current.facts = {**load.facts, **current.facts}
            self._fact_bytes = sum(len(fact.news.value) for fact in current.facts.values())
            self._bound_facts()

    def _bound_facts(self) -> None:
        """Give up the oldest facts of too many."""
        facts = self._load.facts
        while self._fact_bytes > self._max_fact_bytes:
            key = next(iter(facts))
            self._fact_bytes -= len(facts.pop(key).news.value)
            self._put_at.pop(key, None)
            self.dropped += 1


def _bound(undone: dict[str, tuple[Admission, ...]]) -> None:
    """Forget the oldest of too many askings: by then the place has forgotten them, too."""
    while len(undone) > MAX_UNDONE:
        del undone[next(iter(undone))]


def _news(scope: HealthScope, entry: Cooldown, now: float) -> CooldownNews:
    """Return what is known of a scope as others are told it: its end as a duration."""
    return CooldownNews(scope, msgspec.structs.replace(entry, until=entry.until - now))
