"""Interrupts a coroutine at an await of the test's choice, so that a test can go through all of them."""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


@types.coroutine
def interrupted_at(
    number: int, coroutine: Coroutine[Any, Any, object], interrupt: Callable[[], object]
) -> Generator[Any, Any, bool]:
    """Run a coroutine; when it waits for the ``number``-th time, from 0, call ``interrupt``, which may cancel it.

    Returns:
        Whether it waited so often. What the coroutine raises comes out, its cancellation included.
    """
    waits = 0
    sent: object = None
    thrown: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
        except StopIteration:
            return waits > number
        if waits == number:
            interrupt()
        waits += 1
        try:
            sent, thrown = (yield awaited), None
        except BaseException as exc:
            thrown = exc
