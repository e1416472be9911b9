"""Requests in line: hand-off, turns, room; no slot is lost and nobody barges in. Over the real pool, without a loop."""

from collections import Counter

import pytest

from asgi_ds2api.errors import PoolExhausted, QueueFull, ServerFault
from asgi_ds2api.pool.line import Waiter
from asgi_ds2api.pool.model import Account, Lease

from .crowd import Crowd, full
from .rig import HOME, Rig, accounts
from .verdicts import limited, unauthorized


def test_a_slot_that_is_given_back_goes_to_who_came_first() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    first, second = crowd.come("first"), crowd.come("second")
    crowd.end(lease)
    assert (crowd.woken, second.lease, rig.status().in_flight) == (["first"], None, 1)
    crowd.end(first.take())
    assert crowd.woken == ["first", "second"]


def test_nobody_who_comes_later_takes_the_slot_of_who_waits() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    waiter = crowd.come("waits")
    crowd.end(lease)
    with pytest.raises(PoolExhausted):
        rig.acquire()
    assert waiter.lease is not None


def test_an_account_that_opens_with_time_is_for_who_waits_though_a_newcomer_looks_first() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    crowd = Crowd(rig)
    waiter = crowd.come("waits")
    rig.clock.now += 7
    with pytest.raises(PoolExhausted):
        rig.acquire()
    assert waiter.lease is not None


def test_a_front_that_wants_something_else_keeps_nobody_from_the_slot() -> None:
    """The ancestor woke its head alone, who went to the end of the queue; nobody else was told."""
    rig = Rig(accounts(2, concurrency=1))
    leases = [rig.acquire(), rig.acquire()]
    crowd = Crowd(rig)
    crowd.come("bound to 0", crowd.plan("", "m", "openai", "openai/0"))
    crowd.come("any")
    crowd.end(leases[1])
    assert crowd.woken == ["any"]
    crowd.end(leases[0])
    assert crowd.woken == ["any", "bound to 0"]


def test_who_waits_for_one_model_is_not_kept_back_by_who_waits_for_another() -> None:
    rig = Rig(accounts(1))
    rig.attempt(limited(60, by_model=True), "openai/big")
    crowd = Crowd(rig)
    crowd.come("big", crowd.plan(model="big"))
    assert rig.labels(1, "openai/small") == ["0"]


def test_who_waits_for_a_model_that_is_closed_meanwhile_keeps_nobody_back_who_stood_behind() -> None:
    """Models that nobody has spoken of share a queue; this one is spoken of while somebody is in line for it."""
    rig = Rig(accounts(1, concurrency=2))
    big, small = rig.acquire("openai/big"), rig.acquire("openai/small")
    crowd = Crowd(rig)
    one, other = crowd.come("big", crowd.plan(model="big")), crowd.come("small", crowd.plan(model="small"))
    assert one.key == other.key
    rig.pool.release(big, limited(60, by_model=True))
    assert crowd.woken == ["small"]
    crowd.end(small)
    assert crowd.woken == ["small"]
    rig.clock.now += 60
    rig.pool.look(one)
    assert crowd.woken == ["small", "big"]


def test_a_slot_that_was_handed_to_somebody_who_left_goes_to_the_next() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    first, second = crowd.come("first"), crowd.come("second")
    crowd.end(lease)
    rig.pool.leave(first)  # woken and cancelled in the same moment
    assert (crowd.woken, second.lease is not None, rig.status().in_flight) == (["first", "second"], True, 1)


def test_who_leaves_the_line_is_not_served() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    first, second = crowd.come("first"), crowd.come("second")
    rig.pool.leave(first)
    rig.pool.leave(first)
    crowd.end(lease)
    assert (crowd.woken, first.lease, second.lease is not None) == (["second"], None, True)


def test_what_was_taken_is_not_given_back_by_leaving() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    waiter = crowd.come("waits")
    crowd.end(lease)
    taken = waiter.take()
    rig.pool.leave(waiter)
    assert (taken is not None, rig.status().in_flight, rig.pool.snapshot().stray_releases) == (True, 1, 0)


def test_several_slots_that_open_at_once_go_to_several() -> None:
    rig = Rig(accounts(3))
    for _ in range(3):
        rig.attempt(limited(7))
    crowd = Crowd(rig)
    waiters = [crowd.come(str(n)) for n in range(5)]
    rig.clock.now += 7
    assert rig.pool.look(waiters[4]) is not None
    assert crowd.woken == ["0", "1", "2"]


