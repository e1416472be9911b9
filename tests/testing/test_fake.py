"""The server of the fake: what it remembers, what it bounds, and that nothing of it is left when it stops."""

import ast
import asyncio
import doctest
import gc
import json
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from asgi_ds2api import testing
from asgi_ds2api.testing import FakeUpstream, Limits, Script, fake, script

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-0123456789"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello you"}]}


async def _post(upstream: FakeUpstream, body: Any = CHAT, path: str = "/v1/chat/completions", **headers: str) -> Any:
    async with httpx.AsyncClient() as client:
        return await client.post(upstream.url + path, json=body, headers=headers)


def test_it_shares_no_code_with_the_gateway() -> None:
    """What the fake reads it reads with its own eyes; and users need nothing but msgspec for it."""
    folder = Path(testing.__file__).parent
    for tree in (ast.parse(file.read_bytes()) for file in folder.glob("*.py")):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, ast.unparse(node)
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            assert {name.partition(".")[0] for name in names} <= {"msgspec", *sys.stdlib_module_names}


@pytest.mark.parametrize("module", [fake, script])
def test_examples_in_the_documentation_are_true(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


async def test_requests_are_remembered_without_credentials() -> None:
    async with FakeUpstream(keys=["other", CANARY]) as upstream:
        await _post(upstream, path="/v1/chat/completions?a=1&b=", **{"Authorization": f"Bearer {CANARY}", "X-A": "1"})
        await _post(upstream, path="/v1/messages", **{"x-api-key": CANARY, "api-key": CANARY, "cookie": CANARY})
        await _post(upstream, path="/v1/messages", **{"x-api-key": "unknown", "x-goog-api-key": CANARY})
        first, second, third = upstream.requests
    assert (first.method, first.path, first.query) == ("POST", "/v1/chat/completions", {"a": "1", "b": ""})
    assert (first.json, json.loads(first.body)) == (CHAT, CHAT)
    assert (first.headers["authorization"], first.headers["x-a"]) == ("***", "1")
    assert [request.account for request in (first, second, third)] == [1, 1, None]
    assert CANARY not in repr((first, second, third, upstream))


async def test_body_that_is_not_json_is_remembered_as_it_is() -> None:
    async with FakeUpstream() as upstream, httpx.AsyncClient() as client:
        await client.post(f"{upstream.url}/v1/chat/completions", content=b"\xff")
        (request,) = upstream.requests
    assert (request.body, request.json) == (b"\xff", None)


async def test_only_the_last_requests_are_remembered() -> None:
    async with FakeUpstream(kept_requests=2) as upstream:
        for name in ("a", "b", "c"):
            await _post(upstream, {**CHAT, "model": name})
        assert [request.json["model"] for request in upstream.requests] == ["b", "c"]  # type: ignore[index]  # JSON


async def test_port_is_known_before_it_serves_and_callers_wait_for_it() -> None:
    upstream = FakeUpstream(script=Script.text("At last.")).bind()
    url = upstream.url
    async with anyio.create_task_group() as group:
        answers = []

        async def ask() -> None:
            answers.append(await _post(upstream))

        group.start_soon(ask)
        await anyio.lowlevel.checkpoint()
        await upstream.start()
        assert upstream.url == url
    await upstream.stop()
    assert "At last." in answers[0].text


async def test_fake_that_was_bound_and_never_started_gives_its_port_back() -> None:
    upstream = FakeUpstream().bind()
    port = int(upstream.url.rpartition(":")[2])
    await upstream.stop()
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_fake_without_a_port_says_so() -> None:
    upstream = FakeUpstream()
    with pytest.raises(RuntimeError, match="bind"):
        _ = upstream.url
    with pytest.raises(RuntimeError, match="not run"):
        await upstream.wait_closed()


async def test_fake_can_be_started_again_but_not_twice() -> None:
    upstream = FakeUpstream()
    for _ in range(2):
        async with upstream:
            assert (await _post(upstream)).status_code == 200
            with pytest.raises(RuntimeError, match="already"):
                await upstream.start()
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("waits", [Script.hang(), Script.hang(after=10), Script.text("word " * 10**6)], ids=str)
async def test_stop_leaves_no_task_and_no_connection(waits: Script) -> None:
    before = asyncio.all_tasks()
    upstream = FakeUpstream(script=waits)
    await upstream.start()
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", int(upstream.url.rpartition(":")[2]))
    async with httpx.AsyncClient() as client:
        request = client.build_request("POST", f"{upstream.url}/v1/chat/completions", json={**CHAT, "stream": True})
        sent = asyncio.create_task(client.send(request, stream=True))
        await upstream.wait_requests(1)
        await upstream.stop()
        assert (upstream.open_connections, asyncio.all_tasks() - before - {sent}) == (0, set())
        assert await idle.read() == b""
        await asyncio.wait([sent])
        if sent.exception() is None:
            await sent.result().aclose()
    idle_writer.close()
    gc.collect()


async def test_caller_who_leaves_ends_a_stream() -> None:
    async with FakeUpstream(script=Script.text("word " * 10**6)) as upstream, httpx.AsyncClient() as client:
        url = f"{upstream.url}/v1/chat/completions"
        async with client.stream("POST", url, json={**CHAT, "stream": True}) as answer:
            await anext(answer.aiter_raw())
            assert upstream.open_connections == 1
        await upstream.wait_closed()


async def test_wait_has_a_limit() -> None:
    async with FakeUpstream() as upstream:
        with pytest.raises(TimeoutError):
            await upstream.wait_requests(1, within_s=0.01)


async def test_fake_of_another_thread_can_be_waited_for() -> None:
    with FakeUpstream(script=Script.hang()) as upstream:
        async with anyio.create_task_group() as group:
            group.start_soon(_post, upstream)
            assert len(await upstream.wait_requests(1)) == 1
            group.cancel_scope.cancel()
        await upstream.wait_closed()


async def test_connections_over_the_limit_are_refused() -> None:
    async with FakeUpstream(max_connections=1, script=Script.hang()) as upstream, httpx.AsyncClient() as client:
        async with anyio.create_task_group() as group:
            group.start_soon(_post, upstream)
            await upstream.wait_requests(1)
            assert (await client.get(f"{upstream.url}/v1/models")).status_code == 503
            group.cancel_scope.cancel()
        await upstream.wait_closed()
        assert (await client.get(f"{upstream.url}/v1/models")).status_code == 200


async def test_mistake_in_a_script_fails_the_test() -> None:
    with pytest.RaisesGroup(TypeError):
        async with FakeUpstream(script=Script.answer(events=[object()])) as upstream:
            with pytest.raises(httpx.RemoteProtocolError):
                await _post(upstream)


async def test_words_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    async with FakeUpstream(words_per_s=25, script=Script.text("One two three")) as upstream:
        await _post(upstream, {**CHAT, "stream": True})
    assert [pause for pause in pauses if pause] == [1 / 25] * 3


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 200, None),
        ("HEAD", "/", 200, None),
        ("HEAD", "/v1/models", 200, None),
        ("POST", "/", 405, "GET"),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("DELETE", "/v1/models/m", 405, "GET"),
        ("GET", "/v2/models", 404, None),
        ("POST", "/v1/messages/batches", 404, None),
    ],
)
async def test_paths_and_methods_are_told_apart(method: str, path: str, status: int, allow: str | None) -> None:
    async with FakeUpstream() as upstream, httpx.AsyncClient() as client:
        answer = await client.request(method, upstream.url + path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert (answer.content == b"") == (method == "HEAD")


@pytest.mark.parametrize(("headers", "key"), [({}, "object"), ({"anthropic-version": "2023-06-01"}, "has_more")])
async def test_models_are_listed_in_the_shape_of_the_asking_sdk(headers: dict[str, str], key: str) -> None:
    async with FakeUpstream() as upstream, httpx.AsyncClient(headers=headers) as client:
        listed = (await client.get(f"{upstream.url}/v1/models")).json()
    assert key in listed
    assert [model["id"] for model in listed["data"]] == ["fake-1"]


async def test_same_talk_costs_the_same_in_both_protocols() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Ask f"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", **call}]},
        {"role": "tool", "tool_call_id": "c1", "content": "it said so"},
    ]
    said = [
        {"role": "user", "content": "Ask f"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "it said so"}]},
    ]
    async with FakeUpstream() as upstream:
        one = (await _post(upstream, {"model": "m", "messages": chat})).json()
        body = {"model": "m", "max_tokens": 99, "system": "Be kind.", "messages": said}
        other = (await _post(upstream, body, "/v1/messages", **{"anthropic-version": "2023-06-01"})).json()
    assert one["choices"][0]["message"]["content"] == other["content"][0]["text"]
    usage = one["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == tuple(
        other["usage"][name] for name in ("input_tokens", "output_tokens")
    )


async def test_too_large_body_is_refused_even_while_it_is_still_sent() -> None:
    async with FakeUpstream(limits=Limits(max_body_bytes=1000)) as upstream:
        answer = await _post(upstream, {**CHAT, "user": "x" * 5_000_000})
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "invalid_request_error")
        assert upstream.requests == ()


def test_plain_with_leaves_no_thread_behind() -> None:
    with FakeUpstream() as upstream:
        url = upstream.url
        with urllib.request.urlopen(url) as answer:
            assert b"fake" in answer.read()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)
