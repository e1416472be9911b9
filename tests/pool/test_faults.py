"""What an upstream's answer does to a pool: who is asked next, what a caller is told, when an account is back."""

from collections.abc import Callable

import pytest

from asgi_ds2api.errors import (
    Interrupted,
    KeyRefused,
    Malformed,
    NoCapacity,
    Overloaded,
    PoolExhausted,
    QuotaExhausted,
    Refused,
    ServerFault,
    Timeout,
    Unreachable,
    UpstreamError,
)
from asgi_ds2api.pool.model import Account, Candidate, Lease, Origin

from .rig import Rig, accounts
from .verdicts import limited, refused, unauthorized


def test_F23_the_other_account_serves_while_the_limited_one_waits() -> None:
    rig = Rig(2)
    rig.attempt(limited(7))
    assert (rig.labels(3), rig.states()) == (["1", "1", "1"], ["cooling", "healthy"])


def test_F23_with_nobody_else_the_caller_is_told_the_soonest_wait() -> None:
    rig = Rig(2)
    rig.attempt(limited(30))
    rig.attempt(limited(7))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)


def test_F23_a_caller_who_waits_as_told_is_served() -> None:
    rig = Rig(1, dice=0.5)
    rig.attempt(limited(7))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    wait_s = caught.value.retry_after_s or 0.0
    rig.clock.now += wait_s
    assert 7.35 <= wait_s <= 7.352
    assert rig.labels(1) == ["0"]


@pytest.mark.parametrize(
    ("hint_s", "wait_s"),
    [
        pytest.param(0.0, 1.0, id="F24-past-date"),
        pytest.param(42.0, 42.0, id="F24-date"),
        pytest.param(0.0004, 1.0, id="F25-milliseconds"),
        pytest.param(1e20, 3600.0, id="F28-absurd"),
    ],
)
def test_a_hint_is_obeyed_within_reason(hint_s: float, wait_s: float) -> None:
    rig = Rig(1)
    rig.attempt(limited(hint_s))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize(("delay_s", "wait_s"), [(51_820.6, 51_820.6), (1e9, 86_400.0)], ids=["told", "capped"])
def test_F26_a_quota_per_day_closes_the_account_for_its_model_until_the_reset(delay_s: float, wait_s: float) -> None:
    rig = Rig(1)
    rig.attempt(limited(delay_s, by_model=True, is_daily=True), "openai/big")
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire("openai/big")
    assert (caught.value.retry_after_s, rig.labels(1, "openai/small")) == (wait_s, ["0"])


def test_F27_each_probe_that_fails_doubles_the_wait() -> None:
    rig = Rig(1, dice=1.0)
    waits = []
    for _ in range(8):
        rig.attempt(limited())
        waits.append(rig.status().opens_in_s)
        rig.clock.now += waits[-1]
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


def test_F29_an_account_without_money_is_asked_again_after_half_an_hour_and_comes_back() -> None:
    rig = Rig(2)
    rig.attempt(QuotaExhausted("pay"))
    before = (rig.states()[0], rig.labels(2))
    rig.clock.now += 1_800
    after = (sorted(rig.labels(2)), rig.states()[0])
    assert (before, after) == (("disabled", ["1", "1"]), (["0", "1"], "healthy"))


def test_F29_the_wait_doubles_while_nobody_pays() -> None:
    rig = Rig(1)
    waits = []
    for _ in range(6):
        rig.attempt(QuotaExhausted("pay"))
        waits.append(rig.status().opens_in_s)
        rig.clock.now += waits[-1]
    assert waits == [1_800, 3_600, 7_200, 14_400, 21_600, 21_600]


def test_F30_a_limit_of_one_model_leaves_the_account_its_others() -> None:
    rig = Rig(1)
    rig.attempt(limited(7, by_model=True), "openai/big")
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire("openai/big")
    assert (caught.value.retry_after_s, rig.labels(1, "openai/small"), rig.states()) == (7.0, ["0"], ["healthy"])


def test_F30_the_other_account_serves_the_model_meanwhile() -> None:
    rig = Rig(2)
    rig.attempt(limited(7, by_model=True), "openai/big")
    assert rig.labels(3, "openai/big") == ["1", "1", "1"]


def test_F31_a_key_that_is_named_invalid_is_out_at_once() -> None:
    rig = Rig(2)
    rig.attempt(unauthorized(is_key_invalid=True))
    assert (rig.states(), rig.status().reason, rig.labels(2)) == (["disabled", "healthy"], "auth", ["1", "1"])


