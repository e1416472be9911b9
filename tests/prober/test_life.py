"""The prober's task: when there is one, who ends it, and that nothing is left of a probe that is interrupted."""

import asyncio
import logging
from collections.abc import Callable

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio

from asgi_ds2api.pool.model import Target
from asgi_ds2api.state.courier import Door
from asgi_ds2api.upstream.contract import UpstreamRequest
from asgi_ds2api.upstream.tasks import OwnedTask, running_loop
from tests.pool.verdicts import unauthorized
from tests.support.asgi_driver import call
from tests.support.canary import CANARY
from tests.support.gateways import make_gateway, upstream
from tests.support.interrupting import interrupted_at
from tests.support.scripted_client import NEVER, Answering, Delay, Script, ScriptedUpstream
from tests.support.virtual_time import FakeClock, VirtualLoop, run_virtual

from .rig import BAD, GOOD, House, SharedMemory, knows, probers, shows_key

DAY = 86_400.0
SLOW_GOOD = Answering(200, pieces=[], before=[Delay(1)], closing=[Delay(1)])
SLOW_FAILURE = Answering(500, pieces=[b"{}", Delay(0.5)], before=[Delay(1)], closing=[Delay(1)])
SLOW_BAD = Answering(401, pieces=[b"{}", Delay(0.5)], before=[Delay(1)], closing=[Delay(1)])


@run_virtual
async def test_there_is_a_task_only_while_there_is_somebody_to_ask() -> None:
    house = House(knows(), accounts=2)
    async with house.gateway.lifespan():
        house.spend(1)
        assert probers() == []
        house.refuse(0)
        assert len(probers()) == 1
        await house.at(901)
        assert probers() == []
        house.refuse(0)
        assert len(probers()) == 1
    assert probers() == []


@run_virtual
async def test_account_that_becomes_disabled_wakes_the_prober() -> None:
    house = House(knows(*[BAD] * 5, GOOD), accounts=2)
    async with house.gateway.lifespan():
        house.refuse(0)
        await house.at(1_000)  # it sleeps until 2,700
        house.refuse(1)
        await house.at(1_901)
        assert house.asked == [900, 1_900]


@run_virtual
async def test_F100_two_workers_send_one_probe() -> None:
    store = SharedMemory()

    def slowly(request: UpstreamRequest) -> Script:
        return Answering(200 if shows_key(request) else 401, before=[Delay(4)])

    one, two = House(slowly, store=store), House(slowly, store=store)
    async with one.gateway.lifespan(), two.gateway.lifespan():
        one.refuse()
        assert two.states == ["disabled"]
        await one.at(905)
        assert len(store.holders) == 1
        await one.at(1_000)
        assert (len(one.asked) + len(two.asked), one.states, two.states) == (1, ["healthy"], ["healthy"])
        assert (store.holders, probers()) == ((), [])


@run_virtual
async def test_F100_worker_that_stops_while_it_probes_is_followed_by_another() -> None:
    store = SharedMemory()
    one, two = House(lambda _: NEVER, store=store), House(knows(), store=store)
    async with two.gateway.lifespan():
        async with one.gateway.lifespan():
            one.refuse()
            await one.at(910)
            assert (len(store.holders), one.asked, two.asked) == (1, [900], [])
        assert store.holders == ()
        await one.at(960)
        assert (two.asked, one.states, two.states) == ([930], ["healthy"], ["healthy"])


@run_virtual
async def test_gateway_that_closes_while_the_prober_sleeps_ends_it() -> None:
    house = House(knows())
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(100)
        assert len(probers()) == 1
    assert probers() == []
    await house.at(DAY)
    assert house.asked == []
    async with house.gateway.lifespan():
        await anyio.sleep(1)  # virtual
        assert (house.asked, house.states) == ([DAY], ["healthy"])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((NEVER,), id="before-the-answer"),
        pytest.param((GOOD, NEVER), id="before-the-second"),
        pytest.param((Answering(401, pieces=[NEVER]),), id="in-the-answer"),
    ],
)
@run_virtual
async def test_gateway_that_closes_in_the_middle_of_a_probe_leaves_nothing(answers: tuple[Script, ...]) -> None:
    store = SharedMemory()
    house = House(*answers, store=store)
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(901)
        assert (house.states, len(store.holders)) == (["probing"], 1)
    assert (house.states, store.holders, house.upstream.still_open, probers()) == (["disabled"], (), 0, [])
    assert anyio.current_time() == house.began + 901, "closing waits for nobody"


async def stopped(house: House, number: int) -> bool:
    """Cancel the way `Prober.stop` does."""
    with anyio.CancelScope() as scope:
        return await interrupted_at(number, house.prober._probe("chat/a0"), scope.cancel)
    return True


async def loop_ends(house: House, number: int) -> bool:
    """Cancel the way an event loop does that ends."""
    task = asyncio.create_task(interrupted_at(number, house.prober._probe("chat/a0"), lambda: task.cancel()))
    try:
        return await task
    except asyncio.CancelledError:
        return True


