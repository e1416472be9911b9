"""A store that several processes share: a copy in memory, a thread that carries news, and one question an attempt.

What is merged and put is known here at once, and to others within `POLL_S` and what a write takes. Nobody in the event
loop waits for the place where it is kept, but for `admit` (50 ms at most), a fact that is missed, and answers that must
be found by others. Where the place is out of reach this process goes on alone, and comes back to it by itself.
"""

import logging
import math
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
from cachetools import LRUCache

from .asker import Asker
from .backend import Backend, BackendError, CooldownNews, FactNews, Granted, Missed, News
from .contract import Admission, Amount, Cooldown, Found, HealthScope, NotAdmitted, SharedSlot, Watcher
from .courier import Courier, Door
from .ledger import probe_name
from .memory import MemoryStore
from .outbox import Outbox

_log = logging.getLogger("asgi_ds2api.state")

POLL_S = 0.1
"""Between two looks at what others wrote: news are known everywhere within 250 ms."""
PATIENCE_S = 0.05
"""Longest wait for an admission."""
FIND_S = 1.0
"""Longest wait for a fact that is missed, and for what others must find: once an answer, and it may be large."""
LEASE_S = 30.0
"""How long what a process held is kept for it when it has died, and longest time of a probe."""
RENEW_S = 10.0
MIN_AWAY_S, MAX_AWAY_S = 0.5, 30.0
"""How long a place is left alone after it failed; doubled each time."""
MAX_COUNTS = 100_000
"""Amounts of which is kept what all had used; the least recently used goes first."""
MAX_THREADS = 8
"""Facts that are looked up at once."""


class _Session:
    """From one opening to the next: what is carried for one process and one event loop."""

    __slots__ = ("cursor", "door", "has_begun", "writer")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.writer = secrets.token_hex(8)
        self.cursor = ""
        self.has_begun = anyio.Event()
        """Its first round was heard, or the backend is left alone."""


