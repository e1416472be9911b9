"""Slots, probes and amounts: judged and taken in one step, without an edge where twice the limit passes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted, Probe, SharedSlot
from asgi_ds2api.state.ledger import Ledger

START = 1_000.0
ACCOUNT = HealthScope("account", "openai/a")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Rig:
    """A ledger, its clock, and what it is told of cooldowns."""

    def __init__(self, max_counts: int = 1_000) -> None:
        self.clock = Clock()
        self.cooldowns: dict[HealthScope, Cooldown] = {}
        self.ledger = Ledger(self.clock, self.cooldowns.get, max_counts)

    def ask(
        self, *amounts: Amount, holder: str = "one", slots: int = 0, probe: int | None = None
    ) -> NotAdmitted | None:
        return self.ledger.admit(
            Admission(
                holder=holder,
                probes=() if probe is None else (Probe(ACCOUNT, probe),),
                slots=(SharedSlot("caller bob", slots),) if slots else (),
                amounts=amounts,
            )
        )


def paced(amount: float, limit: float = 60) -> Amount:
    return Amount(name="rpm", amount=amount, limit=limit, life_s=60, is_paced=True)


def counted(amount: float, limit: float = 100) -> Amount:
    return Amount(name="day", amount=amount, limit=limit, life_s=86_400)


def test_a_paced_limit_may_be_used_at_once_and_comes_back_bit_by_bit() -> None:
    rig = Rig()
    answers = [rig.ask(paced(1)) for _ in range(61)]
    assert answers == [None] * 60 + [NotAdmitted("rpm", 1.0)]
    rig.clock.now += 1
    assert (rig.ask(paced(1)), rig.ask(paced(1))) == (None, NotAdmitted("rpm", 1.0))


def test_no_window_has_an_edge_at_which_twice_the_limit_passes() -> None:
    rig = Rig()
    rig.clock.now = 59.9
    passed = sum(rig.ask(paced(1)) is None for _ in range(100))
    rig.clock.now = 60.1
    assert passed + sum(rig.ask(paced(1)) is None for _ in range(100)) == 60


def test_what_asks_for_more_than_a_whole_paced_limit_passes_alone() -> None:
    rig = Rig()
    assert rig.ask(paced(500)) is None
    assert rig.ask(paced(1)) == NotAdmitted("rpm", 441.0)


@pytest.mark.parametrize("limit", [0, -1, math.nan])
def test_of_a_limit_of_nothing_nothing_passes(limit: float) -> None:
    for amount in (paced(1, limit), counted(1, limit), paced(0, limit)):
        rig = Rig()
        rig.ledger.add(amount)
        assert rig.ask(amount) == NotAdmitted(amount.name, amount.life_s)


def test_a_counted_limit_is_never_passed_and_comes_back_as_a_whole() -> None:
    rig = Rig()
    assert (rig.ask(counted(101)), rig.ask(counted(60))) == (NotAdmitted("day", 86_400.0), None)
    rig.clock.now += 400
    assert rig.ask(counted(41)) == NotAdmitted("day", 86_000.0)
    rig.clock.now += 86_000
    assert rig.ask(counted(100)) is None


def test_what_was_not_used_is_given_back() -> None:
    rig = Rig()
    rig.ask(counted(100))
    rig.ledger.add(counted(-30))
    assert (rig.ledger.used(counted(0)), rig.ask(counted(30))) == (70.0, None)


def test_what_was_used_beyond_counts_without_being_asked() -> None:
    rig = Rig()
    rig.ledger.add(counted(130))
    assert (rig.ledger.used(counted(0)), rig.ask(counted(0))) == (130.0, NotAdmitted("day", 86_400.0))


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 5)), max_size=50))
def test_I5_never_negative(steps: list[tuple[float, float]]) -> None:
    rig = Rig()
    for amount, wait_s in steps:
        rig.clock.now += wait_s
        rig.ledger.add(paced(amount))
        rig.ledger.add(counted(amount))
        assert rig.ledger.used(paced(0)) >= 0
        assert rig.ledger.used(counted(0)) >= 0


@given(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 10)), max_size=80))
def test_I5_refills_no_faster_than_its_rate(steps: list[tuple[float, float]]) -> None:
    """In any stretch of time no more passes than the limit and what came back in it."""
    rig, passed = Rig(), 0.0
    for amount, wait_s in steps:
        rig.clock.now += wait_s
        if rig.ask(paced(amount)) is None:
            passed += amount
    assert passed <= 60 + (rig.clock.now - START) + 1e-6


@given(st.floats(0.1, 60), st.floats(0.1, 60))
def test_the_wait_that_is_told_is_enough(first: float, second: float) -> None:
    rig = Rig()
    rig.ask(paced(first))
    refusal = rig.ask(paced(second))
    if refusal is not None:
        rig.clock.now += refusal.wait_s + 1e-6
        assert rig.ask(paced(second)) is None


def test_slots_are_bounded_and_come_back_when_their_holder_leaves() -> None:
    rig = Rig()
    assert [rig.ask(holder=name, slots=2) is None for name in "abc"] == [True, True, False]
    rig.ledger.leave("a")
    rig.ledger.leave("a")
    assert [rig.ask(holder=name, slots=2) is None for name in "cd"] == [True, False]


def test_all_is_taken_or_nothing() -> None:
    rig = Rig()
    rig.ask(counted(100))
    assert rig.ask(paced(1), counted(1), holder="a", slots=1) == NotAdmitted("day", 86_400.0)
    assert (rig.ledger.used(paced(0)), rig.ask(holder="b", slots=1)) == (0.0, None)


def test_one_alone_may_probe() -> None:
    rig = Rig()
    rig.cooldowns[ACCOUNT] = Cooldown(state="cooling", until=START - 1, epoch=3)
    assert [rig.ask(holder=name, probe=3) is None for name in "ab"] == [True, False]
    rig.ledger.leave("a")
    assert rig.ask(holder="b", probe=3) is None


def test_the_probe_of_an_older_closing_keeps_nobody_from_the_next() -> None:
    rig = Rig()
    assert rig.ask(holder="a long stream", probe=3) is None
    assert [rig.ask(holder=name, probe=4) is None for name in "ab"] == [True, False]


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(Cooldown(state="cooling", until=START + 9, epoch=4), id="somebody probed, and it failed"),
        pytest.param(Cooldown(state="healthy", until=START - 1, epoch=3), id="somebody probed, and it is open"),
        pytest.param(Cooldown(state="cooling", until=START + 9, epoch=3), id="its pause was lengthened"),
    ],
)
def test_who_has_old_news_may_not_probe(known: Cooldown) -> None:
    rig = Rig()
    rig.cooldowns[ACCOUNT] = known
    assert rig.ask(probe=3) == NotAdmitted("account openai/a", 1.0)


def test_counts_are_bounded() -> None:
    rig = Rig(max_counts=2)
    for name in "abc":
        rig.ledger.add(Amount(name=name, amount=5, limit=9, life_s=60))
    assert [rig.ledger.used(Amount(name=name, amount=0, limit=9, life_s=60)) for name in "abc"] == [0, 5, 5]