def test_an_answered_probe_lets_all_in_who_wait() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    probe = rig.acquire()
    crowd = Crowd(rig)
    for n in range(4):
        crowd.come(str(n))
    rig.pool.answered(probe)
    assert crowd.woken == ["0", "1", "2", "3"]


def test_a_retry_waits_for_an_account_that_it_has_not_tried() -> None:
    rig = Rig(accounts(2, concurrency=1))
    first, other = rig.acquire(), rig.acquire()
    rig.pool.release(first, ServerFault("oops", upstream_status=500))
    crowd = Crowd(rig)
    waiter = crowd.come("retry", tried=[first.candidate])
    crowd.end(other)
    lease = waiter.take()
    assert lease is not None
    assert lease.candidate.account.label == "1"


# --- waiting in vain --------------------------------------------------------------------------------------------------


def test_F98_who_would_wait_in_vain_is_told_as_soon_as_that_is_known() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    probe = rig.acquire()
    crowd = Crowd(rig, wait_s=10)
    waiter = crowd.come("waits")
    rig.pool.release(probe, limited(60))
    assert (crowd.woken, waiter.refusal and waiter.refusal.retry_after_s) == (["waits"], 60.0)


def test_each_who_is_told_has_a_refusal_of_its_own_as_what_is_told_may_differ() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    probe = rig.acquire()
    crowd = Crowd(rig, wait_s=10)
    one, other = crowd.come("one"), crowd.come("other")
    rig.pool.release(probe, limited(60))
    assert isinstance(one.refusal, PoolExhausted)
    assert isinstance(other.refusal, PoolExhausted)
    assert one.refusal is not other.refusal
    assert (str(one.refusal), one.refusal.retry_after_s) == (str(other.refusal), 60.0)


def test_who_can_wait_long_enough_is_not_sent_away() -> None:
    rig = Rig(1)
    rig.attempt(limited(7))
    rig.clock.now += 7
    probe = rig.acquire()
    crowd = Crowd(rig, wait_s=100)
    crowd.come("waits")
    rig.pool.release(probe, limited(60))
    assert crowd.woken == []


def test_F100_who_waits_for_an_account_that_is_disabled_is_told() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    waiter = crowd.come("waits")
    rig.pool.release(lease, unauthorized(is_key_invalid=True))
    rig.clock.now += 0
    assert waiter.refusal is None, "it is asked again within the time that this one can wait"
    impatient = Crowd(rig, wait_s=5)
    with pytest.raises(Exception, match="may be used at present"):
        impatient.come("late")


# --- room -------------------------------------------------------------------------------------------------------------


def test_F99_a_full_line_takes_nobody() -> None:
    rig, _ = full(max_waiting=2)
    crowd = Crowd(rig)
    crowd.come("first"), crowd.come("second")
    with pytest.raises(QueueFull) as caught:
        crowd.come("third")
    assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (429, "queue_full", 1.0)


def test_F99_a_line_without_places_takes_nobody_at_all() -> None:
    rig, _ = full(max_waiting=0)
    with pytest.raises(QueueFull):
        Crowd(rig).come("first")


def test_a_place_that_comes_free_is_taken() -> None:
    rig, _ = full(max_waiting=1)
    crowd = Crowd(rig)
    rig.pool.leave(crowd.come("first"))
    crowd.come("second")


@pytest.mark.parametrize(
    ("members", "places"),
    [
        (accounts(3, concurrency=10), 60),
        (accounts(3, concurrency=2), 16),
        ([*accounts(1, concurrency=2), *accounts(1, "local")], 1_000),
        (accounts(2), 1_000),
    ],
    ids=["all limited", "all limited to few", "one is not", "none is"],
)
def test_a_line_is_twice_as_long_as_what_is_served_at_a_time(members: list[Account], places: int) -> None:
    assert Rig(members).pool._line.max_waiting == places


def test_F105_a_caller_who_fills_the_line_makes_room_for_others() -> None:
    rig, (lease,) = full(max_waiting=4)
    crowd = Crowd(rig)
    flood = [crowd.come(f"flood {n}", crowd.plan("flood")) for n in range(4)]
    other = crowd.come("other", crowd.plan("other"))
    assert (crowd.woken, type(flood[3].refusal), flood[2].refusal) == (["flood 3"], QueueFull, None)
    with pytest.raises(QueueFull):
        crowd.come("flood 4", crowd.plan("flood"))
    crowd.end(lease)
    crowd.end(flood[0].take())
    assert other.lease is not None


