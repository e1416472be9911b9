"""How many retries an origin bears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.pool.retry_budget import CHANGES, RETRIES, Allowance, RetryBudget


def spend(budget: RetryBudget, now: float) -> tuple[int, RetryBudget]:
    """Withdraw until there is nothing left; return how often that went."""
    count = 0
    while (left := budget.withdraw(now)) is not None:
        budget, count = left, count + 1
    return count, budget


def after(firsts: int, now: float = 100.0) -> RetryBudget:
    budget = RetryBudget()
    for _ in range(firsts):
        budget = budget.deposit(now)
    return budget


def test_a_quiet_gateway_may_retry_a_little() -> None:
    assert spend(RetryBudget(), 100.0)[0] == 3


def test_the_reserve_refills_by_one_a_second() -> None:
    _, empty = spend(RetryBudget(), 100.0)
    assert [spend(empty, 100.0 + s)[0] for s in (0.5, 1.0, 2.5, 60.0)] == [0, 1, 2, 3]


def test_five_first_attempts_pay_for_one_retry() -> None:
    assert [spend(after(n), 100.0)[0] - 3 for n in (4, 5, 9, 10, 100)] == [0, 1, 1, 2, 20]


def test_what_was_paid_in_is_lost_after_ten_seconds() -> None:
    assert [spend(after(100), 100.0 + s)[0] for s in (0.0, 4.9, 10.0, 60.0)] == [23, 23, 3, 3]


def test_the_older_half_is_spent_first() -> None:
    budget = after(5, now=100.0)
    for _ in range(5):
        budget = budget.deposit(105.0)
    first = budget.withdraw(105.0)
    assert first is not None
    assert (first.old, first.young) == (0, 5)


def test_what_was_not_made_pays_for_nothing() -> None:
    budget = after(9)
    for _ in range(5):
        budget = budget.take_back(105.0)  # four of the young half's nine are left
    assert (budget.young, budget.old, spend(budget, 105.0)[0]) == (0, 4, 3)


def test_what_has_paid_for_a_retry_and_was_not_made_is_owed() -> None:
    budget = after(5).withdraw(100.0)
    assert budget is not None
    for _ in range(5):
        budget = budget.take_back(100.0)
    assert spend(budget, 100.0)[0] == 2


def test_R_43_changes_of_keys_come_in_bursts_and_are_rare() -> None:
    budget = RetryBudget(CHANGES)
    assert spend(budget, 100.0)[0] == 10
    for _ in range(100):
        budget = budget.deposit(100.0)
    assert spend(budget, 100.0)[0] == 14


@pytest.mark.parametrize("allowance", [RETRIES, CHANGES], ids=["retries", "changes"])
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 8, allow_subnormal=False), st.sampled_from(["first", "further", "not made"])),
        max_size=200,
    ),
)
def test_I5_I6_further_attempts_never_exceed_their_part_of_the_first_ones_and_the_reserve(
    allowance: Allowance, steps: list[tuple[float, str]]
) -> None:
    """Over the whole life; the reserve refills by one a second, and what is owed comes out of it first."""
    now = start = 100.0
    budget, firsts, further = RetryBudget(allowance), 0, 0
    for wait_s, step in steps:
        now += wait_s
        if step == "further":
            left = budget.withdraw(now)
            further += left is not None
            budget = left or budget
        elif step == "first":
            firsts += 1
            budget = budget.deposit(now)
        elif firsts:
            firsts -= 1
            budget = budget.take_back(now)
        assert min(budget.old, budget.young) >= 0
        reserve = max(allowance.reserve, budget.borrowed)
        assert further <= firsts / allowance.firsts + reserve + (now - start) + 1e-9
