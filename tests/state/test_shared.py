"""A shared store: what one process knows all know soon, and no process waits for a place that is slow or gone."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_ds2api.state.backend import Backend, BackendError, Granted, News
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, Probe, Refusal, Scope, Slot, StateStore
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.shared import LEASE_S, RENEW_S, SharedStore
from asgi_ds2api.state.sqlite import SQLiteBackend

pytestmark = pytest.mark.anyio

ACCOUNT = Scope("account", "openai/a")
LATEST_S = 5.0
"""Far more than news take; a test that waits that long has failed."""


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Moody:
    """A backend that fails, or is silent, when it is told to."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.is_broken = False
        self.is_deaf = False
        """It does what it is told, and nobody hears of that."""
        self.silence = threading.Event()
        self.silence.set()
        self.asked = 0
        self.admitted = 0
        self.added = 0
        self.renewed: list[Mapping[str, Sequence[str]]] = []

    def _mood(self) -> None:
        assert self.silence.wait(LATEST_S)
        if self.is_broken:
            raise BackendError("broken")

    def _lose_word(self) -> None:
        if self.is_deaf:
            raise BackendError("the answer was lost")

    def open(self) -> None:
        self._mood()
        self._backend.open()

    def close(self) -> None:
        self._backend.close()

    def write(self, writer: str, news: Sequence[News]) -> None:
        self._mood()
        self._backend.write(writer, news)

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News]]:
        self._mood()
        return self._backend.read(writer, cursor)

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        self._mood()
        return self._backend.find(table, keys)

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[Refusal | Granted]:
        self.asked += len(admissions)
        self._mood()
        self.admitted += len(admissions)
        answers = self._backend.admit(admissions, lease_s, once)
        self._lose_word()
        return answers

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        self._mood()
        self._backend.undo(admissions, once)

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        self._mood()
        self._backend.leave(left)

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None:
        self._mood()
        self._backend.renew(held, lease_s)
        self.renewed.append(held)

    def add(self, amounts: Sequence[Amount], once: str) -> None:
        self._mood()
        self._backend.add(amounts, once)
        self.added += 1
        self._lose_word()


