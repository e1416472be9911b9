"""F98, F99, F103, F105 over a gateway: who waits for an account, who is told at once, and that nothing is lost."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest

from asgi_ds2api import Gateway
from asgi_ds2api.errors import PoolExhausted, QueueFull, ServerFault
from asgi_ds2api.pool.model import Account, Origin, Target
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.waiting import lease_for
from asgi_ds2api.state.memory import MemoryStore
from tests.support.asgi_driver import Answer, Exchange
from tests.support.dialects import DIALECTS, Dialect
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.interrupting import interrupted_at
from tests.support.scripted_client import NEVER, Answering, Delay, ScriptedUpstream, answering
from tests.support.virtual_time import run_virtual

pytestmark = pytest.mark.anyio

dialects = pytest.mark.parametrize("dialect", [DIALECTS["chat"], DIALECTS["claude"]], ids=["chat", "claude"])


class Bench:
    """A gateway whose upstream takes a second for each answer.

    Args:
        dialect: Of face and upstream.
        scripts: In place of these answers.
        concurrency: Of its only account.
        config: Top-level keys.
    """

    def __init__(self, dialect: Dialect, *scripts: Any, concurrency: int = 1, accounts: int = 1, **config: Any) -> None:
        self.dialect = dialect
        self.records = Records()
        slow = Answering(pieces=[dialect.whole()], before=[Delay(1)])
        self.scripted = ScriptedUpstream(*(scripts or [slow] * 500))
        self.gateway: Gateway = make_gateway(
            upstream(dialect.name, concurrency=concurrency, accounts=accounts),
            scripts={dialect.name: self.scripted},
            hooks=[self.records],
            **config,
        )

    def exchange(self, key: str | None = None, **more: Any) -> Exchange:
        headers = {"content-type": "application/json", **self.dialect.headers}
        if key is not None:
            headers |= {"authorization": f"Bearer {key}"} if self.dialect.name == "chat" else {"x-api-key": key}
        body = json.dumps(self.dialect.ask(f"{self.dialect.name}/test", stream=False)).encode()
        return Exchange(self.gateway, "POST", self.dialect.path, headers=headers, body=more.pop("body", body), **more)

    async def ask(self, key: str | None = None) -> Answer:
        async with self.exchange(key) as exchange:
            return await exchange.finish()

    def check(self) -> None:
        assert (open_leases(self.gateway), len(self.gateway._engine.pool._line)) == (0, 0)
        assert self.gateway._engine.pool.snapshot().stray_releases == 0


@dialects
@run_virtual
async def test_requests_wait_for_a_busy_account_in_the_order_in_which_they_came(dialect: Dialect) -> None:
    bench = Bench(dialect, timeouts={"queue_s": 10})
    ended: list[int] = []

    async def ask(number: int) -> None:
        await asyncio.sleep(number / 100)  # virtual
        assert (await bench.ask()).status == 200
        ended.append(number)

    await asyncio.gather(*[ask(number) for number in range(5)])
    assert ended == [0, 1, 2, 3, 4]
    bench.check()


@dialects
@run_virtual
async def test_busy_account_is_not_waited_for_longer_than_the_queues_limit(dialect: Dialect) -> None:
    bench = Bench(dialect, NEVER, timeouts={"queue_s": 3})
    async with bench.exchange() as running:
        await asyncio.sleep(0.1)  # virtual
        answer = await bench.ask()
        record = bench.records[-1]
        assert (answer.status, record.code, round(record.duration_s, 3)) == (429, "queue_timeout", 3)
        assert int(answer.header("retry-after") or 0) >= 1
        assert answer.header("x-should-retry") is None
        running.disconnect()
        await running.finish()
    bench.check()


@dialects
@run_virtual
async def test_failover_waits_for_an_account_that_is_merely_busy(dialect: Dialect) -> None:
    right = answering(dialect.whole())
    slow = Answering(pieces=[dialect.whole()], before=[Delay(1)])
    bench = Bench(dialect, slow, answering(dialect.error(500), status=500), right, accounts=2)
    first, second = await asyncio.gather(bench.ask(), bench.ask())
    assert (first.status, second.status) == (200, 200)
    assert sorted(len(record.attempts) for record in bench.records) == [1, 2]
    bench.check()


@dialects
@run_virtual
async def test_F99_full_line_is_told_at_once_and_the_body_is_not_read(dialect: Dialect) -> None:
    bench = Bench(dialect, timeouts={"queue_s": 100}, limits={"max_waiting": 2})
    running = [asyncio.ensure_future(bench.ask()) for _ in range(3)]
    await asyncio.sleep(0.1)  # virtual
    async with bench.exchange(body=None) as exchange:
        answer = await exchange.finish()
    record = bench.records[-1]
    assert (answer.status, record.code, record.duration_s, record.bytes_in) == (429, "queue_full", 0, 0)
    assert answer.header("retry-after") is not None
    assert [answer.status for answer in await asyncio.gather(*running)] == [200] * 3
    bench.check()


@dialects
@run_virtual
async def test_ancestor_bug_4_slot_is_not_held_while_a_body_is_read_or_if_it_is_no_request(dialect: Dialect) -> None:
    """The ancestor took a slot before it had the request: slow uploads and bad JSON held it."""
    bench = Bench(dialect)
    async with bench.exchange(body=None) as upload:
        await asyncio.sleep(1)  # virtual
        assert open_leases(bench.gateway) == 0
        assert (await bench.ask()).status == 200
        upload.disconnect()
        await upload.finish()
    async with bench.exchange(body=b"{nonsense") as bad:
        assert (await bad.finish()).status == 400
    assert len(bench.scripted.calls) == 1
    bench.check()


@dialects
@run_virtual
async def test_F105_caller_with_many_requests_does_not_keep_out_one_with_few(dialect: Dialect) -> None:
    keys = {"large": "key-of-the-large-caller", "small": "key-of-the-small-caller"}
    callers = [{"label": label, "key": Secret(key)} for label, key in keys.items()]
    bench = Bench(dialect, auth="callers", callers=callers, timeouts={"queue_s": 1_000}, limits={"max_waiting": 100})
    done: Counter[str] = Counter()

    async def keep_asking(caller: str) -> None:
        while True:
            assert (await bench.ask(keys[caller])).status == 200
            done[caller] += 1

    with anyio.move_on_after(100.5):
        async with anyio.create_task_group() as group:
            for caller, count in (("large", 10), ("small", 1)):
                for _ in range(count):
                    group.start_soon(keep_asking, caller)
    assert done["large"] + done["small"] == 100
    assert 1 / 2 <= done["small"] / done["large"] <= 2
    bench.check()


@dialects
@run_virtual
async def test_F103_request_that_is_cancelled_while_it_waits_leaves_the_line(dialect: Dialect) -> None:
    bench = Bench(dialect, timeouts={"queue_s": 100})
    running = asyncio.ensure_future(bench.ask())
    await asyncio.sleep(0.1)  # virtual
    async with bench.exchange() as waiting:
        await asyncio.sleep(0.1)  # virtual
        assert len(bench.gateway._engine.pool._line) == 1
        waiting.disconnect()
        await waiting.finish()
    assert len(bench.gateway._engine.pool._line) == 0
    assert (await running).status == 200
    assert len(bench.scripted.calls) == 1
    bench.check()


@dialects
@run_virtual
async def test_record_tells_how_long_a_request_waited_for_accounts(dialect: Dialect) -> None:
    bench = Bench(dialect, timeouts={"queue_s": 10})
    await asyncio.gather(*[bench.ask() for _ in range(3)])
    assert [round(record.queued_s, 3) for record in bench.records] == [0, 1, 2]
    assert [round(record.duration_s, 3) for record in bench.records] == [1, 2, 3]


@dialects
@run_virtual
async def test_record_of_who_waited_in_vain_tells_it_too(dialect: Dialect) -> None:
    bench = Bench(dialect, NEVER, timeouts={"queue_s": 3})
    async with bench.exchange() as running:
        await asyncio.sleep(0.1)  # virtual
        await bench.ask()
        running.disconnect()
        await running.finish()
    (refused, left) = bench.records
    assert (refused.attempts, round(refused.queued_s, 3), left.queued_s) == ((), 3, 0)


@run_virtual
async def test_parts_of_one_answer_wait_at_the_same_time() -> None:
    records = Records()
    slow = Answering(pieces=[DIALECTS["claude"].whole()], before=[Delay(1)])
    gateway = make_gateway(
        upstream("claude", concurrency=1),
        scripts={"claude": ScriptedUpstream(*[slow] * 3)},
        hooks=[records],
        fan_out=True,
        timeouts={"queue_s": 10},
    )
    body = {"model": "claude/m", "n": 3, "messages": [{"role": "user", "content": "Hi"}]}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        assert (await exchange.finish()).status == 200
    (record,) = records
    assert (len(record.attempts), round(record.queued_s, 3)) == (3, 2)


@dialects
@run_virtual
async def test_S_5_R41_accounts_that_cool_for_a_moment_are_waited_for(dialect: Dialect) -> None:
    """https://github.com/BerriAI/litellm/issues/3646"""
    limited = Answering(429, {"retry-after-ms": "1500"})
    bench = Bench(dialect, limited, answering(dialect.whole()), concurrency=5)
    first, second = await bench.ask(), await bench.ask()
    assert (first.status, second.status) == (429, 200)
    bench.check()


