"""When a scope is open, and what a report does to it: pure transitions.

::

    HEALTHY --429, breaker--> COOLING --time is up--> PROBING (one attempt) --it answers--> HEALTHY
       |                         ^                        |
       |                         +----- it fails ---------+
       +--quota, key refused--> DISABLED --time is up--> PROBING ...

Rules:

1. While a scope is closed its ``until`` never falls.
2. Each closing starts an epoch, and each attempt remembers the epoch it began in. A report of an older epoch never
   closes or opens anything; it may lengthen a pause if the server said for how long. So fifty requests that were on
   their way when a limit was reached count once.
3. A pause begins with the first 429; faults go through a breaker, which may not take more than half of its kind.
4. An operator's word begins an era of epochs: what is known from before it is void, and what is on its way is old news.
   Who is shut by hand stays so; only the same hand opens it.
5. Nothing is scheduled: a scope whose time is up, and a probe that was never heard of again, are found when the next
   attempt looks, or the prober (see `opens_at`).

``now`` is seconds of a monotonic clock; ``rng`` returns floats in [0, 1).
"""

from collections.abc import Callable
from math import inf, isnan
from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from ..state.contract import OPERATOR, Cooldown, next_era
from .model import Cool, Disable, Fail, StateName

Rng: TypeAlias = Callable[[], float]

MIN_PAUSE_S = 1.0
"""Shortest pause, whatever was hinted or drawn: nobody is hammered."""
MAX_BACKOFF_S = 300.0
MAX_EXPONENT = 16
"""Beyond it every backoff has reached its cap."""
HINT_JITTER = 0.1
"""A hinted pause is lengthened by up to this part, so that not all come back at once."""
RATE_LIMIT_BASE_S = 5.0
EJECTION_BASE_S = 30.0

PROBE_LEASE_S = 30.0
"""How long others wait for a probe to answer."""
LOST_PROBE_S = 5.0
"""Pause after a probe that did not."""

MAX_CONSECUTIVE = 5.0
WINDOW_S = 30.0
MIN_WINDOW_CALLS = 20
MAX_FAILED_PART = 0.5
WITNESSES = 3
"""Accounts of one origin that must fail with a gateway's fault within `WITNESS_S` to blame the origin."""
WITNESS_S = 10.0

REFUSAL_MEMORY_S = 60.0
"""A second refusal of the key within this time disables the account."""
DISABLED_S: dict[str, tuple[float, float]] = {"quota": (1_800.0, 21_600.0), "auth": (900.0, 86_400.0)}
"""Wait before the first probe of a disabled account, doubled each time, and the longest."""

"""Why an account is disabled that somebody shut by hand."""
SHUT_S = 3_155_760_000.0
"""A hundred years: what stores are told of the end of that, as they want a number."""

