"""M5: thousands of cancelled exchanges lose no slot and leave no socket, whichever client carries them.

The cancellations come at random moments: while an exchange waits for a slot or a connection, for the head of an answer
(half of the upstream's answers never begin), in the body, and while it closes. Under asyncio they are native ones
(`asyncio.Task.cancel`): that is what servers do when a caller leaves, and what httpcore's pool does not survive.
"""

import asyncio
import itertools
import random
from collections import Counter
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from asgi_ds2api.upstream.contract import Upstream
from tests.support.http_bytes import chunk, head
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Hang, Hold, ReceivedRequest, Script, Send
from tests.support.waiting import Gate

from .cases import HELLO, WAIT_S, ask, fetch
from .conftest import MakeClient
from .stage import Stage

pytestmark = pytest.mark.anyio

SLOTS = 10
CALLERS = 30
"""At a time: three for each slot."""
CANCELS = {"asyncio": 5_000, "trio": 1_000}
SLOW_HEAD: Script = [Hang()]
HEAD_ALONE: Script = [Send(head(200)), Hang()]
OPEN_BODY: Script = [Send(head(200) + chunk(b"data: {}\n\n")), Hang()]


class Careful:
    """An upstream that answers nobody to the end, until it is told to."""

    def __init__(self) -> None:
        self.is_over = False
        self.gate = Gate()
        self._scripts = itertools.cycle([SLOW_HEAD, HEAD_ALONE, SLOW_HEAD, OPEN_BODY])

    def answer(self, _request: ReceivedRequest) -> Script:
        """Choose what becomes of a request."""
        return [Hold(self.gate), Send(HELLO)] if self.is_over else next(self._scripts)


async def leave_native(client: Upstream, url: str, moment: random.Random) -> str:
    """Ask, and cancel the task that asks, as a server does."""
    stages = ["opening"]
    task = asyncio.create_task(follow(client, url, moment, stages))
    await wait_for_no_reason(moment)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return stages[-1]


async def leave_scope(client: Upstream, url: str, moment: random.Random) -> str:
    """Ask, and cancel the scope of the task that asks."""
    stages = ["opening"]
    async with anyio.create_task_group() as asking:
        asking.start_soon(follow, client, url, moment, stages)
        await wait_for_no_reason(moment)
        asking.cancel_scope.cancel()
    return stages[-1]


async def follow(client: Upstream, url: str, moment: random.Random, stages: list[str]) -> None:
    """Read an answer that never ends, perhaps not for long, and note how far it came."""
    answer = await client.open(ask(url, connect_s=60))
    try:
        stages.append("head")
        while await answer.read():
            stages.append("body")
            if moment.random() < 0.3:
                break
        stages.append("closing")
    finally:
        await answer.close()


async def wait_for_no_reason(moment: random.Random) -> None:
    """Let a random number of turns of the event loop pass, or a random time."""
    if moment.random() < 0.3:
        for _ in range(moment.randrange(30)):
            await anyio.lowlevel.checkpoint()
    else:
        await anyio.sleep(moment.uniform(0, 0.03))


async def test_cancelled_exchanges_lose_no_slot_M5(
    make_client: MakeClient, stage: Stage, setup: tuple[str, str]
) -> None:
    careful = Careful()
    upstream = stage.play(RawUpstream.answering(careful.answer))
    client = make_client(max_connections=SLOTS)
    leave = leave_native if setup[1] == "asyncio" else leave_scope
    moment, reached = random.Random(5), Counter[str]()

    async def caller(count: int) -> None:
        for _ in range(count):
            reached[await leave(client, upstream.url, moment)] += 1

    async with anyio.create_task_group() as callers:
        for _ in range(CALLERS):
            callers.start_soon(caller, CANCELS[setup[1]] // CALLERS + 1)
    await stage.wait(upstream.wait_closed())

    careful.is_over = True
    asked = len(upstream.requests)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as callers:
            for _ in range(SLOTS):
                callers.start_soon(fetch, client, ask(upstream.url))
            await stage.wait(upstream.wait_requests(asked + SLOTS))
            stage.open(careful.gate)
    assert sum(reached.values()) >= CANCELS[setup[1]]
    assert min(reached[stage] for stage in ("opening", "head", "body", "closing")) > 0
