"""A snapshot as people read it in a terminal: lines of text. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from ..budgets import LimitUse
from .snapshot import AccountView, CallerView, Opening, Snapshot

_NOTHING = "-"
_STEPS = ((1.0, 120.0, "s"), (60.0, 120 * 60.0, "min"), (3_600.0, 48 * 3_600.0, "h"), (86_400.0, float("inf"), "d"))
"""Length of a unit in seconds, up to which durations are told in it, its name."""


def lines(snapshot: Snapshot) -> Iterator[str]:
    """Yield the whole snapshot: how the gateway is, then accounts, servers that are closed, upstreams, callers."""
    yield _summary(snapshot)
    yield from table(
        "accounts",
        ("account", "state", "reason", "opens in", "in flight", "done/failed", "left", "begins in"),
        (row for account in snapshot.accounts for row in _account_rows(account)),
    )
    yield from table(
        "closed servers",
        ("server", "state", "reason", "opens in"),
        ((origin.origin, *_opening(origin)) for origin in snapshot.origins if origin.state != "healthy"),
    )
    yield from table("upstreams", ("upstream", "waiting", "hit rate", "cached", "saved"), _upstream_rows(snapshot))
    yield from table(
        "callers",
        ("caller", "in flight", "used"),
        ((caller.caller, _of(caller.in_flight, caller.max_in_flight), _uses(caller)) for caller in snapshot.callers),
    )


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table with columns of equal width; nothing without rows."""
    if not (found := [head, *rows])[1:]:
        return
    widths = [max(map(len, column)) for column in zip(*found, strict=True)]
    yield f"\n{title}"
    for row in found:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def account_line(account: AccountView) -> str:
    """Return what became of one account."""
    state, reason, opens_in = _opening(account)
    why = "" if reason == _NOTHING else f" ({reason})"
    when = "" if opens_in == _NOTHING else f", opens in {opens_in}"
    return f"{account.account}: {state}{why}{when}"


def _summary(snapshot: Snapshot) -> str:
    state = snapshot.state
    kept = f"state: {state.kind}"
    if state.is_alone:
        kept += ", out of reach: this process decides alone"
    ready = "draining" if snapshot.is_draining else "ready" if snapshot.is_ready else "no account may be used"
    return f"{ready}; {snapshot.active} active; {kept}"


def _account_rows(account: AccountView) -> Iterator[Sequence[str]]:
    yield (
        account.account,
        *_opening(account),
        _of(account.in_flight, account.max_in_flight),
        f"{account.completed}/{account.failed}",
        _left(account),
        _NOTHING if account.ewma_s is None else f"{account.ewma_s:.2f} s",
    )
    for model in account.models:
        yield f"  {model.model}", *_opening(model), "", "", "", ""


def _upstream_rows(snapshot: Snapshot) -> Iterator[Sequence[str]]:
    affinity = {it.upstream: it for it in snapshot.affinity}
    for upstream in dict.fromkeys(account.upstream for account in snapshot.accounts):
        known = affinity.get(upstream)
        hit_rate = None if known is None else known.hit_rate
        cached_rate = None if known is None else known.cached_rate
        saved = _NOTHING if known is None or not known.saved_usd else f"{known.saved_usd:,.2f} usd"
        yield upstream, str(snapshot.waiting.get(upstream, 0)), _percent(hit_rate), _percent(cached_rate), saved


def _opening(scope: Opening) -> tuple[str, str, str]:
    opens_in = _NOTHING if scope.opens_in_s is None else duration(scope.opens_in_s)
    return scope.state, scope.reason or _NOTHING, opens_in


def _left(account: AccountView) -> str:
    amounts = ((account.requests_left, "requests"), (account.tokens_left, "tokens"))
    return ", ".join(f"{amount:,} {unit}" for amount, unit in amounts if amount is not None) or _NOTHING


def _uses(caller: CallerView) -> str:
    return ", ".join(map(_use, caller.limits)) or _NOTHING


def _use(use: LimitUse) -> str:
    used = f"{use.used:,.2f}" if use.unit == "usd" else f"{use.used:,.0f}"
    return f"{used} of {use.limit:,.10g} {use.unit} a {use.period}"


def _of(some: int, most: int | None) -> str:
    return str(some) if most is None else f"{some}/{most}"


def _percent(part: float | None) -> str:
    return _NOTHING if part is None else f"{part:.0%}"


def duration(seconds: float) -> str:
    """Return a duration in the largest unit of which there are at least two; seconds are rounded up."""
    length, _, unit = next(step for step in _STEPS if seconds < step[1])
    return f"{-int(-seconds // length)} {unit}"