@dialects
@run_virtual
async def test_S_4_requests_leave_no_task_behind(dialect: Dialect) -> None:
    """https://github.com/BerriAI/litellm/issues/22547"""
    bench = Bench(dialect, concurrency=3, timeouts={"queue_s": 1_000}, limits={"max_waiting": 1_000})
    before = len(asyncio.all_tasks())
    answers = await asyncio.gather(*[bench.ask() for _ in range(100)])
    assert {answer.status for answer in answers} == {200}
    assert len(asyncio.all_tasks()) == before
    bench.check()


@dialects
@run_virtual
async def test_ancestor_bug_5_what_the_gateway_answers_by_itself_takes_no_slot(dialect: Dialect) -> None:
    """Token counts that are estimated here waited behind answers."""
    claude = DIALECTS["claude"]
    bench = Bench(DIALECTS["chat"], NEVER)
    async with bench.exchange() as running:
        await asyncio.sleep(0.1)  # virtual
        body = json.dumps(claude.ask("chat/test", stream=False)).encode()
        headers = {"content-type": "application/json", **claude.headers}
        async with Exchange(
            bench.gateway, "POST", f"{claude.path}/count_tokens", headers=headers, body=body
        ) as counting:
            answer = await counting.finish()
        assert (answer.status, open_leases(bench.gateway)) == (200, 1)
        running.disconnect()
        await running.finish()
    bench.check()


