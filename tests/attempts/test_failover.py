"""Who is asked next, how often, and what a caller is told when nobody is left."""

import pytest

from asgi_ds2api.errors import (
    GatewayError,
    Interrupted,
    KeyRefused,
    Malformed,
    MalformedRequest,
    NoCapacity,
    PoolExhausted,
    QueueTimeout,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFault,
    Timeout,
    Unreachable,
    Unsupported,
    UpstreamError,
)
from asgi_ds2api.headers import retry_headers
from asgi_ds2api.pool.model import Lease, Target
from asgi_ds2api.secret import Secret
from asgi_ds2api.upstream.contract import CallBounds, UpstreamRequest
from tests.support.scripted_client import NEVER, Answering, Delay, Script, answering, streaming
from tests.support.virtual_time import run_virtual

from .rig import END, ROLE, Rig, no, refusing, say

OK = streaming(say("Hi"), END)
WHOLE = answering(b"{}")


def failing(error: UpstreamError | int) -> Script:
    """Return an answer with this status, or a call that fails like this."""
    return refusing(error) if isinstance(error, int) else error


# --- who is next ------------------------------------------------------------------------------------------------------

ELSEWHERE: dict[str, UpstreamError | int] = {
    "F1-refused-connection": Unreachable("no", code="connect_refused"),
    "F6-connect-timeout": Timeout("no", code="connect_timeout"),
    "F31-key": 401,
    "F29-quota": 402,
    "F34-timeout": 408,
    "F23-limited": 429,
    "F35-fault": 500,
    "F36-gateway": 502,
    "F38-overload": 503,
    "F37-overload": 529,
}


