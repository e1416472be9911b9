"""M5: thousands of cancelled exchanges lose no slot and leave no socket, whichever client carries them.

The cancellations come at random moments of four stages, one after the other: while an exchange waits for a slot, a
connection or the head of an answer (which never comes), after the head, in the body, and while it closes. Under asyncio
they are native ones (`asyncio.Task.cancel`): that is what servers do when a caller leaves, and what httpcore's pool
does not survive.
"""

import asyncio
import itertools
import random
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
OPEN_BODY: Script = [Send(head(200) + chunk(b"data: {}\n\n")), Hang()]
STAGES: dict[str, Script] = {
    "opening": [Hang()],
    "head": [Send(head(200)), Hang()],
    "body": OPEN_BODY,
    "closing": OPEN_BODY,
}
"""Where an exchange is when it is cancelled, and what the upstream does so that it comes that far and no further."""


class Careful:
    """An upstream that answers nobody to the end, until it is told to."""

    def __init__(self) -> None:
        self.is_over = False
        self.gate = Gate()

    def answer(self, request: ReceivedRequest) -> Script:
        """Bring an exchange to the stage that its path names."""
        return [Hold(self.gate), Send(HELLO)] if self.is_over else STAGES[request.target.removeprefix("/")]


async def leave_native(client: Upstream, url: str, stage: str, moment: random.Random) -> None:
    """Ask, and cancel the task that asks, as a server does."""
    reached = anyio.Event()
    task = asyncio.create_task(follow(client, url, stage, reached))
    await reached.wait()
    await wait_for_no_reason(moment)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def leave_scope(client: Upstream, url: str, stage: str, moment: random.Random) -> None:
    """Ask, and cancel the scope of the task that asks."""
    reached = anyio.Event()
    async with anyio.create_task_group() as asking:
        asking.start_soon(follow, client, url, stage, reached)
        await reached.wait()
        await wait_for_no_reason(moment)
        asking.cancel_scope.cancel()


async def follow(client: Upstream, url: str, stage: str, reached: anyio.Event) -> None:
    """Do an exchange that comes no further than ``stage``, and say when it is there."""
    try:
        if stage == "opening":
            reached.set()
        answer = await client.open(ask(url, path=f"/{stage}", connect_s=60))
        try:
            if stage == "head":
                reached.set()
            while await answer.read() and stage == "body":
                reached.set()
            reached.set()
        finally:
            await answer.close()
    finally:
        reached.set()  # whoever waits for an exchange that failed learns of it from its task


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
    moment, stages = random.Random(5), itertools.cycle(STAGES)

    async def caller(count: int) -> None:
        for _ in range(count):
            await leave(client, upstream.url, next(stages), moment)

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
