"""The command line: ``asgi-ds2api check`` judges a configuration, ``asgi-ds2api serve`` runs the gateway alone.

Exit codes: 0, all is well; 1, the configuration cannot be used; 2, the command itself cannot be carried out. Labels and
names are printed, never a secret, nor anything made of one.
"""

import argparse
import copy
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from .config import Config, UpstreamConfig
from .errors import ConfigError
from .gateway import Gateway
from .upstream.tls import TLSContexts, TLSSettings

OK, UNUSABLE, MISUSED = 0, 1, 2
NO_UVICORN: Final = 'serve needs uvicorn, which is not installed here: pip install "asgi-ds2api[serve]"'


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
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


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
    yield from _table(
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
    yield from _table("models", ("name", "targets"), ((m["name"], _listed(m["targets"])) for m in report.models))
    yield from _table("callers", ("label", "models"), ((c["label"], _listed(c["models"])) for c in report.callers))
    yield f"\nprefix: {_listed(report.prefix)}"
    yield f"auth: {report.auth}"
    for warning in report.warnings:
        yield f"warning: {warning}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table with columns of equal width; nothing without rows."""
    if not (found := [head, *rows])[1:]:
        return
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    yield f"\n{title}"
    for row in found:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


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