EJECTION_DECAY_S = 600.0
"""A healthy scope is forgiven one ejection each time this passes."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """Calls since a fault, for at most `WINDOW_S`."""

    since: float
    total: int
    failed: float


class Healthy(msgspec.Struct, frozen=True, kw_only=True):
    """Open. Remembers what speaks against it."""

    epoch: int = 0
    ejections: int = 0
    """Closings that are not yet forgiven: exponent of the next backoff."""
    since: float = 0.0
    failed: float = 0.0
    """Faults in a row."""
    window: Window | None = None
    refused_at: float | None = None
    """When the key was refused, if that was not certain."""
    witnesses: tuple[tuple[str, float], ...] = ()
    """Accounts that blame this origin, and when; each once."""


class Cooling(msgspec.Struct, frozen=True, kw_only=True):
    """Closed for a while; from ``until`` on, one attempt may probe it."""

    until: float
    epoch: int
    ejections: int
    reason: str
    is_capped: bool
    """Counts against the ceiling of its kind."""


class Disabled(msgspec.Struct, frozen=True, kw_only=True):
    """Refused by the provider: from ``until`` on, one attempt may probe it. Or shut by hand: then none may."""

    until: float
    epoch: int
    ejections: int
    reason: str
    refusals: int
    """In a row, this one included."""


class Probing(msgspec.Struct, frozen=True, kw_only=True):
    """Closed but for one attempt, whose outcome decides."""

    before: Cooling | Disabled
    probe: int
    """Number of the lease."""
    lease_until: float

    @property
    def epoch(self) -> int:
        """The probe's own: reports of this epoch are the probe's."""
        return self.before.epoch


Closed: TypeAlias = Cooling | Disabled
State: TypeAlias = Healthy | Closed | Probing

HEALTHY = Healthy()
"""A scope of which nothing is known."""


# --- looking ---------------------------------------------------------------------------------------------------------


def opens_at(state: State) -> float:
    """Return when the next attempt may go: as a probe, unless the scope is healthy; infinity: when somebody says so."""
    match state:
        case Healthy():
            return -inf
        case Probing():
            return max(state.lease_until + LOST_PROBE_S, state.before.until)
        case Disabled(reason="operator"):
            return inf
        case Cooling() | Disabled():
            return state.until
        case _:
            assert_never(state)


def is_shut(state: State) -> bool:
    """Tell whether somebody shut it by hand."""
    return isinstance(state, Disabled) and state.reason == OPERATOR


def state_name(state: State) -> StateName:
    """Name a state for the log and the snapshot."""
    match state:
        case Healthy():
            return "healthy"
        case Cooling():
            return "cooling"
        case Probing():
            return "probing"
        case Disabled():
            return "disabled"
        case _:
            assert_never(state)


def closed(state: State) -> Closed | None:
    """Return why and since which epoch a scope is closed, whether or not it is being probed; None: it is healthy."""
    return None if isinstance(state, Healthy) else _beneath(state)


def _beneath(state: Closed | Probing) -> Closed:
    return state.before if isinstance(state, Probing) else state


def ceiling(total: int) -> int:
    """Return how many of ``total`` a breaker may take: half, but always one."""
    return max(1, total // 2)


# --- transitions -----------------------------------------------------------------------------------------------------


def probing(state: State, probe: int, now: float) -> State:
    """Let an attempt in: if the scope was closed, it now waits for the outcome."""
    before = closed(state)
    return state if before is None else Probing(before=before, probe=probe, lease_until=now + PROBE_LEASE_S)


def abandoned(state: State, probe: int) -> State:
    """Take back a probe that proved nothing: the next attempt may be the probe."""
    return state.before if isinstance(state, Probing) and state.probe == probe else state


def shut(state: State, now: float) -> Disabled:
    """Close a scope by hand, until it is opened by hand."""
    return Disabled(until=now + SHUT_S, epoch=next_era(state.epoch), ejections=0, reason=OPERATOR, refusals=0)


def cleared(state: State, now: float) -> Healthy:
    """Forget by hand all that speaks against a scope."""
    return Healthy(epoch=next_era(state.epoch), since=now)


def postponed(state: State, seen: int, now: float) -> State:
    """Put a probe of a disabled scope off that nobody answered: it says nothing, and is due again after the first wait.

    Args:
        state: The scope's.
        seen: The epoch in which the probe began.
        now: The present.
    """
    was = closed(state)
    if seen < state.epoch or not isinstance(was, Disabled):
        return state
    base_s, _ = DISABLED_S[was.reason]
    return replace(was, until=max(was.until, now + base_s), epoch=was.epoch + 1)


def succeeded(state: State, seen: int, now: float) -> State:
    """Count a success. Returns the same object if it changes nothing.

    Args:
        state: The scope's.
        seen: The epoch in which the attempt began.
        now: The present.
    """
    if seen < state.epoch:
        return state
    if not isinstance(state, Healthy):
        return Healthy(epoch=state.epoch, ejections=_beneath(state).ejections, since=now)
    if not (state.failed or state.window or state.ejections or state.witnesses or state.refused_at is not None):
        return state
    window = state.window if state.window and now - state.window.since < WINDOW_S else None
    return Healthy(
        epoch=state.epoch,
        ejections=max(0, _ejections(state, now) - 1),
        since=now,
        window=replace(window, total=window.total + 1) if window else None,
    )


def failed(state: State, effect: Cool | Fail | Disable, *, seen: int, now: float, rng: Rng, has_room: bool) -> State:
    """Count an outcome against the scope that its effect names.

    Args:
        state: The scope's.
        effect: Says what happened.
        seen: The epoch in which the attempt began.
        now: The present.
        rng: For the jitter.
        has_room: Whether one more of its kind may be closed by an effect that has a ceiling.
    """
    if seen < state.epoch:
        return _lengthened(state, effect, now, rng)
    match effect:
        case Cool():
            return _cooled(state, effect, now, rng, has_room)
        case Fail():
            return _faulted(state, effect, now, rng, has_room)
        case Disable():
            return _refused(state, effect, now)
        case _:
            assert_never(effect)


def blamed(state: State, witness: str, *, seen: int, now: float, rng: Rng, has_room: bool) -> State:
    """Count an account's fault against its origin; several accounts within a short time close it."""
    if seen < state.epoch or not isinstance(state, Healthy):
        return state
    others = tuple((name, at) for name, at in state.witnesses if name != witness and now - at < WITNESS_S)
    if len(others) + 1 < WITNESSES or not has_room:
        return replace(state, witnesses=(*others, (witness, now))[-WITNESSES:])
    return _paused(state, now, _backoff(EJECTION_BASE_S, _ejections(state, now), rng), "gateway_fault", is_capped=True)


