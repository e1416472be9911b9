"""What an attempt must be granted by all who share the accounts: the right to probe, a place, its part of a minute.

Asked once an attempt, and only where there is something to ask: an account without limits that is open costs nothing.
With state in one process alone there is no fleet.
"""

import os
import secrets

import msgspec

from ..pool.limits import MINUTE_S, Demand
from ..pool.model import Account, Lease
from ..state.contract import Admission, Amount, HealthScope, NotAdmitted, Probe, ScopeKind, SharedSlot, StateStore

LOOK_AGAIN_S = 0.25
"""How long an account is passed over that others fill: nobody tells when a place comes free there."""
_REQUESTS = "requests"
_KINDS: tuple[ScopeKind, ScopeKind, ScopeKind] = ("origin", "account", "model")
"""In the order of `Lease.epochs`."""


class Fleet:
    """The processes that share a pool.

    Args:
        store: Where they agree.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._name = secrets.token_hex(8)

    async def admit(self, lease: Lease, demand: Demand) -> NotAdmitted | None:
        """Ask whether an attempt may be made; None: it may.

        Args:
            lease: That this process has given out.
            demand: What the attempt is thought to need.
        """
        account = lease.candidate.account
        admission = Admission(
            holder=self._holder(lease), probes=_probes(lease), slots=_slots(account), amounts=_amounts(account, demand)
        )
        return await self._store.admit(admission)

    async def admit_probe(self, lease: Lease) -> NotAdmitted | None:
        """Ask whether an account may be probed beside all requests, which takes no place; None: it may."""
        return await self._store.admit(Admission(holder=self._holder(lease), probes=_probes(lease)))

    def leave_probe(self, lease: Lease) -> None:
        """Say that the probe has ended."""
        self._store.leave(self._holder(lease))

    def leave(self, lease: Lease, demand: Demand, spent: int | None) -> None:
        """Say that the attempt has ended.

        Args:
            lease: That was admitted.
            demand: As it was admitted.
            spent: Tokens that it cost; None: as was thought.
        """
        self._store.leave(self._holder(lease))
        account = lease.candidate.account
        if spent is not None and account.tpm is not None and spent != demand.tokens:
            self._store.add(_minute(account, "tokens", spent - demand.tokens, account.tpm))

    def put_back(self, lease: Lease, demand: Demand) -> None:
        """Say that nobody was asked: what was granted is as before.

        Args:
            lease: That was admitted.
            demand: As it was admitted.
        """
        self._store.leave(self._holder(lease))
        for amount in _amounts(lease.candidate.account, demand):
            self._store.add(msgspec.structs.replace(amount, amount=-amount.amount))

    def _holder(self, lease: Lease) -> str:
        """Return a name that nobody else holds by. Processes that were forked off after this was made number alike."""
        return f"{self._name} {os.getpid()} {lease.number}"


def pass_over_s(refusal: NotAdmitted) -> float:
    """Return how long nobody need be offered an account: as was told, where it has no request left for anybody.

    What is too much for one request may not be for the next, which needs fewer tokens.
    """
    return refusal.wait_s if refusal.name.startswith(f"{_REQUESTS} ") else min(refusal.wait_s, LOOK_AGAIN_S)


def _probes(lease: Lease) -> tuple[Probe, ...]:
    account, model = lease.candidate.account, lease.candidate.model
    scopes = {
        "origin": HealthScope("origin", str(account.origin)),
        "account": HealthScope("account", account.id),
        "model": HealthScope("model", account.id, model),
    }
    return tuple([Probe(scopes[kind], lease.epochs[_KINDS.index(kind)]) for kind in lease.probes])


def _slots(account: Account) -> tuple[SharedSlot, ...]:
    return () if account.concurrency is None else (SharedSlot(f"account {account.id}", account.concurrency),)


def _amounts(account: Account, demand: Demand) -> tuple[Amount, ...]:
    wanted = ((_REQUESTS, 1.0, account.rpm), ("tokens", float(demand.tokens), account.tpm))
    return tuple([_minute(account, unit, amount, limit) for unit, amount, limit in wanted if limit is not None])


def _minute(account: Account, unit: str, amount: float, limit: float) -> Amount:
    return Amount(
        name=f"{unit} minute of account {account.id}", amount=amount, limit=limit, life_s=MINUTE_S, is_paced=True
    )
