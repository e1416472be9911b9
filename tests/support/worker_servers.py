"""Runs an app under uvicorn with several workers, as a deployment does: processes that share a port, no memory."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .serving import ROOT
from .waiting import WAIT_S

START_S = 60
"""Each worker imports all anew, and they share what cores there are."""
_STARTED = "Application startup complete."


@dataclass
class Workers:
    """A running server."""

    url: str
    lines: list[str] = field(default_factory=list)
    """What all of its processes wrote so far."""


@contextlib.contextmanager
def serve_workers(target: str, number: int, environment: Mapping[str, str]) -> Iterator[Workers]:
    """Run what ``target`` makes (``package.module:factory``) in so many workers; end them with the block.

    Raises:
        AssertionError: Not all of them started; the message has their output.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", target, "--workers", str(number), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--lifespan", "on", "--no-access-log"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    workers, all_started = Workers(f"http://127.0.0.1:{port}"), threading.Event()
    reader = threading.Thread(target=_read, args=(process, workers.lines, number, all_started))
    reader.start()
    try:
        assert all_started.wait(START_S), "".join(workers.lines)
        yield workers
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
        reader.join(WAIT_S)


def _read(process: "subprocess.Popen[str]", lines: list[str], number: int, all_started: threading.Event) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.append(line)
            if sum(_STARTED in one for one in lines) == number:
                all_started.set()
