"""The command ``asgi-ds2api``: check a configuration, or serve the gateway alone.

Exit codes: 0 it is well, 1 the configuration has problems, 2 the command was called wrongly or cannot run here.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from .config import Config
from .errors import ConfigError

OK, PROBLEMS, MISUSE = 0, 1, 2
CONFIG_HELP = "TOML file; default: DS2API_CONFIG, ./ds2api.toml, else the environment"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = Config.find() if options.config is None else Config.load(options.config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return PROBLEMS
    if options.command == "check":
        return _check(config)
    return _serve(config, options.host, options.port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asgi-ds2api", description="An AI gateway inside your ASGI app.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="tell every problem of a configuration; prints no secret")
    serve = commands.add_parser("serve", help="run the gateway alone, under uvicorn")
    for command in (check, serve):
        command.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    return parser


def _check(config: Config) -> int:
    """Print what was understood: names and labels, never a key."""
    print(f"{config.source}: no problems")
    print(f"prefix    {', '.join(config.prefix)}")
    print(f"auth      {config.auth}")
    for upstream in config.upstreams:
        labels = ", ".join(account.label for account in upstream.accounts)
        serves = ", ".join(upstream.models) or "whatever is asked for by name"
        print(f"upstream  {upstream.name}  {upstream.protocol}  {upstream.base_url}  [{labels}]  {serves}")
    for alias in config.models:
        print(f"model     {alias.name}  ->  {', '.join(alias.targets)}")
    for caller in config.callers:
        print(f"caller    {caller.label}  {', '.join(caller.models)}")
    for warning in config.warnings():
        print(f"warning   {warning}")
    return OK


def _serve(config: Config, host: str, port: int) -> int:
    """Run uvicorn until it is told to stop."""
    if find_spec("uvicorn") is None:
        print("error: uvicorn is missing. Install it with: pip install 'asgi-ds2api[serve]'", file=sys.stderr)
        return MISUSE
    import uvicorn

    from .gateway import Gateway

    try:
        gateway = Gateway(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return PROBLEMS
    print(f"asgi_ds2api listens on http://{host}:{port}", flush=True)
    drain_s = int(config.timeouts.drain_s) + 1
    uvicorn.run(gateway, host=host, port=port, log_level="warning", timeout_graceful_shutdown=drain_s)
    return OK
