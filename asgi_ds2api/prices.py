"""What tokens cost, as data: dollars per million, by the upstream's name of the model.

Prices are the vendors' list prices for the standard tier as their pages had them in November 2025, without what long
prompts, batches or agreements change. They age: what ``[[prices]]`` of the configuration says goes first, and what a
model costs whose price nobody knows is ``None``, never 0.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from .canonical import Usage

PER = 1_000_000
"""Tokens that a price is for."""
CACHE_READ_PART: Final = 0.1
CACHE_WRITE_PART: Final = 1.25
CACHE_WRITE_1H_PART: Final = 2.0
"""Of the price of input, where a vendor bills the cache and the row does not say how."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs, in dollars per million tokens."""

    model: str
    """A glob of the upstream's names, or of ``upstream/name``."""
    input: float
    output: float
    """Reasoning included."""
    cache_read: float | None = None
    """Of input that came from a cache. None: a tenth of ``input``."""
    cache_write: float | None = None
    """Of input that was put into one. None: as ``input`` times 1.25, or twice ``input`` for an hour's."""


def _price(model: str, input_: float, output: float, cache_read: float | None = None) -> Price:
    return Price(model=model, input=input_, output=output, cache_read=cache_read)


KNOWN: Final[Sequence[Price]] = (
    _price("gpt-5-nano*", 0.05, 0.40, 0.005),
    _price("gpt-5-mini*", 0.25, 2.00, 0.025),
    _price("gpt-5-pro*", 15.00, 120.00, 15.00),
    _price("gpt-5*", 1.25, 10.00, 0.125),
    _price("gpt-4.1-nano*", 0.10, 0.40, 0.025),
    _price("gpt-4.1-mini*", 0.40, 1.60, 0.10),
    _price("gpt-4.1*", 2.00, 8.00, 0.50),
    _price("gpt-4o-mini*", 0.15, 0.60, 0.075),
    _price("gpt-4o*", 2.50, 10.00, 1.25),
    _price("o4-mini*", 1.10, 4.40, 0.275),
    _price("o3-mini*", 1.10, 4.40, 0.55),
    _price("o3", 2.00, 8.00, 0.50),
    _price("o3-2*", 2.00, 8.00, 0.50),
    _price("text-embedding-3-small", 0.02, 0.0),
    _price("text-embedding-3-large", 0.13, 0.0),
    _price("claude-opus-4-5*", 5.00, 25.00, 0.50),
    _price("claude-opus-4*", 15.00, 75.00, 1.50),
    _price("claude-sonnet-4*", 3.00, 15.00, 0.30),
    _price("claude-haiku-4-5*", 1.00, 5.00, 0.10),
    _price("claude-3-5-haiku*", 0.80, 4.00, 0.08),
    _price("gemini-2.5-pro*", 1.25, 10.00, 0.125),
    _price("gemini-2.5-flash-lite*", 0.10, 0.40, 0.01),
    _price("gemini-2.5-flash*", 0.30, 2.50, 0.03),
    _price("gemini-2.0-flash-lite*", 0.075, 0.30),
    _price("gemini-2.0-flash*", 0.10, 0.40, 0.025),
    _price("gemini-embedding-001", 0.15, 0.0),
    _price("mistral-small*", 0.10, 0.30),
    _price("mistral-medium*", 0.40, 2.00),
    _price("mistral-large-2*", 2.00, 6.00),
    _price("codestral*", 0.30, 0.90),
    _price("deepseek-chat", 0.28, 0.42, 0.028),
    _price("deepseek-reasoner", 0.28, 0.42, 0.028),
    _price("grok-4-fast*", 0.20, 0.50, 0.05),
    _price("grok-4", 3.00, 15.00, 0.75),
    _price("grok-3-mini*", 0.30, 0.50, 0.075),
    _price("grok-3*", 3.00, 15.00, 0.75),
)
"""The first that fits holds."""


class PriceTable:
    """Prices, the application's own first.

    Args:
        own: Of the configuration, in its order.
    """

    def __init__(self, own: Sequence[Price] = ()) -> None:
        self._rows = (*own, *KNOWN)

    def find(self, upstream: str, model: str) -> Price | None:
        """Return the price of a model; None: nobody knows it."""
        names = (model, f"{upstream}/{model}", model.rpartition("/")[2])
        return next((row for row in self._rows if any(fnmatchcase(name, row.model) for name in names)), None)


def saving_of(price: Price, usage: Usage) -> float:
    """Return what a prompt cache saved of the price of a usage, in dollars."""
    read = min(usage.cache_read or 0, usage.input_total or 0)
    return read * (price.input - _cache_read(price)) / PER


def cost_of(price: Price, usage: Usage) -> float:
    """Return what a usage costs, in dollars. What it does not tell counts as none."""
    total = usage.input_total or 0
    read, write = min(usage.cache_read or 0, total), usage.cache_write or 0
    hour = min(usage.cache_write_1h or 0, write)
    plain = max(0, total - read - write)
    write_price = price.input * CACHE_WRITE_PART if price.cache_write is None else price.cache_write
    hour_price = price.input * CACHE_WRITE_1H_PART if price.cache_write is None else price.cache_write
    inputs = plain * price.input + read * _cache_read(price) + (write - hour) * write_price + hour * hour_price
    return (inputs + (usage.output_total or 0) * price.output) / PER


def _cache_read(price: Price) -> float:
    return price.input * CACHE_READ_PART if price.cache_read is None else price.cache_read
