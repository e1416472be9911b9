"""Callers within their limits, over the whole way: what is let in, what is refused natively, what is given back."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asgi_ds2api.auth import Caller
from asgi_ds2api.budgets import CallerLimits
from asgi_ds2api.errors import Refused, ServerFault
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.state.contract import Amount
from asgi_ds2api.state.memory import MemoryStore
from tests.conformance.asking import chat_answer, chunk
from tests.support.asgi_driver import Answer, Exchange, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.http_bytes import sse_body
from tests.support.scripted_client import NEVER, Script, ScriptedUpstream, answering, streaming
from tests.support.waiting import Gate

pytestmark = pytest.mark.anyio

KEYS = {"bob": "the-key-of-bob-0123", "eve": "the-key-of-eve-0123"}
PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "claude": ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}),
    "gemini": ("/v1beta/models/chat/gpt-4o:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}], "stream": False}),
}


def still() -> float:
    """Tell the time of a clock that stands: nothing comes back while a test runs."""
    return 1_000.0


class House:
    """A gateway whose callers have limits, in front of one upstream."""

    def __init__(self, *scripts: Script, prices: Any = (), expires: str | None = None, **limits: float) -> None:
        self.upstream = ScriptedUpstream(*scripts)
        self.records = Records()
        self.store = MemoryStore(still)
        callers = [{"label": label, "key": Secret(key), **limits} for label, key in KEYS.items()]
        if expires is not None:
            callers[0]["expires"] = expires
        self.gateway: Gateway = make_gateway(
            upstream("chat"),
            scripts={"chat": self.upstream},
            hooks=[self.records],
            store=self.store,
            now=still,
            auth="callers",
            callers=callers,
            prices=list(prices),
        )

    async def ask(self, face: str = "chat", caller: str = "bob", model: str = "gpt-4o", **fields: Any) -> Answer:
        path, body = PATHS[face]
        whole = {**body, **({} if face == "gemini" else {"model": f"chat/{model}"}), **fields}
        return await call(self.gateway, "POST", path, json=whole, headers=credentials(caller))

    @asynccontextmanager
    async def asking(self, **fields: Any) -> AsyncIterator[Exchange]:
        """Have bob ask, and wait for an answer as long as the block takes; then he leaves."""
        path, body = PATHS["chat"]
        whole = {**body, "model": "chat/gpt-4o", **fields}
        async with Exchange(self.gateway, "POST", path, json=whole, headers=credentials("bob")) as exchange:
            await self.upstream.wait_calls(1)
            yield exchange

    def used(self, name: str, *, is_paced: bool = False) -> float:
        """How much bob has used of a limit whose name begins so."""
        (found,) = [key for key in self.store._ledger._counts if key.startswith(name) and key.endswith("bob")]
        return self.store.used(Amount(name=found, amount=0, limit=1_000, life_s=60, is_paced=is_paced))


def credentials(caller: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {KEYS[caller]}", "anthropic-version": "2023-06-01"}


def used(prompt: int, completion: int, cached: int = 0) -> Any:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return chat_answer(usage=usage)


async def test_requests_of_a_minute_are_counted_for_each_caller_by_itself() -> None:
    house = House(*[used(1, 1)] * 4, rpm=2)
    answers = [await house.ask(), await house.ask(), await house.ask(), await house.ask(caller="eve")]
    assert [answer.status for answer in answers] == [200, 200, 429, 200]
    assert answers[2].header("retry-after") == "30"
    assert answers[2].header("x-ds2api-error") == "caller_rate_limited"
    assert len(house.upstream.calls) == 3


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        ("chat", {"error": {"type": "requests", "code": "rate_limit_exceeded"}}),
        ("responses", {"error": {"type": "requests", "code": "rate_limit_exceeded"}}),
        ("claude", {"type": "error", "error": {"type": "rate_limit_error"}}),
        ("gemini", {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}),
        ("ollama", {}),
    ],
)
async def test_over_the_limit_each_face_says_so_in_its_own_words(face: str, expected: dict[str, Any]) -> None:
    house = House(used(1, 1), rpm=1)
    assert (await house.ask(face)).status == 200
    refused = await house.ask(face)
    body = json.loads(refused.body)
    assert refused.status == 429
    assert holds(body, expected), body
    assert "60 requests" not in refused.text
    assert "1 requests a minute" in refused.text


def holds(body: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return all(key in body and holds(body[key], value) for key, value in expected.items())
    return bool(body == expected)


async def test_R_45_a_budget_is_reserved_before_and_put_right_after() -> None:
    house = House(used(30, 12), tokens_per_day=2_000)
    await house.ask(max_tokens=500)
    assert house.used("tokens day") == 42


async def test_R_45_two_requests_cannot_spend_the_same_tokens() -> None:
    house = House(NEVER, tokens_per_day=1_500)
    async with house.asking():
        refused = await house.ask(max_tokens=1_400)
    assert (refused.status, refused.header("x-ds2api-error")) == (429, "caller_budget_spent")
    assert (refused.header("x-should-retry"), refused.header("retry-after")) == ("false", None)
    assert json.loads(refused.body)["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Refused("no", status=400), id="the vendor refused it"),
        pytest.param(ServerFault("oops", upstream_status=500), id="the vendor failed"),
    ],
)
async def test_R_45_what_failed_costs_nothing_but_its_place_in_the_minute(failure: Any) -> None:
    house = House(failure, rpm=60, tokens_per_day=2_000)
    assert (await house.ask()).status >= 400
    assert (house.used("tokens day"), round(house.used("requests minute", is_paced=True), 1)) == (0, 16.7)


async def test_R_45_who_leaves_pays_for_what_was_asked_and_holds_no_slot() -> None:
    house = House(NEVER, used(1, 1), concurrency=1, tokens_per_day=2_000)
    async with house.asking() as gone:
        gone.disconnect()
    assert 0 < house.used("tokens day") < 100
    assert (await house.ask()).status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_R_45_record_of_who_leaves_before_the_first_byte_tells_what_the_budget_paid(stream: bool) -> None:
    house = House(NEVER, tokens_per_day=2_000, usd_per_day=5)
    async with house.asking(stream=stream) as gone:
        gone.disconnect()
    (record,) = house.records
    assert record.usage is not None
    assert (record.result, record.usage.is_estimated) == ("client_gone", True)
    assert record.usage.input_total == house.used("tokens day")
    assert record.cost_usd == pytest.approx(house.used("usd day"))


async def test_as_many_at_a_time_as_is_allowed() -> None:
    house = House(NEVER, used(1, 1), concurrency=1)
    async with house.asking():
        busy, other = await house.ask(), await house.ask(caller="eve")
    assert (busy.status, busy.header("retry-after"), other.status) == (429, "1", 200)


async def test_money_is_counted_by_list_prices_and_own_ones_first() -> None:
    house = House(
        used(1_000, 100), used(1_000, 100), usd_per_day=5, prices=[{"model": "mine", "input": 1, "output": 2}]
    )
    await house.ask()
    listed = house.used("usd day")
    await house.ask(model="mine")
    assert listed == pytest.approx(0.0035)
    assert house.used("usd day") == pytest.approx(0.0035 + 0.0012)
    assert [record.cost_usd for record in house.records] == [pytest.approx(0.0035), pytest.approx(0.0012)]


async def test_model_without_a_price_is_counted_in_tokens_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    house = House(used(30, 12), used(30, 12), usd_per_day=5, tokens_per_day=9_000)
    with caplog.at_level(logging.WARNING, "asgi_ds2api.budgets"):
        await house.ask(model="nobody-knows")
        await house.ask(model="nobody-knows")
    assert (house.used("tokens day"), house.used("usd day")) == (84, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "no price is known of chat/nobody-knows: budgets of money do not count it, those of tokens do; see [[prices]]"
    ]
    assert house.records[0].cost_usd is None


async def test_callers_of_the_host_have_limits_too() -> None:
    async def authorize(scope: Any) -> Caller:
        return Caller(label="session-1", limits=CallerLimits(rpm=1))

    gateway = make_gateway(
        upstream("chat"), scripts={"chat": ScriptedUpstream(used(1, 1))}, auth="host", authorize=authorize
    )
    path, body = PATHS["chat"]
    statuses = [(await call(gateway, "POST", path, json={**body, "model": "chat/m"})).status for _ in range(2)]
    assert statuses == [200, 429]


class Lost(MemoryStore):
    """A shared store whose place is out of reach."""

    is_shared = True
    is_alone = True


@pytest.mark.parametrize(
    ("is_strict", "limits", "status"),
    [
        pytest.param(True, {"tokens_per_day": 9_000}, 503, id="F108-a-strict-budget-is-closed"),
        pytest.param(False, {"tokens_per_day": 9_000}, 200, id="F108-any-other-is-open"),
        pytest.param(True, {"rpm": 60}, 200, id="F108-a-rate-is-no-budget"),
    ],
)
async def test_while_shared_state_is_out_of_reach(is_strict: bool, limits: dict[str, float], status: int) -> None:
    store = Lost(still)
    gateway = make_gateway(
        upstream("chat"),
        scripts={"chat": ScriptedUpstream(used(1, 1))},
        store=store,
        now=still,
        auth="callers",
        callers=[{"label": "bob", "key": Secret(KEYS["bob"]), **limits}],
        strict_budgets=is_strict,
    )
    path, body = PATHS["chat"]
    answer = await call(gateway, "POST", path, json={**body, "model": "chat/m"}, headers=credentials("bob"))
    assert answer.status == status
    left = [store.used(Amount(name=name, amount=0, limit=9, life_s=60)) for name in store._ledger._counts]
    assert is_strict is False or "rpm" in limits or left == [0]


async def test_key_that_has_expired_is_nobodys() -> None:
    house = House(used(1, 1), used(1, 1), expires="2020-01-31")
    late, other = await house.ask(), await house.ask(caller="eve")
    assert (late.status, other.status) == (401, 200)
    assert "expired" in late.text


async def test_key_that_expires_while_its_answer_comes_gets_all_of_it_and_is_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, usage = Gate(), {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
    rest: list[Any] = [chunk({"content": " world"}), chunk({}, "stop", usage=usage), "[DONE]"]
    house = House(
        streaming(sse_body([chunk({"content": "Hello"})]), gate, sse_body(rest)),
        expires="2099-01-31",
        tokens_per_day=10_000,
        concurrency=1,
    )
    path, body = PATHS["chat"]
    asked = {**body, "model": "chat/gpt-4o", "stream": True, "max_tokens": 100}
    async with Exchange(house.gateway, "POST", path, json=asked, headers=credentials("bob")) as exchange:
        await exchange.read_until(b"Hello")
        monkeypatch.setattr(house.gateway._engine.authenticator, "_wall_now", lambda: 5e9)  # in 2128
        gate.open()
        answer = await exchange.finish()
    assert (answer.status, "world" in answer.text, "[DONE]" in answer.text) == (200, True, True)
    assert (house.used("tokens day"), house.gateway._engine.spenders.in_flight("bob")) == (42, 0)
    assert (await house.ask()).status == 401


async def test_record_tells_what_was_used_and_how_fast() -> None:
    house = House(used(1_000, 100, cached=400))
    await house.ask()
    assert house.gateway._engine.costs.saved_usd["chat"] == pytest.approx(400 * 1.25 / 1_000_000)
    (record,) = house.records
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total, record.usage.cache_read) == (1_000, 100, 400)
    assert record.cost_usd == pytest.approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1_000_000)
    assert [attempt.code for attempt in record.attempts] == ["ok"]


def counting(script: Script) -> tuple[Gateway, Records]:
    """Return a gateway in front of an upstream that counts tokens, whose caller bob has budgets."""
    records = Records()
    limits = {"rpm": 60, "tpm": 1_000, "tokens_per_day": 1_000, "usd_per_day": 1}
    gateway = make_gateway(
        upstream("claude", tpm=1_000),
        scripts={"claude": ScriptedUpstream(script)},
        hooks=[records],
        now=still,
        auth="callers",
        callers=[{"label": "bob", "key": Secret(KEYS["bob"]), **limits}],
        prices=[{"model": "*", "input": 1_000, "output": 1_000}],
    )
    return gateway, records


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param(answering(b'{"input_tokens":4000}'), 200, id="counted"),
        pytest.param(answering(b"oops"), 502, id="broken"),
    ],
)
async def test_counting_tokens_is_a_request_and_nothing_else(script: Script, status: int) -> None:
    gateway, records = counting(script)
    path, body = PATHS["claude"]
    ask = {**body, "model": "claude/m", "messages": [{"role": "user", "content": "Hi " * 2_000}]}
    answer = await call(gateway, "POST", f"{path}/count_tokens", json=ask, headers=credentials("bob"))
    assert answer.status == status
    used = {(limit.unit, limit.period): limit.used for limit in gateway.snapshot().callers[0].limits}
    assert used == {
        ("requests", "minute"): 1,
        ("tokens", "minute"): 0,
        ("tokens", "day"): 0,
        ("usd", "day"): 0,
    }
    assert (records[-1].usage, records[-1].cost_usd) == (None, None)
    assert gateway.snapshot().accounts[0].tokens_left == 1_000