class SharedStore:
    """A `StateStore` over a backend.

    Args:
        backend: Where the state is kept.
        memory: The copy; its clock is this store's.
        now: Monotonic clock, in seconds; the same as the copy's.
        workers: How many processes share the limits while the backend is out of reach.
        max_waiting_bytes: Of facts that are not yet written; the oldest are given up first.
        patience_s: Longest wait for an admission.
    """

    is_shared = True

    def __init__(
        self,
        backend: Backend,
        memory: MemoryStore,
        now: Callable[[], float],
        *,
        workers: int = 1,
        max_waiting_bytes: int = 64 * 1024 * 1024,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._backend = backend
        self._memory = memory
        self._now = now
        self._workers = workers
        self._patience_s = patience_s
        self._outbox = Outbox(max_waiting_bytes)
        self._slots: dict[str, tuple[str, ...]] = {}
        self._probes: dict[str, tuple[str, ...]] = {}
        """Holder -> names of what it holds at the backend."""
        self._used_by_all: LRUCache[str, float] = LRUCache(MAX_COUNTS)
        """Of each counted amount that is given out alone: what was used when that began."""
        self._sought: dict[tuple[str, str], object] = {}
        """Facts that are looked up -> who does so. One that changes meanwhile is taken out: what is found is older."""
        self._session: _Session | None = None
        self._rounds = threading.Lock()
        """Held for a round: the thread of an event loop that has ended may be in its last one."""
        self._pid = os.getpid()
        self._renewed_at = -math.inf
        self._courier: Courier | None = None
        self._asker: Asker | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._away_until = -math.inf
        self._away_s = MIN_AWAY_S
        self._is_lost = False
        self._waiting: list[tuple[int, anyio.Event]] = []
        self.is_away = False
        """The backend failed, and was not heard of since."""
        self.switches = 0
        """How often this process went on alone."""

    @property
    def is_alone(self) -> bool:
        """Whether the backend is left alone for now."""
        return self._is_lost or self._now() < self._away_until

    @property
    def dropped(self) -> int:
        """Facts that others will not find, because too much waited to be written."""
        return self._outbox.dropped

    # --- opening ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read what is known, and begin to hear of others. Where that fails, begin alone.

        All that works from then on is there before the first wait: who is cancelled in it leaves nothing half begun.
        """
        if self._courier is None or not self._courier.belongs_here():
            self._begin()
        session = self._session
        if session is None or session.has_begun.is_set() or self.is_alone:
            return
        async with self._patience(FIND_S):
            await session.has_begun.wait()

    def _begin(self) -> None:
        """Start the threads of this process and this event loop."""
        courier, self._courier = self._courier, None
        asker, self._asker = self._asker, None
        for thread in (courier, asker):
            if thread is not None:
                thread.stop()  # its loop has ended
        if self._pid != os.getpid():
            self._pid, self._rounds = os.getpid(), threading.Lock()  # a fork may find the other one held, for good
        session = _Session(Door())
        courier = Courier(session.door, partial(self._round, session), POLL_S, self._lose)
        asker = Asker(session.door, self._backend, LEASE_S, self._give_back, self._undo, self._lose)
        self._session, self._limiter, self._waiting = session, anyio.CapacityLimiter(MAX_THREADS), []
        self._is_lost = False
        asker.start()
        try:
            courier.start()
        except RuntimeError:  # the machine is out of threads
            asker.stop()
            raise
        self._courier, self._asker = courier, asker

    async def close(self) -> None:
        """Write what is not yet written, for a second at most, and stop."""
        courier, self._courier = self._courier, None
        asker, self._asker = self._asker, None
        self._limiter = None
        if courier is None or asker is None or not courier.belongs_here():
            return
        with anyio.move_on_after(FIND_S, shield=True):
            for thread in (asker, courier):
                thread.stop()
                await anyio.to_thread.run_sync(thread.join, abandon_on_cancel=True)
        self._backend.close()

    # --- from memory --------------------------------------------------------------------------------------------------

    def cooldown(self, scope: HealthScope) -> Cooldown | None:
        """Return what is known of a scope; None: nothing."""
        return self._memory.cooldown(scope)

    def cooldowns(self) -> Iterable[tuple[HealthScope, Cooldown]]:
        """Return all that is known, as a snapshot."""
        return self._memory.cooldowns()

    def merge(self, scope: HealthScope, entry: Cooldown) -> Cooldown:
        """Add news of a scope, tell the watchers at once and others soon, return the sum."""
        total = self._memory.merge(scope, entry)
        self._outbox.merge(scope, total)
        self._wake()
        return total

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell ``watcher`` of every change, whoever made it; return how to stop that (idempotent)."""
        return self._memory.watch(watcher)

    def get(self, table: str, key: str) -> bytes | None:
        """Return a fact that is in the copy; None: it is not (see `find`)."""
        return self._memory.get(table, key)

    def put(self, table: str, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a fact here at once, and for others soon."""
        self._copy(table, key, value, ttl_s)
        self._outbox.put(FactNews(table, key, value, ttl_s), self._now())
        self._wake()

    def add(self, amount: Amount) -> None:
        """Count what was used, here at once, and for others soon."""
        self._memory.add(self._part_of(amount) if amount.is_paced and self.is_alone else amount)
        self._outbox.add(amount)
        self._wake()

    def used(self, amount: Amount) -> float:
        """Return how much is used: by everybody when this process last asked, and by itself since."""
        return self._memory.used(amount)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def find(self, table: str, keys: Collection[str]) -> Found:
        """Return the facts that there are, also those that others put; one that cannot be asked for is not there."""
        known = (await self._memory.find(table, keys)).facts
        missing = [key for key in keys if key not in known]
        if not missing or self.is_alone or self._limiter is None:
            return Found(known, is_whole=not missing)
        found: Mapping[str, tuple[bytes, float]] | None = None
        asker = object()
        self._sought |= {(table, key): asker for key in missing}
        try:
            async with self._patience(FIND_S):
                found = await anyio.to_thread.run_sync(
                    self._backend.find, table, missing, abandon_on_cancel=True, limiter=self._limiter
                )
        finally:
            same = [key for key in missing if self._sought.get((table, key)) is asker]
            for key in same:
                del self._sought[table, key]
        if found is None:
            return Found(known, is_whole=False)
        for key in same:
            if key in found:
                self._copy(table, key, *found[key])
        return Found({**known, **{key: value for key, (value, _) in found.items()}})

    def _copy(self, table: str, key: str, value: bytes, ttl_s: float) -> None:
        """Put the newest that is known of a fact into the copy: what is still on its way here is older."""
        self._sought.pop((table, key), None)
        self._memory.put(table, key, value, ttl_s)

    async def settled(self) -> None:
        """Return when others can find what was put so far, or after a second."""
        number = self._outbox.number
        if self.is_alone or self._courier is None or self._outbox.is_written(number):
            return
        event = anyio.Event()
        self._waiting.append((number, event))
        with anyio.move_on_after(FIND_S):
            await event.wait()

    async def admit(self, admission: Admission) -> NotAdmitted | None:
        """Take all that is asked for, in one step among all; of this process alone if they cannot be reached."""
        if not (admission.probes or admission.slots or admission.amounts):
            return None
        if self.is_alone or self._asker is None:
            return await self._admit_alone(admission)
        answer: NotAdmitted | Granted | None = None
        async with self._patience(self._patience_s):
            answer = await self._asker.ask(admission)
        match answer:
            case None:
                return await self._admit_alone(admission)
            case NotAdmitted():
                return answer
            case Granted():
                self._note(admission, answer)
                return None

    def leave(self, holder: str) -> None:
        """Give back the slots and probes of a holder."""
        self._memory.leave(holder)
        names = (*self._probes.pop(holder, ()), *self._slots.pop(holder, ()))
        if names:
            self._outbox.leave(holder, names)
            self._wake()

    def _undo(self, admissions: Sequence[Admission], once: str) -> None:
        """Take back what may have been granted when the backend failed."""
        self._outbox.undo(admissions, once)

    def _give_back(self, admission: Admission) -> None:
        """Give back what was granted when nobody waited for it any more."""
        self._outbox.leave(admission.holder, (*_probe_names(admission), *_slot_names(admission)))
        for amount in admission.amounts:
            self._outbox.add(msgspec.structs.replace(amount, amount=-amount.amount))
        self._wake()

    def _note(self, admission: Admission, granted: Granted) -> None:
        holder = admission.holder
        if admission.probes:
            self._probes[holder] = (*self._probes.get(holder, ()), *_probe_names(admission))
        if admission.slots:
            names = _slot_names(admission)
            self._slots[holder] = (*self._slots.get(holder, ()), *names)
            self._memory.hold(holder, names)
        for amount, total in zip(admission.amounts, granted.used, strict=True):
            self._used_by_all.pop(amount.name, None)
            difference = total - self._memory.used(amount)
            self._memory.add(msgspec.structs.replace(amount, amount=difference))

    async def _admit_alone(self, admission: Admission) -> NotAdmitted | None:
        """Take of what one of several processes may give out by itself: its part of each limit, at least one slot.

        Probes are lent by its pool, one at a time; nobody else is there to be asked.
        """
        part = msgspec.structs.replace(
            admission,
            probes=(),
            slots=tuple([SharedSlot(slot.name, max(1, slot.limit // self._workers)) for slot in admission.slots]),
            amounts=tuple([self._part_of(amount) for amount in admission.amounts]),
        )
        refusal = await self._memory.admit(part)
        if refusal is None:
            for amount in admission.amounts:
                self._outbox.add(amount)
        return refusal

    def _part_of(self, amount: Amount) -> Amount:
        """Return an amount as one of several processes counts it that may use its part of the limit.

        Of one that comes back bit by bit, that is a slower one. Of any other it is a part of what was left when all
        were last asked; until they are asked again what was left then stays the same, however often this process steps
        aside.
        """
        if amount.is_paced:
            return msgspec.structs.replace(amount, limit=amount.limit / self._workers)
        used = self._used_by_all.setdefault(amount.name, min(self._memory.used(amount), amount.limit))
        return msgspec.structs.replace(amount, limit=used + (amount.limit - used) / self._workers)

    @asynccontextmanager
    async def _patience(self, patience_s: float) -> AsyncIterator[None]:
        """Bound a question; leave the backend alone for a while if it fails or does not answer."""
        asked_at = self._now()
        try:
            with anyio.move_on_after(patience_s) as scope:
                yield
        except BackendError as error:
            self._step_aside(str(error), asked_at)
            return
        if scope.cancelled_caught:
            self._step_aside(f"no answer within {patience_s * 1000:.0f} ms", asked_at)

    # --- rounds of the courier ----------------------------------------------------------------------------------------

    def _round(self, session: _Session) -> None:
        """Write what waits, read what others wrote, keep what is held. In a thread."""
        with self._rounds:
            if session is self._session and not self.is_alone:
                self._exchange(session)

    def _exchange(self, session: _Session) -> None:
        began = self._now()
        try:
            self._backend.open()
            written = self._outbox.carry(self._backend, session.writer, self._now())
            session.cursor, news = self._backend.read(session.writer, session.cursor)
            if self._now() - self._renewed_at >= RENEW_S:
                # Slots alone: a probe that finds nothing out in that time is lost, and the next one's turn has come.
                self._backend.renew(dict(self._slots), LEASE_S)
                self._renewed_at = self._now()
        except BackendError as error:
            session.door.call(partial(self._step_aside, str(error), began))
        else:
            session.door.call(partial(self._hear, news, written, began))

    def _hear(self, news: Sequence[News | Missed], written: int, began: float) -> None:
        """Take in what others wrote, and up to what number this process's own is written."""
        if self.is_away and began >= self._away_until:
            _log.info("shared state is back")
            self.is_away, self._away_s = False, MIN_AWAY_S
        now = self._now()
        newer = self._outbox.put_since(written)
        for one in news:
            match one:
                case CooldownNews(scope=scope, entry=entry):
                    self._memory.merge(scope, msgspec.structs.replace(entry, until=now + entry.until))
                case FactNews(table=table, key=key, value=value, ttl_s=ttl_s):
                    if (table, key) not in newer:
                        self._copy(table, key, value, ttl_s)
                case Missed():
                    self._sought.clear()
                    self._memory.forget_facts(but=newer)
        self._settle(written)

    def _step_aside(self, why: str, asked_at: float) -> None:
        """Go on alone for a while. Who had asked before that began has nothing new to say of the place."""
        if asked_at < self._away_until:
            return
        if not self.is_away:
            self.is_away = True
            self.switches += 1
            _log.warning("shared state is out of reach (%s): this process decides alone", why)
        self._away_until = self._now() + self._away_s
        self._away_s = min(MAX_AWAY_S, self._away_s * 2)
        self._settle(math.inf)

    def _lose(self) -> None:
        """Go on alone for good: a thread ended by a mistake of ours, which the log has."""
        self._step_aside("a thread of the gateway ended by a mistake; restart this process to share again", math.inf)
        self._is_lost = True

    def _settle(self, written: float) -> None:
        if self._session is not None:
            self._session.has_begun.set()
        for number, event in self._waiting:
            if number <= written:
                event.set()
        self._waiting = [(number, event) for number, event in self._waiting if number > written]

    def _wake(self) -> None:
        if self._courier is not None:
            self._courier.wake()


def _probe_names(admission: Admission) -> tuple[str, ...]:
    return tuple([probe_name(probe) for probe in admission.probes])


def _slot_names(admission: Admission) -> tuple[str, ...]:
    return tuple([slot.name for slot in admission.slots])
