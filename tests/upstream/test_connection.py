"""Connections of our own: what only whoever owns the socket can do."""

import errno
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_ds2api.errors import InternalError, NoCapacity, Unreachable
from asgi_ds2api.upstream.connection import Dialler
from asgi_ds2api.upstream.contract import CallBounds
from asgi_ds2api.upstream.failures import connect_failure
from asgi_ds2api.upstream.httpx_client import HttpxUpstream
from asgi_ds2api.upstream.progress import Progress
from asgi_ds2api.upstream.tls import TLSSettings
from tests.support.http_bytes import LAST_CHUNK, chunk, head, response
from tests.support.script import Expect, ExpectBytes, Hold, Reset, Send
from tests.support.waiting import Gate

from .cases import CONTINUE, HELLO, RIGHT, SHORT_S, WAIT_S, PauseReading, ask, fetch, told, whole_text
from .conftest import OWN_SETUPS, MakeClient
from .stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("setup", OWN_SETUPS, ids="-".join, indirect=True)]


async def test_reset_before_the_first_byte_proves_that_nothing_was_sent_F7(stage: Stage) -> None:
    """F7: so another account may be asked, whatever the request costs."""
    gate = Gate()
    upstream = stage.script([Hold(gate), Reset()])
    dialler = Dialler()
    dialler.progress = Progress(CallBounds())
    line = await dialler.connect_tcp("127.0.0.1", upstream.port)
    await stage.wait(gate.reached())
    stage.open(gate)
    await stage.wait(upstream.wait_closed())
    dialler.progress.sending()
    await line.write(b"POST / HTTP/1.1\r\n\r\n")
    with pytest.raises(Unreachable) as caught:
        await line.write(b"")
    assert told(caught.value) == (Unreachable, "reset_s0", False)
    await dialler.close()


async def test_refusal_is_read_while_the_upstream_no_longer_reads_the_upload_F13(
    make_client: MakeClient, stage: Stage
) -> None:
    """F13: with sockets full in one direction, a client that only writes learns of the refusal when it gives up."""
    gate = Gate()
    upstream = stage.script([ExpectBytes(10), PauseReading(), Send(response(413, {}, b"too large")), Hold(gate)])
    assert await fetch(make_client(), ask(upstream.url, body=bytes(32_000_000))) == (413, b"too large")


async def test_interim_answers_do_not_stop_the_upload_F16(make_client: MakeClient, stage: Stage) -> None:
    """F16: only a refusal does."""
    upstream = stage.script([Send(CONTINUE), Expect(), Send(HELLO)])
    body = bytes(range(256)) * 100_000
    assert await fetch(make_client(), ask(upstream.url, body=body)) == (200, b'{"a":1}')
    assert upstream.requests[0].body == body


