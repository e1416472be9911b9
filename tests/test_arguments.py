"""What an application hands over is checked where a gateway is made, and each message says what to give instead."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import pytest

from asgi_ds2api import Caller, DS2APIMiddleware, Gateway, Record
from asgi_ds2api.state.memory import MemoryStore

from .support.gateways import CALLER_KEY, Records, make_gateway, upstream

CONFIG = {"auth": "host", "upstreams": [upstream("chat")]}


async def authorize(scope: Any) -> Caller | None:
    return None


async def authorize_by(table: Any, scope: Any) -> Caller | None:
    return None


async def authorize_nobody() -> Caller | None:
    return None


def authorize_at_once(scope: Any) -> Caller | None:
    return None


class Sessions:
    """Asked by being called, as a class of the application's is."""

    async def __call__(self, scope: Any) -> Caller | None:
        return None

    async def of(self, scope: Any) -> Caller | None:
        return None


def made(given: dict[str, Any]) -> Gateway:
    return Gateway(CONFIG, **{"authorize": authorize, **given})


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(authorize, id="a function"),
        pytest.param(partial(authorize_by, {}), id="a part of one"),
        pytest.param(partial(partial(authorize_by, {})), id="a part of a part"),
        pytest.param(Sessions(), id="an object that can be called"),
        pytest.param(partial(Sessions()), id="a part of such an object"),
        pytest.param(Sessions().of, id="a method"),
        pytest.param(AsyncMock(return_value=None), id="a mock"),
    ],
)
def test_whatever_can_be_awaited_may_authorize(given: Any) -> None:
    made({"authorize": given})


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([], id="none"),
        pytest.param((Records(), Records()), id="several"),
        pytest.param([Mock()], id="a mock"),
    ],
)
def test_whatever_takes_a_record_may_observe(given: Any) -> None:
    made({"hooks": given})


def test_observers_may_come_out_of_a_generator() -> None:
    records = Records()
    made({"hooks": (each for each in [records])})._engine.observatory.publish(
        Record(request_id="r", result="ok", code="ok", status=200, protocol="", operation="", model="", caller="")
    )
    assert len(records) == 1


async def on_record_later(self: Any, record: Record) -> None: ...


def on_record_of_nothing(self: Any) -> None: ...


def observer(on_record: Callable[..., Any]) -> Any:
    return type("Observer", (), {"on_record": on_record})()


@wraps(authorize)
def authorize_wrapped(scope: Any) -> Any:
    return authorize(scope)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a client that cannot be awaited": (
        {"http_client": httpx.Client},
        "http_client is the class Client: give an httpx.AsyncClient",
    ),
    "no client": ({"http_client": "http://proxy"}, "http_client is of type str: give an httpx.AsyncClient"),
    "a function that is not async": (
        {"authorize": authorize_at_once},
        "authorize is not async, so nobody could await it: write async def authorize(scope)",
    ),
    "a wrapper that is not async": (
        {"authorize": authorize_wrapped},
        "authorize is not async, so nobody could await it: write async def authorize(scope)",
    ),
    "a function without the scope": (
        {"authorize": authorize_nobody},
        "authorize cannot be called with the scope alone: write async def authorize(scope)",
    ),
    "a function with more than the scope": (
        {"authorize": authorize_by},
        "authorize cannot be called with the scope alone: write async def authorize(scope)",
    ),
    "no function": (
        {"authorize": CALLER_KEY},
        "authorize is of type str: give an async function, async def authorize(scope)",
    ),
    "a class that authorizes": (
        {"authorize": Sessions},
        "authorize is the class Sessions: give an async function, async def authorize(scope)",
    ),
    "one observer": ({"hooks": Records()}, "hooks is of type Records: give a list of observers, hooks=[observer]"),
    "one function": (
        {"hooks": authorize},
        "hooks is of type function: give a list of observers, hooks=[observer]",
    ),
    "a function that observes": (
        {"hooks": [Records(), lambda record: None]},
        "hooks[1] is of type function, without on_record: give an object with on_record(self, record)",
    ),
    "a class that observes": (
        {"hooks": [Records]},
        "hooks[0]: on_record cannot be called with a Record alone: give an object, not its class, with "
        "on_record(self, record)",
    ),
    "an observer that takes nothing": (
        {"hooks": [observer(on_record_of_nothing)]},
        "hooks[0]: on_record cannot be called with a Record alone: give an object, not its class, with "
        "on_record(self, record)",
    ),
    "an observer to be awaited": (
        {"hooks": [observer(on_record_later)]},
        "hooks[0]: on_record is async, and is called without await: write def on_record(self, record), and hand over "
        "to a queue what takes longer",
    ),
    "a place of state": (
        {"store": object()},
        "store is of type object, without is_shared, is_alone, open, close, cooldown, cooldowns, merge, watch, get, "
        "put, find, settled, admit, leave, add, used: give a StateStore, or leave it out and configure "
        'state = "sqlite:PATH" or state = "redis://HOST"',
    ),
    "names of protocols": (
        {"protocols": ["openai_chat"]},
        "protocols is of type list: give a mapping, {**PROTOCOLS, NAME: codec}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_at_once(case: str) -> None:
    given, message = REFUSED[case]
    with pytest.raises(TypeError) as caught:
        made(given)
    assert str(caught.value) == message


def test_clients_and_stores_that_can_be_used_are_taken() -> None:
    made({"http_client": httpx.AsyncClient(), "store": MemoryStore(lambda: 0.0)})


def test_gateway_of_the_environment_checks_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-environment-0001")
    with pytest.raises(TypeError, match="authorize is not async"):
        Gateway.from_env(authorize=authorize_at_once)  # type: ignore[arg-type] # that is the mistake


@pytest.mark.parametrize("config", [5, b"ds2api.toml", ["ds2api.toml"]])
def test_configuration_is_of_a_known_kind(config: Any) -> None:
    with pytest.raises(TypeError, match="config is a path, a mapping, a Config, or None, which looks for one"):
        Gateway(config)


def test_middleware_tells_a_gateway_from_a_configuration() -> None:
    with pytest.raises(TypeError, match="gateway= takes a Gateway, not str: give a configuration as config="):
        DS2APIMiddleware(AsyncMock(), "ds2api.toml")  # type: ignore[arg-type] # that is the mistake
    with pytest.raises(TypeError, match="prefix= takes '/ai', or a list of several, not int"):
        DS2APIMiddleware(AsyncMock(), make_gateway(upstream("chat")), prefix=5)  # type: ignore[arg-type] # likewise


def test_word_about_an_account_is_one_of_three() -> None:
    with pytest.raises(ValueError, match="the word is one of disable, enable, reset"):
        make_gateway(upstream("chat")).override("chat/a0", "off")  # type: ignore[arg-type] # that is the mistake
