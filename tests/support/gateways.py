"""Gateways for tests: in front of upstreams in memory, or of any URL on the loopback interface.

Two upstreams are usual: ``chat`` speaks OpenAI Chat, ``claude`` speaks Anthropic Messages. The model ``gpt-test`` is
served by the first, ``claude-test`` by the second; ``chat/NAME`` and ``claude/NAME`` reach any other model.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asgi_ds2api.assembly import build_engine
from asgi_ds2api.auth import Authorize
from asgi_ds2api.codec import Codec
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.observe import Observer, Record
from asgi_ds2api.protocols import PROTOCOLS as PROTOCOL_TABLE
from asgi_ds2api.secret import Secret
from asgi_ds2api.state.contract import StateStore

from .canary import CANARY
from .scripted_client import ScriptedClients, ScriptedUpstream
from .waiting import WAIT_S

CALLER_KEY = "caller-key-of-the-tests-0001"
SECRET = Secret("seal-of-the-tests-0123456789")
"""Signs what clients carry."""

PROTOCOLS = {
    "chat": "openai_chat",
    "responses": "openai_responses",
    "claude": "anthropic_messages",
    "gemini": "gemini_generate",
    "ollama": "ollama_chat",
}
MODELS = {"chat": ["gpt-test"], "claude": ["claude-test"]}


class Records(list[Record]):
    """An observer that keeps what it is told, also when a server in another thread tells it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def on_record(self, record: Record) -> None:
        """Keep it."""
        with self._changed:
            self.append(record)
            self._changed.notify_all()

    def wait(self, count: int) -> "Records":
        """Wait until so many came: a Record is told after the answer went out."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self) >= count, WAIT_S), f"{len(self)} records came"
        return self


def upstream(
    name: str, *, url: str = "http://127.0.0.1:9", accounts: int = 1, profile: Any = None, **fields: Any
) -> dict[str, Any]:
    """Return the configuration of an upstream; ``name`` is a key of `PROTOCOLS`, or ``protocol`` is given."""
    table: dict[str, Any] = {
        "name": name,
        "protocol": PROTOCOLS.get(name),
        "base_url": f"{url}/v1" if PROTOCOLS.get(name, "").startswith("openai_") else url,
        "accounts": [{"label": f"a{number}", "key": Secret(f"{CANARY}-{number}")} for number in range(accounts)],
        "models": MODELS.get(name),
        **fields,
    }
    if profile is not None:
        table["profile"] = profile
    return {key: value for key, value in table.items() if value is not None}


def make_gateway(
    *upstreams: Mapping[str, Any],
    scripts: Mapping[str, ScriptedUpstream] | None = None,
    authorize: Authorize | None = None,
    hooks: Sequence[Observer] = (),
    now: Callable[[], float] | None = None,
    store: StateStore | None = None,
    protocols: Mapping[str, Codec] = PROTOCOL_TABLE,
    **config: Any,
) -> Gateway:
    """Return a gateway that everybody may use, unless ``auth`` or ``callers`` say otherwise.

    Args:
        upstreams: As `upstream` makes them; by default one for each name in ``scripts``.
        scripts: Name of an upstream -> what answers in its place, without sockets.
        authorize: The host's check.
        hooks: Observers.
        now: The pool's clock; by default that of the running event loop, so that virtual time rules cooldowns too.
        store: Where short-lived facts are kept; by default the gateway's own memory.
        protocols: What callers and upstreams may speak.
        config: More top-level keys.
    """
    tables = list(upstreams) or [upstream(name) for name in scripts or ()]
    whole: dict[str, Any] = {"auth": "none", "secret": SECRET, "upstreams": tables}
    gateway = Gateway({**whole, **config}, authorize=authorize, hooks=hooks, protocols=protocols)
    clients = gateway._clients if scripts is None else ScriptedClients(scripts)
    gateway._engine = build_engine(
        gateway.config,
        clients,
        authorize=authorize,
        hooks=hooks,
        store=store,
        now=now or loop_time,
        rng=lambda: 0.5,
    )
    return gateway


def loop_time() -> float:
    """Return the time of the running event loop, in seconds; outside of one, that of the machine."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


def open_leases(gateway: Gateway) -> int:
    """Return how many slots are taken at this moment."""
    return sum(account.in_flight for account in gateway._engine.pool.snapshot().accounts)
