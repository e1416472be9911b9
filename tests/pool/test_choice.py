"""Who is next: tiers, turns, what was tried, what a request is bound to."""

import pytest

from asgi_ds2api.errors import Overloaded, PoolExhausted, RateLimited, ServerFault
from asgi_ds2api.pool.model import Account, Candidate

from .rig import HOME, Rig, accounts


def test_the_account_that_was_used_longest_ago_is_next() -> None:
    assert Rig(3).labels(7) == ["0", "1", "2", "0", "1", "2", "0"]


def test_turns_count_over_all_models_of_an_account() -> None:
    rig = Rig(3)
    assert rig.labels(2, "openai/a") + rig.labels(2, "openai/b") + rig.labels(2, "openai/a") == [
        "0", "1", "2", "0", "1", "2",
    ]  # fmt: skip


def test_an_account_that_comes_back_is_next_because_it_rested_longest() -> None:
    rig = Rig(3)
    rig.attempt(RateLimited("slow down", retry_after_s=5))
    rig.labels(3)
    rig.clock.now += 6
    assert rig.labels(4) == ["0", "2", "1", "0"]


def test_weights_share_the_traffic_evenly_spread() -> None:
    heavy, light = (Account(upstream="openai", label=label, origin=HOME, weight=w) for label, w in (("h", 2), ("l", 1)))
    rig = Rig([heavy, light], strategy="weighted")
    picks = rig.labels(300)
    assert (picks.count("h"), all("l" in picks[n : n + 3] for n in range(297))) == (200, True)


def test_weights_do_nothing_under_round_robin() -> None:
    members = [Account(upstream="openai", label=label, origin=HOME, weight=w) for label, w in (("a", 9), ("b", 1))]
    assert Rig(members).labels(4) == ["a", "b", "a", "b"]


def test_a_weighted_account_that_comes_back_makes_up_for_nothing() -> None:
    rig = Rig(2, strategy="weighted")
    rig.attempt(RateLimited("slow down", retry_after_s=5))
    rig.labels(50)
    rig.clock.now += 6
    assert rig.labels(10).count("0") == 5


def test_a_later_tier_serves_only_while_the_first_is_closed() -> None:
    rig = Rig([*accounts(1), *accounts(1, "local")])
    targets = ("openai/m", "local/q")
    first = rig.acquire(*targets)
    rig.pool.release(first, RateLimited("slow down", retry_after_s=5))
    second = rig.attempt(None, *targets)
    rig.clock.now += 6
    third = rig.attempt(None, *targets)
    assert [first.candidate.account.upstream, second.upstream, third.upstream] == ["openai", "local", "openai"]


def test_a_request_never_asks_a_candidate_twice() -> None:
    rig = Rig(2)
    tried: list[Candidate] = []
    for _ in range(2):
        lease = rig.acquire(tried=tried)
        rig.pool.release(lease, ServerFault("oops", upstream_status=500))
        tried.append(lease.candidate)
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire(tried=tried)
    assert ([c.account.label for c in tried], caught.value.retry_after_s) == (["0", "1"], 1.0)


def test_who_was_passed_over_keeps_its_place() -> None:
    rig = Rig(3)
    rig.acquire(tried=[Candidate(rig.accounts[0], "m")])
    assert rig.labels(2) == ["0", "2"]


def test_an_account_limited_for_one_model_serves_the_next_target() -> None:
    """A single key with a list of models falls back along the list, before it leaves for another upstream."""
    rig = Rig([*accounts(1), *accounts(1, "local")])
    targets = ("openai/big", "openai/small", "local/q")
    limited = RateLimited("tokens per minute", retry_after_s=5)
    limited.scope = "model"
    first = rig.acquire(*targets)
    rig.pool.release(first, limited)
    second = rig.acquire(*targets, tried=[first.candidate])
    assert (second.candidate.account.id, second.candidate.model) == ("openai/0", "small")


def test_another_account_comes_before_another_model_of_a_failing_one() -> None:
    rig = Rig([*accounts(1), *accounts(1, "local")])
    targets = ("openai/big", "openai/small", "local/q")
    first = rig.acquire(*targets)
    rig.pool.release(first, ServerFault("oops", upstream_status=500))
    second = rig.acquire(*targets, tried=[first.candidate])
    rig.pool.release(second, Overloaded("full", upstream_status=529))
    third = rig.acquire(*targets, tried=[first.candidate, second.candidate])
    assert [f"{lease.candidate.account.id}:{lease.candidate.model}" for lease in (first, second, third)] == [
        "openai/0:big", "local/0:q", "openai/0:small",
    ]  # fmt: skip


def test_a_bound_request_goes_only_where_its_file_lives() -> None:
    rig = Rig(3)
    plan = rig.bound("openai/2")
    assert [rig.pool.acquire(plan).candidate.account.label for _ in range(2)] == ["2", "2"]


def test_a_bound_request_waits_for_its_account_though_others_are_open() -> None:
    rig = Rig(3)
    rig.attempt(RateLimited("slow down", retry_after_s=7))
    with pytest.raises(PoolExhausted) as caught:
        rig.pool.acquire(rig.bound("openai/0"))
    assert caught.value.retry_after_s == 7.0


def test_turns_of_bound_requests_count_for_the_others() -> None:
    rig = Rig(3)
    rig.pool.acquire(rig.bound("openai/0"))
    assert rig.labels(3) == ["1", "2", "0"]


def test_bound_requests_count_against_an_accounts_share_and_nobody_elses() -> None:
    rig = Rig(3, strategy="weighted")
    for _ in range(5):
        rig.pool.acquire(rig.bound("openai/2"))
    assert rig.labels(12) == ["0", "1"] * 5 + ["2", "0"]


@pytest.mark.parametrize("allowed", [["openai/9"], ["local/0"], []], ids=["gone", "of no target", "none"])
def test_a_plan_without_an_allowed_account_is_empty(allowed: list[str]) -> None:
    rig = Rig([*accounts(1), *accounts(1, "local")])
    assert rig.bound(*allowed).tiers == ()


def test_planning_takes_nothing_and_changes_nothing() -> None:
    rig = Rig(2)
    before = rig.pool.snapshot()
    rig.plan("openai/a", "openai/b")
    assert (rig.pool.snapshot(), rig.labels(2)) == (before, ["0", "1"])
