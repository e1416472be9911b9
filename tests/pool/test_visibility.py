"""What an operator sees of the pool, and what nobody must see."""

import logging

import msgspec
import pytest

from asgi_ds2api.errors import QuotaExhausted, RateLimited
from asgi_ds2api.pool.model import Account, AccountStatus, ModelStatus, Origin, OriginStatus
from asgi_ds2api.secret import Secret

from .rig import HOME, Rig, accounts
from .verdicts import limited

CANARY = "sk-canary-0123456789"


class Key:
    """A source that gives its key away wherever it is printed."""

    async def current(self) -> Secret:
        return Secret(CANARY)

    def __repr__(self) -> str:
        return CANARY


def test_a_snapshot_says_how_every_account_is() -> None:
    rig = Rig(2)
    rig.attempt(limited(7), "openai/big")
    rig.attempt(limited(7, by_model=True), "openai/big")
    rig.acquire("openai/small")
    rig.clock.now += 2
    assert rig.pool.snapshot().accounts == (
        AccountStatus(
            upstream="openai",
            label="0",
            origin="https://api.example:443",
            weight=1.0,
            state="cooling",
            reason="rate_limited",
            opens_in_s=5.0,
            in_flight=0,
            completed=0,
            failed=1,
            abandoned=0,
            ewma_s=1.0,
        ),
        AccountStatus(
            upstream="openai",
            label="1",
            origin="https://api.example:443",
            weight=1.0,
            state="healthy",
            reason="",
            opens_in_s=0.0,
            in_flight=1,
            completed=0,
            failed=1,
            abandoned=0,
            ewma_s=1.0,
            models=(ModelStatus(model="big", state="cooling", reason="rate_limited", opens_in_s=5.0),),
        ),
    )


def test_a_snapshot_says_how_every_origin_is() -> None:
    elsewhere = Origin("http", "::1", 8080)
    rig = Rig([*accounts(2), *accounts(1, "local", elsewhere)])
    assert rig.pool.snapshot().origins == (
        OriginStatus(origin="https://api.example:443", state="healthy", reason="", opens_in_s=0.0),
        OriginStatus(origin="http://[::1]:8080", state="healthy", reason="", opens_in_s=0.0),
    )


def test_a_model_that_recovered_is_no_news() -> None:
    rig = Rig(1)
    rig.attempt(limited(7, by_model=True))
    rig.clock.now += 7
    rig.attempt()
    assert rig.status().models == ()


def test_every_transition_is_counted() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    rig.attempt(QuotaExhausted("pay"))
    rig.clock.now += 1_800
    rig.attempt()
    assert rig.pool.snapshot().transitions == {
        "healthy>cooling:rate_limited": 1,
        "cooling>probing:rate_limited": 1,
        "probing>disabled:quota": 1,
        "disabled>probing:quota": 1,
        "probing>healthy:quota": 1,
    }


def test_every_transition_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(1)
    with caplog.at_level(logging.DEBUG, logger="asgi_ds2api.pool"):
        rig.attempt(limited(7))
        rig.clock.now += 7
        rig.attempt(QuotaExhausted("pay"))
        rig.clock.now += 1_800
        rig.attempt()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "account openai/0: healthy -> cooling, opens in 7.0 s (rate_limited)"),
        ("DEBUG", "account openai/0: cooling -> probing, opens in 35.0 s (rate_limited)"),
        ("ERROR", "account openai/0: probing -> disabled, opens in 1800.0 s (quota)"),
        ("DEBUG", "account openai/0: disabled -> probing, opens in 35.0 s (quota)"),
        ("INFO", "account openai/0: probing -> healthy, opens in 0.0 s (quota)"),
    ]


def test_probe_that_found_nothing_out_is_told_quietly(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 8
    caplog.clear()
    with caplog.at_level(logging.DEBUG, logger="asgi_ds2api.pool"):
        rig.pool.abandon(rig.acquire())
    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG"]


def test_a_longer_pause_is_no_transition(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(1)
    first, second = rig.acquire(), rig.acquire()
    rig.pool.release(first, limited(7))
    caplog.clear()
    rig.pool.release(second, RateLimited("limit", retry_after_s=60))
    assert (caplog.records, rig.status().opens_in_s) == ([], 60.0)


def test_a_line_names_its_scope_in_fields(caplog: pytest.LogCaptureFixture) -> None:
    Rig(1).attempt(limited(7, by_model=True), "openai/big")
    fields = vars(caplog.records[0])
    expected = {
        "scope": "model",
        "scope_name": "openai/0",
        "model": "big",
        "state": "cooling",
        "reason": "rate_limited",
        "opens_in_s": 7.0,
        "epoch": 1,
    }
    assert {name: fields[name] for name in expected} == expected


def test_a_lease_that_comes_back_twice_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(1)
    lease = rig.acquire()
    rig.pool.release(lease)
    rig.pool.release(lease)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "lease 1 on openai/0 was given back twice")
    ]


def test_no_key_is_in_a_snapshot_a_repr_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig([Account(upstream="openai", label="main", origin=HOME, key=Key())])
    with caplog.at_level(logging.DEBUG, logger="asgi_ds2api.pool"):
        rig.attempt(limited(7))
        rig.clock.now += 7
        lease = rig.acquire()
        rig.pool.release(lease)
        rig.pool.release(lease)
    seen = [
        msgspec.json.encode(rig.pool.snapshot()).decode(),
        repr(rig.pool.snapshot()),
        repr(lease),
        repr(rig.accounts),
        repr(rig.bound("openai/main")),
        *(f"{record.getMessage()} {vars(record)}" for record in caplog.records),
    ]
    assert [text for text in seen if CANARY in text] == []
