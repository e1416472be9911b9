"""What tokens cost, as data: dollars per million, by the upstream's name of the model.

Prices are the vendors' list prices for the standard tier as their pages had them in November 2025, without what long
prompts, batches or agreements change. They age: what ``[[prices]]`` of the configuration says goes first, and what a
model costs whose price nobody knows is ``None``, never 0.
"""

from collections.abc import Mapping, Sequence
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


_LISTED: Final[Sequence[tuple[str, float, float, float | None]]] = (
    ("gpt-5.1 gpt-5.1-2025-11-13 gpt-5.1-chat-latest gpt-5.1-codex", 1.25, 10.00, 0.125),
    ("gpt-5.1-codex-mini", 0.25, 2.00, 0.025),
    ("gpt-5 gpt-5-2025-08-07 gpt-5-chat-latest gpt-5-codex", 1.25, 10.00, 0.125),
    ("gpt-5-mini gpt-5-mini-2025-08-07", 0.25, 2.00, 0.025),
    ("gpt-5-nano gpt-5-nano-2025-08-07", 0.05, 0.40, 0.005),
    ("gpt-5-pro gpt-5-pro-2025-10-06", 15.00, 120.00, 15.00),
    ("gpt-4.1 gpt-4.1-2025-04-14", 2.00, 8.00, 0.50),
    ("gpt-4.1-mini gpt-4.1-mini-2025-04-14", 0.40, 1.60, 0.10),
    ("gpt-4.1-nano gpt-4.1-nano-2025-04-14", 0.10, 0.40, 0.025),
    ("gpt-4o gpt-4o-2024-08-06 gpt-4o-2024-11-20", 2.50, 10.00, 1.25),
    ("gpt-4o-2024-05-13", 5.00, 15.00, 5.00),
    ("gpt-4o-mini gpt-4o-mini-2024-07-18", 0.15, 0.60, 0.075),
    ("o4-mini o4-mini-2025-04-16", 1.10, 4.40, 0.275),
    ("o3-mini o3-mini-2025-01-31", 1.10, 4.40, 0.55),
    ("o3 o3-2025-04-16", 2.00, 8.00, 0.50),
    ("text-embedding-3-small", 0.02, 0.0, None),
    ("text-embedding-3-large", 0.13, 0.0, None),
    ("claude-opus-4-5 claude-opus-4-5-20251101 claude-opus-4.5", 5.00, 25.00, 0.50),
    ("claude-opus-4-1 claude-opus-4-1-20250805 claude-opus-4.1", 15.00, 75.00, 1.50),
    ("claude-opus-4-0 claude-opus-4-20250514 claude-opus-4", 15.00, 75.00, 1.50),
    ("claude-sonnet-4-5 claude-sonnet-4-5-20250929 claude-sonnet-4.5", 3.00, 15.00, 0.30),
    ("claude-sonnet-4-0 claude-sonnet-4-20250514 claude-sonnet-4", 3.00, 15.00, 0.30),
    ("claude-haiku-4-5 claude-haiku-4-5-20251001 claude-haiku-4.5", 1.00, 5.00, 0.10),
    ("claude-3-5-haiku-latest claude-3-5-haiku-20241022 claude-3.5-haiku", 0.80, 4.00, 0.08),
    ("gemini-2.5-pro", 1.25, 10.00, 0.125),
    ("gemini-2.5-flash gemini-2.5-flash-preview-09-2025", 0.30, 2.50, 0.03),
    ("gemini-2.5-flash-lite gemini-2.5-flash-lite-preview-09-2025", 0.10, 0.40, 0.01),
    ("gemini-2.0-flash gemini-2.0-flash-001", 0.10, 0.40, 0.025),
    ("gemini-2.0-flash-lite gemini-2.0-flash-lite-001", 0.075, 0.30, None),
    ("gemini-embedding-001", 0.15, 0.0, None),
    ("mistral-small-2503 mistral-small-2506", 0.10, 0.30, None),
    ("mistral-medium-2505 mistral-medium-2508", 0.40, 2.00, None),
    ("mistral-large-2407 mistral-large-2411", 2.00, 6.00, None),
    ("codestral-2501 codestral-2508", 0.30, 0.90, None),
    ("deepseek-chat deepseek-reasoner", 0.28, 0.42, 0.028),
    ("grok-4 grok-4-0709", 3.00, 15.00, 0.75),
    ("grok-4-fast grok-4-fast-reasoning grok-4-fast-non-reasoning", 0.20, 0.50, 0.05),
    ("grok-3", 3.00, 15.00, 0.75),
    ("grok-3-mini", 0.30, 0.50, 0.075),
)
"""Names, input, output, input from a cache. Each name in full, and as resellers spell it: what a later version costs,
or one that hears, speaks or draws, nobody knows from the name of another."""

KNOWN: Final[Mapping[str, Price]] = {
    name: Price(model=name, input=input_, output=output, cache_read=cache_read)
    for names, input_, output, cache_read in _LISTED
    for name in names.split()
}


class PriceTable:
    """Prices, the application's own first.

    Args:
        own: Of the configuration, in its order.
    """

    def __init__(self, own: Sequence[Price] = ()) -> None:
        self._own = tuple(own)

    def find(self, upstream: str, model: str) -> Price | None:
        """Return the price of a model; None: nobody knows it."""
        names = (model, f"{upstream}/{model}", model.rpartition("/")[2])
        own = next((row for row in self._own if any(fnmatchcase(name, row.model) for name in names)), None)
        return own or KNOWN.get(model) or KNOWN.get(names[-1])


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
