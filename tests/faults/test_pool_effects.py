"""F98 and what the faults do to the pool: who is asked next, who waits, and what a caller is told meanwhile."""

import asyncio

import pytest

from asgi_ds2api import Gateway
from tests.support.asgi_driver import Answer, call
from tests.support.dialects import ALL_DIALECTS, CHAT, TEXT, Dialect
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import (
    NEVER,
    Answering,
    Delay,
    Script,
    ScriptedUpstream,
    answering,
)
from tests.support.virtual_time import run_virtual

from .bench import Bench, Way, assert_told, every_face, every_protocol, stream_of, whole_and_streamed

pytestmark = pytest.mark.anyio


def limited(way: Way, wait_ms: int) -> Answering:
    """Return a 429 that asks for a pause."""
    return answering(way.upstream.error(429), status=429, headers={"retry-after-ms": str(wait_ms)})


def right(way: Way, *, stream: bool) -> Answering:
    """Return an answer."""
    return way.streaming(*way.upstream.text_stream()) if stream else answering(way.upstream.whole())


# --- F98: all accounts are cooling ------------------------------------------------------------------------------------


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F98_account_that_opens_soon_is_waited_for(way: Way, stream: bool) -> None:
    async with Bench(way, limited(way, 1_000), right(way, stream=stream), accounts=1) as bench:
        assert_told(bench, await bench.ask(stream=stream), "limited", stream=stream)
        answer = await bench.ask(stream=stream)
        assert bench.seen(answer, stream=stream).is_success
        assert 1.0 <= bench.record.duration_s <= 1.1  # the pause, and its jitter
        assert bench.codes == ["ok"]


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F98_far_opening_is_told_and_nobody_is_asked(way: Way, stream: bool) -> None:
    async with Bench(way, limited(way, 30_000), limited(way, 20_000)) as bench:
        await bench.ask(stream=stream)
        await asyncio.sleep(10)  # virtual
        answer = await bench.ask(stream=stream)
        assert answer.status == 429
        assert bench.seen(answer, stream=stream).error is not None
        assert (bench.record.code, bench.record.attempts) == ("pool_exhausted", ())
        # Of the sooner one: 20 s and its jitter, 10 s ago; and what spreads the callers.
        assert answer.header("retry-after") == "12"
        assert 10_500 < int(answer.header("retry-after-ms") or 0) <= 11_550
        assert answer.header("x-should-retry") is None
        assert len(bench.scripted.calls) == 2


@run_virtual
async def test_F98_callers_who_are_told_at_once_are_told_different_moments_and_none_too_soon() -> None:
    scripted = ScriptedUpstream(answering(CHAT.whole()))
    gateway = make_gateway(upstream("chat", rpm=1), scripts={"chat": scripted})
    gateway._engine.rng = iter([0.0, 0.5, 0.999]).__next__
    asked = [await call(gateway, "POST", CHAT.path, json=CHAT.ask("chat/test", stream=False)) for _ in range(4)]
    assert [answer.status for answer in asked] == [200, 429, 429, 429]
    told = [(answer.header("retry-after"), answer.header("retry-after-ms")) for answer in asked[1:]]
    assert told == [("60", "60000"), ("63", "63000"), ("66", "65994")]


@every_face
@run_virtual
async def test_F98_cooling_account_is_probed_by_one_of_all_who_wait(way: Way) -> None:
    probe = Answering(pieces=[way.upstream.whole()], before=[Delay(0.5)])
    rest = [answering(way.upstream.whole())] * 19
    async with Bench(way, limited(way, 1_000), probe, *rest, accounts=1, timeouts={"queue_s": 3}) as bench:
        await bench.ask(stream=False)
        waiting = [asyncio.ensure_future(bench.ask(stream=False)) for _ in range(20)]
        await asyncio.sleep(1.3)  # virtual
        assert len(bench.scripted.calls) == 2, "a cooling account was asked by more than its probe"
        answers = await asyncio.gather(*waiting)
        assert [answer.status for answer in answers] == [200] * 20


@every_face
@run_virtual
async def test_F98_wait_ends_with_the_queues_limit(way: Way) -> None:
    async with Bench(way, limited(way, 1_000), NEVER, accounts=1, timeouts={"queue_s": 2}) as bench:
        await bench.ask(stream=False)
        probing = bench.exchange(stream=False)
        async with probing:
            await asyncio.sleep(2)  # virtual
            answer = await bench.ask(stream=False)
            assert (answer.status, bench.record.code) == (429, "pool_exhausted")
            assert bench.record.duration_s <= 2
            probing.disconnect()
            await probing.finish()


