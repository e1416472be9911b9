"""Stores that share a file, on a place that fails when a test says so, with a clock that a test moves."""

import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from asgi_ds2api.state.backend import Backend, BackendError, Granted, Missed, News
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, HealthScope, NotAdmitted, Probe, SharedSlot
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.shared import SharedStore
from asgi_ds2api.state.sqlite import SQLiteBackend

ACCOUNT, OTHER = HealthScope("account", "openai/a"), HealthScope("account", "openai/b")
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

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News | Missed]]:
        self._mood()
        return self._backend.read(writer, cursor)

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        self._mood()
        return self._backend.find(table, keys)

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[NotAdmitted | Granted]:
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
        self.path = path
        self.clock = Clock()

    def files(self) -> list[Path]:
        """The file, and those that SQLite puts beside it."""
        return list(self.path.parent.glob(f"{self.path.name}*"))

    @asynccontextmanager
    async def stores(
        self, number: int, workers: int = 1, patience_s: float = LATEST_S
    ) -> AsyncIterator[list[tuple[SharedStore, Moody]]]:
        made = []
        for _ in range(number):
            moody = Moody(SQLiteBackend(self.path, wall_now=self.clock))
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


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(LATEST_S):
        while not condition():  # noqa: ASYNC110  what is waited for is done by a thread, and sets no event
            await anyio.sleep(0.005)  # between two looks


async def until_back(place: Place, store: SharedStore) -> None:
    """Let time pass until a store that is alone has asked its place again: what is on its way may yet fail before."""
    with anyio.fail_after(LATEST_S):
        while store.is_away:
            place.clock.now += 30
            await anyio.sleep(0.2)  # for the thread that asks


def cooling(until: float, epoch: int = 1) -> Cooldown:
    return Cooldown(state="cooling", until=until, epoch=epoch, reason="rate_limited")


def slot(holder: str, limit: int) -> Admission:
    return Admission(holder=holder, slots=(SharedSlot("account openai/a", limit),))


def probe(holder: str) -> Admission:
    return Admission(holder=holder, probes=(Probe(ACCOUNT, 1),), slots=(SharedSlot("account openai/a", 1),))


def money(holder: str, amount: float, limit: float = 100) -> Admission:
    return Admission(holder=holder, amounts=(Amount(name="bob", amount=amount, limit=limit, life_s=86_400),))


def spent(store: SharedStore) -> float:
    return store.used(Amount(name="bob", amount=0, limit=100, life_s=86_400))