async def test_early_success_does_not_stop_the_upload(make_client: MakeClient, stage: Stage) -> None:
    upstream = stage.script([ExpectBytes(0), Send(head(200, framing="eof")), Expect(), Send(b"hello")])
    body = bytes(range(256)) * 100_000
    assert await fetch(make_client(), ask(upstream.url, body=body)) == (200, b"hello")
    assert upstream.requests[0].body == body


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(errno.EMFILE, "fd_exhausted", id="F10"),
        pytest.param(errno.EADDRNOTAVAIL, "port_exhausted", id="F11"),
    ],
)
async def test_machine_without_sockets_blames_no_upstream(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    async def connect(*_: object) -> None:
        raise OSError("All connection attempts failed") from OSError(number, "SECRET")

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    with pytest.raises(NoCapacity) as caught:
        await make_client().open(ask("http://upstream.invalid"))
    assert (caught.value.code, caught.value.retry_after_s) == (code, 1.0)


async def test_tls_files_that_cannot_be_used_are_told_to_the_log_alone(tmp_path: Path, setup: object) -> None:
    client = HttpxUpstream(tls=TLSSettings(ca_file=str(tmp_path / "none.pem")))
    with pytest.raises(Unreachable) as caught:
        await client.open(ask("https://upstream.invalid"))
    assert caught.value.code == "tls_setup_failed"
    assert str(tmp_path) not in str(caught.value)
    assert str(tmp_path) in caught.value.detail


async def test_client_belongs_to_one_event_loop_F94(make_client: MakeClient, stage: Stage) -> None:
    """F94."""
    upstream = stage.script(RIGHT)
    client = make_client()
    await fetch(client, ask(upstream.url))

    def elsewhere() -> None:
        anyio.run(fetch, client, ask(upstream.url))

    with pytest.raises(InternalError):
        await anyio.to_thread.run_sync(elsewhere)


def test_client_is_made_without_an_event_loop_and_without_tls_F93(
    monkeypatch: pytest.MonkeyPatch, setup: object
) -> None:
    """F93: in the parent of a fork nothing exists that a child could share."""
    monkeypatch.setattr(ssl, "SSLContext", None)
    monkeypatch.setattr(socket, "socket", None)
    HttpxUpstream(proxy="http://127.0.0.1:3128")


class TestConnectFailure:
    """Of several addresses that failed, the most telling one speaks."""

    @pytest.mark.parametrize(
        ("errors", "code"),
        [
            ([OSError(errno.ENETUNREACH, ""), ConnectionRefusedError()], "connect_refused"),
            ([ConnectionRefusedError(), OSError(errno.EMFILE, "")], "fd_exhausted"),
            ([OSError(errno.EHOSTUNREACH, "")], "connect_failed"),
            ([ssl.SSLCertVerificationError("SECRET")], "tls_verify_failed"),
            ([socket.gaierror(socket.EAI_NONAME, "SECRET")], "dns_error"),
        ],
    )
    def test_code(self, setup: object, errors: list[OSError], code: str) -> None:
        try:
            raise OSError("All connection attempts failed") from ExceptionGroup("SECRET", errors)
        except OSError as exc:
            error = connect_failure(exc)
        assert error.code == code
        assert "SECRET" not in whole_text(error)


def block_until(is_so: Callable[[], bool]) -> None:
    """Block this thread, and its event loop with it, until something is so, and for longer than the limit."""
    until = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until, "the upstream did not send"
        time.sleep(0.01)
    time.sleep(3 * SHORT_S)


async def test_silence_of_our_own_loop_is_none_of_the_upstream_F88(make_client: MakeClient, stage: Stage) -> None:
    """F88: the host blocks the event loop for longer than a limit, and meanwhile everything has come."""
    gate, rest = Gate(), chunk(b"rest") + LAST_CHUNK
    upstream = stage.script([Expect(), Send(head(200) + chunk(b"first")), Hold(gate), Send(rest)])
    answer = await make_client().open(ask(upstream.url, idle_s=SHORT_S))
    try:
        assert await answer.read() == b"first"
        stage.open(gate)
        block_until(lambda: upstream.connections[0].sent == len(head(200) + chunk(b"first") + rest))
        assert await answer.read() == b"rest"
        assert await answer.read() == b""
    finally:
        await answer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog drops packets on Linux alone")
@pytest.mark.parametrize("first", ["refuses", "is-silent"])
async def test_next_address_of_a_name_is_tried_within_one_attempt_F3(
    make_client: MakeClient, stage: Stage, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """F3: the resolver's first address is dead."""
    upstream = stage.script(RIGHT)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, upstream.port)) for host in ("127.0.0.2", "127.0.0.1")]
    resolve = socket.getaddrinfo

    def answer(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        if host in ("upstream.invalid", b"upstream.invalid"):
            if len(args) > 4 and args[4] & socket.AI_NUMERICHOST:  # trio asks that first, on the event loop
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            return found
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with ExitStack() as sockets:
        if first == "is-silent":
            listener, filler = (sockets.enter_context(socket.socket()) for _ in range(2))
            listener.bind(("127.0.0.2", upstream.port))
            listener.listen(0)
            filler.connect(listener.getsockname())
        asked = ask(f"http://upstream.invalid:{upstream.port}")
        assert await fetch(make_client(), asked) == (200, b'{"a":1}')
