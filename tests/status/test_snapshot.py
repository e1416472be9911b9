"""What an operator sees: everything that the parts of a gateway know, and no secret."""

import logging
from typing import Any

import msgspec
import pytest

from asgi_ds2api.auth import Caller
from asgi_ds2api.budgets import CallerLimits
from asgi_ds2api.errors import Unreachable
from asgi_ds2api.gateway import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.serving.spending import Spenders
from asgi_ds2api.state.contract import Cooldown, HealthScope
from asgi_ds2api.state.memory import MemoryStore
from asgi_ds2api.status.lines import account_line, duration, lines
from asgi_ds2api.status.snapshot import (
    AccountView,
    AffinityView,
    CallerView,
    LimitUse,
    ModelView,
    OriginView,
    Snapshot,
    StateView,
)
from tests.conformance.asking import chat_answer
from tests.support.asgi_driver import Exchange
from tests.support.canary import CANARY
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import NEVER, answering

from .house import CALLER_KEY, STATUS_KEY, WALL, House

pytestmark = pytest.mark.anyio

LIMITED = answering({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "60"})


async def test_accounts_tell_state_reason_time_and_counts() -> None:
    house = House(LIMITED, chat_answer())
    await house.ask()
    one, two = house.snapshot().accounts
    assert one.opens_in_s is not None
    assert one == AccountView(
        account="chat/a0",
        upstream="chat",
        label="a0",
        origin="http://127.0.0.1:9",
        weight=1.0,
        state="cooling",
        reason="rate_limited",
        until=WALL + one.opens_in_s,
        opens_in_s=one.opens_in_s,
        in_flight=0,
        max_in_flight=None,
        completed=0,
        failed=1,
        abandoned=0,
        requests_left=None,
        tokens_left=None,
        ewma_s=one.ewma_s,
    )
    assert 59 < one.opens_in_s <= 63
    assert (two.state, two.reason, two.until, two.opens_in_s, two.completed) == ("healthy", "", None, None, 1)
    assert one.ewma_s is not None
    assert two.ewma_s is not None


def test_account_that_is_closed_for_one_model_alone_says_for_which() -> None:
    clock = 1_000.0
    house = House(store=MemoryStore(lambda: clock), now=lambda: clock)
    closing = Cooldown(state="cooling", until=clock + 30, epoch=1, reason="rate_limited")
    house.gateway._engine.store.merge(HealthScope("model", "chat/a0", "big"), closing)
    (one, _) = house.snapshot().accounts
    assert (one.state, one.models) == (
        "healthy",
        (ModelView(model="big", state="cooling", reason="rate_limited", until=WALL + 30, opens_in_s=30.0),),
    )
    assert [line.split() for line in lines(house.snapshot()) if "big" in line] == [
        ["big", "cooling", "rate_limited", "30", "s"]
    ]


async def test_the_whole_is_told_in_numbers() -> None:
    house = House(LIMITED, chat_answer())
    await house.ask()
    seen = house.snapshot()
    assert (seen.at, seen.is_ready, seen.is_draining, seen.active, seen.waiting) == (WALL, True, False, 0, {})
    assert (seen.requests, seen.notices, seen.observer_failures) == ({"ok": 1}, {}, {})
    assert seen.transitions == {"healthy>cooling:rate_limited": 1}
    assert [origin.state for origin in seen.origins] == ["healthy"]
    assert seen.state == StateView(kind="memory", is_shared=False, is_alone=False, switches=0, dropped=0)


async def test_affinity_tells_how_often_a_conversation_found_its_account_again() -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 30}}
    house = House(*[chat_answer(usage=usage)] * 3)
    assert house.snapshot().affinity[0].hit_rate is None
    for _ in range(3):
        await house.ask(prompt_cache_key="one talk")
    (affinity,) = house.snapshot().affinity
    assert affinity == AffinityView(
        upstream="chat",
        began=1,
        followed=2,
        spilled=0,
        hit_rate=1.0,
        cached_rate=0.75,
        cached_tokens=90,
        saved_usd=0.0,
    )
    assert House(accounts=1).snapshot().affinity == ()


def test_gateway_without_an_open_account_is_not_ready() -> None:
    house = House(accounts=1)
    assert house.snapshot().is_ready
    house.gateway.override("chat/a0", "disable")
    assert not house.snapshot().is_ready


