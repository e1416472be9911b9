"""The status route: shows a gateway to its operator, and lets accounts be steered by hand.

It is there only where the configuration has ``[status] key``. Under ``{prefix}/status``:

* ``GET`` of ``/status``: the `Snapshot` as JSON.
* ``POST`` to ``/status/accounts/UPSTREAM/LABEL/WORD`` (``disable``, ``enable``, ``reset``): does that, and returns the
  account after it as JSON. No body is read.
* ``GET`` of ``/status/health``, if ``[status] health``: without a key, whether the gateway is ready; 503 if it is not.

Whoever has not the key learns nothing: not which of these paths there are, nor why it was refused. Only the header
``Authorization`` counts, so that no page of a browser comes in by a cookie, and none of another origin at all.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec
from starlette.types import Scope, Send

from ..auth import is_bearer_of
from ..config.values import StatusConfig
from ..errors import GatewayError, MethodNotAllowed, Unauthenticated, UnknownRoute
from ..pool.model import Override
from ..routing import is_smuggled
from ..serving import answer_headers
from ..serving.engine import Engine
from ..serving.inbound import ClientGone, judge_head
from ..serving.reply import Reply
from .snapshot import AccountView, Snapshot, StateKind
from .taking import take

_log = logging.getLogger("asgi_ds2api.status")

ROOT: Final = "/status"
HEALTH: Final = "/status/health"
ACCOUNTS: Final = "/status/accounts/"
WORDS: Final[dict[str, Override]] = {word: word for word in get_args(Override)}
_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"), *answer_headers.COMMON)


class StatusApp:
    """The route of one gateway.

    Args:
        config: Whose key opens it.
        engine: Returns what is shown and steered.
        kind: Where state is kept.
    """

    def __init__(self, config: StatusConfig, engine: Callable[[], Engine], kind: StateKind) -> None:
        self._config = config
        self._engine = engine
        self._kind = kind

    def owns(self, path: str) -> bool:
        """Tell whether a path, after the prefix, is one of these."""
        return path == ROOT or path.startswith(f"{ROOT}/")

    async def serve(self, scope: Scope, send: Send, path: str) -> None:
        """Answer one request.

        Args:
            scope: Of type ``http``.
            send: The server's.
            path: Decoded, after the prefix.
        """
        reply = Reply(send, is_head=scope["method"] == "HEAD")
        try:
            status, body = await self._answer(scope, path)
            await reply.whole(status, _HEADERS, msgspec.json.encode(body))
        except GatewayError as error:
            await self._refuse(reply, error)
        except ClientGone:
            return

    async def _answer(self, scope: Scope, path: str) -> tuple[int, Any]:
        """Return the status and what the body is made of."""
        judge_head(scope, self._engine().inbound)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        is_clean = not is_smuggled(scope.get("raw_path"))
        if self._config.has_health and path == HEALTH and is_clean:
            _check_method(method, "GET")
            return await self._health()
        if not is_bearer_of(scope["headers"], self._config.key):
            raise Unauthenticated("This needs the key of the status route.")
        if path == ROOT and is_clean:
            _check_method(method, "GET")
            return 200, await self._snapshot()
        account, word = _named(path)
        if word is None or not is_clean:
            raise UnknownRoute("There is no such path here.")
        _check_method(method, "POST")
        return 200, await self._carry_out(account, word)

    async def _health(self) -> tuple[int, Any]:
        seen = await self._snapshot()
        told = {"live": True, "ready": seen.is_ready, "degraded": seen.state.is_alone}
        return 200 if seen.is_ready else 503, told

    async def _snapshot(self) -> Snapshot:
        engine = self._engine()
        await engine.store.open()  # a process that served nothing yet has heard of no other
        return take(engine, self._kind)

    async def _carry_out(self, account: str, word: Override) -> AccountView:
        """Do what is asked, and return when others can know."""
        engine = self._engine()
        await engine.store.open()
        engine.pool.override(account, word)
        _log.warning("by hand: %s %s", word, account)
        await engine.store.settled()
        return next(view for view in (await self._snapshot()).accounts if view.account == account)

    async def _refuse(self, reply: Reply, error: GatewayError) -> None:
        _log.info("refused: %s", error.code)
        headers = [*_HEADERS]
        if isinstance(error, MethodNotAllowed):
            headers.append((b"allow", ", ".join(error.allow).encode("ascii")))
        if isinstance(error, Unauthenticated):
            headers.append((b"www-authenticate", b"Bearer"))
        body = {"error": {"code": error.code, "message": str(error)}}
        try:
            await reply.whole(error.status, headers, msgspec.json.encode(body))
        except ClientGone:
            return


def _named(path: str) -> tuple[str, Override | None]:
    """Return the account and the word that a path names; no word if it names none."""
    parts = path.removeprefix(ACCOUNTS).split("/") if path.startswith(ACCOUNTS) else []
    if len(parts) != 3:
        return "", None
    upstream, label, word = parts
    return f"{upstream}/{label}", WORDS.get(word)


def _check_method(method: str, allowed: str) -> None:
    if method != allowed:
        allow = ["GET", "HEAD"] if allowed == "GET" else [allowed]
        raise MethodNotAllowed(f"This path takes {' and '.join(allow)} only.", allow=allow)
