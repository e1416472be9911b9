"""A pool with a clock and a dice that a test holds in its hands."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from asgi_ds2api.errors import UpstreamError
from asgi_ds2api.pool.model import Account, AccountStatus, Candidate, Demand, Lease, Origin, Plan, Target
from asgi_ds2api.pool.pool import Pool
from asgi_ds2api.pool.strategies import StrategyName
from asgi_ds2api.state.contract import StateStore
from asgi_ds2api.state.memory import MemoryStore

START = 10_000.0
HOME = Origin("https", "api.example", 443)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Dice:
    """Always falls the same: 1 makes backoffs as long as they can be, 0 adds nothing to hints."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self) -> float:
        return self.value


def accounts(count: int, upstream: str = "openai", origin: Origin = HOME, **fields: Any) -> list[Account]:
    """Return accounts labelled 0, 1, 2, ..."""
    return [Account(upstream=upstream, label=str(n), origin=origin, **fields) for n in range(count)]


class Rig:
    """A pool under test, and short words for what a request does with it."""

    def __init__(
        self,
        members: int | Iterable[Account] = 1,
        *,
        strategy: StrategyName = "round_robin",
        dice: float | Callable[[], float] = 0.0,
        clock: Clock | None = None,
        store: StateStore | None = None,
        max_model_gates: int | None = None,
        max_waiting: int | None = None,
        affinity_s: float = 3_600.0,
    ) -> None:
        self.accounts = accounts(members) if isinstance(members, int) else list(members)
        self.clock = clock or Clock()
        self.dice = dice if callable(dice) else Dice(dice)
        self.store = store or MemoryStore(self.clock)
        self.pool = Pool(
            self.accounts,
            store=self.store,
            now=self.clock,
            rng=self.dice,
            strategy=strategy,
            max_model_gates=max_model_gates,
            max_waiting=max_waiting,
            affinity_s=affinity_s,
        )

    def plan(self, *targets: str) -> Plan:
        """Plan over ``upstream/model`` targets."""
        pairs = [target.split("/") for target in targets or ["openai/m"]]
        return self.pool.plan([Target(upstream=upstream, model=model) for upstream, model in pairs])

    def asking(self, input_tokens: int, output_tokens: int = 0, model: str = "m") -> Plan:
        """Plan for the default upstream, a request that needs so many tokens."""
        return self.pool.plan([Target(upstream="openai", model=model)], demand=Demand(input_tokens, output_tokens))

    def bound(self, *allowed: str) -> Plan:
        """Plan for the default target, over some accounts alone."""
        return self.pool.plan([Target(upstream="openai", model="m")], allowed=allowed)

    def acquire(self, *targets: str, tried: Collection[Candidate] = ()) -> Lease:
        return self.pool.acquire(self.plan(*targets), tried)

    def attempt(self, error: UpstreamError | None = None, *targets: str) -> Account:
        """Make one attempt that ends at once; return the account it went to."""
        lease = self.acquire(*targets)
        self.pool.release(lease, error)
        return lease.candidate.account

    def labels(self, count: int, *targets: str) -> list[str]:
        """Return whom so many successful attempts go to."""
        return [self.attempt(None, *targets).label for _ in range(count)]

    def status(self, index: int = 0) -> AccountStatus:
        return self.pool.snapshot().accounts[index]

    def states(self) -> Sequence[str]:
        return [status.state for status in self.pool.snapshot().accounts]

    def origin_state(self, index: int = 0) -> str:
        return self.pool.snapshot().origins[index].state
