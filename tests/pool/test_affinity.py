"""R-44, soft: a conversation stays on its account while that is open and not too busy, and what that saves is known."""

from collections.abc import Collection

import pytest

from asgi_ds2api.errors import PoolExhausted, Refused, ServerFault
from asgi_ds2api.pool import affinity
from asgi_ds2api.pool.affinity import Affinity, is_crowded
from asgi_ds2api.pool.model import Candidate, Lease, Plan, Spent, Target
from asgi_ds2api.state.memory import MemoryStore

from .rig import START, Clock, Rig, accounts
from .verdicts import limited


def turn(rig: Rig, session: str, model: str = "m") -> Plan:
    """Plan a turn of a conversation."""
    return rig.pool.plan([Target(upstream="openai", model=model)], session=session)


def take(rig: Rig, session: str, model: str = "m", tried: Collection[Candidate] = ()) -> Lease:
    return rig.pool.acquire(turn(rig, session, model), tried)


def say(rig: Rig, session: str, model: str = "m", cached: int = 0) -> str:
    """Make a whole turn; return the label of the account that it was on."""
    lease = take(rig, session, model)
    rig.pool.release(lease, spent=Spent(1_100, 1_000, cached))
    return lease.candidate.account.label


def test_R_44_a_conversation_stays_on_its_account() -> None:
    rig = Rig(3)
    assert [say(rig, "a") for _ in range(4)] == ["0"] * 4


def test_R_44_conversations_begin_where_the_strategy_says() -> None:
    rig = Rig(3)
    assert [say(rig, session) for session in "abcabc"] == ["0", "1", "2", "0", "1", "2"]


def test_requests_without_a_conversation_take_their_turns() -> None:
    rig = Rig(3)
    say(rig, "a")
    assert rig.labels(3) == ["1", "2", "0"]


def test_models_have_caches_of_their_own() -> None:
    rig = Rig(2)
    assert [say(rig, "a", model) for model in ("big", "small", "big", "small")] == ["0", "1", "0", "1"]


def test_R_44_a_closed_account_lets_its_conversations_go_and_they_stay_where_they_went() -> None:
    rig = Rig(2)
    say(rig, "a")
    rig.pool.release(rig.pool.acquire(rig.bound("openai/0")), limited(60))
    during = [say(rig, "a") for _ in range(2)]
    rig.clock.now += 60
    assert (during, say(rig, "a")) == (["1", "1"], "1")


def test_a_failed_turn_goes_on_elsewhere_and_stays_there() -> None:
    rig = Rig(2)
    say(rig, "a")
    lease = take(rig, "a")
    rig.pool.release(lease, ServerFault("oops", upstream_status=500))
    other = take(rig, "a", tried=[lease.candidate])
    rig.pool.release(other)
    assert (lease.candidate.account.label, other.candidate.account.label, say(rig, "a")) == ("0", "1", "1")


def test_a_full_account_lets_a_turn_go() -> None:
    rig = Rig(accounts(2, concurrency=1))
    first = take(rig, "a")
    second = take(rig, "a")
    assert [lease.candidate.account.label for lease in (first, second)] == ["0", "1"]
    with pytest.raises(PoolExhausted):
        take(rig, "a")


def test_a_turn_that_found_its_account_full_comes_back_to_a_cache_that_was_of_use() -> None:
    rig = Rig(accounts(2, concurrency=1))
    say(rig, "a", cached=900)
    running = rig.pool.acquire(rig.bound("openai/0"))
    elsewhere = say(rig, "a")
    rig.pool.release(running)
    assert (elsewhere, say(rig, "a")) == ("1", "0")


def test_a_turn_that_found_its_account_full_stays_elsewhere_if_no_cache_was_seen() -> None:
    rig = Rig(accounts(2, concurrency=1))
    say(rig, "a")
    running = rig.pool.acquire(rig.bound("openai/0"))
    elsewhere = say(rig, "a")
    rig.pool.release(running)
    assert (elsewhere, say(rig, "a")) == ("1", "1")


