"""F104: a second attempt beside a silent one. Whoever has the first valid event answers; the other one costs a line.

Two upstreams of two speeds, in virtual time; their accounts have begun their answers within `USUAL_S` so far.
"""

from collections.abc import Sequence
from types import CodeType

import pytest

from asgi_ds2api.codec import Envelope, HTTPCall
from asgi_ds2api.envelope import Heard
from asgi_ds2api.errors import GatewayError, Interrupted, Malformed, ServerFault, Timeout, Unsupported
from asgi_ds2api.pool.model import Demand, Lease, Target
from asgi_ds2api.serving import attempts as serving_attempts
from asgi_ds2api.serving.fleet import Fleet
from asgi_ds2api.serving.inbound import ClientGone
from asgi_ds2api.serving.patience import MIN_SEEN
from asgi_ds2api.state.contract import NotAdmitted
from asgi_ds2api.state.memory import MemoryStore
from tests.attempts.rig import BEAT, END, ROLE, LineTranscoder, Rig, no, refusing, say
from tests.support.scripted_client import NEVER, Answering, Delay, Script, streaming
from tests.support.server_send import ServerSend
from tests.support.virtual_time import run_virtual

from .test_own_bugs import Bug, watching

USUAL_S = 2.0
TWO = ("one", "two")


def speaking(after_s: float, text: str, *, stream: bool = True) -> Script:
    """Return an answer whose head comes at once, and whose first words come later."""
    if stream:
        return streaming(ROLE, Delay(after_s), say(text), END)
    return Answering(200, pieces=[b" ", Delay(after_s), text.encode()])


def rig_of(
    *scripts: Script, hedge: bool | Sequence[str] = True, seen: int = MIN_SEEN, usual_s: float = USUAL_S, **more: object
) -> Rig:
    """Return a request whose accounts are known to begin within ``usual_s``."""
    options = {"targets": TWO, "accounts": 1, **more}
    rig = Rig(*scripts, hedge=hedge, **options)  # type: ignore[arg-type]  # any of a Rig's parameters
    for account in rig.accounts:
        rig.teach(f"{account.upstream}/{account.label}", usual_s, times=seen)
    return rig


async def ends(rig: Rig, *log: str) -> GatewayError | None:
    """Run it, check what each attempt came to, and that nothing is left; return what failed."""
    failure = await rig.run()
    assert rig.log == list(log)
    rig.check()
    return failure


whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["F104-whole", "F104-stream"])


@whole_and_streamed
@run_virtual
async def test_second_attempt_answers_where_the_first_is_silent(stream: bool) -> None:
    rig = rig_of(speaking(60, "slow", stream=stream), speaking(0.5, "quick", stream=stream), stream=stream)
    assert await ends(rig, "one/0 hedge_lost", "two/0 ok") is None
    assert (rig.send.body.count(b"quick"), rig.send.body.count(b"slow")) == (1, 0)
    assert rig.took_s == USUAL_S + 0.5
    assert rig.attempts.account == "two/0"
    assert rig.send.header("x-ds2api-attempts") == "2"


@whole_and_streamed
@run_virtual
async def test_first_attempt_answers_that_speaks_before_the_second(stream: bool) -> None:
    rig = rig_of(speaking(3, "first", stream=stream), speaking(60, "second", stream=stream), stream=stream)
    assert await ends(rig, "two/0 hedge_lost", "one/0 ok") is None
    assert (rig.send.body.count(b"first"), rig.send.body.count(b"second")) == (1, 0)
    assert rig.took_s == 3
    assert rig.attempts.account == "one/0"


