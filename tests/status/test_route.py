"""The status route: who has its key sees and steers, and nobody else learns that there is one."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asgi_ds2api.middleware import DS2APIMiddleware
from asgi_ds2api.secret import Secret
from asgi_ds2api.status.snapshot import Snapshot
from tests.conformance.asking import chat_answer
from tests.support.asgi_driver import Exchange, call
from tests.support.redis_server import RedisServer
from tests.support.scripted_client import answering
from tests.support.waiting import time_limit

from .house import CALLER_KEY, STATUS_KEY, House, bearer

pytestmark = pytest.mark.anyio

ACCOUNT = "/status/accounts/chat/a0"
PATHS = ["/status", "/status/", "/status/health", f"{ACCOUNT}/disable", "/status/accounts", "/status/x"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", [STATUS_KEY, CALLER_KEY])
async def test_P_05_without_its_table_there_is_no_such_path(path: str, key: str) -> None:
    house = House(status=None)
    found = await house.look(path=path, key=key)
    unknown = await house.look(path="/stat", key=key)
    assert (found.status, found.body) == (unknown.status, unknown.body) == (404, unknown.body)


async def test_operator_sees_what_the_application_sees() -> None:
    house = House(chat_answer())
    await house.ask()
    answer = await house.look()
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert msgspec.json.decode(answer.body, type=Snapshot) == house.snapshot()


async def test_answer_is_kept_by_nobody_and_read_by_no_page() -> None:
    house = House(cors_origins=["https://app.example"])
    headers = {**bearer(STATUS_KEY), "origin": "https://app.example"}
    answer = await call(house.gateway, "GET", "/status", headers=headers)
    assert (answer.header("cache-control"), answer.header("access-control-allow-origin")) == ("no-store", None)
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    refused = await call(house.gateway, "OPTIONS", f"{ACCOUNT}/disable", headers=preflight)
    assert (refused.status, refused.header("access-control-allow-methods")) == (401, None)


REFUSED: dict[str, Mapping[str, str]] = {
    "no key": {},
    "the key of a caller": bearer(CALLER_KEY),
    "a wrong key": bearer("the-status-key-of-test5"),
    "the digest": bearer(Secret(STATUS_KEY).digest().hex()),
    "another case": bearer(STATUS_KEY.upper()),
    "a longer one": bearer(f"{STATUS_KEY}s"),
    "no scheme": {"authorization": STATUS_KEY},
    "another scheme": {"authorization": f"Basic {STATUS_KEY}"},
    "another header": {"x-api-key": STATUS_KEY},
    "a cookie": {"cookie": f"authorization=Bearer {STATUS_KEY}; key={STATUS_KEY}"},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=list(REFUSED))
async def test_P_05_who_has_not_the_key_learns_nothing(headers: Mapping[str, str], method: str, path: str) -> None:
    house = House()
    answer = await call(house.gateway, method, path, headers=headers)
    assert (answer.status, answer.json()) == (
        401,
        {"error": {"code": "invalid_api_key", "message": "This needs the key of the status route."}},
    )
    assert house.snapshot().accounts[0].state == "healthy"


async def test_key_in_the_query_opens_nothing() -> None:
    answer = await call(House().gateway, "GET", "/status", query=f"key={STATUS_KEY}")
    assert answer.status == 401


async def test_key_that_is_sent_twice_opens_nothing() -> None:
    headers = [("authorization", f"Bearer {STATUS_KEY}"), ("authorization", f"Bearer {CALLER_KEY}")]
    answer = await call(House().gateway, "GET", "/status", headers=headers)
    assert answer.status == 401


async def test_P_05_status_key_asks_no_models() -> None:
    house = House(chat_answer())
    answer = await house.ask(STATUS_KEY)
    models = await call(house.gateway, "GET", "/v1/models", headers=bearer(STATUS_KEY))
    assert (answer.status, models.status, house.upstream.calls) == (401, 401, [])


async def test_operator_disables_resets_and_enables_an_account() -> None:
    house = House(chat_answer(), chat_answer())
    disabled = await house.look("POST", f"{ACCOUNT}/disable")
    assert (disabled.status, disabled.json()["state"], disabled.json()["reason"]) == (200, "disabled", "operator")
    assert (disabled.json()["until"], disabled.json()["opens_in_s"]) == (None, None)
    await house.ask()
    await house.ask()
    assert [account.completed for account in house.snapshot().accounts] == [0, 2]
    assert (await house.look("POST", f"{ACCOUNT}/reset")).json()["state"] == "disabled"
    assert (await house.look("POST", f"{ACCOUNT}/enable")).json()["state"] == "healthy"


async def test_what_is_done_by_hand_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="asgi_ds2api.status"):
        await House().look("POST", f"{ACCOUNT}/disable")
        await House().look(key="no")
    mine = [record.getMessage() for record in caplog.records if record.name == "asgi_ds2api.status"]
    assert mine == ["by hand: disable chat/a0", "refused: invalid_api_key"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/status/", 404, "unknown_url", None),
        ("GET", "/status/health", 404, "unknown_url", None),
        ("GET", "/status/accounts/chat/a0", 404, "unknown_url", None),
        ("POST", "/status/accounts/chat/a0/stop", 404, "unknown_url", None),
        ("POST", "/status/accounts/chat/a0/disable/", 404, "unknown_url", None),
        ("POST", "/status/accounts/chat/a9/disable", 404, "item_not_found", None),
        ("POST", "/status", 405, "method_not_allowed", "GET, HEAD"),
        ("GET", "/status/accounts/chat/a0/disable", 405, "method_not_allowed", "POST"),
        ("DELETE", "/status/accounts/chat/a0/disable", 405, "method_not_allowed", "POST"),
    ],
)
async def test_operator_is_told_what_is_wrong(
    method: str, path: str, status: int, code: str, allow: str | None
) -> None:  # fmt: skip
    answer = await House().look(method, path)
    error: Any = answer.json()["error"]
    assert (answer.status, error["code"], answer.header("allow")) == (status, code, allow)


async def test_B81_path_that_was_typed_otherwise_is_none() -> None:
    answer = await call(
        House().gateway,
        "POST",
        f"{ACCOUNT}/disable",
        raw_path=b"/status/accounts/chat%2fa0/disable",
        headers=bearer(STATUS_KEY),
    )
    assert answer.status == 404


async def test_head_has_no_body() -> None:
    answer = await House().look("HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("key", [STATUS_KEY, "no"])
async def test_caller_who_left_is_no_error(key: str) -> None:
    async with Exchange(House().gateway, "GET", "/status", headers=bearer(key), fails_send_at=0) as exchange:
        assert (await exchange.finish()).body == b""


async def test_route_lives_under_the_prefix_and_the_host_keeps_its_own() -> None:
    house = House()

    async def host(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    app = DS2APIMiddleware(host, gateway=house.gateway, prefix="/ai")
    ours = await call(app, "GET", "/ai/status", headers=bearer(STATUS_KEY))
    theirs = await call(app, "GET", "/status", headers=bearer(STATUS_KEY))
    assert (ours.status, theirs.status) == (200, 204)


# --- health -----------------------------------------------------------------------------------------------------------

HEALTHY = {"key": Secret(STATUS_KEY), "health": True}


async def test_health_is_told_to_everybody_where_that_is_configured() -> None:
    house = House(status=HEALTHY, accounts=1)
    ready = await call(house.gateway, "GET", "/status/health")
    assert (ready.status, ready.json()) == (200, {"live": True, "ready": True, "degraded": False})
    house.gateway.override("chat/a0", "disable")
    not_ready = await call(house.gateway, "GET", "/status/health")
    assert (not_ready.status, not_ready.json()) == (503, {"live": True, "ready": False, "degraded": False})


async def test_gateway_that_drains_is_not_ready_and_still_shows_itself() -> None:
    house = House(status=HEALTHY)
    await house.gateway.drain(0)
    health = await call(house.gateway, "GET", "/status/health")
    assert (health.status, (await house.look()).json()["is_draining"]) == (503, True)


async def test_health_opens_nothing_else() -> None:
    house = House(status=HEALTHY)
    assert (await call(house.gateway, "POST", "/status/health")).status == 405
    assert (await call(house.gateway, "GET", "/status")).status == 401
    assert (await call(house.gateway, "GET", "/status/health", raw_path=b"/status%2fhealth")).status == 401


# --- shared state -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Return where several workers keep their state."""
    if request.param == "sqlite":
        yield {"state": f"sqlite:{tmp_path}/state"}
        return
    with RedisServer() as server:
        yield {"state": server.url}


