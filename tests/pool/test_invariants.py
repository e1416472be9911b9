"""I1-I14 of the reference: for each a pool that breaks it is found out.

That the pool keeps them over thousands of steps is shown by `test_machine`, which looks at I1-I4, I6-I11 and I13; and
by `test_room_machine` for I1, I5, I9, I11 and I13, with limits and a line. Here one rule at a time is taken out of the
pool, and the same machines must name the invariant. I12 and I14, which no single step can break, are properties below.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from asgi_ds2api.errors import PoolExhausted
from asgi_ds2api.pool import gates, health, line
from asgi_ds2api.pool.choosing import Chooser
from asgi_ds2api.pool.health import Rng
from asgi_ds2api.pool.limits import Bucket
from asgi_ds2api.pool.line import Waiter
from asgi_ds2api.pool.model import Account, Candidate, Lease, Origin, Plan, Target, Tier
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.pool.reports import Reports
from asgi_ds2api.pool.retry_budget import RetryBudget
from asgi_ds2api.pool.slots import Slot
from asgi_ds2api.pool.strategies import STRATEGIES, StrategyName
from asgi_ds2api.state import memory
from tests.benchmarks.pool import fairness

from .rig import Rig, accounts
from .test_machine import ERRORS, TARGETS, PoolMachine
from .test_room_machine import RoomMachine

Patch = pytest.MonkeyPatch

FIND = settings(
    max_examples=400,
    stateful_step_count=60,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
"""Enough to find each of them; nothing is made smaller, as nobody reads it."""


# --- pools with one rule less -----------------------------------------------------------------------------------------


def slots_are_not_given_back(patch: Patch) -> None:
    patch.setattr(Slot, "give_back", lambda _slot: None)


def closed_accounts_are_asked(patch: Patch) -> None:
    patch.setattr(Slot, "opens_at", lambda _slot, _model, _need: 0.0)


def a_later_pause_counts_though_it_is_shorter(patch: Patch) -> None:
    def paused(state: health.State, now: float, wait_s: float, reason: str, *, is_capped: bool) -> health.Cooling:
        return health.Cooling(
            until=now + wait_s, epoch=state.epoch, ejections=1, reason=reason, is_capped=is_capped
        )  # of the same epoch, so that reports of others still count

    patch.setattr(health, "_paused", paused)
    for module in (gates, memory):
        patch.setattr(module, "merged", lambda _before, after: after)


def every_attempt_is_a_probe(patch: Patch) -> None:
    patch.setattr(health, "probing", lambda state, _probe, _now: state)


def buckets_lose_nothing(patch: Patch) -> None:
    patch.setattr(Bucket, "level_at", lambda bucket, _now: bucket.capacity * 2)


def retries_cost_nothing(patch: Patch) -> None:
    patch.setattr(RetryBudget, "withdraw", lambda budget, _now: budget)


def who_was_tried_is_asked_again(patch: Patch) -> None:
    def rounds(_chooser: Chooser, plan: Plan, _tried: Collection[Candidate]) -> Iterator[tuple[Tier, Collection[Slot]]]:
        for tier in plan.tiers:
            yield tier, ()

    patch.setattr(Chooser, "_rounds", rounds)


def who_leaves_is_not_counted(patch: Patch) -> None:
    def abandon(pool: Pool, lease: Lease) -> None:
        held = pool._give_back(lease, None)
        if held is not None:
            pool._reports.dropped(held.slot, lease)

    patch.setattr(Pool, "abandon", abandon)


def probes_of_who_leaves_are_lost(patch: Patch) -> None:
    patch.setattr(Reports, "dropped", lambda _reports, _slot, _lease: None)


def chance_is_not_the_given_one(patch: Patch) -> None:
    real, own = health._backoff, Random()

    def backoff(base_s: float, exponent: int, rng: Rng) -> float:
        return real(base_s, exponent, own.random)

    patch.setattr(health, "_backoff", backoff)


def healthy_accounts_are_refused(patch: Patch) -> None:
    patch.setattr(Chooser, "choose", lambda _chooser, _plan, _tried, _now: None)


def probes_open_nothing(patch: Patch) -> None:
    real = health.succeeded

    def succeeded(state: health.State, seen: int, now: float) -> health.State:
        return state.before if isinstance(state, health.Probing) else real(state, seen, now)

    patch.setattr(health, "succeeded", succeeded)


BROKEN: dict[str, tuple[Callable[[Patch], None], type[RuleBasedStateMachine]]] = {
    "I1": (slots_are_not_given_back, PoolMachine),
    "I2": (closed_accounts_are_asked, PoolMachine),
    "I4": (every_attempt_is_a_probe, PoolMachine),
    "I5": (buckets_lose_nothing, RoomMachine),
    "I7": (who_was_tried_is_asked_again, PoolMachine),
    "I8": (who_leaves_is_not_counted, PoolMachine),
    "I9": (probes_of_who_leaves_are_lost, PoolMachine),
    "I10": (chance_is_not_the_given_one, PoolMachine),
    "I11": (healthy_accounts_are_refused, PoolMachine),
    "I13": (probes_open_nothing, PoolMachine),
}

AT_THE_END = ("I9", "I10", "I13")
"""What can be seen only when all attempts have ended."""


@pytest.mark.parametrize("name", BROKEN, ids=[f"{name}-{rule.__name__}" for name, (rule, _) in BROKEN.items()])
def test_a_pool_with_one_rule_less_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_out, machine = BROKEN[name]
    take_out(monkeypatch)
    if name not in AT_THE_END:
        monkeypatch.setattr(machine, "teardown", lambda _machine: None)
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(machine, settings=FIND)
    assert re.split(r"\W", str(found.value), maxsplit=1)[0] == name


# --- what chance seldom comes upon: walks of the machine that lead there ----------------------------------------------


def two_pauses_of_one_account(machine: PoolMachine) -> None:
    for _ in range(2):
        machine.bound_request(allowed={"a/0"})
    for error in ("429, 90 s", "429, 7 s"):
        machine.attempt_fails(data=None, error=error)
        machine.a_closed_scope_does_not_open_sooner_than_was_said()


def requests_that_are_all_retried(machine: PoolMachine) -> None:
    for _ in range(10):
        machine.request(goals=TARGETS[:1])
        machine.attempt_fails(data=None, error="502")
        if machine.open:
            machine.attempt_succeeds(data=None)
        machine.retries_stay_within_the_budget()


WALKS: dict[str, tuple[Callable[[Patch], None], Callable[[PoolMachine], None]]] = {
    "I3": (a_later_pause_counts_though_it_is_shorter, two_pauses_of_one_account),
    "I6": (retries_cost_nothing, requests_that_are_all_retried),
}


@pytest.mark.parametrize("name", WALKS, ids=[f"{name}-{rule.__name__}" for name, (rule, _) in WALKS.items()])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "one rule less"])
def test_a_pool_with_one_rule_less_is_found_out_on_a_walk(
    name: str, is_whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_out, walk = WALKS[name]
    monkeypatch.setattr(PoolMachine, "one_open", lambda machine, _data: min(machine.open))
    machine = PoolMachine()
    machine.begin(seed=0)
    if is_whole:
        walk(machine)
        return
    take_out(monkeypatch)
    with pytest.raises(AssertionError, match=name):
        walk(machine)


# --- what no single step can break ------------------------------------------------------------------------------------

SAFE = sorted(ERRORS.keys() - {"400", "slow", "cut"})
"""What may be asked elsewhere: the server said no, or was never reached."""


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@given(faults=st.tuples(st.sampled_from(SAFE), st.sampled_from(SAFE)), well=st.integers(0, 2), seed=st.integers(0, 99))
def test_I12_one_healthy_account_of_three_answers_whatever_the_others_say(
    strategy: StrategyName, faults: tuple[str, str], well: int, seed: int
) -> None:
    members = [Account(upstream="openai", label=str(n), origin=Origin("https", f"{n}.example", 443)) for n in range(3)]
    rig = Rig(members, strategy=strategy, dice=Random(seed).random)
    told = iter(faults)
    tried: list[Candidate] = []
    while True:
        lease = rig.acquire(tried=tried)
        tried.append(lease.candidate)
        if lease.candidate.account.label == str(well):
            rig.pool.release(lease)
            break
        error = ERRORS[next(told)]()
        rig.pool.release(lease, error)
        assert rig.pool.may_retry(lease, error)
    assert len(tried) <= 3


@settings(max_examples=60, deadline=None)
@given(
    shares=st.lists(st.integers(1, 12), min_size=2, max_size=5),
    slots=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_I14_nobody_waits_for_more_than_twice_his_share(shares: list[int], slots: int, seed: int) -> None:
    """Callers always have so many requests in line. Between two services of one, the others have two each at most."""
    rig = Rig(accounts(1, concurrency=slots), max_waiting=1_000)
    rng, names = Random(seed), [f"caller {number}" for number in range(len(shares))]
    running: list[Lease] = []
    waiting: list[Waiter] = []

    def come(caller: str) -> None:
        plan = rig.pool.plan([Target(upstream="openai", model="m")], caller=caller)
        try:
            running.append(rig.pool.acquire(plan))
        except PoolExhausted as refusal:
            waiting.append(rig.pool.join(plan, (), 1e9, lambda: None, refusal))

    for _ in range(slots):
        come("somebody")
    for caller, share in sorted(zip(names, shares, strict=True), key=lambda _: rng.random()):
        for _ in range(share):
            come(caller)
    since: Counter[str] = Counter()
    for _ in range(100):
        rig.pool.release(running.pop(rng.randrange(len(running))))
        (served,) = [waiter for waiter in waiting if waiter.lease is not None]
        waiting.remove(served)
        lease = served.take()
        assert lease is not None
        running.append(lease)
        caller = served.plan.caller
        since.update(name for name in names if name != caller)
        since[caller] = 0
        assert max(since.values()) <= 2 * (len(names) - 1)
        come(caller)


def test_I14_a_line_without_turns_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line._Turns, "of", lambda _turns, _caller: 0)
    assert fairness() > 2


def test_each_invariant_has_its_test() -> None:
    assert {f"I{number}" for number in range(1, 15)} == {*BROKEN, *WALKS, "I12", "I14"}


def test_machines_are_made_as_the_pool_is() -> None:
    """So that what is found out is the rule that was taken out, not the machine."""
    run_state_machine_as_test(PoolMachine, settings=settings(FIND, max_examples=5))
    run_state_machine_as_test(RoomMachine, settings=settings(FIND, max_examples=5))