async def test_gateway_whose_only_server_is_closed_is_not_ready() -> None:
    house = House(*[Unreachable("no")] * 5, accounts=1)
    for _ in range(5):
        await house.ask()
    seen = house.snapshot()
    assert (seen.accounts[0].state, seen.origins[0].state, seen.is_ready) == ("healthy", "cooling", False)
    assert house.gateway.status()["ready"] is False
    house.gateway.override("chat/a0", "reset")
    assert house.snapshot().is_ready


def test_store_of_the_application_is_called_other() -> None:
    gateway = Gateway({"auth": "none", "upstreams": [upstream("chat")]}, store=MemoryStore(lambda: 0.0))
    assert gateway.snapshot().state.kind == "other"


async def test_limits_left_are_told_where_there_are_limits() -> None:
    house = House(chat_answer())
    gateway = make_gateway(upstream("chat", concurrency=3, rpm=60, tpm=1_000))
    (account,) = gateway.snapshot().accounts
    assert (account.max_in_flight, account.requests_left, account.tokens_left) == (3, 60, 1_000)
    assert house.snapshot().accounts[0].requests_left is None


async def test_callers_tell_what_they_used_and_when_it_comes_back() -> None:
    limits = {"concurrency": 2, "rpm": 60, "tpm": 10_000, "tokens_per_day": 5_000, "usd_per_month": 10}
    store = MemoryStore(lambda: 1_000.0)
    house = House(chat_answer(), store=store, limits=limits, prices=[{"model": "m", "input": 1e5, "output": 1e4}])
    assert (await house.ask(max_tokens=9)).status == 200
    assert house.snapshot().callers == (
        CallerView(
            caller="bob",
            in_flight=0,
            max_in_flight=2,
            limits=(
                LimitUse(unit="requests", period="minute", used=1.0, limit=60.0, resets_at=None),
                LimitUse(unit="tokens", period="minute", used=5.0, limit=10_000.0, resets_at=None),
                LimitUse(unit="tokens", period="day", used=5.0, limit=5_000.0, resets_at=1_790_035_200),
                LimitUse(unit="usd", period="month", used=0.32, limit=10.0, resets_at=1_790_812_800),
            ),
        ),
    )


async def test_caller_without_limits_or_who_was_not_here_is_not_listed() -> None:
    free, absent = House(chat_answer()), House(limits={"rpm": 60})
    await free.ask()
    assert (free.snapshot().callers, absent.snapshot().callers) == ((), ())


async def test_requests_that_are_under_way_are_counted() -> None:
    house = House(NEVER, limits={"concurrency": 1})
    body = {"model": "chat/m", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"authorization": f"Bearer {CALLER_KEY}"}
    async with Exchange(house.gateway, "POST", "/v1/chat/completions", json=body, headers=headers):
        await house.upstream.wait_calls(1)
        refused = await house.ask()
        seen = house.snapshot()
    assert refused.status == 429
    assert (seen.active, seen.accounts[0].in_flight, seen.callers[0].in_flight) == (1, 1, 1)
    after = house.snapshot()
    assert (after.active, after.accounts[0].in_flight, after.callers[0].in_flight) == (0, 0, 0)


def test_callers_that_are_remembered_are_bounded() -> None:
    spenders = Spenders(most=2)
    for label in ("anna", "bob", "anna", "eve"):
        spenders.seen(Caller(label=label, limits=CallerLimits(rpm=1)))
    spenders.begin("bob")
    spenders.end("bob")
    assert [label for label, _ in spenders] == ["anna", "eve"]
    assert (spenders.in_flight("bob"), len(spenders._in_flight)) == (0, 0)


async def test_P_02_no_secret_is_in_it(caplog: pytest.LogCaptureFixture) -> None:
    house = House(LIMITED, chat_answer(), limits={"rpm": 60})
    with caplog.at_level(logging.DEBUG):
        await house.ask()
        await house.look()
        await house.look("POST", "/status/accounts/chat/a0/disable")
        await house.look(key="wrong-key-of-a-stranger")
    seen = house.snapshot()
    everything = msgspec.json.encode(seen).decode() + repr(seen) + "\n".join(lines(seen)) + repr(house.gateway.config)
    everything += "".join(record.getMessage() + repr(record.__dict__) for record in caplog.records)
    for secret in (CANARY, STATUS_KEY, CALLER_KEY, "wrong-key-of-a-stranger", Secret(STATUS_KEY).digest().hex()):
        assert secret not in everything


# --- as people read it ------------------------------------------------------------------------------------------------


