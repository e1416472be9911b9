"""What the pool costs, and how well it does: ``make bench-pool``.

Costs are microseconds of a pick (acquire and release) with 1 to 10,000 accounts, for each strategy. The rest is counted
and not timed: virtual seconds, dice with a seed, the same figures on every machine. Each has a goal, and the command
fails if one is missed; ``tests/pool/test_figures.py`` checks those that are counted.
"""

import logging
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from random import Random
from time import perf_counter

from asgi_ds2api.errors import CapacityError, PoolExhausted, RateLimited, ServerFault, UpstreamError
from asgi_ds2api.pool.line import Waiter
from asgi_ds2api.pool.model import Account, Candidate, Lease, Origin, Plan, Spent, Target
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.pool.strategies import STRATEGIES, StrategyName
from asgi_ds2api.state.memory import MemoryStore

COUNTS = (1, 10, 1_000, 10_000)
PICKS = 20_000
MAX_GROWTH = 2.0
"""Of the cost of a pick, from ten accounts to ten thousand: caches of the machine are in it, too."""
TARGET = [Target(upstream="u", model="m")]


class Clock:
    """A clock that a benchmark moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A pool with a clock of its own."""

    def __init__(self, count: int, strategy: StrategyName = "round_robin", **options: object) -> None:
        self.clock = Clock()
        limits = {name: options.pop(name) for name in ("concurrency", "rpm", "tpm") if name in options}
        origin = Origin("https", "u.example", 443)
        accounts = [Account(upstream="u", label=str(n), origin=origin, **limits) for n in range(count)]  # type: ignore[arg-type] # options
        store = MemoryStore(self.clock)
        self.pool = Pool(
            accounts,
            store=store,
            now=self.clock,
            rng=Random(1).random,
            strategy=strategy,
            **options,  # type: ignore[arg-type] # options
        )
        self.plan = self.pool.plan(TARGET)

    def ask(self, fails: Callable[[Account], UpstreamError | None], max_attempts: int = 3) -> tuple[bool, int]:
        """Make a whole request with its failovers; return whether it was answered, and the upstream calls."""
        tried: list[Candidate] = []
        while True:
            try:
                lease = self.pool.acquire(self.plan, tried)
            except CapacityError:
                return False, len(tried)
            tried.append(lease.candidate)
            error = fails(lease.candidate.account)
            self.pool.release(lease, error)
            if error is None:
                return True, len(tried)
            if len(tried) >= max_attempts or not self.pool.may_retry(lease, error):
                return False, len(tried)


