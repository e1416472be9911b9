"""Stores that share a real Redis server: news are fast, limits hold, and a server that dies takes nobody down."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import anyio
import anyio.lowlevel
import pytest
import redis

from asgi_ds2api.secret import Secret
from asgi_ds2api.state.backend import BackendError, Granted
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted, Probe, SharedSlot
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.redis import RedisBackend
from asgi_ds2api.state.shared import LEASE_S, SharedStore
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

ACCOUNT = HealthScope("account", "openai/a")
LATEST_S = 30.0
PASSWORD = "the-password-of-the-server-0123"


class Machine:
    """One process on one machine, with a clock of its own."""

    def __init__(self, server: RedisServer, clock_offset_s: float = 0.0, pool: str = "tests") -> None:
        def now() -> float:
            return monotonic() + clock_offset_s

        self.now = now
        backend = RedisBackend(Secret(server.url), pool=pool)
        self.store = SharedStore(backend, MemoryStore(now), now, workers=2, patience_s=LATEST_S)
        self.heard: set[HealthScope] = set()
        self.store.watch(lambda scope, _: self.heard.add(scope))

    def cool(self, seconds: float, epoch: int = 1) -> None:
        entry = Cooldown(state="cooling", until=self.now() + seconds, epoch=epoch, reason="rate_limited")
        self.store.merge(ACCOUNT, entry)

    def closed_for_s(self) -> float:
        entry = self.store.cooldown(ACCOUNT)
        return 0.0 if entry is None else entry.until - self.now()


@asynccontextmanager
async def machines(server: RedisServer, *offsets_s: float) -> AsyncIterator[list[Machine]]:
    made = [Machine(server, offset_s) for offset_s in offsets_s]
    try:
        for machine in made:
            await machine.store.open()
        yield made
    finally:
        for machine in made:
            await machine.store.close()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LATEST_S):
        while not condition():  # noqa: ASYNC110  what is waited for is done by threads and a server
            await anyio.sleep(0.005)  # between two looks


def day(amount: float) -> Amount:
    return Amount(name="tokens of bob", amount=amount, limit=1e9, life_s=86_400)


def slot(holder: str, limit: int) -> Admission:
    return Admission(holder=holder, slots=(SharedSlot("account openai/a", limit),))


async def test_a_429_that_one_machine_saw_is_known_to_all() -> None:
    with RedisServer() as server:
        async with machines(server, 0.0, 0.0, 0.0) as made:
            made[0].cool(60)
            await until(lambda: all(ACCOUNT in machine.heard for machine in made))
            assert all(machine.closed_for_s() == pytest.approx(60, abs=5) for machine in made)


async def test_F112_clocks_that_differ_are_no_harm() -> None:
    with RedisServer() as server:
        async with machines(server, 0.0, 86_400.0, -500.0) as made:
            made[1].cool(60)
            await until(lambda: all(ACCOUNT in machine.heard for machine in made))
            assert all(machine.closed_for_s() == pytest.approx(60, abs=5) for machine in made)


async def test_a_limit_holds_over_all_machines() -> None:
    with RedisServer() as server:
        async with machines(server, 0.0, 0.0) as (one, two):
            answers = [await (one, two)[n % 2].store.admit(slot(str(n), 3)) for n in range(6)]
            assert [answer is None for answer in answers] == [True, True, True, False, False, False]


async def test_F115_of_fifty_one_probes() -> None:
    with RedisServer() as server:
        async with machines(server, 0.0, 0.0) as made:
            made[0].cool(0.05)
            await made[0].store.settled()
            await until(lambda: all(machine.closed_for_s() < 0 and ACCOUNT in machine.heard for machine in made))
            answers: list[NotAdmitted | None] = []

            async def probe(number: int) -> None:
                wanted = Admission(holder=str(number), probes=(Probe(ACCOUNT, 1),))
                answers.append(await made[number % 2].store.admit(wanted))

            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(probe, number)
            assert (len(answers), answers.count(None)) == (50, 1)


async def test_F108_a_server_that_dies_under_load_takes_nobody_down_and_is_come_back_to() -> None:
    """Requests go on without a pause to speak of; what they used while it was away counts when it is back."""
    spent = Amount(name="tokens of bob", amount=1, limit=1e9, life_s=86_400)
    slowest, admitted, is_over = 0.0, 0, False

    async def load(machine: Machine) -> None:
        nonlocal slowest, admitted
        while not is_over:
            began = monotonic()
            refusal = await machine.store.admit(Admission(holder=f"{id(machine)} {admitted}", amounts=(spent,)))
            slowest = max(slowest, monotonic() - began)
            assert refusal is None
            admitted += 1
            await anyio.sleep(0.001)  # the load leaves room for the others

    with RedisServer() as server:
        async with machines(server, 0.0, 0.0) as made:
            async with anyio.create_task_group() as group:
                for machine in made:
                    group.start_soon(load, machine)
                await until(lambda: admitted > 50)
                server.kill()
                await until(lambda: all(machine.store.is_away for machine in made))
                made[0].cool(60)
                before = admitted
                await until(lambda: admitted > before + 50)
                await anyio.to_thread.run_sync(server.start)
                await until(lambda: not any(machine.store.is_away for machine in made))
                await until(lambda: made[1].closed_for_s() > 0)
                is_over = True
            for machine in made:
                await machine.store.settled()
            # The server came back empty, so what all used since is the least that it must know.
            wanted = Admission(holder="last", amounts=(spent,))
            assert await made[0].store.admit(wanted) is None
            assert made[0].store.used(spent) > 50
    assert slowest < LATEST_S


def test_R_45_a_server_that_stood_still_does_once_what_it_was_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_ds2api.state.redis.SOCKET_S", 0.1)
    both = Admission(holder="a", slots=slot("a", 1).slots, amounts=(day(60),))
    with RedisServer() as server:
        one, two = RedisBackend(Secret(server.url)), RedisBackend(Secret(server.url))
        for backend in (one, two):
            backend.add([day(50)], str(backend))
        server.stop()
        with pytest.raises(BackendError):
            one.admit([both], LEASE_S, "1")
        with pytest.raises(BackendError):
            two.add([day(-40)], "2")
        server.go_on()
        two.add([day(-40)], "2")
        one.undo([both], "1")
        last = Admission(holder="b", slots=slot("b", 1).slots, amounts=(day(0),))
        assert one.admit([last], LEASE_S, "3") == [Granted((60.0,))]
        for backend in (one, two):
            backend.close()


async def test_F111_a_server_that_forgot_its_scripts_and_its_keys_is_told_again() -> None:
    with RedisServer() as server:
        async with machines(server, 0.0, 0.0) as (one, two):
            assert await one.store.admit(slot("a", 1)) is None
            client = redis.Redis(port=server.port)
            client.script_flush()
            assert isinstance(await two.store.admit(slot("b", 1)), NotAdmitted)
            client.flushall()
            client.close()
            assert await two.store.admit(slot("b", 1)) is None
            one.cool(60)
            await until(lambda: ACCOUNT in two.heard)
            assert not one.store.is_away


async def test_F111_a_server_that_is_emptied_under_load_leaks_no_place_and_refuses_nobody_for_ever() -> None:
    limit, done, is_over = 4, 0, False

    async def load(machine: Machine, name: str) -> None:
        nonlocal done
        while not is_over:
            wanted = Admission(holder=f"{name} {done}", slots=slot("", limit).slots, amounts=(day(10),))
            if await machine.store.admit(wanted) is not None:
                await anyio.sleep(0.001)  # who was refused asks again
                continue
            await anyio.lowlevel.checkpoint()
            machine.store.leave(wanted.holder)
            machine.store.add(day(-4))
            done += 1

    async def do(number: int) -> None:
        before = done
        await until(lambda: done >= before + number)

    with RedisServer() as server:
        async with machines(server, 0.0, 0.0) as made:
            client = redis.Redis(port=server.port)
            async with anyio.create_task_group() as group:
                for number in range(8):
                    group.start_soon(load, made[number % 2], str(number))
                for _ in range(5):
                    await do(50)
                    client.flushall()
                await do(50)
                is_over = True
            client.close()
            for machine in made:
                await machine.store.settled()
            answers = [await made[n % 2].store.admit(slot(str(n), limit)) for n in range(limit + 1)]
            assert [answer is None for answer in answers] == [True] * limit + [False]
            assert await made[0].store.admit(Admission(holder="last", amounts=(day(0),))) is None
            # Of the eight that were under way when it was emptied last, what they had reserved is lost.
            assert 6 * 50 - 8 * 10 <= made[0].store.used(day(0)) <= 6 * done
            assert not any(machine.store.switches for machine in made)


async def test_F114_programs_of_two_versions_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer() as server:
        old = Machine(server)
        monkeypatch.setattr("asgi_ds2api.state.redis.VERSION", 2)
        new = Machine(server)
        for machine in (old, new):
            await machine.store.open()
            assert await machine.store.admit(slot("a", 1)) is None
        for machine in (old, new):
            await machine.store.close()


async def test_pools_of_two_names_do_not_meet() -> None:
    with RedisServer() as server:
        stores = [Machine(server, pool=name).store for name in ("a", "b")]
        for store in stores:
            await store.open()
            assert await store.admit(slot("a", 1)) is None
        for store in stores:
            await store.close()


async def test_F107_without_a_server_everybody_begins_alone_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer()
    machine = Machine(server)
    await machine.store.open()
    await until(lambda: machine.store.is_away)
    assert [await machine.store.admit(slot(holder, 2)) is None for holder in "ab"] == [True, False]
    with server:
        await until(lambda: not machine.store.is_away)
        await machine.store.close()
    assert "shared state is out of reach" in caplog.text


async def test_no_message_shows_the_password(caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer()
    url = Secret(server.url.replace("redis://", f"redis://user:{PASSWORD}@"))
    store = SharedStore(RedisBackend(url), MemoryStore(monotonic), monotonic)
    await store.open()
    await until(lambda: store.is_away)
    await store.close()
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(vars(store._backend))


async def test_no_thread_is_left() -> None:
    with RedisServer() as server:
        async with machines(server, 0.0):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "asgi_ds2api.state"]
