"""The command line: ``asgi-ds2api check`` judges a configuration, ``asgi-ds2api serve`` runs the gateway alone,
``asgi-ds2api accounts`` and ``account`` ask a running one by its status route.

Exit codes: 0, all is well; 1, the configuration cannot be used, or the running gateway did not do it; 2, the command
itself cannot be carried out. Labels and names are printed, never a secret, nor anything made of one.
"""

import argparse
import copy
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from .config import Config, UpstreamConfig
from .config.environment import STATUS_VARIABLE
from .config.keys import read_now
from .config.reading import Flaw, Reading
from .config.texts import NAME, base_url, is_in_the_clear
from .errors import ConfigError
from .gateway import Gateway
from .pool.model import Override
from .secret import Secret
from .status.client import StatusClient, StatusError
from .status.lines import account_line, lines, table
from .upstream.tls import TLSContexts, TLSSettings

OK, UNUSABLE, MISUSED = 0, 1, 2
DEFAULT_URL: Final = "http://127.0.0.1:8000/ai"
DEFAULT_KEY: Final = f"env:{STATUS_VARIABLE}"
NO_KEY: Final = (
    f"set {STATUS_VARIABLE} to the key of the gateway's [status] table, or say where it is with --key env:NAME or "
    "--key file:PATH"
)
HELP: Final[Mapping[Override, str]] = {
    "disable": "ask it nothing more, not even as a probe, until it is enabled; running requests go on",
    "enable": "take a disable back",
    "reset": "forget its cooldowns and refusals, and those of its server; what was disabled by hand stays so",
}
NO_UVICORN: Final = "serve needs uvicorn, which is not installed here: pip install uvicorn httptools"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ``check`` found; as JSON with ``--json``."""

    usable: bool
    source: str
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    prefix: Sequence[str] = ()
    auth: str = ""
    upstreams: Sequence[dict[str, Any]] = ()
    models: Sequence[dict[str, Any]] = ()
    callers: Sequence[dict[str, Any]] = ()
    status: bool = False
    """There is a status route."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command and return the exit code.

    Args:
        arguments: Without the program's name; by default those of the process.
    """
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asgi-ds2api", description="An AI gateway inside your ASGI app, or alone.")
    parser.add_argument("--version", action="version", version=version("asgi-ds2api"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config", metavar="FILE", help="a TOML file; else what DS2API_CONFIG names, ./ds2api.toml, the environment"
    )
    check = commands.add_parser(
        "check", parents=[config], help="tell every problem of a configuration", allow_abbrev=False
    )
    check.add_argument("--json", action="store_true", help="for programs")
    check.set_defaults(run=_check)
    serve = commands.add_parser(
        "serve", parents=[config], help="run the gateway as a server of its own", allow_abbrev=False
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8000, help="port to listen on (default: %(default)s)")
    serve.set_defaults(run=_serve)
    _add_remote(commands)
    return parser


def _add_remote(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands that ask a running gateway."""
    remote = argparse.ArgumentParser(add_help=False)
    remote.add_argument(
        "--url", default=DEFAULT_URL, help="the running gateway with its prefix, if it has one (default: %(default)s)"
    )
    remote.add_argument(
        "--key", metavar="SOURCE", default=DEFAULT_KEY,
        help="where the key of its status route is, env:NAME or file:PATH; never the key itself (default: %(default)s)",
    )  # fmt: skip
    remote.add_argument("--json", action="store_true", help="for programs")
    accounts = commands.add_parser(
        "accounts",
        parents=[remote],
        help="show how the accounts of a running gateway are",
        allow_abbrev=False,
    )
    accounts.set_defaults(run=_accounts)
    account = commands.add_parser("account", help="disable, enable or reset accounts by hand", allow_abbrev=False)
    words = account.add_subparsers(required=True, metavar="WORD", dest="word")
    for word in get_args(Override):
        one = words.add_parser(word, parents=[remote], help=HELP[word], description=HELP[word], allow_abbrev=False)
        one.add_argument("accounts", nargs="+", metavar="UPSTREAM/LABEL", type=_account)
        one.set_defaults(run=_account_word)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _account(text: str) -> str:
    upstream, _, label = text.partition("/")
    if not (re.fullmatch(NAME, upstream) and re.fullmatch(NAME, label)):
        raise argparse.ArgumentTypeError("an account is UPSTREAM/LABEL, as asgi-ds2api accounts shows it")
    return text


# --- check ------------------------------------------------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    report = examine(options.config)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    elif report.usable:
        print("\n".join(_lines(report)))
    else:
        print(ConfigError(report.problems), file=sys.stderr)
    return OK if report.usable else UNUSABLE


