"""R-44, hard: what a vendor sealed for a customer is asked of that customer's accounts, while they can answer."""

from collections.abc import Collection
from typing import Any

import pytest

from asgi_ds2api.errors import NoCapacity, PoolExhausted, Refused, ServerFault
from asgi_ds2api.pool.model import Account, Candidate, Lease, Plan, Target

from .rig import Rig, accounts
from .verdicts import limited, unauthorized


def sealing(count: int, **fields: Any) -> list[Account]:
    return accounts(count, seals_reasoning=True, **fields)


def plan(rig: Rig, session: str = "s", *targets: str, is_sealed: bool = True) -> Plan:
    """Plan a turn of a conversation that carries sealed reasoning."""
    pairs = [target.split("/") for target in targets or ["openai/m"]]
    goals = [Target(upstream=upstream, model=model) for upstream, model in pairs]
    return rig.pool.plan(goals, session=session, is_sealed=is_sealed)


def say(rig: Rig, session: str = "s", *targets: str, is_sealed: bool = True) -> str:
    """Make a whole turn; return the id of the account that it was on."""
    lease = rig.pool.acquire(plan(rig, session, *targets, is_sealed=is_sealed))
    rig.pool.answered(lease)
    rig.pool.release(lease)
    return lease.candidate.account.id


def close(rig: Rig, account: str, seconds: float = 60) -> None:
    rig.pool.release(rig.pool.acquire(rig.bound(account)), limited(seconds))


def elsewhere(rig: Rig, tried: Collection[Candidate] = ()) -> Lease:
    """Take a slot as a request does that has waited in vain."""
    return rig.pool.acquire(plan(rig).loosened(), tried)


def foreign() -> Refused:
    error = Refused("The encrypted content could not be verified.", status=400)
    error.kind = "foreign_reasoning"
    return error


def names(plan: Plan) -> list[list[str] | None]:
    return [None if tier.only is None else [account.id for account in tier.only] for tier in plan.tiers]


def test_R_44_sealed_reasoning_binds_to_the_account_of_the_last_answer() -> None:
    rig = Rig(sealing(3))
    assert say(rig, is_sealed=False) == "openai/0"
    bound = plan(rig)
    assert (names(bound), names(bound.loosened())) == ([["openai/0"]], [None])
    close(rig, "openai/0")
    with pytest.raises(PoolExhausted) as told:
        rig.pool.acquire(bound)
    assert told.value.retry_after_s == 60


def test_a_turn_that_carries_nothing_sealed_goes_on_elsewhere() -> None:
    rig = Rig(sealing(3))
    say(rig)
    close(rig, "openai/0")
    assert say(rig, is_sealed=False) == "openai/1"


def test_R_44_a_conversation_that_spilled_over_stays_where_it_was_answered() -> None:
    rig = Rig(sealing(3))
    say(rig)
    close(rig, "openai/0")
    lease = elsewhere(rig)
    rig.pool.answered(lease)
    rig.pool.release(lease)
    rig.clock.now += 60
    assert (lease.candidate.account.id, names(plan(rig)), say(rig)) == ("openai/1", [["openai/1"]], "openai/1")


def test_an_account_that_did_not_answer_has_sealed_nothing() -> None:
    rig = Rig(sealing(3))
    say(rig)
    close(rig, "openai/0")
    rig.pool.release(elsewhere(rig), ServerFault("oops", upstream_status=500))
    assert names(plan(rig)) == [["openai/0"]]


def test_R_44_what_the_vendor_refuses_elsewhere_goes_back_for_good() -> None:
    rig = Rig(sealing(3))
    say(rig)
    close(rig, "openai/0")
    lease = elsewhere(rig)
    rig.pool.release(lease, foreign())
    back = rig.pool.returned(plan(rig), lease.candidate.account)
    assert back is not None
    assert (names(back), back.otherwise) == ([["openai/0"]], ())
    assert (names(plan(rig)), plan(rig).otherwise) == ([["openai/0"]], ())


def test_what_its_own_account_refuses_goes_back_to_nobody() -> None:
    rig = Rig(sealing(3))
    say(rig)
    lease = rig.pool.acquire(plan(rig))
    rig.pool.release(lease, foreign())
    assert rig.pool.returned(plan(rig), lease.candidate.account) is None
    assert plan(rig).otherwise != ()


