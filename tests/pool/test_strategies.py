"""Who is next under each strategy, as far as it is more than turns and weights (those are in test_choice)."""

from collections import Counter
from itertools import cycle
from math import exp
from random import Random

import pytest

from asgi_ds2api.errors import PoolExhausted, Refused, ServerFault
from asgi_ds2api.pool.strategies import DECAY_S, Latency, load

from .rig import Rig, accounts
from .verdicts import limited

# --- fill_first -------------------------------------------------------------------------------------------------------


def test_the_first_account_is_filled_before_the_next_is_touched() -> None:
    rig = Rig(accounts(3, concurrency=2), strategy="fill_first")
    assert [rig.acquire().candidate.account.label for _ in range(5)] == ["0", "0", "1", "1", "2"]


def test_the_first_account_is_used_again_as_soon_as_it_may_be() -> None:
    rig = Rig(3, strategy="fill_first")
    rig.attempt(limited(5))
    during = rig.labels(3)
    rig.clock.now += 5
    assert (during, rig.labels(3)) == (["1", "1", "1"], ["0", "0", "0"])


# --- least_inflight ---------------------------------------------------------------------------------------------------


def test_the_account_with_the_fewest_attempts_is_next() -> None:
    rig = Rig(3, strategy="least_inflight")
    leases = [rig.acquire() for _ in range(6)]
    rig.pool.release(leases[1])
    rig.pool.release(leases[4])
    assert [rig.acquire().candidate.account.label for _ in range(3)] == ["1", "1", "0"]


def test_among_equally_busy_accounts_the_one_used_longest_ago_is_next() -> None:
    assert Rig(3, strategy="least_inflight").labels(5) == ["0", "1", "2", "0", "1"]


def test_attempts_are_counted_over_all_models() -> None:
    rig = Rig(2, strategy="least_inflight")
    rig.acquire("openai/a")
    rig.labels(3, "openai/b")
    assert rig.labels(2, "openai/a") == ["1", "1"]


def test_many_attempts_that_come_and_go_leave_no_trace_in_the_line() -> None:
    rig = Rig(3, strategy="least_inflight")
    rig.labels(10_000)
    ring = rig.pool._groups["openai"].ring("m", 0)
    assert len(ring._line._heap) < 200  # type: ignore[attr-defined] # a line of ranks


# --- p2c_ewma ---------------------------------------------------------------------------------------------------------


def drawing(*falls: float, count: int = 2) -> Rig:
    """Return a pool whose dice fall as told, again and again."""
    return Rig(count, strategy="p2c_ewma", dice=cycle(falls).__next__)


def answer_in(rig: Rig, seconds: float, label: str) -> None:
    lease = rig.pool.acquire(rig.bound(f"openai/{label}"))
    rig.clock.now += seconds
    rig.pool.answered(lease)
    rig.pool.release(lease)


def test_of_two_drawn_the_one_that_answers_sooner_is_taken() -> None:
    rig = drawing(0.0, 0.0)
    answer_in(rig, 3.0, "0")
    answer_in(rig, 0.5, "1")
    assert rig.labels(2) == ["1", "1"]


def test_of_two_drawn_the_one_that_is_less_busy_is_taken_if_both_are_as_fast() -> None:
    rig = drawing(0.0, 0.0)
    answer_in(rig, 1.0, "0")
    answer_in(rig, 1.0, "1")
    first = rig.acquire()
    assert first.candidate.account.label != rig.acquire().candidate.account.label


def test_a_new_account_is_tried_by_one_request_not_by_all() -> None:
    rig = drawing(0.0, 0.0)
    answer_in(rig, 1.0, "0")
    assert [rig.acquire().candidate.account.label for _ in range(3)] == ["1", "0", "0"]


def test_an_account_that_fails_quickly_draws_no_traffic() -> None:
    rig = Rig(2, strategy="p2c_ewma", dice=Random(7).random)
    answer_in(rig, 0.2, "0")
    picks: Counter[str] = Counter()
    for _ in range(40):
        lease = rig.acquire()
        label = lease.candidate.account.label
        picks[label] += 1
        rig.pool.release(lease, ServerFault("oops", upstream_status=500) if label == "1" else None)
        rig.clock.now += 0.1
    assert picks["1"] <= 4


