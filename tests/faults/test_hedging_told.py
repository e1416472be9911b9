"""F104: what is told of two attempts at one answer, and who pays for both."""

import logging
from typing import Any

import anyio
import pytest

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.observe import Record
from asgi_ds2api.pool.model import Candidate
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.patience import MIN_SEEN, Kind
from tests.support.asgi_driver import Answer, Exchange
from tests.support.gateways import CALLER_KEY, Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import NEVER, Answering, Delay, Script, ScriptedUpstream, answering
from tests.support.virtual_time import run_virtual

USUAL_S = 2.0
PRICES = [
    {"model": "slow/m", "input": 250_000, "output": 500_000},
    {"model": "quick/m", "input": 500_000, "output": 1_000_000},
]
"""A quarter of a dollar a token of input at the first, half a one at the second; output costs twice that."""


def said(prompt: int, completion: int) -> dict[str, object]:
    message = {"role": "assistant", "content": "Hi"}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }  # fmt: skip


def teach(gateway: Gateway, *, stream: bool) -> None:
    """Let all accounts have begun their answers after `USUAL_S`."""
    engine = gateway._engine
    for account in engine.pool._slots:
        for _ in range(MIN_SEEN):
            engine.patience.answered(Kind(Candidate(account, "m"), "generate", stream), USUAL_S)


class House:
    """A caller with a budget, in front of two upstreams of the same model.

    Args:
        slow: What the first one does.
        quick: What the second one does.
        config: Of the gateway.
    """

    def __init__(self, slow: Script, *quick: Script, stream: bool = False, **config: Any) -> None:
        self.records = Records()
        self.scripts = {"slow": ScriptedUpstream(slow), "quick": ScriptedUpstream(*quick)}
        self.stream = stream
        caller = {"label": "bob", "key": Secret(CALLER_KEY), "tokens_per_day": 1_000_000, "usd_per_day": 1_000_000}
        origins = {"slow": "http://127.0.0.1:9", "quick": "http://127.0.0.2:9"}
        settings = {"hedge": True, "auth": "callers", "callers": [caller], "prices": PRICES, **config}
        self.gateway = make_gateway(
            *[upstream(name, protocol="openai_chat", url=url) for name, url in origins.items()],
            scripts=self.scripts,
            hooks=[self.records],
            models=[{"name": "m", "targets": ["slow/m", "quick/m"]}],
            **settings,
        )
        teach(self.gateway, stream=stream)

    async def ask(self, *, leave_s: float | None = None, **fields: object) -> Answer:
        """Ask, and leave after a while."""
        body = {"model": "m", "stream": self.stream, "messages": [{"role": "user", "content": "H" * 400}], **fields}
        headers = {"authorization": f"Bearer {CALLER_KEY}"}
        async with Exchange(self.gateway, "POST", "/v1/chat/completions", json=body, headers=headers) as exchange:
            if leave_s is not None:
                await anyio.sleep(leave_s)  # virtual
                exchange.disconnect()
            answer = await exchange.finish()
        assert open_leases(self.gateway) == 0
        return answer

    @property
    def record(self) -> Record:
        (record,) = self.records
        return record

    @property
    def told(self) -> list[tuple[str, str, bool]]:
        """How each attempt ended."""
        return [(attempt.upstream, attempt.code, attempt.is_hedge) for attempt in self.record.attempts]

    def used(self) -> dict[str, float]:
        """Return what the caller has used up, by unit."""
        (caller,) = self.gateway.snapshot().callers
        return {limit.unit: limit.used for limit in caller.limits}


@run_virtual
async def test_F104_answer_of_the_second_is_paid_for_and_so_is_what_the_first_may_have_cost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House(NEVER, answering(said(100, 10)))
    with caplog.at_level(logging.INFO, "asgi_ds2api.access"):
        assert (await house.ask()).status == 200
    record = house.record
    assert (house.told, record.hedge) == ([("slow", "hedge_lost", False), ("quick", "ok", True)], "won")
    lost, won = record.attempts
    assert lost.usage is not None
    assert (lost.usage.is_estimated, won.usage) == (True, None)
    about = len(house.scripts["slow"].calls[0].request.body) // 4
    assert lost.usage.input_total is not None
    assert lost.usage.input_total == pytest.approx(about, abs=10)
    assert lost.usage.output_total == 10, "a whole answer is thought to be as long as the one that came"
    assert record.usage is not None
    assert record.usage.input_total == 100
    lost_usd = lost.usage.input_total * 0.25 + 10 * 0.5
    assert (lost.cost_usd, record.cost_usd) == (lost_usd, 100 * 0.5 + 10 * 1.0 + lost_usd)
    assert house.used() == {"tokens": 110 + lost.usage.input_total + 10, "usd": record.cost_usd}
    assert house.gateway.snapshot().hedges == {"begun": 1, "won": 1, "lost": 0}
    assert house.gateway.status()["hedges"] == {"begun": 1, "won": 1, "lost": 0}
    (line,) = [vars(line) for line in caplog.records if line.name == "asgi_ds2api.access"]
    told = {name: line[name] for name in line if name.startswith("hedge_")}
    assert told == {
        "hedge_result": "won", "hedge_input_tokens": lost.usage.input_total, "hedge_output_tokens": 10,
        "hedge_cost_usd": lost_usd,
    }  # fmt: skip