@pytest.mark.parametrize("run", [stopped, loop_ends])
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((SLOW_GOOD, SLOW_BAD), id="F103-good"),
        pytest.param((SLOW_BAD,), id="F103-bad"),
        pytest.param((SLOW_GOOD, SLOW_FAILURE), id="F103-fails"),
    ],
)
@run_virtual
async def test_probe_that_is_cancelled_at_any_await_leaves_nothing(
    answers: tuple[Script, ...], run: Callable[[House, int], "asyncio.Future[bool]"]
) -> None:
    number = 0
    while True:
        store = SharedMemory()
        house = House(*answers, store=store)
        house.refuse()
        await house.prober.stop()
        await house.at(900)
        was_interrupted = await run(house, number)
        assert house.states[0] in ("disabled", "healthy")
        assert (store.holders, house.upstream.still_open, open_slots(house)) == ((), 0, 0)
        if not was_interrupted:
            break
        number += 1
    assert number >= 2, "the probe hardly waited: this looked at nothing"


def open_slots(house: House) -> int:
    return sum(account.in_flight for account in house.accounts)


@run_virtual
async def test_failure_of_ours_is_told_and_hits_one_account_alone(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(request: UpstreamRequest) -> Script:
        shown = dict(request.headers).get(b"authorization", b"")
        if shown.endswith(b"-0"):
            raise RuntimeError(f"it was {shown!r}")
        return GOOD if shown else BAD

    house = House(breaks, accounts=2)
    with caplog.at_level(logging.ERROR):
        async with house.gateway.lifespan():
            house.refuse(0)
            house.refuse(1)
            await house.at(DAY)
            assert (house.states, probers()) == (["disabled", "healthy"], [])
    told = [record.getMessage() for record in caplog.records if "was not probed" in record.getMessage()]
    assert len(told) == 1
    assert "chat/a0" in told[0]
    assert "RuntimeError" in told[0]
    assert CANARY not in caplog.text


@run_virtual
async def test_failure_that_ends_the_prober_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(knows())
    monkeypatch.setattr(house.pool.probes, "due_in_s", lambda _: 1 / 0)
    house.refuse()
    await anyio.sleep(0.1)  # virtual
    assert [record.getMessage().splitlines()[0] for record in caplog.records if "prober" in record.getMessage()] == [
        "the prober ended, because the gateway failed:"
    ]
    assert (probers(), house.prober._task is not None and house.prober._task.is_alive) == ([], False)


def test_prober_of_a_loop_that_is_gone_is_followed_by_one_in_the_next() -> None:
    houses: list[House] = []

    async def first() -> None:
        houses.append(House(knows()))
        houses[0].refuse()
        await anyio.sleep(1)  # virtual
        assert len(probers()) == 1

    async def second() -> None:
        (house,) = houses
        assert probers() == []
        await call(house.gateway, "GET", "/v1/models")
        assert len(probers()) == 1
        await house.at(901)
        assert (house.states, probers()) == (["healthy"], [])

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(first())
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(second())


def test_account_that_is_disabled_where_no_loop_runs_is_probed_by_the_next() -> None:
    clock = FakeClock()
    server = ScriptedUpstream.by_request(knows())
    gateway = make_gateway(upstream("chat"), scripts={"chat": server}, now=clock.monotonic)
    pool = gateway._engine.pool
    lease = pool.acquire(pool.plan([Target(upstream="chat", model="m")]))
    pool.release(lease, unauthorized(is_key_invalid=True))
    clock.advance(900)

    async def serve() -> None:
        async with gateway.lifespan():
            await anyio.sleep(1)  # virtual
        assert [account.state for account in gateway.snapshot().accounts] == ["healthy"]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(serve())


def test_prober_ends_with_its_gateway_in_real_time_too() -> None:
    async def serve() -> None:
        house = House(knows())
        async with house.gateway.lifespan():
            house.refuse()
            assert len(probers()) == 1
        assert (probers(), house.states) == ([], ["disabled"])

    asyncio.run(serve())


def test_task_is_owned_under_trio_as_well() -> None:
    done: list[str] = []

    async def main() -> None:
        async def sleep() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                done.append("ended")

        task = OwnedTask(sleep, lambda error: done.append(type(error).__name__), "a test")
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert task.is_alive
        await task.stop()
        assert (done, task.is_alive) == (["ended"], False)

        async def fail() -> None:
            raise ValueError

        failing = OwnedTask(fail, lambda error: done.append(type(error).__name__), "a test")
        while failing.is_alive:
            await anyio.lowlevel.checkpoint()

    trio.run(main)
    assert done == ["ended", "ValueError"]


def test_what_a_thread_calls_in_the_loop_of_trio_may_begin_a_task() -> None:
    """As news of another worker do, of an account that is to be probed."""
    done: list[bool] = []

    async def main() -> None:
        ended = anyio.Event()

        async def run() -> None:
            ended.set()

        def hear() -> None:
            done.append(running_loop() is trio.lowlevel.current_trio_token())
            OwnedTask(run, lambda error: done.append(False), "a test")

        await anyio.to_thread.run_sync(Door().call, hear)
        await ended.wait()

    trio.run(main)
    assert done == [True]


@run_virtual
async def test_task_that_is_stopped_before_it_began_never_begins() -> None:
    began: list[bool] = []

    async def begin() -> None:
        began.append(True)

    task = OwnedTask(begin, lambda error: began.append(False), "a test")
    await task.stop()
    assert (began, task.is_alive) == ([], False)
    await task.stop()