def test_one_name_for_all_requests_does_not_put_them_all_on_one_account() -> None:
    rig = Rig(4)
    leases = [take(rig, "everybody") for _ in range(40)]
    busiest = max(status.in_flight for status in rig.pool.snapshot().accounts)
    assert (len(leases), busiest <= 21) == (40, True)


@pytest.mark.parametrize(
    ("in_flight", "total", "count", "expected"),
    [(3, 3, 10, False), (4, 4, 10, True), (10, 20, 4, False), (11, 20, 4, True)],
)
def test_much_more_is_more_than_twice_the_average(in_flight: int, total: int, count: int, expected: bool) -> None:
    assert is_crowded(in_flight, total, count) is expected


def test_an_account_that_does_not_serve_the_model_is_not_followed() -> None:
    members = [*accounts(1, models=("small",)), *accounts(2)[1:]]
    rig = Rig(members)
    assert [say(rig, "a", "big"), say(rig, "a", "small"), say(rig, "a", "big")] == ["1", "0", "1"]


def test_a_conversation_is_forgotten_some_time_after_its_last_turn() -> None:
    rig = Rig(2, affinity_s=100)
    seen = []
    for pause_s in (0, 90, 90, 101):
        rig.clock.now += pause_s
        seen.append(say(rig, "a"))
    assert seen == ["0", "0", "0", "1"]


def test_affinity_can_be_switched_off() -> None:
    rig = Rig(2, affinity_s=0)
    assert ([say(rig, "a") for _ in range(4)], rig.pool.has_choice([Target(upstream="openai", model="m")])) == (
        ["0", "1", "0", "1"],
        False,
    )


def test_with_one_account_there_is_nothing_to_choose() -> None:
    rig = Rig(1)
    say(rig, "a")
    assert (rig.pool.has_choice([Target(upstream="openai", model="m")]), rig.pool.snapshot().affinity) == (False, ())


def test_a_conversation_is_found_after_a_restart_and_by_other_workers() -> None:
    first = Rig(3)
    say(first, "x"), say(first, "a")
    second = Rig(3, clock=first.clock, store=first.store)
    assert say(second, "a") == "1"


def workers(count: int = 3) -> tuple[Rig, Rig]:
    """Return two pools over one store."""
    one = Rig(count)
    return one, Rig(count, clock=one.clock, store=one.store)


def bound_to(rig: Rig) -> list[str]:
    """Return the accounts that the conversation ``s`` cannot leave."""
    return [account.id for account in turn(rig, "s").tiers[0].only or ()]


def test_R_44_a_conversation_that_another_worker_moved_is_found_where_it_is_now() -> None:
    one, other = workers()
    assert (say(one, "a"), say(other, "a")) == ("0", "0")
    one.pool.release(take(one, "a"), limited(60))
    moved = say(one, "a")
    one.clock.now += 120
    assert (moved, [say(rig, "a") for rig in (other, one, other)]) == ("1", ["1"] * 3)


def test_what_is_known_of_a_cache_outlives_a_look_at_the_store() -> None:
    one, other = workers(2)
    say(one, "a", cached=1_000)
    assert say(other, "a") == "0"
    pin = one.pool._affinity.find("a:openai/m")
    assert pin is not None
    assert pin.has_cache


def test_a_conversation_that_is_bound_at_one_worker_is_bound_at_the_others_and_after_a_restart() -> None:
    one, other = workers()
    say(one, "s"), say(other, "s")
    one.pool.release(take(one, "s"), limited(60))
    one.pool.release(take(one, "s"), foreign())
    new = Rig(3, clock=one.clock, store=one.store)
    assert [bound_to(rig) for rig in (one, other, new)] == [["openai/0"]] * 3
    one.clock.now += 3_000
    say(other, "s")  # says again where it is, as it was told long ago
    newer = Rig(3, clock=one.clock, store=one.store)
    assert bound_to(newer) == ["openai/0"]


def test_where_a_conversation_had_to_leave_is_known_of_a_move_by_another_worker_too() -> None:
    one, other = workers()
    say(one, "s"), say(other, "s")
    one.pool.release(take(one, "s"), limited(60))
    say(one, "s")
    other.pool.release(take(other, "s"), foreign())
    assert bound_to(other) == ["openai/0"]