def test_the_same_seed_gives_the_same_choices() -> None:
    one, other = (Rig(50, strategy="p2c_ewma", dice=Random(3).random) for _ in range(2))
    assert one.labels(200) == other.labels(200)


def test_two_choices_spread_what_one_would_pile_up() -> None:
    rig = Rig(100, strategy="p2c_ewma", dice=Random(11).random)
    for account in rig.accounts:
        answer_in(rig, 0.0, account.label)
        rig.pool._groups["openai"].rotation.standings.latencies[int(account.label)] = Latency(1.0, rig.clock.now)
    leases = Counter(rig.acquire().candidate.account.label for _ in range(1_000))
    assert (max(leases.values()) <= 15, min(leases.values()) >= 4) == (True, True)


def test_closed_accounts_are_drawn_until_they_are_known_to_be_closed_and_no_more() -> None:
    rig = Rig(4, strategy="p2c_ewma", dice=Random(1).random)
    for label in "013":
        rig.pool.release(rig.pool.acquire(rig.bound(f"openai/{label}")), limited(60))
    assert set(rig.labels(30)) == {"2"}
    rig.pool.release(rig.acquire(), limited(60))
    with pytest.raises(PoolExhausted):
        rig.acquire()
    rig.clock.now += 66
    assert set(rig.labels(40)) == {"0", "1", "2", "3"}


def test_a_bound_request_goes_to_the_less_loaded_of_its_accounts() -> None:
    rig = drawing(0.0, 0.0, count=3)
    for label, seconds in (("0", 0.1), ("1", 3.0), ("2", 1.0)):
        answer_in(rig, seconds, label)
    assert rig.pool.acquire(rig.bound("openai/1", "openai/2")).candidate.account.label == "2"


# --- how slow is slow -------------------------------------------------------------------------------------------------


def test_a_peak_counts_at_once_and_is_forgotten_by_and_by() -> None:
    peak = Latency(1.0, 0.0).after(9.0, 5.0)
    later = peak.after(1.0, 5.0 + DECAY_S)
    assert (peak.value_s, round(later.value_s, 6)) == (9.0, round(9.0 * exp(-1) + (1 - exp(-1)), 6))


def test_what_was_slow_once_is_tried_again() -> None:
    slow, fast = Latency(30.0, 0.0), Latency(1.0, 60.0)
    assert load(slow, 0, 1.0) > load(fast, 0, 60.0) > load(slow, 0, 60.0)


def test_a_slow_answer_counts_half_a_fault_of_its_account() -> None:
    """Rule 6 of the state machine: later than ten seconds, and four times later than usual."""
    rig = Rig(1)
    for _ in range(10):
        answer_in(rig, 1.0, "0")
        rig.clock.now += 100
        answer_in(rig, 11.0, "0")
        rig.clock.now += 600
        answer_in(rig, 1.0, "0")  # the average is back where it was
        rig.clock.now += 600
    assert rig.states() == ["healthy"]
    for _ in range(10):
        rig.pool._groups["openai"].rotation.standings.latencies[0] = Latency(1.0, rig.clock.now)
        answer_in(rig, 11.0, "0")
    assert (rig.states(), rig.status().reason) == (["cooling"], "slow")


@pytest.mark.parametrize(("usual_s", "took_s"), [(1.0, 9.9), (4.0, 15.0), (None, 300.0)])
def test_an_answer_is_not_slow_if_it_is_usual_or_soon_or_the_first(usual_s: float | None, took_s: float) -> None:
    rig = Rig(1)
    for _ in range(30):
        standings = rig.pool._groups["openai"].rotation.standings
        standings.latencies[0] = None if usual_s is None else Latency(usual_s, rig.clock.now)
        answer_in(rig, took_s, "0")
    assert rig.states() == ["healthy"]


def test_a_slow_probe_opens_its_account_all_the_same() -> None:
    rig = Rig(1)
    answer_in(rig, 1.0, "0")
    rig.attempt(limited(5))
    rig.clock.now += 5
    answer_in(rig, 20.0, "0")
    assert rig.states() == ["healthy"]


def test_what_says_nothing_of_the_account_says_nothing_of_its_speed() -> None:
    rig = Rig(1)
    lease = rig.acquire()
    rig.clock.now += 50
    rig.pool.release(lease, Refused("no"))
    assert rig.pool._groups["openai"].rotation.standings.latencies == [None]
