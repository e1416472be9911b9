"""How well the pool does, counted by the benchmark over virtual time: the same on every machine."""

import pytest

from tests.benchmarks import pool


def test_one_dead_account_of_four_costs_hardly_a_request() -> None:
    assert pool.success_with_one_of_four_dead() >= 0.9995


def test_R_43_failing_upstreams_are_not_asked_much_more_often_than_callers_ask() -> None:
    assert pool.amplification() <= 1.25


@pytest.mark.parametrize("limited", [0.25, 0.5, 1.0])
def test_R_43_neither_are_those_whose_keys_are_refused_besides(limited: float) -> None:
    assert pool.amplification(limited, accounts=10_000) <= 1.25


def test_F98_a_cooling_account_is_asked_once_a_pause() -> None:
    assert pool.calls_to_a_cooling_account() <= 1


def test_I14_a_caller_with_ten_times_the_requests_has_no_more_turns() -> None:
    assert pool.fairness() <= 2


def test_R44_affinity_more_than_doubles_what_is_read_from_caches() -> None:
    with_it, without = pool.cache_hits(3_600), pool.cache_hits(0)
    assert with_it == pytest.approx(0.83, abs=0.05)
    assert without < with_it / 2