@whole_and_streamed
@run_virtual
async def test_loser_is_let_go_of_when_the_winner_begins_and_says_nothing_of_its_account(stream: bool) -> None:
    slow = Answering(200, dict(streaming().headers) if stream else (), [Delay(60), b"late"])
    rig = rig_of(slow, speaking(0.5, "quick", stream=stream), stream=stream, send=ServerSend(takes_s=10))

    async def look() -> None:
        await rig.sleep(USUAL_S + 0.5 + 0.1)  # virtual
        lost, won = rig.upstream.calls
        assert (lost.closes, lost.cancelled_in, won.is_open) == (1, "read", True)
        assert rig.accounts[0].in_flight == 0, "its place is free while the answer goes out"

    await rig.alongside(look)
    assert rig.log == ["one/0 hedge_lost", "two/0 ok"]
    lost = rig.accounts[0]
    assert (lost.state, lost.failed, lost.completed, lost.abandoned, lost.ewma_s) == ("healthy", 0, 0, 1, None)
    rig.check()


@pytest.mark.parametrize("early", [[], [ROLE], [ROLE, ROLE]], ids=["F104-head", "F104-role", "F104-roles"])
@run_virtual
async def test_head_and_roles_win_nothing(early: list[bytes]) -> None:
    rig = rig_of(streaming(Delay(5), say("first"), END), streaming(*early, Delay(60), say("second"), END))
    assert await ends(rig, "two/0 hedge_lost", "one/0 ok") is None
    assert rig.send.body == say("first") + END


ALL_FAIL = {
    "F104-status": refusing(500),
    "F104-limited": refusing(429),
    "F104-error-event": streaming(ROLE, no(500)),
    "F104-no-end": streaming(ROLE),
    "F104-refused": refusing(400),
    "F104-lost": Interrupted("lost", code="truncated"),
    "F104-not-http": Malformed("not HTTP", code="bad_protocol"),
}


@pytest.mark.parametrize("failing", ALL_FAIL.values(), ids=ALL_FAIL.keys())
@run_virtual
async def test_first_goes_on_where_the_second_fails(failing: Script) -> None:
    rig = rig_of(speaking(5, "first"), failing)
    assert await rig.run() is None
    assert (rig.send.body, rig.log[-1], len(rig.log)) == (ROLE + say("first") + END, "one/0 ok", 2)
    assert rig.attempts.account == "one/0"
    rig.check()


@pytest.mark.parametrize("failing", ALL_FAIL.values(), ids=ALL_FAIL.keys())
@run_virtual
async def test_second_goes_on_where_the_first_fails(failing: Script) -> None:
    late = failing
    if isinstance(late, Answering):
        late = Answering(late.status, late.headers, late.pieces, before=[Delay(3)])
    else:
        late = streaming(ROLE, Delay(3), late)
    rig = rig_of(late, speaking(5, "second"))
    assert await rig.run() is None
    assert (rig.send.body, rig.log[-1], len(rig.log)) == (ROLE + say("second") + END, "two/0 ok", 2)
    assert (rig.took_s, rig.attempts.account) == (USUAL_S + 5, "two/0")
    rig.check()


@run_virtual
async def test_F104_first_goes_on_where_the_second_cannot_be_asked() -> None:
    rig = rig_of(speaking(5, "first"), refuses={"two": Unsupported("no words for it", param="n")})
    assert await ends(rig, "one/0 ok") is None
    assert rig.send.body == ROLE + say("first") + END


@run_virtual
async def test_F104_failover_goes_on_where_both_fail() -> None:
    rig = rig_of(
        Answering(503, pieces=[b"no 503"], before=[Delay(3)]), Answering(500, pieces=[b"no 500"], before=[Delay(4)]),
        speaking(60, "third"), targets=("one", "two", "three"),
    )  # fmt: skip
    assert await ends(rig, "one/0 upstream_overloaded", "two/0 upstream_server_error", "three/0 ok") is None
    assert rig.took_s == USUAL_S + 4 + 60, "a third is waited for: one hedge a request"
    assert rig.failed == [1, 1, 0]


