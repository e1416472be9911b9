"""F86: a worker that is killed. Its callers see a cut connection, and what it kept is there for the next one."""

from pathlib import Path

import httpx
import pytest

from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.worker_servers import serve_workers

from .test_workers_of_one_machine import TARGET, client_of, config

pytestmark = pytest.mark.anyio


async def test_F86_killed_worker_cuts_its_streams_and_leaves_its_state_whole(tmp_path: Path) -> None:
    said = Script.text("A long story. " * 50)
    script = Script.text("Noted.") + Script.hang(after=2_000, of=said) + Script.text("It was 7.")
    async with FakeUpstream(script=script) as fake:
        environment = config(tmp_path / "ds2api.toml", fake, f"sqlite:{tmp_path / 'state'}")
        first = {"model": "fake-1", "input": "My number is 7."}
        with serve_workers(TARGET, 1, environment) as workers:
            client = client_of(workers.url)
            kept = (await client.post("/v1/responses", json=first)).json()
            asked = {"model": "fake-1", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
            streaming = await client.send(client.build_request("POST", "/v1/chat/completions", json=asked), stream=True)
            pieces = streaming.aiter_bytes()
            got = b""
            while b"story" not in got:
                got += await anext(pieces)
        with pytest.raises(httpx.TransportError):
            got += b"".join([piece async for piece in pieces])
        await client.aclose()
        assert b"[DONE]" not in got
        await fake.wait_closed()
        with serve_workers(TARGET, 1, environment) as workers:
            async with client_of(workers.url) as client:
                second = {"model": "fake-1", "input": "Which one?", "previous_response_id": kept["id"]}
                answer = await client.post("/v1/responses", json=second)
        assert answer.status_code == 200
        assert "My number is 7." in str(fake.requests[-1].json)
        assert not [line for line in workers.lines if "ERROR" in line]
