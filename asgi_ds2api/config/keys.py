"""Where secrets come from: the environment, files, and the application's own code.

* ``env:NAME`` is read once, when the configuration is.
* ``file:PATH`` of an account is looked at before every attempt (one ``stat``) and read again when it changed. A file
  that cannot be read any more, or holds no key, changes nothing: the last good key stays, and the log says so once.
  Callers' keys and the sealing secret are read once.
* A function of the application (only in a mapping, never in TOML) is called before every attempt.

A secret itself never stands in a configuration. No message here quotes a value: neither that of a secret nor that of
what somebody wrote where the name of one belongs.
"""

import inspect
import logging
import os
import re
import stat
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol, TypeAlias, TypeVar, cast

import anyio
from msgspec import Meta

from ..errors import UpstreamError
from ..scrub import scrub
from ..secret import KeyDigest, KeySource, Secret, flaw_of
from . import texts
from .reading import Flaw, Reading, kind_of
from .texts import proxy_url

T = TypeVar("T")
Provided: TypeAlias = str | Secret
Provider: TypeAlias = Callable[[], Provided | Awaitable[Provided]]
"""The application's own source of a key. It is called before every attempt and caches by itself."""

PROVIDER_S: Final = 10.0
"""Bound of one call of a provider: a token service that takes longer is down, and another account may be free."""
MAX_FILE_BYTES: Final = 65_536

_log = logging.getLogger("asgi_ds2api.keys")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PUBLIC_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""What a variable is called by everybody; another spelling may be a key in the wrong place."""
_Kind = Literal["env", "file", "sha256"]
HOW: Final = 'put it into an environment variable and write "env:NAME", or into a file and write "file:PATH"'


Customer: TypeAlias = Annotated[
    Annotated[str, Meta(pattern=texts.NAME, extra={"check": texts.name})] | None,
    Meta(
        description="The vendor's customer (organisation, project) whose key it is. Reasoning that the vendor encrypts "
        "for one goes to all accounts of this upstream that are his. Of an upstream: of each of its accounts, unless "
        "the account has its own. Default: each account is of another customer.",
        examples=["acme"],
    ),
]


class AccountKey(KeySource, Protocol):
    """The source of an account's key."""

    @property
    def known(self) -> Secret | None:
        """The key as far as it is known without asking: tells apart what is configured twice."""
        ...

    @property
    def name(self) -> str | None:
        """What the source itself is called: a variable, a file."""
        ...


class FixedKey:
    """A key that stays as it is while this configuration is used.

    Args:
        secret: The key.
        name: Of the environment variable that it was found in, if it was.
    """

    def __init__(self, secret: Secret, name: str | None = None) -> None:
        self.known = secret
        self.name = name

    def __repr__(self) -> str:
        return f"FixedKey({self.name or '***'})"

    async def current(self) -> Secret:
        """Return the key."""
        return self.known


class FileKey:
    """A key in a file, read again when the file changes: secrets mounted into containers are rotated in this way.

    Args:
        path: A regular file. Replace it whole (rename another one over it), so that nobody reads half a key.

    Raises:
        Flaw: There is no usable key now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen, text = _read_file(path)
        self.known = secret_of(text)
        self.name = path.name
        self._good = self._seen
        self._complaint = ""

    def __repr__(self) -> str:
        return f"FileKey({scrub(str(self._path))})"

    async def current(self) -> Secret:
        """Return the key as the file has it, or the last good one."""
        try:
            if _stamp(_stat(self._path)) != self._seen:
                self._seen, text = _read_file(self._path)
                self.known = secret_of(text)
                self._good = self._seen
            if self._seen == self._good:
                self._complain("")
        except Flaw as flaw:
            self._complain(flaw.what)
        return self.known

    def _complain(self, complaint: str) -> None:
        """Log a change for the worse or the better, not every attempt in between."""
        if complaint == self._complaint:
            return
        self._complaint = complaint
        if complaint:
            _log.warning("the key file %s %s; the last good key stays in use", scrub(str(self._path)), complaint)
        else:
            _log.info("the key file %s is usable again", scrub(str(self._path)))


class ProvidedKey:
    """A key that the application gives, plain or awaitable."""

    known: Final = None
    name: Final = None

    def __init__(self, provider: Provider, timeout_s: float = PROVIDER_S) -> None:
        self._provider = provider
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return "ProvidedKey()"

    async def current(self) -> Secret:
        """Return what the application says.

        Raises:
            UpstreamError: ``key_unavailable``: it raised, took too long, or gave something else than a key.
        """
        try:
            with anyio.fail_after(self._timeout_s):
                value: object = self._provider()
                if inspect.isawaitable(value):
                    value = await value
        except Exception as exc:
            # The application's own code: whatever it raises, another account may have its key.
            _log.error("a key provider raised %s", type(exc).__name__)
            raise _unavailable() from None
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or flaw_of(value.strip()):
            _log.error("a key provider gave something that is no key")
            raise _unavailable()
        return Secret(value)


def _unavailable() -> UpstreamError:
    return UpstreamError("The gateway has no key for the upstream at present.", code="key_unavailable")


# --- reading ----------------------------------------------------------------------------------------------------------


def account_key(raw: object, reading: Reading, _at: str) -> AccountKey:
    """Return the source of an account's key."""
    if isinstance(raw, Secret):
        return FixedKey(raw)
    if callable(raw):
        return ProvidedKey(cast("Provider", raw))
    kind, rest = _reference(raw, ("env", "file"))
    return FixedKey(_variable(rest, reading), rest) if kind == "env" else of_file(rest, reading, FileKey)


