"""Raw upstreams for clients of any event loop.

The scripted upstreams of ``tests/support`` are asyncio servers. Clients are tested under trio too, so the servers run
on a loop of their own, in a thread, and the tests reach them through here.
"""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

import anyio.to_thread

from tests.support.raw_upstream import RawUpstream
from tests.support.script import Script
from tests.support.waiting import WAIT_S, Gate

T = TypeVar("T")


class Stage:
    """Plays upstreams. What goes wrong in their scripts is raised when the stage is left."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage")
        self._upstreams = ExitStack()

    def play(self, upstream: RawUpstream) -> RawUpstream:
        """Start an upstream; it ends with the stage."""
        self._wait(upstream.__aenter__())
        self._upstreams.push(lambda kind, error, trace: self._wait(upstream.__aexit__(kind, error, trace)))
        return upstream

    def script(self, *scripts: Script, ssl_context: ssl.SSLContext | None = None) -> RawUpstream:
        """Start an upstream with a script for each connection."""
        return self.play(RawUpstream(*scripts, ssl_context=ssl_context))

    async def wait(self, news: Coroutine[object, object, T]) -> T:
        """Wait for something that happens to an upstream."""
        return await anyio.to_thread.run_sync(self._wait, news)

    def open(self, gate: Gate) -> None:
        """Let a script go on."""
        self._loop.call_soon_threadsafe(gate.open)

    def _wait(self, news: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(news, self._loop).result(2 * WAIT_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._upstreams.__exit__(kind, error, trace)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
