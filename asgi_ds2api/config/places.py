"""Where state is kept: in this process, in a file, on a server. What a server is called may hold a password."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import msgspec

from ..secret import Secret
from ..state.backend import BackendError
from .keys import HOW, of_file, read_now, secret_of
from .reading import Flaw, Reading, text_of

REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})


class StatePlace(msgspec.Struct, frozen=True, kw_only=True):
    """A place for state."""

    kind: Literal["memory", "sqlite", "redis"] = "memory"
    path: str = ""
    """Of ``sqlite``: absolute."""
    url: Secret | None = None
    """Of ``redis``."""


def state_place(raw: object, reading: Reading, _at: str) -> StatePlace:
    """Return where state is kept."""
    if isinstance(raw, Secret):
        return StatePlace(kind="redis", url=_redis_url(raw))
    if raw == "memory":
        return StatePlace()
    kind, _, rest = text_of(raw).partition(":")
    if kind == "sqlite" and not rest:
        raise Flaw("names no file", 'write "sqlite:PATH"')
    if kind == "sqlite":
        return StatePlace(kind="sqlite", path=of_file(rest, reading, _writable))
    if kind in REDIS_SCHEMES:
        url = _redis_url(secret_of(str(raw)))
        if "@" in rest:
            raise Flaw("holds a user name or a password", HOW)
        return StatePlace(kind="redis", url=url)
    if kind in ("env", "file"):
        return StatePlace(kind="redis", url=_redis_url(read_now(raw, reading, ("env", "file"))))
    raise Flaw(
        "names no place that is known", 'write "memory", "sqlite:PATH", or where a Redis server is: "redis://..."'
    )


def _redis_url(url: Secret) -> Secret:
    scheme, colon, rest = url.reveal().partition("://")
    if scheme not in REDIS_SCHEMES or not colon or not rest:
        raise Flaw("is no address of a Redis server", 'write it as in "redis://127.0.0.1:6379/0"')
    if find_spec("redis") is None:
        raise Flaw("needs a package that is not installed", 'pip install "redis>=5.2"')
    from ..state.redis import client_of

    try:
        client_of(url)
    except BackendError as error:
        raise Flaw(
            f"is no address that can be used ({error})",
            'write it as in "redis://127.0.0.1:6379/0", with no option but those of the Python client of Redis',
        ) from None
    return url


def _writable(path: Path) -> str:
    """Return the absolute path of a file that is there and can be written, or can be made."""
    folder = path.absolute().parent
    if path.is_dir():
        raise Flaw("is a folder", "name a file in it")
    if not folder.is_dir():
        raise Flaw("is in a folder that does not exist", "make the folder, or name another one")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise Flaw("cannot be written", "check its permissions")
    return str(path.absolute())