def examine(path: str | None) -> Report:
    """Load a configuration, and the files that only a connection would need."""
    try:
        config = _load(path, has_authorize=None)
    except ConfigError as error:
        return Report(usable=False, source=path or "", problems=error.problems)
    problems = [
        problem for index, upstream in enumerate(config.upstreams) for problem in _tls_problems(index, upstream)
    ]
    return Report(
        usable=not problems,
        source=config.source,
        problems=problems,
        warnings=config.warnings(),
        prefix=config.prefix,
        auth=config.auth,
        upstreams=[
            {
                "name": upstream.name,
                "protocol": upstream.protocol,
                "base_url": upstream.base_url,
                "accounts": [account.label for account in upstream.accounts],
                "models": upstream.models,
            }
            for upstream in config.upstreams
        ],
        models=[{"name": alias.name, "targets": alias.targets} for alias in config.models],
        callers=[{"label": caller.label, "models": caller.models} for caller in config.callers],
        status=config.status is not None,
    )


def _load(path: str | None, *, has_authorize: bool | None) -> Config:
    return Config.find(has_authorize=has_authorize) if path is None else Config.load(path, has_authorize=has_authorize)


def _tls_problems(index: int, upstream: UpstreamConfig) -> Iterator[str]:
    if not (upstream.ca_file or upstream.client_cert):
        return
    try:
        TLSContexts().context(TLSSettings(ca_file=upstream.ca_file, client_cert=upstream.client_cert))
    except ConfigError as error:
        for problem in error.problems:
            yield f"upstreams[{index}].{problem}"


def _lines(report: Report) -> Iterator[str]:
    """Yield the report as people read it."""
    yield f"{report.source}: usable, {len(report.warnings)} warning(s)"
    yield from table(
        "upstreams",
        ("name", "protocol", "base_url", "accounts", "models"),
        (
            (
                u["name"],
                u["protocol"],
                u["base_url"],
                _listed(u["accounts"]),
                _listed(u["models"]) or f"{u['name']}/...",
            )
            for u in report.upstreams
        ),
    )
    yield from table("models", ("name", "targets"), ((m["name"], _listed(m["targets"])) for m in report.models))
    yield from table("callers", ("label", "models"), ((c["label"], _listed(c["models"])) for c in report.callers))
    yield f"\nprefix: {_listed(report.prefix)}"
    yield f"auth: {report.auth}"
    if report.status:
        yield f"status: {_listed(f'{prefix}/status' for prefix in report.prefix)}"
    for warning in report.warnings:
        yield f"warning: {warning}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


# --- serve ------------------------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    try:
        import uvicorn  # an extra: whoever puts the gateway into an app has a server already
    except ModuleNotFoundError as exc:
        if exc.name != "uvicorn":
            raise
        print(NO_UVICORN, file=sys.stderr)
        return MISUSED
    try:
        config = _load(options.config, has_authorize=False)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    # Ours is the access log: uvicorn's prints whole URLs, in which careless callers put their keys.
    log_config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    log_config["loggers"]["asgi_ds2api"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    uvicorn.run(
        Gateway(config),
        host=options.host,
        port=options.port,
        log_config=log_config,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(config.timeouts.drain_s),
    )
    return OK


# --- a running gateway ------------------------------------------------------------------------------------------------


def _accounts(options: argparse.Namespace) -> int:
    client = _client(options)
    if client is None:
        return MISUSED
    try:
        snapshot = client.snapshot()
    except StatusError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    print(_json(snapshot) if options.json else "\n".join(lines(snapshot)))
    return OK


def _account_word(options: argparse.Namespace) -> int:
    client = _client(options)
    if client is None:
        return MISUSED
    code = OK
    for account in options.accounts:
        try:
            found = client.steer(account, options.word)
        except StatusError as error:
            print(f"{account}: {error}", file=sys.stderr)
            code = UNUSABLE
        else:
            print(_json(found) if options.json else account_line(found))
    return code


def _client(options: argparse.Namespace) -> StatusClient | None:
    """Return what asks the gateway that the options name; None: they are no use, which was said."""
    try:
        url = base_url(options.url)
    except Flaw as flaw:
        print(f"--url {flaw.what}; {flaw.mend}", file=sys.stderr)
        return None
    key = _status_key(options.key)
    if key is None:
        return None
    if is_in_the_clear(url):
        print("warning: plain http to another machine: the key can be read on the way", file=sys.stderr)
    return StatusClient(url, key)


def _status_key(source: str) -> Secret | None:
    if source == DEFAULT_KEY and not os.environ.get(STATUS_VARIABLE, "").strip():
        print(NO_KEY, file=sys.stderr)
        return None
    try:
        return read_now(source, Reading(os.environ, Path.cwd()), ("env", "file"))
    except Flaw as flaw:
        print(f"--key {flaw.what}; {flaw.mend}", file=sys.stderr)
        return None


def _json(found: msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(found)).decode()
