"""A gateway in virtual time whose accounts are disabled by a word, and what its prober asks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from asgi_ds2api.errors import QuotaExhausted, UpstreamError
from asgi_ds2api.pool.model import AccountStatus, Target
from asgi_ds2api.serving.prober import Prober
from asgi_ds2api.state.contract import StateStore
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.upstream.contract import UpstreamRequest
from tests.pool.verdicts import unauthorized
from tests.support.gateways import loop_time, make_gateway, upstream
from tests.support.scripted_client import Answering, Script, ScriptedUpstream, answering
from tests.support.virtual_time import PROBER

GOOD = answering({"data": []})
BAD = answering({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, status=401)
FAILS = answering({"error": {"message": "oops"}}, status=500)


def knows(*answers: Answering) -> Callable[[UpstreamRequest], Script]:
    """Return a server that refuses who shows no key, and gives the others these answers in turn, then 200."""
    rest = list(answers)
    return lambda request: (rest.pop(0) if rest else GOOD) if shows_key(request) else BAD


def shows_key(request: UpstreamRequest) -> bool:
    """Tell whether a request carries a credential."""
    return bool({name for name, _ in request.headers} & {b"authorization", b"x-api-key", b"x-goog-api-key"})


class SharedMemory(MemoryStore):
    """A store that several gateways of one test share."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__(loop_time)

    @property
    def holders(self) -> Sequence[str]:
        """Who holds a probe or a place."""
        return tuple(self._ledger._held_by)


class House:
    """The gateway.

    Args:
        answers: What its one upstream does: a script for each call, or a function of the request.
        name: Of the upstream, which says what it speaks.
        accounts: How many keys it has.
        store: As of `Gateway`.
        fields: More keys of the upstream; None takes one out.
        config: More top-level keys.
    """

    def __init__(
        self,
        *answers: Script | Callable[[UpstreamRequest], Script],
        name: str = "chat",
        accounts: int = 1,
        store: StateStore | None = None,
        fields: dict[str, Any] | None = None,
        **config: Any,
    ) -> None:
        self.name = name
        self._times: list[float] = []
        self.upstream = ScriptedUpstream.by_request(self._script_of(*answers))
        table = {**upstream(name, accounts=accounts), **(fields or {})}
        self.gateway = make_gateway(
            {key: value for key, value in table.items() if value is not None},
            scripts={name: self.upstream},
            store=store,
            **config,
        )
        self.pool = self.gateway._engine.pool
        self.prober: Prober = self.gateway._engine.prober
        self.began = anyio.current_time()

    def _script_of(self, *answers: Script | Callable[[UpstreamRequest], Script]) -> Callable[[UpstreamRequest], Script]:
        rest = list(answers)

        def script(request: UpstreamRequest) -> Script:
            self._times.append(anyio.current_time() - self.began)
            if rest and callable(rest[0]):
                return rest[0](request)
            answer = rest.pop(0)
            assert not callable(answer)
            return answer

        return script

    def refuse(self, account: int = 0, error: UpstreamError | None = None, *, label: str | None = None) -> None:
        """Let a request to an account be refused: its key, unless ``error`` says otherwise."""
        allowed = [f"{self.name}/{label or f'a{account}'}"]
        plan = self.pool.plan([Target(upstream=self.name, model="m")], allowed=allowed)
        self.pool.release(self.pool.acquire(plan), error or unauthorized(is_key_invalid=True))

    def spend(self, account: int = 0) -> None:
        """Let an account have no money left."""
        self.refuse(account, QuotaExhausted("spent"))

    async def at(self, seconds: float) -> None:
        """Sleep until so many seconds after the start."""
        await anyio.sleep(self.began + seconds - anyio.current_time())  # virtual

    @property
    def asked(self) -> list[float]:
        """When a key was shown to the upstream, in seconds from the start."""
        return [time for time, call in zip(self._times, self.upstream.calls, strict=True) if shows_key(call.request)]

    @property
    def accounts(self) -> Sequence[AccountStatus]:
        return self.pool.snapshot().accounts

    @property
    def states(self) -> list[str]:
        return [account.state for account in self.accounts]

    @property
    def is_ready(self) -> bool:
        ready: bool = self.gateway.status()["ready"]
        return ready


def probers() -> list[str]:
    """Return the names of the tasks that probe."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == PROBER]
