"""A gateway with a status route, in front of one upstream in memory; and who may do what."""

from collections.abc import Mapping
from typing import Any

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.state.contract import StateStore
from asgi_ds2api.status.snapshot import Snapshot
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import Script, ScriptedUpstream

STATUS_KEY = "the-status-key-of-tests"
CALLER_KEY = "the-key-of-bob-0123"
WALL = 1_790_000_000.0
"""2026-09-21 13:33:20 UTC."""


class House:
    """The gateway.

    Args:
        scripts: What its upstream ``chat`` answers.
        accounts: How many accounts it has.
        status: The table ``[status]``; None: there is none.
        store: As of `Gateway`.
        limits: Of the one caller, bob.
        config: More top-level keys.
    """

    def __init__(
        self,
        *scripts: Script,
        accounts: int = 2,
        status: Mapping[str, Any] | None = {"key": Secret(STATUS_KEY)},
        store: StateStore | None = None,
        limits: Mapping[str, float] | None = None,
        **config: Any,
    ) -> None:
        self.upstream = ScriptedUpstream(*scripts)
        if status is not None:
            config["status"] = status
        self.gateway: Gateway = make_gateway(
            upstream("chat", accounts=accounts),
            scripts={"chat": self.upstream},
            store=store,
            auth="callers",
            callers=[{"label": "bob", "key": Secret(CALLER_KEY), **(limits or {})}],
            **config,
        )
        self.gateway._engine.wall_now = lambda: WALL

    async def ask(self, key: str = CALLER_KEY, **fields: Any) -> Answer:
        """Ask a model."""
        body = {"model": "chat/m", "messages": [{"role": "user", "content": "Hi"}], **fields}
        return await call(self.gateway, "POST", "/v1/chat/completions", json=body, headers=bearer(key))

    async def look(self, method: str = "GET", path: str = "/status", key: str = STATUS_KEY) -> Answer:
        """Ask the status route."""
        return await call(self.gateway, method, path, headers=bearer(key))

    def snapshot(self) -> Snapshot:
        """Return what the application sees."""
        return self.gateway.snapshot()


def bearer(key: str) -> Mapping[str, str]:
    """Return the headers of who has a key."""
    return {"authorization": f"Bearer {key}"}
