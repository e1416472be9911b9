"""Servers of several workers that share their state: what one worker learns all obey, and limits are those of all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer
from tests.support.worker_servers import serve_workers

from .counting import OK, Answer, CountingUpstream, limited
from .servers import TARGET, WORKERS, Fleet, environment

pytestmark = pytest.mark.anyio

NEWS_S = 2.0
"""Far longer than news take (they take 250 ms), so that a slow machine fails no test."""


@pytest.fixture(scope="module", params=["two servers and Redis", "one server and a file"])
async def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(CountingUpstream().serving())
        is_redis = "Redis" in request.param
        state = stack.enter_context(RedisServer()).url if is_redis else f"sqlite:{folder / 'state'}"
        told = environment(folder / "ds2api.toml", upstream.url, state)
        servers = [stack.enter_context(serve_workers(TARGET, WORKERS, told)) for _ in range(2 if is_redis else 1)]
        yield Fleet(upstream, [server.url for server in servers])


async def test_a_429_that_one_worker_saw_is_obeyed_by_all(fleet: Fleet) -> None:
    async def answer() -> Answer:
        return limited(600)

    fleet.upstream.answers["cool"] = answer
    assert await fleet.ask("cool", 1) == {429: 1}
    await asyncio.sleep(NEWS_S)  # see `NEWS_S`
    assert await fleet.ask("cool", 40) == {429: 40}
    assert fleet.upstream.calls["cool"] == 1


async def test_a_limit_of_attempts_at_a_time_holds_over_all(fleet: Fleet) -> None:
    async def answer() -> Answer:
        await asyncio.sleep(0.05)  # attempts overlap
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
    await asyncio.sleep(NEWS_S)  # see `NEWS_S`
    asking = asyncio.create_task(fleet.ask("probe", 40))
    while not fleet.upstream.at_once["probe"]:  # noqa: ASYNC110  the upstream of a test sets no event
        await asyncio.sleep(0.01)  # between two looks
    await asyncio.sleep(NEWS_S)  # see `NEWS_S`
    assert fleet.upstream.most_at_once["probe"] == 1
    may_answer.set()
    assert (await asking)[200] == 40
