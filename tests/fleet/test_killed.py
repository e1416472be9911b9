"""F86, F113: a worker that is killed. Its callers see a cut connection, its state is there, its slots come back."""

import subprocess
import sys
from pathlib import Path
from time import time

import httpx
import pytest

from asgi_ds2api.state.backend import Granted
from asgi_ds2api.state.contract import Admission, HealthScope, Probe, SharedSlot
from asgi_ds2api.state.shared import LEASE_S
from asgi_ds2api.state.sqlite import SQLiteBackend
from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.worker_servers import serve_workers

from .test_workers_of_one_machine import TARGET, client_of, config

pytestmark = pytest.mark.anyio

HOLDING = """
import sys, time
import anyio
from asgi_ds2api.state.contract import Admission, HealthScope, Probe, SharedSlot
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.state.shared import SharedStore
from asgi_ds2api.state.sqlite import SQLiteBackend

async def hold():
    store = SharedStore(SQLiteBackend(sys.argv[1]), MemoryStore(time.monotonic), time.monotonic, patience_s=30)
    await store.open()
    scope = HealthScope("account", "openai/a")
    refusal = await store.admit(Admission(holder="killed", probes=(Probe(scope, 1),), slots=(SharedSlot("s", 1),)))
    print(refusal, store.is_away, flush=True)
    await anyio.sleep_forever()

anyio.run(hold)
"""
"""A process that takes the right to probe and a slot, and gives neither back."""


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


@pytest.mark.parametrize("wanted", ["probe", "slot"])
def test_F113_what_a_killed_worker_held_comes_back_in_30_s(tmp_path: Path, wanted: str) -> None:
    path = tmp_path / "state.sqlite"
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
        finally:
            process.kill()
    assert said == "None False\n"
    ask = {
        "probe": Admission(holder="next", probes=(Probe(HealthScope("account", "openai/a"), 1),)),
        "slot": Admission(holder="next", slots=(SharedSlot("s", 1),)),
    }[wanted]
    now, later = SQLiteBackend(path), SQLiteBackend(path, wall_now=lambda: time() + LEASE_S)
    answers = [place.admit([ask], LEASE_S, str(place))[0] for place in (now, later)]
    for place in (now, later):
        place.close()
    assert [isinstance(answer, Granted) for answer in answers] == [False, True]
