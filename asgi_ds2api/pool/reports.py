"""What the outcome of an attempt does to the gates that it passed: of the origin, the account, the account for a model.

What a state becomes is decided by `health`, what an error is evidence of by `evidence`; here the two meet.
"""

from collections.abc import Callable, Iterator
from typing import Final

from ..errors import UpstreamError
from . import health
from .evidence import SLOW_WEIGHT, effect_of
from .gates import Gate, Gates
from .health import Rng
from .model import Cool, Disable, Fail, Lease, Neutral, ScopeKind
from .slots import Slot

_WIDTH: Final[dict[ScopeKind, int]] = {"origin": 0, "account": 1, "model": 2}
"""Place of a scope among the gates of a candidate, widest first."""
_SLOW: Final = Fail(scope="account", reason="slow", weight=SLOW_WEIGHT)


class Reports:
    """Tells the gates.

    Args:
        gates: All of them.
        now: Monotonic clock, in seconds.
        rng: For jitter.
    """

    def __init__(self, gates: Gates, now: Callable[[], float], rng: Rng) -> None:
        self._gates = gates
        self._now = now
        self._rng = rng

    def took(self, slot: Slot, model: str, turn: int, now: float) -> tuple[tuple[int, int, int], tuple[ScopeKind, ...]]:
        """Let an attempt in; return the epochs that it sees, and what waits for it as its probe."""
        gates = slot.gates(model)
        epochs = [gate.state.epoch for gate in gates]
        probes: list[ScopeKind] = []
        for gate in gates:
            if not gate.is_healthy:
                self._gates.move(gate, health.probing(gate.state, turn, now))
                probes.append(gate.scope.kind)
        return (epochs[0], epochs[1], epochs[2] if len(epochs) > 2 else 0), tuple(probes)

    def began(self, slot: Slot, lease: Lease) -> None:
        """A valid answer has begun: what waited for this probe opens now, not when a long stream ends."""
        now = self._now()
        for gate, seen in _passed(slot, lease):
            if not gate.is_healthy:
                self._gates.move(gate, health.succeeded(gate.state, seen, now))

    def succeeded(self, slot: Slot, lease: Lease, *, is_slow: bool) -> None:
        """The answer came whole; a slow one counts half a fault of its account."""
        now = self._now()
        for gate, seen in _passed(slot, lease):
            if is_slow and gate is slot.gate and gate.is_healthy:
                self._gates.move(gate, self._failed(gate, _SLOW, seen, now))
            else:
                self._gates.move(gate, health.succeeded(gate.state, seen, now))

    def dropped(self, slot: Slot, lease: Lease) -> None:
        """The attempt says nothing: its probes are free for the next."""
        for gate, _ in _passed(slot, lease):
            self._gates.move(gate, health.abandoned(gate.state, lease.number))

    def postponed(self, slot: Slot, lease: Lease) -> None:
        """A probe of a disabled account found nothing out: it is due again later, and that of the server is free."""
        self._gates.move(slot.gate, health.postponed(slot.gate.state, lease.epochs[1], self._now()))
        self.dropped(slot, lease)

    def failed(self, slot: Slot, lease: Lease, error: UpstreamError) -> None:
        """Put an error to the account of one gate. The wider ones passed if the answer was a considered one."""
        effect = effect_of(error)
        if isinstance(effect, Neutral):
            self.dropped(slot, lease)
            return
        slot.group.rotation.failed(slot.index, self._now() - lease.acquired_at, self._now())
        now, width = self._now(), _WIDTH["account" if isinstance(effect, Disable) else effect.scope]
        gates = slot.gates(lease.candidate.model)
        if width == len(gates):
            gates = (*gates, slot.gate.narrow(lease.candidate.model))
        for place, (gate, seen) in enumerate(zip(gates, lease.epochs, strict=False)):
            if place == width:
                state = self._failed(gate, effect, seen, now)
            elif place < width and not isinstance(effect, Fail):
                state = health.succeeded(gate.state, seen, now)
            else:
                state = health.abandoned(gate.state, lease.number)
            self._gates.move(gate, state)
        if isinstance(effect, Fail) and effect.blames_origin:
            gate, seen = slot.server.gate, lease.epochs[0]
            state = health.blamed(
                gate.state, slot.account.id, seen=seen, now=now, rng=self._rng, has_room=gate.has_room
            )
            self._gates.move(gate, state)

    def _failed(self, gate: Gate, effect: Cool | Fail | Disable, seen: int, now: float) -> health.State:
        return health.failed(gate.state, effect, seen=seen, now=now, rng=self._rng, has_room=gate.has_room)


def _passed(slot: Slot, lease: Lease) -> Iterator[tuple[Gate, int]]:
    """Yield the gates of a lease, widest first, with the epoch in which it passed them."""
    return zip(slot.gates(lease.candidate.model), lease.epochs, strict=False)
