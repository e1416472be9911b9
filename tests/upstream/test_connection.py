"""Connections of our own: what only whoever owns the socket can do."""

import errno
import socket
import ssl
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from asgi_ds2api.errors import InternalError, NoCapacity, Unreachable
from asgi_ds2api.upstream.connection import Dialler
from asgi_ds2api.upstream.contract import Limits
from asgi_ds2api.upstream.failures import connect_failure
from asgi_ds2api.upstream.httpx_client import HttpxUpstream
from asgi_ds2api.upstream.progress import Progress
from asgi_ds2api.upstream.tls import TLSSettings
from tests.support.http_bytes import head, response
from tests.support.script import Expect, ExpectBytes, Hold, Reset, Send
from tests.support.waiting import Gate

from .cases import CONTINUE, HELLO, RIGHT, PauseReading, ask, fetch, told, whole_text
from .conftest import OWN_SETUPS, MakeClient
from .stage import Stage

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("setup", OWN_SETUPS, ids="-".join, indirect=True)]


async def test_reset_before_the_first_byte_proves_that_nothing_was_sent_F7(stage: Stage) -> None:
    """F7: so another account may be asked, whatever the request costs."""
    gate = Gate()
    upstream = stage.script([Hold(gate), Reset()])
    dialler = Dialler()
    dialler.progress = Progress(Limits())
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
