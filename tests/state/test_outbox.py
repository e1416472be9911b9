"""What waits to be told to others is told in an order, once, and whole."""

from collections.abc import Mapping, Sequence

from asgi_ds2api.state.backend import CooldownNews, FactNews, Granted, News
from asgi_ds2api.state.contract import Admission, Amount, Cooldown, Refusal, Scope
from asgi_ds2api.state.outbox import Outbox

ACCOUNT = Scope("account", "openai/a")


class Listening:
    """A backend that keeps nothing but what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def open(self) -> None: ...

    def close(self) -> None: ...

    def write(self, writer: str, news: Sequence[News]) -> None:
        self.heard += [type(one) for one in news]

    def read(self, writer: str, cursor: str) -> tuple[str, Sequence[News]]:
        return cursor, ()

    def find(self, table: str, keys: Sequence[str]) -> Mapping[str, tuple[bytes, float]]:
        return {}

    def admit(self, admissions: Sequence[Admission], lease_s: float) -> list[Refusal | Granted]:
        return [Granted() for _ in admissions]

    def leave(self, left: Mapping[str, Sequence[str]]) -> None:
        self.heard.append(dict(left))

    def renew(self, held: Mapping[str, Sequence[str]], lease_s: float) -> None: ...

    def add(self, amounts: Sequence[Amount]) -> None:
        self.heard += [(amount.name, amount.amount) for amount in amounts]


def test_F115_what_a_probe_found_is_told_before_its_right_is_given_back() -> None:
    outbox, backend = Outbox(1_000), Listening()
    outbox.put(FactNews("answers", "k", b"v", 60))
    outbox.leave("a", ["probe 1 account openai/a"])
    outbox.merge(ACCOUNT, Cooldown(state="cooling", until=60, epoch=2))
    outbox.carry(backend, "me", 0.0)
    assert backend.heard == [CooldownNews, {"a": ("probe 1 account openai/a",)}, FactNews]
