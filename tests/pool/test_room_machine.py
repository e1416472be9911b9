"""Limits and the line against a plain model: any order of requests, ends, departures and time, under every strategy.

Beside `test_machine`, which knows no limits: here accounts have room for some attempts, requests and tokens, and who
finds nobody stands in line. Checked after every step (numbers as in the reference's list of invariants): I1, I5, I9,
I11, I13, that nobody waits for what is free, and that nobody is woken twice or for nothing.
"""

from collections import Counter
from collections.abc import Callable
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_ds2api.errors import (
    CapacityError,
    Overloaded,
    PoolExhausted,
    QueueFull,
    ServerFault,
    UpstreamError,
)
from asgi_ds2api.pool.line import Waiter
from asgi_ds2api.pool.model import Account, Candidate, Demand, Lease, Plan, Spent, Target
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.pool.strategies import STRATEGIES
from asgi_ds2api.state.memory import MemoryStore

from .rig import HOME, Clock
from .verdicts import limited

RPM, TPM = 30.0, 60_000.0
MAX_WAITING = 8
WAIT_S = 20.0
ERRORS: dict[str, Callable[[], UpstreamError]] = {
    "429, 7 s": lambda: limited(7.0),
    "429 of the model": lambda: limited(12.0, by_model=True),
    "500": lambda: ServerFault("oops", upstream_status=500),
    "529": lambda: Overloaded("full", upstream_status=529),
}


def members() -> list[Account]:
    common = {"upstream": "a", "origin": HOME}
    return [
        Account(label="narrow", concurrency=1, **common),  # type: ignore[arg-type] # fields of the rig
        Account(label="wide", concurrency=3, **common),  # type: ignore[arg-type] # likewise
        Account(label="paced", concurrency=2, rpm=RPM, tpm=TPM, **common),  # type: ignore[arg-type] # likewise
        Account(label="choosy", concurrency=2, models=("m",), **common),  # type: ignore[arg-type] # likewise
    ]


