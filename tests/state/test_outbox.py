"""What waits to be told to others is told in an order, once, and whole."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asgi_ds2api.state.backend import BackendError, CooldownNews, FactNews, Granted, News
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, Refusal, Scope
from asgi_ds2api.state.outbox import MAX_UNDONE, Outbox

ACCOUNT = Scope("account", "openai/a")


class Listening:
    """A backend that keeps nothing but what it is told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.is_silent = False

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, writer: str, news: Sequence[News]) -> None:
        self.heard += [type(one) for one in news]

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News]]:
        return cursor, ()

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        return {}

    def admit(self, admissions: Sequence[Admission], lease_s: float, once: str) -> list[Refusal | Granted]:
        return [Granted() for _ in admissions]

    def undo(self, admissions: Sequence[Admission], once: str) -> None:
        self.heard.append((once, tuple(admissions)))

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        self.heard.append(dict(left))

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None: ...

    def add(self, amounts: Sequence[Amount], once: str) -> None:
        self.heard.append((once, {amount.name: amount.amount for amount in amounts}))
        if self.is_silent:
            raise BackendError("no answer")


def test_F115_what_a_probe_found_is_told_before_its_right_is_given_back() -> None:
    outbox, backend = Outbox(1_000), Listening()
    outbox.put(FactNews("answers", "k", b"v", 60))
    outbox.leave("a", ["probe 1 account openai/a"])
    outbox.merge(ACCOUNT, Cooldown(state="cooling", until=60, epoch=2))
    outbox.carry(backend, "me", 0.0)
    assert backend.heard == [CooldownNews, {"a": ("probe 1 account openai/a",)}, FactNews]


def day(amount: float) -> Amount:
    return Amount(name="bob", amount=amount, limit=100, life_s=86_400)


def test_R_45_amounts_that_may_have_been_counted_are_sent_again_as_they_were() -> None:
    outbox, backend = Outbox(1_000), Listening()
    outbox.add(day(50))
    backend.is_silent = True
    with pytest.raises(BackendError):
        outbox.carry(backend, "me", 0.0)
    outbox.add(day(-20))
    backend.is_silent = False
    assert outbox.carry(backend, "me", 0.0) == outbox.number
    (once, first), (again, second), (other, third) = backend.heard
    assert (first, second, third) == ({"bob": 50}, {"bob": 50}, {"bob": -20})
    assert (once == again, once == other) == (True, False)


def test_R_45_askings_that_wait_to_be_undone_are_bounded() -> None:
    outbox, backend = Outbox(1_000), Listening()
    for number in range(MAX_UNDONE + 5):
        outbox.undo([Admission(holder=str(number))], str(number))
    outbox.carry(backend, "me", 0.0)
    assert [once for once, _ in backend.heard] == [str(number) for number in range(5, MAX_UNDONE + 5)]
