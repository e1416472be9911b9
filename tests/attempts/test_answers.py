"""Answers of each form to callers of each form, how long they may take, and where they end."""

import pytest

from asgi_ds2api.errors import GatewayError, Malformed, Refused, ServerFault, ShuttingDown, Timeout
from asgi_ds2api.serving.one_attempt import MAX_REPAIRS
from tests.support.scripted_client import NEVER, Answering, Delay, Script, answering, streaming
from tests.support.server_send import ServerSend
from tests.support.virtual_time import run_virtual

from .rig import BEAT, END, ROLE, LineTranscoder, Mode, Rig, broke, no, refusing, say

OK = streaming(say("Hi"), END)
HTML = {"content-type": "text/html; charset=utf-8"}


# --- forms ------------------------------------------------------------------------------------------------------------


@run_virtual
async def test_whole_answer_is_told_whole() -> None:
    rig = Rig(Answering(200, pieces=[b'{"a"', b": 1}"]), stream=False)
    assert await rig.run() is None
    assert (rig.send.header("content-type"), rig.send.body) == ("application/json", b'{"a": 1}')
    assert rig.attempts.committed_at == rig.began
    rig.check()


@run_virtual
async def test_F42_whole_answer_to_a_stream_is_told_as_a_stream() -> None:
    rig = Rig(answering(b"Hi"))
    assert await rig.run() is None
    assert (rig.send.header("content-type"), rig.send.body) == ("text/event-stream", say("Hi") + END)
    rig.check()


@run_virtual
async def test_F42_stream_to_a_whole_answer_is_told_whole() -> None:
    rig = Rig(streaming(ROLE, say("Hi"), END), stream=False)
    assert await rig.run() is None
    assert (rig.send.header("content-type"), rig.send.body) == ("application/json", b"role say Hi end")
    rig.check()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(streaming(say("Hi"), no(500)), "upstream_server_error", id="F50-error"),
        pytest.param(streaming(say("Hi")), "incomplete_stream", id="F56-no-end"),
    ],
)
@run_virtual
async def test_F42_broken_stream_to_a_whole_answer_is_a_failure_with_a_status(script: Script, code: str) -> None:
    rig = Rig(script, accounts=1, stream=False)
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.reply.is_started) == (code, False)
    rig.check()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@run_virtual
async def test_F41_error_in_a_200_is_another_accounts_turn(stream: bool) -> None:
    rig = Rig(answering(no(429)), answering(b"Hi"), stream=stream)
    assert await rig.run() is None
    assert rig.log == ["one/0 rate_limit_exceeded", "one/1 ok"]
    rig.check()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@run_virtual
async def test_whole_answer_has_a_limit(stream: bool) -> None:
    rig = Rig(Answering(200, pieces=[b"x" * 60, b"x" * 40, b"x"]), stream=stream, max_event_bytes=100)
    failure = await rig.run()
    assert isinstance(failure, Malformed)
    assert (failure.code, rig.reply.is_started) == ("answer_too_large", False)
    rig.check()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(Answering(200, HTML, [b"<html>"]), "wrong_content_type", id="F42-page"),
        pytest.param(Answering(307, {"location": "https://evil.example/"}), "upstream_redirect", id="F21-redirect"),
        pytest.param(Answering(101), "bad_protocol", id="F17-101"),
        pytest.param(Answering(999), "bad_protocol", id="F44-999"),
    ],
)
@run_virtual
async def test_what_no_api_answers_is_another_accounts_turn(script: Script, code: str) -> None:
    rig = Rig(script, OK)
    assert await rig.run() is None
    assert (rig.log, rig.failed) == ([f"one/0 {code}", "one/1 ok"], [1, 0])
    assert [call.request.url for call in rig.upstream.calls] == ["https://one.example/talk"] * 2
    rig.check()


# --- the end ----------------------------------------------------------------------------------------------------------


