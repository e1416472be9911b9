"""What models refused is remembered for a while, bounded, each thing for its own time."""

import pytest

from asgi_ds2api.state.facts import FactTable
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.transcoding.lessons import MAX_CHARS, MAX_LESSONS, Lessons


@pytest.fixture
def table() -> FactTable:
    return FactTable(store=MemoryStore(lambda: 0.0), name="lessons", ttl_s=100, max_value_bytes=16 * 1024)


@pytest.fixture
def lessons(table: FactTable) -> Lessons:
    return Lessons(table)


def test_nothing_is_known_at_first(lessons: Lessons) -> None:
    assert lessons.of("up chat", "m", now=0) == ()


def test_each_lesson_is_forgotten_in_its_own_time(lessons: Lessons) -> None:
    lessons.learn("up chat", "m", ["a"], now=0)
    lessons.learn("up chat", "m", ["b"], now=60)
    assert lessons.of("up chat", "m", now=99) == ("a", "b")
    assert lessons.of("up chat", "m", now=100) == ("b",)
    assert lessons.of("up chat", "m", now=160) == ()


def test_lesson_that_is_learned_again_is_kept_once(lessons: Lessons) -> None:
    lessons.learn("up chat", "m", ["a", "b"], now=0)
    lessons.learn("up chat", "m", ["a"], now=50)
    assert lessons.of("up chat", "m", now=50) == ("b", "a")
    assert lessons.of("up chat", "m", now=120) == ("a",)


def test_models_and_ways_do_not_meet(lessons: Lessons) -> None:
    lessons.learn("up chat", "m", ["a"], now=0)
    assert lessons.of("up chat", "n", now=0) == lessons.of("up responses", "m", now=0) == ()


def test_they_are_bounded_and_the_oldest_goes(lessons: Lessons) -> None:
    for number in range(MAX_LESSONS + 1):
        lessons.learn("up chat", "m", [f"{number}"], now=0)
    assert lessons.of("up chat", "m", now=0) == tuple(f"{number}" for number in range(1, MAX_LESSONS + 1))


def test_long_objection_is_no_lesson(lessons: Lessons) -> None:
    lessons.learn("up chat", "m", ["x" * (MAX_CHARS + 1)], now=0)
    assert lessons.of("up chat", "m", now=0) == ()


@pytest.mark.parametrize("found", [b"", b"\xff", b'{"a":1}', b"[[1]]"])
def test_what_cannot_be_read_is_not_known(table: FactTable, lessons: Lessons, found: bytes) -> None:
    table.put("up chat m", found)
    assert lessons.of("up chat", "m", now=0) == ()
