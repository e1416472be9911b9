"""Accounts that were disabled come back by themselves: who is probed, when, and what the answers mean."""

import logging
from typing import Any

import anyio
import pytest

from asgi_ds2api.errors import Malformed, NoCapacity, Unreachable
from asgi_ds2api.pool.model import Target
from asgi_ds2api.presets import PRESETS
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import PROTOCOLS as CODECS
from asgi_ds2api.serving.waiting import lease_for
from asgi_ds2api.state.contract import Cooldown, HealthScope
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.upstream.contract import UpstreamRequest
from tests.pool.verdicts import limited
from tests.support.canary import CANARY
from tests.support.gateways import loop_time
from tests.support.scripted_client import NEVER, Answering, Delay, Script, answering
from tests.support.virtual_time import run_virtual

from .rig import BAD, FAILS, GOOD, House, knows, probers, shows_key

HOUR = 3_600.0
DAY = 24 * HOUR
HTML = answering(b"<html>Attention required", status=403, headers={"content-type": "text/html"})


# --- a key ------------------------------------------------------------------------------------------------------------


@run_virtual
async def test_F100_S_6_refused_key_is_good_again_without_a_request() -> None:
    house = House(knows())
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(899)
        assert (house.states, house.is_ready, house.asked) == (["disabled"], False, [])
        await house.at(901)
        assert (house.states, house.is_ready, house.asked) == (["healthy"], True, [900])
        assert [shows_key(call.request) for call in house.upstream.calls] == [True, False]
        assert house.upstream.still_open == 0


@run_virtual
async def test_F100_S_6_refused_key_is_asked_later_each_time() -> None:
    house = House(knows(*[BAD] * 9))
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(8 * DAY)
        waits = [900, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400, 86_400, 86_400]
        assert house.asked == [sum(waits[: number + 1]) for number in range(len(waits))]
        assert (house.states, house.is_ready) == (["healthy"], True)


@run_virtual
async def test_F100_probes_go_on_while_every_account_is_disabled() -> None:
    house = House(knows(*[BAD] * 20), accounts=3)
    async with house.gateway.lifespan():
        for number in range(3):
            house.refuse(number)
        with pytest.raises(NoCapacity):
            house.pool.acquire(house.pool.plan([Target(upstream="chat", model="m")]))
        await house.at(3_000)
        assert (house.asked, house.is_ready) == ([900] * 3 + [2_700] * 3, False)
        keys = [call.header("authorization") for call in house.upstream.calls]
        assert keys == [f"Bearer {CANARY}-{number}" for number in range(3)] * 2


ASKED = {
    "chat": ("http://127.0.0.1:9/v1/models", "authorization"),
    "responses": ("http://127.0.0.1:9/v1/models", "authorization"),
    "claude": ("http://127.0.0.1:9/v1/models", "x-api-key"),
    "gemini": ("http://127.0.0.1:9/v1beta/models", "x-goog-api-key"),
    "ollama": ("http://127.0.0.1:9/api/tags", "authorization"),
}


@pytest.mark.parametrize("name", ASKED)
@run_virtual
async def test_S_6_key_is_asked_about_in_the_words_of_its_vendor_and_for_nothing(name: str) -> None:
    house = House(knows(), name=name)
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(901)
    url, header = ASKED[name]
    first, second = house.upstream.calls
    assert [(call.request.method, call.request.url, call.request.body) for call in (first, second)] == [
        ("GET", url, b"")
    ] * 2
    assert (first.header(header) or "").endswith(f"{CANARY}-0")
    assert second.header(header) is None
    assert first.header("anthropic-version") == ("2023-06-01" if name == "claude" else None)
    assert house.states == ["healthy"]


@pytest.mark.parametrize(
    ("profile", "path"),
    [
        ("openai", "/models"),
        ("azure", "/openai/models"),
        ("openrouter", "/key"),
        ("anthropic", "/v1/models"),
        ("gemini", "/v1beta/models"),
        ("vertex", None),
    ],
)
def test_S_6_vendors_whose_list_stands_elsewhere_are_known(profile: str, path: str | None) -> None:
    protocol = {preset.profile: preset.protocol for preset in PRESETS.values()}.get(profile, "gemini_generate")
    call = CODECS[protocol].encode_key_check(PROFILES[profile])
    assert (call.path if call else None) == path


