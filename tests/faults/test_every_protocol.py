"""Broken answers of every protocol, told on every face: whoever breaks off, nothing looks complete (F45, F53 to F56).

The vendor is the fake, over real sockets; the faces are read by the words alone that mean success in each protocol.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.asgi_driver import Answer, Exchange, call
from tests.support.gateways import PROTOCOLS, Records, make_gateway, open_leases, upstream

pytestmark = pytest.mark.anyio
TEXT = "one two three four five six seven eight nine ten"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


@dataclass(frozen=True)
class Face:
    """How a face is asked, and the words that say success in its streams."""

    body: dict[str, Any]
    path: str
    success: bytes
    headers: dict[str, str]


FACES = {
    "chat": Face({"messages": HELLO}, "/v1/chat/completions", b"data: [DONE]", {}),
    "responses": Face({"input": "Hello"}, "/v1/responses", b"event: response.completed", {}),
    "claude": Face(
        {"messages": HELLO, "max_tokens": 99}, "/v1/messages", b"message_stop", {"anthropic-version": "2023-06-01"}
    ),
    "gemini": Face({"contents": [{"parts": [{"text": "Hello"}]}]}, "/v1beta/models", b'"finishReason"', {}),
    "ollama": Face({"messages": HELLO}, "/api/chat", b'"done":true', {}),
}
ERRORS = {
    "chat": b'"error"',
    "responses": b"response.failed",
    "claude": b"event: error",
    "gemini": b'"error"',
    "ollama": b'"error"',
}
"""What a stream of a face says last where it failed."""


@dataclass
class Bench:
    """A gateway in front of one fake vendor."""

    gateway: Gateway
    fake: FakeUpstream
    records: Records
    to: str

    def asked(self, name: str, *, stream: bool) -> dict[str, Any]:
        """Return the arguments of a request on a face."""
        face, model = FACES[name], f"{self.to}/m"
        asked: dict[str, Any] = {"json": face.body, "headers": face.headers}
        if name == "gemini":
            verb = "streamGenerateContent" if stream else "generateContent"
            return {**asked, "path": f"{face.path}/{model}:{verb}", "query": "alt=sse" if stream else ""}
        return {**asked, "path": face.path, "json": {**face.body, "model": model, "stream": stream}}

    async def ask(self, name: str, *, stream: bool) -> Answer:
        """Ask on a face, and return the whole answer."""
        asked = self.asked(name, stream=stream)
        return await call(self.gateway, "POST", asked.pop("path"), **asked)


@asynccontextmanager
async def bench(to: str, script: Script) -> AsyncIterator[Bench]:
    """Give a gateway; when it is left, every slot was given back, and nobody is connected to the vendor."""
    async with FakeUpstream(script=script) as fake:
        records = Records()
        gateway = make_gateway(upstream(to, url=fake.url, accounts=9), hooks=[records])
        yield Bench(gateway, fake, records, to)
        assert open_leases(gateway) == 0
        assert gateway.status()["active"] == 0
        assert gateway._engine.pool.snapshot().stray_releases == 0
        await gateway._clients.close()
        await fake.wait_closed()


every_face = pytest.mark.parametrize("face", FACES)
every_upstream = pytest.mark.parametrize("to", PROTOCOLS)


@every_face
@every_upstream
async def test_F53_F56_stream_that_is_cut_anywhere_never_looks_complete(face: str, to: str) -> None:
    said = Script.text(TEXT)
    async with bench(to, said) as of:
        whole = await of.ask(face, stream=True)
    assert FACES[face].success in whole.body
    assert ERRORS[face] not in whole.body.replace(b'"error":null', b"")
    for after in (1, 200, 1_000, 1_400, 2_500):
        async with bench(to, Script.cut(after=after, of=said) * 3) as of:
            answer = await of.ask(face, stream=True)
            attempts = len(of.fake.requests)
        if answer.status == 200 and FACES[face].success in answer.body:
            assert after >= 1_000, "the end came before the cut"
            continue
        assert answer.status in (200, 502)
        assert attempts == 1, "an answer that has begun may be billed: nobody else is asked"
        if answer.status == 200:
            assert ERRORS[face] in answer.body


@every_face
@every_upstream
async def test_F54_whole_answer_that_is_cut_is_an_error(face: str, to: str) -> None:
    async with bench(to, Script.cut(after=60, of=Script.text(TEXT)) * 3) as of:
        answer = await of.ask(face, stream=False)
        assert (answer.status, len(of.fake.requests)) == (502, 1)
        assert "error" in json.loads(answer.body)
        assert "truncated" in [attempt.code for attempt in of.records[-1].attempts]


@every_face
@every_upstream
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_F45_answer_that_is_no_json_is_an_error(face: str, to: str, stream: bool) -> None:
    async with bench(to, Script.answer(text="<html>busy</html>") * 3) as of:
        answer = await of.ask(face, stream=stream)
    assert answer.status == 502
    assert b"<html>" not in answer.body


@every_face
@every_upstream
async def test_caller_who_leaves_ends_the_upstreams_stream(face: str, to: str) -> None:
    async with bench(to, Script.hang(after=3_000, of=Script.text(TEXT * 20))) as of:
        asked = of.asked(face, stream=True)
        body = json.dumps(asked["json"]).encode()
        headers = {"content-type": "application/json", **asked["headers"]}
        async with Exchange(
            of.gateway, "POST", asked["path"], headers=headers, body=body, query=asked.get("query", "")
        ) as exchange:
            assert await exchange.next_body()
            exchange.disconnect()
            await of.fake.wait_closed()
