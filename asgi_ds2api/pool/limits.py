"""How much of an account is left: pure token buckets, from the configuration and from what an upstream's headers say.

A bucket is full at first and refills evenly. A request that needs more than a bucket can hold waits until it is full,
not for ever. What a request needs is estimated before, so a bucket may come to owe something when the truth is known;
it never owes more than it holds.

What headers say replaces what was known, unless it was said to an older request: that may only lower what is left.
"""

from math import inf

import msgspec

from ..headers import RateWindow, Resource

MINUTE_S = 60.0
MAX_TRUST_S = 3_600.0
"""How long a header may keep an account closed: then one request finds out how things are now."""
MIN_NEED = 256
"""Tokens. Requests that need less are not told apart."""


class Demand(msgspec.Struct, frozen=True, gc=False):
    """What a request is thought to need."""

    input_tokens: int = 0
    output_tokens: int = 0
    """As many as it allows."""

    @property
    def tokens(self) -> int:
        """Both."""
        return self.input_tokens + self.output_tokens


def need_of(tokens: int) -> int:
    """Return a number of tokens rounded up to a power of two: requests of about one size wait in one line."""
    return max(MIN_NEED, 1 << max(0, tokens - 1).bit_length())


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """So much is left, and so much comes in a second."""

    capacity: float
    per_s: float
    level: float
    """At that time; below 0: owed."""
    at: float

    @classmethod
    def full(cls, per_minute: float, now: float) -> "Bucket":
        """Return the bucket of a limit per minute, nothing of it used."""
        return cls(per_minute, per_minute / MINUTE_S, per_minute, now)

    def level_at(self, now: float) -> float:
        """Return what is left."""
        return min(self.capacity, self.level + max(0.0, now - self.at) * self.per_s)

    def opens_at(self, need: float) -> float:
        """Return when there is enough; infinity: never by itself."""
        lacking = min(need, self.capacity) - self.level
        if lacking <= 0:
            return -inf
        return self.at + lacking / self.per_s if self.per_s > 0 else inf

    def taken(self, amount: float, now: float) -> "Bucket":
        """Return the bucket after so much was taken out; below 0: put back."""
        level = max(-self.capacity, self.level_at(now) - amount)
        return Bucket(self.capacity, self.per_s, min(self.capacity, level), max(self.at, now))


class Window(msgspec.Struct, frozen=True, gc=False):
    """What an upstream said is left of one resource."""

    bucket: Bucket
    until: float
    """Then it is old news, and nothing is known."""
    told_to: int
    """Number of the attempt whose answer said so."""

    def opens_at(self, need: float) -> float:
        """Return when there is enough, or nothing is known any more."""
        return min(self.bucket.opens_at(need), self.until)


def heard(known: Window | None, said: RateWindow, told_to: int, now: float) -> Window | None:
    """Return what is known after an answer's headers; ``known`` itself if they say nothing of use.

    Args:
        known: Before.
        said: By the headers.
        told_to: Number of the attempt; attempts are numbered as they begin.
        now: The present.
    """
    if said.remaining is None or said.limit == 0:
        return known
    if known is not None and told_to < known.told_to:
        level = min(known.bucket.level_at(now), float(said.remaining))
        bucket = Bucket(known.bucket.capacity, known.bucket.per_s, level, now)
        return Window(bucket, known.until, known.told_to)
    capacity = float(said.remaining if said.limit is None else said.limit)
    level = min(capacity, float(said.remaining))
    reset_s = MINUTE_S if said.reset_s is None else min(said.reset_s, MAX_TRUST_S)
    per_s = (capacity - level) / said.reset_s if said.reset_s else capacity / MINUTE_S
    if said.limit is None:
        per_s = 0.0  # a window as a whole: what it holds when it begins anew is not known
    return Window(Bucket(max(1.0, capacity), per_s, level, now), now + reset_s, told_to)


def need_in(resource: Resource, demand: Demand) -> float:
    """Return what a request takes of a resource."""
    match resource:
        case "requests":
            return 1.0
        case "tokens":
            return float(demand.tokens)
        case "input_tokens":
            return float(demand.input_tokens)
        case "output_tokens":
            return float(demand.output_tokens)
