"""What another vendor thought is left out, and the message that held nothing else with it."""

import pytest

from asgi_ds2api.canonical import Block, FunctionTool, Message, Notices, Reasoning, Request, Text
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.seal import Keyring, Sealed
from asgi_ds2api.shims import CallersReasoning, KeptReasoning, choose
from asgi_ds2api.shims.reasoning_seal import Emptied, ReasoningSeal
from asgi_ds2api.state.facts import FactTable
from asgi_ds2api.state.memory import MemoryStore

KEYRING = Keyring([b"k" * 32])
HI = Text(text="Hi")
TOOL = FunctionTool(name="f")


def thought(vendor: str) -> Reasoning:
    return Reasoning(text="hm", signature=KEYRING.seal(Sealed(kind="signature", origin=vendor, data="s"), "web"))


FOREIGN, OWN = thought("deepseek"), thought("anthropic")


def talk(*turns: tuple[Block, ...]) -> Request:
    messages = tuple(Message(role="assistant", content=turn) for turn in turns)
    return Request(source="anthropic_messages", model="m", messages=messages, tools=(TOOL,))


def seal() -> ReasoningSeal:
    return ReasoningSeal("anthropic_messages", PROFILES["anthropic"], "anthropic_messages", KEYRING, "web")


def left(*turns: tuple[Block, ...]) -> list[int]:
    """Return how many blocks each message has that is left."""
    first = seal()
    opened = first.request(talk(*turns), Notices())
    return [len(message.content) for message in Emptied(first).request(opened, Notices()).messages]


def test_message_goes_with_all_that_it_held() -> None:
    assert left((HI,), (FOREIGN,), (FOREIGN, FOREIGN), (FOREIGN, HI), (OWN,)) == [1, 1, 1]


def test_message_that_came_empty_stays() -> None:
    assert left((), (FOREIGN,), (HI,)) == [0, 1]


def test_message_into_which_something_was_put_back_stays() -> None:
    first = seal()
    first.request(talk((FOREIGN,), (FOREIGN,)), Notices())
    kept = Emptied(first).request(talk((), (HI,)), Notices()).messages
    assert [message.content for message in kept] == [(HI,)]


@pytest.mark.parametrize(
    ("turn", "needed"), [((FOREIGN,), True), ((FOREIGN, HI), False), ((Reasoning(text="hm"),), False), ((), False)]
)
def test_is_needed_where_a_message_may_become_empty(turn: tuple[Block, ...], needed: bool) -> None:
    assert Emptied.is_needed(talk((HI,), turn)) is needed


def test_messages_keep_their_places_until_what_was_kept_is_put_back() -> None:
    table = FactTable(store=MemoryStore(lambda: 0.0), name="reasoning", ttl_s=60, max_value_bytes=100)
    kept = CallersReasoning(table=table, label="web")
    order = [type(shim) for shim in choose(talk((FOREIGN,)), "openai_chat", PROFILES["openai"], KEYRING, "web", kept)]
    assert order[:3] == [ReasoningSeal, KeptReasoning, Emptied]
