"""What becomes of losses is said by the prefix first, then by the upstream, then in general.

Of a prefix the application speaks first, which makes the middleware, then the configuration (`[[prefixes]]`).
"""

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from asgi_ds2api import DS2APIMiddleware, Gateway
from tests.conformance.asking import claude_answer
from tests.support.asgi_driver import call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import ScriptedUpstream

pytestmark = pytest.mark.anyio

ASK = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "seed": 7}
"""Anthropic has no seed."""


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the host was asked")


def made(configured: Mapping[str, str], of_the_upstream: str | None = None, general: str = "notice") -> Gateway:
    """Return a gateway that answers once; ``configured`` is what its configuration says of prefixes."""
    return make_gateway(
        upstream("claude", on_unsupported=of_the_upstream),
        scripts={"claude": ScriptedUpstream(claude_answer())},
        on_unsupported=general,
        prefixes=[{"path": path, "on_unsupported": word} for path, word in configured.items()],
    )


@pytest.mark.parametrize(
    ("argument", "configured", "of_the_upstream", "general", "status", "is_told"),
    [
        pytest.param(None, None, None, "notice", 200, True, id="in general"),
        pytest.param(None, None, "reject", "notice", 400, False, id="the upstream's word before the general one"),
        pytest.param("reject", None, None, "notice", 400, False, id="the middleware's word before the general one"),
        pytest.param("notice", None, "reject", "drop", 200, True, id="the middleware's word before the upstream's"),
        pytest.param("drop", None, None, "reject", 200, False, id="a middleware that tells nothing"),
        pytest.param(None, "reject", None, "notice", 400, False, id="the prefix's word before the general one"),
        pytest.param(None, "notice", "reject", "drop", 200, True, id="the prefix's word before the upstream's"),
        pytest.param(None, "drop", "reject", "reject", 200, False, id="a prefix that tells nothing"),
        pytest.param("notice", "reject", "reject", "reject", 200, True, id="the middleware's word before the prefix's"),
    ],
)
async def test_whose_word_goes(
    argument: Any, configured: str | None, of_the_upstream: str | None, general: str, status: int, is_told: bool
) -> None:
    gateway = made({"/ai": configured} if configured else {}, of_the_upstream, general)
    app = DS2APIMiddleware(nobody, gateway=gateway, prefix="/ai", on_unsupported=argument)
    answer = await call(app, "POST", "/ai/v1/chat/completions", json=ASK)
    assert (answer.status, "seed" in (answer.header("x-ds2api-notices") or "")) == (status, is_told)


@pytest.mark.parametrize(
    ("prefix", "configured", "status"),
    [
        ("/ai", {"/strict": "reject"}, 200),
        ("/strict", {"/strict": "reject"}, 400),
        ("/v2/strict", {"/strict": "reject"}, 200),
        ("/strict", {"": "reject"}, 200),
        (["/ai", "/strict"], {"/strict": "reject"}, 200),
        (["/ai", "/ai/strict"], {"/ai": "reject", "/ai/strict": "notice"}, 400),
    ],
)
async def test_word_of_a_prefix_is_that_of_no_other(prefix: Any, configured: Mapping[str, str], status: int) -> None:
    app = DS2APIMiddleware(nobody, gateway=made(configured), prefix=prefix)
    first = prefix if isinstance(prefix, str) else prefix[0]
    assert (await call(app, "POST", f"{first}/v1/chat/completions", json=ASK)).status == status


async def test_aliases_of_one_middleware_may_differ() -> None:
    for path, status in (("/ai", 200), ("/ai/strict", 400)):
        app = DS2APIMiddleware(nobody, gateway=made({"/ai/strict": "reject"}), prefix=["/ai", "/ai/strict"])
        assert (await call(app, "POST", f"{path}/v1/chat/completions", json=ASK)).status == status


def mounted(gateway: Gateway, *paths: str) -> ASGIApp:
    """Return the gateway as an app; mounted in others, the last path innermost."""
    app: ASGIApp = gateway
    for path in reversed(paths):
        app = Starlette(routes=[Mount(path, app=app)])
    return app


@pytest.mark.parametrize(
    ("mounts", "configured", "status"),
    [
        pytest.param(["/strict"], {"/strict": "reject"}, 400, id="by where it is mounted"),
        pytest.param(["/ai"], {"/strict": "reject"}, 200, id="mounted elsewhere"),
        pytest.param(["/v2", "/strict"], {"/strict": "reject"}, 400, id="what stands in front need not be said"),
        pytest.param(["/v2", "/strict"], {"/strict": "reject", "/v2/strict": "notice"}, 200, id="the longest goes"),
        pytest.param(["/unstrict"], {"/strict": "reject"}, 200, id="whole segments alone"),
        pytest.param(["/ai"], {"": "reject", "/strict": "notice"}, 400, id="the empty path: mounts that are not named"),
        pytest.param(["/strict"], {"": "reject", "/strict": "notice"}, 200, id="a named one before the empty path"),
        pytest.param([], {"": "reject"}, 400, id="the empty path: an app of its own"),
        pytest.param([], {"/strict": "reject"}, 200, id="an app of its own is under no path"),
    ],
)
async def test_mounted_gateway_has_the_word_of_its_place(
    mounts: list[str], configured: Mapping[str, str], status: int
) -> None:
    app = mounted(made(configured), *mounts)
    answer = await call(app, "POST", f"{''.join(mounts)}/v1/chat/completions", json=ASK)
    assert answer.status == status


async def test_what_a_proxy_cuts_off_need_not_be_said() -> None:
    gateway = made({"/strict": "reject"})
    answer = await call(gateway, "POST", "/api/strict/v1/chat/completions", root_path="/api/strict", json=ASK)
    assert answer.status == 400


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
