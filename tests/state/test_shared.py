"""A shared store: what one process knows all know soon, and what one takes no other has."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_ds2api.secret import Secret
from asgi_ds2api.state.backend import Missed, News
from asgi_ds2api.state.contract import Admission, Found, HealthScope, NotAdmitted, Probe, StateStore
from asgi_ds2api.state.courier import Courier
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.redis import RedisBackend
from asgi_ds2api.state.shared import LEASE_S, RENEW_S, SharedStore
from asgi_ds2api.state.sqlite import SQLiteBackend

from .rig import ACCOUNT, LATEST_S, OTHER, Clock, Moody, Place, cooling, money, probe, slot, spent, until, until_back

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state.sqlite")


async def test_it_is_a_state_store(place: Place) -> None:
    async with place.stores(1) as ((store, _),):
        same: StateStore = store
        assert same.is_shared


async def test_a_cooldown_is_known_here_at_once_and_to_others_soon(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        heard: list[HealthScope] = []
        two.watch(lambda scope, _: heard.append(scope))
        one.merge(ACCOUNT, cooling(1_060))
        assert one.cooldown(ACCOUNT) == cooling(1_060)
        await until(lambda: heard == [ACCOUNT])
        entry = two.cooldown(ACCOUNT)
        assert entry is not None
        assert entry.until == pytest.approx(1_060, abs=5)


async def test_who_begins_later_knows_from_the_start(place: Place) -> None:
    async with place.stores(1) as ((one, _),):
        one.merge(ACCOUNT, cooling(1_060))
        await one.settled()
        async with place.stores(1) as ((two, _),):
            await until(lambda: two.cooldown(ACCOUNT) is not None)


async def test_an_answer_is_found_by_others_once_it_is_settled(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        one.put("answers", "k", b"x" * 10_000, 60)
        await one.settled()
        assert await two.find("answers", ["k", "other"]) == Found({"k": b"x" * 10_000})
        assert two.get("answers", "k") == b"x" * 10_000


async def test_an_answer_that_has_changed_is_found_as_it_is_by_who_held_it_as_it_was(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        for value in (b"queued" * 1_000, b"completed" * 1_000):
            one.put("answers", "k", value, 60)
            await one.settled()
            await until(lambda: two.get("answers", "k") is None)
            assert await two.find("answers", ["k"]) == Found({"k": value})


async def test_what_changes_while_it_is_looked_up_is_not_copied_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.stores(2) as ((one, _), (two, moody)):
        find, has_found, may_tell = moody.find, threading.Event(), threading.Event()

        def find_slowly(table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
            found = find(table, keys)
            has_found.set()
            assert may_tell.wait(LATEST_S)
            return found

        one.put("answers", "k", b"queued", 60)
        two.put("answers", "mine", b"queued" * 1_000, 60)
        await one.settled()
        await two.settled()
        await until(lambda: two.get("answers", "k") == b"queued")
        two._memory.put("answers", "k", b"", 0)
        two._memory.put("answers", "mine", b"", 0)
        monkeypatch.setattr(moody, "find", find_slowly)
        async with anyio.create_task_group() as group:
            group.start_soon(two.find, "answers", ["k", "mine"])
            await until(has_found.is_set)
            one.put("answers", "k", b"completed", 60)
            two.put("answers", "mine", b"completed", 60)
            await until(lambda: two.get("answers", "k") == b"completed")
            may_tell.set()
        assert [two.get("answers", key) for key in ("k", "mine")] == [b"completed"] * 2


async def test_what_is_put_while_others_are_heard_of_stays_what_it_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.stores(2) as ((one, _), (two, moody)):
        read, has_read, may_tell = moody.read, threading.Event(), threading.Event()

        def read_slowly(writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
            told = read(writer, cursor)
            if told[1]:
                has_read.set()
                assert may_tell.wait(LATEST_S)
            return told

        monkeypatch.setattr(moody, "read", read_slowly)
        one.put("pins", "k", b"older", 60)
        await until(has_read.is_set)
        two.put("pins", "k", b"newer", 60)
        may_tell.set()
        await two.settled()
        assert two.get("pins", "k") == b"newer"
        await until(lambda: one.get("pins", "k") == b"newer")


async def test_who_missed_news_of_facts_holds_none_but_what_it_put_since(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.stores(2) as ((one, _), (two, moody)):
        read, has_read, may_tell = moody.read, threading.Event(), threading.Event()

        def miss(writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
            told = read(writer, cursor)
            if has_read.is_set():
                return told
            has_read.set()
            assert may_tell.wait(LATEST_S)
            return told[0], (Missed(), *told[1])

        one.put("answers", "k", b"older", 60)
        await until(lambda: two.get("answers", "k") == b"older")
        monkeypatch.setattr(moody, "read", miss)
        await until(has_read.is_set)
        two.put("answers", "mine", b"new", 60)
        may_tell.set()
        await until(lambda: two.get("answers", "k") is None)
        assert two.get("answers", "mine") == b"new"
        await two.settled()
        assert await two.find("answers", ["k", "mine"]) == Found({"k": b"older", "mine": b"new"})


async def test_a_limit_holds_over_all_and_what_is_left_comes_back(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        assert await one.admit(slot("a", 1)) is None
        assert isinstance(await two.admit(slot("b", 1)), NotAdmitted)
        one.leave("a")
        await one.settled()
        assert await two.admit(slot("b", 1)) is None


async def test_each_knows_what_all_have_used_when_it_last_asked(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        await one.admit(money("a", 60))
        await two.admit(money("b", 10))
        assert (spent(one), spent(two)) == (60.0, 70.0)


async def test_nothing_is_asked_where_nothing_is_needed(place: Place) -> None:
    async with place.stores(1) as ((store, moody),):
        assert await store.admit(Admission(holder="a")) is None
        assert moody.admitted == 0


async def test_F113_a_probe_that_hangs_is_lost_after_30_s_and_its_slot_is_not(place: Place) -> None:
    async with place.stores(2) as ((one, moody), (two, _)):
        assert await one.admit(probe("hangs")) is None
        for _ in range(3):
            moody.renewed.clear()
            place.clock.now += RENEW_S
            await until(lambda: moody.renewed != [])
        place.clock.now += 1
        assert await two.admit(slot("other", 1)) == NotAdmitted("account openai/a", 1.0)
        assert await two.admit(Admission(holder="next", probes=(Probe(ACCOUNT, 1),))) is None


async def test_F113_what_a_dead_worker_held_comes_back_in_30_s(place: Place) -> None:
    dead = SQLiteBackend(place.path, wall_now=place.clock)
    dead.open()
    async with place.stores(1) as ((store, _),):
        place.clock.now += 1
        dead.admit([probe("dead")], LEASE_S, "1")
        place.clock.now += 29.9
        assert isinstance(await store.admit(probe("mine")), NotAdmitted)
        place.clock.now += 0.1
        assert await store.admit(probe("mine")) is None
    dead.close()


async def test_F107_a_place_that_is_gone_at_the_start_is_no_reason_not_to_start(tmp_path: Path) -> None:
    clock = Clock()
    store = SharedStore(SQLiteBackend(tmp_path / "no such folder" / "state"), MemoryStore(clock), clock)
    await store.open()
    await until(lambda: store.is_alone)
    assert await store.admit(slot("a", 1)) is None
    assert isinstance(await store.admit(slot("b", 1)), NotAdmitted)
    await store.close()


@pytest.mark.parametrize("options", ["nobody=knows", "decode_responses=True"])
async def test_F107_an_address_that_no_client_can_use_is_no_reason_not_to_start(options: str) -> None:
    clock = Clock()
    store = SharedStore(RedisBackend(Secret(f"redis://127.0.0.1:6379/0?{options}")), MemoryStore(clock), clock)
    await store.open()
    assert (store.is_away, await store.admit(slot("a", 1))) == (True, None)
    clock.now += 0.5
    assert not store.is_alone
    await store.close()


async def test_F111_a_file_that_is_taken_away_is_made_anew_and_all_meet_in_it(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        one.merge(ACCOUNT, cooling(1_060))
        assert await one.admit(slot("a", 1)) is None
        await until(lambda: two.cooldown(ACCOUNT) is not None)
        for path in place.files():
            path.unlink()
        await until(lambda: one.is_away and two.is_away)
        await until_back(place, one)
        await until_back(place, two)
        async with place.stores(1) as ((three, _),):
            answers = [await store.admit(slot(str(n), 1)) for n, store in enumerate((one, two, three))]
            assert [answer is None for answer in answers] == [True, False, False]
            three.merge(OTHER, cooling(1_060))
            await until(lambda: all(store.cooldown(OTHER) is not None for store in (one, two)))
    assert "the file of state was taken away" in caplog.text


async def test_F110_a_request_that_is_cancelled_while_it_asks_holds_nothing(place: Place) -> None:
    async with place.stores(2) as ((one, moody), (two, _)):
        moody.silence.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(one.admit, slot("a", 1))
            await until(lambda: moody.asked == 1)
            group.cancel_scope.cancel()
        moody.silence.set()
        await until(lambda: moody.admitted == 1)
        await one.settled()
        assert await two.admit(slot("b", 1)) is None
        assert not one.is_away


async def test_F110_a_task_that_its_host_cancels_as_the_answer_comes_holds_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With asyncio's own means, that do not wait for the turn after: by ``task.cancel()``, or ``asyncio.timeout``."""
    async with place.stores(2) as ((one, _), (two, _)):
        both = Admission(holder="a", slots=slot("a", 1).slots, amounts=money("a", 100).amounts)
        asker = one._asker
        assert asker is not None
        task = asyncio.create_task(one.admit(both))
        answer = asker._answer

        def answered(*told: Any) -> None:
            answer(*told)
            task.cancel()

        monkeypatch.setattr(asker, "_answer", answered)  # the turn in which it comes
        with pytest.raises(asyncio.CancelledError):
            await task
        await one.settled()
        refusals = [await two.admit(wanted) for wanted in (slot("b", 1), money("b", 100))]
        assert (refusals, one.is_away) == ([None, None], False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_mistake_of_ours_in_the_thread_ends_the_sharing_and_no_request(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.stores(1) as ((store, moody),):
        monkeypatch.setattr(moody, "read", lambda *_: 1 // 0)
        store.merge(ACCOUNT, cooling(1_060))
        await until(lambda: store.is_alone)
        place.clock.now += 1e9
        assert store.is_alone
        assert await store.admit(slot("a", 1)) is None
        monkeypatch.undo()
        await store.close()
        await store.open()
        assert not store.is_alone


async def test_a_mistake_of_ours_about_one_asking_is_none_of_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.stores(2) as ((one, moody), (two, _)):
        monkeypatch.setattr(moody, "admit", lambda *_: 1 // 0)
        assert (await one.admit(slot("a", 1)), one.is_alone) == (None, True)
        monkeypatch.undo()
        await until_back(place, one)
        assert await two.admit(slot("b", 1)) is None
        assert isinstance(await one.admit(slot("c", 1)), NotAdmitted)


async def test_who_is_cancelled_while_it_opens_leaves_a_store_that_shares(place: Place) -> None:
    async with place.stores(1) as ((one, _),):
        moody = Moody(SQLiteBackend(place.path, wall_now=place.clock))
        two = SharedStore(moody, MemoryStore(place.clock), place.clock, patience_s=LATEST_S)
        moody.silence.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(two.open)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        moody.silence.set()
        await two.open()
        one.merge(ACCOUNT, cooling(1_060))
        await until(lambda: two.cooldown(ACCOUNT) is not None)
        assert await one.admit(slot("a", 1)) is None
        assert isinstance(await two.admit(slot("b", 1)), NotAdmitted)
        await two.close()


async def test_who_opens_while_another_does_waits_for_the_same_news(place: Place) -> None:
    async with place.stores(1) as ((one, _),):
        one.merge(ACCOUNT, cooling(1_060))
        await one.settled()
    moody = Moody(SQLiteBackend(place.path, wall_now=place.clock))
    store = SharedStore(moody, MemoryStore(place.clock), place.clock)
    known: list[bool] = []

    async def open_and_look() -> None:
        await store.open()
        known.append(store.cooldown(ACCOUNT) is not None)

    moody.silence.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(open_and_look)
        group.start_soon(open_and_look)
        await anyio.wait_all_tasks_blocked()
        moody.silence.set()
    await store.close()
    assert known == [True, True]


def test_threads_of_an_event_loop_that_has_ended_end_when_the_next_one_begins(place: Place) -> None:
    store = SharedStore(SQLiteBackend(place.path, wall_now=place.clock), MemoryStore(place.clock), place.clock)
    asyncio.run(store.open())
    courier, asker = store._courier, store._asker
    assert courier is not None
    assert asker is not None

    async def go_on() -> None:
        await store.open()
        courier.join()
        asker.join()
        await store.close()

    asyncio.run(go_on())


async def test_a_thread_that_cannot_be_made_is_made_by_the_next_who_opens(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SharedStore(SQLiteBackend(place.path, wall_now=place.clock), MemoryStore(place.clock), place.clock)

    def start(_: Courier) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as poor:
        poor.setattr(Courier, "start", start)
        with pytest.raises(RuntimeError):
            await store.open()
    await store.open()
    store.merge(ACCOUNT, cooling(1_060))
    await store.settled()
    assert store._outbox.is_written(1)
    await store.close()


async def test_facts_that_cannot_be_written_are_bounded(place: Place) -> None:
    clock = place.clock
    moody = Moody(SQLiteBackend(place.path))
    store = SharedStore(moody, MemoryStore(clock), clock, max_waiting_bytes=1_000)
    moody.is_broken = True
    await store.open()
    for number in range(100):
        store.put("answers", str(number), b"x" * 100, 60)
    assert store.dropped == 90
    await store.close()


async def test_a_store_may_be_opened_again(place: Place) -> None:
    clock = place.clock
    store = SharedStore(SQLiteBackend(place.path), MemoryStore(clock), clock)
    for holder in "ab":
        await store.open()
        assert await store.admit(slot(holder, 1)) is None
        store.leave(holder)
        await store.close()


async def test_others_are_looked_for_often_enough_to_be_heard_of_within_250_ms(place: Place) -> None:
    """What is written wakes the thread at once (see the tests above); what is read waits for its next look."""
    async with place.stores(1) as ((store, _),):
        assert store._courier is not None
        assert 2 * store._courier._interval_s <= 0.25
