"""Runs an ASGI app under a real uvicorn on a free loopback port.

`serve` runs it in a thread of this process with a loop of its own: fast, and the test can look into the app.
`serve_process` runs it in a process of its own, for signals, limits and memory. Both return when the server accepts
requests, and neither polls: the server says so.

A server logs what its app raises and goes on. Here such errors fail the test when the server stops, unless the test
has looked at them and cleared them (``served.errors``).
"""

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import uvicorn
from starlette.types import ASGIApp

from .waiting import WAIT_S

HTTPParser = Literal["httptools", "h11"]
Lifespan = Literal["auto", "on", "off"]
GRACE_S = 3
"""How long a stopping server waits for streams that a test left open, before it cancels them."""
KEEP_ALIVE_S = 600
"""Longer than any test: a client without retries that takes a connection up just as it is closed would raise."""
ROOT = Path(__file__).parents[2]


@dataclass
class Served:
    """A running server."""

    url: str
    """The origin, without a slash at the end."""
    errors: list[str] = field(default_factory=list)
    """What the server logged as an error, tracebacks included."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """It takes no more connections; what runs may end."""


@dataclass
class ServedProcess:
    """A server that runs in a process."""

    url: str
    process: "subprocess.Popen[bytes]"
    _log: IO[bytes] = field(repr=False)

    @property
    def output(self) -> str:
        """What it wrote to standard output and standard error so far."""
        self._log.seek(0)
        return self._log.read().decode()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit status (negative: died of that signal)."""
        self.process.send_signal(how)
        return self.process.wait(WAIT_S)


@contextlib.contextmanager
def serve(
    app: ASGIApp, *, http: HTTPParser = "httptools", lifespan: Lifespan = "auto", max_requests: int | None = None
) -> Iterator[Served]:
    """Run an app in a thread.

    Args:
        app: Whose.
        http: Which of uvicorn's parsers.
        lifespan: As uvicorn's option.
        max_requests: After so many the server stops by itself, as workers that are replaced do.

    Raises:
        AssertionError: It did not start or stop, or the server logged errors that the test has not cleared.
    """
    listening = _listening()
    served, ready = Served(_origin(listening)), threading.Event()
    server = _Server(_config(app, http, lifespan, max_requests), ready.set, served.stopping.set)
    thread = threading.Thread(target=_run_quietly, args=(server, listening, ready), name="uvicorn")
    with _collecting(served.errors, thread):
        thread.start()
        try:
            assert ready.wait(WAIT_S), "the server did not start"
            assert server.started, f"the server gave up: {served.errors}"
            yield served
        finally:
            server.should_exit = True
            thread.join(WAIT_S)
            listening.close()
    assert not thread.is_alive(), "the server did not stop"
    assert not served.errors, "\n".join(served.errors)


@contextlib.contextmanager
def serve_process(
    target: str,
    *,
    http: HTTPParser = "httptools",
    lifespan: Lifespan = "auto",
    environment: Mapping[str, str] | None = None,
) -> Iterator[ServedProcess]:
    """Run the app that ``target`` names (``package.module:attribute``) in a process; kill it at the end.

    Args:
        target: Importable from the project's root.
        http: Which of uvicorn's parsers.
        lifespan: As uvicorn's option.
        environment: Added to this process's own.

    Raises:
        AssertionError: It did not start; the message has its output.
    """
    listening = _listening()
    told, tell = os.pipe()
    command = [sys.executable, "-m", __spec__.name, target, http, lifespan, str(listening.fileno()), str(tell)]
    with listening, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            pass_fds=(listening.fileno(), tell),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        os.close(tell)
        served = ServedProcess(_origin(listening), process, log)
        listening.close()
        try:
            with os.fdopen(told, "rb") as pipe:
                is_told, _, _ = select.select([pipe], [], [], WAIT_S)
                assert is_told, f"the server did not start:\n{served.output}"
                assert pipe.read(1), f"the server gave up:\n{served.output}"
            yield served
        finally:
            process.kill()
            process.wait(WAIT_S)


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it is ready, and when it stops."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], object], stopping: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


class _Collector(logging.Handler):
    """Keeps the errors that one thread logs."""

    def __init__(self, errors: list[str], thread: threading.Thread) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread.ident:
            self._errors.append(self.format(record))


@contextlib.contextmanager
def _collecting(errors: list[str], thread: threading.Thread) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    collector = _Collector(errors, thread)
    for logger in loggers:
        logger.addHandler(collector)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(collector)


def _run_quietly(server: _Server, listening: socket.socket, ready: threading.Event) -> None:
    """Run the server in this thread; whoever waits for it learns of a failed start too, which exits."""
    try:
        with contextlib.suppress(SystemExit):
            server.run(sockets=[listening])
    finally:
        ready.set()


def _config(app: ASGIApp, http: HTTPParser, lifespan: Lifespan, max_requests: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        loop="asyncio",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_max_requests=max_requests,
    )


def _listening() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    return listening


def _origin(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def main(target: str, http: HTTPParser, lifespan: Lifespan, listening_fd: str, ready_fd: str) -> None:
    """Be the process of `serve_process`."""
    config = _config(uvicorn.importer.import_from_string(target), http, lifespan)
    server = _Server(config, lambda: os.write(int(ready_fd), b"1"))
    server.run(sockets=[socket.socket(fileno=int(listening_fd))])
    sys.exit(0 if server.started else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]  # written by serve_process above
