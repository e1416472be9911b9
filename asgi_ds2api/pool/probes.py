"""Probes beside all requests: whether the key of an account that was disabled for it is good again.

By the same transitions as a request that probes; but no place is taken, no model asked, and no attempt counted. Only a
key can be found out about in this way: that money is there again shows when something is asked that costs.
"""

from collections.abc import Callable, Iterator, Mapping
from math import inf

from ..errors import UpstreamError
from . import health
from .health import Disabled
from .model import Account, Candidate, Lease
from .reports import Reports
from .slots import Slot

KEY_REFUSED = "auth"
"""Why an account is disabled whose key was refused."""


class Probes:
    """Hands them out, and takes what became of them.

    Args:
        slots: Of all accounts, by their ids.
        reports: Tells the gates.
        now: Monotonic clock, in seconds.
        numbers: Of the pool's leases.
        changed: Is called when somebody may have opened.
    """

    def __init__(
        self,
        slots: Mapping[str, Slot],
        reports: Reports,
        now: Callable[[], float],
        numbers: Iterator[int],
        changed: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._reports = reports
        self._now = now
        self._numbers = numbers
        self._changed = changed

    def account(self, name: str) -> Account | None:
        """Return an account by its id; None: there is none."""
        slot = self._slots.get(name)
        return None if slot is None else slot.account

    def due_in_s(self, name: str) -> float:
        """Return how long until an account may be probed in this way; 0: now; infinity: that is nothing for it."""
        slot = self._slots[name]
        why = health.closed(slot.gate.state)
        if not isinstance(why, Disabled) or why.reason != KEY_REFUSED:
            return inf
        return max(0.0, max(slot.gate.opens_at, slot.server.gate.opens_at) - self._now())

    def take(self, name: str) -> Lease | None:
        """Let somebody find out about an account; None: it is not the time.

        Returns:
            A lease, which names no model; `put_back` ends it whatever became of it.
        """
        if self.due_in_s(name) > 0:
            return None
        slot, number, now = self._slots[name], next(self._numbers), self._now()
        epochs, probes = self._reports.took(slot, "", number, now)
        candidate = Candidate(slot.account, "")
        return Lease(candidate=candidate, number=number, acquired_at=now, epochs=epochs, probes=probes)

    def opened(self, lease: Lease) -> None:
        """The key is good: requests go there."""
        self._reports.began(self._slot(lease), lease)
        self._changed()

    def refused(self, lease: Lease, error: UpstreamError) -> None:
        """It is not: the account is asked again later, and later each time."""
        self._reports.failed(self._slot(lease), lease, error)

    def postpone(self, lease: Lease) -> None:
        """Nobody could say: it is asked again after the first wait."""
        self._reports.postponed(self._slot(lease), lease)

    def put_back(self, lease: Lease) -> None:
        """End a probe. Where nothing became of it, another may be made; else this changes nothing."""
        self._reports.dropped(self._slot(lease), lease)
        self._changed()

    def _slot(self, lease: Lease) -> Slot:
        return self._slots[lease.candidate.account.id]
