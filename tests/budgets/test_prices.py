"""What tokens cost: the application's own prices first, and never 0 where nobody knows."""

from collections import Counter

import pytest

from asgi_ds2api.canonical import Usage
from asgi_ds2api.prices import _LISTED, KNOWN, Price, PriceTable, cost_of, saving_of

PRICE = Price(model="m", input=10, output=40)
OWN = Price(model="m", input=10, output=0, cache_read=5)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(Usage(input_total=1_000_000, output_total=100_000), 14.0, id="in and out"),
        pytest.param(Usage(input_total=1_000_000, cache_read=500_000), 5.5, id="a cache read is a tenth"),
        pytest.param(Usage(input_total=1_000_000, cache_write=500_000), 11.25, id="a cache write is a quarter more"),
        pytest.param(
            Usage(input_total=1_000_000, cache_write=500_000, cache_write_1h=500_000),
            15.0,
            id="for an hour it is twice",
        ),
        pytest.param(Usage(output_total=100, reasoning=90), 0.004, id="reasoning is output"),
        pytest.param(Usage(input_total=10, cache_read=50), 0.00001, id="more from the cache than there was"),
        pytest.param(Usage(), 0.0, id="nothing told"),
    ],
)
def test_cost(usage: Usage, expected: float) -> None:
    assert cost_of(PRICE, usage) == pytest.approx(expected)


def test_own_rows_say_what_the_cache_costs() -> None:
    price = Price(model="m", input=10, output=0, cache_read=5, cache_write=20)
    usage = Usage(input_total=1_000_000, cache_read=200_000, cache_write=300_000, cache_write_1h=100_000)
    assert cost_of(price, usage) == pytest.approx(5 + 1 + 6)


@pytest.mark.parametrize(
    ("price", "usage", "expected"),
    [
        pytest.param(
            PRICE, Usage(input_total=1_000_000, cache_read=500_000), 4.5, id="nine tenths of the input's price"
        ),
        pytest.param(
            Price(model="m", input=10, output=0, cache_read=5), Usage(input_total=9, cache_read=2), 1e-5, id="own"
        ),
        pytest.param(PRICE, Usage(input_total=1_000_000), 0.0, id="nothing was read"),
    ],
)
def test_what_a_cache_saves(price: Price, usage: Usage, expected: float) -> None:
    assert saving_of(price, usage) == pytest.approx(expected)


def test_own_prices_go_first_by_name_or_by_upstream() -> None:
    own = PriceTable([Price(model="local/*", input=0, output=0), Price(model="gpt-5*", input=1, output=1)])
    assert own.find("local", "gpt-5") == Price(model="local/*", input=0, output=0)
    assert own.find("openai", "gpt-5") == Price(model="gpt-5*", input=1, output=1)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o-mini-2024-07-18", 0.15),
        ("gpt-5-mini", 0.25),
        ("gpt-5", 1.25),
        ("claude-opus-4-5-20251101", 5.0),
        ("claude-opus-4-1", 15.0),
        ("anthropic/claude-sonnet-4.5", 3.0),
        ("openai/gpt-4o", 2.5),
        ("gemini-2.5-flash-lite", 0.10),
    ],
)
def test_known_models_by_their_dated_names_and_those_of_resellers(model: str, expected: float) -> None:
    price = PriceTable().find("anybody", model)
    assert price is not None
    assert price.input == expected


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("my-model", id="of nobody's"),
        pytest.param("claude-opus-4-6", id="a later version of Anthropic's"),
        pytest.param("anthropic/claude-opus-4.6", id="the same at a reseller"),
        pytest.param("gpt-5.6", id="a later version of OpenAI's"),
        pytest.param("gpt-5-2027-01-01", id="a later date"),
        pytest.param("mistral-large-2512", id="a later month of Mistral's"),
        pytest.param("mistral-small-latest", id="whatever is the latest"),
        pytest.param("gpt-4o-realtime-preview", id="one that hears and speaks"),
        pytest.param("gpt-4o-mini-tts", id="one that speaks"),
        pytest.param("gemini-2.5-flash-image", id="one that draws"),
        pytest.param("grok-3-fast", id="one that is faster and costs more"),
    ],
)
def test_a_model_that_nobody_knows_has_no_price(model: str) -> None:
    assert PriceTable().find("anybody", model) is None


def test_each_name_has_one_price() -> None:
    names = Counter(name for row in _LISTED for name in row[0].split())
    assert names.most_common(1)[0][1] == 1
    assert {name for name, price in KNOWN.items() if PriceTable().find("x", name) is not price} == set()
