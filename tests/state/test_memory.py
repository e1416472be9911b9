"""The memory store: what it keeps, for how long, and the traps of the cache beneath it."""

import pytest

from asgi_ds2api.state.contract import Cooldown, HealthScope, StateStore
from asgi_ds2api.state.memory import RETENTION_S, MemoryStore

A, B, C = (HealthScope("account", f"openai/{label}") for label in "abc")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cooling(until: float, epoch: int = 1) -> Cooldown:
    return Cooldown(state="cooling", until=until, epoch=epoch, reason="rate_limited")


def test_it_is_a_state_store(clock: Clock) -> None:
    store: StateStore = MemoryStore(clock)
    assert store.cooldown(A) is None


def test_news_are_merged_with_what_is_known(clock: Clock) -> None:
    store = MemoryStore(clock)
    store.merge(A, cooling(until=1_060, epoch=1))
    total = store.merge(A, cooling(until=1_007, epoch=2))
    assert (total, store.cooldown(A)) == (cooling(until=1_060, epoch=2), total)


def test_the_end_of_a_cooldown_is_not_the_end_of_its_epoch(clock: Clock) -> None:
    store = MemoryStore(clock)
    store.merge(A, cooling(until=1_007))
    clock.now = 1_007 + RETENTION_S - 1
    assert store.cooldown(A) == cooling(until=1_007)


def test_an_entry_ends_a_day_after_its_cooldown(clock: Clock) -> None:
    store = MemoryStore(clock)
    store.merge(A, cooling(until=1_007))
    clock.now = 1_007 + RETENTION_S
    assert (store.cooldown(A), tuple(store.cooldowns())) == (None, ())


def test_a_cooldown_that_is_over_is_kept_when_it_is_told(clock: Clock) -> None:
    """The cache drops what is set with an end in the past: the life of an entry must not be that of its cooldown."""
    store = MemoryStore(clock)
    store.merge(A, cooling(until=clock.now - 5))
    assert store.cooldown(A) == cooling(until=clock.now - 5)


def test_open_cooldowns_survive_while_there_is_room_for_every_scope(clock: Clock) -> None:
    store = MemoryStore(clock, max_cooldowns=1_000)
    scopes = [HealthScope("model", f"openai/{n}", model) for n in range(250) for model in ("a", "b", "c")]
    for scope in scopes:
        store.merge(scope, cooling(until=2_000))
    assert len(tuple(store.cooldowns())) == len(scopes)


def test_memory_stays_bounded_when_there_is_not(clock: Clock) -> None:
    """The reason for the size rule, and for a pool that decides by what it holds itself."""
    store = MemoryStore(clock, max_cooldowns=2)
    for scope in (A, B, C):
        store.merge(scope, cooling(until=2_000))
    assert [scope for scope, _ in store.cooldowns()] == [B, C]


def test_watchers_hear_the_sum_until_they_stop(clock: Clock) -> None:
    store = MemoryStore(clock)
    heard: list[tuple[HealthScope, Cooldown]] = []
    stop = store.watch(lambda scope, entry: heard.append((scope, entry)))
    store.merge(A, cooling(until=1_060, epoch=1))
    store.merge(A, cooling(until=1_007, epoch=2))
    stop()
    stop()
    store.merge(A, cooling(until=9_999, epoch=3))
    assert heard == [(A, cooling(until=1_060, epoch=1)), (A, cooling(until=1_060, epoch=2))]


def test_a_fact_lives_as_long_as_it_was_given(clock: Clock) -> None:
    store = MemoryStore(clock)
    store.put("affinity", "k", b"openai/a", ttl_s=60)
    clock.now += 59
    before = store.get("affinity", "k")
    clock.now += 1
    assert (before, store.get("affinity", "k")) == (b"openai/a", None)


def test_facts_of_two_tables_do_not_meet(clock: Clock) -> None:
    store = MemoryStore(clock)
    store.put("affinity", "k", b"1", ttl_s=60)
    assert store.get("responses", "k") is None


@pytest.mark.parametrize("ttl_s", [0.0, -1.0])
def test_a_fact_without_a_life_removes_the_one_before_it(clock: Clock, ttl_s: float) -> None:
    store = MemoryStore(clock)
    store.put("affinity", "k", b"1", ttl_s=60)
    store.put("affinity", "k", b"2", ttl_s=ttl_s)
    assert store.get("affinity", "k") is None


def test_the_fact_that_nobody_asked_for_goes_first(clock: Clock) -> None:
    store = MemoryStore(clock, max_facts=2)
    store.put("t", "a", b"1", ttl_s=60)
    store.put("t", "b", b"2", ttl_s=60)
    store.get("t", "a")
    store.put("t", "c", b"3", ttl_s=60)
    assert [store.get("t", key) for key in "abc"] == [b"1", None, b"3"]