def test_F105_callers_who_wait_equally_much_displace_nobody() -> None:
    rig, _ = full(max_waiting=4)
    crowd = Crowd(rig)
    for n in range(4):
        crowd.come(str(n), crowd.plan("ab"[n % 2]))
    with pytest.raises(QueueFull):
        crowd.come("a", crowd.plan("a"))


def test_F99_a_request_is_turned_away_unread_only_if_it_could_not_be_served_whatever_it_asks_for() -> None:
    rig = Rig([*accounts(1, concurrency=1), *accounts(1, "local", concurrency=1)], max_waiting=2)
    leases = [rig.acquire("openai/m"), rig.acquire("local/m")]
    crowd = Crowd(rig)
    waiters = [crowd.come("1"), crowd.come("2")]
    rig.pool.turn_away("somebody")  # nobody waits for the other upstream
    rig.pool.leave(waiters.pop())
    crowd.come("3", crowd.plan(upstream="local"))
    with pytest.raises(QueueFull) as caught:
        rig.pool.turn_away("")
    assert caught.value.retry_after_s == 1.0
    crowd.end(leases[0])
    rig.pool.turn_away("")


def test_F99_who_has_a_right_to_a_place_in_line_is_read() -> None:
    rig, _ = full(max_waiting=2)
    crowd = Crowd(rig)
    for n in range(2):
        crowd.come(str(n), crowd.plan("flood"))
    rig.pool.turn_away("other")
    with pytest.raises(QueueFull):
        rig.pool.turn_away("flood")


def test_a_full_line_takes_who_comes_back_in_place_of_a_later_request_of_its_caller() -> None:
    rig, (lease,) = full(max_waiting=2)
    crowd = Crowd(rig)
    plan = crowd.plan()
    first = crowd.come("first", plan)
    crowd.come("second")
    crowd.end(lease)
    crowd.come("third")
    taken = first.take()
    assert taken is not None
    rig.pool.refuse(taken, 1)
    crowd.come("first again", plan)
    assert crowd.woken == ["first", "third"]
    with pytest.raises(QueueFull):
        crowd.come("fourth")


# --- turns ------------------------------------------------------------------------------------------------------------


def served(rig: Rig, lease: Lease, waiters: dict[str, Waiter], count: int) -> list[str]:
    """Let so many be served one after the other; return who."""
    order = []
    for _ in range(count):
        rig.pool.release(lease)
        name, waiter = next((name, waiter) for name, waiter in waiters.items() if waiter.lease is not None)
        taken = waiter.take()
        assert taken is not None
        lease = taken
        order.append(name)
    return order


def test_F105_callers_take_turns_however_many_requests_each_has() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    waiters = {f"a{n}": crowd.come("", crowd.plan("a")) for n in range(10)}
    waiters |= {f"b{n}": crowd.come("", crowd.plan("b")) for n in range(2)}
    assert served(rig, lease, waiters, 6) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_F105_turns_count_over_all_models() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    waiters = {f"a{n}": crowd.come("", crowd.plan("a", model="one")) for n in range(10)}
    waiters |= {f"b{n}": crowd.come("", crowd.plan("b", model="two")) for n in range(3)}
    assert served(rig, lease, waiters, 6) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_I14_ten_to_one_the_small_caller_gets_its_half() -> None:
    """The one has ten requests in line all the time, the other one."""
    rig, (lease,) = full()
    crowd = Crowd(rig)
    count: Counter[str] = Counter()
    waiting = [(caller, crowd.come("", crowd.plan(caller))) for caller in ["large"] * 10 + ["small"]]
    for _ in range(200):
        rig.pool.release(lease)
        at = next(n for n, (_, waiter) in enumerate(waiting) if waiter.lease is not None)
        caller, waiter = waiting.pop(at)
        taken = waiter.take()
        assert taken is not None
        lease = taken
        count[caller] += 1
        waiting.append((caller, crowd.come("", crowd.plan(caller))))
    assert count == {"large": 100, "small": 100}


def test_what_a_line_remembers_ends_with_those_who_wait() -> None:
    rig, (lease,) = full(max_waiting=50)
    crowd = Crowd(rig)
    waiters = {str(n): crowd.come("", crowd.plan(f"caller-{n}", model=f"model-{n}")) for n in range(50)}
    served(rig, lease, waiters, 50)
    line = rig.pool._line
    assert (len(line), line._queues, line._by_caller, line._by_upstream) == (0, {}, {}, Counter())


