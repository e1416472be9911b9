"""What one caller may use: at a time, in a minute, in a day, in a month. Pure: amounts in, amounts out.

A request reserves what it may need before it goes anywhere, and settles when what it used is known, whatever became of
it: two requests cannot spend the same money. Days and months are those of UTC. What was never asked of an upstream is
given back but for its place among the requests of a minute.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from .errors import CallerBudgetSpent, CallerLimited, CapacityError
from .state.contract import Admission, Amount, NotAdmitted, SharedSlot

Unit = Literal["requests", "tokens", "usd"]
Period = Literal["minute", "day", "month"]
_UNITS: Final[Mapping[str, Unit]] = {"requests": "requests", "tokens": "tokens", "usd": "usd"}
_PERIODS: Final[Mapping[str, Period]] = {"minute": "minute", "day": "day", "month": "month"}
MINUTE_S = 60.0
DEFAULT_OUTPUT_TOKENS = 1_024
"""Reserved for an answer whose request does not say how long it may be."""


AtATime: TypeAlias = Annotated[int, Meta(ge=1, le=100_000)]
RequestsAMinute: TypeAlias = Annotated[float, Meta(gt=0, le=10_000_000)]
TokensAMinute: TypeAlias = Annotated[float, Meta(gt=0, le=100_000_000_000)]
Tokens: TypeAlias = Annotated[float, Meta(gt=0, le=1e15)]
Dollars: TypeAlias = Annotated[float, Meta(gt=0, le=1e12)]


class CallerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may use; None: as much as it likes. Each is above 0: who may use nothing is no caller.

    Attributes:
        concurrency: Requests at a time.
        rpm: Requests a minute.
        tpm: Tokens a minute, in and out together.
        tokens_per_day: Tokens in a day of UTC, in and out together.
        tokens_per_month: Tokens in a month of UTC, in and out together.
        usd_per_day: Dollars in a day of UTC; models whose price nobody knows are counted in tokens alone.
        usd_per_month: Dollars in a month of UTC, likewise.
    """

    concurrency: AtATime | None = None
    rpm: RequestsAMinute | None = None
    tpm: TokensAMinute | None = None
    tokens_per_day: Tokens | None = None
    tokens_per_month: Tokens | None = None
    usd_per_day: Dollars | None = None
    usd_per_month: Dollars | None = None

    @property
    def has_budget(self) -> bool:
        """Whether anything of it is counted for a day or a month."""
        budgets = (self.tokens_per_day, self.tokens_per_month, self.usd_per_day, self.usd_per_month)
        return any(budget is not None for budget in budgets)


NO_LIMITS = CallerLimits()


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a limit or a budget of a caller is used."""

    unit: Unit
    period: Period
    used: float
    """Reserved or used; of a minute: what has not come back yet."""
    limit: float
    resets_at: float | None
    """Seconds since 1970, when all of it comes back; None: bit by bit."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a request needs, or has used."""

    requests: int = 1
    tokens: float = 0
    usd: float | None = None
    """None: nobody knows the price."""


def admission(holder: str, caller: str, limits: CallerLimits, use: Use, wall_now: float) -> Admission:
    """Return what a request of a caller must be granted.

    Args:
        holder: Of the request; unique.
        caller: Its label.
        limits: The caller's.
        use: An estimate, rather too much than too little.
        wall_now: Seconds since 1970.
    """
    slots = () if limits.concurrency is None else (SharedSlot(f"caller {caller}", limits.concurrency),)
    return Admission(holder=holder, slots=slots, amounts=_amounts(caller, limits, use, wall_now))


def corrections(admitted: Admission, reserved: Use, used: Use) -> tuple[Amount, ...]:
    """Return what is to be added to what was admitted, now that it is known; nothing where the estimate was right."""
    differences = {
        "requests": float(used.requests - reserved.requests),
        "tokens": used.tokens - reserved.tokens,
        "usd": (used.usd or 0.0) - (reserved.usd or 0.0),
    }
    return tuple(
        [
            msgspec.structs.replace(amount, amount=difference)
            for amount in admitted.amounts
            if (difference := differences[_unit(amount.name)])
        ]
    )


