"""A table of facts keeps what it is told to, and the store keeps within its bounds."""

from asgi_ds2api.state.facts import FactTable
from asgi_ds2api.state.memory import FACT_OVERHEAD_BYTES, MemoryStore


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_fact_lives_as_long_as_its_table_says() -> None:
    clock = Clock()
    table = FactTable(store=MemoryStore(clock), name="t", ttl_s=60, max_value_bytes=10)
    table.put("k", b"v")
    clock.now = 59
    before = table.get("k")
    clock.now = 60
    assert (before, table.get("k")) == (b"v", None)


def test_a_fact_that_is_too_large_is_not_kept() -> None:
    table = FactTable(store=MemoryStore(Clock()), name="t", ttl_s=60, max_value_bytes=3)
    table.put("k", b"long")
    assert table.get("k") is None


def test_values_together_stay_within_their_bound() -> None:
    room = 10 * (1_000 + FACT_OVERHEAD_BYTES)
    store = MemoryStore(Clock(), max_fact_bytes=room)
    for number in range(100):
        store.put("t", str(number), b"x" * 1_000, ttl_s=60)
    assert [number for number in range(100) if store.get("t", str(number))] == list(range(90, 100))


def test_small_facts_stay_within_their_number() -> None:
    store = MemoryStore(Clock(), max_facts=10)
    for number in range(100):
        store.put("t", str(number), b"x", ttl_s=60)
    assert [number for number in range(100) if store.get("t", str(number))] == list(range(90, 100))


def test_a_fact_that_fits_nowhere_removes_the_one_before_it() -> None:
    store = MemoryStore(Clock(), max_fact_bytes=1_000)
    store.put("t", "k", b"v", ttl_s=60)
    store.put("t", "k", b"x" * 2_000, ttl_s=60)
    assert store.get("t", "k") is None
