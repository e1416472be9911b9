"""Bugs of other gateways that must not come back, each by the name under which the reference lists it."""

from contextlib import suppress

import pytest

from asgi_ds2api.errors import KeyRefused, Overloaded, PoolExhausted, QuotaExhausted, RateLimited, ServerFault
from asgi_ds2api.pool.model import Lease, Override
from asgi_ds2api.pool.slots import Slot
from asgi_ds2api.pool.strategies import STRATEGIES, StrategyName

from .rig import Rig, accounts
from .verdicts import limited


def test_S_1_R_39_a_second_failure_does_not_shorten_the_pause() -> None:
    """https://github.com/BerriAI/litellm/issues/40130"""
    rig = Rig(1)
    first, second = rig.acquire(), rig.acquire()
    rig.pool.release(first, limited(60))
    rig.pool.release(second, limited(5))
    assert rig.status().opens_in_s == 60.0


def test_S_2_R_40_a_pause_holds_for_the_very_next_pick() -> None:
    """https://github.com/BerriAI/litellm/pull/34836"""
    rig = Rig(2)
    rig.attempt(limited(60))
    assert rig.labels(1) == ["1"]


def test_S_3_a_single_account_that_fails_again_and_again_is_closed() -> None:
    """https://github.com/BerriAI/litellm/pull/34836"""
    rig = Rig(1)
    for _ in range(25):
        with suppress(PoolExhausted):
            rig.attempt(ServerFault("oops", upstream_status=500))
    assert (rig.status().failed, rig.states()) == (5, ["cooling"])


def test_S_6_R_42_a_disabled_key_comes_back_by_itself() -> None:
    """https://github.com/QuantumNous/new-api/issues/7040"""
    rig = Rig(2)
    refused = KeyRefused("no")
    refused.is_key_invalid = True
    rig.attempt(refused)
    rig.attempt(QuotaExhausted("pay"))
    rig.clock.now += 1_800
    rig.labels(2)
    assert rig.states() == ["healthy", "healthy"]


def test_S_7_a_limit_of_one_model_does_not_disable_the_account() -> None:
    """https://github.com/songquanpeng/one-api/issues/90"""
    rig = Rig(1)
    rig.attempt(limited(3_600, by_model=True), "openai/big")
    assert rig.labels(2, "openai/small") == ["0", "0"]


def test_S_8_a_single_5xx_closes_nothing() -> None:
    """https://github.com/QuantumNous/new-api/issues/4100"""
    rig = Rig(1)
    rig.attempt(ServerFault("bad", upstream_status=502))
    rig.attempt(Overloaded("full", upstream_status=529))
    assert (rig.states(), rig.origin_state(), rig.labels(1)) == (["healthy"], "healthy", ["0"])


def test_fifty_limits_of_requests_on_their_way_count_once() -> None:
    rig = Rig(1, dice=1.0)
    leases = [rig.acquire() for _ in range(50)]
    for lease in leases:
        rig.pool.release(lease, RateLimited("limit"))
    rig.clock.now += rig.status().opens_in_s
    rig.attempt(RateLimited("limit"))
    assert rig.status().opens_in_s == 10.0


def test_an_old_success_does_not_open_a_closed_account() -> None:
    rig = Rig(1)
    slow, fast = rig.acquire(), rig.acquire()
    rig.pool.release(fast, limited(60))
    rig.pool.release(slow)
    assert rig.states() == ["cooling"]


def test_ancestor_bug_1_a_lease_that_is_given_back_twice_frees_one_slot() -> None:
    """The ancestor's double release stole the slot of another request."""
    rig = Rig(1)
    mine, other = rig.acquire(), rig.acquire()
    rig.pool.release(mine)
    rig.pool.release(mine)
    rig.pool.abandon(mine)
    snapshot = rig.pool.snapshot()
    assert (snapshot.accounts[0].in_flight, snapshot.accounts[0].completed, snapshot.stray_releases) == (1, 1, 2)
    rig.pool.release(other)
    assert rig.status().in_flight == 0


def test_a_second_report_of_a_lease_is_not_believed() -> None:
    rig = Rig(1)
    lease = rig.acquire()
    rig.pool.release(lease)
    rig.pool.release(lease, limited(60))
    rig.pool.answered(lease)
    assert rig.states() == ["healthy"]


def test_a_lease_of_another_pool_is_not_taken_for_ones_own() -> None:
    """After a reload, requests of the old pool end while the new one serves."""
    old, new = Rig(1), Rig(1)
    theirs, mine = old.acquire(), new.acquire()
    new.pool.release(theirs)
    assert (theirs.number == mine.number, new.status().in_flight, old.status().in_flight) == (True, 1, 1)


