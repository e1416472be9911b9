"""What a pool tells its store, and what it hears from others."""

import pytest

from asgi_ds2api.errors import NoCapacity, PoolExhausted, QuotaExhausted, RateLimited, ServerFault
from asgi_ds2api.state.contract import Cooldown, HealthScope
from asgi_ds2api.state.memory import MemoryStore

from .rig import START, Clock, Rig
from .verdicts import limited

ACCOUNT = HealthScope("account", "openai/0")
MODEL = HealthScope("model", "openai/0", "big")


def pair() -> tuple[Rig, Rig]:
    """Return two pools over one store."""
    one = Rig(2)
    return one, Rig(2, clock=one.clock, store=one.store)


def test_a_closing_is_told_at_once() -> None:
    rig = Rig(1)
    rig.attempt(limited(60))
    assert rig.store.cooldown(ACCOUNT) == Cooldown(
        state="cooling", until=START + 60, epoch=1, ejections=1, reason="rate_limited"
    )


def test_a_reopening_is_told_at_once() -> None:
    rig = Rig(1)
    rig.attempt(limited(60))
    rig.clock.now += 60
    rig.attempt()
    entry = rig.store.cooldown(ACCOUNT)
    assert entry is not None
    assert (entry.state, entry.epoch) == ("healthy", 1)


def test_success_and_single_faults_are_not_told() -> None:
    rig = Rig(1)
    rig.labels(10)
    rig.attempt(ServerFault("oops", upstream_status=500))
    assert tuple(rig.store.cooldowns()) == ()


def test_R_42_a_pool_that_is_made_anew_remembers() -> None:
    old = Rig(2)
    old.attempt(limited(60))
    old.attempt(limited(60, by_model=True), "openai/big")
    old.pool.close()
    new = Rig(2, clock=old.clock, store=old.store)
    assert (new.states(), [model.model for model in new.status(1).models]) == (["cooling", "healthy"], ["big"])


def test_S_2_a_429_that_one_pool_saw_is_obeyed_by_all() -> None:
    one, two = pair()
    one.attempt(limited(60))
    assert (two.states(), two.labels(2)) == (["cooling", "healthy"], ["1", "1"])


def test_a_model_limit_that_one_pool_saw_is_obeyed_by_all() -> None:
    one, two = pair()
    one.attempt(limited(60, by_model=True), "openai/big")
    assert (two.labels(2, "openai/big"), two.labels(1, "openai/small")) == (["1", "1"], ["0"])


def test_a_disabled_account_is_disabled_for_all() -> None:
    one, two = pair()
    one.attempt(QuotaExhausted("pay"))
    one.attempt(QuotaExhausted("pay"))
    with pytest.raises(NoCapacity):
        two.acquire()


def test_who_hears_of_a_reopening_needs_no_probe() -> None:
    one, two = pair()
    one.attempt(limited(60))
    one.clock.now += 60
    assert [one.labels(2), two.states(), two.acquire().probes] == [["1", "0"], ["healthy", "healthy"], ()]


def test_who_waits_at_one_pool_is_served_when_another_opens_an_account() -> None:
    one, two = pair()
    for _ in range(2):
        one.attempt(limited(60))
    with pytest.raises(PoolExhausted) as refusal:
        two.acquire()
    woken: list[bool] = []
    waiter = two.pool.join(two.plan(), (), 600.0, lambda: woken.append(True), refusal.value)
    one.pool.override("openai/1", "reset")
    lease = waiter.take()
    assert lease is not None
    assert (woken, lease.candidate.account.id) == ([True], "openai/1")


def test_a_longer_pause_of_another_pool_holds_here() -> None:
    one, two = pair()
    here, there = one.acquire(), two.acquire()
    one.pool.release(here, limited(10))
    two.pool.release(there, limited(60))
    assert (one.status().opens_in_s, two.status().opens_in_s) == (60.0, 60.0)


def test_a_request_on_its_way_when_another_pool_closed_the_account_reports_old_news() -> None:
    one, two = pair()
    lease = two.acquire()
    one.attempt(limited(10))
    two.pool.release(lease, RateLimited("limit"))
    entry = one.store.cooldown(ACCOUNT)
    assert entry is not None
    assert (entry.epoch, entry.ejections) == (1, 1)


def test_a_closed_pool_hears_no_more_but_takes_its_leases_back() -> None:
    one, two = pair()
    lease = two.acquire()
    two.pool.close()
    two.pool.close()
    one.attempt(limited(60))
    two.pool.release(lease)
    assert (two.states(), two.status().in_flight) == (["healthy", "healthy"], 0)


@pytest.mark.parametrize(
    "scope",
    [HealthScope("account", "gone/0"), HealthScope("model", "gone/0", "m"), HealthScope("origin", "https://gone:443")],
    ids=str,
)
def test_news_of_an_account_that_is_not_configured_are_ignored(scope: HealthScope) -> None:
    rig = Rig(1)
    before = rig.pool.snapshot()
    rig.store.merge(scope, Cooldown(state="cooling", until=START + 60, epoch=9))
    assert rig.pool.snapshot() == before


def test_an_account_whose_entry_was_evicted_is_still_closed() -> None:
    """The store is bounded and may forget what is alive; the pool decides by what it holds itself."""
    clock = Clock()
    rig = Rig(2, clock=clock, store=MemoryStore(clock, max_cooldowns=1))
    rig.attempt(limited(60))
    rig.attempt(limited(60))
    with pytest.raises(PoolExhausted):
        rig.acquire()
    assert rig.store.cooldown(ACCOUNT) is None


def test_old_news_change_nothing() -> None:
    rig = Rig(1)
    rig.attempt(limited(60))
    before = rig.pool.snapshot()
    rig.store.merge(ACCOUNT, Cooldown(state="cooling", until=START + 1, epoch=0))
    assert rig.pool.snapshot() == before


def test_old_news_do_not_make_a_pool_forget_what_it_counts() -> None:
    rig = Rig(1)
    for _ in range(4):
        rig.attempt(ServerFault("oops", upstream_status=500))
    rig.store.merge(ACCOUNT, Cooldown(state="healthy", until=0.0, epoch=0))
    rig.attempt(ServerFault("oops", upstream_status=500))
    assert rig.states() == ["cooling"]
