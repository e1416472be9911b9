"""What an operator may do to an account by hand.

Each word begins an era (see `state.contract`): it holds for all who share the store, whatever they found out meanwhile,
and reports of attempts that were on their way are old news. Running attempts go on.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from . import health
from .gates import Gates
from .model import Override
from .slots import Slot

Overriding: TypeAlias = Callable[[Gates, Slot, float], None]
"""Takes the gates of the pool, the account's slot and the present."""


def disable(gates: Gates, slot: Slot, now: float) -> None:
    """Ask the account nothing more, not even a probe, until it is enabled."""
    if not health.is_shut(slot.gate.state):
        gates.override(slot.gate, health.shut(slot.gate.state, now))


def enable(gates: Gates, slot: Slot, now: float) -> None:
    """Take back a `disable`; an account that closed by itself stays closed."""
    if health.is_shut(slot.gate.state):
        gates.override(slot.gate, health.cleared(slot.gate.state, now))


def reset(gates: Gates, slot: Slot, now: float) -> None:
    """Forget all that keeps a request from the account: of its origin, of itself, of it for single models.

    What is disabled by hand stays so, and limits that the vendor or the configuration set stay as they are.
    """
    for gate in (slot.server.gate, slot.gate, *slot.gate.models.values()):
        if not health.is_shut(gate.state):
            gates.override(gate, health.cleared(gate.state, now))


OVERRIDES: Final[Mapping[Override, Overriding]] = {"disable": disable, "enable": enable, "reset": reset}