def test_a_refusal_after_a_fault_elsewhere_goes_back_to_who_answered() -> None:
    """The account before the one that refused never gave an answer in this conversation."""
    rig = Rig(sealing(3))
    say(rig)
    close(rig, "openai/0")
    faulty = elsewhere(rig)
    rig.pool.release(faulty, ServerFault("oops", upstream_status=500))
    refusing = elsewhere(rig, [faulty.candidate])
    rig.pool.release(refusing, foreign())
    assert names(plan(rig)) == [["openai/0"]]


def test_a_refusal_while_its_account_was_merely_full_goes_back_to_it() -> None:
    rig = Rig(sealing(2, concurrency=1))
    lease = rig.pool.acquire(plan(rig))
    rig.pool.answered(lease)
    other = elsewhere(rig)
    rig.pool.release(other, foreign())
    assert names(plan(rig)) == [["openai/0"]]
    rig.pool.release(lease)


def test_another_model_goes_on_from_the_same_reasoning() -> None:
    """Prompt caches belong to a model, ciphertext to a customer."""
    rig = Rig(sealing(3))
    say(rig, "s", "openai/big")
    assert [say(rig, "s", "openai/small"), say(rig, "t", "openai/small")] == ["openai/0", "openai/1"]


# --- customers --------------------------------------------------------------------------------------------------------


def of_customers() -> list[Account]:
    """Two accounts of one customer, one of another, one of its own."""
    common: dict[str, Any] = {"seals_reasoning": True}
    return [
        *accounts(2, customer="acme", **common),
        *accounts(3, customer="bolt", **common)[2:],
        *accounts(4, **common)[3:],
    ]


def test_R_44_accounts_of_one_customer_take_each_others() -> None:
    rig = Rig(of_customers())
    say(rig)
    close(rig, "openai/0")
    assert (names(plan(rig)), say(rig)) == ([["openai/0", "openai/1"]], "openai/1")


def test_a_customers_only_account_is_waited_for() -> None:
    rig = Rig(of_customers())
    assert [say(rig, session) for session in "abcd"] == ["openai/0", "openai/1", "openai/2", "openai/3"]
    assert [names(plan(rig, session)) for session in "cd"] == [[["openai/2"]], [["openai/3"]]]


def test_where_all_are_of_one_customer_nobody_is_bound() -> None:
    rig = Rig(sealing(3, customer="acme"))
    say(rig)
    assert (names(plan(rig)), plan(rig).otherwise) == ([None], ())


def test_an_account_that_does_not_serve_the_model_is_none_to_wait_for() -> None:
    first, second = accounts(2, customer="acme", seals_reasoning=True)
    small = Account(
        upstream="openai", label="small", origin=first.origin, models=("small",), customer="acme", seals_reasoning=True
    )
    rig = Rig([first, second, small, *sealing(9)[8:]])
    say(rig)
    assert names(plan(rig)) == [["openai/0", "openai/1"]]


# --- who cannot come back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["by hand", "by its vendor"])
def test_R_44_a_disabled_account_is_not_waited_for(how: str) -> None:
    rig = Rig(sealing(2))
    say(rig)
    if how == "by hand":
        rig.pool.override("openai/0", "disable")
    else:
        rig.pool.release(rig.pool.acquire(rig.bound("openai/0")), unauthorized(is_key_invalid=True))
    assert (names(plan(rig)), say(rig)) == ([None], "openai/1")


def test_an_account_that_is_disabled_later_leaves_a_plan_that_was_bound_to_it() -> None:
    rig = Rig(sealing(2))
    say(rig)
    bound = plan(rig)
    rig.pool.override("openai/0", "disable")
    with pytest.raises(NoCapacity):
        rig.pool.acquire(bound)
    assert rig.pool.acquire(bound.loosened()).candidate.account.id == "openai/1"


def test_a_conversation_that_is_bound_for_good_is_let_go_when_its_account_is_disabled() -> None:
    rig = Rig(sealing(2))
    say(rig)
    close(rig, "openai/0")
    rig.pool.release(elsewhere(rig), foreign())
    rig.pool.override("openai/0", "disable")
    lease = rig.pool.acquire(plan(rig))
    assert lease.candidate.account.id == "openai/1"
    rig.pool.release(lease, foreign())
    assert rig.pool.returned(plan(rig), lease.candidate.account) is None


