"""Answers in the background: what they use is counted once, when it is known, on the day on which they were asked."""

import json
from typing import Any

import anyio
import pytest

from asgi_ds2api.auth import Caller
from asgi_ds2api.budgets import CallerLimits, Use, admission
from asgi_ds2api.canonical import Usage
from asgi_ds2api.codec import Owed
from asgi_ds2api.prices import PriceTable
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.spending import Costs, settle_owed
from asgi_ds2api.state.contract import Amount
from asgi_ds2api.state.memory import MemoryStore
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream, answering

pytestmark = pytest.mark.anyio

KEY = "the-key-of-bob-0123"
AUTH = {"authorization": f"Bearer {KEY}"}
QUEUED: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1, "status": "queued",
                          "model": "gpt-4o", "output": [], "background": True, "usage": None}  # fmt: skip
WORKING = {**QUEUED, "status": "in_progress"}
DONE = {**QUEUED, "status": "completed", "usage": {"input_tokens": 3_000, "output_tokens": 500, "total_tokens": 3_500}}
RESERVED = 2_000
"""At least: what the answer may have, and a few bytes of the question."""


def still() -> float:
    """Tell the time of a clock that stands."""
    return 1_000.0


class House:
    """A gateway in front of a vendor of Responses, and a caller who has budgets."""

    def __init__(self, *answers: dict[str, Any], **limits: float) -> None:
        self.upstream = ScriptedUpstream(*[answering(json.dumps(answer).encode()) for answer in answers])
        self.records = Records()
        self.store = MemoryStore(still)
        self.gateway = make_gateway(
            upstream("responses", profile="openai-responses"),
            scripts={"responses": self.upstream},
            hooks=[self.records],
            store=self.store,
            now=still,
            auth="callers",
            callers=[{"label": "bob", "key": Secret(KEY), **(limits or {"tokens_per_day": 9_000, "usd_per_day": 5})}],
        )

    async def begin(self, **fields: Any) -> Answer:
        body = {"model": "responses/gpt-4o", "input": "One", "background": True, "max_output_tokens": 2_000, **fields}
        return await call(self.gateway, "POST", "/v1/responses", json=body, headers=AUTH)

    async def look(self) -> Answer:
        return await call(self.gateway, "GET", "/v1/responses/resp_1", headers=AUTH)

    def used(self, unit: str) -> float:
        (name,) = [key for key in self.store._ledger._counts if key.startswith(f"{unit} day")]
        return self.store.used(Amount(name=name, amount=0, limit=9_000, life_s=60))


async def test_R_45_what_is_reserved_stays_so_until_the_answer_has_ended() -> None:
    house = House(QUEUED, WORKING, DONE)
    await house.begin()
    before = house.used("tokens")
    await house.look()
    assert RESERVED <= house.used("tokens") == before < RESERVED + 100
    await house.look()
    assert house.used("tokens") == 3_500
    assert house.used("usd") == pytest.approx((3_000 * 2.5 + 500 * 10) / 1_000_000)


async def test_R_45_it_is_put_right_once_however_many_look_it_up_at_the_same_moment() -> None:
    house = House(QUEUED, DONE, DONE, DONE)
    await house.begin()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(house.look)
    await house.look()
    assert (house.used("tokens"), len(house.upstream.calls)) == (3_500, 4)


async def test_R_45_it_is_put_right_once_for_as_long_as_somebody_may_hold_the_answer_as_it_was() -> None:
    """A worker that has looked an answer up before it ended holds it so for as long as answers are kept, at worst."""
    now, kept_s = 1_000.0, 80_000.0
    store = MemoryStore(lambda: now)
    bob = Caller(label="bob", limits=CallerLimits(tokens_per_day=9_000))
    owed = Owed(upstream="responses", model="gpt-4o", tokens=2_000, usd=None, since=now)
    today = admission("a", "bob", bob.limits, Use(tokens=8_000), now)
    await store.admit(today)
    costs, usage = Costs(PriceTable(()), lambda: now), Usage(input_total=300, output_total=200)
    await settle_owed(store, costs, bob, "resp_1", owed, usage, kept_s)
    now += kept_s - 1
    await settle_owed(store, costs, bob, "resp_1", owed, usage, kept_s)
    assert store.used(today.amounts[0]) == 6_500


async def test_R_45_an_answer_that_does_not_tell_keeps_what_was_reserved() -> None:
    house = House(QUEUED, {**QUEUED, "status": "cancelled"})
    await house.begin()
    await house.look()
    assert house.used("tokens") >= RESERVED


async def test_answer_that_ends_at_once_is_settled_at_once() -> None:
    house = House(DONE)
    await house.begin()
    assert house.used("tokens") == 3_500


async def test_its_place_among_those_at_a_time_is_given_back_at_once() -> None:
    house = House(QUEUED, QUEUED, concurrency=1)
    assert [(await house.begin()).status for _ in range(2)] == [200, 200]


async def test_record_of_the_look_up_that_sees_the_end_tells_what_it_cost() -> None:
    house = House(QUEUED, WORKING, DONE)
    await house.begin()
    for _ in range(3):
        await house.look()
    told = [None if record.usage is None else record.usage.input_total for record in house.records]
    assert told == [None, None, 3_000, None]
    assert [record.cost_usd is not None for record in house.records] == [False, False, True, False]
