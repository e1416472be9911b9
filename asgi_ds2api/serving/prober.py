"""Finds out, beside all requests, whether the key of an account that was disabled for it is good again.

A request that comes when its time is up probes an account as well. But where all are disabled none may come: whoever
watches whether a gateway is ready keeps callers away from it.

Rules:

1. One task an event loop, and only while there is somebody to ask. It sleeps until the first of them is due; one that
   becomes disabled wakes it.
2. A probe is the same thing as that of a request: one among all who share the state, for at most `PROBE_LEASE_S`.
3. What is asked costs nothing (`Codec.encode_key_check`). An answer to it proves a key only where those who show none
   are refused, so that is asked as well. Where everybody is answered, or nobody, a request has to find out.
4. A refusal counts as one. What is no word about the key (an error of the server, of the network, a limit, a page of a
   firewall) counts neither for it nor against it, nor against the server.
5. It raises nothing: what goes wrong by a mistake of ours is logged, and that account is left to requests.
"""

import logging
from collections.abc import Callable, Mapping
from math import inf

import anyio

from ..codec import HTTPCall
from ..errors import CapacityError, GatewayError, KeyRefused, QuotaExhausted, Refused, Timeout, UpstreamError
from ..observe import stack_of
from ..pool.health import LOST_PROBE_S, PROBE_LEASE_S
from ..pool.model import Account, Lease
from ..pool.probes import KEY_REFUSED, Probes
from ..secret import Secret
from ..state.contract import Cooldown, HealthScope, StateStore
from ..upstream.answer import judge
from ..upstream.outbound import build
from ..upstream.tasks import OwnedTask, running_loop
from .fleet import Fleet
from .means import Clients, Way

_log = logging.getLogger("asgi_ds2api.pool")

PROBE_S = 20.0
"""For both questions of a probe together: less than its lease, so that nobody else begins another."""
AT_ONCE = 8
"""Probes at a time: a server that does not answer keeps few others waiting."""
LOOK_AGAIN_S = 3_600.0
"""Longest sleep."""


