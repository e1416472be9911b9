"""What an operator says of an account by hand: it holds, here and for all who share the store."""

import logging

import pytest

from asgi_ds2api.errors import NoCapacity, PoolExhausted, QuotaExhausted, ServerFault, UnknownItem
from asgi_ds2api.pool.health import SHUT_S
from asgi_ds2api.pool.line import Waiter
from asgi_ds2api.pool.model import Override
from asgi_ds2api.state.contract import Cooldown, HealthScope

from .rig import START, Rig, accounts
from .verdicts import limited

ACCOUNT = HealthScope("account", "openai/0")
FIRST = "openai/0"


def pair() -> tuple[Rig, Rig]:
    """Return two pools over one store."""
    one = Rig(2)
    return one, Rig(2, clock=one.clock, store=one.store)


def test_who_is_disabled_by_hand_is_asked_nothing_however_long_it_takes() -> None:
    rig = Rig(2)
    rig.pool.override(FIRST, "disable")
    assert (rig.labels(3), rig.states(), rig.status().reason) == (["1"] * 3, ["disabled", "healthy"], "operator")
    rig.clock.now += 2 * SHUT_S
    assert (rig.labels(3), rig.status().opens_in_s) == (["1"] * 3, SHUT_S)


def test_a_request_that_finds_everybody_disabled_by_hand_is_told_to_come_back_later() -> None:
    rig = Rig(1)
    rig.pool.override(FIRST, "disable")
    with pytest.raises(NoCapacity) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == 60


def test_a_request_that_is_bound_to_an_account_disabled_by_hand_is_refused() -> None:
    rig = Rig(2)
    rig.pool.override(FIRST, "disable")
    with pytest.raises(NoCapacity):
        rig.pool.acquire(rig.bound(FIRST))


@pytest.mark.parametrize("closes", [limited(600), QuotaExhausted("pay")], ids=["cooling", "disabled"])
def test_who_is_enabled_again_is_asked_at_once(closes: QuotaExhausted) -> None:
    rig = Rig(1)
    rig.attempt(closes)
    rig.pool.override(FIRST, "disable")
    rig.pool.override(FIRST, "enable")
    assert (rig.labels(1), rig.acquire().probes) == (["0"], ())


def test_enabling_who_was_not_disabled_by_hand_changes_nothing() -> None:
    rig = Rig(1)
    rig.attempt(limited(60))
    before, kept = rig.pool.snapshot(), tuple(rig.store.cooldowns())
    rig.pool.override(FIRST, "enable")
    assert (rig.pool.snapshot(), tuple(rig.store.cooldowns())) == (before, kept)


def test_reset_forgets_all_that_keeps_a_request_from_an_account() -> None:
    rig = Rig(1)
    lease = rig.acquire("openai/big")
    rig.attempt(limited(60, by_model=True), "openai/small")
    for _ in range(5):
        rig.attempt(ServerFault("oops", upstream_status=500), "openai/big")
    rig.pool.release(lease, limited(60))
    assert rig.states() == ["cooling"]
    rig.pool.override(FIRST, "reset")
    rig.labels(2, "openai/big", "openai/small")
    assert (rig.states(), rig.status().models, rig.origin_state()) == (["healthy"], (), "healthy")


def test_reset_opens_the_origin_too() -> None:
    rig = Rig(4, dice=1.0)
    leases = [rig.acquire() for _ in range(4)]
    for lease in leases[:3]:
        rig.pool.release(lease, ServerFault("bad", upstream_status=502))
    assert rig.origin_state() == "cooling"
    rig.pool.override(FIRST, "reset")
    assert (rig.origin_state(), rig.acquire().probes) == ("healthy", ())


def test_after_a_reset_backoff_begins_anew() -> None:
    rig = Rig(1, dice=1.0)
    for _ in range(3):
        rig.attempt(limited())
        rig.clock.now += rig.status().opens_in_s
    rig.pool.override(FIRST, "reset")
    rig.attempt(limited())
    assert rig.status().opens_in_s == 5.0


def test_reset_leaves_disabled_who_was_disabled_by_hand() -> None:
    rig = Rig(1)
    rig.pool.override(FIRST, "disable")
    rig.pool.override(FIRST, "reset")
    assert (rig.states(), rig.status().reason) == (["disabled"], "operator")


def test_a_report_of_an_attempt_that_was_on_its_way_says_nothing_any_more() -> None:
    rig = Rig(2)
    one, two = rig.pool.acquire(rig.bound(FIRST)), rig.pool.acquire(rig.bound(FIRST))
    rig.pool.override(FIRST, "disable")
    rig.pool.release(one)
    assert rig.status().reason == "operator"
    rig.pool.override(FIRST, "enable")
    rig.pool.release(two, QuotaExhausted("pay"))
    assert (rig.states(), rig.status().completed, rig.status().failed) == (["healthy", "healthy"], 1, 1)


