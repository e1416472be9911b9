"""Room on an account: attempts at a time, requests and tokens a minute, what headers say, models it may not serve."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.errors import PoolExhausted, ServerFault, UnknownModel
from asgi_ds2api.headers import RateWindow, Resource
from asgi_ds2api.pool.limits import Bucket, Demand, Window, heard, need_of
from asgi_ds2api.pool.meter import MAX_MODELS
from asgi_ds2api.pool.model import Account, Lease, Spent

from .rig import HOME, Rig, accounts
from .verdicts import limited

# --- buckets ----------------------------------------------------------------------------------------------------------


def test_a_bucket_is_full_at_first_and_refills_evenly() -> None:
    bucket = Bucket.full(60, 100.0).taken(60, 100.0)
    assert [bucket.level_at(now) for now in (100.0, 101.0, 130.0, 160.0, 500.0)] == [0, 1, 30, 60, 60]
    assert (bucket.opens_at(1), bucket.opens_at(10), Bucket.full(60, 0.0).opens_at(60)) == (101.0, 110.0, -inf)


def test_a_request_that_needs_more_than_a_bucket_holds_waits_until_it_is_full() -> None:
    assert Bucket.full(60, 0.0).taken(6, 0.0).opens_at(1_000) == 6.0


def test_a_bucket_that_never_refills_opens_never_by_itself() -> None:
    assert Bucket(10.0, 0.0, 0.0, 0.0).opens_at(1) == inf


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0, 100)), max_size=40),
    st.floats(1, 1_000),
)
def test_I5_no_more_is_let_out_than_came_in(takes: list[tuple[float, float]], per_minute: float) -> None:
    """Whoever takes only what is there has in no stretch of time more than the bucket holds and what came in."""
    bucket, now, taken = Bucket.full(per_minute, 0.0), 0.0, 0.0
    for amount, pause_s in takes:
        now += pause_s
        if bucket.opens_at(amount) <= now and amount <= per_minute:
            bucket, taken = bucket.taken(amount, now), taken + amount
        assert bucket.level_at(now) >= -1e-6
    assert taken <= per_minute + now * per_minute / 60 + 1e-6


def test_what_turns_out_dearer_is_owed_but_never_more_than_the_bucket_holds() -> None:
    bucket = Bucket.full(60, 0.0).taken(10_000, 0.0)
    assert (bucket.level_at(0.0), bucket.opens_at(1)) == (-60.0, 61.0)


@pytest.mark.parametrize(
    ("tokens", "need"), [(0, 256), (1, 256), (256, 256), (257, 512), (4_096, 4_096), (5_000, 8_192)]
)
def test_requests_of_about_one_size_wait_in_one_line(tokens: int, need: int) -> None:
    assert need_of(tokens) == need


# --- what headers say -------------------------------------------------------------------------------------------------


def said(remaining: int | None, limit: int | None = 60, reset_s: float | None = 60.0) -> RateWindow:
    return RateWindow(limit=limit, remaining=remaining, reset_s=reset_s)


def window(remaining: int, limit: int | None = 60, reset_s: float | None = 60.0, *, number: int = 1) -> Window:
    known = heard(None, said(remaining, limit, reset_s), number, 0.0)
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("known", "opens_at"),
    [
        pytest.param(window(1), -inf, id="something is left"),
        pytest.param(window(0), 1.0, id="refills evenly"),
        pytest.param(window(0, 60, 6.0), 0.1, id="refills faster than a minute"),
        pytest.param(window(0, None, 20.0), 20.0, id="a window without a limit ends as a whole"),
        pytest.param(window(0, None, None), 60.0, id="without a reset a minute is believed"),
        pytest.param(window(0, 10, None), 6.0, id="without a reset the limit is that of a minute"),
        pytest.param(window(0, 1, 86_400.0), 3_600.0, id="a day is believed for an hour"),
        pytest.param(window(0, 60, 0.0), 0.0, id="a reset that is now"),
        pytest.param(window(99, 60, 10.0), -inf, id="more is left than there is"),
    ],
)
def test_a_window_opens_when_its_upstream_has_room(known: Window, opens_at: float) -> None:
    assert known.opens_at(1) == opens_at


@pytest.mark.parametrize(
    "nothing", [said(None), said(0, limit=0), RateWindow()], ids=["no remaining", "limit 0", "empty"]
)
def test_headers_that_say_nothing_of_use_change_nothing(nothing: RateWindow) -> None:
    known = window(5)
    assert (heard(known, nothing, 9, 1.0), heard(None, nothing, 9, 1.0)) == (known, None)


def test_headers_of_an_older_request_never_raise_what_is_left() -> None:
    known = window(5, number=7)
    older_more, older_less = heard(known, said(50), 6, 0.0), heard(known, said(2), 6, 0.0)
    newer = heard(known, said(50), 8, 0.0)
    levels = [w.bucket.level_at(0.0) for w in (older_more, older_less, newer) if w is not None]
    assert levels == [5.0, 2.0, 50.0]


def hear(rig: Rig, lease: Lease, resource: Resource = "requests", **fields: float) -> None:
    rig.pool.heard(lease, {resource: RateWindow(**fields)})  # type: ignore[arg-type] # counts and seconds


def test_an_account_whose_headers_say_that_nothing_is_left_is_not_asked_until_there_is() -> None:
    rig = Rig(2)
    lease = rig.acquire()
    hear(rig, lease, limit=60, remaining=0, reset_s=60.0)
    rig.pool.release(lease)
    during = rig.labels(2)
    rig.clock.now += 1
    assert (during, rig.labels(1)) == (["1", "1"], ["0"])


def test_what_headers_say_holds_for_the_model_that_was_asked() -> None:
    rig = Rig(1)
    lease = rig.acquire("openai/big")
    hear(rig, lease, limit=60, remaining=0, reset_s=60.0)
    rig.pool.release(lease)
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire("openai/big")
    assert (caught.value.retry_after_s, rig.labels(1, "openai/small")) == (1.0, ["0"])


def test_snapshot_tells_the_least_of_what_headers_said_as_long_as_it_holds() -> None:
    rig = Rig(1)
    for model, remaining in (("openai/big", 3.0), ("openai/small", 40.0)):
        lease = rig.acquire(model)
        hear(rig, lease, limit=60, remaining=remaining, reset_s=60.0)
        rig.pool.release(lease)
    left = rig.status().requests_left
    rig.clock.now += 61
    assert (left, rig.status().requests_left, rig.status().tokens_left) == (3, None, None)


def test_requests_that_begin_use_up_what_headers_said() -> None:
    rig = Rig(1)
    lease = rig.acquire()
    hear(rig, lease, limit=60, remaining=2, reset_s=60.0)
    rig.pool.release(lease)
    rig.labels(2)
    with pytest.raises(PoolExhausted):
        rig.acquire()


def test_an_answer_that_says_there_is_more_opens_the_account_at_once() -> None:
    rig = Rig(1)
    first, second = rig.acquire(), rig.acquire()
    hear(rig, first, limit=60, remaining=0, reset_s=60.0)
    with pytest.raises(PoolExhausted):
        rig.acquire()
    hear(rig, second, limit=60, remaining=30, reset_s=30.0)
    assert rig.labels(1) == ["0"]


def test_tokens_that_headers_tell_are_kept_for_requests_that_fit() -> None:
    rig = Rig(2)
    lease = rig.pool.acquire(rig.asking(100))
    hear(rig, lease, "tokens", limit=100_000, remaining=1_000, reset_s=60.0)
    rig.pool.release(lease)
    large = [rig.pool.acquire(rig.asking(9_000)).candidate.account.label for _ in range(2)]
    small = [rig.pool.acquire(rig.asking(100)).candidate.account.label for _ in range(2)]
    assert (large, "0" in small) == (["1", "1"], True)


def test_headers_of_a_lease_that_was_given_back_are_not_heard() -> None:
    rig = Rig(1)
    lease = rig.acquire()
    rig.pool.release(lease)
    hear(rig, lease, limit=60, remaining=0, reset_s=60.0)
    assert rig.labels(1) == ["0"]


def test_names_that_callers_make_up_do_not_fill_the_memory_of_a_meter() -> None:
    rig = Rig(1)
    for n in range(100):
        lease = rig.acquire(f"openai/made-up-{n}")
        hear(rig, lease, limit=60, remaining=0, reset_s=60.0)
        rig.pool.release(lease)
    meter = rig.pool._slots[rig.accounts[0]].meter
    assert len(meter._windows) == MAX_MODELS


# --- attempts at a time -----------------------------------------------------------------------------------------------


def test_an_account_has_no_more_attempts_than_it_may_have() -> None:
    rig = Rig(accounts(2, concurrency=2))
    assert [rig.acquire().candidate.account.label for _ in range(4)] == ["0", "1", "0", "1"]
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert (caught.value.is_busy, caught.value.retry_after_s) == (True, 1.0)


@pytest.mark.parametrize("end", ["release", "fail", "abandon", "put back"])
def test_an_attempt_that_ends_makes_room(end: str) -> None:
    rig = Rig(accounts(1, concurrency=1))
    lease = rig.acquire()
    with pytest.raises(PoolExhausted):
        rig.acquire()
    match end:
        case "release":
            rig.pool.release(lease)
        case "fail":
            rig.pool.release(lease, ServerFault("oops", upstream_status=500))
        case "abandon":
            rig.pool.abandon(lease)
        case _:
            rig.pool.put_back(lease)
    assert rig.labels(1) == ["0"]


def test_room_is_counted_over_all_models() -> None:
    rig = Rig(accounts(1, concurrency=1))
    lease = rig.acquire("openai/a")
    for model in ("openai/a", "openai/b"):
        with pytest.raises(PoolExhausted):
            rig.acquire(model)
    rig.pool.release(lease)
    assert rig.labels(1, "openai/b") == ["0"]


def test_a_bound_request_finds_its_account_full_though_others_are_free() -> None:
    rig = Rig(accounts(2, concurrency=1))
    rig.pool.acquire(rig.bound("openai/0"))
    with pytest.raises(PoolExhausted) as caught:
        rig.pool.acquire(rig.bound("openai/0"))
    assert caught.value.is_busy


def test_a_full_account_that_is_limited_meanwhile_stays_closed_when_it_has_room() -> None:
    rig = Rig(accounts(1, concurrency=1))
    lease = rig.acquire()
    with pytest.raises(PoolExhausted):
        rig.acquire()
    rig.pool.release(lease, limited(7))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert (caught.value.is_busy, caught.value.retry_after_s) == (False, 7.0)


# --- requests and tokens a minute -------------------------------------------------------------------------------------


def test_requests_a_minute_are_kept() -> None:
    rig = Rig(accounts(1, rpm=3))
    rig.labels(3)
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    rig.clock.now += 20
    assert (caught.value.retry_after_s, rig.labels(1)) == (20.0, ["0"])


def test_tokens_are_set_aside_before_and_put_right_after() -> None:
    rig = Rig(accounts(1, tpm=10_000))
    lease = rig.pool.acquire(rig.asking(1_000, 7_000))
    aside = rig.status().tokens_left
    rig.pool.release(lease, spent=Spent(1_500))
    assert (aside, rig.status().tokens_left) == (2_000, 8_500)


def test_a_request_waits_for_as_many_tokens_as_it_needs() -> None:
    rig = Rig(accounts(1, tpm=6_000))
    rig.pool.release(rig.pool.acquire(rig.asking(5_000)))
    with pytest.raises(PoolExhausted) as caught:
        rig.pool.acquire(rig.asking(2_000))
    assert caught.value.retry_after_s == pytest.approx(10.48)  # 2,048 of 6,000 a minute, 1,000 are there
    assert rig.pool.acquire(rig.asking(100)).candidate.account.label == "0"


def test_tokens_that_were_not_used_make_room_at_once() -> None:
    rig = Rig(accounts(1, tpm=6_000))
    lease = rig.pool.acquire(rig.asking(5_000))
    with pytest.raises(PoolExhausted):
        rig.pool.acquire(rig.asking(2_000))
    rig.pool.abandon(lease, spent=Spent(10))
    assert rig.pool.acquire(rig.asking(2_000)).candidate.account.label == "0"


def test_a_request_larger_than_the_limit_is_served_when_nothing_else_was() -> None:
    rig = Rig(accounts(1, tpm=1_000))
    rig.pool.acquire(rig.asking(50_000))
    with pytest.raises(PoolExhausted) as caught:
        rig.pool.acquire(rig.asking(50_000))
    assert caught.value.retry_after_s == 120.0  # a whole minute is owed, and the next is waited for


def test_a_lease_that_nobody_used_costs_nothing() -> None:
    rig = Rig(accounts(1, rpm=5, tpm=10_000))
    rig.pool.put_back(rig.pool.acquire(rig.asking(4_000)))
    status = rig.status()
    assert (status.requests_left, status.tokens_left, status.abandoned, status.in_flight) == (5, 10_000, 1, 0)


def test_limits_are_shown() -> None:
    rig = Rig([*accounts(1, concurrency=3, rpm=10, tpm=500), *accounts(1, "local")])
    rig.acquire()
    told = [(s.max_in_flight, s.requests_left, s.tokens_left) for s in rig.pool.snapshot().accounts]
    assert told == [(3, 9, 500), (None, None, None)]


# --- models -----------------------------------------------------------------------------------------------------------


def choosy() -> Rig:
    return Rig(
        [
            Account(upstream="openai", label="small", origin=HOME, models=("mini-*", "nano")),
            Account(upstream="openai", label="all", origin=HOME),
        ]
    )


def test_an_account_is_asked_only_for_its_models() -> None:
    rig = choosy()
    assert rig.labels(2, "openai/big") == ["all", "all"]
    assert sorted(rig.labels(2, "openai/mini-1")) == ["all", "small"]


def test_a_bound_request_of_an_account_that_does_not_serve_the_model_has_no_plan() -> None:
    rig = choosy()
    assert rig.bound("openai/small").tiers == ()


def test_a_model_that_no_account_serves_is_unknown() -> None:
    rig = Rig([Account(upstream="openai", label="small", origin=HOME, models=("mini-*",))])
    with pytest.raises(UnknownModel):
        rig.acquire("openai/big")


def test_only_accounts_that_serve_a_model_tell_how_long_to_wait_for_it() -> None:
    rig = choosy()
    rig.pool.release(rig.acquire("openai/big"), limited(60))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire("openai/big")
    assert (caught.value.retry_after_s, rig.labels(1, "openai/nano")) == (60.0, ["small"])


def test_a_demand_counts_both_ways() -> None:
    assert Demand(3, 4).tokens == 7