def late_corrections(
    caller: str, limits: CallerLimits, reserved: Use, used: Use, wall_since: float
) -> tuple[Amount, ...]:  # fmt: skip
    """Return what is to be added for an answer that ended long after its request: to the budgets of that day and month.

    Its minute is over, so that nothing is put right there.

    Args:
        caller: Its label.
        limits: The caller's, as they are by now.
        reserved: When it was asked for.
        used: As it says itself.
        wall_since: Seconds since 1970 when it was reserved.
    """
    amounts = [amount for amount in _amounts(caller, limits, reserved, wall_since) if not amount.is_paced]
    return corrections(Admission(holder="", amounts=tuple(amounts)), reserved, used)


def refused(refusal: NotAdmitted, admitted: Admission, wall_now: float) -> CapacityError:
    """Return why a request is not let in, in words that its caller understands."""
    if any(slot.name == refusal.name for slot in admitted.slots):
        limit = admitted.slots[0].limit
        return CallerLimited(
            f"This key may have {limit} requests at a time, and has them. Wait until one has ended.",
            retry_after_s=refusal.wait_s,
        )
    amount = next(amount for amount in admitted.amounts if amount.name == refusal.name)
    unit = _unit(amount.name)
    words = "dollars" if unit == "usd" else unit
    if amount.is_paced:
        return CallerLimited(
            f"This key may use {amount.limit:,.10g} {words} a minute. Try again later.",
            retry_after_s=refusal.wait_s,
        )
    until = datetime.fromtimestamp(wall_now + refusal.wait_s, UTC)
    return CallerBudgetSpent(
        f"This key's budget of {amount.limit:,.10g} {words} for this {_period(amount.name)} does not suffice for this "
        f"request. It begins anew at {until:%Y-%m-%d %H:%M} UTC.",
        should_retry=False,
    )


def uses(
    caller: str, limits: CallerLimits, used: Callable[[Amount], float], wall_now: float
) -> tuple[LimitUse, ...]:  # fmt: skip
    """Return how much of its limits a caller has used.

    Args:
        caller: Its label.
        limits: The caller's.
        used: As `StateStore.used`.
        wall_now: Seconds since 1970.
    """
    return tuple(
        [
            LimitUse(
                unit=_UNITS[_unit(amount.name)],
                period=_PERIODS[_period(amount.name)],
                used=round(used(amount), 9),
                limit=amount.limit,
                resets_at=None if amount.is_paced else round(wall_now + amount.life_s),
            )
            for amount in _amounts(caller, limits, Use(requests=0), wall_now)
        ]
    )


def _amounts(caller: str, limits: CallerLimits, use: Use, wall_now: float) -> tuple[Amount, ...]:
    now = datetime.fromtimestamp(wall_now, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = midnight.replace(day=1)
    day_left = (midnight + timedelta(days=1) - now).total_seconds()
    month_left = ((month + timedelta(days=32)).replace(day=1) - now).total_seconds()
    day_name, month_name = f"day {now:%Y-%m-%d}", f"month {now:%Y-%m}"
    rows = (
        ("requests", "minute", limits.rpm, use.requests, MINUTE_S, True),
        ("tokens", "minute", limits.tpm, use.tokens, MINUTE_S, True),
        ("tokens", day_name, limits.tokens_per_day, use.tokens, day_left, False),
        ("tokens", month_name, limits.tokens_per_month, use.tokens, month_left, False),
        ("usd", day_name, limits.usd_per_day, use.usd or 0.0, day_left, False),
        ("usd", month_name, limits.usd_per_month, use.usd or 0.0, month_left, False),
    )
    return tuple(
        [
            Amount(name=f"{unit} {period} of {caller}", amount=amount, limit=limit, life_s=life_s, is_paced=is_paced)
            for unit, period, limit, amount, life_s, is_paced in rows
            if limit is not None
        ]
    )


def _unit(name: str) -> str:
    return name.partition(" ")[0]


def _period(name: str) -> str:
    return name.split(" ")[1]
