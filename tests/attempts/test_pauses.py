"""How long a provider that failed is let breathe before it is asked once more."""

import anyio
import pytest

from asgi_ds2api.errors import (
    CallerLimited,
    GatewayError,
    KeyRefused,
    NoCapacity,
    Overloaded,
    PoolExhausted,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFault,
    Timeout,
    Unreachable,
    UpstreamError,
)
from asgi_ds2api.serving.failover import pause_s, spread_out
from tests.support.scripted_client import Script, streaming
from tests.support.virtual_time import run_virtual

from .rig import END, Rig, refusing, say

OK = streaming(say("Hi"), END)
OVERLOAD = Overloaded("busy", upstream_status=529)

PAUSES: list[tuple[UpstreamError, int, float, float]] = [
    (ServerFault("no", upstream_status=500), 1, 0.5, 0.1),
    (ServerFault("no", upstream_status=500), 2, 0.5, 0.2),
    (ServerFault("no", upstream_status=500), 3, 1.0, 0.8),
    (ServerFault("no", upstream_status=500), 9, 1.0, 2.0),
    (ServerFault("no", upstream_status=500), 30, 1.0, 2.0),
    (Timeout("no"), 1, 0.0, 0.0),
    (Overloaded("no", upstream_status=503), 1, 0.5, 0.1),
    (OVERLOAD, 1, 0.0, 1.0),
    (OVERLOAD, 1, 0.5, 1.1),
    (RateLimited("no"), 3, 1.0, 0.0),
    (QuotaExhausted("no"), 3, 1.0, 0.0),
    (KeyRefused("no"), 3, 1.0, 0.0),
    (Unreachable("no"), 3, 1.0, 0.0),
    (Refused("no"), 3, 1.0, 0.0),
]


@pytest.mark.parametrize(("error", "failures", "chance", "expected"), PAUSES)
def test_pauses_are_full_jitter_and_only_for_what_waiting_helps(
    error: UpstreamError, failures: int, chance: float, expected: float
) -> None:
    assert pause_s(error, failures, lambda: chance) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("error", "chance", "expected"),
    [
        (PoolExhausted("no", retry_after_s=30), 0.0, 30.0),
        (PoolExhausted("no", retry_after_s=30), 0.5, 31.5),
        (NoCapacity("no"), 0.5, None),
        (CallerLimited("no", retry_after_s=30), 0.5, 30.0),
        (RateLimited("no", retry_after_s=30), 0.5, 30.0),
    ],
    ids=["not sooner", "a tenth later at most", "no time is told", "its own limit", "an upstream's own word"],
)
def test_who_is_told_when_to_come_back_is_told_a_little_later(
    error: GatewayError, chance: float, expected: float | None
) -> None:
    assert spread_out(error, lambda: chance).retry_after_s == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    ("scripts", "chance", "expected"),
    [
        pytest.param([refusing(500), OK], 0.5, 0.1, id="F35-fault"),
        pytest.param([refusing(500), refusing(500), OK], 0.5, 0.3, id="F35-two-faults"),
        pytest.param([refusing(529), OK], 0.0, 1.0, id="F37-overload"),
        pytest.param([refusing(429), OK], 0.5, 0.0, id="F23-limited"),
        pytest.param([refusing(401), OK], 0.5, 0.0, id="F31-key"),
    ],
)
@run_virtual
async def test_same_provider_is_asked_again_after_a_pause(
    scripts: list[Script], chance: float, expected: float
) -> None:
    rig = Rig(*scripts, accounts=3, chance=chance)
    assert await rig.run() is None
    assert anyio.current_time() - rig.began == pytest.approx(expected)
    rig.check()


@run_virtual
async def test_another_provider_is_asked_at_once() -> None:
    rig = Rig(refusing(529), OK, accounts=1, targets=("one", "two"), chance=0.9)
    assert await rig.run() is None
    assert anyio.current_time() == rig.began
    rig.check()


@run_virtual
async def test_caller_is_told_at_once_where_no_time_is_left_for_another_attempt() -> None:
    rig = Rig(refusing(529), OK, accounts=2, deadline_s=1.5)
    failure = await rig.run()
    assert failure is not None
    assert (failure.code, failure.should_retry) == ("upstream_overloaded", False)
    assert anyio.current_time() == rig.began
    rig.check()


@run_virtual
async def test_F103_who_leaves_in_a_pause_holds_nothing() -> None:
    rig = Rig(refusing(529), OK, accounts=2)
    with anyio.move_on_after(0.5):
        await rig.run()
    assert len(rig.log) == 1
    rig.check()
