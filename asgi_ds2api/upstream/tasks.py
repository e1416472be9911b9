"""Tasks that belong to an event loop alone, in asyncio and in trio, and an owner's hold on one of them."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine

import anyio
import sniffio

STOP_S = 2.0
"""How long an owner waits for the end of a task that it stops; the task ends in any case."""


class OwnedTask:
    """A task that its owner stops, and that ends with its event loop at the latest.

    Args:
        run: What it does.
        failed: Is called with what ``run`` raised, if it did.
        name: For whoever looks at the tasks of an event loop.
    """

    def __init__(
        self, run: Callable[[], Coroutine[None, None, None]], failed: Callable[[BaseException], None], name: str
    ) -> None:
        self._run = run
        self._failed = failed
        self._loop = running_loop()
        self._scope: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None
        self._is_stopped = False
        self._is_over = False
        self._task = spawn(self._main, self._end, name)

    @property
    def is_alive(self) -> bool:
        """Whether it runs, in the event loop that runs now."""
        return not self._is_over and self._loop is running_loop()

    async def stop(self) -> None:
        """End it, and wait a little until it has; of an event loop that is gone there is nothing left to end."""
        self._is_stopped = True
        if not self.is_alive:
            return
        self._ended = anyio.Event()
        if self._scope is not None:
            self._scope.cancel()
        with anyio.move_on_after(STOP_S, shield=True):
            await self._ended.wait()

    async def _main(self) -> None:
        """Run in a scope of its own: a native cancellation would not spare what is shielded (see `actor`)."""
        if self._is_stopped:
            return
        try:
            with anyio.CancelScope() as self._scope:
                await self._run()
        finally:
            self._is_over = True  # from here on nobody can tell it anything

    def _end(self, error: BaseException | None) -> None:
        self._is_over = True
        if self._ended is not None:
            self._ended.set()
        if error is not None:
            self._failed(error)


def running_loop() -> object | None:
    """Return what tells the running event loop from any other; None: none runs."""
    if _library() == "trio":
        import trio  # only an application that runs trio has it

        return trio.lowlevel.current_trio_token()
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _library() -> str:
    """Return whose event loop runs; where that is unknown, as in a callback of asyncio's, it is asyncio's or none."""
    try:
        return sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return "asyncio"


def spawn(
    run: Callable[[], Coroutine[None, None, None]], end: Callable[[BaseException | None], None], name: str
) -> object:
    """Run ``run`` in a task that belongs to the event loop alone, then ``end`` with what it raised.

    Returns:
        Something that keeps the task alive.
    """
    if _library() == "trio":
        return _spawn_trio(run, end, name)

    task = asyncio.get_running_loop().create_task(run(), name=name)
    task.add_done_callback(lambda done: end(None if done.cancelled() else done.exception()))
    return task


def _spawn_trio(
    run: Callable[[], Coroutine[None, None, None]], end: Callable[[BaseException | None], None], name: str
) -> object:
    import trio  # only an application that runs trio has it

    async def main() -> None:
        error: BaseException | None = None
        try:
            await run()
        except Exception as exc:
            error = exc  # kept for the one who waits, as a task of asyncio does; a system task must not raise
        finally:
            end(error)

    return trio.lowlevel.spawn_system_task(main, name=name, context=contextvars.copy_context())