@run_virtual
async def test_F104_hedge_is_one_of_the_attempts_that_a_request_has() -> None:
    late = [Answering(500, pieces=[b"no 500"], before=[Delay(3)])] * 2
    rig = rig_of(*late, targets=("one", "two", "three"), max_attempts=2)
    assert isinstance(await ends(rig, *[f"{name}/0 upstream_server_error" for name in TWO]), ServerFault)
    alone = rig_of(speaking(9, "first"), max_attempts=1)
    assert await ends(alone, "one/0 ok") is None


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (Answering(400, pieces=[b"no 400"], before=[Delay(3)]), refusing(500, before=[Delay(3)]), "upstream_refused"),
        (Answering(500, pieces=[b"no 500"], before=[Delay(3)]), refusing(400, before=[Delay(3)]), "upstream_refused"),
        (
            streaming(Delay(3), Timeout("slow", may_be_billed=True)),
            refusing(500, before=[Delay(3)]),
            "upstream_timeout",
        ),
    ],
    ids=["F104-first-is-final", "F104-second-is-final", "F104-first-may-be-billed"],
)
@run_virtual
async def test_nobody_is_asked_after_a_failure_that_all_would_give_or_that_may_be_billed(
    first: Script, second: Script, told: str
) -> None:
    rig = rig_of(first, second, targets=("one", "two", "three"))
    failure = await rig.run()
    assert (failure and failure.code, len(rig.upstream.calls)) == (told, 2)
    rig.check()


# --- when there is none -----------------------------------------------------------------------------------------------


@whole_and_streamed
@run_virtual
async def test_nobody_else_is_asked_while_the_first_is_as_quick_as_usual(stream: bool) -> None:
    rig = rig_of(speaking(USUAL_S - 0.1, "first", stream=stream), stream=stream)
    assert await ends(rig, "one/0 ok") is None


@run_virtual
async def test_F104_nobody_else_is_asked_of_whom_too_little_is_known() -> None:
    rig = rig_of(speaking(60, "first"), seen=MIN_SEEN - 1)
    assert await ends(rig, "one/0 ok") is None


@run_virtual
async def test_F104_it_is_off_by_default_and_costs_nothing_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_attempts, "Race", None)
    rig = Rig(speaking(60, "first"), targets=TWO)
    assert await ends(rig, "one/0 ok") is None
    assert len(rig.attempts._means.patience) == 0, "nothing is measured"


@run_virtual
async def test_F104_nobody_else_is_asked_once_something_was_said() -> None:
    rig = rig_of(streaming(Delay(1), say("Hi"), Delay(60), say("there"), END))
    assert await ends(rig, "one/0 ok") is None


@run_virtual
async def test_F104_request_that_is_bound_to_an_account_waits_for_that() -> None:
    rig = rig_of(speaking(60, "first"))
    rig.plan = rig.pool.plan([Target(upstream=name, model="m") for name in TWO], allowed=["one/0"])
    rig.attempts = rig.another()
    assert await ends(rig, "one/0 ok") is None


@run_virtual
async def test_F104_stream_whose_heartbeats_are_events_is_not_hedged() -> None:
    rig = rig_of(speaking(60, "first"))
    rig.envelope = Envelope(model="m", stream=True, heard=Heard())
    rig.attempts = rig.another()
    assert await ends(rig, "one/0 ok") is None


@run_virtual
async def test_F104_answer_that_paused_is_half_paid_for_and_is_waited_for() -> None:
    class Pausing(LineTranscoder):
        def whole(self, body: bytes) -> bytes:
            self.is_paused = body == b"half"
            return super().whole(body)

        def resume(self) -> HTTPCall | None:
            return self.request() if self.is_paused else None

    slow = Answering(200, pieces=[Delay(60), b" and half"])
    rig = rig_of(Answering(200, pieces=[b"half"]), slow, stream=False, transcoder=Pausing)
    assert await ends(rig, "one/0 ok") is None
    assert (rig.send.body, len(rig.upstream.calls)) == (b"half and half", 2)