def test_I14_a_caller_with_one_request_at_a_time_has_every_second_turn() -> None:
    """It is not in line when its request ends, so that the other one is served; then it is its turn again."""
    rig, (lease,) = full(max_waiting=100)
    crowd = Crowd(rig)
    waiting = {f"large {n}": crowd.come("", crowd.plan("large")) for n in range(40)}
    order = []
    for n in range(20):
        waiting[f"small {n}"] = crowd.come("", crowd.plan("small"))
        for name in served(rig, lease, waiting, 2 if n else 1):
            lease = next(iter(rig.pool._leases))
            order.append(name.split()[0])
            del waiting[name]
    assert order.count("small") >= 19


def test_turns_of_callers_who_come_and_go_take_a_bounded_memory() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    for n in range(1_000):
        waiter = crowd.come("", crowd.plan(f"caller-{n}"))
        rig.pool.release(lease)
        taken = waiter.take()
        assert taken is not None
        lease = taken
    stays = crowd.come("", crowd.plan("stays"))
    for _ in range(1_000):
        rig.pool.leave(crowd.come("", crowd.plan("comes and goes")))
    line = rig.pool._line
    assert (len(line._turns._served) <= 64, len(line._queues[stays.key]._order) < 40) == (True, True)


def test_requests_of_one_size_share_a_queue_and_others_do_not_wait_behind_them() -> None:
    rig = Rig([Account(upstream="openai", label="0", origin=HOME, tpm=10_000)])
    rig.pool.release(rig.pool.acquire(rig.asking(9_500)))
    crowd = Crowd(rig)
    large = [crowd.come(f"large {n}", rig.asking(3_000 + n)) for n in range(2)]
    assert large[0].key == large[1].key
    assert rig.pool.acquire(rig.asking(200)).candidate.account.label == "0"


# --- what those who share an account do not grant ---------------------------------------------------------------------


def refused(rig: Rig, crowd: Crowd, waiters: dict[str, Waiter]) -> str:
    """Let others refuse whoever was handed a slot, and let it come back; return who it was."""
    (name,) = [name for name, waiter in waiters.items() if waiter.lease is not None]
    lease = waiters[name].take()
    assert lease is not None
    rig.pool.refuse(lease, 1)
    waiters[name] = crowd.come(name, waiters[name].plan)
    return name


def next_look(rig: Rig, waiters: dict[str, Waiter]) -> None:
    """Let the account open that others filled, and somebody who waits look."""
    rig.clock.now += 1
    rig.pool.look(next(iter(waiters.values())))


@pytest.mark.parametrize("callers", [("a", "a", "a"), ("a", "b", "c")], ids=["of one caller", "of three"])
def test_who_was_handed_what_others_do_not_grant_is_next_again(callers: tuple[str, ...]) -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    waiters = {f"{caller}{n}": crowd.come("", crowd.plan(caller)) for n, caller in enumerate(callers)}
    crowd.end(lease)
    first = next(iter(waiters))
    for _ in range(3):
        assert refused(rig, crowd, waiters) == first
        next_look(rig, waiters)


def test_who_came_first_and_was_never_in_line_stands_before_those_who_came_meanwhile() -> None:
    rig = Rig(accounts(1, concurrency=1))
    crowd = Crowd(rig)
    plan = crowd.plan()
    lease = rig.pool.acquire(plan)
    waiters = {"later": crowd.come("", crowd.plan())}
    rig.pool.refuse(lease, 1)
    waiters["first"] = crowd.come("", plan)
    next_look(rig, waiters)
    assert (waiters["first"].lease is not None, waiters["later"].lease) == (True, None)


def test_a_turn_that_was_taken_back_counts_in_every_queue() -> None:
    rig, (lease,) = full()
    crowd = Crowd(rig)
    first = crowd.come("", crowd.plan("a", model="one"))
    waiters = {
        "a": crowd.come("", crowd.plan("a", model="two")),
        "b": crowd.come("", crowd.plan("b", model="two")),
    }
    crowd.end(lease)
    rig.pool.look(waiters["a"])  # so that its queue knows that the turn is used
    taken = first.take()
    assert taken is not None
    rig.pool.refuse(taken, 1)  # who was refused leaves
    next_look(rig, waiters)
    assert (waiters["a"].lease is not None, waiters["b"].lease) == (True, None)


def test_what_is_not_granted_pays_for_no_retry() -> None:
    rig = Rig(1)
    for _ in range(100):
        rig.pool.refuse(rig.acquire(), 0)
    lease = rig.acquire()
    assert [rig.pool.may_retry(lease, ServerFault("500")) for _ in range(4)] == [True, True, True, False]