# --- what is no word about a key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unheard",
    [
        pytest.param(FAILS, id="S-6-500"),
        pytest.param(Answering(502), id="S-6-502"),
        pytest.param(answering({"error": {"message": "busy"}}, status=529), id="S-6-529"),
        pytest.param(answering({"error": {"message": "slow down"}}, status=429), id="S-6-429"),
        pytest.param(Answering(302, {"location": "/login"}), id="S-6-redirect"),
        pytest.param(HTML, id="S-6-firewall"),
        pytest.param(answering(b"<html>", headers={"content-type": "text/html"}), id="S-6-page"),
        pytest.param(Unreachable("no"), id="S-6-network"),
        pytest.param(Malformed("no"), id="S-6-no-http"),
        pytest.param(NEVER, id="S-6-silence"),
    ],
)
@run_virtual
async def test_S_6_what_says_nothing_of_the_key_is_asked_again_after_the_first_wait(unheard: Script) -> None:
    house = House(unheard, BAD, unheard, GOOD, BAD)
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(930)
        (account,) = house.accounts
        assert (account.state, account.reason, house.is_ready) == ("disabled", "auth", False)
        assert house.pool.snapshot().origins[0].state == "healthy"
        await house.at(2 * HOUR)
        took_s = 20 if unheard is NEVER else 0  # until nobody waits for it any more
        times = [900, 1_800 + took_s, 3_600 + took_s, 4_500 + 2 * took_s]
        assert (house.asked, house.states) == (times, ["healthy"]), "the second wait is that of a second refusal"


@run_virtual
async def test_S_6_server_that_fails_who_shows_no_key_says_nothing() -> None:
    house = House(GOOD, FAILS, GOOD, BAD)
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(901)
        assert house.states == ["disabled"]
        await house.at(1_801)
        assert (house.states, house.asked) == (["healthy"], [900, 1_800])


@run_virtual
async def test_S_6_key_that_its_application_cannot_give_is_no_refusal() -> None:
    def no_key() -> str:
        raise OSError("the vault is sealed")

    house = House(knows(), fields={"accounts": [{"label": "a0", "key": no_key}]})
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(DAY)
        assert (house.states, house.asked) == (["disabled"], [])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param((GOOD, GOOD), id="S-6-list-is-public"),
        pytest.param((answering({"error": {"message": "no such path"}}, status=404),), id="S-6-no-list"),
    ],
)
@run_virtual
async def test_S_6_where_nothing_can_be_found_out_a_request_does(answers: tuple[Answering, ...]) -> None:
    house = House(*answers)
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(DAY)
        assert (house.states, house.asked, probers()) == (["disabled"], [900], [])
        assert house.is_ready, "the request that finds out must not be kept away"
        plan = house.pool.plan([Target(upstream="chat", model="m")])
        house.pool.release(house.pool.acquire(plan))
        assert house.states == ["healthy"]


# --- who is not asked in this way -------------------------------------------------------------------------------------


@run_virtual
async def test_S_6_money_is_found_out_about_by_a_request_alone() -> None:
    house = House(knows())
    async with house.gateway.lifespan():
        house.spend()
        await house.at(1_799)
        assert (house.states, house.is_ready, probers()) == (["disabled"], False, [])
        await house.at(2 * HOUR)
        assert (house.states, house.is_ready, house.asked) == (["disabled"], True, [])
        lease = house.pool.acquire(house.pool.plan([Target(upstream="chat", model="m")]))
        assert (house.states, house.is_ready) == (["probing"], False)
        house.pool.release(lease)
        assert (house.states, house.is_ready) == (["healthy"], True)


@run_virtual
async def test_S_6_key_that_turns_out_to_be_without_money_waits_for_a_request() -> None:
    house = House(answering({"error": {"code": "insufficient_quota", "message": "quota"}}, status=429))
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(2 * DAY)
        assert (house.accounts[0].reason, house.asked, probers()) == ("quota", [900], [])


@run_virtual
async def test_F100_account_that_an_operator_disabled_is_never_probed() -> None:
    house = House(knows(), accounts=2)
    async with house.gateway.lifespan():
        house.gateway.override("chat/a0", "disable")
        house.refuse(1)
        house.gateway.override("chat/a1", "disable")
        await house.at(30 * DAY)
        assert (house.states, house.asked, house.is_ready, probers()) == (["disabled"] * 2, [], False, [])


@pytest.mark.parametrize(
    ("general", "fields"), [(False, {}), (True, {"auto_reenable": False})], ids=["S-6-general", "S-6-upstream"]
)
@run_virtual
async def test_without_auto_reenable_only_an_operator_brings_an_account_back(
    general: bool, fields: dict[str, Any]
) -> None:
    house = House(knows(), accounts=2, fields=fields, auto_reenable=general)
    async with house.gateway.lifespan():
        house.refuse(0)
        house.spend(1)
        await house.at(30 * DAY)
        assert (house.states, house.asked, house.is_ready, probers()) == (["disabled"] * 2, [], False, [])
        with pytest.raises(NoCapacity) as caught:
            house.pool.acquire(house.pool.plan([Target(upstream="chat", model="m")]))
        assert caught.value.retry_after_s == 60
        assert [view.until for view in house.gateway.snapshot().accounts] == [None, None]
        house.gateway.override("chat/a0", "enable")
        assert house.states == ["disabled"] * 2, "enable takes back what a hand did, and nothing else"
        house.gateway.override("chat/a0", "reset")
        assert (house.states, house.is_ready) == (["healthy", "disabled"], True)