@run_virtual
async def test_F57_stream_ends_with_its_end_though_the_socket_stays_open() -> None:
    rig = Rig(streaming(say("Hi"), END, NEVER))
    assert await rig.run() is None
    assert (rig.took_s, rig.send.body) == (0, say("Hi") + END)
    rig.check()


@pytest.mark.parametrize(
    ("end", "code", "body"),
    [
        pytest.param(END, None, b"role say Hi end", id="the-end"),
        pytest.param(no(500), "upstream_server_error", b"", id="F50-error"),
    ],
)
@run_virtual
async def test_F57_stream_for_a_whole_answer_is_read_no_further_than_its_end(
    end: bytes, code: str | None, body: bytes
) -> None:
    rig = Rig(streaming(ROLE + say("Hi"), end, NEVER), stream=False, accounts=1)
    failure = await rig.run()
    assert (rig.took_s, rig.send.body, None if failure is None else failure.code) == (0, body, code)
    rig.check()


@pytest.mark.parametrize("rest", [[END + say("more")], [END, say("more"), no(500)]], ids=["same-read", "later-reads"])
@run_virtual
async def test_F58_what_comes_after_the_end_is_ignored(rest: list[bytes]) -> None:
    rig = Rig(streaming(say("Hi"), *rest))
    assert await rig.run() is None
    assert (rig.send.body, rig.upstream.calls[0].reads, rig.log) == (say("Hi") + END, 2, ["one/0 ok"])
    rig.check()


@run_virtual
async def test_answer_is_read_again_only_when_the_caller_took_what_came() -> None:
    rig = Rig(streaming(*[say(str(n)) for n in range(9)], END), send=ServerSend(takes_s=1))
    reads = []

    async def look() -> None:
        for second in range(1, 11):
            await rig.sleep(second - 0.5)  # virtual
            reads.append(rig.upstream.calls[0].reads)

    await rig.alongside(look)
    assert reads == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9]


# --- repairs ----------------------------------------------------------------------------------------------------------


@run_virtual
async def test_refused_request_is_repaired_on_the_same_account() -> None:
    rig = Rig(refusing(400), refusing(422), OK, repairs=5)
    assert await rig.run() is None
    assert (rig.log, rig.failed) == (["one/0 ok"], [0, 0])
    assert [call.request.body for call in rig.upstream.calls] == [b"Hello", b"Hello again", b"Hello again"]
    rig.check()


@run_virtual
async def test_no_more_repairs_are_made_than_these() -> None:
    rig = Rig(*[refusing(400)] * (MAX_REPAIRS + 1), OK, repairs=99)
    assert isinstance(await rig.run(), Refused)
    assert (len(rig.upstream.calls), rig.log) == (MAX_REPAIRS + 1, ["one/0 upstream_refused"])
    rig.check()


@run_virtual
async def test_other_failure_is_not_repaired() -> None:
    rig = Rig(refusing(500), repairs=99, accounts=1)
    assert isinstance(await rig.run(), ServerFault)
    assert len(rig.upstream.calls) == 1


@pytest.mark.parametrize(
    ("mode", "protocol", "kept"),
    [
        pytest.param("relay", "openai_chat", (b"no 400", "tools"), id="relayed"),
        pytest.param("translate", "openai_chat", (None, "tools"), id="look-alike"),
        pytest.param("translate", "anthropic_messages", (None, None), id="other-protocol"),
        pytest.param("relay", "anthropic_messages", (None, None), id="token-count-of-another-protocol"),
    ],
)
@run_virtual
async def test_of_a_refusal_only_what_the_callers_sdk_can_read_is_passed_on(
    mode: Mode, protocol: str, kept: tuple[bytes | None, str | None]
) -> None:
    rig = Rig(refusing(400, b"no 400"), mode=mode, protocol=protocol)
    failure = await rig.run()
    assert isinstance(failure, Refused)
    assert (failure.body, failure.param) == kept


