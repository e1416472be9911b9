"""The configuration of a gateway: found, read, checked as a whole, settled.

Every way in leads through the same strict tables (``tables``), so a mapping, a file and the environment cannot mean
different things. A configuration that is not perfect is no configuration: all problems come in one `ConfigError`.
"""

import os
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

import msgspec

from ..codec import Codec
from ..envelope import OnUnsupported
from ..errors import ConfigError
from ..prices import Price
from ..protocols import PROTOCOLS
from ..secret import Secret
from ..workers import alone
from . import environment, settling
from .keys import unreadable
from .limits import Limits, Timeouts
from .places import StatePlace
from .prefixes import Words
from .reading import Environment, Reading, problem_line, read_table
from .tables import AuthMode, ConfigTable, Strategy
from .texts import is_in_the_clear
from .values import CallerConfig, ModelAlias, StatusConfig, UpstreamConfig

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
_POSITION: Final = re.compile(r"\(at (line \d+, column \d+|end of document)\)")
_STRAYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(ConfigTable.__struct_fields__, "it is a key of the whole: write it above the first [table]"),
    **dict.fromkeys(Limits.__struct_fields__, "it belongs into the table [limits]"),
    **dict.fromkeys(Timeouts.__struct_fields__, "it belongs into the table [timeouts]"),
}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a `Gateway` is told. Made by `load`, `from_dict`, `from_env` or `find`; its repr shows no secret.

    ``has_authorize`` of these tells whether the application says who a request comes from; None: nobody knows, as when
    a file is only checked. ``protocols`` are what upstreams may speak, by name; a gateway of this configuration has
    their faces.
    """

    source: str
    """Where it came from, for people."""
    prefix: tuple[str, ...]
    auth: AuthMode
    on_unsupported: OnUnsupported
    prefixes: Words
    secrets: tuple[Secret, ...]
    """The first seals, all open; at least one."""
    state: StatePlace
    state_pool: str
    workers: int
    strict_budgets: bool
    strategy: Strategy
    auto_reenable: bool
    debug_headers: bool
    route_headers: bool
    cors_origins: tuple[str, ...]
    query_key: bool
    upstreams: tuple[UpstreamConfig, ...]
    models: tuple[ModelAlias, ...]
    callers: tuple[CallerConfig, ...]
    prices: tuple[Price, ...]
    status: StatusConfig | None
    """None: there is no status route."""
    limits: Limits
    timeouts: Timeouts
    notes: tuple[str, ...]
    """What `warnings` returns, but for what the number of workers makes of it."""
    protocols: Mapping[str, Codec]
    """What upstreams may speak, by name."""

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        environ: Mapping[str, str] | None = None,
        *,
        has_authorize: bool | None = None,
        protocols: Mapping[str, Codec] = PROTOCOLS,
    ) -> "Config":
        """Read a TOML file. Relative paths in it start from its own directory.

        Args:
            path: Of the file.
            environ: Where ``env:NAME`` looks; by default the environment of the process.
            has_authorize: See the class.
            protocols: See the class.

        Raises:
            ConfigError: Lists every problem.
        """
        environ = Environment(os.environ if environ is None else environ)
        reading = Reading(environ, Path(path).absolute().parent, strays=_STRAYS, protocols=protocols)
        table = _table_in(Path(path), reading)
        if table is None:
            raise ConfigError(reading.problems)
        return cls._settle(table, reading, os.fspath(path), has_authorize, protocols)

    @classmethod
    def from_dict(
        cls,
        mapping: Mapping[str, object],
        environ: Mapping[str, str] | None = None,
        *,
        has_authorize: bool | None = None,
        protocols: Mapping[str, Codec] = PROTOCOLS,
    ) -> "Config":
        """Take a mapping of the same shape as the file. Relative paths in it start from the working directory.

        Where a file has ``env:`` or ``file:``, it may also hold a `Secret`, and as an account's key a function that
        returns one, or its text, at once or to be awaited.

        Raises:
            ConfigError: Lists every problem.
        """
        environ = Environment(os.environ if environ is None else environ)
        reading = Reading(environ, Path.cwd(), strays=_STRAYS, protocols=protocols)
        table = read_table(ConfigTable, mapping, reading)
        return cls._settle(table, reading, "mapping", has_authorize, protocols)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        has_authorize: bool | None = None,
        protocols: Mapping[str, Codec] = PROTOCOLS,
    ) -> "Config":
        """Make a configuration of environment variables alone: well-known ``*_API_KEY``, and our own ``DS2API_*``.

        Raises:
            ConfigError: Lists every problem; the message says what to set.
        """
        environ = Environment(os.environ if environ is None else environ)
        mapping, places = environment.mapping_of(environ)
        reading = Reading(environ, Path.cwd(), places=places, protocols=protocols)
        table = read_table(ConfigTable, mapping, reading)
        notes = environment.strangers(environ)
        return cls._settle(table, reading, "environment", has_authorize, protocols, environment.ADVICE, notes)

    @classmethod
    def find(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        has_authorize: bool | None = None,
        protocols: Mapping[str, Codec] = PROTOCOLS,
    ) -> "Config":
        """Take the file that ``DS2API_CONFIG`` names, else ``./ds2api.toml``, else the environment.

        Raises:
            ConfigError: Lists every problem.
        """
        environ = Environment(os.environ if environ is None else environ)
        named = environ.get(environment.CONFIG_VARIABLE, "").strip()
        if named or Path(environment.CONFIG_FILE).exists():
            file = named or environment.CONFIG_FILE
            return cls.load(file, environ, has_authorize=has_authorize, protocols=protocols)
        return cls.from_env(environ, has_authorize=has_authorize, protocols=protocols)

    @classmethod
    def _settle(
        cls,
        table: ConfigTable,
        reading: Reading,
        source: str,
        has_authorize: bool | None,
        protocols: Mapping[str, Codec],
        advice: settling.Advice = settling.TOML_ADVICE,
        notes: Sequence[str] = (),
    ) -> "Config":
        settling.check(table, reading, has_authorize, advice)
        if reading.problems:
            raise ConfigError(reading.problems)
        auth = settling.auth_mode(table, has_authorize)
        upstreams = settling.upstreams_of(table, protocols)
        return cls(
            source=source,
            prefix=table.prefix,
            auth=auth,
            on_unsupported=table.on_unsupported,
            prefixes={row.path: row.on_unsupported for row in table.prefixes},
            secrets=table.secret or (Secret(secrets.token_hex(32)),),
            state=table.state,
            state_pool=table.state_pool,
            workers=table.workers,
            strict_budgets=table.strict_budgets,
            strategy=table.strategy,
            auto_reenable=table.auto_reenable,
            debug_headers=table.debug_headers,
            route_headers=table.route_headers,
            cors_origins=table.cors_origins,
            query_key=table.query_key,
            upstreams=upstreams,
            models=settling.models_of(table),
            callers=settling.callers_of(table),
            prices=settling.prices_of(table),
            status=settling.status_of(table),
            limits=table.limits,
            timeouts=table.timeouts,
            notes=(*notes, *_doubts(table, auth, upstreams, has_authorize)),
            protocols=protocols,
        )

    def check_authorize(self, *, has_authorize: bool) -> None:
        """Check against the application what nobody knew when this was loaded.

        Raises:
            ConfigError: The application should say who a request comes from, and does not.
        """
        if self.auth == "host" and not has_authorize:
            raise ConfigError([problem_line("auth", *settling.NO_AUTHORIZE)])

    def warnings(self) -> tuple[str, ...]:
        """Return what is allowed and may not be meant, one sentence each: to be logged once, at start."""
        is_alone = self.workers > 1 and self.state.kind == "memory"
        return (*self.notes, alone(self.workers)) if is_alone else self.notes


def _table_in(path: Path, reading: Reading) -> ConfigTable | None:
    """Read a file; its text is in no variable of a function that raises, as a traceback with locals would print it."""
    problem = None
    try:
        with path.open("rb") as file:
            raw = tomllib.loads(file.read(MAX_FILE_BYTES).decode("utf-8-sig"))
    except OSError as exc:
        flaw = unreadable(exc)
        problem = flaw.what, flaw.mend
    except UnicodeDecodeError:
        problem = "is not UTF-8", "save it as UTF-8"
    except tomllib.TOMLDecodeError as exc:
        position = _POSITION.search(str(exc))
        where = f" ({position[1]})" if position else ""
        problem = f"is not TOML{where}", "mend its syntax; texts stand in quotes, tables begin with [name]"
    if problem is not None:
        reading.problem(str(path), *problem)
        return None
    return read_table(ConfigTable, raw, reading)


def _doubts(
    table: ConfigTable, auth: AuthMode, upstreams: Sequence[UpstreamConfig], has_authorize: bool | None
) -> list[str]:  # fmt: skip
    """Return what is allowed and may not be meant."""
    doubts = []
    if auth == "none":
        doubts.append('auth = "none": everybody who can reach this gateway may use it, at your expense')
    if auth != "callers" and table.callers:
        doubts.append(f'callers are configured and not asked for, because of auth = "{auth}"')
    if auth != "host" and has_authorize:
        doubts.append(f'authorize= is given and never asked, because of auth = "{auth}"')
    if not table.secret:
        doubts.append(
            "no secret is configured, so a random one is used: what clients carry for the gateway will open neither "
            'after a restart nor on another worker; set secret = "env:DS2API_SECRET"'
        )
    for index, row in enumerate(table.prefixes):
        if row.path and row.path not in table.prefix:
            doubts.append(
                f"prefixes[{index}].path: is none of prefix, so it acts only where the application says so: a "
                "middleware with prefix=, or a mount; name it in prefix, too"
            )
    for index, upstream in enumerate(upstreams):
        if is_in_the_clear(upstream.base_url):
            doubts.append(
                f"upstreams[{index}].base_url: plain http to another machine: keys and prompts can be read on the way"
            )
        if upstream.strategy != "weighted" and any(account.weight != 1 for account in upstream.accounts):
            doubts.append(f'upstreams[{index}].accounts: weight acts only with strategy = "weighted"')
    return doubts
