"""What is not ours reaches the host as the same three objects, whatever it is."""

from typing import Any

import pytest

from asgi_ds2api import DS2APIMiddleware
from tests.support.gateways import make_gateway, upstream

pytestmark = pytest.mark.anyio


class Host:
    """Keeps what it is called with."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []
        self._error = error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        if self._error is not None:
            raise self._error


async def receive() -> dict[str, Any]:
    raise AssertionError("nobody reads what is not ours")


async def send(message: Any) -> None:
    raise AssertionError("nobody answers what is not ours")


def wrapped(host: Host) -> DS2APIMiddleware:
    return DS2APIMiddleware(host, gateway=make_gateway(upstream("claude")), prefix=["/ai", "/v2/ai"])


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "path": "/", "method": "GET", "headers": []},
        {"type": "http", "path": "/aiX/v1/messages", "method": "POST", "headers": []},
        {"type": "http", "path": "/AI/v1/messages", "method": "POST", "headers": []},
        {"type": "http", "path": "//ai/v1/messages", "method": "POST", "headers": []},
        {"type": "http", "path": "/ai;x/v1", "method": "POST", "headers": []},
        {"type": "http", "path": "/v2/aix", "method": "POST", "headers": []},
        {"type": "http", "path": "http://evil/ai/v1", "method": "POST", "headers": []},
        {"type": "websocket", "path": "/chat", "headers": []},
        {"type": "lifespan", "state": {}},
        {"type": "something.new"},
    ],
    ids=lambda scope: f"{scope['type']}:{scope.get('path', '')}",
)
async def test_B67_B80_B82_scope_of_the_host_reaches_it_unchanged(scope: dict[str, Any]) -> None:
    host, before = Host(), dict(scope)
    await wrapped(host)(scope, receive, send)
    ((got_scope, got_receive, got_send),) = host.calls
    assert got_scope is scope
    assert got_receive is receive
    assert got_send is send
    assert scope == before


async def test_whole_app_names_the_scope_that_it_cannot_serve() -> None:
    with pytest.raises(ValueError, match="'webtransport'"):
        await make_gateway(upstream("claude"))({"type": "webtransport"}, receive, send)


async def test_F95_F97_hosts_exception_is_passed_on_as_it_is() -> None:
    error = ValueError("Django speaks no lifespan")
    with pytest.raises(ValueError, match="Django") as caught:
        await wrapped(Host(error))({"type": "lifespan"}, receive, send)
    assert caught.value is error
    assert caught.value.__context__ is None


@pytest.mark.parametrize("prefix", ["ai", "/ai/", "/a//b", "/a/../b"])
def test_prefix_must_be_a_plain_path(prefix: str) -> None:
    with pytest.raises(ValueError, match="must look like '/ai'"):
        DS2APIMiddleware(Host(), gateway=make_gateway(upstream("claude")), prefix=prefix)


@pytest.mark.parametrize("prefix", ["", "/"])
def test_who_wants_all_paths_makes_the_gateway_the_app(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"make the gateway the app, app = Gateway\(\.\.\.\)"):
        DS2APIMiddleware(Host(), gateway=make_gateway(upstream("claude")), prefix=prefix)


def test_either_a_gateway_or_a_configuration_is_given() -> None:
    gateway = make_gateway(upstream("claude"))
    with pytest.raises(TypeError):
        DS2APIMiddleware(Host())
    with pytest.raises(TypeError):
        DS2APIMiddleware(Host(), gateway=gateway, config={})


def test_prefix_comes_from_the_configuration_by_default() -> None:
    gateway = make_gateway(upstream("claude"), prefix=["/one", "/two"])
    assert DS2APIMiddleware(Host(), gateway=gateway)._prefixes == ("/one", "/two")
