"""The state machine of one scope, transition by transition."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.pool import health
from asgi_ds2api.pool.health import HEALTHY, Cooling, Disabled, Healthy, Probing, State, Window
from asgi_ds2api.pool.model import Cool, Disable, Fail

NOW = 1_000.0
LIMIT = Cool(scope="account", reason="rate_limited")
FAULT = Fail(scope="account", reason="server_fault")
SLOW = Fail(scope="account", reason="timeout", weight=0.5)
QUOTA = Disable(reason="quota")
AUTH = Disable(reason="auth", is_certain=False)
ABSENT = Cool(scope="model", reason="model_not_found", hint_s=600, is_capped=True)


def full() -> float:
    """Fall as high as the dice can."""
    return 1.0


def failed(
    state: State,
    effect: Cool | Fail | Disable,
    *,
    seen: int | None = None,
    now: float = NOW,
    dice: float = 1.0,
    has_room: bool = True,
) -> State:
    """Report an effect of the present epoch, unless told otherwise."""
    epoch = state.epoch if seen is None else seen
    return health.failed(state, effect, seen=epoch, now=now, rng=lambda: dice, has_room=has_room)


def hinted(hint_s: float | None, cap_s: float = 3600.0) -> Cool:
    return Cool(scope="account", reason="rate_limited", hint_s=hint_s, cap_s=cap_s)


def cooling(until: float = NOW + 5, epoch: int = 1, ejections: int = 1, *, is_capped: bool = False) -> Cooling:
    return Cooling(until=until, epoch=epoch, ejections=ejections, reason="rate_limited", is_capped=is_capped)


def probe_of(before: Cooling | Disabled, now: float = NOW) -> Probing:
    return Probing(before=before, probe=7, lease_until=now + 30)


# --- pauses ----------------------------------------------------------------------------------------------------------


def pause_s(state: State) -> float:
    assert isinstance(state, Cooling)
    return state.until - NOW


@pytest.mark.parametrize(
    ("hint_s", "dice", "expected"),
    [
        pytest.param(7.0, 0.0, 7.0, id="F23-as-told"),
        pytest.param(7.0, 1.0, 7.7, id="F23-with-jitter"),
        pytest.param(0.0, 0.0, 1.0, id="F24-a-date-that-is-past"),
        pytest.param(90.0, 0.0, 90.0, id="F24-a-date"),
        pytest.param(0.25, 0.0, 1.0, id="F25-milliseconds"),
        pytest.param(None, 1.0, 5.0, id="F27-no-hint"),
        pytest.param(1e20, 0.0, 3600.0, id="F28-too-long"),
        pytest.param(inf, 0.0, 3600.0, id="F28-infinite"),
        pytest.param(-5.0, 1.0, 5.0, id="F28-negative"),
        pytest.param(-inf, 1.0, 5.0, id="F28-minus-infinity"),
        pytest.param(nan, 1.0, 5.0, id="F28-not-a-number"),
    ],
)
def test_a_limit_pauses_for_as_long_as_is_believed(hint_s: float | None, dice: float, expected: float) -> None:
    assert pause_s(failed(HEALTHY, hinted(hint_s), dice=dice)) == pytest.approx(expected)


def test_a_quota_per_day_is_believed_for_a_day() -> None:
    """F26"""
    assert pause_s(failed(HEALTHY, hinted(51_820.6, cap_s=86_400), dice=0.0)) == pytest.approx(51_820.6)


@pytest.mark.parametrize(
    ("ejections", "expected"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (5000, 300)]
)
def test_without_a_hint_the_pause_doubles_to_a_cap(ejections: int, expected: float) -> None:
    """F27"""
    assert pause_s(failed(Healthy(ejections=ejections, since=NOW), LIMIT)) == expected


@pytest.mark.parametrize("dice", [0.0, 0.1, 0.5, 0.999])
def test_a_backoff_is_drawn_from_its_whole_range_above_a_second(dice: float) -> None:
    """F27: full jitter, so that those who were limited together do not come back together."""
    assert pause_s(failed(Healthy(ejections=3, since=NOW), LIMIT, dice=dice)) == pytest.approx(max(1.0, dice * 40))


# --- epochs ----------------------------------------------------------------------------------------------------------


def test_a_limit_closes_at_once_and_starts_an_epoch() -> None:
    assert failed(HEALTHY, hinted(7), dice=0.0) == Cooling(
        until=NOW + 7, epoch=1, ejections=1, reason="rate_limited", is_capped=False
    )


def test_old_news_without_a_hint_change_nothing() -> None:
    assert failed(cooling(), LIMIT, seen=0) == cooling()


@pytest.mark.parametrize(("hint_s", "until"), [(60.0, NOW + 60), (2.0, NOW + 5)], ids=["longer", "shorter"])
def test_old_news_may_lengthen_a_pause_but_add_no_ejection(hint_s: float, until: float) -> None:
    assert failed(cooling(), hinted(hint_s), seen=0, dice=0.0) == cooling(until=until)


def test_old_news_may_lengthen_the_pause_behind_a_probe() -> None:
    assert failed(probe_of(cooling()), hinted(60), seen=0, dice=0.0) == probe_of(cooling(until=NOW + 60))


@pytest.mark.parametrize(
    "state",
    [
        Healthy(epoch=1),
        Disabled(until=NOW + 9, epoch=1, ejections=0, reason="quota", refusals=1),
        probe_of(Disabled(until=NOW - 1, epoch=1, ejections=0, reason="quota", refusals=1)),
    ],
    ids=["healthy since", "disabled", "disabled and probed"],
)
@pytest.mark.parametrize("effect", [hinted(60), FAULT, QUOTA], ids=["limit", "fault", "quota"])
def test_old_news_do_not_close_what_reopened_or_touch_what_is_disabled(
    state: State, effect: Cool | Fail | Disable
) -> None:
    assert failed(state, effect, seen=0) is state


@pytest.mark.parametrize("state", [cooling(), probe_of(cooling()), Healthy(epoch=1, failed=3.0)])
def test_a_success_of_an_older_epoch_opens_and_forgives_nothing(state: State) -> None:
    assert health.succeeded(state, 0, NOW) is state


# --- the breaker -----------------------------------------------------------------------------------------------------


def test_a_single_fault_is_remembered_and_closes_nothing() -> None:
    assert failed(HEALTHY, FAULT) == Healthy(failed=1.0, window=Window(NOW, 1, 1.0))


@pytest.mark.parametrize(("effect", "count"), [(FAULT, 5), (SLOW, 10)], ids=["faults", "slow answers"])
def test_so_many_faults_in_a_row_close(effect: Fail, count: int) -> None:
    states: list[State] = [HEALTHY]
    for _ in range(count):
        states.append(failed(states[-1], effect))
    assert [health.state_name(state) for state in states] == ["healthy"] * count + ["cooling"]


def test_an_ejection_lasts_up_to_half_a_minute_the_first_time() -> None:
    assert pause_s(failed(Healthy(failed=4.0), FAULT)) == 30.0


def test_a_success_between_faults_starts_the_row_anew() -> None:
    state: State = HEALTHY
    for _ in range(20):
        state = failed(state, FAULT, now=NOW)
        state = health.succeeded(state, 0, NOW + 31)
    assert health.state_name(state) == "healthy"


def alternate(calls: int, every_s: float) -> list[str]:
    """Fail every other call; return the states after each."""
    state: State = HEALTHY
    names: list[str] = []
    for n in range(calls):
        now = NOW + n * every_s
        state = failed(state, FAULT, now=now) if n % 2 == 0 else health.succeeded(state, state.epoch, now)
        names.append(health.state_name(state))
    return names


def test_half_of_twenty_calls_within_half_a_minute_close() -> None:
    """The nineteenth call is the tenth fault; twenty-one are needed for the window to be judged at a fault."""
    assert alternate(21, every_s=1.0) == ["healthy"] * 20 + ["cooling"]


def test_the_same_over_a_longer_time_does_not() -> None:
    assert set(alternate(60, every_s=2.0)) == {"healthy"}


def test_a_breaker_without_room_leaves_the_scope_open() -> None:
    state: State = HEALTHY
    for _ in range(25):
        state = failed(state, FAULT, has_room=False)
    assert health.state_name(state) == "healthy"


@pytest.mark.parametrize(("total", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (10, 5), (11, 5)])
def test_the_breaker_takes_half_but_always_one(total: int, expected: int) -> None:
    assert health.ceiling(total) == expected


@pytest.mark.parametrize("effect", [hinted(7), QUOTA], ids=["limit", "quota"])
def test_a_limit_and_an_empty_account_need_no_room(effect: Cool | Disable) -> None:
    assert health.state_name(failed(HEALTHY, effect, has_room=False)) != "healthy"


def test_the_last_account_is_never_closed_for_a_model_it_does_not_know() -> None:
    assert failed(HEALTHY, ABSENT, has_room=False) is HEALTHY


# --- an origin that several accounts blame ----------------------------------------------------------------------------


def blamed(state: State, witness: str, now: float, *, has_room: bool = True, seen: int = 0) -> State:
    return health.blamed(state, witness, seen=seen, now=now, rng=full, has_room=has_room)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        pytest.param([("a", 0), ("b", 1), ("c", 2)], "cooling", id="F36-three-accounts"),
        pytest.param([("a", 0), ("a", 1), ("a", 2), ("b", 3)], "healthy", id="F36-two-accounts"),
        pytest.param([("a", 0), ("b", 6), ("c", 12)], "healthy", id="F36-too-far-apart"),
        pytest.param([("a", 0), ("b", 6), ("c", 12), ("d", 13)], "cooling", id="F36-three-of-the-last-ten-seconds"),
    ],
)
def test_an_origin_is_blamed_by_several_accounts_within_ten_seconds(
    reports: list[tuple[str, float]], expected: str
) -> None:
    state: State = HEALTHY
    for witness, after_s in reports:
        state = blamed(state, witness, NOW + after_s)
    assert health.state_name(state) == expected


def test_a_success_clears_the_origin() -> None:
    state = blamed(blamed(HEALTHY, "a", NOW), "b", NOW)
    assert health.state_name(blamed(health.succeeded(state, 0, NOW), "c", NOW)) == "healthy"


def test_witnesses_are_bounded_where_there_is_no_room() -> None:
    state: State = HEALTHY
    for n in range(100):
        state = blamed(state, str(n), NOW, has_room=False)
    assert isinstance(state, Healthy)
    assert len(state.witnesses) == 3


@pytest.mark.parametrize("state", [cooling(), Healthy(epoch=2)], ids=["closed", "of a later epoch"])
def test_a_witness_says_nothing_new_of_a_closed_or_later_origin(state: State) -> None:
    assert blamed(state, "a", NOW, seen=1) is state


# --- probes ----------------------------------------------------------------------------------------------------------


def test_a_healthy_scope_lets_attempts_pass() -> None:
    assert health.probing(HEALTHY, 7, NOW) is HEALTHY


def test_a_closed_scope_waits_for_its_probe() -> None:
    assert health.probing(cooling(), 7, NOW) == probe_of(cooling())


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (HEALTHY, -inf),
        (cooling(until=NOW + 5), NOW + 5),
        (probe_of(cooling()), NOW + 35),
        (probe_of(cooling(until=NOW + 99)), NOW + 99),
    ],
    ids=["healthy", "cooling", "lost probe", "lengthened behind a probe"],
)
def test_the_time_of_the_next_attempt(state: State, expected: float) -> None:
    assert health.opens_at(state) == expected


def test_a_probe_that_answers_reopens() -> None:
    assert health.succeeded(probe_of(cooling(ejections=2)), 1, NOW) == Healthy(epoch=1, ejections=2, since=NOW)


def test_a_probe_that_fails_closes_for_longer() -> None:
    assert failed(probe_of(cooling(until=NOW - 1)), FAULT) == Cooling(
        until=NOW + 60, epoch=2, ejections=2, reason="server_fault", is_capped=False
    )


def test_a_failed_probe_of_an_ejection_still_counts_against_the_ceiling() -> None:
    assert failed(probe_of(cooling(is_capped=True)), FAULT, has_room=False) == Cooling(
        until=NOW + 60, epoch=2, ejections=2, reason="server_fault", is_capped=True
    )


def test_a_failed_probe_does_not_shorten_what_was_lengthened_behind_it() -> None:
    state = failed(probe_of(cooling(until=NOW + 500)), hinted(1))
    assert pause_s(state) == 500


def test_a_probe_that_proved_nothing_is_taken_back() -> None:
    assert health.abandoned(probe_of(cooling()), 7) == cooling()


def test_a_lost_probe_takes_nothing_back_from_its_successor() -> None:
    assert health.abandoned(probe_of(cooling()), 6) == probe_of(cooling())


def test_a_slow_probe_counts_though_its_lease_ran_out() -> None:
    """Answers that take longer than the lease would otherwise never reopen an account."""
    assert health.state_name(health.succeeded(probe_of(cooling(), now=NOW - 60), 1, NOW)) == "healthy"


def test_ejections_are_forgiven_one_by_one_after_the_probe() -> None:
    state: State = probe_of(cooling(ejections=3))
    left = []
    for _ in range(5):
        state = health.succeeded(state, 1, NOW)
        assert isinstance(state, Healthy)
        left.append(state.ejections)
    assert left == [3, 2, 1, 0, 0]


@pytest.mark.parametrize(("healthy_s", "expected"), [(0, 40), (599, 40), (600, 20), (1_799, 10), (1_800, 5), (1e6, 5)])
def test_ejections_are_forgiven_with_time(healthy_s: float, expected: float) -> None:
    assert pause_s(failed(Healthy(ejections=3, since=NOW - healthy_s), LIMIT)) == expected


@pytest.mark.parametrize(("healthy_s", "expected"), [(0, 4), (599, 4), (600, 3), (1_800, 1), (1e6, 0)])
def test_a_success_forgives_one_more_beside_those_that_time_has_forgiven(healthy_s: float, expected: int) -> None:
    state = health.succeeded(Healthy(epoch=6, ejections=5, since=NOW - healthy_s), 6, NOW)
    assert state == Healthy(epoch=6, ejections=expected, since=NOW)


# --- disabled --------------------------------------------------------------------------------------------------------


def disabled(until: float, reason: str, refusals: int = 1, epoch: int = 1) -> Disabled:
    return Disabled(until=until, epoch=epoch, ejections=0, reason=reason, refusals=refusals)


@pytest.mark.parametrize(
    ("effect", "waits_s"),
    [
        pytest.param(QUOTA, [1_800, 3_600, 7_200, 14_400, 21_600, 21_600], id="F29-quota"),
        pytest.param(AUTH, [900, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400, 86_400], id="F31-auth"),
    ],
)
def test_a_disabled_account_is_probed_ever_more_rarely(effect: Disable, waits_s: list[float]) -> None:
    state: State = probe_of(cooling(until=NOW - 1, ejections=0))
    seen = []
    for _ in waits_s:
        state = failed(state, effect)
        assert isinstance(state, Disabled)
        seen.append(state.until - NOW)
        state = probe_of(
            Disabled(until=NOW, epoch=state.epoch, ejections=0, reason=state.reason, refusals=state.refusals)
        )
    assert seen == waits_s


def test_one_doubtful_refusal_is_only_remembered() -> None:
    """F31"""
    assert failed(HEALTHY, AUTH) == Healthy(refused_at=NOW)


@pytest.mark.parametrize(("after_s", "expected"), [(60, "disabled"), (61, "healthy")])
def test_a_second_one_within_a_minute_disables(after_s: float, expected: str) -> None:
    """F31"""
    assert health.state_name(failed(failed(HEALTHY, AUTH), AUTH, now=NOW + after_s)) == expected


def test_a_success_between_two_refusals_clears_the_key() -> None:
    """F31"""
    state = health.succeeded(failed(HEALTHY, AUTH), 0, NOW)
    assert health.state_name(failed(state, AUTH)) == "healthy"


def test_one_refusal_is_enough_where_the_key_is_named() -> None:
    """F31"""
    assert failed(HEALTHY, Disable(reason="auth")) == disabled(NOW + 900, "auth")


def test_a_probe_that_is_refused_needs_no_second_witness() -> None:
    assert failed(probe_of(cooling(until=NOW - 1, ejections=0)), AUTH) == disabled(NOW + 900, "auth", epoch=2)


def test_another_reason_starts_its_own_schedule() -> None:
    state = failed(probe_of(disabled(NOW - 1, "quota", refusals=4)), Disable(reason="auth"))
    assert state == disabled(NOW + 900, "auth", epoch=2)


def test_a_fault_while_a_disabled_account_is_probed_leaves_it_disabled() -> None:
    state = failed(probe_of(disabled(NOW - 1, "quota", refusals=2)), FAULT)
    assert state == disabled(NOW + 30, "quota", refusals=2, epoch=2)


def test_a_disabled_account_that_meets_a_limit_has_been_paid_for() -> None:
    assert failed(probe_of(disabled(NOW - 1, "quota")), hinted(7), dice=0.0) == cooling(until=NOW + 7, epoch=2)


def test_a_probe_that_answers_enables_again() -> None:
    assert health.succeeded(probe_of(disabled(NOW - 1, "quota")), 1, NOW) == Healthy(epoch=1, since=NOW)


# --- the store -------------------------------------------------------------------------------------------------------

floats = st.floats(min_value=0, max_value=1e9)
counts = st.integers(min_value=0, max_value=50)
closed = st.one_of(
    st.builds(Cooling, until=floats, epoch=counts, ejections=counts, reason=st.text(), is_capped=st.booleans()),
    st.builds(Disabled, until=floats, epoch=counts, ejections=counts, reason=st.text(), refusals=counts),
)
resting = st.one_of(st.builds(Healthy, epoch=counts, ejections=counts, since=floats), closed)


@given(state=resting)
def test_what_the_store_is_told_is_what_it_tells(state: Healthy | Cooling | Disabled) -> None:
    assert health.state_of(health.entry_of(state)) == state


@given(state=closed)
def test_a_probe_is_not_told(state: Cooling | Disabled) -> None:
    assert health.entry_of(probe_of(state)) == health.entry_of(state)


# --- laws ------------------------------------------------------------------------------------------------------------

effects = st.one_of(
    st.builds(Cool, scope=st.just("account"), reason=st.just("rate_limited"), hint_s=st.none() | st.floats()),
    st.just(FAULT),
    st.just(SLOW),
    st.just(QUOTA),
    st.just(AUTH),
)
any_state = st.one_of(resting, st.builds(Probing, before=closed, probe=counts, lease_until=floats))


@given(state=any_state, effect=effects, seen=counts, now=floats, dice=st.floats(0, 1, exclude_max=True))
def test_until_and_epoch_of_a_closed_scope_never_fall(
    state: State, effect: Cool | Fail | Disable, seen: int, now: float, dice: float
) -> None:
    """I3"""
    after = failed(state, effect, seen=seen, now=now, dice=dice)
    was, becomes = health.closed(state), health.closed(after)
    assert after.epoch >= state.epoch
    assert was is None or (becomes is not None and becomes.until >= was.until)


@given(effect=effects, now=floats, dice=st.floats(0, 1, exclude_max=True))
def test_a_pause_lies_between_a_second_and_its_cap(effect: Cool | Fail | Disable, now: float, dice: float) -> None:
    after = health.closed(failed(HEALTHY, effect, now=now, dice=dice))
    assert after is None or 0.99 <= after.until - now <= 3600 * 1.1


# --- probes that nobody answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "base_s"), [("auth", 900), ("quota", 1_800)])
def test_S_6_probe_that_is_put_off_is_due_after_the_first_wait_and_counts_as_no_refusal(
    reason: str, base_s: float
) -> None:
    before = disabled(NOW - 1, reason, refusals=4)
    after = health.postponed(probe_of(before), before.epoch, NOW)
    assert after == disabled(NOW + base_s, reason, refusals=4, epoch=before.epoch + 1)
    assert health.postponed(before, before.epoch, NOW) == after


def test_S_6_probe_that_is_put_off_never_brings_the_next_one_forward() -> None:
    before = disabled(NOW + 5_000, "auth", refusals=4)
    assert health.opens_at(health.postponed(before, before.epoch, NOW)) == NOW + 5_000


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(HEALTHY, id="healthy"),
        pytest.param(cooling(), id="cooling"),
        pytest.param(probe_of(cooling()), id="probing-what-cools"),
        pytest.param(health.shut(HEALTHY, NOW), id="F100-by-hand"),
    ],
)
def test_S_6_only_what_a_provider_refused_is_put_off(state: State) -> None:
    assert health.postponed(state, 0 if health.is_shut(state) else state.epoch, NOW) is state
