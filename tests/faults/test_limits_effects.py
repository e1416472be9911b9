"""What limits do to a request: what an upstream's headers say is heeded, tokens are set aside and put right."""

import asyncio
import json
from typing import Any

import pytest

from asgi_ds2api.pool.model import AccountStatus
from tests.support.asgi_driver import Exchange, call
from tests.support.dialects import DIALECTS, Dialect
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import Answering, Delay, ScriptedUpstream, answering, streaming
from tests.support.virtual_time import run_virtual

from .bench import Bench, Way, both_faces, every_way, whole_and_streamed

pytestmark = pytest.mark.anyio

SPENT = {
    "chat": {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    },
    "claude": {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:00Z",  # a minute after the wall clock of the bench
    },
}


def spent(way: Way, *, stream: bool) -> Answering:
    """Return an answer whose headers say that it was the last for now."""
    headers = SPENT[way.upstream.name]
    if stream:
        return Answering(200, {"content-type": "text/event-stream", **headers}, way.upstream.text_stream())
    return answering(way.upstream.whole(), headers=headers)


@every_way
@whole_and_streamed
@run_virtual
async def test_account_that_said_it_has_nothing_left_is_not_asked_before_it_has(way: Way, stream: bool) -> None:
    right = streaming(*way.upstream.text_stream()) if stream else answering(way.upstream.whole())
    by_turns = {"affinity_s": 0}
    async with Bench(way, spent(way, stream=stream), right, right, right, timeouts=by_turns) as bench:
        for _ in range(3):
            assert bench.seen(await bench.ask(stream=stream), stream=stream).is_success
        assert [status.completed for status in bench.accounts] == [1, 2]
        await asyncio.sleep(1.01)  # virtual
        await bench.ask(stream=stream)
        assert [status.completed for status in bench.accounts] == [2, 2]


@both_faces
@run_virtual
async def test_F30_limit_whose_headers_leave_no_request_closes_the_account_for_all_models(way: Way) -> None:
    error = way.upstream.error(429, "Rate limit reached for model test")
    headers = {"retry-after": "7", **SPENT[way.upstream.name]}
    async with Bench(way, answering(error, status=429, headers=headers), accounts=1) as bench:
        await bench.ask(stream=False)
        assert [(status.state, status.models) for status in bench.accounts] == [("cooling", ())]


@both_faces
@run_virtual
async def test_F30_limit_of_a_model_closes_the_account_for_it_alone(way: Way) -> None:
    error = way.upstream.error(429, "Rate limit reached for model test")
    async with Bench(way, answering(error, status=429, headers={"retry-after": "7"}), accounts=1) as bench:
        await bench.ask(stream=False)
        (status,) = bench.accounts
        assert (status.state, [narrow.state for narrow in status.models]) == ("healthy", ["cooling"])


# --- tokens -----------------------------------------------------------------------------------------------------------


class Metered:
    """A gateway whose only account has a limit of tokens a minute.

    Args:
        dialect: Of face and upstream.
        script: What the upstream does.
    """

    def __init__(self, dialect: Dialect, *script: Answering) -> None:
        self.dialect = dialect
        self.gateway = make_gateway(
            upstream(dialect.name, tpm=100_000), scripts={dialect.name: ScriptedUpstream(*script)}
        )

    def ask(self, *, stream: bool) -> dict[str, Any]:
        return {**self.dialect.ask(f"{self.dialect.name}/test", stream=stream), "max_tokens": 50_000}

    @property
    def account(self) -> AccountStatus:
        return self.gateway._engine.pool.snapshot().accounts[0]

    @property
    def used(self) -> int:
        assert self.account.tokens_left is not None
        return 100_000 - self.account.tokens_left


dialects = pytest.mark.parametrize("dialect", [DIALECTS["chat"], DIALECTS["claude"]], ids=["chat", "claude"])


@dialects
@run_virtual
async def test_tokens_are_set_aside_before_an_answer_and_put_right_by_its_usage(dialect: Dialect) -> None:
    held = Answering(pieces=[dialect.whole()], before=[Delay(0.002)])
    metered = Metered(dialect, held)
    asking = asyncio.ensure_future(
        call(metered.gateway, "POST", dialect.path, json=metered.ask(stream=False), headers=dialect.headers)
    )
    await asyncio.sleep(0.001)  # virtual
    before = metered.used
    assert (await asking).status == 200
    assert 50_000 < before < 50_100
    assert 0 < metered.used < 100


@dialects
@run_virtual
async def test_an_attempt_that_fails_before_an_answer_costs_no_tokens(dialect: Dialect) -> None:
    metered = Metered(dialect, Answering(500))
    answer = await call(metered.gateway, "POST", dialect.path, json=metered.ask(stream=False), headers=dialect.headers)
    assert (answer.status, metered.used) == (502, 0)


@dialects
@run_virtual
async def test_R45_a_stream_whose_caller_leaves_costs_what_was_seen_of_it(dialect: Dialect) -> None:
    frames = dialect.text_stream()
    metered = Metered(dialect, streaming(*frames[:3], Delay(1_000)))
    headers = {"content-type": "application/json", **dialect.headers}
    body = json.dumps(metered.ask(stream=True)).encode()
    async with Exchange(metered.gateway, "POST", dialect.path, headers=headers, body=body) as exchange:
        await asyncio.sleep(0.001)  # virtual
        assert metered.used > 40_000
        exchange.disconnect()
        await exchange.finish()
    assert 0 < metered.used < 100