def test_F31_a_401_that_names_nothing_needs_a_second() -> None:
    rig = Rig(1)
    rig.attempt(KeyRefused("no"))
    before = rig.states()
    rig.clock.now += 30
    rig.attempt(KeyRefused("no"))
    assert (before, rig.states()) == (["healthy"], ["disabled"])


def test_F32_a_firewall_page_does_not_disable_a_key() -> None:
    rig = Rig(3)
    for _ in range(5):
        rig.attempt(unauthorized(is_origin_wide=True))
    assert (rig.states(), rig.origin_state()) == (["healthy"] * 3, "cooling")


@pytest.mark.parametrize("kind", ["invalid_request", "context_too_long", "too_large"])
def test_F33_the_callers_mistake_is_nobodys_fault(kind: str) -> None:
    rig = Rig(1)
    error = Refused("no")
    error.kind = kind  # type: ignore[assignment] # a parameter is a plain str
    for _ in range(50):
        rig.attempt(error)
    assert (rig.states(), rig.origin_state(), rig.status().failed) == (["healthy"], "healthy", 50)


def test_F33_an_account_without_the_model_is_passed_over_for_ten_minutes() -> None:
    rig = Rig(2)
    rig.attempt(refused("model_not_found"), "openai/rare")
    during = rig.labels(2, "openai/rare")
    rig.clock.now += 600
    assert (during, sorted(rig.labels(2, "openai/rare"))) == (["1", "1"], ["0", "1"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_F33_a_model_that_nobody_has_stays_the_upstreams_404(count: int) -> None:
    rig = Rig(count)
    for _ in range(20):
        rig.attempt(refused("model_not_found"), "openai/no-such-model")
    assert rig.acquire("openai/no-such-model").candidate.model == "no-such-model"


def test_F35_one_500_closes_nothing() -> None:
    rig = Rig(1)
    rig.attempt(ServerFault("oops", upstream_status=500))
    assert (rig.states(), rig.labels(1)) == (["healthy"], ["0"])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: ServerFault("oops", upstream_status=500), id="F35-500"),
        pytest.param(lambda: ServerFault("bad", upstream_status=502), id="F36-502"),
        pytest.param(lambda: Overloaded("full", upstream_status=503), id="F36-503"),
        pytest.param(lambda: Interrupted("cut"), id="F14-lost"),
        pytest.param(lambda: Malformed("html"), id="F39-html"),
        pytest.param(lambda: Malformed("empty"), id="F43-empty"),
        pytest.param(lambda: Malformed("status 999"), id="F44-status-999"),
    ],
)
def test_five_faults_in_a_row_close_the_account(fault: Callable[[], UpstreamError]) -> None:
    rig = Rig(1, dice=1.0)
    for _ in range(5):
        rig.attempt(fault())
    assert (rig.states(), rig.status().opens_in_s, rig.origin_state()) == (["cooling"], 30.0, "healthy")


def test_F15_answers_that_do_not_come_count_half() -> None:
    rig = Rig(1)
    for _ in range(9):
        rig.attempt(Timeout("slow", may_be_billed=True))
    before = rig.states()
    rig.attempt(Timeout("slow", may_be_billed=True))
    assert (before, rig.states()) == (["healthy"], ["cooling"])


def test_F36_three_accounts_with_a_gateways_fault_blame_their_origin() -> None:
    rig = Rig(4)
    states = []
    for _ in range(3):
        rig.attempt(ServerFault("bad", upstream_status=502))
        states.append(rig.origin_state())
    assert (states, rig.states()) == (["healthy", "healthy", "cooling"], ["healthy"] * 4)


def test_F37_an_overloaded_provider_is_no_fault_of_the_keys() -> None:
    rig = Rig(5)
    for _ in range(5):
        rig.attempt(Overloaded("full", upstream_status=529))
    assert (rig.states(), rig.origin_state()) == (["healthy"] * 5, "cooling")


def test_F38_a_503_that_says_when_closes_the_origin_at_once() -> None:
    elsewhere = Origin("https", "other.example", 443)
    rig = Rig([*accounts(2), *accounts(1, "local", elsewhere)])
    rig.attempt(Overloaded("full", upstream_status=503, retry_after_s=12))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire("openai/m")
    assert (caught.value.retry_after_s, rig.labels(1, "openai/m", "local/q")) == (12.0, ["0"])


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unreachable("refused"), id="F1-refused"),
        pytest.param(Timeout("connect", code="connect_timeout"), id="F6-connect-timeout"),
    ],
)
def test_a_server_that_cannot_be_reached_is_closed_for_all_its_accounts(error: UpstreamError) -> None:
    rig = Rig([*accounts(2, "openai"), *accounts(2, "openai-responses")])
    for _ in range(5):
        rig.attempt(error)
    with pytest.raises(PoolExhausted):
        rig.acquire("openai-responses/m")
    assert (rig.states(), rig.origin_state()) == (["healthy"] * 4, "cooling")


