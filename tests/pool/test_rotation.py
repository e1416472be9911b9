"""Picking does not look at everybody: counted in bytecodes, so that no machine is too slow for it."""

import sys
from collections.abc import Callable, Iterable
from itertools import islice
from types import FrameType
from typing import Any

import pytest

from asgi_ds2api.errors import NoCapacity, Overloaded, PoolExhausted, QuotaExhausted, Refused
from asgi_ds2api.pool.rotation import MAX_RINGS, Ring, Rotation
from asgi_ds2api.pool.strategies import STRATEGIES, StrategyName

from .rig import Rig, accounts
from .verdicts import limited

FEW, MANY = 10, 10_000


def bytecodes(call: Callable[[], object]) -> int:
    """Count the bytecodes that a call executes."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def costs(prepare: Callable[[int], Callable[[], object]], most: int = MANY) -> tuple[int, int]:
    """Return what a call costs that is prepared for ten accounts (or whatever is counted), and for very many."""
    bytecodes(prepare(FEW))  # CPython 3.12 and 3.13 miss the bytecodes of code that is traced for the first time
    few, many = bytecodes(prepare(FEW)), bytecodes(prepare(most))
    assert few > 0
    return few, many


def healthy(count: int, strategy: StrategyName) -> Rig:
    return Rig(count, strategy=strategy)


def mostly_limited(count: int, strategy: StrategyName) -> Rig:
    rig = Rig(count, strategy=strategy)
    for _ in range(count * 9 // 10):
        rig.attempt(limited(3_000))
    return rig


def mostly_limited_for_the_model(count: int, strategy: StrategyName) -> Rig:
    rig = Rig(count, strategy=strategy)
    for _ in range(count * 9 // 10):
        rig.attempt(limited(3_000, by_model=True))
    return rig


def serve(rig: Rig) -> None:
    for _ in range(20):
        rig.pool.release(rig.acquire())


def refuse(rig: Rig) -> None:
    for _ in range(20):
        with pytest.raises(PoolExhausted):
            rig.acquire()


@pytest.mark.parametrize("strategy", list(STRATEGIES))
@pytest.mark.parametrize("make", [healthy, mostly_limited, mostly_limited_for_the_model])
def test_a_pick_costs_the_same_among_ten_and_ten_thousand(
    make: Callable[[int, StrategyName], Rig], strategy: StrategyName
) -> None:
    def prepare(count: int) -> Callable[[], None]:
        rig = make(count, strategy)
        serve(rig)
        return lambda: serve(rig)

    few, many = costs(prepare)
    assert many < 1.3 * few


def test_two_models_in_turn_cost_no_search_either() -> None:
    """Each finds in its ring the accounts that the other has used meanwhile."""

    def prepare(count: int) -> Callable[[], None]:
        rig = Rig(count)

        def both() -> None:
            for _ in range(20):
                rig.attempt(None, "openai/a")
                rig.attempt(None, "openai/b")

        both()
        return both

    few, many = costs(prepare)
    assert many < 1.3 * few


@pytest.mark.parametrize("by", ["account", "model", "origin"])
def test_a_refusal_costs_the_same_when_ten_or_ten_thousand_are_closed(by: str) -> None:
    def prepare(count: int) -> Callable[[], None]:
        rig = Rig(count)
        error = Overloaded("full", retry_after_s=60) if by == "origin" else limited(3_000, by_model=by == "model")
        for _ in range(1 if by == "origin" else count):
            rig.attempt(error)
        refuse(rig)
        return lambda: refuse(rig)

    few, many = costs(prepare)
    assert many < 1.3 * few


def test_closing_an_origin_does_not_walk_over_its_accounts() -> None:
    def prepare(count: int) -> Callable[[], None]:
        rig = Rig(count)
        serve(rig)

        def close() -> None:
            rig.attempt(Overloaded("full", retry_after_s=60))
            refuse(rig)

        return close

    few, many = costs(prepare)
    assert many < 1.3 * few


def test_disabled_accounts_are_not_counted_one_by_one() -> None:
    def prepare(count: int) -> Callable[[], None]:
        rig = Rig(count)
        for _ in range(count):
            rig.attempt(QuotaExhausted("pay"))

        def ask() -> None:
            with pytest.raises(NoCapacity):
                rig.acquire()

        ask()
        return ask

    few, many = costs(prepare)
    assert many < 1.3 * few


def all_full() -> Rig:
    rig = Rig(accounts(20, concurrency=1), max_waiting=300)
    for _ in range(20):
        rig.acquire()
    return rig


def all_full_but_one_that_cools() -> Rig:
    rig = Rig(accounts(20, concurrency=1), max_waiting=300)
    rig.attempt(limited(3_000))
    for _ in range(19):
        rig.acquire()
    return rig


def without_tokens() -> Rig:
    rig = Rig(accounts(20, tpm=10.0))
    for _ in range(20):
        rig.pool.acquire(rig.asking(10))
    return rig


@pytest.mark.parametrize("make", [all_full, all_full_but_one_that_cools, without_tokens])
def test_names_that_callers_make_up_cost_hardly_more_when_three_hundred_of_them_wait_than_ten(
    make: Callable[[], Rig],
) -> None:
    """A ring was made anew for each name in line, of all accounts, whenever an attempt began or ended."""

    def prepare(count: int) -> Callable[[], None]:
        rig = make()
        for n in range(count):
            plan = rig.plan(f"openai/made-up-{n}")
            with pytest.raises(PoolExhausted) as caught:
                rig.pool.acquire(plan)
            rig.pool.join(plan, (), 1_000.0, lambda: None, caught.value)

        def end_one_and_come() -> None:
            rig.pool.release(next(iter(rig.pool._leases)))
            with pytest.raises(PoolExhausted):
                rig.acquire("openai/made-up-too")

        return end_one_and_come

    few, many = costs(prepare, most=300)
    assert many - few < 30 * 290, "each is looked at, whether it waits in vain; no more than that"


# --- the ring itself -------------------------------------------------------------------------------------------------


def order(
    rotation: Rotation, ring: Ring, turns: Iterable[int], passed_over: set[int] | None = None
) -> list[int | None]:
    picks = []
    for turn in turns:
        index = ring.pick(0.0, lambda _: -1.0, passed_over or set())
        picks.append(index)
        if index is not None:
            rotation.taken(index, turn, by_rank=True)
    return picks


@pytest.fixture
def rotation() -> Rotation:
    return Rotation([1.0, 1.0, 1.0], STRATEGIES["round_robin"], lambda: 0.0)


def test_somebody_parked_is_not_asked_about_before_the_time(rotation: Rotation) -> None:
    asked: list[int] = []

    def opens_at(index: int) -> float:
        asked.append(index)
        return 10.0

    for now in (0.0, 5.0, 9.9):
        rotation.ring(("m", 0)).pick(now, opens_at, ())
    assert asked == [0, 1, 2]


def test_a_time_that_no_longer_counts_wakes_nobody(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    asked: list[int] = []
    until = {0: 5.0, 1: 50.0, 2: 50.0}

    def opens_at(index: int) -> float:
        asked.append(index)
        return until[index]

    ring.pick(0.0, opens_at, ())
    until[0] = 40.0
    rotation.wake(0)
    ring.pick(1.0, opens_at, ())
    ring.pick(6.0, opens_at, ())
    assert asked == [0, 1, 2, 0]


def test_somebody_who_stays_closed_is_parked_again(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    until = {0: 5.0, 1: 50.0, 2: 50.0}
    ring.pick(0.0, until.__getitem__, ())
    until[0] = 20.0
    assert [ring.pick(now, until.__getitem__, ()) for now in (5.0, 19.0, 20.0)] == [None, None, 0]


def test_the_soonest_is_who_opens_first_as_things_stand(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    until = {0: 5.0, 1: 30.0, 2: 40.0}
    ring.pick(0.0, until.__getitem__, ())
    until[0] = 35.0
    assert ring.soonest(until.__getitem__) == 30.0


def test_who_was_woken_counts_no_more_among_the_parked(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    until = {0: 5.0, 1: 30.0, 2: 40.0}
    ring.pick(0.0, until.__getitem__, ())
    rotation.wake(0)
    assert ring.soonest(until.__getitem__) == 30.0


def test_nobody_is_in_line_twice_after_waking_early_and_in_time(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    ring.pick(0.0, lambda _: 5.0, ())
    rotation.wake(0)
    rotation.wake(0)
    picks = []
    for turn in range(1, 4):
        index = ring.pick(5.0, lambda _: -1.0, ())
        assert index is not None
        picks.append(index)
        rotation.taken(index, turn, by_rank=True)
    assert picks == [0, 1, 2]


def test_with_nobody_parked_there_is_no_soonest(rotation: Rotation) -> None:
    assert rotation.ring(("m", 0)).soonest(lambda _: 0.0) == float("inf")


def test_everybody_passed_over_keeps_the_order(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    before = order(rotation, ring, [1], passed_over={0, 1, 2})
    assert (before, order(rotation, ring, [2, 3, 4])) == ([None], [0, 1, 2])


def test_a_ring_that_was_forgotten_is_built_from_the_ranks(rotation: Rotation) -> None:
    order(rotation, rotation.ring(("m", 0)), [1])
    for n in range(MAX_RINGS):
        rotation.ring((f"other-{n}", 0))
    assert order(rotation, rotation.ring(("m", 0)), [2, 3, 4]) == [1, 2, 0]


def test_the_ring_of_a_model_in_use_is_not_the_one_to_be_forgotten(rotation: Rotation) -> None:
    ring = rotation.ring(("m", 0))
    for n in range(2 * MAX_RINGS):
        rotation.ring((f"other-{n}", 0))
        rotation.ring(("m", 0))
    assert rotation.ring(("m", 0)) is ring


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    rig = Rig(2, max_model_gates=5)
    for n in range(200):
        rig.attempt(limited(3_000, by_model=True), f"openai/made-up-{n}")
    known = [status for account in rig.pool.snapshot().accounts for status in account.models]
    assert [status.model for status in known] == [f"made-up-{n}" for n in (196, 198, 195, 197, 199)]


def test_a_model_gate_that_was_forgotten_is_open() -> None:
    rig = Rig(1, max_model_gates=1)
    rig.attempt(limited(3_000, by_model=True), "openai/a")
    with pytest.raises(PoolExhausted):
        rig.acquire("openai/a")
    rig.attempt(limited(3_000, by_model=True), "openai/b")
    assert rig.labels(1, "openai/a") == ["0"]


def test_the_lowest_of_some_is_who_was_used_longest_ago(rotation: Rotation) -> None:
    order(rotation, rotation.ring(("m", 0)), islice(range(1, 9), 2))
    assert rotation.lowest([0, 1], 0.0) == 0


def test_limits_of_every_account_and_model_are_remembered() -> None:
    rig = Rig(200)
    for model in range(51):
        for _ in range(200):
            rig.attempt(limited(3_000, by_model=True), f"openai/{model}")
    assert sum(len(status.models) for status in rig.pool.snapshot().accounts) == 200 * 51


def test_an_account_that_was_forgotten_leaves_its_place_under_the_ceiling() -> None:
    rig = Rig(3, max_model_gates=2)
    absent = Refused("no such model")
    absent.kind = "model_not_found"
    rig.attempt(absent, "openai/x")
    rig.attempt(absent, "openai/x")
    rig.attempt(limited(3_000, by_model=True), "openai/y")
    rig.attempt(absent, "openai/x")
    closed = [[model.model for model in status.models] for status in rig.pool.snapshot().accounts]
    assert closed == [["x"], [], ["y"]]
