"""While nothing is said: heartbeats, failures behind them, and callers who do not read."""

import anyio
import pytest

from asgi_ds2api.errors import PoolExhausted, Refused, ShuttingDown, Timeout
from asgi_ds2api.serving.inbound import ClientGone
from asgi_ds2api.state.contract import Cooldown, HealthScope
from tests.support.scripted_client import NEVER, Answering, Delay, Script, answering, streaming
from tests.support.server_send import ServerSend
from tests.support.virtual_time import run_virtual

from .rig import BEAT, END, ROLE, Rig, broke, no, refusing, say

SSE = {"content-type": "text/event-stream"}


# --- heartbeats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silence_s", "beats_at"),
    [
        pytest.param(11, [], id="short"),
        pytest.param(20, [12], id="anthropic-C19"),
        pytest.param(25, [12], id="openai-C17"),
        pytest.param(60, [12, 27, 42, 57], id="long"),
    ],
)
@pytest.mark.parametrize("is_head_late", [True, False], ids=["no-head", "head"])
@run_virtual
async def test_silence_before_the_answer_is_filled(silence_s: float, beats_at: list[float], is_head_late: bool) -> None:
    head = Answering(200, SSE, [say("Hi"), END], before=[Delay(silence_s)])
    rig = Rig(head if is_head_late else streaming(ROLE, Delay(silence_s), say("Hi"), END))
    assert await rig.run() is None
    assert (rig.send.status, rig.send.body.count(BEAT)) == (200, len(beats_at))
    sent = zip(rig.times, rig.send.messages, strict=True)
    assert [time for time, message in sent if message.get("body") == BEAT] == beats_at
    rig.check()


@run_virtual
async def test_silence_in_the_answer_is_filled() -> None:
    rig = Rig(streaming(say("Hi"), Delay(14), say("you"), Delay(31), END))
    await rig.run()
    assert list(zip(rig.times[1:], [message["body"] for message in rig.send.messages[1:]], strict=True)) == [
        (0, say("Hi")),
        (14, say("you")),
        (29, BEAT),
        (44, BEAT),
        (45, END),
    ]
    rig.check()


@run_virtual
async def test_answer_that_began_with_a_heartbeat_names_nobody_yet() -> None:
    rig = Rig(streaming(Delay(20), say("Hi"), END))
    await rig.run()
    assert (rig.send.header("content-type"), rig.send.header("x-ds2api-served-by")) == ("text/event-stream", None)


@run_virtual
async def test_whole_answer_is_waited_for_in_silence() -> None:
    rig = Rig(Answering(200, pieces=[Delay(100), b"{}"], before=[Delay(100)]), stream=False)
    assert await rig.run() is None
    assert rig.times == [200, 200]
    rig.check()


# --- behind them ------------------------------------------------------------------------------------------------------


@run_virtual
async def test_failover_goes_on_behind_heartbeats() -> None:
    rig = Rig(refusing(429, before=[Delay(20)]), streaming(Delay(20), say("Hi"), END))
    assert await rig.run() is None
    assert rig.send.body == BEAT + BEAT + say("Hi") + END
    assert rig.log == ["one/0 rate_limit_exceeded", "one/1 ok"]
    rig.check()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(refusing(400, before=[Delay(20)]), "upstream_refused", id="anthropic-C19-refused"),
        pytest.param(
            refusing(429, before=[Delay(20)], retry_after="7"), "rate_limit_exceeded", id="anthropic-C19-limited"
        ),
        pytest.param(streaming(ROLE, Delay(20), no(503)), "upstream_overloaded", id="F49-error-as-first-event"),
        pytest.param(streaming(ROLE, Delay(20)), "incomplete_stream", id="F56-end-without-the-end"),
    ],
)
@run_virtual
async def test_failure_behind_heartbeats_is_told_in_band(script: Script, code: str) -> None:
    rig = Rig(script, accounts=1)
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.attempts.is_committed) == (code, False)
    assert (rig.send.status, rig.send.body) == (200, BEAT + broke(code))
    rig.check()


@run_virtual
async def test_400_within_the_grace_has_its_own_status_anthropic_C19() -> None:
    rig = Rig(refusing(400, before=[Delay(11)]))
    assert isinstance(await rig.run(), Refused)
    assert not rig.reply.is_started
    rig.check()


@run_virtual
async def test_wait_for_an_account_is_filled_too() -> None:
    rig = Rig(streaming(say("Hi"), END), accounts=1, queue_s=100)
    rig.cool("one/0", 50)
    assert await rig.run() is None
    assert rig.send.body == BEAT * 3 + say("Hi") + END
    rig.check()


@run_virtual
async def test_who_is_told_behind_heartbeats_when_to_come_back_is_told_a_little_later_too() -> None:
    rig = Rig(accounts=1, queue_s=100, chance=0.5)
    rig.cool("one/0", 50)

    async def others_close_it() -> None:
        await rig.sleep(20)  # virtual
        rig.store.merge(HealthScope("account", "one/0"), Cooldown(state="cooling", until=rig.began + 350, epoch=9))

    await rig.alongside(others_close_it)
    failure = rig.attempts.failure
    assert isinstance(failure, PoolExhausted)
    assert failure.retry_after_s == pytest.approx(300 * 1.05)
    assert rig.send.body == BEAT * 3 + broke("pool_exhausted")
    rig.check()


