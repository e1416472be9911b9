"""Why nobody can be asked, and when somebody can: looked at only when a request found nobody."""

from collections.abc import Collection
from math import ceil, inf

import msgspec

from ..errors import CapacityError, NoCapacity, PoolExhausted, UnknownModel
from . import health
from .health import Rng
from .model import Account, Candidate, Plan, Tier
from .slots import Group, Slot

SHORT_WAIT_S = 1.0
"""What a caller is told to wait for what may happen any moment: an attempt that ends, a probe that answers."""
LONG_WAIT_S = 60.0
"""And for what only an operator can change."""


class Refusals:
    """Says no, and until when.

    Args:
        groups: By upstream.
        slots: By account.
        rng: So that not all who are told to wait a little come back at once.
    """

    def __init__(self, groups: dict[str, Group], slots: dict[Account, Slot], rng: Rng) -> None:
        self._groups = groups
        self._slots = slots
        self._rng = rng

    def nobody(self, plan: Plan, now: float, tried: Collection[Candidate] = ()) -> CapacityError:
        """Return why nobody can be asked.

        Args:
            plan: Where the request may go.
            now: The present.
            tried: Where it was: of those that it is bound to, nobody waits for an attempt on these to end.

        Raises:
            UnknownModel: No account serves any of the models.
        """
        if plan.tiers and not any(self._serving(tier) for tier in plan.tiers):
            raise UnknownModel(
                "No account here serves this model: ask for another one, or ask whoever runs this gateway."
            )
        soonest = min([inf, *[self._soonest(tier, plan, now) for tier in plan.tiers]])
        is_disabled = all(self._is_disabled(tier) for tier in plan.tiers)
        wait_s = ceil((soonest - now) * 1000) / 1000 if soonest < inf else LONG_WAIT_S if is_disabled else SHORT_WAIT_S
        if any(self._is_probed(tier) for tier in plan.tiers):
            wait_s = min(wait_s, SHORT_WAIT_S)
        if is_disabled:
            return NoCapacity("No account for this model may be used at present.", retry_after_s=wait_s)
        if any(self._is_full(_untried(tier, tried)) for tier in plan.tiers):
            wait_s = min(wait_s, self.short_wait_s())
            busy = PoolExhausted("Every account for this model is busy. Try again later.", retry_after_s=wait_s)
            busy.is_busy = True
            return busy
        return PoolExhausted("Every account for this model is cooling down. Try again later.", retry_after_s=wait_s)

    def short_wait_s(self) -> float:
        """Return a short time to come back in, not the same for all."""
        return SHORT_WAIT_S * (1.0 + self._rng())

    def _serving(self, tier: Tier) -> bool:
        group = self._groups[tier.upstream]
        return tier.only is not None or not group.is_choosy or bool(group.serving(tier.model))

    def _soonest(self, tier: Tier, plan: Plan, now: float) -> float:
        group = self._groups[tier.upstream]
        need = group.need(plan.demand)
        if tier.only is not None:
            times = [self._slots[account].opens_at(tier.model, need) for account in tier.only]
            return min([inf, *[time for time in times if time > now]])
        ring, slots = group.ring(tier.model, need), group.slots
        together = group.common_opening()
        if together > now and ring.pick(together, lambda i: slots[i].opens_at(tier.model, need), ()) is not None:
            return together
        return ring.soonest(lambda index: slots[index].opens_at(tier.model, need))

    def _is_probed(self, tier: Tier) -> bool:
        if tier.only is None:
            peers = self._groups[tier.upstream].peers
            return bool(peers.accounts.probed or peers.origins.probed or peers.for_model(tier.model).probed)
        gates = [gate for account in tier.only for gate in self._slots[account].gates(tier.model)]
        return any(isinstance(gate.state, health.Probing) for gate in gates)

    def _is_full(self, tier: Tier) -> bool:
        if tier.only is not None:
            return any(self._slots[account].is_full for account in tier.only)
        group = self._groups[tier.upstream]
        if not group.is_choosy:
            return group.full > 0
        return any(group.slots[index].is_full for index in group.serving(tier.model))

    def _is_disabled(self, tier: Tier) -> bool:
        group = self._groups[tier.upstream]
        if tier.only is None and not group.is_choosy:
            return group.peers.accounts.disabled == len(group.slots)
        slots = [self._slots[account] for account in tier.only] if tier.only is not None else [
            group.slots[index] for index in group.serving(tier.model)
        ]  # fmt: skip
        return all(slot.is_disabled for slot in slots)


def _untried(tier: Tier, tried: Collection[Candidate]) -> Tier:
    """Return a tier without those of the accounts that it is bound to that were asked already."""
    if tier.only is None:
        return tier
    left = tuple([account for account in tier.only if Candidate(account, tier.model) not in tried])
    return msgspec.structs.replace(tier, only=left)
