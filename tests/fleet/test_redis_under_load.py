"""Two servers of four workers each, and a Redis that dies and comes back while they are asked without a pause."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer
from tests.support.waiting import WAIT_S
from tests.support.worker_servers import Workers, serve_workers

from .counting import Answer, CountingUpstream, limited
from .servers import TARGET, WORKERS, Fleet, environment

pytestmark = pytest.mark.anyio

AT_ONCE = 8
MORE = 200
"""Requests after each change: every worker of eight is met many times."""


class Rig:
    """What the test kills, and what it watches."""

    def __init__(self, fleet: Fleet, redis: RedisServer, servers: list[Workers]) -> None:
        self.fleet = fleet
        self.redis = redis
        self.servers = servers
        self.statuses: Counter[int] = Counter()
        self.is_over = False

    async def load(self) -> None:
        """Ask without a pause."""
        while not self.is_over:
            self.statuses += await self.fleet.ask("probe", AT_ONCE)

    async def ask_more(self) -> None:
        """Let so many requests pass."""
        before = self.statuses.total()
        await until(lambda: self.statuses.total() >= before + MORE)

    def said(self, words: str) -> int:
        """Return how many times workers logged some words."""
        return sum(words in line for server in self.servers for line in server.lines)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do: nothing of theirs sets an event here."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  see above
            await asyncio.sleep(0.02)  # between two looks


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(CountingUpstream().serving())
        redis = stack.enter_context(RedisServer())
        told = environment(tmp_path / "ds2api.toml", upstream.url, redis.url)
        servers = [stack.enter_context(serve_workers(TARGET, WORKERS, told)) for _ in range(2)]
        yield Rig(Fleet(upstream, [server.url for server in servers]), redis, servers)


async def test_F108_a_redis_that_dies_under_load_costs_no_request_and_is_shared_again(rig: Rig) -> None:
    async def answer() -> Answer:
        return limited(600)

    upstream = rig.fleet.upstream
    upstream.answers["cool"] = answer
    loading = asyncio.create_task(rig.load())
    try:
        await rig.ask_more()
        rig.redis.kill()
        await until(lambda: rig.said("shared state is out of reach") == 2 * WORKERS)
        await rig.ask_more()
        # What one of them learns meanwhile the others cannot know; each learns it at most once.
        assert await rig.fleet.ask("cool", 1) == {429: 1}
        await asyncio.to_thread(rig.redis.start)
        await until(lambda: rig.said("shared state is back") == 2 * WORKERS)
        await rig.ask_more()
    finally:
        rig.is_over = True
        await loading
    assert set(rig.statuses) == {200}
    assert await rig.fleet.ask("cool", 40) == {429: 40}
    assert upstream.calls["cool"] == 1
