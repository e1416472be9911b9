"""F96, F97: starting and stopping, alone, within a host, and without anybody saying so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_ds2api import DS2APIMiddleware, Gateway
from asgi_ds2api.errors import ConfigError
from asgi_ds2api.state.memory import MemoryStore
from tests.support.asgi_driver import Exchange, call
from tests.support.dialects import CHAT
from tests.support.gateways import make_gateway, upstream
from tests.support.http_bytes import head
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Hang, Script
from tests.support.script import Send as SendBytes
from tests.support.scripted_client import NEVER, ScriptedUpstream, answering, streaming
from tests.support.virtual_time import run_virtual
from tests.support.waiting import time_limit

pytestmark = pytest.mark.anyio

SECRET = "sk-secret-of-the-configuration"


class Lifespan:
    """Drives the lifespan of an app as a server does: ``async with Lifespan(app): ...``."""

    def __init__(self, app: ASGIApp) -> None:
        self.sent: list[str] = []
        self.messages: list[Message] = []
        self._app = app
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._news = asyncio.Event()
        self.state: dict[str, object] = {}

    async def start(self) -> None:
        """Say ``startup`` and wait for the answer, or for the app's exception."""
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self.task = asyncio.ensure_future(self._app(scope, self._incoming.get, self._send))
        await self._say("lifespan.startup")

    async def stop(self) -> None:
        """Say ``shutdown`` and wait for the app's end."""
        await self._say("lifespan.shutdown")
        async with time_limit():
            await self.task

    async def __aenter__(self) -> "Lifespan":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _say(self, kind: str) -> None:
        self._news.clear()
        self._incoming.put_nowait({"type": kind})
        news = asyncio.ensure_future(self._news.wait())
        async with time_limit():
            await asyncio.wait([news, self.task], return_when=asyncio.FIRST_COMPLETED)
        news.cancel()

    async def _send(self, message: Message) -> None:
        self.messages.append(message)
        self.sent.append(message["type"].removeprefix("lifespan."))
        self._news.set()


async def ask(app: ASGIApp, path: str = "/ai/v1/chat/completions") -> int:
    """Ask for a whole answer and return the status."""
    return (await call(app, "POST", path, json=CHAT.ask("chat/test", stream=False))).status


def served() -> ScriptedUpstream:
    """Return an upstream that answers everybody."""
    return ScriptedUpstream.by_request(lambda _: answering(CHAT.whole()))


# --- F96: a configuration that cannot be used -------------------------------------------------------------------------

UPSTREAM: dict[str, Any] = {"name": "up", "protocol": "openai_chat", "base_url": "https://x.example/v1", "keys": []}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "upstreams"),
    "no-caller": ({"auth": "callers", "upstreams": [{**UPSTREAM, "keys": [f"{SECRET}-0123"]}]}, "callers"),
    "unknown-key": ({"auth": "none", "upstream": []}, "upstream"),
    "unknown-protocol": ({"auth": "none", "upstreams": [{**UPSTREAM, "protocol": SECRET}]}, "protocol"),
    "key-in-url": ({"auth": "none", "upstreams": [{**UPSTREAM, "base_url": f"https://x/?key={SECRET}"}]}, "base_url"),
    "bad-key": (
        {"auth": "none", "upstreams": [{**UPSTREAM, "keys": [], "accounts": [{"label": "a", "key": f"{SECRET}\n"}]}]},
        "accounts",
    ),
    "bad-limit": ({"auth": "none", "upstreams": [UPSTREAM], "limits": {"max_depth": -1}}, "max_depth"),
    "bad-time": ({"auth": "none", "upstreams": [UPSTREAM], "timeouts": {"idle_s": "soon"}}, "idle_s"),
    "bad-prefix": ({"auth": "none", "upstreams": [UPSTREAM], "prefix": "ai/"}, "prefix"),
}


