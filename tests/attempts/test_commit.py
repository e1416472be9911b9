"""The commit point: what goes out when, and what may still happen before and after."""

import pytest

from asgi_ds2api.codec import AnswerFacts
from asgi_ds2api.errors import Interrupted, Malformed, Overloaded, UpstreamError
from asgi_ds2api.serving.one_attempt import MAX_HELD_BYTES
from tests.support.scripted_client import Delay, Piece, Script, answering, streaming
from tests.support.virtual_time import run_virtual

from .rig import END, ROLE, LineTranscoder, Rig, broke, no, say


@run_virtual
async def test_what_says_nothing_is_held_until_something_is_said() -> None:
    rig = Rig(streaming(ROLE, Delay(3), ROLE, Delay(3), say("Hi"), Delay(1), say("you"), END))
    assert await rig.run() is None
    pieces = [message.get("body") for message in rig.send.messages]
    assert list(zip(rig.times, pieces, strict=True)) == [
        (6, None),
        (6, ROLE + ROLE + say("Hi")),
        (7, say("you")),
        (7, END),
    ]
    rig.check()


@run_virtual
async def test_answer_tells_who_gave_it() -> None:
    rig = Rig(streaming(say("Hi"), END, headers={"x-ratelimit-limit-requests": "7", "x-request-id": "theirs"}))
    await rig.run()
    assert rig.send.messages[0]["headers"] == [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", b"req_1"),
        (b"x-ds2api-attempts", b"1"),
        (b"x-ds2api-served-by", b"one/m"),
        (b"x-ds2api-mode", b"relay"),
        (b"x-ds2api-account", b"0"),
        (b"x-ratelimit-limit-requests", b"7"),
    ]


@run_virtual
async def test_answer_need_not_tell_who_gave_it() -> None:
    rig = Rig(streaming(say("Hi"), END), show_route=False)
    await rig.run()
    assert [name for name, _ in rig.send.messages[0]["headers"] if name.startswith(b"x-")] == [
        b"x-accel-buffering",
        b"x-request-id",
    ]


@run_virtual
async def test_nothing_is_known_of_an_answer_before_somebody_was_asked() -> None:
    attempts = Rig().attempts
    assert (attempts.facts, attempts.mode, attempts.notices) == (AnswerFacts(), "", ())


@run_virtual
async def test_whole_answer_tells_who_gave_it() -> None:
    rig = Rig(answering(no(500), status=500), answering(b"{}"), stream=False)
    await rig.run()
    assert rig.send.messages[0]["headers"] == [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"req_1"),
        (b"x-ds2api-attempts", b"2"),
        (b"x-ds2api-served-by", b"one/m"),
        (b"x-ds2api-mode", b"relay"),
        (b"x-ds2api-account", b"1"),
        (b"content-length", b"2"),
    ]


@pytest.mark.parametrize(
    ("size", "sent_at"),
    [pytest.param(MAX_HELD_BYTES, 9, id="as-much-as-is-held"), pytest.param(MAX_HELD_BYTES + 1, 0, id="more")],
)
@run_virtual
async def test_no_more_than_64_KiB_is_held(size: int, sent_at: int) -> None:
    role = b"x" * (size - 1) + b"\n"
    rig = Rig(streaming(role[:40_000], role[40_000:], Delay(9), say("Hi"), END))
    assert await rig.run() is None
    assert (rig.times[0], rig.send.body) == (sent_at, role + say("Hi") + END)
    rig.check()


@run_virtual
async def test_end_without_a_word_is_an_answer() -> None:
    rig = Rig(streaming(ROLE, END))
    assert await rig.run() is None
    assert (rig.send.status, rig.send.body) == (200, ROLE + END)
    rig.check()


# --- before it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", ROLE, ROLE * 100], ids=["first-event", "after-a-role", "after-roles"])
@run_virtual
async def test_F49_error_before_anything_was_said_is_another_accounts_turn(before: bytes) -> None:
    rig = Rig(streaming(before + no(503)), streaming(say("Hi"), END))
    assert await rig.run() is None
    assert rig.send.body == say("Hi") + END
    assert rig.log == ["one/0 upstream_overloaded", "one/1 ok"]
    rig.check()


