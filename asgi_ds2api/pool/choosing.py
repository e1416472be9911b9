"""Who is next: the account that serves a request, of all that its plan names. Takes no slot.

The tiers are gone through in order. In each the strategy says who is next, unless the request is part of a conversation
whose account can go on with it.

What a vendor sealed for a customer, only that customer's accounts can go on from. So a request that carries it is bound
to them, while they can answer in time; who waits for them, and for how long, says whoever stands in line. When that was
in vain the request goes elsewhere, and the vendor judges. If he refuses it, the request goes back.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from .affinity import Affinity
from .line import Key
from .model import Account, Candidate, Plan, Target, Tier
from .slots import Group, Server, Slot


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

    # --- conversations ------------------------------------------------------------------------------------------------

    def has_choice(self, targets: Iterable[Target]) -> bool:
        """See `pool.Pool.has_choice`."""
        if not self._affinity.is_on:
            return False
        groups = {target.upstream: self._groups[target.upstream] for target in targets}
        if any(group.affinity is not None for group in groups.values()):
            return True
        return len(groups) > 1 and any(group.customers for group in groups.values())

    def seals(self, targets: Iterable[Target]) -> bool:
        """See `pool.Pool.seals`."""
        return any(self._groups[target.upstream].customers for target in targets)

    def pin_key(self, plan: Plan, tier: Tier) -> str:
        """Return what the account of a conversation is remembered by; empty: nothing is to be remembered."""
        is_on = plan.session and self._affinity.is_on and self._groups[tier.upstream].affinity is not None
        return f"{plan.session}:{tier.upstream}/{tier.model}" if is_on else ""

    def bond_key(self, plan: Plan, tier: Tier) -> str:
        """Return what the account is remembered by that sealed the last answer; empty: it seals none."""
        is_on = plan.session and self._affinity.is_on and self._groups[tier.upstream].customers
        return _bond_key(plan) if is_on else ""

    def bound(self, plan: Plan) -> Plan:
        """See `pool.Pool.bound`."""
        if not (plan.session and self._affinity.is_on):
            return plan
        tiers = tuple([self._proven(plan, tier) for tier in plan.tiers])
        if tiers != plan.tiers:
            return msgspec.structs.replace(plan, tiers=tiers)
        sealed = self._sealed(plan) if plan.is_sealed else ()
        return msgspec.structs.replace(plan, tiers=sealed, otherwise=plan.tiers) if sealed else plan

    def returned(self, plan: Plan, refused_by: Account) -> Plan | None:
        """See `pool.Pool.returned`."""
        free = plan.loosened()
        bound = self.bound(free)
        tiers = bound.tiers
        if bound.otherwise:
            upstreams = {refused_by.upstream, *[tier.upstream for tier in tiers]}
            tiers += tuple([tier for tier in free.tiers if tier.upstream not in upstreams])
        is_known = any(tier.only is not None and refused_by not in tier.only for tier in tiers)
        return msgspec.structs.replace(bound, tiers=tiers, otherwise=()) if is_known else None

    def refused(self, pin_key: str, bond_key: str, account: Account) -> None:
        """Note that an account cannot go on with a conversation, which others could."""
        bond = self._affinity.find(bond_key) if bond_key else None
        home = None if bond is None else self._accounts.get(bond.account)
        is_other = home is not None and home.owner != account.owner
        if pin_key:
            self._affinity.bind(pin_key, account.id, home.id if home is not None and is_other else "")

    def _proven(self, plan: Plan, tier: Tier) -> Tier:
        """Return a tier bound to the only account that is known to be able to go on with the conversation."""
        key = self.pin_key(plan, tier) if tier.only is None else ""
        pin = self._affinity.find(key) if key else None
        account = self._accounts.get(pin.account) if pin is not None and pin.is_bound else None
        if account is None or self._slots[account].is_disabled:
            return tier
        return msgspec.structs.replace(tier, only=(account,))

    def _sealed(self, plan: Plan) -> tuple[Tier, ...]:
        """Return the tiers of the customer for whom the last answer was sealed; none if it is no use to know him."""
        bond = self._affinity.find(_bond_key(plan))
        account = None if bond is None else self._accounts.get(bond.account)
        if account is None:
            return ()
        group = self._groups[account.upstream]
        owned = group.customers.get(account.owner, ())
        tiers = [tier for tier in plan.tiers if tier.upstream == account.upstream]
        is_everywhere = len(owned) == len(group.slots) and len(tiers) == len(plan.tiers)
        if is_everywhere or all(self._slots[one].is_disabled for one in owned):
            return ()
        found = []
        for tier in tiers:
            only = tuple([one for one in owned if one.serves(tier.model)]) if group.is_choosy else owned
            if only:
                found.append(msgspec.structs.replace(tier, only=only))
        return tuple(found)

    def key(self, plan: Plan, tried: Collection[Candidate]) -> Key:
        """Return what a request that waits has in common with those who find nobody if it finds nobody."""
        is_free = not tried
        names = [
            self._groups[tier.upstream].particular(tier.model) if is_free and tier.only is None else tier.model
            for tier in plan.tiers
        ]
        wishes = [(tier.upstream, name, tier.only) for tier, name in zip(plan.tiers, names, strict=True)]
        return tuple(wishes), plan.need, frozenset(tried)

    # --- accounts -----------------------------------------------------------------------------------------------------

    def choose(self, plan: Plan, tried: Collection[Candidate], now: float) -> tuple[Slot, Tier] | None:
        """Return whose turn it is, and in which tier; None: nobody is open, has room and is untried."""
        for tier, passed_over in self._rounds(plan, tried):
            slot = self._pick(tier, plan, passed_over, now)
            if slot is not None:
                return slot, tier
        return None

    def beside(self, server: Server, plan: Plan, tried: Collection[Candidate], now: float) -> tuple[Slot, Tier] | None:
        """Return who may be asked beside an attempt that is silent; None: nobody is open, has room and is untried.

        Another server goes before the order of the tiers: on the same one the wait would be the same. No account that
        was tried is asked again, for another model neither, and where a conversation is does not matter.

        Args:
            server: That of the silent attempt.
            plan: Where the request may go.
            tried: Where it was, the silent one included.
            now: The present.
        """
        asked = {self._slots[candidate.account] for candidate in tried}
        for is_elsewhere in (True, False):
            for tier in plan.tiers:
                group = self._groups[tier.upstream]
                if group.common_opening() > now or (is_elsewhere and list(group.servers.values()) == [server]):
                    continue
                near = [slot for slot in group.slots if slot.server is server] if is_elsewhere else []
                slot = self._next_in_line(group, tier, group.need(plan.demand), {*asked, *near}, now)
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
        group = self._groups[tier.upstream]
        if tier.only is None and group.common_opening() > now:
            return None
        need, key = group.need(plan.demand), self.pin_key(plan, tier)
        if key:
            return self._follow(group, tier, key, need, passed_over, now)
        return self._next_in_line(group, tier, need, passed_over, now)

    def _follow(
        self, group: Group, tier: Tier, key: str, need: int, passed_over: Collection[Slot], now: float
    ) -> Slot | None:
        """Return the account that a conversation was on, if it can be; else who is next, where it is from now on."""
        assert group.affinity is not None, "there is a key"
        pin = self._affinity.find(key)
        account = None if pin is None else self._accounts.get(pin.account)
        home = None if account is None or account not in (tier.only or (account,)) else self._slots[account]
        slot: Slot | None = None
        if home is not None and home not in passed_over and not home.is_crowded:
            slot = home if home.opens_at(tier.model, need) <= now else None
        slot = slot or self._next_in_line(group, tier, need, passed_over, now)
        if slot is None:
            return None
        if home is None:
            group.affinity.began += 1
        elif slot is home:
            group.affinity.followed += 1
        else:
            group.affinity.spilled += 1
        is_busy = home is not None and home not in passed_over and (home.is_full or home.is_crowded)
        if slot is home or not (is_busy and pin is not None and pin.has_cache):
            self._affinity.pin(key, slot.account.id, pin)
        return slot

    def _next_in_line(
        self, group: Group, tier: Tier, need: int, passed_over: Collection[Slot], now: float
    ) -> Slot | None:
        """Return who is next by the strategy."""
        slots, model = group.slots, tier.model
        if tier.only is not None:
            bound = [self._slots[account] for account in tier.only]
            fit = [slot.index for slot in bound if slot not in passed_over and slot.opens_at(model, need) <= now]
            return slots[group.rotation.lowest(fit, now)] if fit else None
        indexes = {slot.index for slot in passed_over if slot.group is group} if passed_over else ()
        index = group.ring(model, need).pick(now, lambda index: slots[index].opens_at(model, need), indexes)
        return None if index is None else slots[index]


def _bond_key(plan: Plan) -> str:
    return f"{plan.session}:sealed"
