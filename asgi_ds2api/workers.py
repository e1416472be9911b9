"""How many worker processes a server was told to run, as far as a worker can know: for a warning, never for a decision.

It knows the ways of uvicorn, gunicorn and hypercorn: ``WEB_CONCURRENCY``, ``GUNICORN_CMD_ARGS``, ``--workers``. A file
of settings that the server alone reads is not looked for.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

_WORDS: Final = frozenset({"--workers", "-w"})


def told(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return the number of workers; 1 if nobody says more.

    Args:
        arguments: Of the process: its workers inherit them.
        environ: Its environment.
    """
    by_command = _of(arguments) or _of(_split(environ.get("GUNICORN_CMD_ARGS", "")))
    return by_command or _number(environ.get("WEB_CONCURRENCY", "")) or 1


def _of(arguments: Sequence[str]) -> int:
    for index, argument in enumerate(arguments):
        word, _, value = argument.partition("=")
        if word in _WORDS:
            return _number(value or "".join(arguments[index + 1 : index + 2]))
    return 0


def _split(text: str) -> Sequence[str]:
    try:
        return shlex.split(text)
    except ValueError:  # the server will say so
        return ()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
