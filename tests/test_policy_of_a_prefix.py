"""What becomes of losses is said by the prefix first, then by the upstream, then in general."""

from typing import Any

import pytest

from asgi_ds2api import DS2APIMiddleware
from tests.conformance.asking import claude_answer
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream

pytestmark = pytest.mark.anyio

ASK = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "seed": 7}
"""Anthropic has no seed."""


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the host was asked")


async def asked(word: Any, of_the_upstream: str | None = None, general: str = "notice") -> Answer:
    gateway = make_gateway(
        upstream("claude", on_unsupported=of_the_upstream),
        scripts={"claude": ScriptedUpstream(claude_answer())},
        on_unsupported=general,
    )
    app = DS2APIMiddleware(nobody, gateway=gateway, prefix="/ai", on_unsupported=word)
    return await call(app, "POST", "/ai/v1/chat/completions", json=ASK)


@pytest.mark.parametrize(
    ("word", "of_the_upstream", "general", "status", "is_told"),
    [
        pytest.param(None, None, "notice", 200, True, id="in general"),
        pytest.param(None, "reject", "notice", 400, False, id="the upstream's word before the general one"),
        pytest.param("reject", None, "notice", 400, False, id="the prefix's word before the general one"),
        pytest.param("notice", "reject", "drop", 200, True, id="the prefix's word before the upstream's"),
        pytest.param("drop", None, "reject", 200, False, id="a prefix that tells nothing"),
    ],
)
async def test_whose_word_goes(
    word: Any, of_the_upstream: str | None, general: str, status: int, is_told: bool
) -> None:
    answer = await asked(word, of_the_upstream, general)
    assert (answer.status, "seed" in (answer.header("x-ds2api-notices") or "")) == (status, is_told)


async def test_two_prefixes_of_one_gateway_may_differ() -> None:
    gateway = make_gateway(upstream("claude"), scripts={"claude": ScriptedUpstream(claude_answer(), claude_answer())})
    strict = DS2APIMiddleware(nobody, gateway=gateway, prefix="/strict", on_unsupported="reject")
    both = DS2APIMiddleware(strict, gateway=gateway, prefix="/ai")
    statuses = [
        (await call(both, "POST", f"{prefix}/v1/chat/completions", json=ASK)).status for prefix in ("/ai", "/strict")
    ]
    assert statuses == [200, 400]


def test_a_word_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="notice, reject, drop"):
        DS2APIMiddleware(nobody, gateway=make_gateway(upstream("chat")), on_unsupported="ignore")  # type: ignore[arg-type]  # on purpose
