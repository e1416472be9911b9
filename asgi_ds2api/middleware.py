"""Ours or the host's: nothing else is decided here.

What is the host's reaches it as the same three objects: no wrapper, no copy, no await before it, no try around it.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, get_args

from starlette.types import ASGIApp, Receive, Scope, Send

from .config import Config
from .envelope import OnUnsupported
from .gateway import Gateway
from .routing import after_prefix, route_path


class DS2APIMiddleware:
    """Gives any ASGI app an AI gateway under a prefix.

    Args:
        app: The host application.
        gateway: The engine. May be shared by several middlewares and mounts.
        config: In place of ``gateway``: whatever `Gateway` accepts.
        prefix: Where the gateway lives, ``/ai`` or several of them; by default what the configuration says.
        on_unsupported: What is to become of losses under this prefix: ``notice``, ``reject`` or ``drop``. By default
            what the configuration says: of this prefix, else of each upstream, else in general.

    Raises:
        ConfigError: The configuration cannot be used.
        TypeError: Both or neither of ``gateway`` and ``config`` were given, or what is none.
        ValueError: ``prefix`` or ``on_unsupported`` is none.
    """

    def __init__(
        self,
        app: ASGIApp,
        gateway: Gateway | None = None,
        *,
        config: Config | Mapping[str, Any] | str | PathLike[str] | None = None,
        prefix: str | Sequence[str] | None = None,
        on_unsupported: OnUnsupported | None = None,
    ) -> None:
        if (gateway is None) == (config is None):
            raise TypeError("give DS2APIMiddleware either gateway= or config=")
        if gateway is not None and not isinstance(gateway, Gateway):
            raise TypeError(f"gateway= takes a Gateway, not {type(gateway).__name__}: give a configuration as config=")
        if on_unsupported not in (None, *get_args(OnUnsupported)):
            raise ValueError(f"on_unsupported is one of {', '.join(get_args(OnUnsupported))}")
        if prefix is not None and not isinstance(prefix, Sequence):
            raise TypeError(f"prefix= takes '/ai', or a list of several, not {type(prefix).__name__}")
        self.app = app
        self.gateway = gateway if gateway is not None else Gateway(config)
        given = self.gateway.config.prefix if prefix is None else prefix
        self._prefixes = check_prefixes((given,) if isinstance(given, str) else tuple(given))
        configured = self.gateway.config.prefixes
        self._words = {prefix: on_unsupported or configured.get(prefix) for prefix in self._prefixes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] in ("http", "websocket"):
            whole = route_path(scope["path"], scope.get("root_path", ""))
            path = after_prefix(whole, self._prefixes)
            if path is not None:
                await self.gateway.serve(scope, receive, send, path, self._words[whole.removesuffix(path)])
                return
        await self.app(scope, receive, send)


def check_prefixes(prefixes: Sequence[str]) -> tuple[str, ...]:
    """Return the prefixes, longest first, so that a nested one is found.

    Raises:
        ValueError: A prefix is not an absolute path of plain segments.
    """
    for prefix in prefixes:
        if prefix in ("", "/"):
            raise ValueError(f"prefix {prefix!r} leaves the app no path: make the gateway the app, app = Gateway(...)")
        segments = prefix.split("/")
        if not prefix.startswith("/") or prefix.endswith("/") or not all(segments[1:]) or {".", ".."} & set(segments):
            raise ValueError(f"prefix {prefix!r} must look like '/ai': absolute, no trailing slash, no empty segment")
    return tuple(sorted(prefixes, key=len, reverse=True))