@dialects
@run_virtual
async def test_ancestor_bug_7_every_attempt_goes_by_the_client_of_its_own_upstream(dialect: Dialect) -> None:
    """The next account's traffic left through the proxy of the first."""
    scripts = {
        "first": ScriptedUpstream(Answering(500)),
        "second": ScriptedUpstream(answering(dialect.whole())),
    }
    protocol = {"chat": "openai_chat", "claude": "anthropic_messages"}[dialect.name]
    gateway = make_gateway(
        *[upstream(name, protocol=protocol, url=f"http://{name}.example") for name in scripts],
        scripts=scripts,
        models=[{"name": "smart", "targets": ["first/m", "second/m"]}],
    )
    headers = {"content-type": "application/json", **dialect.headers}
    body = json.dumps(dialect.ask("smart", stream=False)).encode()
    async with Exchange(gateway, "POST", dialect.path, headers=headers, body=body) as exchange:
        assert (await exchange.finish()).status == 200
    hosts = [[call.request.url.split("/")[2] for call in script.calls] for script in scripts.values()]
    assert hosts == [["first.example"], ["second.example"]]


@dialects
@run_virtual
async def test_ancestor_bug_8_what_is_bound_to_an_account_is_not_asked_of_another(dialect: Dialect) -> None:
    """An id of one account would be sent with the key of another: the attempt fails instead."""
    bench = Bench(dialect, Answering(500), Answering(500), accounts=3, concurrency=5)
    pool = bench.gateway._engine.pool
    plan = pool.plan([Target(upstream=dialect.name, model="test")], allowed=[f"{dialect.name}/a1"])
    lease = await lease_for(pool, plan, 1)
    pool.release(lease, ServerFault("oops", upstream_status=500))
    with pytest.raises(PoolExhausted):
        await lease_for(pool, plan, 1, [lease.candidate])
    assert lease.candidate.account.label == "a1"


