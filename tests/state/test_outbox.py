"""What waits to be told to others is told in an order, once, and whole."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asgi_ds2api.state.backend import BackendError, CooldownNews, FactNews, Granted, Missed, News
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted
from asgi_ds2api.state.outbox import MAX_UNDONE, Outbox

ACCOUNT = HealthScope("account", "openai/a")


class Listening:
    """A backend that keeps nothing but what it is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.facts: dict[str, tuple[bytes, float]] = {}
        """Key -> value and life."""
        self.most_bytes = 1_000
        """Of a fact; of a write that holds a larger one nothing is kept."""
        self.failures = 0
        """Writes that fail from now on, whatever they hold."""
        self.is_silent = False

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, writer: str, news: Sequence[News]) -> None:
        facts = [one for one in news if isinstance(one, FactNews)]
        self.failures -= 1
        if self.failures >= 0 or any(len(fact.value) > self.most_bytes for fact in facts):
            raise BackendError("no room")
        self.heard += [type(one) for one in news]
        self.facts |= {fact.key: (fact.value, fact.ttl_s) for fact in facts}

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
        return cursor, ()

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        return {}

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[NotAdmitted | Granted]:
        return [Granted() for _ in admissions]

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        self.heard.append((once, tuple(admissions)))

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        self.heard.append(dict(left))

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None: ...

    def add(self, amounts: Sequence[Amount], once: str) -> None:
        self.heard.append((once, {amount.name: amount.amount for amount in amounts}))
        if self.is_silent:
            raise BackendError("no answer")


def test_F115_what_a_probe_found_is_told_before_its_right_is_given_back() -> None:
    outbox, backend = Outbox(1_000), Listening()
    outbox.put(FactNews("answers", "k", b"v", 60), 0.0)
    outbox.leave("a", ["probe 1 account openai/a"])
    outbox.merge(ACCOUNT, Cooldown(state="cooling", until=60, epoch=2))
    outbox.carry(backend, "me", 0.0)
    assert backend.heard == [CooldownNews, {"a": ("probe 1 account openai/a",)}, FactNews]


def day(amount: float) -> Amount:
    return Amount(name="bob", amount=amount, limit=100, life_s=86_400)


def test_R_45_amounts_that_may_have_been_counted_are_sent_again_as_they_were() -> None:
    outbox, backend = Outbox(1_000), Listening()
    outbox.add(day(50))
    backend.is_silent = True
    with pytest.raises(BackendError):
        outbox.carry(backend, "me", 0.0)
    outbox.add(day(-20))
    backend.is_silent = False
    assert outbox.carry(backend, "me", 0.0) == outbox.number
    (once, first), (again, second), (other, third) = backend.heard
    assert (first, second, third) == ({"bob": 50}, {"bob": 50}, {"bob": -20})
    assert (once == again, once == other) == (True, False)


def test_R_45_askings_that_wait_to_be_undone_are_bounded() -> None:
    outbox, backend = Outbox(1_000), Listening()
    for number in range(MAX_UNDONE + 5):
        outbox.undo([Admission(holder=str(number))], str(number))
    outbox.carry(backend, "me", 0.0)
    assert [once for once, _ in backend.heard] == [str(number) for number in range(5, MAX_UNDONE + 5)]


# --- facts ------------------------------------------------------------------------------------------------------------


def waiting(*facts: FactNews) -> Outbox:
    outbox = Outbox(100_000)
    for fact in facts:
        outbox.put(fact, 0.0)
    return outbox


BEFORE, LARGE, BEHIND = [FactNews("answers", key, bytes(size), 60) for key, size in (("a", 1), ("b", 2_000), ("c", 2))]


def test_a_fact_is_newer_than_what_was_read_before_it_was_carried() -> None:
    """Also when it has been carried meanwhile: what was read may be heard late."""
    outbox, backend = waiting(BEFORE), Listening()
    read_at = outbox.carry(backend, "me", 0.0)
    outbox.put(BEFORE, 0.0)
    outbox.put(BEHIND, 0.0)
    heard_at = outbox.carry(backend, "me", 0.0)
    assert outbox.put_since(read_at) == {("answers", "a"), ("answers", "c")}
    assert outbox.put_since(heard_at) == set()


def test_a_fact_that_is_given_up_is_newer_than_nothing() -> None:
    outbox = Outbox(3)
    for fact in (BEFORE, BEHIND, BEHIND):
        outbox.put(fact, 0.0)
    assert outbox.put_since(0) == {("answers", "a"), ("answers", "c")}
    outbox.put(FactNews("answers", "d", b"12", 60), 0.0)
    assert outbox.put_since(0) == {("answers", "d")}


def test_a_fact_that_does_not_fit_is_given_up_and_keeps_nothing_else_from_its_place() -> None:
    outbox, backend = waiting(BEFORE, LARGE, BEHIND), Listening()
    assert outbox.carry(backend, "me", 0.0) == outbox.number
    assert (backend.facts, outbox.dropped) == ({"a": (bytes(1), 60), "b": (b"", 0), "c": (bytes(2), 60)}, 1)
    outbox.carry(backend, "me", 0.0)
    assert outbox.dropped == 1


def test_a_place_that_was_away_for_a_moment_is_told_all() -> None:
    outbox, backend = waiting(BEFORE, BEHIND), Listening()
    backend.failures = 2
    outbox.carry(backend, "me", 0.0)
    assert (backend.facts, outbox.dropped) == ({"a": (bytes(1), 60), "c": (bytes(2), 60)}, 0)


def test_facts_wait_for_a_place_that_takes_nothing() -> None:
    outbox, backend = waiting(BEFORE, BEHIND), Listening()
    backend.failures = 100
    with pytest.raises(BackendError):
        outbox.carry(backend, "me", 0.0)
    backend.failures = 0
    outbox.carry(backend, "me", 0.0)
    assert (list(backend.facts), outbox.dropped) == (["a", "c"], 0)


def test_what_waits_grows_no_younger_by_that() -> None:
    outbox, backend = waiting(FactNews("answers", "k", b"v", 3_600), FactNews("pins", "gone", b"", 0)), Listening()
    outbox.carry(backend, "me", 3_000.0)
    assert backend.facts == {"k": (b"v", 600), "gone": (b"", 0)}


def test_what_ended_while_it_waited_is_not_told() -> None:
    outbox, backend = waiting(FactNews("answers", "k", b"v", 3_600)), Listening()
    assert (outbox.carry(backend, "me", 3_600.0), backend.heard) == (1, [])
