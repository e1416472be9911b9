"""F103: a request that is cancelled at any await loses no slot, no probe, no connection, and no rule of ASGI."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from asgi_ds2api.errors import Interrupted
from asgi_ds2api.serving.race import Race
from tests.support.interrupting import interrupted_at
from tests.support.scripted_client import Answering, Delay, streaming
from tests.support.server_send import ServerSend
from tests.support.virtual_time import run_virtual

from .rig import END, ROLE, Rig, refusing, say

STREAM = (ROLE, Delay(1), say("Hi"), Delay(1), END)


def failover() -> Rig:
    limited = refusing(429, b"no", Delay(1), b" 429", before=[Delay(1)])
    return Rig(limited, refusing(500, b"no 500"), streaming(*STREAM), accounts=3, send=ServerSend(takes_s=1))


def probe() -> Rig:
    rig = Rig(streaming(*STREAM), accounts=1, send=ServerSend(takes_s=1))
    rig.cool("one/0", 2)
    return rig


def repairs() -> Rig:
    return Rig(refusing(400, b"no 400"), refusing(422, Delay(1)), streaming(*STREAM), repairs=2)


def whole() -> Rig:
    answer = Answering(200, pieces=[b"{", Delay(1), b"}"], before=[Delay(1)])
    busy = refusing(503, before=[Delay(1)])
    return Rig(busy, answer, stream=False, targets=("one", "two"), send=ServerSend(takes_s=1))


def heartbeats() -> Rig:
    script = streaming(ROLE, Delay(20), ROLE, Delay(20), say("Hi"), Delay(20), END)
    return Rig(script, send=ServerSend(takes_s=4))


def failure_in_band() -> Rig:
    script = streaming(say("Hi"), Delay(1), Interrupted("lost", code="truncated"))
    return Rig(script, send=ServerSend(takes_s=0.4))


def hedged() -> Rig:
    slow, late = streaming(ROLE, Delay(1), ROLE, Delay(60), END), streaming(ROLE, Delay(3), *STREAM)
    rig = Rig(slow, late, targets=("one", "two"), send=ServerSend(takes_s=1), hedge=True)
    rig.teach("one/0", 2)
    return rig


REQUESTS = (failover, probe, repairs, whole, heartbeats, failure_in_band, hedged)


async def _run(rig: Rig, number: int, interrupt: Callable[[anyio.CancelScope], object]) -> bool:
    """Run the attempts as an exchange does; return whether they were interrupted."""
    was_interrupted = True
    async with anyio.create_task_group() as group:
        group.start_soon(rig.attempts.pulse)
        was_interrupted = await interrupted_at(number, rig.attempts.run(), lambda: interrupt(group.cancel_scope))
        group.cancel_scope.cancel()
    return was_interrupted


async def caller_leaves(rig: Rig, number: int) -> bool:
    """Cancel the way an exchange does when the caller leaves."""
    return await _run(rig, number, lambda scope: scope.cancel())


async def server_cancels(rig: Rig, number: int) -> bool:
    """Cancel the way a server does that shuts down."""
    task = asyncio.create_task(_run(rig, number, lambda _: task.cancel()))
    with suppress(asyncio.CancelledError):
        return await task
    return True


async def deadline_passes(rig: Rig, number: int) -> bool:
    """Cancel the way attempts end themselves."""
    return await _run(rig, number, lambda _: rig.attempts.cut(Interrupted("cut", code="cut")))


@pytest.mark.parametrize("run", [caller_leaves, server_cancels, deadline_passes])
@pytest.mark.parametrize("request_of", REQUESTS, ids=[f"F103-{make.__name__}" for make in REQUESTS])
@run_virtual
async def test_request_cancelled_at_any_await_leaves_nothing_behind(
    request_of: Callable[[], Rig], run: Callable[[Rig, int], Awaitable[bool]]
) -> None:
    number = 0
    while await run(rig := request_of(), number):
        await rig.reply.ensure_ended()
        is_cut = rig.reply.is_ended and not rig.send.is_complete
        assert not is_cut or (request_of, run) == (whole, deadline_passes), "only a promised length is not kept"
        rig.check(is_cut=is_cut)
        assert [account.state for account in rig.accounts if account.state == "probing"] == []
        assert rig.upstream.still_open == 0
        number += 1
    assert number >= 4, "the request hardly waited: this looked at nothing"
    assert rig.attempts.failure is None or rig.attempts.failure.code == "truncated"


@pytest.mark.parametrize("fails", [False, True], ids=["F103-F104-first-is-silent", "F103-F104-first-fails"])
@run_virtual
async def test_second_attempt_that_is_cancelled_at_any_await_leaves_nothing_behind(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt runs in a task of its own: here it is that one which is interrupted."""
    ask, number, was_interrupted = Race._ask_second, 0, True
    while was_interrupted:
        rig = hedged()
        if fails:
            late = refusing(500, before=[Delay(4)])
            rig = Rig(late, streaming(*STREAM), targets=("one", "two"), send=ServerSend(takes_s=1), hedge=True)
            rig.teach("one/0", 2)

        async def interrupt(race: Race, number: int = number, rig: Rig = rig) -> None:
            nonlocal was_interrupted
            was_interrupted = True
            was_interrupted = await interrupted_at(
                number, ask(race), lambda: rig.attempts.cut(Interrupted("cut", code="cut"))
            )

        monkeypatch.setattr(Race, "_ask_second", interrupt)
        await rig.run()
        rig.check()
        assert rig.upstream.still_open == 0
        number += 1
    assert number >= 4, "it hardly waited: this looked at nothing"
    assert (rig.attempts.failure, rig.log[-1]) == (None, "two/0 ok")
