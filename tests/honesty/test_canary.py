"""The watch on the upstreams' keys sees what it should."""

import logging

import pytest

from asgi_ds2api.errors import Malformed
from asgi_ds2api.secret import Secret
from tests.support.asgi_driver import call
from tests.support.canary import CANARY, objects_that_show_it, watching
from tests.support.gateways import make_gateway, upstream
from tests.support.raw_upstream import RawUpstream
from tests.support.script import Expect, Fin

pytestmark = pytest.mark.anyio


OTHER = "sk-another-canary-for-the-watch-itself"


class Leaky:
    """An object of the package, as it were, that shows what it holds."""

    __module__ = "asgi_ds2api.of_a_test"

    def __init__(self, key: str) -> None:
        self.held = [key]

    def __repr__(self) -> str:
        return f"Leaky({self.held})"


def test_watch_sees_log_records() -> None:
    with watching(OTHER) as watch:
        logging.getLogger("anything").warning("key %s", OTHER)
        logging.getLogger("anything").warning("text", extra={"key": OTHER})
    assert watch.leaks == ["log record of anything"] * 2


def test_watch_sees_errors_and_their_details() -> None:
    with watching(OTHER) as watch:
        Malformed("no", detail=OTHER)
    assert watch.leaks == ["an error Malformed"]


def test_watch_sees_objects_that_show_it() -> None:
    kept = Leaky(OTHER)
    assert objects_that_show_it(OTHER) == ["Leaky"]
    del kept


def test_secret_shows_nothing() -> None:
    assert CANARY not in repr(Secret(CANARY)) + f"{Secret(CANARY)}" + str(Secret(CANARY))


@pytest.mark.parametrize("streamed", [False, True])
async def test_key_reaches_the_upstream_and_nobody_else(streamed: bool) -> None:
    async with RawUpstream([Expect(), Fin()]) as raw:
        gateway = make_gateway(upstream("claude", url=raw.url))
        messages = [{"role": "user", "content": "q"}]
        body = {"model": "claude/m", "max_tokens": 5, "messages": messages, "stream": streamed}
        with watching() as watch:
            answer = await call(gateway, "POST", "/v1/messages", json=body)
        await gateway._clients.close()
    assert answer.status == 502
    assert CANARY.encode() in dict(raw.requests[0].headers)[b"x-api-key"]
    assert watch.leaks == []
