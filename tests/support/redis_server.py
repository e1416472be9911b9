"""A real Redis server for tests: on a free port of this machine, without a file, ended with the test."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

PROGRAM = "redis-server"
START_S = 10.0


def need_redis() -> str:
    """Return the program; skip the test where there is none, but never under CI."""
    path = shutil.which(PROGRAM)
    if path is None:
        assert not os.environ.get("CI"), f"{PROGRAM} must be there under CI: .ci/run installs it"
        pytest.skip(f"{PROGRAM} is not installed: what is shared through Redis is not tried here")
    return path


class RedisServer:
    """One server, which may be killed and started again on the same port.

    Args:
        path: Of a socket on which it listens as well.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._program = need_redis()
        self._path = path
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it listens."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self._path is not None:
            options += ["--unixsocket", str(self._path)]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        latest = time.monotonic() + START_S
        while True:
            try:
                self._connect().close()
                return
            except OSError:
                assert time.monotonic() < latest, "the server does not start"
                time.sleep(0.01)

    def _connect(self) -> socket.socket:
        if self._path is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout=1)
        local = socket.socket(socket.AF_UNIX)
        try:
            local.connect(str(self._path))
        except OSError:
            local.close()
            raise
        return local

    def stop(self) -> None:
        """Let it stand still: what is sent to it waits."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it do what it was sent meanwhile, whoever still waits for that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
