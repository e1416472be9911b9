"""Servers of several workers that share their state: what one worker learns all obey, and limits are those of all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.redis_server import RedisServer
from tests.support.worker_servers import serve_workers

from .counting import OK, Answer, CountingUpstream, limited

pytestmark = pytest.mark.anyio

CALLER = "a-caller-key-of-the-fleet-tests"
WORKERS = 4
NEWS_S = 2.0
"""Far longer than news take (they take 250 ms), so that a slow machine fails no test."""
NAMES = ("cool", "full", "probe")


class Fleet:
    """One or two servers of four workers each, in front of one upstream."""

    def __init__(self, upstream: CountingUpstream, urls: list[str]) -> None:
        self.upstream = upstream
        self._urls = urls

    async def ask(self, name: str, count: int) -> Counter[int]:
        """Ask so often at once, each time over a new connection, in turn at each server; return the statuses."""
        limits = httpx.Limits(max_keepalive_connections=0, max_connections=None)
        body = {"model": f"{name}/m", "messages": [{"role": "user", "content": "Hi"}]}
        async with httpx.AsyncClient(
            timeout=60, limits=limits, headers={"authorization": f"Bearer {CALLER}"}
        ) as client:
            urls = [self._urls[number % len(self._urls)] for number in range(count)]
            answers = await asyncio.gather(*[client.post(f"{url}/v1/chat/completions", json=body) for url in urls])
        return Counter(answer.status_code for answer in answers)


def config(url: str, state: str) -> str:
    """Return the configuration of every worker."""
    upstreams = "".join(
        f"""
        [[upstreams]]
        name = "{name}"
        protocol = "openai_chat"
        base_url = "{url}/{name}/v1"
        {"concurrency = 2" if name == "full" else ""}
        """
        for name in NAMES
    )
    return f"""
        state = {state!r}
        workers = {WORKERS}
        secret = "env:SEAL"
        [timeouts]
        queue_s = 40
        state_s = 30
        {upstreams}
        [[callers]]
        label = "tests"
        key = "env:CALLER"
    """


@pytest.fixture(scope="module", params=["two servers and Redis", "one server and a file"])
async def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(CountingUpstream().serving())
        is_redis = "Redis" in request.param
        state = stack.enter_context(RedisServer()).url if is_redis else f"sqlite:{folder / 'state'}"
        path = folder / "ds2api.toml"
        path.write_text(config(upstream.url, state))
        environment = {"DS2API_CONFIG": str(path), "CALLER": CALLER, "SEAL": "a-seal-of-the-fleet-tests-0123456789"}
        servers = [
            stack.enter_context(serve_workers("tests.fleet.app:make", WORKERS, environment))
            for _ in range(2 if is_redis else 1)
        ]
        yield Fleet(upstream, [server.url for server in servers])


async def test_a_429_that_one_worker_saw_is_obeyed_by_all(fleet: Fleet) -> None:
    async def answer() -> Answer:
        return limited(600)

    fleet.upstream.answers["cool"] = answer
    assert await fleet.ask("cool", 1) == {429: 1}
    await asyncio.sleep(NEWS_S)
    assert await fleet.ask("cool", 40) == {429: 40}
    assert fleet.upstream.calls["cool"] == 1


async def test_a_limit_of_attempts_at_a_time_holds_over_all(fleet: Fleet) -> None:
    async def answer() -> Answer:
        await asyncio.sleep(0.05)
        return OK

    fleet.upstream.answers["full"] = answer
    assert await fleet.ask("full", 24) == {200: 24}
    assert (fleet.upstream.calls["full"], fleet.upstream.most_at_once["full"]) == (24, 2)


async def test_F115_one_worker_of_all_probes(fleet: Fleet) -> None:
    may_answer = asyncio.Event()

    async def answer() -> Answer:
        if fleet.upstream.calls["probe"] == 1:
            return limited(1)
        await may_answer.wait()
        return OK

    fleet.upstream.answers["probe"] = answer
    assert await fleet.ask("probe", 1) == {429: 1}
    await asyncio.sleep(NEWS_S)
    asking = asyncio.create_task(fleet.ask("probe", 40))
    while not fleet.upstream.at_once["probe"]:  # noqa: ASYNC110  the upstream of a test sets no event
        await asyncio.sleep(0.01)
    await asyncio.sleep(NEWS_S)
    assert fleet.upstream.most_at_once["probe"] == 1
    may_answer.set()
    assert (await asking)[200] == 40