def caller_key(raw: object, reading: Reading, _at: str) -> KeyDigest:
    """Return the digest of a caller's key."""
    if isinstance(raw, str) and raw.startswith("sha256:"):
        try:
            return KeyDigest(raw.removeprefix("sha256:"))
        except ValueError:
            raise Flaw('is no digest: "sha256:" is not followed by 64 hexadecimal digits', _DIGEST_HOW) from None
    return KeyDigest.of(_strong(read_now(raw, reading, ("env", "file", "sha256"))))


def seal_secret(raw: object, reading: Reading, _at: str) -> Secret:
    """Return a secret that seals what clients carry."""
    return _strong(read_now(raw, reading, ("env", "file")))


def proxy_secret(raw: object, reading: Reading, _at: str) -> Secret:
    """Return the URL of a proxy; with a password in it, it is a secret like any other."""
    is_literal = isinstance(raw, str) and not raw.startswith(("env:", "file:"))
    secret = secret_of(str(raw)) if is_literal else read_now(raw, reading, ("env", "file"))
    parts = proxy_url(secret.reveal())
    if is_literal and "@" in parts.netloc:
        raise Flaw("holds a user name or a password", HOW)
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise Flaw("is a SOCKS proxy, which needs a package that is not installed", 'install "httpx[socks]"')
    return secret


def readable_file(raw: object, reading: Reading, _at: str) -> str:
    """Return the absolute path of a file that can be read."""
    if not isinstance(raw, str):
        raise Flaw(f"is {kind_of(raw)}", "write the path of a file")
    return of_file(raw, reading, _readable)


_DIGEST_HOW: Final = 'make one: printf %s "$KEY" | sha256sum'


def read_now(raw: object, reading: Reading, kinds: tuple[_Kind, ...]) -> Secret:
    """Return a secret that is read once, from one of these kinds of sources."""
    if isinstance(raw, Secret):
        return raw
    if callable(raw):
        raise Flaw("is a function, and this one is read once, when the gateway starts", HOW)
    kind, rest = _reference(raw, kinds)
    return _variable(rest, reading) if kind == "env" else of_file(rest, reading, _secret_in)


def _reference(raw: object, kinds: tuple[_Kind, ...]) -> tuple[_Kind, str]:
    if not isinstance(raw, str):
        raise Flaw(f"is {kind_of(raw)}", HOW)
    kind, colon, rest = raw.partition(":")
    found = next((known for known in kinds if colon and known == kind), None)
    if found is not None:
        return found, rest
    if kind == "sha256":
        raise Flaw("is a digest, from which no key can be made", HOW)
    raise Flaw("looks like the secret itself, which may not stand here" if raw else "is empty", HOW)


def _variable(name: str, reading: Reading) -> Secret:
    if not _VARIABLE.fullmatch(name):
        raise Flaw('has no name of an environment variable after "env:"', 'write it as in "env:OPENAI_API_KEY"')
    value = reading.environ.get(name)
    shown = name if _PUBLIC_NAME.fullmatch(name) and scrub(name) == name else "that it names"
    if value is None:
        raise Flaw(f"the environment variable {shown} is not set", "set it, or take this entry out")
    if flaw := flaw_of(value.strip()):
        raise Flaw(f"the environment variable {shown} {flaw}", "set it to the key alone")
    return Secret(value)


def _strong(secret: Secret) -> Secret:
    if weakness := secret.weakness():
        raise Flaw(f"its value {weakness}", "make one: openssl rand -hex 32")
    return secret


def secret_of(text: str) -> Secret:
    """Return what a variable or a file holds as a secret."""
    if flaw := flaw_of(text.strip()):
        raise Flaw(flaw, "it must hold the key alone, in one line")
    return Secret(text)


# --- files ------------------------------------------------------------------------------------------------------------


def of_file(text: str, reading: Reading, make: Callable[[Path], T]) -> T:
    """Make something of a file; a relative path starts from the configuration's own directory."""
    if not text or not text.isprintable():
        raise Flaw("names no file", "write the path of a file")
    path = reading.base_dir / text
    try:
        return make(path)
    except Flaw as flaw:
        raise Flaw(f"the file {scrub(str(path))} {flaw.what}", flaw.mend) from None


def _secret_in(path: Path) -> Secret:
    return secret_of(_read_file(path)[1])


def _readable(path: Path) -> str:
    _read_file(path, max_bytes=0)
    return str(path)


def _read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> tuple[tuple[int, int, int], str]:
    """Return what tells a changed file from this one, and the text.

    Raises:
        Flaw: It cannot be read, or is something that reading could wait on for ever.
    """
    if not stat.S_ISREG(_stat(path).st_mode):
        raise Flaw("is not a regular file", "name a file that holds the text")
    try:
        with path.open("rb") as file:
            return _stamp(os.fstat(file.fileno())), file.read(max_bytes).decode("latin-1")
    except OSError as exc:
        raise unreadable(exc) from None


def _stat(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as exc:
        raise unreadable(exc) from None


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_ino, found.st_size


def unreadable(exc: OSError) -> Flaw:
    """Return why a file cannot be read."""
    if isinstance(exc, FileNotFoundError):
        return Flaw("does not exist", "check its path")
    return Flaw(f"cannot be read ({type(exc).__name__})", "check its path and its permissions")