@run_virtual
async def test_F104_answer_of_the_first_is_paid_for_and_so_is_what_the_second_may_have_cost() -> None:
    house = House(Answering(200, pieces=[b" ", Delay(3), answering(said(100, 10)).pieces[0]]), NEVER)
    assert (await house.ask()).status == 200
    record = house.record
    assert (house.told, record.hedge) == ([("quick", "hedge_lost", True), ("slow", "ok", False)], "lost")
    lost = record.attempts[0]
    assert lost.usage is not None
    assert record.cost_usd == 100 * 0.25 + 10 * 0.5 + (lost.usage.input_total or 0) * 0.5 + 10 * 1.0
    assert house.gateway.snapshot().hedges == {"begun": 1, "won": 0, "lost": 1}


@run_virtual
async def test_F104_stream_that_was_not_waited_for_is_thought_to_have_cost_its_input() -> None:
    end = (
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    house = House(NEVER, Answering(200, {"content-type": "text/event-stream"}, [end]), stream=True)
    assert (await house.ask()).status == 200
    lost, _ = house.record.attempts
    assert lost.usage is not None
    assert lost.usage.output_total == 0
    assert (lost.usage.input_total or 0) > 100


@run_virtual
async def test_F104_both_are_counted_where_the_caller_leaves_before_either_answers() -> None:
    house = House(NEVER, NEVER)
    await house.ask(leave_s=5)
    assert house.record.result == "client_gone"
    assert house.told == [("slow", "abandoned", False), ("quick", "abandoned", True)]
    assert [attempt.usage is not None for attempt in house.record.attempts] == [True, False]
    asked = house.record.bytes_in // 4
    assert house.used()["tokens"] == pytest.approx(2 * asked, abs=10)


@run_virtual
async def test_F104_failure_that_costs_nothing_is_not_counted() -> None:
    house = House(Answering(200, pieces=[b" ", Delay(3), answering(said(100, 10)).pieces[0]]), Answering(500))
    assert (await house.ask()).status == 200
    assert house.told == [("quick", "upstream_server_error", True), ("slow", "ok", False)]
    assert (house.record.extra, house.record.cost_usd, house.record.hedge) == (None, 100 * 0.25 + 10 * 0.5, "lost")


@run_virtual
async def test_F104_it_is_off_by_default() -> None:
    late = Answering(200, pieces=[b" ", Delay(60), answering(said(100, 10)).pieces[0]])
    house = House(late, hedge=False)
    assert (await house.ask()).status == 200
    assert (house.told, house.record.hedge) == ([("slow", "ok", False)], "")
    assert house.gateway.snapshot().hedges == {"begun": 0, "won": 0, "lost": 0}
    assert make_gateway(upstream("chat")).config.upstreams[0].hedge is False


@run_virtual
async def test_F104_parts_of_a_request_are_not_hedged() -> None:
    """A request may be asked twice once, not once for each of its parts."""
    late = Answering(200, pieces=[b" ", Delay(60), answering(said(100, 10)).pieces[0]])
    scripts = {"claude": ScriptedUpstream.by_request(lambda _: late)}
    gateway = make_gateway(upstream("claude", accounts=4), scripts=scripts, hedge=True, fan_out=True)
    teach(gateway, stream=False)
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        await exchange.finish()
    assert len(scripts["claude"].calls) == 2


@pytest.mark.parametrize(
    ("is_background", "calls"), [(False, 2), (True, 1)], ids=["F104-waited-for", "F104-background"]
)
@run_virtual
async def test_answer_that_a_vendor_works_on_in_the_background_is_not_asked_for_twice(
    is_background: bool, calls: int
) -> None:
    """Nothing would stop the one that lost."""
    scripted = ScriptedUpstream.by_request(lambda _: Answering(400, before=[Delay(60)]))
    gateway = make_gateway(upstream("responses", accounts=2), scripts={"responses": scripted}, hedge=True)
    teach(gateway, stream=False)
    body = {"model": "responses/m", "input": "Hi", "background": is_background}
    async with Exchange(gateway, "POST", "/v1/responses", json=body) as exchange:
        await exchange.finish()
    assert len(scripted.calls) == calls