class Prober:
    """Probes the accounts of a gateway.

    Args:
        probes: Of its pool.
        upstreams: By their names.
        clients: Hands out their clients.
        fleet: Those who share the accounts; None: nobody does.
        store: Tells who becomes disabled.
        wall_now: Seconds since 1970.
    """

    def __init__(
        self,
        probes: Probes,
        upstreams: Mapping[str, Way],
        clients: Clients,
        fleet: Fleet | None,
        store: StateStore,
        wall_now: Callable[[], float],
    ) -> None:
        self._probes = probes
        self._upstreams = upstreams
        self._clients = clients
        self._fleet = fleet
        self._wall_now = wall_now
        self._checks = {name: way.codec.encode_key_check(way.profile) for name, way in upstreams.items()}
        self._pauses: dict[str, float] = {}
        """Account that is to be asked -> until when it is left alone, in seconds of the event loop's clock."""
        self._given_up: dict[str, int] = {}
        """Account -> the epoch of which nothing can be found out in this way."""
        self._task: OwnedTask | None = None
        self._news: anyio.Event | None = None
        self._is_stopped = False
        for scope, entry in store.cooldowns():
            self._note(scope, entry)
        store.watch(self._hear)

    # --- for the gateway ----------------------------------------------------------------------------------------------

    def attend(self) -> None:
        """See to it that there is a task in the running event loop, if there is somebody to ask."""
        if not self._pauses or self._is_stopped or (self._task is not None and self._task.is_alive):
            return
        self._pauses = dict.fromkeys(self._pauses, -inf)  # another event loop has another clock
        self._news = None
        self._task = OwnedTask(self._run, _tell_failure, "asgi_ds2api prober")

    def start(self) -> None:
        """Probe from now on, also after a `stop`."""
        self._is_stopped = False
        self.attend()

    async def stop(self) -> None:
        """Probe no more, and end the probes that are under way."""
        self._is_stopped = True
        task, self._task = self._task, None
        if task is not None:
            await task.stop()

    # --- who is to be asked -------------------------------------------------------------------------------------------

    def _hear(self, scope: HealthScope, entry: Cooldown) -> None:
        """Take note of what becomes of an account, whoever found it out, and tell the task."""
        if not self._note(scope, entry):
            return
        if self._task is None or not self._task.is_alive:
            if running_loop() is not None:
                self.attend()
        elif self._news is not None:
            self._news.set()

    def _note(self, scope: HealthScope, entry: Cooldown) -> bool:
        """Take note of who is to be asked, or no more; tell whether there is anything new in it."""
        if scope.kind != "account":
            return False
        name = scope.name
        is_refused = entry.state == "disabled" and entry.reason == KEY_REFUSED
        if is_refused and self._given_up.get(name) != entry.epoch and self._can_ask(name):
            self._pauses[name] = -inf
            return True
        return self._pauses.pop(name, None) is not None

    def _can_ask(self, name: str) -> bool:
        account = self._probes.account(name)
        if account is None or account.key is None or not account.auto_reenable:
            return False
        return self._checks[account.upstream] is not None

    def _give_up(self, lease: Lease) -> None:
        """Leave an account to requests, until it becomes disabled anew."""
        name, (_, epoch, _) = lease.candidate.account.id, lease.epochs
        self._given_up[name] = epoch
        self._pauses.pop(name, None)

    # --- the task -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._pauses:
            self._news = anyio.Event()
            now = anyio.current_time()
            waits = {name: max(self._probes.due_in_s(name), until - now) for name, until in self._pauses.items()}
            due = [name for name, wait_s in waits.items() if wait_s <= 0][:AT_ONCE]
            if not due:
                with anyio.move_on_after(min(LOOK_AGAIN_S, *waits.values())):
                    await self._news.wait()
                continue
            async with anyio.create_task_group() as group:
                for name in due:
                    group.start_soon(self._probe, name)

    async def _probe(self, name: str) -> None:
        """Take the probe of an account, and give it back whatever comes."""
        lease = self._probes.take(name)
        if lease is None:
            return
        pause_s = LOST_PROBE_S
        try:
            if self._fleet is None or await self._fleet.admit_probe(lease) is None:
                await self._find_out(lease)
            else:
                pause_s = PROBE_LEASE_S  # somebody else finds out, and tells
        except Exception as exc:  # a mistake of ours about one account is none of the others'
            _log.error("account %s was not probed, because the gateway failed:\n%s", name, stack_of(exc))
            self._give_up(lease)
        finally:
            self._probes.put_back(lease)
            if self._fleet is not None:
                self._fleet.leave_probe(lease)
            if name in self._pauses:
                self._pauses[name] = anyio.current_time() + pause_s

    async def _find_out(self, lease: Lease) -> None:
        """Ask, and report what the answer says of the key."""
        answer: GatewayError | None = Timeout("Nobody answered in time.")
        with anyio.move_on_after(PROBE_S):
            answer = await self._objection(lease.candidate.account)
        match answer:
            case None:
                self._probes.opened(lease)
            case QuotaExhausted() | KeyRefused(is_origin_wide=False):
                self._probes.refused(lease, answer)
            case Refused():
                self._give_up(lease)
            case _:
                self._probes.postpone(lease)

    async def _objection(self, account: Account) -> GatewayError | None:
        """Return what keeps a key from being good; None: it is answered, and without it nobody is."""
        way, check = self._upstreams[account.upstream], self._checks[account.upstream]
        assert check is not None
        assert account.key is not None
        try:
            error = await self._ask(way, check, await account.key.current())
            if error is not None:
                return error
            stranger = await self._ask(way, check, None)
        except (UpstreamError, CapacityError) as exc:
            return exc
        match stranger:
            case None:
                return Refused("Everybody is answered, with or without a key.")
            case Refused() | KeyRefused(is_origin_wide=False):
                return None
            case _:
                return stranger

    async def _ask(self, way: Way, check: HTTPCall, key: Secret | None) -> UpstreamError | None:
        """Return what the answer to a check objects; None: nothing. Its body is of no interest."""
        request = build(check, base_url=way.base_url, profile=way.profile, key=key, limits=way.limits)
        response = await self._clients.client(way.name).open(request)
        try:
            return await judge(response, way.codec, self._wall_now())
        finally:
            with anyio.CancelScope(shield=True):
                await response.close()


def _tell_failure(error: BaseException) -> None:
    """Log what ended the task; the next request that comes, or account that is disabled, starts another."""
    _log.error("the prober ended, because the gateway failed:\n%s", stack_of(error))
