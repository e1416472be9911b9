"""What shared state costs: `make bench-state`. Microseconds of an admission, alone and of many at once; of news.

python -m tests.benchmarks.state [--count N]
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter

import anyio

from asgi_ds2api.secret import Secret
from asgi_ds2api.state.backend import Backend
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope, SharedSlot, StateStore
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.redis import RedisBackend
from asgi_ds2api.state.shared import SharedStore
from asgi_ds2api.state.sqlite import SQLiteBackend
from tests.support.redis_server import RedisServer

AT_ONCE = 64
NEWS = 20


def admission(number: int) -> Admission:
    """Return what an attempt on an account with limits asks for."""
    return Admission(
        holder=str(number),
        slots=(SharedSlot("account openai/a", 1_000_000),),
        amounts=(
            Amount(name="requests minute", amount=1, limit=1e9, life_s=60, is_paced=True),
            Amount(name="tokens minute", amount=900, limit=1e12, life_s=60, is_paced=True),
        ),
    )


@contextmanager
def places() -> Iterator[dict[str, Callable[[], Backend | None]]]:
    """Yield what makes each kind of backend; None: this process's memory."""
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        yield {
            "memory": lambda: None,
            "sqlite": lambda: SQLiteBackend(Path(folder) / "state"),
            "redis": lambda: RedisBackend(Secret(server.url)),
        }


def store_of(backend: Backend | None) -> StateStore:
    """Return a store over a backend."""
    memory = MemoryStore(monotonic)
    return memory if backend is None else SharedStore(backend, memory, monotonic, patience_s=5)


async def alone(store: StateStore, count: int) -> list[float]:
    """Return the microseconds of each of so many admissions, one after the other."""
    took = []
    for number in range(count):
        began = perf_counter()
        assert await store.admit(admission(number)) is None
        took.append((perf_counter() - began) * 1e6)
        store.leave(str(number))
    return took


async def together(store: StateStore, count: int) -> float:
    """Return the microseconds per admission of many who ask at once."""

    async def ask(worker: int) -> None:
        for number in range(count // AT_ONCE):
            holder = f"{worker} {number}"
            assert await store.admit(Admission(holder=holder, slots=admission(0).slots)) is None
            store.leave(holder)

    began = perf_counter()
    async with anyio.create_task_group() as group:
        for worker in range(AT_ONCE):
            group.start_soon(ask, worker)
    return (perf_counter() - began) * 1e6 / count


async def news(one: StateStore, two: StateStore) -> float:
    """Return the milliseconds until another process knows of a cooldown, the slowest of several."""
    slowest = 0.0
    for number in range(NEWS):
        scope, heard = HealthScope("account", f"openai/{number}"), anyio.Event()
        stop = two.watch(lambda told, _, scope=scope, heard=heard: heard.set() if told == scope else None)  # type: ignore[misc]
        began = perf_counter()
        one.merge(scope, Cooldown(state="cooling", until=monotonic() + 60, epoch=1))
        await heard.wait()
        slowest = max(slowest, (perf_counter() - began) * 1e3)
        stop()
    return slowest


async def measure(name: str, make: Callable[[], Backend | None], count: int) -> None:
    """Print the figures of one kind of backend."""
    one, two = store_of(make()), store_of(make())
    await one.open()
    await two.open()
    took = await alone(one, count)
    many = await together(one, count)
    line = f"{name:8} admit {statistics.median(took):7.1f} us (p99 {statistics.quantiles(took, n=100)[98]:7.1f})"
    line += f"  {AT_ONCE} at once {many:6.1f} us each"
    if one.is_shared:
        line += f"  news within {await news(one, two):5.1f} ms"
    print(line)
    await one.close()
    await two.close()


def main() -> None:
    """Measure all kinds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=6_400)
    count = parser.parse_args().count
    with places() as kinds:
        for name, make in kinds.items():
            anyio.run(measure, name, make, count)


if __name__ == "__main__":
    main()
