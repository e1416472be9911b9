"""Pieces of a stream that a Gemini client sends back are one turn; what is more than text stays in its place."""

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import Block, Message, Notices, ProtocolName, Reasoning, Request, Role, Text, ToolCall
from asgi_ds2api.shims.streamed_turns import StreamedTurns

MARK = Reasoning(signature="c2ln", origin="google")
CALL = ToolCall(id="c", name="f", arguments="{}")
NOVEL = {"novel": Raw(b"1")}


def talk(*turns: tuple[Role, Block | str]) -> Request:
    messages = [
        Message(role=role, content=(Text(text=said) if isinstance(said, str) else said,)) for role, said in turns
    ]
    return Request(source="gemini_generate", model="m", messages=tuple(messages))


def joined(*turns: tuple[Role, Block | str]) -> list[tuple[Block, ...]]:
    """Return the contents of the messages that an upstream is sent."""
    return [message.content for message in StreamedTurns().request(talk(*turns), Notices()).messages]


@pytest.mark.parametrize(
    ("source", "protocol", "needed"),
    [("gemini_generate", "openai_chat", True), ("gemini_generate", "gemini_generate", False),
     ("openai_chat", "anthropic_messages", False)],
)  # fmt: skip
def test_is_for_clients_of_gemini_at_other_upstreams(source: ProtocolName, protocol: str, needed: bool) -> None:
    request = Request(source=source, model="m", messages=())
    assert StreamedTurns.is_needed(request, protocol) is needed


def test_pieces_are_one_text_bit_for_bit() -> None:
    pieces: list[tuple[Role, Block | str]] = [("assistant", piece) for piece in ("if x:\n", "    ", "y", "\n", "")]
    assert joined(("user", "go"), *pieces) == [(Text(text="go"),), (Text(text="if x:\n    y\n"),)]


def test_turns_of_a_user_stay_apart() -> None:
    assert len(joined(("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d"), ("assistant", "e"))) == 5


@pytest.mark.parametrize("between", [MARK, CALL, Text(text="b", extras=NOVEL)], ids=["signed", "call", "more"])
def test_what_is_more_than_text_keeps_its_place(between: Block) -> None:
    (content,) = joined(("assistant", "a"), ("assistant", between), ("assistant", "c"), ("assistant", "d"))
    assert content == (Text(text="a"), between, Text(text="cd"))


def test_fields_of_pieces_are_reported_with_their_turn() -> None:
    first, second = (Message(role="assistant", content=(), extras={name: Raw(b"1")}) for name in "ab")
    request = Request(source="gemini_generate", model="m", messages=(first, second))
    (message,) = StreamedTurns().request(request, Notices()).messages
    assert {*message.extras} == {"a", "b"}