@run_virtual
async def test_repair_sees_all_that_the_upstream_said() -> None:
    seen = []

    class Reading(LineTranscoder):
        def repair(self, error: Refused) -> None:
            seen.append((error.body, error.param))

    rig = Rig(refusing(400, b"no 400"), mode="translate", protocol="anthropic_messages", transcoder=Reading)
    await rig.run()
    assert seen == [(b"no 400", "tools")]


# --- limits -----------------------------------------------------------------------------------------------------------


@run_virtual
async def test_F61_endless_stream_is_cut() -> None:
    rig = Rig(streaming(*[piece for n in range(100) for piece in (say(str(n)), Delay(10))]), stream_s=95)
    failure = await rig.run()
    assert isinstance(failure, Timeout)
    assert (failure.code, rig.took_s) == ("deadline_exceeded", 95)
    assert rig.send.body == b"".join(say(str(n)) for n in range(10)) + broke("deadline_exceeded")
    assert (rig.log, rig.failed) == (["one/0 abandoned"], [0, 0])
    rig.check()


@pytest.mark.parametrize(
    "scripts",
    [
        pytest.param([NEVER], id="F102-no-head"),
        pytest.param([Answering(200, pieces=[b"{", NEVER])], id="F102-drip"),
        pytest.param([streaming(ROLE, NEVER)], id="F102-nothing-said"),
        pytest.param([refusing(500, before=[Delay(25)]), NEVER], id="F102-during-a-retry"),
    ],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@run_virtual
async def test_deadline_ends_an_answer_that_has_not_begun(scripts: list[Script], stream: bool) -> None:
    rig = Rig(*scripts, deadline_s=30, commit_after_s=100, stream=stream)
    failure = await rig.run()
    assert isinstance(failure, Timeout)
    assert (failure.status, failure.code, rig.took_s, rig.reply.is_started) == (504, "deadline_exceeded", 30, False)
    assert rig.log[-1].endswith("abandoned")
    rig.check()


@run_virtual
async def test_F102_deadline_behind_heartbeats_is_told_in_band() -> None:
    rig = Rig(NEVER, deadline_s=30)
    await rig.run()
    assert (rig.took_s, rig.send.body) == (30, BEAT * 2 + broke("deadline_exceeded"))
    rig.check()


@run_virtual
async def test_F98_an_account_that_opens_after_the_deadline_is_not_waited_for() -> None:
    rig = Rig(accounts=1, queue_s=100, deadline_s=30, stream=False)
    rig.cool("one/0", 50)
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, failure.retry_after_s, rig.took_s, rig.log) == ("pool_exhausted", 50, 0, [])


@run_virtual
async def test_deadline_is_no_limit_of_a_stream_that_has_begun() -> None:
    rig = Rig(streaming(say("Hi"), Delay(100), END), deadline_s=30)
    assert await rig.run() is None
    assert rig.took_s == 100
    rig.check()


@run_virtual
async def test_F102_whole_answer_that_is_not_taken_by_the_deadline_is_cut() -> None:
    rig = Rig(answering(b"{}"), stream=False, deadline_s=30, send=ServerSend(takes_s=50))
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, rig.took_s) == ("deadline_exceeded", 30)
    rig.check(is_cut=True)


@pytest.mark.parametrize("at_s", [0, 5, 20], ids=["F85-before", "F85-silent", "F85-in-the-stream"])
@run_virtual
async def test_request_can_be_cut_from_outside(at_s: float) -> None:
    rig = Rig(streaming(Delay(10), say("Hi"), Delay(100), END))
    reason: GatewayError = ShuttingDown("Bye.", retry_after_s=1)

    async def shut_down() -> None:
        await rig.sleep(at_s)  # virtual
        rig.attempts.cut(reason)

    await rig.alongside(shut_down)
    assert (rig.attempts.failure, rig.took_s) == (reason, at_s)
    assert rig.send.body == (say("Hi") + broke("shutting_down") if at_s == 20 else b"")
    rig.check()