class RoomMachine(RuleBasedStateMachine):
    """Requests that come, wait, are served, leave and end."""

    @initialize(seed=st.integers(0, 2**32), strategy=st.sampled_from(sorted(STRATEGIES)))
    def begin(self, seed: int, strategy: str) -> None:
        self.clock = Clock()
        self.accounts = {account.label: account for account in members()}
        self.pool = Pool(
            self.accounts.values(),
            store=MemoryStore(self.clock),
            now=self.clock,
            rng=Random(seed).random,
            strategy=strategy,  # type: ignore[arg-type] # a key of the table
            max_waiting=MAX_WAITING,
        )
        self.began_at = self.clock.now
        self.open: list[Lease] = []
        self.waiting: list[Waiter] = []
        self.wakes: Counter[int] = Counter()
        self.paced_attempts = 0

    # --- the model ----------------------------------------------------------------------------------------------------

    def note(self, lease: Lease) -> None:
        self.open.append(lease)
        self.paced_attempts += lease.candidate.account.label == "paced"

    def settle(self) -> None:
        """Let those who were woken go: with what was handed to them, or refused."""
        for waiter in list(self.waiting):
            if self.wakes[id(waiter)] == 0:
                continue
            assert self.wakes[id(waiter)] == 1, "woken twice"
            lease = waiter.take()
            assert (lease is None) == (waiter.refusal is not None), "woken for nothing"
            if lease is not None:
                self.note(lease)
            self.waiting.remove(waiter)
            self.pool.leave(waiter)

    def is_untouched(self) -> bool:
        snapshot = self.pool.snapshot()
        return all(status.state == "healthy" and not status.models for status in snapshot.accounts) and all(
            status.state == "healthy" for status in snapshot.origins
        )

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(
        caller=st.sampled_from("abc"),
        model=st.sampled_from("mn"),
        tokens=st.sampled_from([10, 3_000, 50_000]),
        session=st.sampled_from(["", "s", "t"]),
    )
    def request(self, caller: str, model: str, tokens: int, session: str) -> None:
        target = Target(upstream="a", model=model)
        plan = self.pool.plan([target], demand=Demand(tokens), caller=caller, session=session)
        before = len(self.waiting)
        try:
            self.note(self.pool.acquire(plan))
        except CapacityError as refusal:
            has_room = any(
                status.in_flight < (status.max_in_flight or 0) and status.label in ("narrow", "wide")
                for status in self.pool.snapshot().accounts
            )
            assert not (self.is_untouched() and has_room), "I11: a healthy pool with room refuses nobody"
            self.stand_in_line(plan, refusal)
        self.settle()
        assert len(self.waiting) <= before + 1

    def stand_in_line(self, plan: Plan, refusal: CapacityError) -> None:
        if not isinstance(refusal, PoolExhausted):
            return
        woken: list[int] = []
        try:
            waiter = self.pool.join(plan, (), WAIT_S, lambda: self.wakes.update(woken), refusal)
        except QueueFull:
            assert len(self.waiting) == MAX_WAITING
            return
        woken.append(id(waiter))
        self.wakes[id(waiter)] = 0
        self.waiting.append(waiter)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["whole", "left", "unused", *ERRORS]))
    def attempt_ends(self, data: st.DataObject, how: str) -> None:
        lease = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        match how:
            case "whole":
                self.pool.release(lease, spent=Spent(data.draw(st.sampled_from([0, 500, 90_000])), 400, 300))
            case "left":
                self.pool.abandon(lease, spent=None)
            case "unused":
                self.pool.put_back(lease)
                self.paced_attempts -= lease.candidate.account.label == "paced"
            case _:
                self.pool.release(lease, ERRORS[how](), spent=Spent())
        self.settle()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def answer_begins(self, data: st.DataObject) -> None:
        self.pool.answered(self.open[data.draw(st.integers(0, len(self.open) - 1))])
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def waiter_leaves(self, data: st.DataObject) -> None:
        self.pool.leave(self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1))))
        self.settle()

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 8.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        for waiter in list(self.waiting):
            self.pool.look(waiter)
        self.settle()

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def attempts_are_counted_and_within_the_limits(self) -> None:
        """I1"""
        expected = Counter(lease.candidate.account.label for lease in self.open)
        for status in self.pool.snapshot().accounts:
            assert status.in_flight == expected[status.label], "I1"
            assert status.max_in_flight is not None
            assert status.in_flight <= status.max_in_flight

    @invariant()
    def no_more_is_let_out_than_came_in(self) -> None:
        """I5"""
        elapsed_s = self.clock.now - self.began_at
        assert self.paced_attempts <= RPM + elapsed_s * RPM / 60 + 1e-6, "I5"
        for status in self.pool.snapshot().accounts:
            assert status.tokens_left is None or 0 <= status.tokens_left <= TPM, "I5"

    @invariant()
    def models_are_asked_of_those_who_serve_them(self) -> None:
        assert all(lease.candidate.account.serves(lease.candidate.model) for lease in self.open)

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        assert len(self.pool._line) == len(self.waiting)
        for waiter in self.waiting:
            assert self.pool._choose(waiter.plan, ()) is None

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        while self.open:
            self.pool.release(self.open.pop())
            self.settle()
        self.clock.now += 3_600
        while self.waiting:
            self.pool.look(self.waiting[0])
            self.settle()
            assert self.open, "I13: when faults stop, whoever waits is served"
            while self.open:
                self.pool.release(self.open.pop())
                self.settle()
        for label in self.accounts:
            plan = self.pool.plan([Target(upstream="a", model="m")], allowed=[f"a/{label}"])
            self.pool.release(self.pool.acquire(plan))
        snapshot = self.pool.snapshot()
        assert {status.state for status in snapshot.accounts} == {"healthy"}, "I13: one probe each, and all are back"
        assert [status.in_flight for status in snapshot.accounts] == [0] * 4, "I9"
        assert (len(self.pool._line), len(self.pool._leases), snapshot.stray_releases) == (0, 0, 0), "I9"


TestRoom = pytest.mark.filterwarnings("error")(RoomMachine.TestCase)
TestRoom.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


def test_I12_one_healthy_account_of_three_answers() -> None:
    pool = Pool(members()[:3], store=MemoryStore(Clock()), now=Clock(), rng=Random(1).random)
    plan = pool.plan([Target(upstream="a", model="m")])
    tried: list[Candidate] = []
    for _ in range(2):
        lease = pool.acquire(plan, tried)
        tried.append(lease.candidate)
        error = ServerFault("oops", upstream_status=500)
        pool.release(lease, error)
        assert pool.may_retry(lease, error)
    last = pool.acquire(plan, tried)
    pool.release(last)
    assert len({candidate.account.label for candidate in [*tried, last.candidate]}) == 3
