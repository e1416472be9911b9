"""The accounts and who is on them: plan, acquire, release.

Selection and slot-taking are one synchronous step. Nothing here waits, schedules or opens a connection, so a task that
is cancelled loses nothing: it gives its lease back in a ``finally``. One pool belongs to one event loop.

A request passes three gates: the origin's, the account's, and the account's for this model. What happens at a gate is
decided by `health`, who is next by `strategies`.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from math import ceil, inf

from ..errors import CapacityError, NoCapacity, PoolExhausted, UpstreamError
from ..state.contract import Scope, StateStore
from . import health
from .evidence import effect_of
from .gates import AccountGate, Gate, Gates, Peers
from .health import Rng
from .model import (
    Account,
    AccountStatus,
    Candidate,
    Disable,
    Fail,
    Lease,
    ModelStatus,
    Neutral,
    Origin,
    OriginStatus,
    Plan,
    PoolSnapshot,
    ScopeKind,
    Target,
    Tier,
)
from .retry_budget import RetryBudget
from .rotation import Rotation
from .strategies import STRATEGIES, StrategyName

_log = logging.getLogger("asgi_ds2api.pool")

_WIDTH: dict[ScopeKind, int] = {"origin": 0, "account": 1, "model": 2}
"""Place of a scope among the gates of a candidate, widest first."""
MODELS_PER_ACCOUNT = 64
MIN_MODEL_GATES = 10_000
SHORT_WAIT_S = 1.0
"""What a caller is told to wait for a probe that is on its way, and when everybody who is open was tried."""


class _Server:
    """An origin: its gate, and what it may be asked to bear."""

    __slots__ = ("budget", "gate", "rotations")

    def __init__(self, origin: Origin) -> None:
        self.budget = RetryBudget()
        self.rotations: list[Rotation] = []
        self.gate = Gate(Scope("origin", str(origin)), self._reopened)

    def _reopened(self) -> None:
        for rotation in self.rotations:
            rotation.wake_all()


class _Group:
    """The accounts of one upstream."""

    __slots__ = ("peers", "rotation", "servers", "slots")

    def __init__(self, accounts: Sequence[Account], strategy: StrategyName) -> None:
        self.peers = Peers(len(accounts), len({account.origin for account in accounts}))
        self.rotation = Rotation([account.weight for account in accounts], STRATEGIES[strategy])
        self.slots: list[_Slot] = []
        self.servers: dict[Origin, _Server] = {}


class _Slot:
    """An account in the pool."""

    __slots__ = ("abandoned", "account", "completed", "failed", "gate", "group", "in_flight", "index", "server")

    def __init__(self, account: Account, group: _Group, server: _Server) -> None:
        index = len(group.slots)
        self.account = account
        self.group = group
        self.index = index
        self.server = server
        self.gate = AccountGate(account.id, lambda: group.rotation.wake(index), group.peers)
        self.in_flight = 0
        self.completed = 0
        self.failed = 0
        self.abandoned = 0

    def gates(self, model: str) -> tuple[Gate, ...]:
        """Return the gates that a request for ``model`` passes, widest first; the third only if it is known."""
        narrow = self.gate.models.get(model)
        return (self.server.gate, self.gate) if narrow is None else (self.server.gate, self.gate, narrow)

    def opens_at(self, model: str) -> float:
        """Return when the last of the gates opens."""
        latest = -inf
        for gate in self.gates(model):
            if not gate.is_healthy:
                latest = max(latest, health.opens_at(gate.state))
        return latest


class Pool:
    """All accounts of a gateway.

    Args:
        accounts: Each ``id`` once.
        store: Where cooldowns outlive this pool; what it knows already holds from the start.
        now: Monotonic clock, in seconds.
        rng: Returns floats in [0, 1).
        strategy: Orders the accounts of one upstream.
        max_model_gates: Bound of account x model states; over it the oldest is forgotten. None: 64 per account, at
            least 10,000.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        store: StateStore,
        now: Callable[[], float],
        rng: Rng,
        strategy: StrategyName = "round_robin",
        max_model_gates: int | None = None,
    ) -> None:
        self._now = now
        self._rng = rng
        self._servers: dict[Origin, _Server] = {}
        self._groups: dict[str, _Group] = {}
        self._slots: dict[Account, _Slot] = {}
        self._accounts: dict[str, Account] = {account.id: account for account in accounts}
        self._leases: dict[Lease, _Slot] = {}
        self._turn = 0
        self._stray_releases = 0
        limit = max_model_gates or max(MIN_MODEL_GATES, MODELS_PER_ACCOUNT * len(self._accounts))
        self._gates = Gates(store, now, limit)
        self._build(strategy)
        self._gates.listen()

    def _build(self, strategy: StrategyName) -> None:
        by_upstream: dict[str, list[Account]] = {}
        for account in self._accounts.values():
            by_upstream.setdefault(account.upstream, []).append(account)
        for upstream, members in by_upstream.items():
            group = self._groups[upstream] = _Group(members, strategy)
            for account in members:
                self._add(account, group)
            for server in group.servers.values():
                server.gate.tallies.append(group.peers.origins)
                server.rotations.append(group.rotation)

    def _add(self, account: Account, group: _Group) -> None:
        server = self._servers.get(account.origin)
        if server is None:
            server = self._servers[account.origin] = _Server(account.origin)
            self._gates.add_origin(server.gate)
        group.servers[account.origin] = server
        slot = self._slots[account] = _Slot(account, group, server)
        group.slots.append(slot)
        self._gates.add_account(slot.gate)

    def close(self) -> None:
        """Stop listening to the store. Leases that are out may still be given back."""
        self._gates.close()

    # --- choosing -----------------------------------------------------------------------------------------------------

    def plan(self, targets: Iterable[Target], allowed: Iterable[str] | None = None) -> Plan:
        """Return where a request may go. Takes nothing, looks at no clock.

        Args:
            targets: In order of preference; each names an upstream of this pool.
            allowed: Ids of the accounts that the request is bound to (its file or response lives there); None: all.

        Returns:
            A plan; without tiers if no allowed account serves any of the targets.
        """
        if allowed is None:
            return Plan(tuple([Tier(upstream=target.upstream, model=target.model) for target in targets]))
        bound = [self._accounts[id_] for id_ in allowed if id_ in self._accounts]
        tiers = []
        for target in targets:
            only = tuple(account for account in bound if account.upstream == target.upstream)
            if only:
                tiers.append(Tier(upstream=target.upstream, model=target.model, only=only))
        return Plan(tuple(tiers))

    def acquire(self, plan: Plan, tried: Collection[Candidate] = ()) -> Lease:
        """Choose a candidate and take a slot on it, in one step.

        The first tier with an open account that this request has not tried serves; in it, the account that is next by
        the strategy. An account that was tried is passed over, unless it turned out closed for that model alone; if
        nobody else is left it may be asked for another model. A candidate that was tried is never chosen again.

        Returns:
            A lease, to be given back with `release` or `abandon`, exactly once.

        Raises:
            PoolExhausted: Nobody is open and untried. ``retry_after_s`` is that of the soonest; short, if a probe is on
                its way whose outcome may open somebody any moment.
            NoCapacity: Every account is disabled. ``retry_after_s`` is that of the next probe.
        """
        now = self._now()
        for tier, passed_over in self._rounds(plan, tried):
            slot = self._pick(tier, passed_over, now)
            if slot is not None:
                if not tried:
                    slot.server.budget = slot.server.budget.deposit(now)
                return self._take(slot, tier, now)
        raise self._nobody(plan, now)

    def _rounds(self, plan: Plan, tried: Collection[Candidate]) -> Iterator[tuple[Tier, Collection[_Slot]]]:
        """Yield the tiers in the order in which they are looked at, and who is passed over there."""
        if not tried:
            for tier in plan.tiers:
                yield tier, ()
            return
        attempts = [(self._slots[candidate.account], candidate.model) for candidate in tried]
        spent = {slot for slot, model in attempts if not _is_closed_for(slot, model)}
        for avoided in (spent, set[_Slot]()):
            for tier in plan.tiers:
                yield tier, avoided | {slot for slot, model in attempts if model == tier.model}

    def _pick(self, tier: Tier, passed_over: Collection[_Slot], now: float) -> _Slot | None:
        group, model = self._groups[tier.upstream], tier.model
        if tier.only is not None:
            slots = [self._slots[account] for account in tier.only]
            fit = [slot.index for slot in slots if slot not in passed_over and slot.opens_at(model) <= now]
            return group.slots[group.rotation.lowest(fit)] if fit else None
        if _common_opening(group) > now:
            return None
        slots = group.slots
        indexes = {slot.index for slot in passed_over if slot.group is group} if passed_over else ()
        index = group.rotation.ring(model).pick(now, lambda index: slots[index].opens_at(model), indexes)
        return None if index is None else slots[index]

    def _take(self, slot: _Slot, tier: Tier, now: float) -> Lease:
        self._turn += 1
        slot.group.rotation.taken(slot.index, self._turn, by_rank=tier.only is None)
        gates = slot.gates(tier.model)
        epochs = [gate.state.epoch for gate in gates]
        probes: list[ScopeKind] = []
        for gate in gates:
            if not gate.is_healthy:
                self._gates.move(gate, health.probing(gate.state, self._turn, now))
                probes.append(gate.scope.kind)
        lease = Lease(
            candidate=Candidate(slot.account, tier.model),
            number=self._turn,
            acquired_at=now,
            epochs=(epochs[0], epochs[1], epochs[2] if len(epochs) > 2 else 0),
            probes=tuple(probes),
        )
        self._leases[lease] = slot
        slot.in_flight += 1
        return lease

    def _nobody(self, plan: Plan, now: float) -> CapacityError:
        soonest = min([inf, *[self._soonest(tier, now) for tier in plan.tiers]])
        wait_s = SHORT_WAIT_S if soonest == inf else ceil((soonest - now) * 1000) / 1000
        if any(self._is_probed(tier) for tier in plan.tiers):
            wait_s = min(wait_s, SHORT_WAIT_S)
        if all(self._is_disabled(tier) for tier in plan.tiers):
            return NoCapacity("No account for this model may be used at present.", retry_after_s=wait_s)
        return PoolExhausted("Every account for this model is cooling down. Try again later.", retry_after_s=wait_s)

    def _soonest(self, tier: Tier, now: float) -> float:
        group = self._groups[tier.upstream]
        if tier.only is not None:
            times = [self._slots[account].opens_at(tier.model) for account in tier.only]
            return min([inf, *[time for time in times if time > now]])
        ring, slots = group.rotation.ring(tier.model), group.slots
        together = _common_opening(group)
        if together > now and ring.pick(together, lambda index: slots[index].opens_at(tier.model), ()) is not None:
            return together
        return ring.soonest(lambda index: slots[index].opens_at(tier.model))

    def _is_probed(self, tier: Tier) -> bool:
        if tier.only is None:
            peers = self._groups[tier.upstream].peers
            return bool(peers.accounts.probed or peers.origins.probed or peers.for_model(tier.model).probed)
        gates = [gate for account in tier.only for gate in self._slots[account].gates(tier.model)]
        return any(isinstance(gate.state, health.Probing) for gate in gates)

    def _is_disabled(self, tier: Tier) -> bool:
        if tier.only is None:
            group = self._groups[tier.upstream]
            return group.peers.accounts.disabled == len(group.slots)
        states = [self._slots[account].gate.state for account in tier.only]
        return all(isinstance(health.closed(state), health.Disabled) for state in states)

    # --- reporting ----------------------------------------------------------------------------------------------------

    def answered(self, lease: Lease) -> None:
        """Note that a valid answer has begun: what waited for this probe opens now, not when a long stream ends."""
        slot = self._leases.get(lease)
        if slot is None:
            return
        now = self._now()
        for gate, seen in _passed(slot, lease):
            if not gate.is_healthy:
                self._gates.move(gate, health.succeeded(gate.state, seen, now))

    def release(self, lease: Lease, error: UpstreamError | None = None) -> None:
        """Give a lease back, and say how the attempt ended.

        A second time changes nothing, is logged as the bug it is, and counted in the snapshot: whoever cleans up twice
        is in a ``finally``, where another exception would hide the first.

        Args:
            lease: Of this pool.
            error: What the upstream did wrong; None: the answer came whole.
        """
        slot = self._give_back(lease)
        if slot is None:
            return
        if error is not None:
            slot.failed += 1
            self._fail(slot, lease, error)
            return
        slot.completed += 1
        now = self._now()
        for gate, seen in _passed(slot, lease):
            self._gates.move(gate, health.succeeded(gate.state, seen, now))

    def abandon(self, lease: Lease) -> None:
        """Give a lease back whose attempt says nothing: the caller left, it was cancelled, or the fault was ours.

        As for a second time, see `release`.
        """
        slot = self._give_back(lease)
        if slot is not None:
            slot.abandoned += 1
            self._drop_probes(slot, lease)

    def may_retry(self, lease: Lease) -> bool:
        """Tell whether a failed attempt may be followed by another, and take that one from the origin's budget."""
        server = self._slots[lease.candidate.account].server
        left = server.budget.withdraw(self._now())
        if left is None:
            return False
        server.budget = left
        return True

    def _give_back(self, lease: Lease) -> _Slot | None:
        slot = self._leases.pop(lease, None)
        if slot is None:
            self._stray_releases += 1
            _log.error("lease %d on %s was given back twice", lease.number, lease.candidate.account.id)
            return None
        slot.in_flight -= 1
        return slot

    def _drop_probes(self, slot: _Slot, lease: Lease) -> None:
        for gate, _ in _passed(slot, lease):
            self._gates.move(gate, health.abandoned(gate.state, lease.number))

    def _fail(self, slot: _Slot, lease: Lease, error: UpstreamError) -> None:
        """Put an error to the account of one gate. The wider ones passed if the answer was a considered one."""
        effect = effect_of(error)
        if isinstance(effect, Neutral):
            self._drop_probes(slot, lease)
            return
        now, width = self._now(), _WIDTH["account" if isinstance(effect, Disable) else effect.scope]
        gates = slot.gates(lease.candidate.model)
        if width == len(gates):
            gates = (*gates, slot.gate.narrow(lease.candidate.model))
        for place, (gate, seen) in enumerate(zip(gates, lease.epochs, strict=False)):
            if place == width:
                state = health.failed(gate.state, effect, seen=seen, now=now, rng=self._rng, has_room=gate.has_room)
            elif place < width and not isinstance(effect, Fail):
                state = health.succeeded(gate.state, seen, now)
            else:
                state = health.abandoned(gate.state, lease.number)
            self._gates.move(gate, state)
        if isinstance(effect, Fail) and effect.blames_origin:
            gate = slot.server.gate
            state = health.blamed(
                gate.state, slot.account.id, seen=lease.epochs[0], now=now, rng=self._rng, has_room=gate.has_room
            )
            self._gates.move(gate, state)

    # --- looking ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> PoolSnapshot:
        """Return the whole pool as an operator may see it."""
        now = self._now()
        return PoolSnapshot(
            accounts=tuple([_account_status(slot, now) for slot in self._slots.values()]),
            origins=tuple(
                [
                    OriginStatus(
                        origin=str(origin),
                        state=health.state_name(server.gate.state),
                        reason=_reason(server.gate),
                        opens_in_s=_opens_in_s(server.gate, now),
                    )
                    for origin, server in self._servers.items()
                ]
            ),
            transitions=self._gates.transitions,
            stray_releases=self._stray_releases,
        )


