"""What a caller's limits mean: what is reserved, what is put right, and what a refusal says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.budgets import CallerLimits, Use, admission, corrections, refused
from asgi_ds2api.errors import CallerBudgetSpent, CallerLimited
from asgi_ds2api.state.contract import NotAdmitted

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC).timestamp()
ALL = CallerLimits(
    concurrency=2, rpm=60, tpm=1_000, tokens_per_day=5_000, tokens_per_month=9_000, usd_per_day=1, usd_per_month=10
)
USE = Use(tokens=300, usd=0.5)


def amounts(limits: CallerLimits, use: Use = USE, now: float = NOON) -> dict[str, tuple[float, float, float]]:
    return {
        amount.name: (amount.amount, amount.limit, amount.life_s)
        for amount in admission("one", "bob", limits, use, now).amounts
    }


def test_each_limit_asks_for_its_own_amount_until_its_own_end() -> None:
    assert amounts(ALL) == {
        "requests minute of bob": (1, 60, 60),
        "tokens minute of bob": (300, 1_000, 60),
        "tokens day 2026-02-28 of bob": (300, 5_000, 12 * 3_600),
        "tokens month 2026-02 of bob": (300, 9_000, 12 * 3_600),
        "usd day 2026-02-28 of bob": (0.5, 1, 12 * 3_600),
        "usd month 2026-02 of bob": (0.5, 10, 12 * 3_600),
    }


def test_what_is_not_limited_is_not_asked_for() -> None:
    assert list(amounts(CallerLimits(rpm=60))) == ["requests minute of bob"]
    assert admission("one", "bob", CallerLimits(rpm=60), USE, NOON).slots == ()


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_period_ends_when_the_next_one_begins(moment: datetime) -> None:
    now = moment.timestamp()
    lives = {name.split()[1]: life_s for name, (_, _, life_s) in amounts(ALL, now=now).items()}
    day, month = (datetime.fromtimestamp(now + lives[name], UTC) for name in ("day", "month"))
    assert (day.hour, day.minute, day.second) == (0, 0, 0)
    assert (month.day, month.hour, month.minute) == (1, 0, 0)
    assert 0 < lives["day"] <= 86_400
    assert 0 < lives["month"] <= 31 * 86_400


def test_price_that_nobody_knows_reserves_no_money() -> None:
    assert amounts(CallerLimits(usd_per_day=1, tpm=9), Use(tokens=5)) == {
        "tokens minute of bob": (5, 9, 60),
        "usd day 2026-02-28 of bob": (0.0, 1, 12 * 3_600),
    }


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        pytest.param(USE, {}, id="as estimated"),
        pytest.param(Use(tokens=100, usd=0.1), {"tokens": -200, "usd": -0.4}, id="less"),
        pytest.param(Use(tokens=400, usd=0.75), {"tokens": 100, "usd": 0.25}, id="more"),
        pytest.param(Use(tokens=0), {"tokens": -300, "usd": -0.5}, id="R-45-nothing: the request failed"),
    ],
)
def test_what_was_reserved_is_put_right_and_the_request_itself_counts(used: Use, expected: dict[str, float]) -> None:
    added = corrections(admission("one", "bob", ALL, USE, NOON), USE, used)
    assert {amount.name.split()[0]: pytest.approx(amount.amount) for amount in added} == expected


def refusal(name: str, wait_s: float) -> CallerLimited | CallerBudgetSpent:
    error = refused(NotAdmitted(name, wait_s), admission("one", "bob", ALL, USE, NOON), NOON)
    assert isinstance(error, CallerLimited | CallerBudgetSpent)
    return error


def test_a_refusal_says_which_limit_and_what_to_do() -> None:
    minute, slots = refusal("requests minute of bob", 2.5), refusal("caller bob", 1.0)
    assert (minute.status, minute.retry_after_s, slots.retry_after_s) == (429, 2.5, 1.0)
    assert minute.message == "This key may use 60 requests a minute. Try again later."
    assert slots.message == "This key may have 2 requests at a time, and has them. Wait until one has ended."


def test_a_spent_budget_says_when_it_begins_anew_and_that_a_repetition_is_of_no_use() -> None:
    error = refusal("tokens day 2026-02-28 of bob", 12 * 3_600)
    assert (error.status, error.retry_after_s, error.should_retry) == (429, None, False)
    assert error.message == (
        "This key's budget of 5,000 tokens for this day does not suffice for this request. It begins anew at "
        "2026-03-01 00:00 UTC."
    )