def test_a_pin_to_an_account_that_is_gone_is_none() -> None:
    first = Rig(3)
    say(first, "x"), say(first, "y"), say(first, "a")
    second = Rig(2, clock=first.clock, store=first.store)
    assert say(second, "a") == "0"


# --- what it is good for ----------------------------------------------------------------------------------------------


def test_R_44_hits_and_saved_tokens_are_published() -> None:
    rig = Rig([*accounts(2), *accounts(1, "local")])
    say(rig, "a"), say(rig, "a", cached=900), say(rig, "b")
    rig.pool.release(rig.pool.acquire(rig.bound("openai/0")), limited(60))
    say(rig, "a")
    rig.pool.release(rig.acquire(), spent=Spent(500, 500, 400))  # of no conversation
    (told,) = rig.pool.snapshot().affinity
    assert (told.upstream, told.began, told.followed, told.spilled) == ("openai", 2, 1, 1)
    assert (told.input_tokens, told.cached_tokens) == (4_000, 900)


# --- memory -----------------------------------------------------------------------------------------------------------


class CountingStore(MemoryStore):
    """Counts what it is given."""

    puts = 0

    def put(self, table: str, key: str, value: bytes, ttl_s: float) -> None:
        self.puts += 1
        super().put(table, key, value, ttl_s)


def test_a_store_hears_of_a_conversation_only_now_and_then() -> None:
    clock = Clock()
    store = CountingStore(clock)
    rig = Rig(2, clock=clock, store=store, affinity_s=100)
    for _ in range(20):
        clock.now += 10
        say(rig, "a")
    assert 4 <= store.puts <= 5


def test_conversations_that_callers_make_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affinity, "MAX_PINS", 10)
    clock = Clock()
    pins = Affinity(MemoryStore(clock, max_facts=20), clock, 60)
    for n in range(100):
        pins.pin(str(n), "openai/0", None)
    assert (len(pins._pins), pins.find("99") is not None, pins.find("0"), clock.now) == (10, True, None, START)


def foreign() -> Refused:
    error = Refused("The encrypted content could not be verified.", status=400)
    error.kind = "foreign_reasoning"
    return error


def test_R_44_what_was_thought_on_one_account_binds_the_conversation_to_it_once_another_refuses_it() -> None:
    rig = Rig(3)
    assert say(rig, "s") == "0"
    rig.pool.release(take(rig, "s"), limited(60))
    elsewhere = take(rig, "s")
    rig.pool.release(elsewhere, foreign())
    with pytest.raises(PoolExhausted) as refused:
        take(rig, "s")
    assert refused.value.retry_after_s == pytest.approx(60, abs=7)
    rig.clock.now += 67
    assert [say(rig, "s") for _ in range(3)] == ["0", "0", "0"]
    assert say(rig, "another") != "0"


def test_a_conversation_that_never_moved_is_bound_to_nobody() -> None:
    """Its caller brought the thoughts from somewhere else: no account of ours can go on from them."""
    rig = Rig(2)
    rig.pool.release(take(rig, "s"), foreign())
    assert turn(rig, "s").tiers[0].only is None


@pytest.mark.parametrize("is_bound", [False, True])
def test_R_12_conversation_that_its_own_account_refuses_is_bound_to_nobody(is_bound: bool) -> None:
    rig = Rig(2)
    if is_bound:
        say(rig, "s")
        rig.pool.release(take(rig, "s"), limited(1))
        rig.pool.release(take(rig, "s"), foreign())
        rig.clock.now += 10
    rig.pool.release(take(rig, "s"), foreign())  # by the account that it is on
    rig.pool.release(take(rig, "s"), foreign())
    assert turn(rig, "s").tiers[0].only is None


def test_a_bound_conversation_is_remembered_as_long_as_it_goes_on() -> None:
    rig = Rig(2)
    say(rig, "s")
    rig.pool.release(take(rig, "s"), limited(1))
    rig.pool.release(take(rig, "s"), foreign())
    for _ in range(4):
        rig.clock.now += 3_000
        assert say(rig, "s") == "0"
    rig.clock.now += 4_000
    assert turn(rig, "s").tiers[0].only is None