def cost_us(count: int, strategy: StrategyName, **options: object) -> float:
    """Return the microseconds of one pick, the best of five rounds."""
    bench = Bench(count, strategy, **options)
    pool, plan = bench.pool, bench.plan
    best = float("inf")
    for _ in range(5):
        began = perf_counter()
        for _ in range(PICKS // 5):
            pool.release(pool.acquire(plan))
        best = min(best, (perf_counter() - began) / (PICKS // 5))
    return best * 1e6


def success_with_one_of_four_dead() -> float:
    """Return the part of requests that were answered while one account of four fails all the time."""
    bench = Bench(4)
    answered = 0
    for _ in range(20_000):
        is_answered, _ = bench.ask(
            lambda account: ServerFault("dead", upstream_status=500) if account.label == "0" else None
        )
        answered += is_answered
        bench.clock.now += 0.05
    return answered / 20_000


def amplification(limited: float = 0.0, accounts: int = 4) -> float:
    """Return the upstream calls for one request of a caller while everything fails.

    Args:
        limited: Part of the failures that are limits of keys, not faults of the server.
        accounts: How many keys there are.
    """
    bench, rng = Bench(accounts), Random(3)
    asked = calls = 0

    def fails(account: Account) -> UpstreamError:
        if rng.random() < limited:
            return RateLimited("limit", retry_after_s=1)
        return ServerFault("dead", upstream_status=500)

    for _ in range(2_000):
        _, made = bench.ask(fails)
        asked, calls = asked + 1, calls + made
        bench.clock.now += 0.001
    return calls / asked


def calls_to_a_cooling_account() -> float:
    """Return the most upstream calls that an account got in one of its pauses, its probe included."""
    bench = Bench(1)
    calls: Counter[int] = Counter()
    for _ in range(10_000):
        _, made = bench.ask(lambda _: RateLimited("limit", retry_after_s=10))
        calls[int(bench.clock.now // 10)] += made
        bench.clock.now += 0.01
    return max(calls.values())


def fairness() -> float:
    """Return how often the caller with ten requests in line is served for each time of the one with one."""
    bench = Bench(1, concurrency=1, max_waiting=100)
    pool, served = bench.pool, Counter[str]()
    lease = pool.acquire(bench.plan)
    waiting: deque[tuple[str, Waiter]] = deque()

    def come(caller: str) -> None:
        plan = pool.plan(TARGET, caller=caller)
        try:
            pool.acquire(plan)
        except PoolExhausted as refusal:
            waiting.append((caller, pool.join(plan, (), 1e9, lambda: None, refusal)))

    for caller in ["large"] * 10 + ["small"]:
        come(caller)
    for _ in range(2_000):
        pool.release(lease)
        caller, waiter = next(entry for entry in waiting if entry[1].lease is not None)
        waiting.remove((caller, waiter))
        taken = waiter.take()
        assert taken is not None
        lease = taken
        served[caller] += 1
        come(caller)
    return served["large"] / served["small"]


def cache_hits(affinity_s: float) -> float:
    """Return the part of input tokens that accounts had cached: 200 conversations of ten turns over eight accounts."""
    bench = Bench(8, affinity_s=affinity_s)
    pool, rng = bench.pool, Random(2)
    known: dict[tuple[str, int], int] = {}
    """Account and conversation -> tokens of its history that the account has seen."""
    total = cached = 0
    turns = Counter[int]()
    for _ in range(2_000):
        talk = rng.randrange(200)
        turns[talk] += 1
        history = 1_000 * turns[talk]
        plan: Plan = pool.plan(TARGET, session=f"talk-{talk}")
        lease: Lease = pool.acquire(plan)
        place = (lease.candidate.account.label, talk)
        hit = known.get(place, 0)
        known[place] = history
        pool.release(lease, spent=Spent(history, history, hit))
        total, cached = total + history, cached + hit
        bench.clock.now += 0.5
    return cached / total


def figures() -> Iterator[tuple[str, float, str, bool]]:
    """Yield what was found: name, value, goal, and whether it is reached."""
    success = success_with_one_of_four_dead()
    yield "requests answered, 1 of 4 accounts dead", success, ">= 0.9995", success >= 0.9995
    calls = amplification()
    yield "upstream calls a request, all failing", calls, "<= 1.25", calls <= 1.25
    limited = amplification(1.0, accounts=10_000)
    yield "the same, all of 10,000 keys limited", limited, "<= 1.25", limited <= 1.25
    mixed = amplification(0.5, accounts=10_000)
    yield "the same, limits and faults mixed", mixed, "<= 1.25", mixed <= 1.25
    hammered = calls_to_a_cooling_account()
    yield "calls to a cooling account a pause", hammered, "<= 1", hammered <= 1
    ratio = fairness()
    yield "turns of a caller, 10 requests to 1", ratio, "<= 2", ratio <= 2
    with_it, without = cache_hits(3_600), cache_hits(0)
    yield "input tokens cached, with affinity", with_it, ">= 0.75", with_it >= 0.75
    yield "input tokens cached, without", without, "less than half of it", without < with_it / 2


def main() -> int:
    """Print all, and tell whether every goal was reached."""
    logging.getLogger("asgi_ds2api").setLevel(logging.CRITICAL)
    is_good = True
    print(f"{'us a pick':24}" + "".join(f"{count:>10,}" for count in COUNTS) + "   growth")
    for strategy in STRATEGIES:
        for name, options in ((strategy, {}), (f"{strategy}, limits", {"concurrency": 100, "rpm": 1e7, "tpm": 1e9})):
            costs = [cost_us(count, strategy, **options) for count in COUNTS]
            growth = costs[-1] / costs[1]
            is_good = is_good and growth <= MAX_GROWTH
            print(f"{name:24}" + "".join(f"{cost:10.2f}" for cost in costs) + f"{growth:9.2f}")
    print()
    for name, value, goal, is_reached in figures():
        is_good = is_good and is_reached
        print(f"{name:42}{value:12.4f}   {goal}{'' if is_reached else '   MISSED'}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