def _lengthened(state: State, effect: Cool | Fail | Disable, now: float, rng: Rng) -> State:
    """Believe old news only where they say how long the server wants to be left alone."""
    wait_s = _hinted(effect, rng) if isinstance(effect, Cool) else None
    if wait_s is None:
        return state
    match state:
        case Cooling():
            return replace(state, until=max(state.until, now + wait_s))
        case Probing(before=Cooling() as before):
            return replace(state, before=replace(before, until=max(before.until, now + wait_s)))
        case Healthy() | Disabled() | Probing():
            return state
        case _:
            assert_never(state)


def _cooled(state: State, effect: Cool, now: float, rng: Rng, has_room: bool) -> State:
    if effect.is_capped and not has_room and isinstance(state, Healthy):
        return state
    wait_s = _hinted(effect, rng)
    if wait_s is None:
        wait_s = _backoff(RATE_LIMIT_BASE_S, _ejections(state, now), rng)
    return _paused(state, now, wait_s, effect.reason, is_capped=effect.is_capped)


def _faulted(state: State, effect: Fail, now: float, rng: Rng, has_room: bool) -> State:
    if isinstance(state, Healthy):
        return _counted(state, effect, now, rng, has_room)
    was = _beneath(state)
    wait_s = _backoff(EJECTION_BASE_S, was.ejections, rng)
    if isinstance(was, Disabled):
        # A fault says nothing about money or keys: the account stays what it was, and is asked again soon.
        return replace(was, until=max(was.until, now + wait_s), epoch=was.epoch + 1)
    return _paused(state, now, wait_s, effect.reason, is_capped=was.is_capped)


def _counted(state: Healthy, effect: Fail, now: float, rng: Rng, has_room: bool) -> State:
    """Run the breaker."""
    window = state.window
    if window is None or now - window.since >= WINDOW_S:
        window = Window(now, 0, 0.0)
    window = Window(window.since, window.total + 1, window.failed + effect.weight)
    in_a_row = state.failed + effect.weight
    is_mostly_failing = window.total >= MIN_WINDOW_CALLS and window.failed >= MAX_FAILED_PART * window.total
    if has_room and (in_a_row >= MAX_CONSECUTIVE or is_mostly_failing):
        wait_s = _backoff(EJECTION_BASE_S, _ejections(state, now), rng)
        return _paused(state, now, wait_s, effect.reason, is_capped=True)
    return replace(state, failed=in_a_row, window=window)


