"""A client of the application's own: what is used of it, and what is left alone."""

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from asgi_ds2api.errors import GatewayError, InternalError, Interrupted, Malformed, QueueTimeout, Unreachable
from asgi_ds2api.upstream.httpx_client import HttpxUpstream
from tests.support.http_bytes import response
from tests.support.script import Expect, Send

from .cases import SHORT_S, ask, failure_of, fetch, told, whole_text
from .stage import Stage

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    return str(request.param)


async def test_its_jar_and_its_hooks_stay_untouched_M8(stage: Stage) -> None:
    """M8: neither sent nor kept; a hook that raises is not asked."""

    async def refuse(answer: httpx.Response) -> None:
        raise AssertionError(answer)

    upstream = stage.script([Expect(), Send(response(200, {"set-cookie": "__cf_bm=a; path=/"}))])
    async with httpx.AsyncClient(
        cookies={"own": "1"}, event_hooks={"response": [refuse]}, headers={"x-own": "1"}, params={"own": "1"}
    ) as own:
        assert await fetch(HttpxUpstream(client=own), ask(upstream.url)) == (200, b"")
        assert dict(own.cookies) == {"own": "1"}
    (request,) = upstream.requests
    assert (request.header("cookie"), request.header("x-own"), request.target) == (None, None, "/v1/x")


async def test_it_is_not_closed_with_the_upstream(stage: Stage) -> None:
    upstream = stage.script([Expect(), Send(response(200, {}, b"mine"))])
    async with httpx.AsyncClient(trust_env=False) as own:
        await HttpxUpstream(client=own).close()
        assert (await own.get(upstream.url)).text == "mine"


async def test_closed_one_is_an_unreachable_upstream() -> None:
    own = httpx.AsyncClient()
    await own.aclose()
    error = await failure_of(HttpxUpstream(client=own), ask("http://127.0.0.1:1"))
    assert told(error) == (Unreachable, "client_closed", False)


async def test_mounts_and_mock_transports_are_used() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"asked": request.url.path, "body": request.content.decode()})

    async with httpx.AsyncClient(mounts={"http://mocked.invalid": httpx.MockTransport(answer)}) as own:
        assert await fetch(HttpxUpstream(client=own), ask("http://mocked.invalid")) == (
            201,
            b'{"asked":"/v1/x","body":"{}"}',
        )


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (httpx.PoolTimeout("SECRET"), QueueTimeout, "queue_timeout"),
        (httpx.ReadError("SECRET"), Interrupted, "connection_lost"),
        (httpx.RemoteProtocolError("SECRET"), Malformed, "bad_protocol"),
        (httpx.RemoteProtocolError("<StreamReset stream_id:1, error_code:1>"), Interrupted, "connection_lost"),
        (httpx.ProxyError("SECRET"), Unreachable, "proxy_failed"),
        (httpx.LocalProtocolError("SECRET"), InternalError, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_errors_of_its_transport_become_ours_M7(raised: Exception, kind: type[GatewayError], code: str) -> None:
    """M7: by class; the texts go nowhere."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise raised

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as own:
        error = await failure_of(HttpxUpstream(client=own), ask("http://mocked.invalid"))
    assert told(error)[:2] == (kind, code)
    assert "SECRET" not in whole_text(error)


async def test_error_that_is_none_of_httpx_reaches_who_asked() -> None:
    """A mistake in the application's transport is not hidden in a task."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as own:
        upstream = HttpxUpstream(client=own, max_connections=1)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await fetch(upstream, ask("http://mocked.invalid"))


class Silent(httpx.AsyncByteStream):
    """Begins, and does not go on."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield an empty piece, a piece, and then nothing."""
        yield b""
        yield b"hello"
        await anyio.sleep_forever()


async def test_stream_of_a_mock_can_be_left() -> None:
    """An empty piece is not the end."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Silent()))
    async with httpx.AsyncClient(transport=transport) as own:
        answer = await HttpxUpstream(client=own).open(ask("http://mocked.invalid"))
        assert await answer.read() == b"hello"
        await answer.close()


async def test_silent_stream_of_a_mock_is_bounded_too() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Silent()))
    async with httpx.AsyncClient(transport=transport) as own:
        error = await failure_of(HttpxUpstream(client=own), ask("http://mocked.invalid", idle_s=SHORT_S))
    assert error.code == "idle_timeout"
