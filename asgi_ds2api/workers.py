"""How many worker processes a server was told to run, as far as a worker can know: for a warning, never for a decision.

It knows the ways of uvicorn, gunicorn and hypercorn: ``--workers`` and ``-w``, ``GUNICORN_CMD_ARGS``,
``UVICORN_WORKERS``, ``WEB_CONCURRENCY``. None of them takes a shorter form of ``--workers``: to uvicorn it is unknown,
to the others ambiguous. A file of settings that the server alone reads is not looked for.
"""

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

_LONG: Final = "--workers"
_SHORT: Final = "-w"
_VARIABLES: Final = ("UVICORN_WORKERS", "WEB_CONCURRENCY")
"""The first goes before the second."""


def told(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return the number of workers; 1 if nobody says more.

    Args:
        arguments: Of the process: its workers inherit them.
        environ: Its environment.
    """
    by_command = _of(arguments) or _of(_split(environ.get("GUNICORN_CMD_ARGS", "")))
    by_variable = [_number(environ.get(name, "")) for name in _VARIABLES]
    return next((number for number in (by_command, *by_variable) if number), 1)


def alone(number: int) -> str:
    """Return what cannot work where so many workers each keep their state to themselves, and both cures."""
    return (
        f'{number} workers, and state = "memory": each has a pool of its own, so that cooldowns and limits hold in one '
        'worker alone, and previous_response_id finds an answer in one of them only; set state = "sqlite:PATH" for the '
        "workers of one machine, or the address of a Redis server for many"
    )


def _of(arguments: Sequence[str]) -> int:
    """Return what is said last, as the servers do; 0: nothing is."""
    number = 0
    for argument, following in pairwise((*arguments, "")):
        if argument in (_LONG, _SHORT):
            number = _number(following)
        elif argument.startswith(f"{_LONG}="):
            number = _number(argument.removeprefix(f"{_LONG}="))
        elif argument.startswith(_SHORT):
            number = _number(argument.removeprefix(_SHORT).removeprefix("=")) or number
    return number


def _split(text: str) -> Sequence[str]:
    try:
        return shlex.split(text)
    except ValueError:  # the server will say so
        return ()


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