@run_virtual
async def test_F49_error_before_anything_was_said_is_a_failure_that_can_have_a_status() -> None:
    rig = Rig(streaming(ROLE, no(529)), accounts=1)
    failure = await rig.run()
    assert isinstance(failure, Overloaded)
    assert (rig.reply.is_started, rig.attempts.is_committed) == (False, False)
    rig.check()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param(streaming(Interrupted("lost", code="connection_lost")), Interrupted, id="F51-reset-after-head"),
        pytest.param(streaming(ROLE, Interrupted("lost", code="truncated")), Interrupted, id="F51-reset-after-role"),
        pytest.param(streaming(ROLE), Interrupted, id="F56-end-without-the-end"),
        pytest.param(streaming(), Interrupted, id="F43-empty-stream"),
        pytest.param(streaming(ROLE, Malformed("bomb", code="encoded_bomb")), Malformed, id="F47-bomb"),
    ],
)
@run_virtual
async def test_loss_before_anything_was_said_may_have_been_billed(
    script: Script, error: type[Interrupted | Malformed]
) -> None:
    rig = Rig(script, streaming(say("Hi"), END))
    failure = await rig.run()
    assert isinstance(failure, error)
    assert failure.may_be_billed
    assert (rig.reply.is_started, len(rig.upstream.calls), rig.failed) == (False, 1, [1, 0])
    rig.check()


@run_virtual
async def test_said_to_be_too_slow_before_anything_was_said_is_another_accounts_turn() -> None:
    rig = Rig(streaming(ROLE, no(504)), streaming(say("Hi"), END))
    assert await rig.run() is None
    assert rig.log == ["one/0 upstream_timeout", "one/1 ok"]


@run_virtual
async def test_F49_error_behind_more_than_is_held_is_another_accounts_turn() -> None:
    rig = Rig(streaming(ROLE * MAX_HELD_BYTES + no(503)), streaming(say("Hi"), END))
    assert await rig.run() is None
    assert rig.send.body == say("Hi") + END


# --- after it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        pytest.param([no(529)], "upstream_overloaded", id="F50-error"),
        pytest.param([no(400)], "upstream_refused", id="F50-refusal"),
        pytest.param([no(404, "model not found")], "upstream_refused", id="F50-absent-model"),
        pytest.param([no(504)], "upstream_timeout", id="F50-slow"),
        pytest.param([Interrupted("lost", code="connection_lost")], "connection_lost", id="F52-reset"),
        pytest.param([], "incomplete_stream", id="F56-end-without-the-end"),
        pytest.param([b"say ha"], "incomplete_stream", id="F54-cut-in-an-event"),
    ],
)
@run_virtual
async def test_failure_is_told_in_band_and_nobody_else_is_asked(pieces: list[Piece], code: str) -> None:
    rig = Rig(streaming(say("Hi"), *pieces), streaming(say("other"), END))
    failure = await rig.run()
    assert isinstance(failure, UpstreamError)
    assert (failure.code, failure.may_be_billed, rig.attempts.is_committed) == (code, True, True)
    assert (rig.send.status, rig.send.body) == (200, say("Hi") + broke(code))
    assert rig.log == [f"one/0 {code}"]
    rig.check()


class Silent(LineTranscoder):
    """A transcoder that does not notice that its stream broke off."""

    def close(self) -> bytes:
        return b""


@run_virtual
async def test_F56_end_without_the_end_is_a_failure_though_a_codec_missed_it() -> None:
    rig = Rig(streaming(say("Hi")), transcoder=Silent)
    failure = await rig.run()
    assert isinstance(failure, Interrupted)
    assert rig.send.body == say("Hi") + broke("incomplete_stream")
    rig.check()


@run_virtual
async def test_what_was_said_before_an_error_in_the_same_read_goes_out() -> None:
    """So that any split of the upstream's bytes gives the same."""
    rig = Rig(streaming(ROLE + say("Hi") + no(503) + say("more")), streaming(say("other"), END))
    await rig.run()
    assert rig.send.body == ROLE + say("Hi") + broke("upstream_overloaded")
    rig.check()


@run_virtual
async def test_failure_after_it_is_held_against_the_account() -> None:
    rig = Rig(streaming(say("Hi"), no(500)))
    await rig.run()
    assert rig.failed == [1, 0]


@run_virtual
async def test_commit_reopens_an_account_that_was_probed_before_the_stream_ends() -> None:
    rig = Rig(streaming(say("Hi"), Delay(100), END), accounts=1)
    rig.cool("one/0", 1)

    async def look() -> None:
        await rig.sleep(50)  # virtual
        assert rig.accounts[0].state == "healthy"

    await rig.alongside(look)
    rig.check()