async def test_all_workers_obey_and_a_new_one_remembers(place: dict[str, Any]) -> None:
    one, two, three = House(**place), House(**place), House(**place)
    heard = asyncio.Event()
    async with one.gateway.lifespan(), two.gateway.lifespan():
        two.gateway._engine.store.watch(lambda scope, entry: heard.set())
        await one.look("POST", f"{ACCOUNT}/disable")
        async with time_limit():
            await heard.wait()
        assert two.snapshot().accounts[0].reason == "operator"
    async with three.gateway.lifespan():
        seen = three.snapshot()
    assert (seen.accounts[0].reason, seen.state.is_shared, seen.state.is_alone) == ("operator", True, False)
    assert place["state"].startswith(seen.state.kind)


async def test_what_one_worker_found_out_another_resets_for_all(place: dict[str, Any]) -> None:
    limited = answering({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "600"})
    one, two = House(limited, accounts=1, **place), House(accounts=1, **place)
    news = asyncio.Queue[str]()
    async with one.gateway.lifespan(), two.gateway.lifespan():
        for house in (one, two):
            house.gateway._engine.store.watch(lambda scope, entry: news.put_nowait(entry.state))
        await one.ask()
        async with time_limit():
            while two.snapshot().accounts[0].state != "cooling":
                await news.get()
        reset: Any = (await two.look("POST", f"{ACCOUNT}/reset")).json()
        async with time_limit():
            while one.snapshot().accounts[0].state != "healthy":
                await news.get()
    assert (reset["state"], one.snapshot().accounts[0].until) == ("healthy", None)


