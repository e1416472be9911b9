"""The state of every scope, and who must hear when it changes: the log, the counters, the store, the rotation.

What a state becomes is decided by `health`; here it is only put in place. A gate that nobody ever spoke of is
healthy and costs nothing; those of account x model come into being with the first evidence, and are bounded.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from weakref import WeakValueDictionary

from ..state.contract import OPERATOR, Cooldown, HealthScope, StateStore, merged
from . import health
from .health import HEALTHY, Cooling, Disabled, Healthy, Probing, State
from .model import StateName

_log = logging.getLogger("asgi_ds2api.pool")
_LOG_LEVELS: dict[StateName, int] = {
    "healthy": logging.INFO,
    "probing": logging.DEBUG,
    "cooling": logging.WARNING,
    "disabled": logging.ERROR,
}


class Tally:
    """Counts the closed among gates of one kind.

    Attributes:
        limit: How many of them an effect with a ceiling may close.
        capped: How many such an effect has closed.
        disabled: How many are disabled, whether or not they are being probed.
        probed: How many wait for the outcome of a probe.
    """

    __slots__ = ("__weakref__", "capped", "disabled", "limit", "probed")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.capped = 0
        self.disabled = 0
        self.probed = 0

    def add(self, state: State, sign: int) -> None:
        """Count a gate in (1) or out (-1)."""
        match health.closed(state):
            case Cooling(is_capped=True):
                self.capped += sign
            case Disabled():
                self.disabled += sign
            case _:
                pass
        if isinstance(state, Probing):
            self.probed += sign


class Peers:
    """The accounts of one upstream, and their origins, counted.

    Args:
        size: How many accounts they are.
        origins: On how many origins.
    """

    def __init__(self, size: int, origins: int) -> None:
        self._size = size
        self.accounts = Tally(health.ceiling(size))
        self.origins = Tally(health.ceiling(origins))
        self._models: WeakValueDictionary[str, Tally] = WeakValueDictionary()

    def knows(self, model: str) -> bool:
        """Tell whether something is known of an account for one model that is not so for all."""
        return model in self._models

    def for_model(self, model: str) -> Tally:
        """Return the tally of the accounts for one model. One is left to say itself that it does not know it."""
        tally = self._models.get(model)
        if tally is None:
            tally = self._models[model] = Tally(self._size - 1)
        return tally


class Gate:
    """The state of one scope.

    Attributes:
        scope: Which.
        state: Changed by `Gates.move` alone.
        tallies: Where it is counted.
        reopened: Is called when it opens sooner than its state had said.
    """

    __slots__ = ("reopened", "scope", "state", "tallies")

    def __init__(self, scope: HealthScope, reopened: Callable[[], None], *tallies: Tally) -> None:
        self.scope = scope
        self.state: State = HEALTHY
        self.tallies = list(tallies)
        self.reopened = reopened

    @property
    def is_healthy(self) -> bool:
        """Whether attempts pass without being probes."""
        return isinstance(self.state, Healthy)

    def opening(self, state: State) -> float:
        """Return when the next attempt may go in a state; see `health.opens_at`."""
        return health.opens_at(state)

    @property
    def opens_at(self) -> float:
        """When the next attempt may go."""
        return self.opening(self.state)

    @property
    def has_room(self) -> bool:
        """Whether an effect with a ceiling may close one more of this kind."""
        return all(tally.capped < tally.limit for tally in self.tallies)


class AccountGate(Gate):
    """The state of an account, and of it for single models.

    Args:
        name: Its id.
        reopened: See `Gate`.
        peers: The accounts of its upstream.
        comes_back: Once it is disabled, it is probed; else nobody but an operator opens it.
    """

    __slots__ = ("_comes_back", "_peers", "models")

    def __init__(self, name: str, reopened: Callable[[], None], peers: Peers, *, comes_back: bool) -> None:
        super().__init__(HealthScope("account", name), reopened, peers.accounts)
        self._comes_back = comes_back
        self._peers = peers
        self.models: dict[str, ModelGate] = {}
        """Those of which something is known."""

    def opening(self, state: State) -> float:
        """Return when the next attempt may go in a state; infinity: when somebody says so."""
        is_final = not self._comes_back and isinstance(health.closed(state), Disabled)
        return inf if is_final else super().opening(state)

    def narrow(self, model: str) -> "ModelGate":
        """Return the gate for one model: the one that is there, else a new one, which `Gates.move` will keep."""
        return self.models.get(model) or ModelGate(self, model, self._peers.for_model(model))


class ModelGate(Gate):
    """The state of an account for one model."""

    __slots__ = ("account",)

    def __init__(self, account: AccountGate, model: str, tally: Tally) -> None:
        super().__init__(HealthScope("model", account.scope.name, model), account.reopened, tally)
        self.account = account


class Gates:
    """All gates of a pool.

    Args:
        store: Is told of closings and reopenings, and tells those of others.
        now: Monotonic clock, in seconds; for the log.
        max_model_gates: Over it, the oldest gate of an account x model is forgotten, closed or not.
        opened: Is called when others have opened a gate.
    """

    def __init__(
        self, store: StateStore, now: Callable[[], float], max_model_gates: int, opened: Callable[[], None]
    ) -> None:
        self._store = store
        self._now = now
        self._max_model_gates = max_model_gates
        self._opened = opened
        self._origins: dict[str, Gate] = {}
        self._accounts: dict[str, AccountGate] = {}
        self._model_gates: dict[ModelGate, None] = {}
        """In order of age."""
        self._transitions: Counter[str] = Counter()
        self._stop_watching: Callable[[], None] = _nothing

    def add_origin(self, gate: Gate) -> None:
        """Take in the gate of an origin."""
        self._origins[gate.scope.name] = gate

    def add_account(self, gate: AccountGate) -> None:
        """Take in the gate of an account."""
        self._accounts[gate.scope.name] = gate

    def listen(self) -> None:
        """Take over what the store knows, and hear of what is new from now on."""
        for scope, entry in self._store.cooldowns():
            self._hear(scope, entry)
        self._stop_watching = self._store.watch(self._hear)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._stop_watching()

    @property
    def transitions(self) -> Mapping[str, int]:
        """``healthy>cooling:rate_limited`` -> how often."""
        return dict(self._transitions)

    def move(self, gate: Gate, state: State) -> None:
        """Put a gate into a state; log it, count it and tell the store, as far as they care."""
        before = gate.state
        if state is before:
            return
        self._set(gate, state)
        if health.closed(state) != health.closed(before):
            self._store.merge(gate.scope, health.entry_of(state))

    def override(self, gate: Gate, state: State) -> None:
        """Put a gate into a state by hand: others must know whatever they think of it, so the store is told always."""
        self._set(gate, state)
        self._store.merge(gate.scope, health.entry_of(state))

    def _hear(self, scope: HealthScope, entry: Cooldown) -> None:
        """Agree with what the store says. What it heard from here is no news."""
        gate = self._find(scope)
        if gate is None:
            return
        known = health.entry_of(gate.state)
        total = merged(known, entry)
        if total != known:
            before = gate.opens_at
            self._set(gate, health.state_of(total))
            if gate.opens_at < before:
                self._opened()

    def _find(self, scope: HealthScope) -> Gate | None:
        if scope.kind == "origin":
            return self._origins.get(scope.name)
        account = self._accounts.get(scope.name)
        return account.narrow(scope.model) if account is not None and scope.kind == "model" else account

    def _set(self, gate: Gate, state: State) -> None:
        before = gate.state
        gate.state = state
        for tally in gate.tallies:
            tally.add(before, -1)
            tally.add(state, 1)
        if isinstance(gate, ModelGate) and gate not in self._model_gates:
            self._keep(gate)
        if gate.opening(state) < gate.opening(before):
            gate.reopened()
        was, becomes = health.state_name(before), health.state_name(state)
        if was != becomes:
            is_news = health.closed(state) != health.closed(before)
            self._tell(gate, was, becomes, health.closed(state) or health.closed(before), is_news=is_news)

    def _keep(self, gate: ModelGate) -> None:
        gate.account.models[gate.scope.model] = gate
        self._model_gates[gate] = None
        if len(self._model_gates) > self._max_model_gates:
            self._forget(next(iter(self._model_gates)))

    def _forget(self, gate: ModelGate) -> None:
        del self._model_gates[gate]
        del gate.account.models[gate.scope.model]
        for tally in gate.tallies:
            tally.add(gate.state, -1)
        gate.reopened()

    def _tell(
        self, gate: Gate, was: StateName, becomes: StateName, why: Cooling | Disabled | None, *, is_news: bool
    ) -> None:  # fmt: skip
        """Log and count a transition; one that tells nothing new (a probe began, or found nothing out) quietly."""
        scope, reason = gate.scope, "" if why is None else why.reason
        opens_in_s = max(0.0, gate.opens_at - self._now())
        self._transitions[f"{was}>{becomes}:{reason}"] += 1
        level = logging.WARNING if reason == OPERATOR else _LOG_LEVELS[becomes]
        _log.log(
            level if is_news else logging.DEBUG,
            "%s: %s -> %s, opens %s (%s)",
            scope,
            was,
            becomes,
            "by hand" if opens_in_s == inf else f"in {opens_in_s:.1f} s",
            reason,
            extra={
                "scope": scope.kind,
                "scope_name": scope.name,
                "model": scope.model,
                "state": becomes,
                "reason": reason,
                "opens_in_s": None if opens_in_s == inf else round(opens_in_s, 3),
                "epoch": gate.state.epoch,
            },
        )


def _nothing() -> None:
    """Stand in for the end of a watch that never began."""
