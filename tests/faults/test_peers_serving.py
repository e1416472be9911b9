"""What users of gateways have suffered from, of R-34 to R-38: callers who leave, memory that grows, state that stalls.

R-39 to R-44 are the pool's (``tests/pool``), R-45 is the budgets' (``tests/budgets``).
"""

import ast
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest

import asgi_ds2api
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.state.backend import BackendError
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.shared import SharedStore
from asgi_ds2api.state.sqlite import SQLiteBackend
from tests.conformance.asking import chat_answer
from tests.support.asgi_driver import Exchange, call
from tests.support.gateways import make_gateway, open_leases, upstream
from tests.support.http_bytes import sse_event
from tests.support.scripted_client import NEVER, Answering, Delay, Script, ScriptedUpstream

pytestmark = pytest.mark.anyio

PACKAGE = Path(asgi_ds2api.__file__).parent
PATH = "/v1/chat/completions"
ASK = {"model": "chat/m", "messages": [{"role": "user", "content": "Hi"}]}
CHUNK = {
    "id": "c1",
    "object": "chat.completion.chunk",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "H"}}],
}
SSE = {"content-type": "text/event-stream"}

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]


def gateway(*scripts: Script) -> tuple[Gateway, ScriptedUpstream]:
    scripted = ScriptedUpstream(*scripts)
    return make_gateway(upstream("chat"), scripts={"chat": scripted}), scripted


@pytest.mark.parametrize(
    ("script", "stream"),
    [
        pytest.param(NEVER, False, id="R-34-before-the-head"),
        pytest.param(Answering(headers=SSE, pieces=[NEVER]), True, id="R-34-before-the-first-token"),
        pytest.param(Answering(headers=SSE, pieces=[sse_event(CHUNK), NEVER]), True, id="R-34-in-a-stream"),
        pytest.param(Answering(pieces=[b'{"id": "c1", ', NEVER]), False, id="R-34-in-a-whole-answer"),
        pytest.param(Answering(before=[Delay(1_000)]), False, id="R-34-while-the-model-thinks"),
    ],
)
async def test_nothing_is_generated_for_a_caller_who_has_left(script: Script, stream: bool) -> None:
    app, scripted = gateway(script)
    async with Exchange(app, "POST", PATH, json={**ASK, "stream": stream}) as exchange:
        await scripted.wait_calls(1)
        if stream and isinstance(script, Answering) and isinstance(script.pieces[0], bytes):
            await exchange.started()
        exchange.disconnect()
    (made,) = scripted.calls
    assert made.cancelled_in is not None
    assert (scripted.still_open, open_leases(app)) == (0, 0)


class HidesDisconnects:
    """A host's middleware that keeps ``http.disconnect`` to itself, as some that wrap the body do."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        """Pass everything on but that the caller has left."""

        async def never_gone() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                await anyio.sleep_forever()
            return message

        await self._app(scope, never_gone, send)


async def test_R_35_a_host_that_hides_that_a_caller_left_is_found_out_by_the_next_send() -> None:
    app, scripted = gateway(Answering(headers=SSE, pieces=[sse_event(CHUNK), Delay(1), sse_event(CHUNK), NEVER]))
    wrapped = HidesDisconnects(app)
    exchange = Exchange(wrapped, "POST", PATH, json={**ASK, "stream": True}, raises_when_gone=True, may_cut=True)
    async with exchange:
        await exchange.started()
        exchange.disconnect()
    assert (scripted.still_open, open_leases(app)) == (0, 0)


def test_R_35_nothing_here_is_built_on_the_middleware_that_hides_it() -> None:
    assert [path for path in PACKAGE.rglob("*.py") if "BaseHTTPMiddleware" in path.read_text()] == []


async def test_R_36_there_is_one_client_an_upstream_until_the_application_ends() -> None:
    app = make_gateway(upstream("chat"), upstream("claude"))
    async with app.lifespan():
        clients = [app._clients.client(name) for _ in range(50) for name in ("chat", "claude")]
        assert len({id(client) for client in clients}) == 2
        anew = [id(app._clients.client(name)) for name in ("chat", "claude")]
    assert anew == [id(client) for client in clients[:2]]


BOUNDED = {"TTLCache": 0, "TLRUCache": 0, "LRUCache": 0}
"""Kind of a cache -> which argument bounds it."""


def unbounded(tree: ast.AST) -> list[int]:
    """Return the lines on which something is made that could grow without end."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        keywords = {keyword.arg for keyword in node.keywords}
        if name in BOUNDED and not node.args and "maxsize" not in keywords:
            found.append(node.lineno)
        if name in ("Queue", "LifoQueue", "SimpleQueue", "create_memory_object_stream"):
            found.append(node.lineno)
    return found


def test_R_37_every_cache_has_a_size_and_nothing_is_queued_without_a_bound() -> None:
    grows = {path.name: unbounded(ast.parse(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in grows.items() if lines} == {}
    assert unbounded(ast.parse("TTLCache(ttl=1); asyncio.Queue()")) == [1, 1]


class Stalled(SQLiteBackend):
    """A place that takes its time, and then fails."""

    def open(self) -> None:
        """Fail."""
        raise BackendError("stalled")


async def test_R_38_requests_are_answered_whatever_becomes_of_shared_state(tmp_path: Path) -> None:
    store = SharedStore(Stalled(tmp_path / "state"), MemoryStore(monotonic), monotonic)
    app = make_gateway(
        upstream("chat", concurrency=1),
        scripts={"chat": ScriptedUpstream(chat_answer(), chat_answer())},
        store=store,
        now=monotonic,
    )
    async with app.lifespan():
        statuses = [(await call(app, "POST", PATH, json=ASK)).status for _ in range(2)]
    assert (statuses, store.is_away) == ([200, 200], True)
