"""What an attempt does with what the others say: passes over what they fill, holds nothing that it did not use."""

import os
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.pool.limits import Demand
from asgi_ds2api.serving.fleet import Fleet
from asgi_ds2api.state.contract import Admission, Amount, NotAdmitted, SharedSlot
from asgi_ds2api.state.memory import MemoryStore
from tests.conformance.asking import chat_answer
from tests.support.asgi_driver import Exchange, call
from tests.support.gateways import make_gateway, open_leases, upstream
from tests.support.scripted_client import NEVER, Delay, Script, ScriptedUpstream
from tests.support.virtual_time import run_virtual

pytestmark = pytest.mark.anyio

ASK = {"model": "chat/m", "messages": [{"role": "user", "content": "Hi"}]}
PATH = "/v1/chat/completions"


class Shared(MemoryStore):
    """A store that several gateways of one process share."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__(lambda: 1_000.0)
        self.asked: list[Admission] = []
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def admit(self, admission: Admission) -> NotAdmitted | None:
        """Remember who asked, and answer when the test lets it."""
        self.asked.append(admission)
        await self.may_answer.wait()
        return await super().admit(admission)


class Taken(Shared):
    """A store whose other users take what the first attempt has, as soon as that gives it back."""

    async def admit(self, admission: Admission) -> NotAdmitted | None:
        """Grant the first attempt alone."""
        is_first = not self.asked
        granted = await super().admit(admission)
        return granted if is_first else NotAdmitted("account chat/a0", 1.0)


def gateway(
    store: Shared, *scripts: Script, accounts: int = 1, queue_s: float = 5, **fields: Any
) -> tuple[Gateway, ScriptedUpstream]:
    scripted = ScriptedUpstream(*scripts)
    made = make_gateway(
        upstream("chat", accounts=accounts, **fields),
        scripts={"chat": scripted},
        store=store,
        timeouts={"queue_s": queue_s},
    )
    return made, scripted


async def test_an_account_that_others_fill_is_passed_over() -> None:
    store = Shared()
    await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),)))
    app, scripted = gateway(store, chat_answer(), accounts=2, concurrency=1)
    assert (await call(app, "POST", PATH, json=ASK)).status == 200
    assert [str(made.header("authorization")).endswith("-1") for made in scripted.calls] == [True]


async def test_an_account_that_others_fill_is_waited_for_while_there_is_no_other() -> None:
    store = Shared()
    await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),)))
    app, scripted = gateway(store, chat_answer(), concurrency=1)
    async with Exchange(app, "POST", PATH, json=ASK) as exchange:
        while len(store.asked) < 3:  # noqa: ASYNC110  the store of this test sets no event
            await anyio.sleep(0.01)  # between two looks
        assert scripted.calls == []
        store.leave("other")
        assert (await exchange.finish()).status == 200


@run_virtual
async def test_all_waits_for_the_others_together_are_no_longer_than_one_in_line() -> None:
    store = Shared()
    await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),)))
    app, scripted = gateway(store, concurrency=1, queue_s=3)
    began = anyio.current_time()
    answer = await call(app, "POST", PATH, json=ASK)
    assert (answer.status, scripted.calls) == (429, [])
    assert anyio.current_time() - began == pytest.approx(3, abs=0.3)
    assert len(store.asked) < 20


@run_virtual
async def test_who_waited_in_line_before_the_others_were_asked_waits_no_longer_for_them() -> None:
    store = Taken()
    app, scripted = gateway(store, replace(chat_answer(), before=[Delay(1.9)]), concurrency=1, queue_s=2)
    async with Exchange(app, "POST", PATH, json=ASK) as first:
        while not store.asked:  # noqa: ASYNC110  the store of this test sets no event
            await anyio.sleep(0.01)  # virtual
        began = anyio.current_time()
        answer = await call(app, "POST", PATH, json=ASK)
        assert (answer.status, len(scripted.calls)) == (429, 1)
        assert 1.8 < anyio.current_time() - began <= 2
        await first.finish()


@run_virtual
async def test_those_who_wait_for_what_others_fill_are_served_in_the_order_in_which_they_came() -> None:
    store = Shared()
    await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),)))
    app, scripted = gateway(store, *[chat_answer()] * 6, concurrency=1, queue_s=30)

    async def ask(number: int) -> None:
        await anyio.sleep(number * 0.05)  # virtual
        said = {**ASK, "messages": [{"role": "user", "content": str(number)}]}
        assert (await call(app, "POST", PATH, json=said)).status == 200

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(ask, number)
        await anyio.sleep(1.3)  # virtual: until then nobody is granted anything
        store.leave("other")
    asked = [made.json()["messages"] for made in scripted.calls]
    assert asked == [[{"role": "user", "content": str(number)}] for number in range(6)]


@run_virtual
async def test_who_would_wait_in_vain_for_the_others_minute_is_told_at_once_and_until_when() -> None:
    store = Shared()
    app, scripted = gateway(store, chat_answer(), rpm=1, queue_s=5)
    await store.admit(Admission(holder="other", amounts=(_requests_of("chat/a0", 1),)))
    began = anyio.current_time()
    answer = await call(app, "POST", PATH, json=ASK)
    assert (answer.status, anyio.current_time(), len(store.asked)) == (429, began, 2)
    assert 50 <= int(answer.header("retry-after") or 0) <= 70
    assert scripted.calls == []


async def test_F99_request_that_is_wrong_takes_nothing_of_what_others_share() -> None:
    store = Shared()
    app, scripted = gateway(store, rpm=1)
    odd = {"model": "chat/m", "max_tokens": 9, "messages": [{"role": "nobody", "content": "Hi"}]}
    refused = await call(app, "POST", "/v1/messages", json=odd, headers={"anthropic-version": "2023-06-01"})
    assert (refused.status, scripted.calls, store.asked) == (400, [], [])


async def test_request_that_cannot_be_said_gives_its_place_in_the_minute_back() -> None:
    store = Shared()
    app, scripted = gateway(store, rpm=10)
    odd = {"model": "chat/m", "input": "Hi", "background": True}
    refused = await call(app, "POST", "/v1/responses", json=odd)
    assert (refused.status, scripted.calls) == (400, [])
    assert store.used(_requests_of("chat/a0", 10)) == pytest.approx(0)


def _requests_of(account: str, limit: float) -> Amount:
    name = f"requests minute of account {account}"
    return Amount(name=name, amount=1, limit=limit, life_s=60, is_paced=True)


async def test_what_was_granted_is_given_back_and_put_right() -> None:
    store = Shared()
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    app, _ = gateway(store, chat_answer(usage=usage), concurrency=1, tpm=1_000_000)
    await call(app, "POST", PATH, json=ASK)
    minute = Amount(name="tokens minute of account chat/a0", amount=0, limit=1_000_000, life_s=60, is_paced=True)
    assert store.used(minute) == pytest.approx(11)
    assert await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),))) is None


async def test_F103_who_leaves_while_the_others_are_asked_holds_nothing() -> None:
    store = Shared()
    store.may_answer = anyio.Event()
    app, scripted = gateway(store, concurrency=1)
    async with Exchange(app, "POST", PATH, json=ASK) as exchange:
        while not store.asked:
            await anyio.lowlevel.checkpoint()
        exchange.disconnect()
    store.may_answer.set()
    assert (open_leases(app), scripted.calls) == (0, [])
    assert await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),))) is None


async def test_F103_who_leaves_while_it_waits_for_an_answer_gives_its_place_back() -> None:
    store = Shared()
    app, scripted = gateway(store, NEVER, concurrency=1)
    async with Exchange(app, "POST", PATH, json=ASK) as exchange:
        await scripted.wait_calls(1)
        exchange.disconnect()
    assert open_leases(app) == 0
    assert await store.admit(Admission(holder="other", slots=(SharedSlot("account chat/a0", 1),))) is None


async def test_nothing_is_asked_of_the_others_where_nothing_is_limited() -> None:
    store = Shared()
    app, _ = gateway(store, chat_answer())
    await call(app, "POST", PATH, json=ASK)
    assert [(asked.probes, asked.slots, asked.amounts) for asked in store.asked] == [((), (), ())]


async def test_two_processes_hold_by_different_names() -> None:
    store = Shared()
    app, _ = gateway(store, accounts=1, concurrency=2)
    pool = app._engine.pool
    leases = [pool.acquire(pool.plan(app._engine.models.resolve("chat/m"))) for _ in range(2)]
    one, two = Fleet(store), Fleet(store)
    assert await one.admit(leases[0], Demand()) is None
    assert await two.admit(leases[0], Demand()) is None
    assert len({asked.holder for asked in store.asked}) == 2
    for lease in leases:
        pool.put_back(lease)


async def test_processes_that_were_forked_off_one_gateway_hold_by_different_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under ``gunicorn --preload``: each numbers its leases from 1, and all of them once were the same process."""
    store = Shared()
    app, _ = gateway(store, accounts=1, concurrency=2)
    fleet, pool = app._engine.fleet, app._engine.pool
    assert fleet is not None
    lease = pool.acquire(pool.plan(app._engine.models.resolve("chat/m")))

    async def is_let_in(worker: int) -> bool:
        monkeypatch.setattr(os, "getpid", lambda: worker)
        return await fleet.admit(lease, Demand()) is None

    assert [await is_let_in(worker) for worker in (101, 102, 103)] == [True, True, False]
    monkeypatch.setattr(os, "getpid", lambda: 101)
    fleet.leave(lease, Demand(), None)
    assert [await is_let_in(worker) for worker in (103, 104)] == [True, False]
    pool.put_back(lease)
