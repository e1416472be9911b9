"""M1, F74, F75: a thousand callers who leave. No socket to an upstream stays open, no lease stays taken.

A relay that trusts ``send`` to raise keeps all of them, generating and billing. What is waited for here is the close
itself, as the upstream sees it; nothing is timed.
"""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.http_bytes import chunk, head
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Hang, ReceivedRequest, Repeat, Script, Send
from tests.support.serving import HTTPParser, serve
from tests.support.waiting import time_limit

from .bench import FIVE, WAYS, Bench, Way

pytestmark = pytest.mark.anyio

CALLERS = 1_000
WAVE = 100
"""Callers at a time: each takes up to four sockets of this process."""
KINDS = ("think", "pause", "talk")
"""What the upstream does when its caller leaves: it has not answered yet, has fallen silent, or goes on."""
FIRST_WORDS = b"Es war"


class Crowd:
    """The callers of an upstream that does what the name of the model says, and ends nothing by itself."""

    def __init__(self, way: Way) -> None:
        frames, at = way.upstream.text_stream(), way.upstream.before_text
        begun = Send(head(200, way.stream_headers) + chunk(b"".join(frames[: at + 1])))
        self._scripts: dict[str, Script] = {
            "think": [Hang()],
            "pause": [begun, Hang()],
            "talk": [begun, Repeat([Send(chunk(frames[at]))], times=100), Hang()],
        }
        self._bodies = [json.dumps(way.face.ask(f"{way.upstream.name}/{kind}", stream=True)).encode() for kind in KINDS]
        self._upstream = way.upstream.name
        self._came = 0
        self._is_here = [asyncio.Event() for _ in range(CALLERS // WAVE)]
        self.upstream = RawUpstream.answering(self._answer)

    def model(self, number: int) -> str:
        """Return the model that a caller asks for."""
        return f"{self._upstream}/{KINDS[number % len(KINDS)]}"

    def body(self, number: int) -> bytes:
        """Return the request of a caller."""
        return self._bodies[number % len(KINDS)]

    def is_answered(self, number: int) -> bool:
        """Whether a caller gets the beginning of an answer."""
        return KINDS[number % len(KINDS)] != "think"

    async def wait_wave(self, number: int) -> None:
        """Wait until the requests of the whole wave have reached the upstream."""
        async with time_limit():
            await self._is_here[number // WAVE].wait()

    def _answer(self, request: ReceivedRequest) -> Script:
        self._came += 1
        if self._came % WAVE == 0:
            self._is_here[self._came // WAVE - 1].set()
        model = str(request.json().get("model", request.target))  # Gemini's stands in the path
        return next(script for kind, script in self._scripts.items() if kind in model)


def assert_each_saw_its_peer_go(raw: RawUpstream) -> None:
    """No connection ended in another way."""
    assert len(raw.connections) == CALLERS
    assert {connection.ended for connection in raw.connections} <= {"peer_eof", "peer_reset"}


APP_WAYS = ["chat>chat", "chat>claude", "responses>responses", "gemini>gemini", "ollama>ollama"]


@pytest.mark.parametrize("way", [FIVE[name] for name in APP_WAYS], ids=APP_WAYS)
async def test_F74_F75_thousand_callers_of_an_app_leave_nothing_behind(way: Way) -> None:
    crowd = Crowd(way)
    async with crowd.upstream as raw, Bench(way, raw=raw, accounts=3) as bench:

        async def leave(number: int) -> None:
            path, query = way.face.address(crowd.model(number), stream=True)
            async with bench.exchange(stream=True, body=crowd.body(number), path=path, query=query) as exchange:
                await crowd.wait_wave(number)
                if crowd.is_answered(number):
                    await exchange.read_until(FIRST_WORDS)
                exchange.disconnect()
                await exchange.finish()

        for start in range(0, CALLERS, WAVE):
            await asyncio.gather(*[leave(number) for number in range(start, start + WAVE)])
            await raw.wait_closed()
            assert open_leases(bench.gateway) == 0
        assert_each_saw_its_peer_go(raw)
        assert {record.result for record in bench.records} == {"client_gone"}
        assert {account.state for account in bench.accounts} == {"healthy"}


@pytest.mark.parametrize("parser", ["httptools", "h11"])
async def test_F74_F75_thousand_callers_of_a_server_leave_nothing_behind(parser: HTTPParser) -> None:
    crowd, records = Crowd(WAYS["claude>claude"]), Records()
    async with crowd.upstream as raw:
        gateway = make_gateway(upstream("claude", url=raw.url, accounts=3), hooks=[records])
        with serve(gateway, http=parser) as served:
            for start in range(0, CALLERS, WAVE):
                callers = [leave_by_socket(served.url, crowd, number) for number in range(start, start + WAVE)]
                await asyncio.gather(*callers)
                await raw.wait_closed()
            await asyncio.to_thread(records.wait, CALLERS)
            assert (open_leases(gateway), gateway.status()["active"]) == (0, 0)
        assert_each_saw_its_peer_go(raw)
        assert {record.result for record in records} == {"client_gone"}


async def leave_by_socket(url: str, crowd: Crowd, number: int) -> None:
    """Ask over a socket, read the beginning of an answer if there is one, and hang up, politely or not."""
    parts, sent = urlsplit(url), crowd.body(number)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = ["POST /v1/messages HTTP/1.1", "host: x", "anthropic-version: 2023-06-01", f"content-length: {len(sent)}"]
    writer.write("\r\n".join([*lines, "", ""]).encode() + sent)
    await crowd.wait_wave(number)
    if crowd.is_answered(number):
        await reader.readuntil(FIRST_WORDS)
    if number % 2:
        writer.transport.abort()
    else:
        writer.close()
