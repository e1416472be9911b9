"""How a test waits for something without sleeping, and gives up with a failure instead of hanging."""

import asyncio
from collections.abc import Callable

from .virtual_time import VirtualLoop

WAIT_S = 60.0
"""How long a test waits before it fails. Real seconds, far above any run on a busy machine; no pass comes near it."""


def time_limit() -> asyncio.Timeout:
    """Return the limit of one wait. None in virtual time: there a `Deadlock` tells, and a timer would only go off."""
    return asyncio.timeout(None if isinstance(asyncio.get_running_loop(), VirtualLoop) else WAIT_S)


class Changes:
    """Tells those who wait that something may have changed; they look for themselves."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Make everybody look again."""
        self._changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so`` holds. For tests: gives up."""
        async with time_limit():
            await self.happened(is_so)

    async def happened(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so`` holds, however long that takes. For what a test drives."""
        while not is_so():
            self._changed.clear()
            await self._changed.wait()


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Gate:
    """A place where a script stops until the test lets it go on. Once open, it stays so."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self._reached = asyncio.Event()

    def open(self) -> None:
        """Let the script go on."""
        self.opened.set()

    async def reached(self) -> None:
        """Wait until the script stands here."""
        async with time_limit():
            await self._reached.wait()

    def reach(self) -> None:
        """Say that the script stands here. For scripts."""
        self._reached.set()
