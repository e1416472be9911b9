"""The accounts and who is on them: plan, acquire, release.

Selection and slot-taking are one synchronous step. Nothing here waits, schedules or opens a connection, so a task that
is cancelled loses nothing: it gives its lease back in a ``finally``. One pool belongs to one event loop.

A request passes three gates: the origin's, the account's, and the account's for this model; and there must be room for
it. What happens at a gate is decided by `health`, how much room there is by `limits`, who is next by `choosing` and
`strategies`.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count

from ..errors import CapacityError, PoolExhausted, QueueFull, Refused, UnknownItem, UpstreamError
from ..headers import RateWindow, Resource
from ..state.contract import StateStore
from .affinity import Affinity
from .choosing import Chooser
from .evidence import is_of_the_key
from .gates import Gates
from .health import Rng
from .limits import Demand
from .line import Key, Line, Waiter, most_waiting
from .model import Account, Candidate, Lease, Origin, Override, Plan, PoolSnapshot, Spent, Target, Tier
from .overrides import OVERRIDES
from .probes import Probes
from .refusals import SHORT_WAIT_S, Refusals
from .reports import Reports
from .slots import Group, Held, Server, Slot
from .snapshot import snapshot_of
from .strategies import StrategyName

_log = logging.getLogger("asgi_ds2api.pool")

MODELS_PER_ACCOUNT = 64
MIN_MODEL_GATES = 10_000
NO_DEMAND = Demand()


class Pool:
    """All accounts of a gateway.

    Args:
        accounts: Each ``id`` once.
        store: Where cooldowns outlive this pool; what it knows already holds from the start.
        now: Monotonic clock, in seconds.
        rng: Returns floats in [0, 1).
        strategy: Orders the accounts of one upstream.
        strategies: In its place, for single upstreams.
        max_model_gates: Bound of account x model states; over it the oldest is forgotten. None: 64 per account, at
            least 10,000.
        max_waiting: Requests that may stand in line. None: twice as many as all accounts take at a time, at least 16,
            if all have such a limit; else 1,000.
        affinity_s: How long a conversation is remembered to be on an account, after its last request. 0: not at all.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        store: StateStore,
        now: Callable[[], float],
        rng: Rng,
        strategy: StrategyName = "round_robin",
        strategies: Mapping[str, StrategyName] | None = None,
        max_model_gates: int | None = None,
        max_waiting: int | None = None,
        affinity_s: float = 3_600.0,
    ) -> None:
        self._now = now
        self._rng = rng
        self._servers: dict[Origin, Server] = {}
        self._groups: dict[str, Group] = {}
        self._slots: dict[Account, Slot] = {}
        self._accounts: dict[str, Account] = {account.id: account for account in accounts}
        self._leases: dict[Lease, Held] = {}
        self._numbers = count(1)
        self._arrivals = count(1)
        self._stray_releases = 0
        limit = max_model_gates or max(MIN_MODEL_GATES, MODELS_PER_ACCOUNT * len(self._accounts))
        self._gates = Gates(store, now, limit, self._serve)
        self._reports = Reports(self._gates, now, rng)
        self._refusals = Refusals(self._groups, self._slots, rng)
        self._build(strategy, strategies or {})
        self._affinity = Affinity(store, now, affinity_s)
        self._chooser = Chooser(self._accounts, self._groups, self._slots, self._affinity)
        self._line = Line(
            most_waiting(account.concurrency for account in self._slots) if max_waiting is None else max_waiting
        )
        slots = {account.id: slot for account, slot in self._slots.items()}
        self.probes = Probes(slots, self._reports, now, self._numbers, self._serve)
        self._gates.listen()

    def _build(self, strategy: StrategyName, strategies: Mapping[str, StrategyName]) -> None:
        by_upstream: dict[str, list[Account]] = {}
        for account in self._accounts.values():
            by_upstream.setdefault(account.upstream, []).append(account)
        for upstream, members in by_upstream.items():
            group = self._groups[upstream] = Group(members, strategies.get(upstream, strategy), self._rng)
            for account in members:
                self._add(account, group)
            for server in group.servers.values():
                server.gate.tallies.append(group.peers.origins)
                server.rotations.append(group.rotation)

    def _add(self, account: Account, group: Group) -> None:
        server = self._servers.get(account.origin)
        if server is None:
            server = self._servers[account.origin] = Server(account.origin)
            self._gates.add_origin(server.gate)
        group.servers[account.origin] = server
        slot = self._slots[account] = Slot(account, group, server, self._now())
        group.slots.append(slot)
        self._gates.add_account(slot.gate)

    def close(self) -> None:
        """Stop listening to the store. Leases that are out may still be given back."""
        self._gates.close()

    # --- choosing -----------------------------------------------------------------------------------------------------

    def plan(
        self,
        targets: Iterable[Target],
        allowed: Iterable[str] | None = None,
        demand: Demand = NO_DEMAND,
        caller: str = "",
        session: str = "",
        *,
        is_sealed: bool = False,
    ) -> Plan:
        """Return where a request may go. Takes nothing, looks at no clock.

        Args:
            targets: In order of preference; each names an upstream of this pool.
            allowed: Ids of the accounts that the request is bound to (its file or response lives there); None: all.
            demand: What it is thought to need.
            caller: Whose turn it is when requests wait.
            session: Digest of the conversation, which stays on its account as long as it can.
            is_sealed: It carries what a vendor may have sealed for one of its customers.

        Returns:
            A plan; without tiers if no allowed account serves any of the targets.
        """
        arrival = next(self._arrivals)
        if allowed is None:
            free = [Tier(upstream=target.upstream, model=target.model) for target in targets]
            return self._chooser.bound(Plan(tuple(free), demand, caller, session, is_sealed, arrival=arrival))
        bound = [self._accounts[id_] for id_ in allowed if id_ in self._accounts]
        tiers = []
        for target in targets:
            only = tuple(a for a in bound if a.upstream == target.upstream and a.serves(target.model))
            if only:
                tiers.append(Tier(upstream=target.upstream, model=target.model, only=only))
        return Plan(tuple(tiers), demand, caller, session, is_sealed, arrival=arrival)

    def returned(self, plan: Plan, refused_by: Account) -> Plan | None:
        """Return where a conversation goes back to when somebody cannot go on from what was thought before.

        Args:
            plan: By which it came there.
            refused_by: Who cannot.

        Returns:
            A plan that is bound to who can; None: nobody is known to.
        """
        return self._chooser.returned(plan, refused_by)

    def has_choice(self, targets: Iterable[Target]) -> bool:
        """Tell whether it matters which conversation a request belongs to: an upstream has several accounts."""
        return self._chooser.has_choice(targets)

    def seals(self, targets: Iterable[Target]) -> bool:
        """Tell whether it matters what a request carries: a vendor seals what its models think."""
        return self._chooser.seals(targets)

    def acquire(self, plan: Plan, tried: Collection[Candidate] = ()) -> Lease:
        """Choose a candidate and take a slot on it, in one step.

        The first tier with an open account that this request has not tried serves; in it, the account that is next by
        the strategy. An account that was tried is passed over, unless it turned out closed for that model alone; if
        nobody else is left it may be asked for another model. A candidate that was tried is never chosen again.

        Returns:
            A lease, to be given back with `release`, `abandon` or `put_back`, exactly once.

        Raises:
            PoolExhausted: Nobody is open, has room and is untried. ``retry_after_s`` is that of the soonest; short, if
                a probe is on its way whose outcome may open somebody any moment, or an attempt whose end makes room.
            NoCapacity: Every account is disabled. ``retry_after_s`` is that of the next probe.
            UnknownModel: No account serves any of the models.
        """
        self._serve()  # who waits comes first: what is left nobody who waits could use
        lease = self._choose(plan, tried)
        if lease is None:
            raise self._refusals.nobody(plan, self._now(), tried)
        return lease

    def acquire_beside(self, lease: Lease, plan: Plan, tried: Collection[Candidate]) -> Lease | None:
        """Take a slot for an attempt beside one that is silent, out of the budget of retries of that one's server.

        Whose it is, `Chooser.beside` says; the conversation stays where it is.

        Args:
            lease: Of the silent one.
            plan: Where the request may go.
            tried: Where it was, the silent one included.

        Returns:
            A lease, as of `acquire`; None: nobody is free now, or the budget is spent.
        """
        self._serve()
        now, server = self._now(), self._slots[lease.candidate.account].server
        found = self._chooser.beside(server, plan, tried, now)
        if found is None or not server.may_retry(now, with_another_key=False):
            return None
        return self._take(*found, plan, now, is_first=False, is_home=False)

    def _choose(self, plan: Plan, tried: Collection[Candidate]) -> Lease | None:
        now = self._now()
        found = self._chooser.choose(plan, tried, now)
        if found is None:
            return None
        slot, tier = found
        if not tried:
            slot.server.pay_in(now)
        return self._take(slot, tier, plan, now, is_first=not tried)

    def _take(
        self, slot: Slot, tier: Tier, plan: Plan, now: float, *, is_first: bool, is_home: bool = True
    ) -> Lease:  # fmt: skip
        number = next(self._numbers)
        slot.meter.take(tier.model, plan.demand, now)
        epochs, probes = self._reports.took(slot, tier.model, number, now)
        lease = Lease(
            candidate=Candidate(slot.account, tier.model),
            number=number,
            acquired_at=now,
            epochs=epochs,
            probes=probes,
        )
        pin_key = self._chooser.pin_key(plan, tier) if is_home else ""
        held = Held(slot, plan.demand, pin_key, self._chooser.bond_key(plan, tier), has_paid_in=is_first)
        slot.take(number, by_rank=tier.only is None)
        self._leases[lease] = held  # last, and right after it was counted: nothing can go wrong in between
        return lease

    # --- waiting ------------------------------------------------------------------------------------------------------

    def join(
        self, plan: Plan, tried: Collection[Candidate], wait_s: float, wake: Callable[[], None], refusal: CapacityError
    ) -> Waiter:
        """Put a request in line that found nobody. Whoever gives a slot back hands it to the first who can use it.

        Args:
            plan: As it was given to `acquire`.
            tried: Likewise.
            wait_s: How long it would wait.
            wake: Is called when a lease was handed to it, or when waiting is no use: take what is there, and `leave`.
            refusal: What `acquire` raised.

        Raises:
            QueueFull: As many wait as may, and no other caller has more of them.
        """
        return self._line.join(plan, tried, self._chooser.key(plan, tried), self._now() + wait_s, wake, refusal)

    def look(self, waiter: Waiter) -> CapacityError | None:
        """Look whether time has opened somebody for those in line; return why not for this one; None: it is served."""
        self._serve()
        if waiter.lease is not None or waiter.refusal is not None:
            return None
        return self._refusals.nobody(waiter.plan, self._now(), waiter.tried)

    def leave(self, waiter: Waiter) -> None:
        """Take a request out of line. What was handed to it and not taken goes to the next."""
        self._line.leave(waiter)
        lease = waiter.take()
        if lease is not None:
            self.put_back(lease)

    def turn_away(self, caller: str) -> None:
        """Refuse a request before it is read: the line is full, and there is no upstream that nobody waits for.

        Raises:
            QueueFull: That is so, and no other caller has more requests in line.
        """
        line = self._line
        if len(line) >= line.max_waiting and line.upstreams == len(self._groups) and not line.has_room(caller):
            raise QueueFull(
                "Too many requests wait here. Try again later.", retry_after_s=self._refusals.short_wait_s()
            )

    def _serve(self) -> None:
        """Hand slots to those who wait: in each queue to the first, as long as there is somebody for it.

        Every attempt that begins, is answered or ends comes by here: while all accounts are full, nobody is asked.
        """
        line = self._line
        has_changed = len(line) > 0
        hopeless: set[Key] = set()
        while has_changed and not all(group.is_full for group in self._groups.values()):
            has_changed = False
            for waiter in line.fronts():
                if waiter.key in hopeless:
                    continue
                key = self._chooser.key(waiter.plan, waiter.tried)
                if key != waiter.key:  # meanwhile it was heard that its model is not like the others
                    line.change(waiter, key)
                    has_changed = True
                    break
                lease = self._choose(waiter.plan, waiter.tried)
                if lease is not None:
                    self._leases[lease].turn = line.serve(waiter, lease)
                    has_changed = True
                    break
                hopeless.add(waiter.key)
                self._dismiss(waiter)

    def _dismiss(self, waiter: Waiter) -> None:
        """Tell those of a queue who would wait in vain."""
        refusal = self._refusals.nobody(waiter.plan, self._now(), waiter.tried)
        is_busy = isinstance(refusal, PoolExhausted) and refusal.is_busy
        if not is_busy and (refusal.retry_after_s or 0.0) > SHORT_WAIT_S:
            self._line.refuse(waiter.key, refusal, self._now() + (refusal.retry_after_s or 0.0))

    # --- reporting ----------------------------------------------------------------------------------------------------

    def heard(self, lease: Lease, windows: Mapping[Resource, RateWindow]) -> None:
        """Take note of what the head of an answer says is left of its account, for this model."""
        held = self._leases.get(lease)
        if held is None or not windows:
            return
        now, model, slot = self._now(), lease.candidate.model, held.slot
        slot.change(lambda meter: meter.hear(model, windows, lease.number, now))
        if windows.keys() & {"tokens", "input_tokens", "output_tokens"}:
            slot.group.counts_tokens = True
        self._serve()

    def answered(self, lease: Lease) -> None:
        """Note that a valid answer has begun: what waited for this probe opens now, not when a long stream ends."""
        held = self._leases.get(lease)
        if held is None:
            return
        self._measure(held, lease)
        self._reports.began(held.slot, lease)
        self._serve()

    def release(self, lease: Lease, error: UpstreamError | None = None, *, spent: Spent | None = None) -> None:
        """Give a lease back, and say how the attempt ended.

        A second time changes nothing, is logged as the bug it is, and counted in the snapshot: whoever cleans up twice
        is in a ``finally``, where another exception would hide the first.

        Args:
            lease: Of this pool.
            error: What the upstream did wrong; None: the answer came whole.
            spent: What it cost; None: as was thought.
        """
        held = self._give_back(lease, spent)
        if held is None:
            return
        slot = held.slot
        if error is not None:
            slot.failed += 1
            if isinstance(error, Refused) and error.kind == "foreign_reasoning":
                self._chooser.refused(held.pin_key, held.bond_key, slot.account)
            self._reports.failed(slot, lease, error)
        else:
            slot.completed += 1
            self._measure(held, lease)
            self._reports.succeeded(slot, lease, is_slow=held.is_slow)
        self._serve()

    def abandon(self, lease: Lease, *, spent: Spent | None = None) -> None:
        """Give a lease back whose attempt says nothing: the caller left, it was cancelled, or the fault was ours.

        As for a second time, and for ``spent``, see `release`.
        """
        held = self._give_back(lease, spent)
        if held is not None:
            held.slot.abandoned += 1
            self._reports.dropped(held.slot, lease)
            self._serve()

    def put_back(self, lease: Lease) -> None:
        """Give a lease back that nobody used: it costs nothing and was no turn. As for a second time, see `release`."""
        held = self._give_back(lease, None)
        if held is not None:
            now, slot = self._now(), held.slot
            slot.change(lambda meter: meter.put_back(lease.candidate.model, held.demand, now))
            if held.has_paid_in:
                slot.server.take_back(now)
            if held.turn is not None:
                self._line.take_back(held.turn)
            slot.abandoned += 1
            self._reports.dropped(slot, lease)
            self._serve()

    def refuse(self, lease: Lease, wait_s: float) -> None:
        """Give a lease back that those who share the account did not grant, and offer it to nobody for a while.

        Args:
            lease: That nobody used. As for a second time, see `release`.
            wait_s: For how long.
        """
        held = self._leases.get(lease)
        if held is not None:
            until = self._now() + wait_s
            held.slot.change(lambda meter: meter.refuse(until))
        self.put_back(lease)

    def may_retry(self, lease: Lease, error: UpstreamError) -> bool:
        """Tell whether a failed attempt may be followed by another, and take that one from a budget of the origin.

        There are two: one for servers that fail, and one for keys that are refused.
        """
        server = self._slots[lease.candidate.account].server
        return server.may_retry(self._now(), with_another_key=is_of_the_key(error))

    def _give_back(self, lease: Lease, spent: Spent | None) -> Held | None:
        held = self._leases.pop(lease, None)
        if held is None:
            self._stray_releases += 1
            _log.error("lease %d on %s was given back twice", lease.number, lease.candidate.account.id)
            return None
        held.slot.give_back()
        if spent is not None:
            self._settle(held, spent)
        return held

    def _settle(self, held: Held, spent: Spent) -> None:
        """Put right what was estimated, and note what a cache was good for."""
        slot, tally = held.slot, held.slot.group.affinity
        if slot.account.tpm is not None:
            now = self._now()
            slot.change(lambda meter: meter.settle(held.demand, spent.tokens, now))
        if held.pin_key and tally is not None:
            tally.input_tokens += spent.input_tokens
            tally.cached_tokens += spent.cached_tokens
            self._affinity.learn(held.pin_key, slot.account.id, spent)

    def _measure(self, held: Held, lease: Lease) -> None:
        """Note that an answer has begun, and how long that took, once."""
        if not held.is_answered:
            now, slot = self._now(), held.slot
            held.is_answered = True
            held.is_slow = slot.group.rotation.answered(slot.index, now - lease.acquired_at, now)
            if held.bond_key:
                self._affinity.pin(held.bond_key, slot.account.id, self._affinity.find(held.bond_key))

    # --- by hand ------------------------------------------------------------------------------------------------------

    def override(self, account: str, word: Override) -> None:
        """Do with an account what an operator says; see `overrides`.

        Args:
            account: Its id, ``upstream/label``.
            word: Which.

        Raises:
            UnknownItem: There is no such account.
        """
        found = self._accounts.get(account)
        if found is None:
            raise UnknownItem("There is no such account here. An account is called UPSTREAM/LABEL.", param="account")
        OVERRIDES[word](self._gates, self._slots[found], self._now())
        self._serve()

    # --- looking ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> PoolSnapshot:
        """Return the whole pool as an operator may see it."""
        return snapshot_of(
            self._slots.values(),
            self._servers,
            waiting=self._line.waiting,
            affinity={name: group.affinity for name, group in self._groups.items() if group.affinity is not None},
            transitions=self._gates.transitions,
            stray_releases=self._stray_releases,
            now=self._now(),
        )