def account(label: str, **fields: Any) -> AccountView:
    whole: dict[str, Any] = {
        "account": f"chat/{label}",
        "upstream": "chat",
        "label": label,
        "origin": "https://api.example:443",
        "weight": 1.0,
        "state": "healthy",
        "in_flight": 0,
        "max_in_flight": None,
        "completed": 12,
        "failed": 1,
        "abandoned": 0,
        "requests_left": None,
        "tokens_left": None,
        "ewma_s": None,
    }
    return AccountView(**{**whole, **fields})


def seen(**fields: Any) -> Snapshot:
    whole: dict[str, Any] = {
        "at": WALL,
        "is_ready": True,
        "is_draining": False,
        "active": 3,
        "waiting": {"chat": 4},
        "accounts": (),
        "origins": (),
        "affinity": (),
        "callers": (),
        "state": StateView(kind="redis", is_shared=True, is_alone=False, switches=0, dropped=0),
        "requests": {},
        "notices": {},
        "hedges": {},
        "observer_failures": {},
        "transitions": {},
    }
    return Snapshot(**{**whole, **fields})


def test_people_read_tables() -> None:
    cooling: dict[str, Any] = {"state": "cooling", "reason": "rate_limited", "until": WALL + 59, "opens_in_s": 59.2}
    text = "\n".join(
        lines(
            seen(
                accounts=(
                    account("a0", in_flight=2, max_in_flight=4, requests_left=58, tokens_left=12_000, ewma_s=0.4123),
                    account("a1", **cooling),
                    account("a2", state="disabled", reason="operator"),
                ),
                origins=(OriginView(origin="https://api.example:443", **cooling),),
                affinity=(
                    AffinityView(
                        upstream="chat",
                        began=1,
                        followed=3,
                        spilled=1,
                        hit_rate=0.75,
                        cached_rate=None,
                        cached_tokens=0,
                        saved_usd=1.239,
                    ),
                ),
                callers=(
                    CallerView(
                        caller="bob",
                        in_flight=1,
                        max_in_flight=None,
                        limits=(
                            LimitUse(unit="requests", period="minute", used=2.955212739, limit=60, resets_at=None),
                            LimitUse(unit="tokens", period="day", used=1_234_567.0, limit=2e6, resets_at=WALL),
                            LimitUse(unit="usd", period="day", used=1.254999, limit=25, resets_at=WALL),
                        ),
                    ),
                ),
            )
        )
    )
    assert (
        text
        == """\
ready; 3 active; state: redis

accounts
  account  state     reason        opens in  in flight  done/failed  left                        begins in
  chat/a0  healthy   -             -         2/4        12/1         58 requests, 12,000 tokens  0.41 s
  chat/a1  cooling   rate_limited  60 s      0          12/1         -                           -
  chat/a2  disabled  operator      -         0          12/1         -                           -

closed servers
  server                   state    reason        opens in
  https://api.example:443  cooling  rate_limited  60 s

upstreams
  upstream  waiting  hit rate  cached  saved
  chat      4        75%       -       1.24 usd

callers
  caller  in flight  used
  bob     1          3 of 60 requests a minute, 1,234,567 of 2,000,000 tokens a day, 1.25 of 25 usd a day"""
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"is_draining": True}, "draining; 3 active; state: redis"),
        ({"is_ready": False}, "no account may be used; 3 active; state: redis"),
        (
            {"state": StateView(kind="redis", is_shared=True, is_alone=True, switches=1, dropped=0)},
            "ready; 3 active; state: redis, out of reach: this process decides alone",
        ),
    ],
)
def test_first_line_tells_how_the_gateway_is(fields: dict[str, Any], line: str) -> None:
    assert list(lines(seen(**fields))) == [line]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.1, "1 s"), (59.0, "59 s"), (119.5, "120 s"), (120.0, "2 min"), (7_199.0, "120 min"),
     (7_200.0, "2 h"), (86_400.0, "24 h"), (172_800.0, "2 d"), (1e7, "116 d")],
)  # fmt: skip
def test_durations_are_told_in_units_that_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_account_is_told_in_a_line() -> None:
    assert account_line(account("a0")) == "chat/a0: healthy"
    assert account_line(account("a0", state="disabled", reason="operator")) == "chat/a0: disabled (operator)"
    cooling = account("a0", state="cooling", reason="slow", until=WALL, opens_in_s=3.0)
    assert account_line(cooling) == "chat/a0: cooling (slow), opens in 3 s"