@pytest.mark.parametrize(("config", "field"), WRONG.values(), ids=WRONG.keys())
def test_F96_start_is_refused_with_the_name_of_the_field_and_never_its_value(
    config: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Gateway(config)
    assert field in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    with pytest.raises(ConfigError):
        DS2APIMiddleware(Starlette(), config=config)


def test_F96_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Gateway({"auth": "none", "upstreams": [UPSTREAM], "limits": {"max_depth": -1}, "timeouts": {"idle_s": "soon"}})
    assert len(caught.value.problems) >= 2


def test_F96_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ds2api.toml"
    path.write_text(f'auth = "{SECRET}\n')
    with pytest.raises(ConfigError) as caught:
        Gateway(path)
    assert "ds2api.toml" in str(caught.value)
    assert SECRET not in str(caught.value)


# --- F97: lifespans ---------------------------------------------------------------------------------------------------


@run_virtual
async def test_F97_whole_app_starts_and_stops() -> None:
    gateway = make_gateway(scripts={"chat": served()})
    async with Lifespan(gateway) as lifespan:
        assert lifespan.sent == ["startup.complete"]
        assert await ask(gateway, "/v1/chat/completions") == 200
    assert lifespan.sent == ["startup.complete", "shutdown.complete"]


@run_virtual
async def test_F97_without_a_lifespan_the_first_request_starts_it() -> None:
    app = DS2APIMiddleware(Starlette(), gateway=make_gateway(scripts={"chat": served()}), prefix="/ai")
    assert await ask(app) == 200


async def django_like(scope: Scope, receive: Receive, send: Send) -> None:
    """Raise what Django raises."""
    raise ValueError(f"Django can only handle ASGI/HTTP connections, not {scope['type']}.")


@run_virtual
async def test_F97_host_that_knows_no_lifespan_says_so_itself() -> None:
    app = DS2APIMiddleware(django_like, gateway=make_gateway(scripts={"chat": served()}), prefix="/ai")
    lifespan = Lifespan(app)
    await lifespan.start()
    with pytest.raises(ValueError, match="Django can only handle"):
        await lifespan.task
    assert lifespan.sent == []
    assert await ask(app) == 200


@run_virtual
async def test_F97_lifespan_is_the_hosts_own() -> None:
    gateway, order = make_gateway(scripts={"chat": served()}), list[str]()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        async with gateway.lifespan(app):
            order.append("host up")
            yield {"of": "the host"}
            order.append("host down")

    app = DS2APIMiddleware(Starlette(lifespan=lifespan), gateway=gateway, prefix="/ai")
    driven = Lifespan(app)
    async with driven:
        assert driven.state == {"of": "the host"}
        assert await ask(app) == 200
    assert (driven.sent, order) == (["startup.complete", "shutdown.complete"], ["host up", "host down"])


@run_virtual
async def test_F97_failing_start_of_the_host_is_passed_on_as_it_is() -> None:
    gateway = make_gateway(scripts={"chat": served()})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with gateway.lifespan(app):
            raise LookupError("the host's database")
            yield

    driven = Lifespan(DS2APIMiddleware(Starlette(lifespan=lifespan), gateway=gateway, prefix="/ai"))
    await driven.start()
    with pytest.raises(LookupError):
        await driven.task
    assert driven.sent == ["startup.failed"]
    assert "the host's database" in driven.messages[0]["message"]


@pytest.mark.parametrize("form", ["whole", "composed"])
@run_virtual
async def test_F97_gateway_can_be_started_again(form: str) -> None:
    gateway = make_gateway(scripts={"chat": served()})
    host: ASGIApp = gateway if form == "whole" else Starlette(lifespan=gateway.lifespan)
    path = "/v1/chat/completions" if form == "whole" else "/ai/v1/chat/completions"
    app: ASGIApp = host if form == "whole" else DS2APIMiddleware(host, gateway=gateway, prefix="/ai")
    for _ in range(3):
        async with Lifespan(app):
            assert await ask(app, path) == 200
        assert await ask(app, path) == 503


@run_virtual
async def test_F97_stop_ends_what_runs_and_refuses_what_comes() -> None:
    upstreams = ScriptedUpstream(streaming(*CHAT.text_stream()[:3], NEVER))
    gateway = make_gateway(scripts={"chat": upstreams}, timeouts={"drain_s": 5})
    started = asyncio.Event()

    async def stream() -> bytes:
        async with Exchange(
            gateway, "POST", "/v1/chat/completions", json=CHAT.ask("chat/test", stream=True)
        ) as exchange:
            await exchange.read_until(b"Es war")
            started.set()
            return (await exchange.finish()).body

    driven = Lifespan(gateway)
    await driven.start()
    running = asyncio.ensure_future(stream())
    await started.wait()
    stopping = asyncio.ensure_future(driven.stop())
    await asyncio.sleep(1)  # virtual
    assert await ask(gateway, "/v1/chat/completions") == 503
    await stopping
    seen = CHAT.read_stream(await running)
    assert seen.error is not None
    assert not seen.is_ended
    assert upstreams.still_open == 0


@run_virtual
async def test_F97_gateway_that_several_open_is_closed_by_the_last() -> None:
    gateway = make_gateway(scripts={"chat": served()})
    for _ in range(2):
        async with gateway.lifespan():
            async with Lifespan(gateway):
                assert await ask(gateway, "/v1/chat/completions") == 200
            assert await ask(gateway, "/v1/chat/completions") == 200
        assert await ask(gateway, "/v1/chat/completions") == 503


def test_F97_loop_that_ended_without_a_stop_keeps_nothing_open_in_the_next() -> None:
    gateway = make_gateway(scripts={"chat": served()})

    async def lifespan_that_is_left_open() -> AbstractAsyncContextManager[None]:
        lifespan = gateway.lifespan()
        await lifespan.__aenter__()
        return lifespan

    async def serve() -> list[int]:
        async with gateway.lifespan():
            served = await ask(gateway, "/v1/chat/completions")
        return [served, await ask(gateway, "/v1/chat/completions")]

    loop = asyncio.new_event_loop()
    left_open = loop.run_until_complete(lifespan_that_is_left_open())
    loop.close()
    assert asyncio.run(serve()) == [200, 503]
    del left_open


class Closable(MemoryStore):
    """A store that tells that it was closed."""

    is_closed = False

    async def close(self) -> None:
        self.is_closed = True


@run_virtual
async def test_F97_stop_that_is_broken_off_while_it_drains_closes_the_store_all_the_same() -> None:
    store = Closable(asyncio.get_running_loop().time)
    gateway = make_gateway(scripts={"chat": ScriptedUpstream(NEVER)}, store=store)

    async def host() -> None:
        async with gateway.lifespan():
            await asyncio.sleep(1_000)  # virtual: it serves until it is stopped

    running = asyncio.ensure_future(host())
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=CHAT.ask("chat/test", stream=False)) as exchange:
        await asyncio.sleep(1)  # virtual
        running.cancel()
        await asyncio.sleep(1)  # virtual: it drains
        assert not store.is_closed
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert store.is_closed
        exchange.disconnect()


async def test_F97_stop_closes_the_connections() -> None:
    script: Script = [Expect(), SendBytes(head(200, {"content-type": "text/event-stream"})), Hang()]
    async with RawUpstream(script) as raw:
        gateway = make_gateway(upstream("chat", url=raw.url), timeouts={"drain_s": 0})
        async with Lifespan(gateway):
            asked = asyncio.ensure_future(ask(gateway, "/v1/chat/completions"))
            await raw.wait_requests(1)
        assert await asked == 503
        await raw.wait_closed()


@run_virtual
async def test_F97_server_that_is_stopped_at_once_is_no_error() -> None:
    driven = Lifespan(make_gateway(upstream("chat")))
    await driven.start()
    await driven.stop()
    assert driven.sent == ["startup.complete", "shutdown.complete"]


def test_F97_nothing_happens_before_somebody_asks() -> None:
    """No loop runs here: a gateway that made a socket, a task or a lock of a loop would fail."""
    gateway = make_gateway(upstream("chat"))
    DS2APIMiddleware(Starlette(), gateway=gateway, prefix="/ai")
    assert (gateway.status()["active"], gateway.status()["live"]) == (0, True)
