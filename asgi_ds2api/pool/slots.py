"""The accounts of a pool as it counts them: servers, groups, slots, and what is held. All that changes is in here."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

from ..state.contract import HealthScope
from . import health
from .affinity import Tally, is_crowded
from .gates import AccountGate, Gate, Peers
from .health import Rng
from .limits import Demand, need_of
from .line import Turn
from .meter import Meter
from .model import Account, Origin
from .retry_budget import CHANGES, RETRIES, RetryBudget
from .rotation import Ring, Rotation
from .strategies import STRATEGIES, StrategyName


class Server:
    """An origin: its gate, and what it may be asked to bear."""

    __slots__ = ("changes", "gate", "retries", "rotations")

    def __init__(self, origin: Origin) -> None:
        self.retries = RetryBudget(RETRIES)
        self.changes = RetryBudget(CHANGES)
        self.rotations: list[Rotation] = []
        self.gate = Gate(HealthScope("origin", str(origin)), self._reopened)

    def pay_in(self, now: float) -> None:
        """Count the first attempt of a request."""
        self.retries = self.retries.deposit(now)
        self.changes = self.changes.deposit(now)

    def take_back(self, now: float) -> None:
        """Count one no more that was not made."""
        self.retries = self.retries.take_back(now)
        self.changes = self.changes.take_back(now)

    def may_retry(self, now: float, *, with_another_key: bool) -> bool:
        """Tell whether one more attempt may follow, and take it out of the budget for its purpose."""
        left = (self.changes if with_another_key else self.retries).withdraw(now)
        if left is None:
            return False
        if with_another_key:
            self.changes = left
        else:
            self.retries = left
        return True

    def _reopened(self) -> None:
        for rotation in self.rotations:
            rotation.wake_all()


class Group:
    """The accounts of one upstream."""

    __slots__ = (
        "affinity", "counts_tokens", "customers", "full", "is_choosy", "peers", "rotation", "servers", "slots", "told"
    )  # fmt: skip

    def __init__(self, accounts: Sequence[Account], strategy: StrategyName, rng: Rng) -> None:
        self.peers = Peers(len(accounts), len({account.origin for account in accounts}))
        self.rotation = Rotation([account.weight for account in accounts], STRATEGIES[strategy], rng)
        self.affinity = Tally() if len(accounts) > 1 else None
        """None: there is nothing to choose."""
        self.customers = _by_owner(accounts)
        """Owner -> his accounts, where reasoning is sealed for one."""
        self.slots: list[Slot] = []
        self.servers: dict[Origin, Server] = {}
        self.full = 0
        """Accounts that have as many attempts as they may have at a time."""
        self.told: Counter[str] = Counter()
        """Model -> accounts whose headers said what is left for it."""
        self.is_choosy = any(account.models for account in accounts)
        """Not every account serves every model."""
        self.counts_tokens = any(account.tpm is not None for account in accounts)
        """It matters how large a request is."""

    @property
    def is_full(self) -> bool:
        """Whether each account has as many attempts as it may have, and none is disabled: only an end makes room."""
        return self.full == len(self.slots) and not self.peers.accounts.disabled

    def need(self, demand: Demand) -> int:
        """Return how many tokens must be left on an account that is asked."""
        return need_of(demand.tokens) if self.counts_tokens else 0

    def ring(self, model: str, need: int) -> Ring:
        """Return who is in line for a model."""
        name = self.particular(model)
        return self.rotation.ring((name, need), (lambda: self.serving(model)) if self.is_choosy else None)

    def particular(self, model: str) -> str | None:
        """Return a model of which something is known that is not so for all; None: it is served as any other is.

        Callers may make names up: those that nobody has spoken of share a ring, and a place in line.
        """
        return model if self.is_choosy or self.peers.knows(model) or model in self.told else None

    def serving(self, model: str) -> list[int]:
        """Return the accounts that serve a model."""
        return [slot.index for slot in self.slots if slot.account.serves(model)]

    def common_opening(self) -> float:
        """Return when the origin opens that all its accounts share; the past if they share none."""
        if len(self.servers) > 1:
            return -inf
        (server,) = self.servers.values()
        return health.opens_at(server.gate.state)


class Slot:
    """An account in the pool."""

    __slots__ = ("abandoned", "account", "completed", "failed", "gate", "group", "index", "meter", "server")

    def __init__(self, account: Account, group: Group, server: Server, now: float) -> None:
        index = len(group.slots)
        self.account = account
        self.group = group
        self.index = index
        self.server = server
        self.gate = AccountGate(
            account.id, lambda: group.rotation.wake(index), group.peers, comes_back=account.auto_reenable
        )
        self.meter = Meter(account, now, group.told)
        self.completed = 0
        self.failed = 0
        self.abandoned = 0

    @property
    def in_flight(self) -> int:
        """Attempts on it now."""
        return self.group.rotation.standings.in_flight[self.index]

    @property
    def is_full(self) -> bool:
        """Whether it has as many attempts as it may have at a time."""
        return self.in_flight >= self.meter.max_in_flight

    @property
    def is_crowded(self) -> bool:
        """Whether it has much more to do than the others."""
        standings = self.group.rotation.standings
        return is_crowded(self.in_flight, standings.total, len(standings.ranks))

    def gates(self, model: str) -> tuple[Gate, ...]:
        """Return the gates that a request for ``model`` passes, widest first; the third only if it is known."""
        narrow = self.gate.models.get(model)
        return (self.server.gate, self.gate) if narrow is None else (self.server.gate, self.gate, narrow)

    @property
    def is_disabled(self) -> bool:
        """Whether it does not come back with time alone."""
        return isinstance(health.closed(self.gate.state), health.Disabled)

    def is_closed_for(self, model: str) -> bool:
        """Tell whether it is closed for one model alone."""
        gate = self.gate.models.get(model)
        return gate is not None and not gate.is_healthy

    def opens_at(self, model: str, need: int) -> float:
        """Return when a request may go: its gates are open, and there is room. Infinity: when an attempt ends."""
        if self.is_full:
            return inf
        latest = self.meter.opens_at(model, need)
        for gate in self.gates(model):
            if not gate.is_healthy:
                latest = max(latest, gate.opens_at)
        return latest

    def take(self, turn: int, *, by_rank: bool) -> None:
        """Count an attempt that begins."""
        becomes_full = self.in_flight + 1 >= self.meter.max_in_flight
        self.group.rotation.taken(self.index, turn, by_rank=by_rank)
        if becomes_full:
            self.group.full += 1

    def give_back(self) -> None:
        """Note that an attempt has ended."""
        was_full = self.is_full
        self.group.rotation.given_back(self.index)
        if was_full and not self.is_full:
            self.group.full -= 1
            self.group.rotation.wake(self.index)

    def change(self, change: Callable[[Meter], None]) -> None:
        """Change what is left of it. If that is more than it was, whoever looks finds it in line again."""
        change(self.meter)
        self.group.rotation.wake(self.index)


class Held:
    """What a lease holds, until it is given back."""

    __slots__ = ("bond_key", "demand", "has_paid_in", "is_answered", "is_slow", "pin_key", "slot", "turn")

    def __init__(self, slot: Slot, demand: Demand, pin_key: str, bond_key: str, *, has_paid_in: bool) -> None:
        self.slot = slot
        self.pin_key = pin_key
        """Of the conversation; empty: none."""
        self.bond_key = bond_key
        """Of the conversation, where its answer is sealed; empty: none."""
        self.demand = demand
        self.has_paid_in = has_paid_in
        """It is counted as the first attempt of a request."""
        self.turn: Turn | None = None
        """Of its caller, if it was handed to somebody in line."""
        self.is_answered = False
        self.is_slow = False


def _by_owner(accounts: Sequence[Account]) -> dict[str, tuple[Account, ...]]:
    found: dict[str, list[Account]] = {}
    for account in accounts:
        if account.seals_reasoning:
            found.setdefault(account.owner, []).append(account)
    return {owner: tuple(members) for owner, members in found.items()}
