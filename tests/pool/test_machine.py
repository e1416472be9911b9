"""The pool against a plain model of it: any order of requests, answers, cancellations and time.

The model knows no heaps, no rings and no epochs: it looks at everybody, each time. What it checks is numbered as in
the list of invariants of the reference (I1-I4, I6-I11, I13). That each of them is looked at, `test_invariants` shows.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeAlias, assert_never

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgi_ds2api.errors import (
    CapacityError,
    Interrupted,
    KeyRefused,
    Overloaded,
    QuotaExhausted,
    Refused,
    ServerFault,
    Timeout,
    Unreachable,
    UpstreamError,
)
from asgi_ds2api.pool.evidence import is_of_the_key
from asgi_ds2api.pool.model import Account, Candidate, Lease, Origin, Target, Tier
from asgi_ds2api.pool.model import Override as Word
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.state.contract import HealthScope
from asgi_ds2api.state.memory import MemoryStore

from .rig import Clock
from .verdicts import limited, refused, unauthorized

ORIGINS = [Origin("https", host, 443) for host in ("one.example", "two.example")]
TARGETS = [Target(upstream=upstream, model=model) for upstream in ("a", "b") for model in ("m", "n")]
ACCOUNTS = [*[f"a/{n}" for n in range(3)], *[f"b/{n}" for n in range(2)]]
WORDS: tuple[Word, ...] = ("disable", "enable", "reset")
MAX_ATTEMPTS = 3
MAX_PAUSE_S = 660.0
"""Of an account for a model that it does not know, jitter included; a backoff ends after 300."""


ERRORS: dict[str, Callable[[], UpstreamError]] = {
    "429": lambda: limited(),
    "429, 7 s": lambda: limited(7.0),
    "429, 90 s": lambda: limited(90.0),
    "429 of the model": lambda: limited(20.0, by_model=True),
    "500": lambda: ServerFault("oops", upstream_status=500),
    "502": lambda: ServerFault("bad", upstream_status=502),
    "503, 12 s": lambda: Overloaded("full", upstream_status=503, retry_after_s=12),
    "529": lambda: Overloaded("full", upstream_status=529),
    "quota": lambda: QuotaExhausted("pay"),
    "401": lambda: KeyRefused("no"),
    "key invalid": lambda: unauthorized(is_key_invalid=True),
    "unreachable": lambda: Unreachable("no"),
    "slow": lambda: Timeout("slow", may_be_billed=True),
    "cut": lambda: Interrupted("cut"),
    "400": lambda: Refused("no"),
    "404": lambda: refused("model_not_found"),
}


class Acquire(NamedTuple):
    """Plan and acquire."""

    targets: tuple[Target, ...]
    allowed: tuple[str, ...] | None
    tried: tuple[tuple[str, str], ...]
    """Account ids and models."""


class Release(NamedTuple):
    """Give lease ``number`` back."""

    number: int
    error: str | None


class Abandon(NamedTuple):
    """Give lease ``number`` back without a verdict."""

    number: int


class Answered(NamedTuple):
    """The answer of lease ``number`` has begun."""

    number: int


class Retry(NamedTuple):
    """Ask whether lease ``number`` may be followed by another."""

    number: int
    error: str


class Wait(NamedTuple):
    """Time passes."""

    seconds: float


class Override(NamedTuple):
    """An operator says a word about an account."""

    account: str
    word: Word


Step: TypeAlias = Acquire | Release | Abandon | Answered | Retry | Wait | Override


class World:
    """A pool, its clock and its dice: does what it is told, and says what the pool decided."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self.accounts = {
            f"{upstream}/{n}": Account(upstream=upstream, label=str(n), origin=ORIGINS[n % 2])
            for upstream, count in (("a", 3), ("b", 2))
            for n in range(count)
        }
        self.pool = Pool(self.accounts.values(), store=self.store, now=self.clock, rng=Random(seed).random)
        self.leases: dict[int, Lease] = {}

    def perform(self, step: Step) -> str:
        match step:
            case Acquire():
                return self._acquire(step)
            case Release(number, error):
                self.pool.release(self.leases[number], ERRORS[error]() if error else None)
            case Abandon(number):
                self.pool.abandon(self.leases[number])
            case Answered(number):
                self.pool.answered(self.leases[number])
            case Retry(number, error):
                return str(self.pool.may_retry(self.leases[number], ERRORS[error]()))
            case Wait(seconds):
                self.clock.now += seconds
            case Override(account, word):
                self.pool.override(account, word)
            case _:
                assert_never(step)
        return ""

    def _acquire(self, step: Acquire) -> str:
        tried = [Candidate(self.accounts[id_], model) for id_, model in step.tried]
        try:
            lease = self.pool.acquire(self.pool.plan(step.targets, step.allowed), tried)
        except CapacityError as error:
            return f"{type(error).__name__} {error.retry_after_s}"
        self.leases[lease.number] = lease
        return f"{lease.number} {lease.candidate.account.id} {lease.candidate.model} {lease.probes}"