class Place:
    """A file, and stores that share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock = Clock()

    @asynccontextmanager
    async def stores(
        self, number: int, workers: int = 1, patience_s: float = LATEST_S
    ) -> AsyncIterator[list[tuple[SharedStore, Moody]]]:
        made = []
        for _ in range(number):
            moody = Moody(SQLiteBackend(self._path, wall_now=self.clock))
            memory = MemoryStore(self.clock)
            made.append((SharedStore(moody, memory, self.clock, workers=workers, patience_s=patience_s), moody))
        try:
            for store, _ in made:
                await store.open()
            yield made
        finally:
            for store, moody in made:
                moody.silence.set()
                await store.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state.sqlite")


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LATEST_S):
        while not condition():  # noqa: ASYNC110  what is waited for is done by a thread, and sets no event
            await anyio.sleep(0.005)


def cooling(until: float, epoch: int = 1) -> Cooldown:
    return Cooldown(state="cooling", until=until, epoch=epoch, reason="rate_limited")


def slot(holder: str, limit: int) -> Admission:
    return Admission(holder=holder, slots=(Slot("account openai/a", limit),))


def probe(holder: str) -> Admission:
    return Admission(holder=holder, probes=(Probe(ACCOUNT, 1),), slots=(Slot("account openai/a", 1),))


def money(holder: str, amount: float, limit: float = 100) -> Admission:
    return Admission(holder=holder, amounts=(Amount(name="bob", amount=amount, limit=limit, life_s=86_400),))


def spent(store: SharedStore) -> float:
    return store.used(Amount(name="bob", amount=0, limit=100, life_s=86_400))


async def test_it_is_a_state_store(place: Place) -> None:
    async with place.stores(1) as ((store, _),):
        same: StateStore = store
        assert same.is_shared


async def test_a_cooldown_is_known_here_at_once_and_to_others_soon(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        heard: list[Scope] = []
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
        assert await two.find("answers", ["k", "other"]) == {"k": b"x" * 10_000}
        assert two.get("answers", "k") == b"x" * 10_000


async def test_a_limit_holds_over_all_and_what_is_left_comes_back(place: Place) -> None:
    async with place.stores(2) as ((one, _), (two, _)):
        assert await one.admit(slot("a", 1)) is None
        assert isinstance(await two.admit(slot("b", 1)), Refusal)
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
        assert await two.admit(slot("other", 1)) == Refusal("account openai/a", 1.0)
        assert await two.admit(Admission(holder="next", probes=(Probe(ACCOUNT, 1),))) is None


async def test_F113_alone_a_probe_that_hangs_is_lost_when_the_pool_says_so(place: Place) -> None:
    """One process has one pool, and that lends its probes again when one of them is lost."""
    async with place.stores(1) as ((store, moody),):
        moody.is_broken = True
        answers = [await store.admit(Admission(holder=holder, probes=(Probe(ACCOUNT, 1),))) for holder in "ab"]
        assert (answers, store.is_alone) == ([None, None], True)


async def test_F113_what_a_dead_worker_held_comes_back_in_30_s(place: Place) -> None:
    dead = SQLiteBackend(place._path, wall_now=place.clock)
    dead.open()
    async with place.stores(1) as ((store, _),):
        place.clock.now += 1
        dead.admit([probe("dead")], LEASE_S, "1")
        place.clock.now += 29.9
        assert isinstance(await store.admit(probe("mine")), Refusal)
        place.clock.now += 0.1
        assert await store.admit(probe("mine")) is None
    dead.close()


async def test_F107_a_place_that_is_gone_at_the_start_is_no_reason_not_to_start(tmp_path: Path) -> None:
    clock = Clock()
    store = SharedStore(SQLiteBackend(tmp_path / "no such folder" / "state"), MemoryStore(clock), clock)
    await store.open()
    await until(lambda: store.is_alone)
    assert await store.admit(slot("a", 1)) is None
    assert isinstance(await store.admit(slot("b", 1)), Refusal)
    await store.close()


async def test_F108_a_place_that_fails_is_left_alone_and_come_back_to(place: Place) -> None:
    async with place.stores(2, workers=2) as ((one, moody), (two, _)):
        moody.is_broken = True
        answers = [await one.admit(slot(holder, 4)) for holder in "abc"]
        assert [answer is None for answer in answers] == [True, True, False]
        assert (one.is_alone, one.switches) == (True, 1)
        one.merge(ACCOUNT, cooling(1_060))
        moody.is_broken = False
        place.clock.now += 30
        await until(lambda: not one.is_away)
        await until(lambda: two.cooldown(ACCOUNT) is not None)


async def test_F108_requests_that_fail_together_lengthen_the_pause_once(place: Place) -> None:
    async with place.stores(1) as ((store, moody),):
        pauses = []
        for pause_s in (0.5, 1.0, 2.0):
            moody.silence.clear()
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(store.admit, slot(f"{pause_s} {number}", 100))
                await anyio.wait_all_tasks_blocked()
                moody.is_broken = True
                moody.silence.set()
            place.clock.now += pause_s - 0.01
            pauses.append(store.is_alone)
            place.clock.now += 0.01
            pauses.append(store.is_alone)
        assert (pauses, store.switches) == ([True, False] * 3, 1)


async def test_F108_alone_a_budget_is_what_was_left_for_all_divided(place: Place) -> None:
    async with place.stores(1, workers=4) as ((store, moody),):
        assert await store.admit(money("before", 60)) is None
        moody.is_broken = True
        answers = [await store.admit(money(holder, 5)) for holder in "abc"]
        assert [answer is None for answer in answers] == [True, True, False]
        assert store.is_alone


async def test_F108_alone_what_was_reserved_and_not_used_comes_back(place: Place) -> None:
    async with place.stores(1, workers=4) as ((store, moody),):
        assert await store.admit(money("before", 60)) is None
        moody.is_broken = True
        assert await store.admit(money("a", 10)) is None
        store.add(Amount(name="bob", amount=-9, limit=100, life_s=86_400))
        answers = [await store.admit(money(holder, 9)) for holder in "bc"]
        assert [answer is None for answer in answers] == [True, False]


async def test_F108_alone_again_and_again_a_budget_is_divided_once(place: Place) -> None:
    """Until the place says again what all have used, what is left is not divided anew."""
    async with place.stores(1, workers=4) as ((store, moody),):
        assert await store.admit(money("before", 60)) is None
        moody.is_broken = True
        assert await store.admit(money("a", 10)) is None
        for pause_s in (0.5, 1.0, 2.0):
            place.clock.now += pause_s
            assert isinstance(await store.admit(money("b", 1)), Refusal)
        moody.is_broken = False
        place.clock.now += 30
        await until(lambda: not store.is_away)
        await store.settled()
        assert (await store.admit(money("c", 10)), spent(store)) == (None, 80.0)
        moody.is_broken = True
        answers = [await store.admit(money(holder, 5)) for holder in "de"]
        assert [answer is None for answer in answers] == [True, False]


async def test_F108_alone_a_paced_limit_is_this_process_s_part_of_it(place: Place) -> None:
    def rpm(amount: float) -> Amount:
        return Amount(name="rpm", amount=amount, limit=60, life_s=60, is_paced=True)

    async with place.stores(1, workers=4) as ((store, moody),):
        assert await store.admit(Admission(holder="before", amounts=(rpm(30),))) is None
        moody.is_broken = True
        asked = [Admission(holder=holder, amounts=(rpm(4),)) for holder in "abc"]
        assert [await store.admit(one) is None for one in asked] == [True, False, False]
        store.add(rpm(-4))
        assert await store.admit(Admission(holder="d", amounts=(rpm(7),))) is None
        place.clock.now += 16
        assert [await store.admit(one) is None for one in asked] == [True, False, False]


async def test_F108_alone_slots_that_were_taken_together_count(place: Place) -> None:
    async with place.stores(1, workers=2) as ((store, moody),):
        assert await store.admit(slot("before", 4)) is None
        moody.is_broken = True
        assert [await store.admit(slot(holder, 4)) is None for holder in "ab"] == [True, False]
        store.leave("before")
        assert await store.admit(slot("b", 4)) is None


async def test_F108_what_was_used_alone_is_counted_when_the_place_is_back(place: Place) -> None:
    async with place.stores(2, workers=2) as ((one, moody), (two, _)):
        moody.is_broken = True
        await one.admit(money("a", 40))
        moody.is_broken = False
        place.clock.now += 30
        await until(lambda: not one.is_away)
        await one.settled()
        assert isinstance(await two.admit(money("b", 61)), Refusal)
        assert await two.admit(money("b", 60)) is None


async def test_R_45_what_was_done_and_not_heard_of_is_done_once(place: Place) -> None:
    async with place.stores(2) as ((one, moody), (two, _)):
        assert await one.admit(money("before", 50)) is None
        moody.is_deaf = True
        both = Admission(holder="a", slots=slot("a", 1).slots, amounts=money("a", 10).amounts)
        assert await one.admit(both) is None
        place.clock.now += 0.5
        await until(lambda: moody.added == 1)
        one.add(Amount(name="bob", amount=-5, limit=100, life_s=86_400))
        moody.is_deaf = False
        place.clock.now += 30
        await until(lambda: not one.is_away)
        await one.settled()
        assert await two.admit(slot("b", 1)) is None
        assert (await two.admit(money("b", 0)), spent(two), moody.admitted, moody.added) == (None, 55.0, 2, 3)


async def test_F109_a_silent_place_is_waited_for_once(place: Place) -> None:
    async with place.stores(1, patience_s=0.05) as ((store, moody),):
        moody.silence.clear()
        assert await store.admit(slot("a", 1)) is None
        assert store.is_alone
        assert isinstance(await store.admit(slot("b", 1)), Refusal)
        assert moody.admitted == 0


async def test_F109_what_was_granted_too_late_is_given_back(place: Place) -> None:
    async with place.stores(2, patience_s=0.05) as ((one, moody), (two, _)):
        moody.silence.clear()
        await one.admit(slot("a", 1))
        moody.silence.set()
        await until(lambda: moody.admitted == 1)
        place.clock.now += 30
        await until(lambda: not one.is_away)
        one.leave("a")
        await one.settled()
        assert await two.admit(slot("b", 1)) is None


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
@pytest.mark.parametrize("word", ["read", "admit"])
async def test_a_mistake_of_ours_in_a_thread_ends_the_sharing_and_no_request(place: Place, word: str) -> None:
    async with place.stores(1) as ((store, moody),):
        setattr(moody, word, lambda *_: 1 // 0)
        store.merge(ACCOUNT, cooling(1_060))
        assert await store.admit(slot("a", 1)) is None if word == "read" else True
        if word == "admit":
            assert await store.admit(slot("a", 1)) is None
        await until(lambda: store.is_alone)
        place.clock.now += 1e9
        assert store.is_alone
        assert await store.admit(slot("b", 2)) is None


async def test_facts_that_cannot_be_written_are_bounded(place: Place) -> None:
    clock = place.clock
    moody = Moody(SQLiteBackend(place._path))
    store = SharedStore(moody, MemoryStore(clock), clock, max_waiting_bytes=1_000)
    moody.is_broken = True
    await store.open()
    for number in range(100):
        store.put("answers", str(number), b"x" * 100, 60)
    assert store.dropped == 90
    await store.close()


async def test_a_store_may_be_opened_again(place: Place) -> None:
    clock = place.clock
    store = SharedStore(SQLiteBackend(place._path), MemoryStore(clock), clock)
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
