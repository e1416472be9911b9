"""Looks for the keys of the test upstreams in whatever leaves the gateway, over the whole test run.

Every account of ``gateways`` has a key that begins with `CANARY`. A fixture that every test uses fails the test in
which it shows up in a log record or in an error that was made; at the end of the run the ``repr`` of every object of
the package is looked at; the ASGI driver fails where it stands in an answer.
"""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from asgi_ds2api.errors import GatewayError

CANARY = "sk-canary-0123456789-do-not-print-me"
PACKAGE = "asgi_ds2api"


class Watch(logging.Handler):
    """Sees every log record, at every level, and every error of ours as it is made."""

    def __init__(self, canary: str) -> None:
        super().__init__(level=logging.NOTSET)
        self._canary = canary
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look into a record: its text, its arguments, what came with it."""
        told = [record.getMessage(), repr(record.args), repr(record.__dict__)]
        if record.exc_info:
            told.append(logging.Formatter().formatException(record.exc_info))
        self.look(f"log record of {record.name}", *told)

    def look(self, where: str, *texts: str) -> None:
        """Note a leak if the canary is in any of the texts."""
        if any(self._canary in text for text in texts):
            self.leaks.append(where)


@contextmanager
def watching(canary: str = CANARY) -> Iterator[Watch]:
    """Watch logs and errors while the block runs."""
    watch, root = Watch(canary), logging.getLogger()
    make = GatewayError.__init__

    def look_and_make(self: GatewayError, *args: object, **fields: object) -> None:
        watch.look(f"an error {type(self).__name__}", repr(args), repr(fields))
        make(self, *args, **fields)  # type: ignore[arg-type]  # passed on as they came

    GatewayError.__init__ = look_and_make  # type: ignore[method-assign]  # for the time of a test
    root.addHandler(watch)
    try:
        yield watch
    finally:
        root.removeHandler(watch)
        GatewayError.__init__ = make  # type: ignore[method-assign]  # as it was


def objects_that_show_it(canary: str = CANARY) -> list[str]:
    """Return the types of live objects of the package whose ``repr`` shows the canary."""
    ours = [thing for thing in gc.get_objects() if str(type(thing).__module__).startswith(PACKAGE)]
    return sorted({type(thing).__qualname__ for thing in ours if canary in repr(thing)})


def assert_unseen(where: str, data: bytes) -> None:
    """Fail where the canary stands in what a caller is sent."""
    assert CANARY.encode() not in data, f"an upstream's key is in {where}"
