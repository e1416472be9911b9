"""What an application hands over: checked where a gateway is made, as what is wrong would else show at each request.

Each check raises a `TypeError` that says what was given and what to give in its place. Values are never in it.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import httpx

from .observe import Observer
from .state.contract import StateStore

_OF_A_STORE: Final = tuple(name for name in vars(StateStore) if not name.startswith("_"))


def check_http_client(client: object) -> None:
    """Check that a client of the application's own can be awaited.

    Raises:
        TypeError: It is no ``httpx.AsyncClient``.
    """
    if client is not None and not isinstance(client, httpx.AsyncClient):
        raise TypeError(f"http_client is {_kind(client)}: give an httpx.AsyncClient")


def check_authorize(authorize: object) -> None:
    """Check that the host's check is a coroutine function of one argument, or an object that can be called like one.

    Raises:
        TypeError: It is not.
    """
    if authorize is None:
        return
    if not callable(authorize) or isinstance(authorize, type):
        raise TypeError(f"authorize is {_kind(authorize)}: give an async function, async def authorize(scope)")
    if not _is_async(authorize):
        raise TypeError("authorize is not async, so nobody could await it: write async def authorize(scope)")
    if not _takes_one(authorize):
        raise TypeError("authorize cannot be called with the scope alone: write async def authorize(scope)")


def check_hooks(hooks: Iterable[Observer]) -> tuple[Observer, ...]:
    """Return the observers, each of which can be called as one.

    Raises:
        TypeError: They are not several, or one of them could take no Record.
    """
    if hasattr(hooks, "on_record") or not isinstance(hooks, Iterable):
        raise TypeError(f"hooks is {_kind(hooks)}: give a list of observers, hooks=[observer]")
    observers = tuple(hooks)
    for index, observer in enumerate(observers):
        _check_observer(f"hooks[{index}]", observer)
    return observers


def _check_observer(where: str, observer: object) -> None:
    on_record = getattr(observer, "on_record", None)
    if not callable(on_record):
        raise TypeError(f"{where} is {_kind(observer)}, without on_record: give an object with on_record(self, record)")
    if _is_async(on_record):
        raise TypeError(
            f"{where}: on_record is async, and is called without await: write def on_record(self, record), and hand "
            "over to a queue what takes longer"
        )
    if not _takes_one(on_record):
        raise TypeError(
            f"{where}: on_record cannot be called with a Record alone: give an object, not its class, with "
            "on_record(self, record)"
        )


def check_store(store: object) -> None:
    """Check that a store of the application's own has all that a `StateStore` has.

    Raises:
        TypeError: Something is missing.
    """
    if store is None:
        return
    missing = [name for name in _OF_A_STORE if not hasattr(store, name)]
    if missing:
        raise TypeError(
            f"store is {_kind(store)}, without {', '.join(missing)}: give a StateStore, or leave it out and configure "
            'state = "sqlite:PATH" or state = "redis://HOST"'
        )


def check_protocols(protocols: object) -> None:
    """Check that protocols come by name.

    Raises:
        TypeError: They do not.
    """
    if not isinstance(protocols, Mapping):
        raise TypeError(f"protocols is {_kind(protocols)}: give a mapping, {{**PROTOCOLS, NAME: codec}}")


def _is_async(function: Callable[..., object]) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _takes_one(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # made in C, without a signature: it may be what it should be
        return True
    return True


def _kind(value: object) -> str:
    """Return what a value is, without what it holds."""
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"of type {type(value).__qualname__}"
