"""Four workers that share a file: what one of them keeps or closes, all of them know."""

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from asgi_ds2api.testing import FakeUpstream
from tests.support.worker_servers import serve_workers

pytestmark = pytest.mark.anyio

TALKS = 1_000
AT_ONCE = 16
WORKERS = 4
TARGET = "tests.fleet.app:make"
CALLER = "a-caller-key-of-the-fleet-tests"


def config(path: Path, fake: FakeUpstream, state: str) -> dict[str, str]:
    """Write a configuration; return the environment in which a worker finds it."""
    path.write_text(
        f"""
        state = {state!r}
        workers = {WORKERS}
        secret = "env:SEAL"
        [timeouts]
        state_s = 30
        [[upstreams]]
        name = "fake"
        protocol = "openai_chat"
        base_url = "{fake.url}/v1"
        models = ["fake-*"]
        [[callers]]
        label = "tests"
        key = "env:CALLER"
        """
    )
    return {"DS2API_CONFIG": str(path), "CALLER": CALLER, "SEAL": "a-seal-of-the-fleet-tests-that-is-long-enough"}


def client_of(url: str) -> httpx.AsyncClient:
    """Return a client that makes a new connection for each request, so that each may meet another worker."""
    none_kept = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=url, timeout=60, limits=none_kept, headers={"authorization": f"Bearer {CALLER}"})


async def talk(client: httpx.AsyncClient, number: int, results: Counter[str]) -> None:
    """Ask twice, the second time going on from the first, by its id or by that of what it said."""
    body: dict[str, Any] = {"model": "fake-1", "input": f"My number is {number}."}
    for turn in range(2):
        answer = await client.post("/v1/responses", json=body)
        if answer.status_code != 200:
            results[f"turn {turn}: {answer.status_code} {answer.text[:200]}"] += 1
            return
        first = answer.json()
        body = {"model": "fake-1", "input": "Which one?", "previous_response_id": first["id"]}
        if number % 2:
            named = {"type": "item_reference", "id": first["output"][0]["id"]}
            body = {"model": "fake-1", "input": [named, {"role": "user", "content": "Which one?"}]}
    results["whole"] += 1


async def test_of_a_thousand_talks_over_four_workers_none_is_lost(tmp_path: Path) -> None:
    results: Counter[str] = Counter()
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(client: httpx.AsyncClient, number: int) -> None:
        async with limiter:
            await talk(client, number, results)

    async with FakeUpstream(kept_requests=3 * TALKS) as fake:
        environment = config(tmp_path / "ds2api.toml", fake, f"sqlite:{tmp_path / 'state'}")
        with serve_workers(TARGET, WORKERS, environment) as workers:
            async with client_of(workers.url) as client, anyio.create_task_group() as group:
                for number in range(TALKS):
                    group.start_soon(one, client, number)
        asked = [request.json["messages"] for request in fake.requests]  # type: ignore[index]  # of this gateway
    assert results == {"whole": TALKS}
    assert sum(len(messages) > 1 for messages in asked) == TALKS
    assert not [line for line in workers.lines if "WARNING" in line or "ERROR" in line]


async def test_workers_without_shared_state_are_told_what_cannot_work(tmp_path: Path) -> None:
    async with FakeUpstream() as fake:
        environment = config(tmp_path / "ds2api.toml", fake, "memory")
        with serve_workers(TARGET, 2, environment) as workers:
            told = [line for line in workers.lines if 'state = "memory"' in line]
    assert len(told) == 2
    assert all('set state = "sqlite:PATH"' in line and "Redis" in line for line in told)
