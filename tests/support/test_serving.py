"""A served app answers over real sockets; what goes wrong in it fails the test."""

import os
import signal

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from .serving import serve, serve_process


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the process id, or fail where the path says so."""
    if scope["type"] != "http":
        raise ValueError("no lifespan")
    if scope["path"] == "/fail":
        raise KeyError("the app's own")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


async def app_that_cannot_start(scope: Scope, receive: Receive, send: Send) -> None:
    """Fail at startup."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "not today"})


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_app_is_served_from_this_process(http: str) -> None:
    with serve(app, http=http) as served:  # type: ignore[arg-type]  # parametrized Literal
        answer = httpx.get(f"{served.url}/a")
    assert (answer.status_code, answer.headers["x-path"], answer.text) == (200, "/a", str(os.getpid()))


def test_port_is_closed_after_it_stopped() -> None:
    with serve(app) as served:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)


def test_error_of_the_app_fails_the_test_unless_it_was_looked_at() -> None:
    with pytest.raises(AssertionError, match="the app's own"), serve(app) as served:
        httpx.get(f"{served.url}/fail")
    with serve(app) as served:
        assert httpx.get(f"{served.url}/fail").status_code == 500
        assert len(served.errors) == 1
        served.errors.clear()


def test_failed_start_is_told() -> None:
    start = serve(app_that_cannot_start, lifespan="on")
    with pytest.raises(AssertionError, match=r"the server gave up: .*not today"), start:
        pass


def test_app_is_served_from_a_process_and_stops_on_a_signal() -> None:
    with serve_process(f"{__name__}:app", environment={"A": "b"}) as served:
        answer = httpx.get(f"{served.url}/a")
        assert int(answer.text) == served.process.pid
        assert served.stop(signal.SIGTERM) == -signal.SIGTERM


def test_failed_start_of_a_process_is_told_with_its_output() -> None:
    with pytest.raises(AssertionError, match="ModuleNotFoundError"), serve_process("tests.support.nothing:app"):
        pass