def test_breakers_never_take_more_than_half_of_an_upstreams_accounts() -> None:
    rig = Rig(4)
    for _ in range(100):
        rig.attempt(ServerFault("oops", upstream_status=500))
    assert sorted(rig.states()) == ["cooling", "cooling", "healthy", "healthy"]


def test_breakers_never_take_more_than_half_of_an_upstreams_origins() -> None:
    members = [Account(upstream="azure", label=str(n), origin=Origin("https", f"{n}.example", 443)) for n in range(4)]
    rig = Rig(members)
    for _ in range(100):
        rig.attempt(Unreachable("no"), "azure/m")
    assert sorted(status.state for status in rig.pool.snapshot().origins) == [
        "cooling",
        "cooling",
        "healthy",
        "healthy",
    ]


def test_limits_may_take_all() -> None:
    rig = Rig(4)
    for _ in range(4):
        rig.attempt(limited(7))
    assert rig.states() == ["cooling"] * 4


def test_F98_nobody_hammers_a_cooling_pool() -> None:
    rig = Rig(3)
    for wait_s in (30, 20, 10):
        rig.attempt(limited(wait_s))
    waits = []
    for _ in range(10):
        with pytest.raises(PoolExhausted) as caught:
            rig.acquire()
        waits.append(caught.value.retry_after_s)
        rig.clock.now += 1
    assert waits == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_F98_the_soonest_of_all_tiers_is_told() -> None:
    rig = Rig([*accounts(2), *accounts(1, "local")])
    for wait_s in (30, 20):
        rig.attempt(limited(wait_s))
    rig.attempt(limited(10), "local/q")
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire("openai/m", "local/q")
    assert caught.value.retry_after_s == 10.0


@pytest.mark.parametrize(
    "error",
    [limited(7), limited(7, by_model=True), Overloaded("full", upstream_status=503, retry_after_s=7)],
    ids=["account", "model", "origin"],
)
@pytest.mark.parametrize("is_bound", [False, True])
def test_F98_while_a_probe_is_on_its_way_the_wait_is_short(error: UpstreamError, is_bound: bool) -> None:
    """It may open the account any moment; the end of its lease would be a long time to tell a caller."""
    rig = Rig(1)
    rig.attempt(error)
    rig.clock.now += 7
    rig.acquire()
    with pytest.raises(PoolExhausted) as caught:
        rig.pool.acquire(rig.bound("openai/0") if is_bound else rig.plan())
    assert caught.value.retry_after_s == 1.0


def test_F98_a_pause_that_grew_meanwhile_is_told_as_it_is_now() -> None:
    rig = Rig(2)
    leases = [rig.acquire() for _ in range(4)]
    for lease, wait_s in zip(leases[:2], (10, 20), strict=True):
        rig.pool.release(lease, limited(wait_s))
    with pytest.raises(PoolExhausted):
        rig.acquire()
    rig.pool.release(leases[2], limited(60))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == 20.0


def test_F98_once_the_probe_has_failed_the_whole_wait_is_told() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    rig.attempt(limited(60))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == 60.0


@pytest.mark.parametrize("is_parked", [False, True])
def test_F98_an_origin_that_opens_sooner_than_its_accounts_is_not_told(is_parked: bool) -> None:
    rig = Rig(2)
    on_its_way = rig.acquire()
    for _ in range(2):
        rig.attempt(limited(60))
    if is_parked:
        with pytest.raises(PoolExhausted):
            rig.acquire()
    rig.pool.release(on_its_way, Overloaded("full", upstream_status=503, retry_after_s=10))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == 60.0


def test_F98_an_origin_that_opens_later_than_its_accounts_is_told() -> None:
    rig = Rig(2)
    on_its_way = rig.acquire()
    for _ in range(2):
        rig.attempt(limited(5))
    rig.pool.release(on_its_way, Overloaded("full", upstream_status=503, retry_after_s=10))
    with pytest.raises(PoolExhausted) as caught:
        rig.acquire()
    assert caught.value.retry_after_s == 10.0