def test_an_account_that_the_configuration_dropped_is_not_waited_for() -> None:
    first = Rig(sealing(3))
    say(first, "x"), say(first, "y"), say(first)
    second = Rig(sealing(2), clock=first.clock, store=first.store)
    assert names(plan(second)) == [None]


def test_a_bond_is_found_by_other_workers_and_after_a_restart() -> None:
    first = Rig(sealing(3))
    say(first, "x"), say(first)
    second = Rig(sealing(3), clock=first.clock, store=first.store)
    assert names(plan(second)) == [["openai/1"]]


def test_R_44_a_bond_is_of_who_answered_last_at_any_worker() -> None:
    one = Rig(sealing(3))
    other = Rig(sealing(3), clock=one.clock, store=one.store)
    assert (say(one), say(other)) == ("openai/0", "openai/0")
    close(one, "openai/0")
    lease = elsewhere(one)
    one.pool.answered(lease)
    one.pool.release(lease)
    assert [names(plan(rig)) for rig in (one, other)] == [[["openai/1"]]] * 2


def test_a_conversation_that_nobody_answered_is_bound_to_nobody() -> None:
    assert names(plan(Rig(sealing(3)))) == [None]


# --- several upstreams ------------------------------------------------------------------------------------------------


def two_upstreams() -> Rig:
    return Rig([*sealing(1), *accounts(1, "azure", seals_reasoning=True), *accounts(1, "claude")])


GOALS = ("openai/m", "azure/m", "claude/m")


def test_sealed_reasoning_waits_for_its_upstream_too() -> None:
    rig = two_upstreams()
    assert rig.pool.has_choice([Target(upstream="openai", model="m"), Target(upstream="azure", model="m")])
    assert say(rig, "s", *GOALS) == "openai/0"
    bound = plan(rig, "s", *GOALS)
    assert ([tier.upstream for tier in bound.tiers], names(bound)) == (["openai"], [["openai/0"]])
    assert bound.loosened().tiers == plan(rig, "t", *GOALS).tiers


def test_what_another_upstream_refuses_goes_back_or_to_one_that_needs_no_reasoning() -> None:
    rig = two_upstreams()
    say(rig, "s", *GOALS)
    close_home = rig.pool.acquire(plan(rig, "s", *GOALS))
    rig.pool.release(close_home, limited(60))
    lease = rig.pool.acquire(plan(rig, "s", *GOALS).loosened())
    rig.pool.release(lease, foreign())
    back = rig.pool.returned(plan(rig, "s", *GOALS), lease.candidate.account)
    assert back is not None
    assert ([tier.upstream for tier in back.tiers], back.otherwise) == (["openai", "claude"], ())
    assert rig.pool.acquire(back, [close_home.candidate, lease.candidate]).candidate.account.upstream == "claude"


@pytest.mark.parametrize(
    ("members", "goals", "expected"),
    [
        (sealing(2), ["openai/m"], True),
        (accounts(2), ["openai/m"], False),
        ([*accounts(2), *accounts(1, "azure", seals_reasoning=True)], ["openai/m", "azure/m"], True),
    ],
    ids=["sealing", "plain", "one of two"],
)
def test_bodies_are_searched_only_where_somebody_seals(members: Any, goals: list[str], expected: bool) -> None:
    targets = [Target(upstream=goal.split("/")[0], model="m") for goal in goals]
    assert Rig(members).pool.seals(targets) is expected


# --- a plan's own words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tried", "is_bound"), [([], True), (["0"], True), (["0", "1"], False), (["2"], False), (["0", "2"], False)]
)
def test_a_request_is_bound_until_all_of_its_customer_failed_or_it_left_them(tried: list[str], is_bound: bool) -> None:
    rig = Rig(of_customers())
    say(rig)
    by_label = {account.label: account for account in rig.accounts}
    bound = plan(rig)
    after = bound.beyond({Candidate(by_label[label], "m") for label in tried})
    assert after == (bound if is_bound else bound.loosened())


def test_nobody_waits_for_an_attempt_on_an_account_that_he_was_at() -> None:
    rig = Rig(sealing(2, concurrency=1))
    say(rig)
    lease = rig.pool.acquire(plan(rig))
    with pytest.raises(PoolExhausted) as told:
        rig.pool.acquire(plan(rig), [lease.candidate])
    assert told.value.is_busy is False
    with pytest.raises(PoolExhausted) as told:
        rig.pool.acquire(plan(rig))
    assert told.value.is_busy is True
