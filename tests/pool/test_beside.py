"""F104: who is asked beside an attempt that is silent: somebody elsewhere who is free now, within the budget."""

import pytest

from asgi_ds2api.errors import Overloaded, RateLimited
from asgi_ds2api.pool.model import Account, Lease, Origin, Plan, Target

from .rig import HOME, Rig, accounts

AWAY = Origin("https", "other.example", 443)
BOTH = ("openai/m", "other/n")


def house(home: int = 2, away: int = 1, **fields: int) -> Rig:
    """Return a pool with two upstreams, on a server each."""
    return Rig([*accounts(home, "openai", HOME, **fields), *accounts(away, "other", AWAY, **fields)])


def beside(rig: Rig, *targets: str, tried: int = 1) -> list[str]:
    """Return whom a request takes, one after the other: as it does usually, then beside that."""
    plan = rig.plan(*targets)
    leases: list[Lease] = []
    for _ in range(tried):
        leases.append(rig.pool.acquire(plan, [lease.candidate for lease in leases]))
    second = rig.pool.acquire_beside(leases[-1], plan, [lease.candidate for lease in leases])
    found = [*leases, *([] if second is None else [second])]
    for lease in found:
        rig.pool.abandon(lease)
    assert rig.pool.snapshot().stray_releases == 0
    return [f"{lease.candidate.account.id} {lease.candidate.model}" for lease in found]


def test_F104_another_server_goes_before_another_account_of_the_same() -> None:
    assert beside(house(), *BOTH) == ["openai/0 m", "other/0 n"]


def test_F104_another_account_is_asked_where_there_is_no_other_server() -> None:
    assert beside(house(), "openai/m") == ["openai/0 m", "openai/1 m"]


def test_F104_other_servers_are_asked_in_the_order_of_the_tiers() -> None:
    third = accounts(1, "third", Origin("https", "third.example", 443))
    rig = Rig([*accounts(2), *accounts(1, "other", AWAY), *third])
    assert beside(rig, "openai/m", "third/o", "other/n") == ["openai/0 m", "third/0 o"]


def test_F104_servers_of_one_upstream_are_told_apart() -> None:
    near = [Account(upstream="openai", label=f"near{n}", origin=HOME) for n in range(3)]
    far = Account(upstream="openai", label="far", origin=AWAY)
    assert beside(Rig([*near, far]), "openai/m") == ["openai/near0 m", "openai/far m"]


def test_F104_account_that_was_tried_is_never_asked_not_for_another_model_either() -> None:
    assert beside(Rig(1), "openai/m", "openai/n") == ["openai/0 m"]
    assert beside(Rig(2), "openai/m", tried=2) == ["openai/0 m", "openai/1 m"]
    closed = house(home=1, away=1)
    first = closed.acquire(*BOTH)
    error = RateLimited("for this model", retry_after_s=60)
    error.scope = "model"
    closed.pool.release(first, error)
    assert closed.pool.acquire_beside(first, closed.plan("openai/m", "openai/other"), [first.candidate]) is None


@pytest.mark.parametrize("error", [RateLimited("slow down", retry_after_s=60), Overloaded("busy", retry_after_s=60)])
def test_F104_closed_account_and_server_are_passed_over(error: RateLimited | Overloaded) -> None:
    rig = house(home=2)
    rig.pool.release(rig.acquire("other/n"), error)
    assert beside(rig, *BOTH) == ["openai/0 m", "openai/1 m"]


def test_F104_account_at_its_limit_is_passed_over_and_nobody_stands_in_line() -> None:
    rig = house(home=1, concurrency=1)
    other = rig.acquire("other/n")
    assert beside(rig, *BOTH) == ["openai/0 m"]
    assert rig.pool.snapshot().waiting == {}
    rig.pool.abandon(other)
    assert beside(rig, *BOTH) == ["openai/0 m", "other/0 n"]


def test_F104_it_costs_what_a_retry_costs_of_the_silent_ones_server() -> None:
    rig = house(home=1)
    told = [len(beside(rig, *BOTH)) for _ in range(20)]
    assert told == [2, 2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2], "three at hand, then a fifth"


def test_F104_conversation_stays_where_it_is() -> None:
    rig = Rig([*accounts(2), *accounts(2, "other", AWAY)])
    plan = rig.pool.plan([Target(upstream="openai", model="m"), Target(upstream="other", model="n")], session="talk")
    first = rig.pool.acquire(plan)
    second = rig.pool.acquire_beside(first, plan, [first.candidate])
    assert second is not None
    rig.pool.release(second)
    rig.pool.abandon(first)
    again = rig.pool.acquire(plan)
    assert again.candidate == first.candidate
    assert [tally.began for tally in rig.pool.snapshot().affinity] == [1, 0]


def customers(rig: Rig, *, is_sealed: bool = False) -> Plan:
    """Plan a request of a conversation."""
    return rig.pool.plan([Target(upstream="openai", model="m")], session="talk", is_sealed=is_sealed)


def test_F104_what_is_sealed_for_a_customer_stays_with_him() -> None:
    owners = ("his", "his", "hers")
    rig = Rig([Account(upstream="openai", label=str(n), origin=HOME, customer=it, seals_reasoning=True)
               for n, it in enumerate(owners)])  # fmt: skip
    first = rig.pool.acquire(customers(rig))
    rig.pool.answered(first)
    rig.pool.release(first)
    plan = customers(rig, is_sealed=True)
    lease = rig.pool.acquire(plan)
    second = rig.pool.acquire_beside(lease, plan, [lease.candidate])
    assert second is not None
    assert {lease.candidate.account.label, second.candidate.account.label} == {"0", "1"}
    assert rig.pool.acquire_beside(lease, plan, [lease.candidate, second.candidate]) is None


def test_F104_customer_of_the_second_is_the_one_who_goes_on_if_that_answered() -> None:
    rig = Rig([Account(upstream="openai", label=it, origin=HOME, customer=it, seals_reasoning=True)
               for it in ("his", "hers")])  # fmt: skip
    plan = customers(rig)
    first = rig.pool.acquire(plan)
    second = rig.pool.acquire_beside(first, plan, [first.candidate])
    assert second is not None
    rig.pool.answered(second)
    rig.pool.abandon(first)
    rig.pool.release(second)
    (tier,) = customers(rig, is_sealed=True).tiers
    assert tier.only == (second.candidate.account,)