def test_F100_with_all_accounts_disabled_there_is_no_capacity() -> None:
    rig = Rig(2)
    rig.attempt(unauthorized(is_key_invalid=True))
    rig.attempt(QuotaExhausted("pay"))
    with pytest.raises(NoCapacity) as caught:
        rig.acquire()
    assert (caught.value.status, caught.value.retry_after_s) == (503, 900.0)


def test_F100_the_schedule_of_probes_goes_on() -> None:
    rig = Rig(1)
    rig.attempt(QuotaExhausted("pay"))
    rig.clock.now += 1_800
    probe = rig.acquire()
    with pytest.raises(NoCapacity):
        rig.acquire()
    rig.pool.release(probe)
    assert rig.states() == ["healthy"]


def test_F100_a_bound_request_whose_account_is_disabled_finds_no_capacity() -> None:
    rig = Rig(2)
    rig.attempt(unauthorized(is_key_invalid=True))
    with pytest.raises(NoCapacity):
        rig.pool.acquire(rig.bound("openai/0"))


def test_F101_when_everything_fails_retries_stay_within_the_budget() -> None:
    rig = Rig(4)
    calls = retries = 0
    for _ in range(1_000):
        lease = rig.acquire()
        calls += 1
        tried: list[Candidate] = [lease.candidate]
        error = ServerFault("oops", upstream_status=500)
        rig.pool.release(lease, error)
        while len(tried) < 3 and rig.pool.may_retry(lease, error):
            lease = rig.acquire(tried=tried)
            tried.append(lease.candidate)
            retries += 1
            rig.pool.release(lease, error)
    assert retries == calls // 5 + 3


def test_F101_each_origin_has_its_own_budget() -> None:
    rig = Rig([*accounts(1), *accounts(1, "local", Origin("http", "127.0.0.1", 8080))])
    spent, fresh = rig.acquire("openai/m"), rig.acquire("local/q")
    error = ServerFault("oops", upstream_status=500)
    while rig.pool.may_retry(spent, error):
        pass
    assert rig.pool.may_retry(fresh, error)


OF_THE_KEY: dict[str, UpstreamError] = {
    "429": limited(),
    "402": QuotaExhausted("pay"),
    "401": unauthorized(),
    "403": unauthorized(is_key_invalid=True),
    "404 of the model": refused("model_not_found"),
    "foreign reasoning": refused("foreign_reasoning"),
    "no key": UpstreamError("no key", code="key_unavailable"),
}
OF_THE_SERVER: dict[str, UpstreamError] = {
    "500": ServerFault("oops", upstream_status=500),
    "503": Overloaded("full", upstream_status=503),
    "no connection": Unreachable("no"),
    "time-out": Timeout("slow"),
    "firewall": unauthorized(is_origin_wide=True),
    "409": refused("conflict"),
    "cut": Interrupted("cut"),
}


def spend(rig: Rig, lease: Lease, error: UpstreamError) -> int:
    """Ask for further attempts until there are none; return how many there were."""
    count = 0
    while rig.pool.may_retry(lease, error):
        count += 1
    return count


@pytest.mark.parametrize("error", OF_THE_SERVER.values(), ids=OF_THE_SERVER)
def test_R_43_failing_servers_leave_room_to_change_keys(error: UpstreamError) -> None:
    rig = Rig(2)
    lease = rig.acquire()
    assert (spend(rig, lease, error), spend(rig, lease, limited())) == (3, 10)


@pytest.mark.parametrize("error", OF_THE_KEY.values(), ids=OF_THE_KEY)
def test_R_43_refused_keys_leave_room_for_retries(error: UpstreamError) -> None:
    rig = Rig(2)
    lease = rig.acquire()
    assert (spend(rig, lease, error), spend(rig, lease, OF_THE_SERVER["500"])) == (10, 3)


def test_R_43_whatever_fails_an_origin_bears_less_than_a_quarter_more_than_callers_ask() -> None:
    rig = Rig(2)
    leases = [rig.acquire() for _ in range(1_000)]
    further = sum(spend(rig, leases[0], error) for error in (limited(), OF_THE_SERVER["500"]))
    assert further == 1_000 // 5 + 3 + 1_000 // 25 + 10


def test_F103_a_cancelled_attempt_loses_neither_slot_nor_probe() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    probe = rig.acquire()
    with pytest.raises(PoolExhausted):
        rig.acquire()
    rig.pool.abandon(probe)
    again = rig.acquire()
    assert (bool(probe.probes), bool(again.probes), rig.status().in_flight, rig.status().abandoned) == (
        True,
        True,
        1,
        1,
    )