def _common_opening(group: _Group) -> float:
    """Return when the origin opens that all accounts of an upstream share; the past if they share none."""
    if len(group.servers) > 1:
        return -inf
    (server,) = group.servers.values()
    return health.opens_at(server.gate.state)


def _is_closed_for(slot: _Slot, model: str) -> bool:
    gate = slot.gate.models.get(model)
    return gate is not None and not gate.is_healthy


def _passed(slot: _Slot, lease: Lease) -> Iterator[tuple[Gate, int]]:
    """Yield the gates of a lease, widest first, with the epoch in which it passed them."""
    return zip(slot.gates(lease.candidate.model), lease.epochs, strict=False)


def _account_status(slot: _Slot, now: float) -> AccountStatus:
    account, gate = slot.account, slot.gate
    return AccountStatus(
        upstream=account.upstream,
        label=account.label,
        origin=str(account.origin),
        weight=account.weight,
        state=health.state_name(gate.state),
        reason=_reason(gate),
        opens_in_s=_opens_in_s(gate, now),
        in_flight=slot.in_flight,
        completed=slot.completed,
        failed=slot.failed,
        abandoned=slot.abandoned,
        models=tuple(
            [
                ModelStatus(
                    model=model,
                    state=health.state_name(narrow.state),
                    reason=_reason(narrow),
                    opens_in_s=_opens_in_s(narrow, now),
                )
                for model, narrow in gate.models.items()
                if not narrow.is_healthy
            ]
        ),
    )


def _reason(gate: Gate) -> str:
    why = health.closed(gate.state)
    return "" if why is None else why.reason


def _opens_in_s(gate: Gate, now: float) -> float:
    return max(0.0, health.opens_at(gate.state) - now)