@run_virtual
async def test_request_that_is_cut_before_anybody_was_asked_is_told_so_in_band() -> None:
    rig = Rig(accounts=1, queue_s=100)
    rig.cool("one/0", 50)

    async def shut_down() -> None:
        await rig.sleep(20)  # virtual
        rig.attempts.cut(ShuttingDown("Bye.", retry_after_s=1))

    await rig.alongside(shut_down)
    assert (rig.send.body, rig.log) == (BEAT + broke("shutting_down"), [])
    rig.check()


# --- callers who do not read ------------------------------------------------------------------------------------------

STREAM = (say("Hi"), say("you"), say("there"), END)


@pytest.mark.parametrize("stalls_at", [0, 1, 2, 3], ids=["F79-start", "F79-first", "F79-piece", "F79-later-piece"])
@run_virtual
async def test_caller_that_does_not_read_a_stream_is_let_go(stalls_at: int) -> None:
    rig = Rig(streaming(*STREAM, NEVER), send=ServerSend(stalls_at=stalls_at))
    failure = await rig.run()
    assert isinstance(failure, Timeout)
    assert (failure.code, rig.took_s) == ("client_stalled", 60)
    assert (rig.log, rig.failed) == (["one/0 abandoned"], [0, 0])
    rig.check(is_cut=True)


@pytest.mark.parametrize("stalls_at", [0, 1, 2], ids=["F79-start", "F79-first-heartbeat", "F79-heartbeat"])
@run_virtual
async def test_caller_that_does_not_read_heartbeats_is_let_go(stalls_at: int) -> None:
    rig = Rig(streaming(Delay(500), *STREAM), send=ServerSend(stalls_at=stalls_at))
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.took_s) == ("client_stalled", [12, 12, 27][stalls_at] + 60)
    assert (rig.log, rig.failed) == (["one/0 abandoned"], [0, 0])
    rig.check(is_cut=True)


@run_virtual
async def test_F79_caller_that_does_not_read_the_end_had_its_answer_sent() -> None:
    rig = Rig(streaming(*STREAM), send=ServerSend(stalls_at=4))
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.took_s) == ("client_stalled", 60)
    rig.check()


@run_virtual
async def test_F79_caller_that_does_not_read_a_whole_answer_is_let_go() -> None:
    rig = Rig(answering(b"{}"), stream=False, send=ServerSend(stalls_at=0))
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.took_s) == ("client_stalled", 60)
    rig.check(is_cut=True)


@run_virtual
async def test_caller_that_reads_slowly_is_not_let_go() -> None:
    rig = Rig(streaming(*STREAM), send=ServerSend(takes_s=59))
    assert await rig.run() is None
    assert (rig.took_s, rig.send.body) == (5 * 59, b"".join(STREAM))
    rig.check()


@pytest.mark.parametrize("fails_at", range(4), ids=[f"F84-send-{number}" for number in range(4)])
@run_virtual
async def test_caller_that_left_is_told_by_send(fails_at: int) -> None:
    rig = Rig(streaming(*STREAM), send=ServerSend(fails_at=fails_at))
    with pytest.raises(ClientGone):
        await rig.run()
    assert (rig.log, rig.failed) == (["one/0 abandoned"], [0, 0])
    rig.check(is_cut=True)


@pytest.mark.parametrize("fails_at", [0, 1, 2], ids=["F84-start", "F84-first-heartbeat", "F84-heartbeat"])
@run_virtual
async def test_caller_that_left_is_told_by_a_heartbeat(fails_at: int) -> None:
    rig = Rig(streaming(Delay(500), *STREAM), send=ServerSend(fails_at=fails_at))
    with pytest.raises(ClientGone):
        await rig.run()
    assert (rig.took_s, rig.log) == ([12, 12, 27][fails_at], ["one/0 abandoned"])
    rig.check(is_cut=True)


@run_virtual
async def test_caller_that_left_is_told_by_the_last_words() -> None:
    rig = Rig(streaming(say("Hi"), no(500)), send=ServerSend(fails_at=2))
    with pytest.raises(ClientGone):
        await rig.run()


@run_virtual
async def test_last_words_are_not_waited_for_long() -> None:
    rig = Rig(streaming(say("Hi"), no(500)), send=ServerSend(stalls_at=2))
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.took_s, rig.reply.is_ended) == ("upstream_server_error", 1, True)


@run_virtual
async def test_silence_costs_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole answer may take minutes; nobody is to look at it twenty times a second."""
    looks, sleep = 0, anyio.sleep

    async def counted(seconds: float) -> None:
        nonlocal looks
        looks += 1
        await sleep(seconds)

    monkeypatch.setattr(anyio, "sleep", counted)
    for stream in (False, True):
        await Rig(Answering(200, before=[Delay(500)], pieces=[b"x"]), stream=stream).run()
    assert looks < 200