@run_virtual
async def test_upstream_may_come_back_where_the_others_do_not() -> None:
    house = House(knows(), fields={"auto_reenable": True}, auto_reenable=False)
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(901)
        assert house.states == ["healthy"]


@run_virtual
async def test_account_without_auto_reenable_still_cools_and_opens() -> None:
    house = House(auto_reenable=False)
    house.refuse(0, limited(7))
    await house.at(8)
    assert house.is_ready
    house.refuse(0, limited(7))
    assert house.states == ["cooling"]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"accounts": None}, id="no-key"),
        pytest.param({"profile": {"path": "/talk/{model}"}}, id="no-list"),
    ],
)
@run_virtual
async def test_account_of_which_nothing_can_be_asked_is_left_to_requests(fields: dict[str, Any]) -> None:
    house = House(fields=fields)
    async with house.gateway.lifespan():
        (account,) = house.accounts
        house.refuse(label=account.label)
        await house.at(DAY)
        assert (house.states, probers(), house.is_ready) == (["disabled"], [], True)


@run_virtual
async def test_profile_names_what_is_asked_where_it_is_not_the_list_of_models() -> None:
    house = House(knows(), fields={"profile": {"path": "/talk/{model}", "check_path": "/whoami", "query": {"v": "2"}}})
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(901)
    assert [call.request.url for call in house.upstream.calls] == ["http://127.0.0.1:9/v1/whoami?v=2"] * 2


# --- among others -----------------------------------------------------------------------------------------------------


@run_virtual
async def test_account_whose_server_is_closed_waits_for_it() -> None:
    house = House(knows())
    async with house.gateway.lifespan():
        house.refuse()
        house.gateway._engine.store.merge(
            HealthScope("origin", "http://127.0.0.1:9"),
            Cooldown(state="cooling", until=loop_time() + 1_000, epoch=1, reason="unreachable"),
        )
        await house.at(999)
        assert house.asked == []
        await house.at(1_001)
        assert (house.asked, house.states, house.pool.snapshot().origins[0].state) == ([1_000], ["healthy"], "healthy")


@run_virtual
async def test_server_that_hangs_keeps_no_more_than_eight_probes_at_a_time() -> None:
    house = House(lambda _: NEVER, accounts=10)
    async with house.gateway.lifespan():
        for number in range(10):
            house.refuse(number)
        await house.at(950)
        assert house.asked == [900] * 8 + [920] * 2
        assert set(house.states) == {"disabled"}


@run_virtual
async def test_request_in_line_is_served_the_moment_its_account_comes_back() -> None:
    slowly = [Answering(200, before=[Delay(0.6)]), Answering(401, before=[Delay(0.6)])]
    house = House(*slowly, accounts=2, fields={"concurrency": 1})
    plan = house.pool.plan([Target(upstream="chat", model="m")])
    async with house.gateway.lifespan():
        house.refuse(0)
        await house.at(900.1)  # the probe is on its way
        busy = house.pool.acquire(plan)
        lease = await lease_for(house.pool, plan, 10)
        assert lease.candidate.account.label == "a0"
        assert anyio.current_time() == pytest.approx(house.began + 901.2)
        assert [account.in_flight for account in house.accounts] == [1, 1], "a probe takes no place"
        house.pool.release(lease)
        house.pool.release(busy)
        assert [account.completed for account in house.accounts] == [1, 1], "and is no attempt"


@run_virtual
async def test_F100_account_that_an_operator_resets_is_asked_nothing() -> None:
    house = House(knows())
    async with house.gateway.lifespan():
        house.refuse()
        await house.at(899)
        house.gateway.override("chat/a0", "reset")
        assert (house.states, house.is_ready) == (["healthy"], True)
        await house.at(DAY)
        assert (house.asked, probers()) == ([], [])


@run_virtual
async def test_what_a_store_knows_from_before_is_probed_as_well() -> None:
    store = MemoryStore(loop_time)
    store.merge(
        HealthScope("account", "chat/a0"), Cooldown(state="disabled", until=loop_time() + 60, epoch=3, reason="auth")
    )
    house = House(knows(), store=store)
    assert probers() == []
    async with house.gateway.lifespan():
        await house.at(61)
        assert (house.asked, house.states) == ([60], ["healthy"])


@run_virtual
async def test_P_02_no_key_is_in_a_log_though_servers_repeat_it(caplog: pytest.LogCaptureFixture) -> None:
    def repeats(request: UpstreamRequest) -> Script:
        shown = next((value for name, value in request.headers if name == b"authorization"), b"").decode()
        status = 401 if len(house.upstream.calls) < 2 else 500
        return answering({"error": {"message": f"Incorrect API key provided: {shown}"}}, status=status)

    house = House(repeats)
    with caplog.at_level(logging.DEBUG):
        async with house.gateway.lifespan():
            house.refuse()
            await house.at(DAY)
    assert len(house.asked) > 3
    told = "".join(record.getMessage() + repr(record.__dict__) for record in caplog.records)
    assert CANARY not in told + repr(house.gateway.snapshot()) + repr(house.gateway.status())