def test_a_probe_that_was_on_its_way_neither_opens_nor_frees_anything() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    lease = rig.acquire()
    assert lease.probes
    rig.pool.override(FIRST, "disable")
    rig.pool.answered(lease)
    rig.pool.abandon(lease)
    assert (rig.states(), rig.status().reason) == (["disabled"], "operator")
    with pytest.raises(NoCapacity):
        rig.acquire()


def test_all_pools_over_a_store_obey_an_operator() -> None:
    one, two = pair()
    one.pool.override(FIRST, "disable")
    assert (two.states(), two.labels(2)) == (["disabled", "healthy"], ["1", "1"])
    two.pool.override(FIRST, "enable")
    assert one.states() == ["healthy", "healthy"]


def test_a_reset_shortens_a_pause_for_all_pools_over_a_store() -> None:
    one, two = pair()
    one.attempt(limited(600))
    two.pool.override(FIRST, "reset")
    assert (one.states(), one.status().opens_in_s, set(one.labels(2))) == (["healthy"] * 2, 0.0, {"0", "1"})


def test_what_others_find_out_meanwhile_opens_nobody_who_was_disabled_by_hand() -> None:
    rig = Rig(1)
    rig.pool.override(FIRST, "disable")
    for state in ("cooling", "disabled", "healthy"):
        rig.store.merge(ACCOUNT, Cooldown(state=state, until=START + 5, epoch=1_000))
    assert (rig.states(), rig.status().reason) == (["disabled"], "operator")


def test_a_pool_that_is_made_anew_remembers_who_was_disabled_by_hand() -> None:
    old = Rig(2)
    old.pool.override(FIRST, "disable")
    old.pool.close()
    new = Rig(2, clock=old.clock, store=old.store)
    assert (new.states(), new.status().reason, new.labels(2)) == (["disabled", "healthy"], "operator", ["1", "1"])


@pytest.mark.parametrize("word", ["disable", "enable", "reset"])
def test_an_account_that_is_not_there_is_said_to_be_so(word: Override) -> None:
    rig = Rig(1)
    with pytest.raises(UnknownItem, match="UPSTREAM/LABEL"):
        rig.pool.override("openai/9", word)


def test_what_an_operator_does_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(1)
    with caplog.at_level(logging.DEBUG, logger="asgi_ds2api.pool"):
        rig.pool.override(FIRST, "disable")
        rig.pool.override(FIRST, "disable")
        rig.pool.override(FIRST, "enable")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "account openai/0: healthy -> disabled, opens by hand (operator)"),
        ("WARNING", "account openai/0: disabled -> healthy, opens in 0.0 s (operator)"),
    ]
    assert [record.__dict__["opens_in_s"] for record in caplog.records] == [None, 0.0]


def test_who_waits_for_one_that_cools_is_not_kept_by_another_that_is_disabled_by_hand() -> None:
    rig = Rig(2)
    rig.attempt(limited(7))
    rig.pool.override("openai/1", "disable")
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == 7


def line(rig: Rig, wait_s: float = 1_000.0) -> tuple[Waiter, list[bool]]:
    """Return a request in line for anybody, and what tells that it was woken."""
    woken: list[bool] = []
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    return rig.pool.join(rig.plan(), (), wait_s, lambda: woken.append(True), caught.value), woken


@pytest.mark.parametrize("word", ["enable", "reset"])
def test_who_waits_in_line_is_served_when_an_account_is_opened_by_hand(word: Override) -> None:
    rig = Rig(accounts(2, concurrency=1))
    rig.acquire()
    if word == "enable":
        rig.pool.override("openai/1", "disable")
    else:
        rig.attempt(limited(600))
    waiter, woken = line(rig)
    assert (rig.pool.snapshot().waiting, woken) == ({"openai": 1}, [])
    rig.pool.override("openai/1", word)
    assert (waiter.lease is not None, woken, rig.pool.snapshot().waiting) == (True, [True], {})


def test_who_would_wait_in_vain_is_told_when_the_account_is_disabled_by_hand() -> None:
    rig = Rig(accounts(1, concurrency=1))
    rig.acquire()
    waiter, woken = line(rig, wait_s=2.0)
    rig.pool.override(FIRST, "disable")
    assert (isinstance(waiter.refusal, NoCapacity), woken) == (True, [True])
