"""A thread of one process and one event loop that does rounds: at an interval, and sooner when it is woken."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import anyio.lowlevel


class Door:
    """The way from a thread into the event loop in which this was made."""

    def __init__(self) -> None:
        self._token: object = anyio.lowlevel.current_token().native_token
        # asyncio's loop and trio's token each have their own word for it.
        word = "call_soon_threadsafe" if hasattr(self._token, "call_soon_threadsafe") else "run_sync_soon"
        self._call: Callable[[Callable[[], None]], object] = getattr(self._token, word)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the event loop, soon; never, if the loop has ended."""
        with suppress(RuntimeError):  # of a loop that is closed, asyncio's and trio's
            self._call(function)

    def leads_here(self) -> bool:
        """Tell whether the running event loop is the one."""
        return anyio.lowlevel.current_token().native_token is self._token


class Courier:
    """Does rounds until it is stopped, the last one after that.

    Args:
        door: Of the event loop that it works for.
        round_: One round; blocks, and raises nothing.
        interval_s: Longest pause between two rounds.
        died: Is called in the event loop if a round raised something all the same, which ends the thread.
    """

    def __init__(
        self, door: Door, round_: Callable[[], None], interval_s: float, died: Callable[[], None]
    ) -> None:  # fmt: skip
        self.door = door
        self._round = round_
        self._interval_s = interval_s
        self._died = died
        self._pid = os.getpid()
        self._bell = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="asgi_ds2api.state", daemon=True)

    def belongs_here(self) -> bool:
        """Tell whether this is its process and its event loop: neither a fork of it nor a new loop."""
        return self._pid == os.getpid() and self.door.leads_here()

    def start(self) -> None:
        """Begin the rounds."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to carry."""
        self._bell.set()

    def stop(self) -> None:
        """Say that the next round is the last. Idempotent; the thread of a process that forked this one is not here."""
        if self._pid == os.getpid():
            self._is_stopping = True
            self._bell.set()

    def join(self) -> None:
        """Wait for the last round. Blocks."""
        self._thread.join()

    def _run(self) -> None:
        is_over = False
        try:
            while not is_over:
                is_last = self._is_stopping
                self._round()
                is_over = is_last
                if not is_over:
                    self._bell.wait(self._interval_s)
                    self._bell.clear()
        finally:
            if not is_over:
                self.door.call(self._died)