async def test_worker_that_served_nothing_yet_has_heard_of_the_others(place: dict[str, Any]) -> None:
    one, two = House(**place), House(**place)
    async with one.gateway.lifespan():
        await one.look("POST", f"{ACCOUNT}/disable")
        seen: Any = (await two.look()).json()
        await two.gateway._engine.store.close()
    assert seen["accounts"][0]["reason"] == "operator"


async def test_F107_worker_whose_shared_state_is_out_of_reach_is_ready_and_says_that_it_is_degraded(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").write_text("no file of SQLite's " * 20)
    house = House(state=f"sqlite:{tmp_path}/state", status=HEALTHY)
    before = house.gateway.status()["degraded"]
    health = await call(house.gateway, "GET", "/status/health")
    told = house.gateway.status()
    await house.gateway._engine.store.close()
    assert (health.status, health.json()) == (200, {"live": True, "ready": True, "degraded": True})
    assert (before, told["ready"], told["degraded"]) == (False, True, True)


async def test_operator_sees_that_shared_state_is_out_of_reach_and_steers_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no file of SQLite's " * 20)
    house = House(state=f"sqlite:{tmp_path}/state")
    await house.look("POST", f"{ACCOUNT}/disable")
    seen: Any = (await house.look()).json()
    await house.gateway._engine.store.close()
    assert (seen["accounts"][0]["reason"], seen["state"]["is_alone"], seen["state"]["switches"]) == (
        "operator",
        True,
        1,
    )
