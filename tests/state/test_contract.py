"""Two who heard different news of a scope agree, in whatever order the news came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.state.contract import ERA, OPERATOR, Cooldown, CooldownState, HealthScope, merged, next_era

cooldowns = st.builds(
    Cooldown,
    state=st.sampled_from(("cooling", "disabled", "healthy")),
    until=st.floats(min_value=0, max_value=1e6),
    epoch=st.integers(min_value=0, max_value=3) | st.integers(min_value=ERA - 1, max_value=ERA + 1),
    ejections=st.integers(min_value=0, max_value=2),
    refusals=st.integers(min_value=0, max_value=2),
    reason=st.sampled_from(("", "rate_limited", "operator")),
    is_capped=st.booleans(),
)


@given(one=cooldowns, other=cooldowns)
def test_the_order_of_two_news_does_not_matter(one: Cooldown, other: Cooldown) -> None:
    assert merged(one, other) == merged(other, one)


@given(one=cooldowns, two=cooldowns, three=cooldowns)
def test_the_order_of_three_news_does_not_matter(one: Cooldown, two: Cooldown, three: Cooldown) -> None:
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@given(one=cooldowns, other=cooldowns)
def test_news_that_come_twice_change_nothing(one: Cooldown, other: Cooldown) -> None:
    assert merged(merged(one, other), other) == merged(one, other)


@given(one=cooldowns, other=cooldowns)
def test_the_epoch_never_falls_and_until_only_with_an_era(one: Cooldown, other: Cooldown) -> None:
    total = merged(one, other)
    eras = {entry.epoch // ERA for entry in (one, other)}
    expected = max(one.until, other.until) if len(eras) == 1 else max(one, other, key=lambda e: e.epoch).until
    assert (total.until, total.epoch) == (expected, max(one.epoch, other.epoch))


@pytest.mark.parametrize("epoch", [0, 1, ERA - 1_001, ERA, 5 * ERA + 7])
def test_an_operator_s_word_is_later_than_what_others_find_out_meanwhile(epoch: int) -> None:
    word = Cooldown(state="healthy", until=1.0, epoch=next_era(epoch))
    meanwhile = Cooldown(state="disabled", until=900.0, epoch=epoch + 1_000)
    assert merged(meanwhile, word) == word


def test_of_two_words_of_operators_in_one_era_the_one_that_closes_holds() -> None:
    shut = Cooldown(state="disabled", until=900.0, epoch=ERA, reason=OPERATOR)
    reset, enabled = [Cooldown(state="healthy", until=1.0, epoch=epoch) for epoch in (ERA, next_era(ERA))]
    assert (merged(reset, shut), merged(shut, enabled)) == (shut, enabled)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(("cooling", 1), ("healthy", 1), "healthy", id="the probe of this epoch succeeded"),
        pytest.param(("cooling", 2), ("healthy", 1), "cooling", id="closed again since that probe"),
        pytest.param(("cooling", 1), ("disabled", 2), "disabled", id="found disabled after it cooled"),
        pytest.param(("disabled", 1), ("cooling", 2), "cooling", id="the key works again, the limit is reached"),
    ],
)
def test_later_news_win(
    one: tuple[CooldownState, int], other: tuple[CooldownState, int], expected: CooldownState
) -> None:
    entries = [Cooldown(state=state, until=10.0, epoch=epoch) for state, epoch in (one, other)]
    assert merged(*entries).state == expected


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (HealthScope("origin", "https://api.example:443"), "origin https://api.example:443"),
        (HealthScope("account", "openai/main"), "account openai/main"),
        (HealthScope("model", "openai/main", "gpt-5"), "model openai/main gpt-5"),
    ],
)
def test_a_scope_reads_as_it_is_logged(scope: HealthScope, expected: str) -> None:
    assert str(scope) == expected