@pytest.mark.parametrize("error", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@run_virtual
async def test_what_was_surely_not_answered_is_asked_of_somebody_else(error: UpstreamError | int, stream: bool) -> None:
    rig = Rig(failing(error), OK if stream else WHOLE, targets=("one", "two"), stream=stream)
    assert await rig.run() is None
    assert [entry.split()[1] for entry in rig.log][1:] == ["ok"]
    assert rig.log[0].split()[0] != rig.log[1].split()[0]
    rig.check()


ONCE: dict[str, tuple[UpstreamError | int | Script, type[UpstreamError]]] = {
    "F14-lost-connection": (Interrupted("lost", code="connection_lost", may_be_billed=True), Interrupted),
    "F15-slow-head": (Timeout("slow", code="ttfb_timeout", may_be_billed=True), Timeout),
    "F18-garbage": (Malformed("garbage", code="bad_protocol", may_be_billed=True), Malformed),
    "F33-400": (400, Refused),
    "F33-404": (404, Refused),
    "F33-413": (413, Refused),
    "F33-422": (422, Refused),
    "F43-empty": (Answering(200), Malformed),
    "F43-204": (Answering(204, ()), Malformed),
    "F46-cut": (Answering(200, pieces=[b"{", Interrupted("cut", code="truncated", may_be_billed=True)]), Interrupted),
}


@pytest.mark.parametrize(("first", "error"), ONCE.values(), ids=ONCE.keys())
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@run_virtual
async def test_what_may_have_been_billed_or_is_the_callers_fault_is_asked_once(
    first: UpstreamError | int | Answering | Delay, error: type[UpstreamError], stream: bool
) -> None:
    rig = Rig(first if not isinstance(first, int) else refusing(first), OK, stream=stream)
    failure = await rig.run()
    assert type(failure) is error
    assert (len(rig.log), rig.reply.is_started) == (1, False)
    rig.check()


@run_virtual
async def test_silence_after_the_request_may_have_been_billed() -> None:
    rig = Rig(NEVER, OK, limits=CallBounds(first_byte_s=10))
    failure = await rig.run()
    assert (type(failure), rig.took_s, len(rig.upstream.calls)) == (Timeout, 10, 1)
    rig.check()


@run_virtual
async def test_model_that_one_account_does_not_have_is_asked_of_another() -> None:
    rig = Rig(refusing(404, b"model not found"), OK)
    assert await rig.run() is None
    assert rig.log == ["one/0 upstream_refused", "one/1 ok"]
    rig.check()


@run_virtual
async def test_next_account_comes_before_the_next_target() -> None:
    rig = Rig(refusing(500), refusing(500), OK, targets=("one", "two"))
    assert await rig.run() is None
    assert rig.log == ["one/0 upstream_server_error", "one/1 upstream_server_error", "two/0 ok"]
    assert [call.request.url for call in rig.upstream.calls] == [
        "https://one.example/talk",
        "https://one.example/talk",
        "https://two.example/talk",
    ]
    rig.check()


@run_virtual
async def test_no_more_than_three_are_asked() -> None:
    rig = Rig(*[refusing(500, no(500))] * 3, OK, accounts=5)
    failure = await rig.run()
    assert isinstance(failure, ServerFault)
    assert (len(rig.upstream.calls), len(rig.log)) == (3, 3)
    assert failure.should_retry is False
    rig.check()


@run_virtual
async def test_limited_three_times_says_when_to_come_back_and_not_that_it_is_no_use() -> None:
    rig = Rig(*[refusing(429, retry_after="7")] * 3, accounts=5)
    failure = await rig.run()
    assert isinstance(failure, RateLimited)
    assert (retry_headers(failure), len(rig.log)) == ([(b"retry-after", b"7"), (b"retry-after-ms", b"7000")], 3)


@run_virtual
async def test_limited_three_times_without_a_hint_says_that_it_is_no_use() -> None:
    rig = Rig(*[refusing(429)] * 3, accounts=5)
    failure = await rig.run()
    assert isinstance(failure, RateLimited)
    assert (retry_headers(failure), len(rig.log)) == ([(b"x-should-retry", b"false")], 3)


@run_virtual
async def test_attempt_tells_how_it_went() -> None:
    rig = Rig(refusing(429, before=[Delay(3)]), Answering(200, pieces=[Delay(4), b"{}"]), stream=False)
    await rig.run()
    assert [(a.model, a.code, a.status, a.duration_s) for a in rig.attempts.log] == [
        ("m", "rate_limit_exceeded", 429, 3),
        ("m", "ok", 200, 4),
    ]


# --- nobody is left ---------------------------------------------------------------------------------------------------


@run_virtual
async def test_F98_account_that_opens_soon_is_waited_for() -> None:
    rig = Rig(OK, accounts=1)
    rig.cool("one/0", 2)
    assert await rig.run() is None
    assert rig.took_s == 2
    rig.check()


@run_virtual
async def test_F98_R_41_with_all_cooling_the_caller_is_told_the_soonest_and_nobody_is_asked() -> None:
    rig = Rig(accounts=2)
    rig.cool("one/0", 30)
    rig.cool("one/1", 7)
    failure = await rig.run()
    assert isinstance(failure, PoolExhausted)
    assert (failure.status, failure.retry_after_s, rig.took_s, rig.log) == (429, 7, 0, [])
    rig.check()


@run_virtual
async def test_F98_account_that_is_probed_when_it_opens_is_not_waited_for_again() -> None:
    rig = Rig(streaming(Delay(5), say("Hi"), END), accounts=1)
    rig.cool("one/0", 2)
    late = rig.another()
    await rig.alongside(late.run)
    assert (rig.log, rig.send.body) == (["one/0 ok"], say("Hi") + END)
    assert isinstance(late.failure, PoolExhausted)
    assert late.failure.retry_after_s == 1
    rig.check()


@pytest.mark.parametrize(
    ("hint_s", "other_s", "told_s", "kind"),
    [(60, 7, 7, PoolExhausted), (5, 30, 5, RateLimited), (None, 30, 1, PoolExhausted)],
    ids=["F98-other-is-sooner", "F98-own-hint-is-sooner", "F98-no-hint"],
)
@run_virtual
async def test_limited_and_nobody_else_tells_the_sooner_of_the_two(
    hint_s: int | None, other_s: float, told_s: float, kind: type[GatewayError]
) -> None:
    rig = Rig(refusing(429) if hint_s is None else refusing(429, retry_after=str(hint_s)))
    rig.cool("one/1", other_s)
    failure = await rig.run()
    assert (type(failure), failure and failure.retry_after_s) == (kind, told_s)
    assert failure is not None
    assert failure.status == 429
    rig.check()


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        pytest.param(500, ServerFault, id="F35-fault"),
        pytest.param(401, KeyRefused, id="F31-key"),
        pytest.param(402, QuotaExhausted, id="F29-quota"),
        pytest.param(Unreachable("no", code="connect_refused"), Unreachable, id="F1-refused-connection"),
    ],
)
@run_virtual
async def test_other_failure_and_nobody_else_is_told_as_it_was(
    first: UpstreamError | int, kind: type[UpstreamError]
) -> None:
    rig = Rig(failing(first), accounts=1)
    failure = await rig.run()
    assert type(failure) is kind
    assert rig.reply.is_started is False
    rig.check()


@run_virtual
async def test_all_disabled_is_said_so() -> None:
    rig = Rig(refusing(402), accounts=1)
    await rig.run()
    rig.attempts = rig.another()
    failure = await rig.run()
    assert isinstance(failure, NoCapacity)
    assert (failure.status, rig.log) == (503, [])
    rig.check()


# --- the retry budget -------------------------------------------------------------------------------------------------