# --- F103: cancelled at every await -----------------------------------------------------------------------------------


def small_pool(count: int) -> Pool:
    origin = Origin("https", "one.example", 443)
    accounts = [Account(upstream="one", label=str(n), origin=origin, concurrency=1) for n in range(count)]
    return Pool(
        accounts, store=MemoryStore(anyio.current_time), now=anyio.current_time, rng=lambda: 0.0, max_waiting=10
    )


async def by_scope(waiting: Callable[[], Coroutine[Any, Any, None]], number: int) -> bool:
    with anyio.CancelScope() as scope:
        return await interrupted_at(number, waiting(), scope.cancel)
    return True


async def by_task(waiting: Callable[[], Coroutine[Any, Any, None]], number: int) -> bool:
    task = asyncio.ensure_future(interrupted_at(number, waiting(), lambda: task.cancel()))
    done, _ = await asyncio.wait([task])
    return True if task.cancelled() else done.pop().result()


@pytest.mark.parametrize("cancel", [by_scope, by_task])
@run_virtual
async def test_F103_whoever_is_cancelled_in_line_loses_nothing_for_the_others(
    cancel: Callable[[Callable[[], Coroutine[Any, Any, None]], int], Awaitable[bool]],
) -> None:
    number, was_interrupted = 0, True
    while was_interrupted:
        pool = small_pool(1)
        plan = pool.plan([Target(upstream="one", model="m")])
        held = pool.acquire(plan)
        got: list[str] = []

        async def wait(name: str, pool: Pool = pool, got: list[str] = got) -> None:
            lease = await lease_for(pool, pool.plan([Target(upstream="one", model="m")]), 100)
            got.append(name)
            pool.release(lease)

        async with anyio.create_task_group() as group:
            group.start_soon(wait, "before")
            await asyncio.sleep(0.1)  # virtual

            async def end(pool: Pool = pool, held: Any = held) -> None:
                await asyncio.sleep(1)  # virtual
                pool.release(held)

            group.start_soon(end)
            group.start_soon(wait, "after")
            was_interrupted = await cancel(lambda: wait("cancelled"), number)
        assert {"before", "after"} <= set(got)
        assert (pool.snapshot().accounts[0].in_flight, len(pool._line), pool.snapshot().stray_releases) == (0, 0, 0)
        number += 1
    assert number > 1


@run_virtual
async def test_F99_who_is_pushed_out_of_line_is_told_why() -> None:
    pool = small_pool(1)
    target = [Target(upstream="one", model="m")]
    held = pool.acquire(pool.plan(target))
    ends: Counter[str] = Counter()

    async def wait(caller: str) -> None:
        try:
            pool.release(await lease_for(pool, pool.plan(target, caller=caller), 100))
            ends[f"{caller} served"] += 1
        except QueueFull:
            ends[f"{caller} full"] += 1

    async with anyio.create_task_group() as group:
        for caller in ["large"] * 10 + ["small"]:
            group.start_soon(wait, caller)
            await asyncio.sleep(0)  # virtual
        await asyncio.sleep(0.1)  # virtual
        pool.release(held)
    assert ends == {"large served": 9, "large full": 1, "small served": 1}