class Request(NamedTuple):
    """A caller's request: where it may go, and where it has been."""

    targets: tuple[Target, ...]
    allowed: tuple[str, ...] | None
    tried: list[tuple[str, str]]


class PoolMachine(RuleBasedStateMachine):
    """Requests that begin, fail, are retried, end or are cancelled, in any order."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.seed = seed
        self.world = World(seed)
        self.started_at = self.world.clock.now
        self.steps: list[Step] = []
        self.decisions: list[str] = []
        self.open: dict[int, Request] = {}
        self.answered: set[int] = set()
        self.last_used: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.firsts: Counter[Origin] = Counter()
        self.retries: Counter[Origin] = Counter()
        self.changes: Counter[Origin] = Counter()
        self.opening_times: dict[HealthScope, float] = {}
        self.shut: set[str] = set()
        self.strays = 0

    # --- the model ----------------------------------------------------------------------------------------------------

    def perform(self, step: Step) -> str:
        decision = self.world.perform(step)
        self.steps.append(step)
        self.decisions.append(decision)
        return decision

    def candidates(self, request: Request, tier: Tier) -> list[Candidate]:
        """Look at everybody: who of a tier is open, as an operator sees it, and was not tried?"""
        snapshot = self.world.pool.snapshot()
        closed_origins = {status.origin for status in snapshot.origins if status.opens_in_s > 0}
        fit = []
        for status in snapshot.accounts:
            account = self.world.accounts[f"{status.upstream}/{status.label}"]
            closed_models = {narrow.model for narrow in status.models if narrow.opens_in_s > 0}
            if (
                status.upstream == tier.upstream
                and (tier.only is None or account in tier.only)
                and status.opens_in_s == 0
                and status.origin not in closed_origins
                and tier.model not in closed_models
                and (account.id, tier.model) not in request.tried
            ):
                fit.append(Candidate(account, tier.model))
        return fit

    def expected(self, request: Request) -> Candidate | None:
        """The first tier that has somebody; in it, who was used longest ago; tried accounts last."""
        narrow = {
            (f"{status.upstream}/{status.label}", model.model)
            for status in self.world.pool.snapshot().accounts
            for model in status.models
        }
        spent = {id_ for id_, model in request.tried if (id_, model) not in narrow}
        for avoided in (spent, set[str]()):
            for tier in self.world.pool.plan(request.targets, request.allowed).tiers:
                fit = [c for c in self.candidates(request, tier) if c.account.id not in avoided]
                if fit:
                    return min(fit, key=lambda candidate: (self.last_used[candidate.account.id], candidate.account.id))
        return None

    def is_well(self) -> bool:
        snapshot = self.world.pool.snapshot()
        states = {status.state for status in snapshot.accounts} | {status.state for status in snapshot.origins}
        return states == {"healthy"} and not any(status.models for status in snapshot.accounts)

    def attempt(self, request: Request) -> None:
        """Make the next attempt of a request, and compare with what the model would have chosen."""
        expected, is_well = self.expected(request), self.is_well()
        decision = self.perform(Acquire(request.targets, request.allowed, tuple(request.tried)))
        if decision.startswith(("PoolExhausted", "NoCapacity")):
            assert request.tried or not is_well, "I11: a healthy pool refuses nobody"
            assert expected is None, "nobody is refused while somebody is open and untried"
            assert float(decision.split()[1]) > 0
            return
        number, id_, model, *_ = decision.split()
        assert (id_, model) not in request.tried, "I7: no candidate is asked twice"
        assert len(request.tried) < MAX_ATTEMPTS, "I7: three attempts at most"
        assert expected is not None, "I2: nobody is asked who is closed"
        assert (id_, model) == (expected.account.id, expected.model), "I2: open, and its turn"
        if not request.tried:
            self.firsts[expected.account.origin] += 1
        self.last_used[id_] = int(number)
        self.attempts[id_] += 1
        request.tried.append((id_, model))
        self.open[int(number)] = request

    # --- what happens -------------------------------------------------------------------------------------------------

    @rule(goals=st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3, unique=True))
    def request(self, goals: list[Target]) -> None:
        self.attempt(Request(tuple(goals), None, []))

    @rule(allowed=st.sets(st.sampled_from(["a/0", "a/1", "a/2"]), min_size=1, max_size=2))
    def bound_request(self, allowed: set[str]) -> None:
        self.attempt(Request(tuple(TARGETS[:2]), tuple(sorted(allowed)), []))

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 5.0, 7.0, 31.0, 400.0, 2_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.perform(Wait(seconds))

    def one_open(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.open)))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), error=st.sampled_from(sorted(ERRORS)))
    def attempt_fails(self, data: st.DataObject, error: str) -> None:
        number = self.one_open(data)
        request = self.open.pop(number)
        self.perform(Release(number, error))
        if len(request.tried) < MAX_ATTEMPTS and self.perform(Retry(number, error)) == "True":
            origin = self.world.leases[number].candidate.account.origin
            (self.changes if is_of_the_key(ERRORS[error]()) else self.retries)[origin] += 1
            self.attempt(request)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def attempt_succeeds(self, data: st.DataObject) -> None:
        number = self.one_open(data)
        del self.open[number]
        self.perform(Release(number, None))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def answer_begins(self, data: st.DataObject) -> None:
        number = self.one_open(data)
        self.answered.add(number)
        self.perform(Answered(number))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), times=st.integers(1, 2))
    def caller_leaves(self, data: st.DataObject, times: int) -> None:
        number = self.one_open(data)
        del self.open[number]
        for _ in range(times):
            self.perform(Abandon(number))
        self.strays += times - 1

    @rule(account=st.sampled_from(ACCOUNTS), word=st.sampled_from(WORDS))
    def operator_steps_in(self, account: str, word: Word) -> None:
        self.perform(Override(account, word))
        match word:
            case "disable":
                self.shut.add(account)
            case "enable":
                if account in self.shut:
                    self.opening_times.pop(HealthScope("account", account), None)
                self.shut.discard(account)
            case "reset":
                origin = HealthScope("origin", str(self.world.accounts[account].origin))
                mine = [scope for scope in self.opening_times if scope == origin or scope.name == account]
                for scope in mine:
                    if scope.kind != "account" or account not in self.shut:
                        del self.opening_times[scope]

    @precondition(lambda self: not self.shut)
    @rule(goals=st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2, unique=True))
    def caller_waits_as_told_and_is_served(self, goals: list[Target]) -> None:
        request = Request(tuple(goals), None, [])
        self.attempt(request)
        while not request.tried:
            is_probed = any(state == "probing" for _, state, _ in self.scopes())
            self.perform(Wait(float(self.decisions[-1].split()[1])))
            self.attempt(request)
            assert request.tried or is_probed, "whoever waits as long as was told finds somebody open"

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def slots_are_held_by_open_attempts_alone(self) -> None:
        """I1"""
        held = Counter(self.world.leases[number].candidate.account.id for number in self.open)
        seen = {f"{s.upstream}/{s.label}": s.in_flight for s in self.world.pool.snapshot().accounts}
        assert seen == {id_: held[id_] for id_ in self.world.accounts}, "I1"

    @invariant()
    def a_closed_scope_does_not_open_sooner_than_was_said(self) -> None:
        """I3"""
        now = self.world.clock.now
        for scope, state, opens_in_s in self.scopes():
            if state == "healthy":
                self.opening_times.pop(scope, None)
            elif state in ("cooling", "disabled"):
                assert opens_in_s == 0 or now + opens_in_s >= self.opening_times.get(scope, 0.0) - 1e-6, "I3"
                if opens_in_s == 0:
                    assert self.opening_times.get(scope, 0.0) <= now + 1e-6, "I3"
                else:
                    self.opening_times[scope] = now + opens_in_s

    @invariant()
    def who_was_disabled_by_hand_is_asked_nothing(self) -> None:
        """And nothing but a hand opens it."""
        by_hand = {
            f"{s.upstream}/{s.label}"
            for s in self.world.pool.snapshot().accounts
            if (s.state, s.reason) == ("disabled", "operator")
        }
        assert by_hand == self.shut

    def scopes(self) -> list[tuple[HealthScope, str, float]]:
        snapshot = self.world.pool.snapshot()
        found = [(HealthScope("origin", status.origin), status.state, status.opens_in_s) for status in snapshot.origins]
        for status in snapshot.accounts:
            id_ = f"{status.upstream}/{status.label}"
            found.append((HealthScope("account", id_), status.state, status.opens_in_s))
            found += [
                (HealthScope("model", id_, narrow.model), narrow.state, narrow.opens_in_s) for narrow in status.models
            ]
        return [(scope, str(state), opens_in_s) for scope, state, opens_in_s in found]

    @invariant()
    def a_scope_has_one_live_probe_at_most(self) -> None:
        """I4: live is a probe within its lease, of the present epoch, that has not answered."""
        probes: Counter[HealthScope] = Counter()
        for number in self.open:
            lease = self.world.leases[number]
            account, model = lease.candidate.account, lease.candidate.model
            scopes = {
                "origin": HealthScope("origin", str(account.origin)),
                "account": HealthScope("account", account.id),
                "model": HealthScope("model", account.id, model),
            }
            for place, (kind, scope) in enumerate(scopes.items()):
                entry = self.world.store.cooldown(scope)
                is_present = entry is not None and entry.epoch == lease.epochs[place]
                is_live = number not in self.answered and self.world.clock.now < lease.acquired_at + 30
                probes[scope] += kind in lease.probes and is_present and is_live
        assert [scope for scope, count in probes.items() if count > 1] == [], "I4"

    @invariant()
    def retries_stay_within_the_budget(self) -> None:
        """I6"""
        elapsed_s = self.world.clock.now - self.started_at
        for origin, count in self.retries.items():
            assert count <= self.firsts[origin] / 5 + 3 + elapsed_s, "I6"
        for origin, count in self.changes.items():
            assert count <= self.firsts[origin] / 25 + 10 + elapsed_s, "I6"

    @invariant()
    def every_attempt_has_one_outcome(self) -> None:
        """I8"""
        snapshot = self.world.pool.snapshot()
        held = Counter(self.world.leases[number].candidate.account.id for number in self.open)
        outcomes = {
            id_: status.completed + status.failed + status.abandoned + held[id_]
            for id_, status in zip(self.world.accounts, snapshot.accounts, strict=True)
        }
        assert outcomes == {id_: self.attempts[id_] for id_ in self.world.accounts}, "I8"
        assert snapshot.stray_releases == self.strays

    def recover(self) -> None:
        """Let faults stop: whoever is not disabled is back after his pause, and one probe for each model."""
        pauses = [opens_in_s for _, state, opens_in_s in self.scopes() if state == "cooling"]
        assert max([0.0, *pauses]) <= MAX_PAUSE_S, "I13: no pause is longer than the longest"
        self.perform(Wait(MAX_PAUSE_S))
        for id_ in self.world.accounts:
            upstream = id_.partition("/")[0]
            for model in "mn":
                number = self.perform(Acquire((Target(upstream=upstream, model=model),), (id_,), ())).split()[0]
                if number.isdigit():
                    self.perform(Release(int(number), None))
        disabled = {scope.name for scope, state, _ in self.scopes() if state == "disabled"}
        reached = [account for id_, account in self.world.accounts.items() if id_ not in disabled]
        names = {account.id for account in reached} | {str(account.origin) for account in reached}
        ill = [scope for scope, state, _ in self.scopes() if state != "healthy" and scope.name in names]
        assert ill == [], "I13: one probe, and it is healthy"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for number in sorted(self.open):
            self.perform(Abandon(number))
        snapshot = self.world.pool.snapshot()
        assert [status.in_flight for status in snapshot.accounts] == [0] * len(snapshot.accounts), "I9"
        assert [scope for scope, state, _ in self.scopes() if state == "probing"] == [], "I9: no probe is lost"
        self.recover()
        replay = World(self.seed)
        assert [replay.perform(step) for step in self.steps] == self.decisions, "I10"


TestPool = pytest.mark.filterwarnings("error")(PoolMachine.TestCase)
TestPool.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