@every_face
@run_virtual
async def test_F98_slot_is_free_again_when_its_caller_left(way: Way) -> None:
    async with Bench(way, NEVER, answering(way.upstream.whole()), accounts=1) as bench:
        async with bench.exchange(stream=True) as exchange:
            await asyncio.sleep(1)  # virtual
            assert open_leases(bench.gateway) == 1
            exchange.disconnect()
            await exchange.finish()
            assert open_leases(bench.gateway) == 0
        assert (await bench.ask(stream=False)).status == 200


# --- the next account, the next target --------------------------------------------------------------------------------


@every_protocol
@whole_and_streamed
@run_virtual
async def test_F33_account_without_the_model_gives_way_to_one_that_has_it(way: Way, stream: bool) -> None:
    absent = answering(way.upstream.error(404, "model_not_found: no such model"), status=404)
    async with Bench(way, absent, right(way, stream=stream), right(way, stream=stream)) as bench:
        answer = await bench.ask(stream=stream)
        assert (bench.seen(answer, stream=stream).is_success, bench.codes) == (True, ["upstream_refused", "ok"])
        (first, _) = bench.accounts
        assert [(model.model, model.state, model.reason) for model in first.models] == [
            ("test", "cooling", "model_not_found")
        ]
        assert first.state == "healthy"
        assert bench.seen(await bench.ask(stream=stream), stream=stream).is_success
        assert bench.codes == ["ok"]


@every_protocol
@run_virtual
async def test_F33_model_that_no_account_has_is_a_404(way: Way) -> None:
    absent = answering(way.upstream.error(404, "model_not_found: no such model"), status=404)
    async with Bench(way, absent, absent) as bench:
        answer = await bench.ask(stream=True)
        assert (answer.status, len(bench.codes)) == (404, 2)


def failing(fault: str, first: Dialect) -> Script:
    """Return what the first target does."""
    match fault:
        case "F23":
            return Answering(429, {"retry-after": "60"})
        case "F41":
            return answering(first.error(500, "SECRET"))
        case "F49":
            return stream_of(first, first.error_frame(500, "SECRET"))
        case _:
            return Answering(500)


ORDERS = [
    ("chat", "claude"),
    ("claude", "chat"),
    ("responses", "gemini"),
    ("gemini", "ollama"),
    ("ollama", "responses"),
]


@pytest.mark.parametrize("face", ALL_DIALECTS.values(), ids=ALL_DIALECTS.keys())
@pytest.mark.parametrize("order", ORDERS, ids=">".join)
@pytest.mark.parametrize("fault", ["F23", "F35", "F41", "F49"])
@whole_and_streamed
@run_virtual
async def test_next_target_of_another_protocol_answers_with_nothing_of_the_first(
    face: Dialect, order: tuple[str, str], fault: str, stream: bool
) -> None:
    first, second = (ALL_DIALECTS[name] for name in order)
    answer_of_second = stream_of(second, *second.text_stream()) if stream else answering(second.whole())
    scripts = {order[0]: ScriptedUpstream(failing(fault, first)), order[1]: ScriptedUpstream(answer_of_second)}
    records = Records()
    gateway = make_gateway(
        *[upstream(name) for name in order],
        scripts=scripts,
        hooks=[records],
        models=[{"name": "smart", "targets": [f"{name}/up" for name in order]}],
    )
    answer = await ask(gateway, face, stream=stream)
    seen = face.read_stream(answer.body) if stream else face.read_whole(answer.body)
    assert (seen.text, seen.is_success) == ("".join(TEXT), True)
    assert [(attempt.upstream, attempt.code == "ok") for attempt in records[0].attempts] == [
        (order[0], False),
        (order[1], True),
    ]
    assert answer.header("x-ds2api-served-by") == f"{order[1]}/up"
    assert records[0].mode == ("relay" if face.name == order[1] else "translate")
    assert "SECRET" not in answer.text
    assert open_leases(gateway) == 0
    assert [script.still_open for script in scripts.values()] == [0, 0]


async def ask(gateway: Gateway, face: Dialect, *, stream: bool) -> Answer:
    """Ask for the model that has several targets."""
    path, query = face.address("smart", stream=stream)
    asked = face.ask("smart", stream=stream)
    return await call(gateway, "POST", path, query=query, json=asked, headers=face.headers)