def _refused(state: State, effect: Disable, now: float) -> State:
    """Disable the account; at the first doubtful refusal of a healthy one, only remember it."""
    was = closed(state)
    if isinstance(state, Healthy) and not effect.is_certain:
        is_first = state.refused_at is None or now - state.refused_at > REFUSAL_MEMORY_S
        if is_first:
            return replace(state, refused_at=now)
    refusals = was.refusals if isinstance(was, Disabled) and was.reason == effect.reason else 0
    base_s, cap_s = DISABLED_S[effect.reason]
    until = now + min(cap_s, base_s * 2.0 ** min(refusals, MAX_EXPONENT))
    return Disabled(
        until=until if was is None else max(was.until, until),
        epoch=state.epoch + 1,
        ejections=_ejections(state, now),
        reason=effect.reason,
        refusals=refusals + 1,
    )


def _paused(state: State, now: float, wait_s: float, reason: str, *, is_capped: bool) -> Cooling:
    was = closed(state)
    return Cooling(
        until=now + wait_s if was is None else max(was.until, now + wait_s),
        epoch=state.epoch + 1,
        ejections=_ejections(state, now) + 1,
        reason=reason,
        is_capped=is_capped,
    )


def _ejections(state: State, now: float) -> int:
    if isinstance(state, Healthy):
        return max(0, state.ejections - int((now - state.since) // EJECTION_DECAY_S))
    return _beneath(state).ejections


def _hinted(effect: Cool, rng: Rng) -> float | None:
    """Return the pause that a server asked for, lengthened a little; None: it asked for none that makes sense."""
    hint_s = effect.hint_s
    if hint_s is None or isnan(hint_s) or hint_s < 0:
        return None
    return min(max(hint_s, MIN_PAUSE_S), effect.cap_s) * (1.0 + HINT_JITTER * rng())


def _backoff(base_s: float, exponent: int, rng: Rng) -> float:
    """Return a pause drawn from the whole range up to the capped exponential (full jitter)."""
    return max(MIN_PAUSE_S, rng() * min(MAX_BACKOFF_S, base_s * 2.0 ** min(exponent, MAX_EXPONENT)))


# --- what others must know -------------------------------------------------------------------------------------------


def entry_of(state: State) -> Cooldown:
    """Write a state down for the store. A probe is not told: who else looks makes its own."""
    match state:
        case Healthy():
            return Cooldown(state="healthy", until=state.since, epoch=state.epoch, ejections=state.ejections)
        case Probing():
            return entry_of(state.before)
        case Cooling():
            return Cooldown(
                state="cooling",
                until=state.until,
                epoch=state.epoch,
                ejections=state.ejections,
                reason=state.reason,
                is_capped=state.is_capped,
            )
        case Disabled():
            return Cooldown(
                state="disabled",
                until=state.until,
                epoch=state.epoch,
                ejections=state.ejections,
                reason=state.reason,
                refusals=state.refusals,
            )
        case _:
            assert_never(state)


def state_of(entry: Cooldown) -> Healthy | Closed:
    """Read what `entry_of` wrote."""
    match entry.state:
        case "healthy":
            return Healthy(epoch=entry.epoch, ejections=entry.ejections, since=entry.until)
        case "cooling":
            return Cooling(
                until=entry.until,
                epoch=entry.epoch,
                ejections=entry.ejections,
                reason=entry.reason,
                is_capped=entry.is_capped,
            )
        case "disabled":
            return Disabled(
                until=entry.until,
                epoch=entry.epoch,
                ejections=entry.ejections,
                reason=entry.reason,
                refusals=entry.refusals,
            )
        case _:
            assert_never(entry.state)
