"""The task that carries an exchange, with a carrier that does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager

import anyio
import anyio.lowlevel
import pytest

from asgi_ds2api.errors import Interrupted
from asgi_ds2api.upstream.actor import READ_AHEAD_BYTES, Actor, Answer
from asgi_ds2api.upstream.contract import UpstreamRequest
from asgi_ds2api.upstream.progress import Progress

pytestmark = pytest.mark.anyio

REQUEST = UpstreamRequest(method="POST", url="http://upstream.invalid", headers=(), body=b"")


class Body:
    """A body of equal pieces, which counts what was taken of it."""

    def __init__(self, pieces: int, piece: bytes = bytes(10_000)) -> None:
        self.taken = 0
        self._pieces = pieces
        self._piece = piece

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if self.taken == self._pieces:
            raise StopAsyncIteration
        self.taken += 1
        return self._piece


class Fake:
    """A carrier with a body, or with something that happens in place of an answer."""

    def __init__(
        self, body: AsyncIterator[bytes] | None = None, happens: Callable[[], Coroutine[None, None, None]] | None = None
    ) -> None:
        self.body = body or Body(0)
        self.happens = happens
        self.closed = 0

    async def send(self, request: UpstreamRequest, progress: Progress) -> Answer:
        """Answer."""
        if self.happens is not None:
            await self.happens()
        return Answer(200, ((b"content-type", b"text/plain"),), self.body)

    @contextmanager
    def errors(self, progress: Progress) -> Iterator[None]:
        """Change nothing."""
        yield

    async def close(self) -> None:
        """Count; and take as long as a loop turn."""
        await anyio.lowlevel.checkpoint()
        self.closed += 1


def begin(carrier: Fake, slots: anyio.Semaphore | None = None) -> Actor:
    """Start an actor."""
    actor = Actor(REQUEST, carrier, slots or anyio.Semaphore(1, max_value=1))
    actor.start(lambda _actor: None)
    return actor


class OnBothLoops:
    """Runs the tests of a class on both event loops."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Name the event loop."""
        return str(request.param)


class TestActor(OnBothLoops):
    """What holds on every event loop."""

    async def test_no_more_is_read_ahead_than_is_allowed(self) -> None:
        """Pull-driven: an endless answer that nobody reads stays in the sockets."""
        body = Body(1_000)
        actor = begin(Fake(body))
        await actor.head()
        await anyio.wait_all_tasks_blocked()
        assert body.taken * 10_000 < READ_AHEAD_BYTES + 10_000
        first = await actor.read()
        await anyio.wait_all_tasks_blocked()
        assert len(first) == READ_AHEAD_BYTES // 10_000 * 10_000 + 10_000
        assert body.taken * 10_000 < 2 * READ_AHEAD_BYTES + 20_000
        await actor.close()

    async def test_end_gives_slot_and_connection_back_without_a_close(self) -> None:
        slots, carrier = anyio.Semaphore(1, max_value=1), Fake(Body(2))
        actor = begin(carrier, slots)
        await anyio.wait_all_tasks_blocked()
        assert (slots.value, carrier.closed) == (1, 1)
        assert len(await actor.read()) == 20_000
        assert await actor.read() == b""
        await actor.close()
        assert (slots.value, carrier.closed) == (1, 1)

    async def test_mistake_in_a_carrier_reaches_who_waits(self) -> None:
        async def mistake() -> None:
            raise ZeroDivisionError

        slots, carrier = anyio.Semaphore(1, max_value=1), Fake(happens=mistake)
        actor = begin(carrier, slots)
        with pytest.raises(ZeroDivisionError):
            await actor.head()
        await actor.close()
        assert (slots.value, carrier.closed) == (1, 1)

    async def test_closed_before_it_began_it_sends_nothing(self) -> None:
        sent = []

        async def note() -> None:
            sent.append(1)

        slots, carrier = anyio.Semaphore(1, max_value=1), Fake(happens=note)
        actor = begin(carrier, slots)
        await actor.close()
        with pytest.raises(Interrupted):
            await actor.read()
        assert (sent, slots.value, carrier.closed) == ([], 1, 1)

    async def test_close_does_not_wait_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody is kept by a library that does not close; the slot comes back when it has."""
        monkeypatch.setattr("asgi_ds2api.upstream.actor.CLOSE_S", 0.05)
        release = anyio.Event()

        class Stuck(Fake):
            async def close(self) -> None:
                with anyio.CancelScope(shield=True):
                    await release.wait()

        slots = anyio.Semaphore(1, max_value=1)
        actor = begin(Stuck(Body(1_000)), slots)
        await actor.head()
        await actor.close()
        assert slots.value == 0
        release.set()
        await actor.close()
        assert slots.value == 1


class TestNativeCancellation:
    """asyncio alone: `Task.cancel`, which no scope stops."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Name the event loop."""
        return "asyncio"

    async def test_second_cancellation_while_closing_leaves_the_actor_to_itself(self) -> None:
        release = anyio.Event()
        slots, carrier = anyio.Semaphore(1, max_value=1), Fake(happens=release.wait)
        actor = begin(carrier, slots)
        await anyio.wait_all_tasks_blocked()
        closing = asyncio.create_task(actor.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await anyio.wait_all_tasks_blocked()
        assert (slots.value, carrier.closed) == (1, 1)

    async def test_task_that_the_loop_kills_before_its_first_step_gives_all_back(self) -> None:
        """The loop's own end is the only one who can: the slot was never taken, and nobody waits for ever."""
        slots = anyio.Semaphore(1, max_value=1)
        others = asyncio.all_tasks()
        actor = begin(Fake(), slots)
        (task,) = asyncio.all_tasks() - others
        task.cancel()
        with pytest.raises(Interrupted):
            await actor.head()
        await actor.close()
        assert slots.value == 1