@run_virtual
async def test_F104_nobody_else_is_asked_where_the_budget_of_retries_is_spent() -> None:
    rig = rig_of(speaking(60, "first"), usual_s=0.5)
    lease = rig.pool.acquire(rig.plan)
    while rig.pool.may_retry(lease, ServerFault("no")):
        pass
    rig.pool.put_back(lease)
    assert await ends(rig, "one/0 ok") is None


class Stingy(Fleet):
    """Grants one attempt."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(lambda: 0.0))
        self.asked: list[str] = []
        self.left: list[str] = []

    async def admit(self, lease: Lease, demand: Demand) -> NotAdmitted | None:
        self.asked.append(lease.candidate.account.id)
        return NotAdmitted(name="account", wait_s=5) if len(self.asked) > 1 else None

    def leave(self, lease: Lease, demand: Demand, spent: int | None) -> None:
        self.left.append(lease.candidate.account.id)


@run_virtual
async def test_F104_nobody_else_is_asked_whom_those_who_share_the_account_do_not_grant() -> None:
    rig = rig_of(speaking(60, "first"))
    rig.attempts._means.fleet = fleet = Stingy()
    assert await ends(rig, "one/0 ok") is None
    assert (fleet.asked, fleet.left) == (["one/0", "two/0"], ["one/0"])


# --- whom -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "accounts", "hedge", "second"),
    [
        (("one",), 2, True, "one/1"),
        (("one", "two"), 2, True, "two/0"),
        (("one", "two"), 2, ("one",), "one/1"),
        (("one", "two", "three"), 1, ("one", "three"), "three/0"),
        (("one",), 1, True, None),
        (("one", "two"), 1, ("one",), None),
        (("one", "two"), 2, ("two",), None),
    ],
    ids=[
        "F104-other-account", "F104-other-origin-first", "F104-not-where-it-is-off", "F104-next-where-it-is-on",
        "F104-nobody-else", "F104-nobody-else-where-it-is-on", "F104-off-for-the-first",
    ],
)  # fmt: skip
@run_virtual
async def test_second_is_somebody_elsewhere_who_may_be(
    targets: Sequence[str], accounts: int, hedge: bool | Sequence[str], second: str | None
) -> None:
    rig = rig_of(
        speaking(60, "first"), *[speaking(1, "second")] * (second is not None), targets=targets, accounts=accounts,
        hedge=hedge,
    )  # fmt: skip
    assert await ends(rig, *(["one/0 ok"] if second is None else ["one/0 hedge_lost", f"{second} ok"])) is None


# --- how it ends otherwise --------------------------------------------------------------------------------------------

MOMENTS = [0.0, 0.5, 2.0]
"""Of each, after it was begun: ties among them, with each other and with the time at which the second begins."""


@pytest.mark.parametrize("second_s", MOMENTS, ids=[f"F104-second-{s}" for s in MOMENTS])
@pytest.mark.parametrize("first_s", [2.0, 2.5, 4.0], ids=lambda s: f"first-{s}")
@whole_and_streamed
@run_virtual
async def test_one_answer_goes_out_where_both_come_at_the_same_time(
    stream: bool, first_s: float, second_s: float
) -> None:
    rig = rig_of(speaking(first_s, "first", stream=stream), speaking(second_s, "second", stream=stream), stream=stream)
    assert await rig.run() is None
    assert rig.send.body.count(b"first") + rig.send.body.count(b"second") == 1
    assert [line.endswith(" ok") for line in rig.log[-2:]] == [False, True][-len(rig.log) :]
    assert rig.took_s == min(first_s, USUAL_S + second_s)
    rig.check()


@run_virtual
async def test_F104_answer_that_breaks_off_after_it_won_is_the_failure() -> None:
    rig = rig_of(NEVER, streaming(say("Hi"), Delay(1), Interrupted("lost", code="truncated")))
    assert isinstance(await ends(rig, "one/0 hedge_lost", "two/0 truncated"), Interrupted)
    assert rig.send.body == say("Hi") + b"broke truncated\n"


@run_virtual
async def test_F104_caller_who_leaves_ends_both() -> None:
    rig = rig_of(NEVER, NEVER)

    async def leave() -> None:
        await rig.sleep(5)  # virtual
        assert [account.in_flight for account in rig.accounts] == [1, 1]
        rig.attempts._course.leave()

    with pytest.raises(ClientGone):
        await rig.alongside(leave)
    assert sorted(rig.log) == ["one/0 abandoned", "two/0 abandoned"]
    assert [call.cancelled_in for call in rig.upstream.calls] == ["open", "open"]
    assert rig.took_s == 5
    await rig.reply.ensure_ended()
    rig.check()


@run_virtual
async def test_F104_deadline_ends_both() -> None:
    rig = rig_of(NEVER, NEVER, deadline_s=9)
    assert isinstance(await rig.run(), Timeout)
    assert rig.took_s == 9
    assert [account.in_flight for account in rig.accounts] == [0, 0]


@run_virtual
async def test_F104_caller_is_kept_busy_while_both_are_silent() -> None:
    rig = rig_of(speaking(60, "first"), speaking(20, "second"), commit_after_s=12, heartbeat_s=5)
    assert await ends(rig, "one/0 hedge_lost", "two/0 ok") is None
    assert rig.send.body == BEAT * 3 + ROLE + say("second") + END


@run_virtual
async def test_F104_who_was_overtaken_does_not_count_as_quick() -> None:
    rig = rig_of(NEVER, speaking(0.5, "second"))
    for _ in range(MIN_SEEN):
        rig.attempts._means.patience.overtaken(rig.kind("one/0"), USUAL_S + 1)
    assert await ends(rig, "one/0 hedge_lost", "two/0 ok") is None
    assert rig.patience("one/0") == USUAL_S + 1


ENTRIES = frozenset(
    {
        "Attempts.run", "Attempts._ask", "Attempts._attempt", "OneAttempt.__init__", "OneAttempt.run", "Race.__init__",
        "Racer.__init__", "Attempts._patience_with", "Attempts._ask_beside", "Race.run", "Race._run",
        "Race._ask_first", "Race._ask_second", "Race._ask", "Patience.with_", "Waits.usual_s",
    }
)  # fmt: skip
"""What stands between a lease and the ``finally`` that gives it back: see `test_own_bugs`."""
LEASES = ENTRIES | {"Pool.release", "Pool.abandon", "Pool._give_back", "Slot.give_back", "Rotation.given_back"}


@whole_and_streamed
@run_virtual
async def test_bug_in_each_function_of_a_hedged_request_leaves_no_attempt_behind(stream: bool) -> None:
    def make() -> Rig:
        slow, quick = speaking(60, "first", stream=stream), speaking(0.5, "second", stream=stream)
        return rig_of(slow, quick, stream=stream, send=ServerSend(takes_s=1))

    entered: dict[CodeType, None] = {}
    rig = make()
    with watching(lambda code: entered.setdefault(code)):
        assert await rig.run() is None
    assert "Race._let_go" in {code.co_qualname for code in entered}
    told: set[Exception] = set()
    for target in [code for code in entered if not code.co_name.startswith("<")]:
        rig, is_raised = make(), False

        def raise_once(code: CodeType, target: CodeType = target) -> None:
            nonlocal is_raised
            if code is target and not is_raised:
                is_raised = True
                raise Bug

        with watching(raise_once):
            try:
                await rig.run()
            except* Bug as group:  # one of what carries it out of a task as it is comes in a group
                told.update(group.exceptions)
        assert is_raised, f"{target.co_qualname} was not entered"
        assert rig.upstream.still_open == 0, f"{target.co_qualname}: a connection is left"
        leases = [account.in_flight for account in rig.accounts]
        assert target.co_qualname in LEASES or leases == [0, 0], f"{target.co_qualname}: a lease is left"
    assert len(told) > 50
