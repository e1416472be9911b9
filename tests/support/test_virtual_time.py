"""Virtual time passes only where nothing else can happen, and a test that would hang fails."""

import asyncio

import anyio
import pytest

from .virtual_time import START_S, Deadlock, FakeClock, Livelock, VirtualLoop, run_virtual


@run_virtual
async def test_sleep_takes_exactly_its_time() -> None:
    for seconds in (0.1, 0.2, 3600.0, 1e6):
        await anyio.sleep(seconds)  # virtual
    assert asyncio.get_running_loop().time() == START_S + 1_003_600.3
    assert anyio.current_time() == START_S + 1_003_600.3


@run_virtual
async def test_timers_fire_in_their_order() -> None:
    order: list[tuple[str, float]] = []

    async def note(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)  # virtual
        order.append((name, anyio.current_time() - START_S))

    async with anyio.create_task_group() as group:
        group.start_soon(note, "late", 20.0)
        group.start_soon(note, "early", 10.0)
        group.start_soon(note, "now", 0.0)
    assert order == [("now", 0.0), ("early", 10.0), ("late", 20.0)]


@run_virtual
async def test_work_that_is_ready_is_done_before_time_passes() -> None:
    with anyio.fail_after(1):
        for _ in range(1_000):
            await anyio.lowlevel.checkpoint()
    assert anyio.current_time() == START_S


@run_virtual
async def test_scopes_of_anyio_end_at_their_moment() -> None:
    with anyio.move_on_after(15) as scope:
        await anyio.sleep_forever()
    assert (scope.cancelled_caught, anyio.current_time()) == (True, START_S + 15)
    with pytest.raises(TimeoutError):
        with anyio.fail_after(5):
            await anyio.sleep_forever()
    assert anyio.current_time() == START_S + 20


@run_virtual
async def test_cancelled_group_is_awaited_before_time_passes() -> None:
    ended: list[float] = []

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(2)  # virtual
        group.cancel_scope.cancel()
    assert ended == [START_S + 2]


def test_wait_that_nothing_ends_is_told_with_its_place() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"waits_for_ever:\d+ > Event.wait:\d+"):
        run_virtual(waits_for_ever)()


def test_wait_for_ever_beside_a_timer_is_told_when_the_timer_is_over() -> None:
    async def waits() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            await anyio.sleep(30)

    with pytest.raises(Deadlock, match="sleep_forever"):
        run_virtual(waits)()


def test_busy_loop_is_told_instead_of_spinning() -> None:
    async def spins() -> None:
        for _ in iter(int, 1):
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match="spins"):
        run_virtual(spins)()


def test_task_left_running_fails_the_test() -> None:
    tasks = []

    async def leaves_one() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(60), name="orphan"))

    with pytest.raises(AssertionError, match="orphan: sleep"):
        run_virtual(leaves_one)()
    assert tasks[0].cancelled()


def test_exception_of_a_callback_fails_the_test() -> None:
    async def breaks() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_virtual(breaks)()


def test_exception_of_the_test_comes_out_as_it_is() -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        run_virtual(fails)()


@pytest.mark.parametrize("seconds", [1, 2])
@run_virtual
async def test_params_and_fixtures_reach_the_coroutine(seconds: int, tmp_path: object) -> None:
    await asyncio.sleep(seconds)  # virtual
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    assert anyio.current_time() == START_S + seconds


def test_clocks_move_together_unless_the_wall_clock_is_set() -> None:
    clock = FakeClock(monotonic_s=5, wall_s=100)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.wall()) == (7.5, 102.5)
    clock.set_wall(50)
    clock.advance(1)
    assert (clock.monotonic(), clock.wall()) == (8.5, 51)
    with pytest.raises(AssertionError):
        clock.advance(-1)