def probe(rig: Rig) -> Lease:
    """Close the only account for seven seconds; return the probe that follows."""
    rig.attempt(limited(7))
    rig.clock.now += 7
    return rig.acquire()


def test_a_long_stream_reopens_its_account_when_it_begins() -> None:
    rig = Rig(1)
    lease = probe(rig)
    rig.pool.answered(lease)
    assert (rig.states(), rig.labels(1)) == (["healthy"], ["0"])


def test_a_probe_that_breaks_off_later_counts_one_fault() -> None:
    rig = Rig(1)
    lease = probe(rig)
    rig.pool.answered(lease)
    rig.pool.release(lease, ServerFault("oops", upstream_status=500))
    assert rig.states() == ["healthy"]


def test_a_probe_that_is_never_heard_of_again_is_replaced() -> None:
    rig = Rig(1)
    probe(rig)
    rig.clock.now += 35
    assert rig.acquire().probes


def test_a_probe_of_the_account_does_not_settle_what_the_server_said_of_itself() -> None:
    """A fault of the server proves nothing about the limit of the account: the next attempt is the probe."""
    rig = Rig(1)
    lease = probe(rig)
    rig.pool.release(lease, Overloaded("full", upstream_status=529))
    assert (rig.states(), bool(rig.acquire().probes)) == (["cooling"], True)


def test_an_answer_about_the_account_reopens_its_origin() -> None:
    rig = Rig(2)
    rig.attempt(Overloaded("full", upstream_status=503, retry_after_s=7))
    rig.clock.now += 7
    rig.attempt(limited(60))
    assert (rig.origin_state(), rig.labels(2)) == ("healthy", ["0", "0"])


# --- the ancestor's pool ----------------------------------------------------------------------------------------------


def test_ancestor_bug_2_a_front_that_wants_another_account_keeps_nobody_from_a_free_slot() -> None:
    """It woke one waiter, who went to the end of the queue if the slot was not for it; nobody else was told."""
    rig = Rig(accounts(2, concurrency=1))
    leases = [rig.acquire(), rig.acquire()]
    woken: list[str] = []
    for name, plan in (("bound", rig.bound("openai/0")), ("any", rig.plan())):
        with pytest.raises(PoolExhausted) as caught:
            rig.pool.acquire(plan)
        rig.pool.join(plan, (), 10.0, lambda name=name: woken.append(name), caught.value)  # type: ignore[misc] # bound
    rig.pool.release(leases[1])
    assert woken == ["any"]


@pytest.mark.parametrize("word", ["reset", "disable", "enable"])
def test_ancestor_bug_3_what_an_operator_does_forgets_no_attempt_that_runs(word: Override) -> None:
    """It set all counts to zero, so that limits were exceeded until the attempts had ended."""
    rig = Rig(accounts(1, concurrency=2))
    leases = [rig.acquire(), rig.acquire()]
    rig.pool.override("openai/0", word)
    during = rig.status().in_flight
    for lease in leases:
        rig.pool.release(lease)
    assert (during, rig.status().in_flight) == (2, 0)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_ancestor_bug_6_a_pick_looks_at_a_few_of_ten_thousand_accounts(
    strategy: StrategyName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ancestor scanned all accounts for each pick, and summed up all that is running for each of those."""
    rig = Rig(accounts(10_000, concurrency=1), strategy=strategy)
    looked = 0
    real = Slot.opens_at

    def opens_at(slot: Slot, model: str, need: int) -> float:
        nonlocal looked
        looked += 1
        return real(slot, model, need)

    for _ in range(10):
        rig.attempt(limited(60))
    monkeypatch.setattr(Slot, "opens_at", opens_at)
    for _ in range(9_990):
        rig.acquire()
    while_room, looked = looked, 0
    for _ in range(1_000):
        with pytest.raises(PoolExhausted):
            rig.acquire()
    assert while_room <= 2 * 9_990, "a pick looks at two"
    assert looked <= 10_001 + 1_000, "who is full is found so once, and then it is known"


def test_R_43_accounts_that_are_known_to_be_closed_cost_no_attempt() -> None:
    """Rotation past limited keys must not use up the attempts of a request."""
    rig = Rig(10)
    for _ in range(9):
        rig.attempt(limited(60))
    lease = rig.acquire()
    assert (lease.candidate.account.label, rig.status(9).in_flight) == ("9", 1)


def test_R_42_a_pause_that_is_stuck_ends_when_an_operator_says_so() -> None:
    rig = Rig(1)
    rig.attempt(limited(1e20))
    assert rig.status().opens_in_s == 3_600.0
    rig.pool.override("openai/0", "reset")
    assert rig.labels(1) == ["0"]
