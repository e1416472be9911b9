"""Who is next: the account that serves a request, of all that its plan names. Takes no slot.

The tiers are gone through in order. In each the strategy says who is next, unless the request is part of a conversation
whose account can go on with it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from .affinity import Affinity
from .model import Account, Candidate, Plan, Target, Tier
from .slots import Group, Slot


class Chooser:
    """Goes through the accounts of a pool.

    Args:
        accounts: By their ids.
        groups: By upstream.
        slots: By account.
        affinity: Where conversations were.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        groups: Mapping[str, Group],
        slots: Mapping[Account, Slot],
        affinity: Affinity,
    ) -> None:
        self._accounts = accounts
        self._groups = groups
        self._slots = slots
        self._affinity = affinity

    def has_choice(self, targets: Iterable[Target]) -> bool:
        """See `pool.Pool.has_choice`."""
        return self._affinity.is_on and any(self._groups[target.upstream].affinity is not None for target in targets)

    def bound(self, plan: Plan) -> Plan:
        """See `pool.Pool.bound`."""
        if not (plan.session and self._affinity.is_on):
            return plan
        tiers = []
        for tier in plan.tiers:
            key = self.pin_key(plan, tier)
            pin = self._affinity.find(key) if key else None
            account = self._accounts.get(pin.account) if pin is not None and pin.is_bound else None
            if account is not None:
                self._affinity.pin(key, account.id, pin)
            tiers.append(tier if account is None else msgspec.structs.replace(tier, only=(account,)))
        return msgspec.structs.replace(plan, tiers=tuple(tiers))

    def pin_key(self, plan: Plan, tier: Tier) -> str:
        """Return what the account of a conversation is remembered by; empty: nothing is to be remembered."""
        is_on = plan.session and self._affinity.is_on and self._groups[tier.upstream].affinity is not None
        return f"{plan.session}:{tier.upstream}/{tier.model}" if is_on else ""

    def choose(self, plan: Plan, tried: Collection[Candidate], now: float) -> tuple[Slot, Tier] | None:
        """Return whose turn it is, and the tier that he is of; None: nobody is open, has room and is untried."""
        for tier, passed_over in self._rounds(plan, tried):
            slot = self._pick(tier, plan, passed_over, now)
            if slot is not None:
                return slot, tier
        return None

    def _rounds(self, plan: Plan, tried: Collection[Candidate]) -> Iterator[tuple[Tier, Collection[Slot]]]:
        """Yield the tiers in the order in which they are looked at, and who is passed over there."""
        if not tried:
            for tier in plan.tiers:
                yield tier, ()
            return
        attempts = [(self._slots[candidate.account], candidate.model) for candidate in tried]
        spent = {slot for slot, model in attempts if not slot.is_closed_for(model)}
        for avoided in (spent, set[Slot]()):
            for tier in plan.tiers:
                yield tier, avoided | {slot for slot, model in attempts if model == tier.model}

    def _pick(self, tier: Tier, plan: Plan, passed_over: Collection[Slot], now: float) -> Slot | None:
        group, model = self._groups[tier.upstream], tier.model
        need = group.need(plan.demand)
        if tier.only is not None:
            slots = [self._slots[account] for account in tier.only]
            fit = [slot.index for slot in slots if slot not in passed_over and slot.opens_at(model, need) <= now]
            return group.slots[group.rotation.lowest(fit, now)] if fit else None
        if group.common_opening() > now:
            return None
        key = self.pin_key(plan, tier)
        if key:
            return self._follow(group, tier, key, need, passed_over, now)
        return _next_in_line(group, tier.model, need, passed_over, now)

    def _follow(
        self, group: Group, tier: Tier, key: str, need: int, passed_over: Collection[Slot], now: float
    ) -> Slot | None:
        """Return the account that a conversation was on, if it can be; else who is next, where it is from now on."""
        assert group.affinity is not None
        pin = self._affinity.find(key)
        account = None if pin is None else self._accounts.get(pin.account)
        home = None if account is None else self._slots[account]
        may_follow = home is not None and home not in passed_over and not home.is_crowded
        if may_follow and home is not None and home.opens_at(tier.model, need) <= now:
            group.affinity.followed += 1
            self._affinity.pin(key, home.account.id, pin)
            return home
        slot = _next_in_line(group, tier.model, need, passed_over, now)
        if slot is None:
            return None
        if home is None:
            group.affinity.began += 1
        else:
            group.affinity.spilled += 1
        is_busy = home is not None and home not in passed_over and (home.is_full or home.is_crowded)
        if not (is_busy and pin is not None and pin.has_cache):
            self._affinity.pin(key, slot.account.id, pin)
        return slot


def _next_in_line(group: Group, model: str, need: int, passed_over: Collection[Slot], now: float) -> Slot | None:
    slots = group.slots
    indexes = {slot.index for slot in passed_over if slot.group is group} if passed_over else ()
    index = group.ring(model, need).pick(now, lambda index: slots[index].opens_at(model, need), indexes)
    return None if index is None else slots[index]