@run_virtual
async def test_F101_with_the_budget_empty_the_first_error_is_told_and_sdks_are_told_not_to_retry() -> None:
    rig = Rig(*[refusing(500)] * 100, accounts=100, max_attempts=2)
    asked = []
    for _ in range(10):
        rig.attempts = rig.another()
        failure = await rig.run()
        assert isinstance(failure, ServerFault)
        assert failure.should_retry is False
        asked.append(len(rig.log))
    assert asked[:4] == [2, 2, 2, 1]
    assert asked.count(2) == 3 + 10 // 5
    assert sum(account.completed + account.failed for account in rig.accounts) == len(rig.upstream.calls) == sum(asked)
    rig.check()


@pytest.mark.parametrize(
    ("spent_by", "status"),
    [(ServerFault("oops", upstream_status=500), 429), (RateLimited("limit"), 500)],
    ids=["failing servers", "limited keys"],
)
@run_virtual
async def test_R_43_what_used_up_one_budget_leaves_the_other(spent_by: UpstreamError, status: int) -> None:
    rig = Rig(refusing(status), streaming(ROLE, say("Hi"), END))
    lease = rig.pool.acquire(rig.pool.plan([Target(upstream="one", model="m")]))
    while rig.pool.may_retry(lease, spent_by):
        pass
    rig.pool.put_back(lease)
    assert await rig.run() is None
    assert len(rig.upstream.calls) == 2


@run_virtual
async def test_F101_single_account_uses_up_no_budget() -> None:
    """There is nobody to ask, so there is nothing to save; and an SDK that tries again does no harm."""
    rig = Rig(*[refusing(500)] * 4, accounts=1)
    for _ in range(4):
        rig.attempts = rig.another()
        failure = await rig.run()
        assert failure is not None
        assert failure.should_retry is None
    rig.check()


@run_virtual
async def test_without_failover_by_configuration_sdks_may_retry() -> None:
    rig = Rig(refusing(500), max_attempts=1)
    failure = await rig.run()
    assert failure is not None
    assert failure.should_retry is None


# --- not the upstream's fault -----------------------------------------------------------------------------------------


@run_virtual
async def test_request_that_cannot_be_said_is_nobodys_fault() -> None:
    rig = Rig(refuses={"one": Unsupported("no such thing", param="tools")})
    failure = await rig.run()
    assert isinstance(failure, Unsupported)
    assert (rig.log, rig.failed, [account.abandoned for account in rig.accounts]) == ([], [0, 0], [1, 0])
    rig.check()


@pytest.mark.parametrize(
    "refuses", [Unsupported("no such thing"), MalformedRequest("no request")], ids=["unsupported", "malformed"]
)
@run_virtual
async def test_request_that_the_next_target_cannot_be_asked_ends_with_what_the_first_one_said(
    refuses: GatewayError,
) -> None:
    rig = Rig(refusing(500), accounts=1, targets=("one", "two"), refuses={"two": refuses})
    failure = await rig.run()
    assert isinstance(failure, ServerFault)
    assert (failure.should_retry, rig.log) == (False, ["one/0 upstream_server_error"])
    assert [(account.failed, account.abandoned) for account in rig.accounts] == [(1, 0), (0, 1)]
    rig.check()


@run_virtual
async def test_F95_bug_in_the_retry_budget_leaks_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    def may_retry(lease: Lease, error: UpstreamError) -> bool:
        raise ZeroDivisionError

    rig = Rig(refusing(500))
    monkeypatch.setattr(rig.pool, "may_retry", may_retry)
    with pytest.raises(ZeroDivisionError):
        await rig.run()
    assert [(account.failed, account.abandoned) for account in rig.accounts] == [(1, 0), (0, 1)]
    rig.check()


FULL = {
    "F9-no-connection": QueueTimeout("full", retry_after_s=1),
    "F10-no-socket": NoCapacity("no sockets", retry_after_s=1),
}


@pytest.mark.parametrize("full", FULL.values(), ids=FULL.keys())
@run_virtual
async def test_what_this_machine_lacks_is_nobodys_fault(full: GatewayError, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(request: UpstreamRequest) -> None:
        raise full

    rig = Rig()
    monkeypatch.setattr(rig.upstream, "open", refuse)
    assert await rig.run() is full
    assert (rig.log, rig.failed) == (["one/0 abandoned"], [0, 0])
    rig.check()


class NoKey:
    """A source that has no key at present, and then one."""

    def __init__(self) -> None:
        self._asked = 0

    async def current(self) -> Secret:
        self._asked += 1
        if self._asked == 1:
            raise UpstreamError("no key", code="key_unavailable")
        return Secret("sk-of-a-test-0123456789")


@run_virtual
async def test_account_without_a_key_is_passed_over() -> None:
    rig = Rig(OK, key=NoKey())
    assert await rig.run() is None
    assert rig.log == ["one/0 key_unavailable", "one/1 ok"]
    assert rig.upstream.calls[0].header("authorization") == "Bearer sk-of-a-test-0123456789"
    rig.check()
