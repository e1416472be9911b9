"""An event loop whose time jumps to the next timer, and a clock that a test moves by hand.

On a `VirtualLoop` a wait of an hour takes no time: when nothing can run, ``loop.time()`` is set to the moment of the
next timer. Where no timer is left either, the test hangs for good, and says so at once: `Deadlock`.

Rules:

1. For code in memory only. A socket or a thread needs real time to pass, and there is none.
2. A test leaves nothing behind: a task that still runs when it ends, or an exception that nobody saw, fails it. But a
   gateway without a lifespan leaves its prober to the end of the event loop; where it must be gone, tests look for it.
3. Time is in whole nanoseconds, so that ``loop.time() == 15.0`` after ``sleep(15)`` holds.
"""

import asyncio
import functools
import inspect
import math
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import ParamSpec, TypeVarTuple

P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

START_S = 1_000.0
"""The first ``loop.time()``: not 0, so that a forgotten start time shows."""
PROBER = "asgi_ds2api prober"
"""Name of the task that tries disabled accounts again."""
MAX_TURNS = 100_000
"""How often the loop may turn without time passing. A test needs hundreds; a busy loop needs them all."""


class Deadlock(AssertionError):
    """Every task waits for something that cannot happen any more."""


class Livelock(AssertionError):
    """Tasks keep each other running and no time passes."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: tells the loop to move its time by as much as it would have waited."""

    def __init__(self, idle: Callable[[float | None], None]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now, else let ``timeout`` seconds (None: for ever) pass in no time."""
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            self._idle(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time."""

    def __init__(self) -> None:
        self._now = START_S
        self._turns = 0
        super().__init__(_JumpingSelector(self._idle))

    def time(self) -> float:
        """Seconds, from `START_S` on."""
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer. One at infinity (``anyio.sleep_forever``) is not set: it would hide a deadlock."""
        if math.isinf(when):
            return asyncio.TimerHandle(when, callback, args, self, context)
        return super().call_at(when, callback, *args, context=context)

    def _idle(self, timeout: float | None) -> None:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set:\n" + _describe(asyncio.all_tasks(self)))
        if timeout > 0:
            self._turns = 0
            self._now = round(self._now + timeout, 9)
            return
        self._turns += 1
        if self._turns > MAX_TURNS:
            self._turns = 0  # so that the tasks can still be cancelled
            raise Livelock(f"{MAX_TURNS} turns without time passing:\n" + _describe(asyncio.all_tasks(self)))


def run_virtual(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Make a test function of a coroutine function, which runs on a `VirtualLoop`. Fixtures and params work."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        unseen: list[dict[str, object]] = []
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
            left = runner.run(_run_alone(test(*args, **kwargs)))
        assert left == "", f"tasks were left running:\n{left}"
        assert unseen == [], f"exceptions that nobody saw: {unseen}"

    return run


async def _run_alone(test: Coroutine[object, object, None]) -> str:
    """Run a test and describe the tasks that outlive it; those that were just cancelled get a few turns to end."""
    await test
    for _ in range(10):
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() if task.get_name() != PROBER}
    return _describe(left - {asyncio.current_task()})


def _describe(tasks: "set[asyncio.Task[object]]") -> str:
    """One line for each task: its name and where it waits, innermost last."""
    return "\n".join(sorted(f"  {task.get_name()}: {_place(task.get_coro())}" for task in tasks))


def _place(awaited: object) -> str:
    """Follow a chain of coroutines to the one that waits: ``outer:12 > inner:7``."""
    places = []
    while inspect.iscoroutine(awaited) and awaited.cr_frame is not None:
        places.append(f"{awaited.cr_code.co_qualname}:{awaited.cr_frame.f_lineno}")
        awaited = awaited.cr_await
    return " > ".join(places) or repr(awaited)


class FakeClock:
    """A monotonic and a wall clock, both in seconds, that stand still until a test moves them.

    They start far apart, as real ones do. Pass the methods: ``pool(clock=clock.monotonic)``.
    """

    def __init__(self, monotonic_s: float = START_S, wall_s: float = 1_800_000_000.0) -> None:
        self._monotonic = monotonic_s
        self._wall = wall_s

    def monotonic(self) -> float:
        """Like ``time.monotonic``."""
        return self._monotonic

    def wall(self) -> float:
        """Like ``time.time``: seconds since 1970."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        assert seconds >= 0, "time does not go back; an operator's clock does: set_wall"
        self._monotonic += seconds
        self._wall += seconds

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock alone, as an operator or NTP does."""
        self._wall = seconds
