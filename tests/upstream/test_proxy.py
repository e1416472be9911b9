"""Exchanges through a proxy that the configuration names."""

import asyncio
from dataclasses import dataclass

import anyio
import pytest
import trustme

from asgi_ds2api.errors import ConfigError, Timeout, Unreachable
from asgi_ds2api.upstream.httpx_client import HttpxUpstream
from asgi_ds2api.upstream.tls import TLSSettings
from tests.support.http_bytes import response
from tests.support.raw_upstream import refusing
from tests.support.script import Connection, Expect, Fin, Hang, Hold, Reset, Script, Send, read_request
from tests.support.waiting import Gate

from .cases import KEY, RIGHT, SHORT_S, ask, failure_of, fetch, server_context, told, whole_text
from .conftest import MakeClient
from .stage import Stage

pytestmark = pytest.mark.anyio

CREDENTIALS = "user:proxy-password"
CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True)
class Tunnel:
    """Read a CONNECT, and be a pipe to the port that it names."""

    async def play(self, connection: Connection) -> None:
        """Carry bytes both ways until one side ends."""
        request = await read_request(connection)
        assert request.method == "CONNECT"
        host, port = request.target.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await connection.send(CONNECTED)

        async def back() -> None:
            while data := await reader.read(65_536):
                connection.transport.write(data)
            connection.finish("fin")

        returning = asyncio.create_task(back())
        try:
            while True:
                writer.write(await connection.receive_exactly(max(1, len(connection.received))))
        finally:
            returning.cancel()
            writer.close()


class TestProxy:
    """`HttpxUpstream` with ``proxy``, and a client that has one."""

    async def test_plain_request_is_given_to_the_proxy(self, make_client: MakeClient, stage: Stage) -> None:
        proxy = stage.script(RIGHT)
        client = make_client(proxy=proxy.url.replace("//", f"//{CREDENTIALS}@"))
        assert await fetch(client, ask("http://upstream.invalid", path="/v1/x?y=1")) == (200, b'{"a":1}')
        (request,) = proxy.requests
        assert request.target == "http://upstream.invalid/v1/x?y=1"
        assert request.header("proxy-authorization") == "Basic dXNlcjpwcm94eS1wYXNzd29yZA=="
        assert (request.header("host"), request.header("authorization")) == ("upstream.invalid", KEY.decode())

    async def test_secure_request_passes_through_the_proxy_unread(
        self, make_client: MakeClient, stage: Stage, ca: trustme.CA, ca_file: str
    ) -> None:
        proxy = stage.script([Tunnel()])
        upstream = stage.script(RIGHT, ssl_context=server_context(ca.issue_cert("127.0.0.1")))
        client = make_client(tls=TLSSettings(ca_file=ca_file), proxy=proxy.url.replace("//", f"//{CREDENTIALS}@"))
        assert await fetch(client, ask(upstream.url, body=bytes(600_000))) == (200, b'{"a":1}')
        assert upstream.requests[0].header("authorization") == KEY.decode()
        assert upstream.requests[0].header("proxy-authorization") is None
        assert proxy.requests[0].header("proxy-authorization") == "Basic dXNlcjpwcm94eS1wYXNzd29yZA=="
        assert proxy.requests[0].header("authorization") is None
        await stage.wait(proxy.wait_closed())

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param([Expect(), Send(response(407, {}, b"who?"))], id="refuses"),
            pytest.param([Expect(), Fin()], id="closes"),
            pytest.param([Expect(), Reset()], id="resets"),
        ],
    )
    async def test_proxy_that_does_not_connect(self, make_client: MakeClient, stage: Stage, script: Script) -> None:
        """The upstream has seen nothing: nothing can be billed, and nothing of the proxy is told."""
        proxy = stage.script(script)
        client = make_client(proxy=proxy.url.replace("//", f"//{CREDENTIALS}@"))
        error = await failure_of(client, ask("https://upstream.invalid"))
        assert isinstance(error, Unreachable)
        assert error.may_be_billed is False
        assert "password" not in whole_text(error)

    async def test_proxy_that_stalls(self, make_client: MakeClient, stage: Stage) -> None:
        proxy = stage.script([Expect(), Hang()])
        error = await failure_of(make_client(proxy=proxy.url), ask("https://upstream.invalid", connect_s=SHORT_S))
        assert told(error) == (Timeout, "connect_timeout", False)
        await stage.wait(proxy.wait_closed())

    async def test_proxy_that_is_not_there(self, make_client: MakeClient) -> None:
        with refusing() as url:
            error = await failure_of(make_client(proxy=url), ask("https://upstream.invalid"))
        assert told(error) == (Unreachable, "connect_refused", False)

    async def test_handshake_cancelled_behind_a_proxy_closes_the_connection(
        self, make_client: MakeClient, stage: Stage
    ) -> None:
        gate = Gate()
        proxy = stage.script([Expect(), Send(CONNECTED), Hold(gate)])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, make_client(proxy=proxy.url), ask("https://upstream.invalid"))
            await stage.wait(gate.reached())
            tasks.cancel_scope.cancel()
        await stage.wait(proxy.wait_closed())

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:3128", "http://[::1"])
    async def test_proxy_that_is_no_url_is_a_configuration_error(self, url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            HttpxUpstream(proxy=url)
        assert url not in str(caught.value)
