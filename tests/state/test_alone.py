"""A shared store whose place fails or is silent: nobody waits long, each gives out its part, nothing counts twice."""

from pathlib import Path

import anyio
import pytest

from asgi_ds2api.state.contract import Admission, Amount, Found, NotAdmitted, Probe

from .rig import ACCOUNT, Place, cooling, money, slot, spent, until, until_back

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "state.sqlite")


async def test_F113_alone_a_probe_that_hangs_is_lost_when_the_pool_says_so(place: Place) -> None:
    """One process has one pool, and that lends its probes again when one of them is lost."""
    async with place.stores(1) as ((store, moody),):
        moody.is_broken = True
        answers = [await store.admit(Admission(holder=holder, probes=(Probe(ACCOUNT, 1),))) for holder in "ab"]
        assert (answers, store.is_alone) == ([None, None], True)


async def test_F108_a_place_that_fails_is_left_alone_and_come_back_to(place: Place) -> None:
    async with place.stores(2, workers=2) as ((one, moody), (two, _)):
        moody.is_broken = True
        answers = [await one.admit(slot(holder, 4)) for holder in "abc"]
        assert [answer is None for answer in answers] == [True, True, False]
        assert (one.is_alone, one.switches) == (True, 1)
        one.merge(ACCOUNT, cooling(1_060))
        moody.is_broken = False
        await until_back(place, one)
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
            assert isinstance(await store.admit(money("b", 1)), NotAdmitted)
        moody.is_broken = False
        await until_back(place, store)
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
        await until_back(place, one)
        await one.settled()
        assert isinstance(await two.admit(money("b", 61)), NotAdmitted)
        assert await two.admit(money("b", 60)) is None


async def test_R_45_what_was_done_and_not_heard_of_is_done_once(place: Place) -> None:
    async with place.stores(2) as ((one, moody), (two, _)):
        assert await one.admit(money("before", 50)) is None
        moody.is_deaf = True
        both = Admission(holder="a", slots=slot("a", 1).slots, amounts=money("a", 10).amounts)
        assert await one.admit(both) is None
        place.clock.now += 0.5
        await until(lambda: moody.added > 0)
        one.add(Amount(name="bob", amount=-5, limit=100, life_s=86_400))
        moody.is_deaf = False
        await until_back(place, one)
        await one.settled()
        assert await two.admit(slot("b", 1)) is None
        assert (await two.admit(money("b", 0)), spent(two), moody.admitted) == (None, 55.0, 2)


async def test_F109_a_silent_place_is_waited_for_once(place: Place) -> None:
    async with place.stores(1, patience_s=0.05) as ((store, moody),):
        moody.silence.clear()
        assert await store.admit(slot("a", 1)) is None
        assert store.is_alone
        assert isinstance(await store.admit(slot("b", 1)), NotAdmitted)
        assert moody.admitted == 0


async def test_F109_what_was_granted_too_late_is_given_back(place: Place) -> None:
    async with place.stores(2, patience_s=0.05) as ((one, moody), (two, _)):
        moody.silence.clear()
        await one.admit(slot("a", 1))
        moody.silence.set()
        await until(lambda: moody.admitted == 1)
        await until_back(place, one)
        one.leave("a")
        await one.settled()
        assert await two.admit(slot("b", 1)) is None


async def test_F108_a_look_up_that_did_not_reach_the_place_says_so(place: Place) -> None:
    async with place.stores(2) as ((one, moody), (two, _)):
        two.put("files", "hers", b"x" * 1_000, 60)
        one.put("files", "mine", b"v", 60)
        await two.settled()
        moody.is_broken = True
        first = await one.find("files", ["mine", "hers"])
        assert (first, one.is_alone) == (Found({"mine": b"v"}, is_whole=False), True)
        assert await one.find("files", ["mine", "hers"]) == Found({"mine": b"v"}, is_whole=False)
        assert await one.find("files", ["mine"]) == Found({"mine": b"v"})
        moody.is_broken = False
        place.clock.now += 0.5
        assert await one.find("files", ["hers", "nobody's"]) == Found({"hers": b"x" * 1_000})
