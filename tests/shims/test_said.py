"""A turn is known again by what was said before it: the same digest when the answer comes, and when it is sent back."""

from collections.abc import Sequence

import msgspec
import pytest

from asgi_ds2api.canonical import Base64Source, Media, Message, Reasoning, Role, Text, ToolCall, ToolResult
from asgi_ds2api.shims.said import bare_turns, said_last, start_of_loop


def told(role: Role, text: str) -> Message:
    return Message(role=role, content=(Text(text=text),))


def called(number: int) -> Message:
    return Message(role="assistant", content=(ToolCall(id=f"c{number}", name="f", arguments="{}"),))


def given(number: int, text: str = "r") -> Message:
    return Message(role="tool", content=(ToolResult(call_id=f"c{number}", blocks=(Text(text=text),)),))


TALK = [told("system", "Be."), told("user", "Hi"), called(1), given(1), called(2), given(2, "s"), told("user", "Go")]


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("end", [2, 4])
def test_digest_of_an_answer_is_that_of_its_turn_later(end: int, is_whole: bool) -> None:
    turns = {turn.first: turn.said for turn in bare_turns(TALK, is_whole=is_whole)}
    assert turns[end] == said_last(TALK[:end], is_whole=is_whole)
    assert len(set(turns.values())) == len(turns) == 2


@pytest.mark.parametrize("is_whole", [False, True])
def test_what_the_system_says_does_not_count(is_whole: bool) -> None:
    later = [told("system", "It is 10:01."), *TALK[1:], told("developer", "x")]
    assert said_last(later, is_whole=is_whole) == said_last(TALK, is_whole=is_whole)


def test_what_lies_behind_the_last_turn_counts_where_callers_are_one() -> None:
    other = [TALK[0], told("user", "Hello"), *TALK[2:]]
    assert said_last(other, is_whole=False) == said_last(TALK, is_whole=False)
    assert said_last(other, is_whole=True) != said_last(TALK, is_whole=True)


@pytest.mark.parametrize("is_whole", [False, True])
def test_message_that_is_to_be_continued_is_part_of_the_answer(is_whole: bool) -> None:
    begun = [*TALK, told("assistant", "I ")]
    assert said_last(begun, is_whole=is_whole) == said_last(TALK, is_whole=is_whole)


def messages(*texts: str) -> list[Message]:
    return [told("user", text) for text in texts]


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a",), ("a", "b")), (("a", "b"), ("b", "a"))],
)
def test_other_words_are_another_digest(one: Sequence[str], other: Sequence[str]) -> None:
    assert said_last(messages(*one), is_whole=False) != said_last(messages(*other), is_whole=False)


def test_media_and_empty_texts_are_no_words() -> None:
    image = Media(kind="image", source=Base64Source(media_type="image/png", data="AAAA"))
    shown = Message(role="user", content=(Text(text=""), image, Text(text="Hi")))
    assert said_last([shown], is_whole=False) == said_last(messages("Hi"), is_whole=False)


def test_turns_are_messages_that_stand_together() -> None:
    split = [TALK[1], told("assistant", "Well."), called(1), called(2), given(1)]
    (turn,) = bare_turns(split, is_whole=False)
    assert (turn.first, turn.last, [call.id for call in turn.calls], turn.at) == (1, 3, ["c1", "c2"], "messages")


@pytest.mark.parametrize("block", [Reasoning(signature="s"), Reasoning(redacted="r")])
def test_turn_with_a_proof_is_not_looked_for(block: Reasoning) -> None:
    proven = msgspec.structs.replace(called(1), content=(block, *called(1).content))
    assert bare_turns([TALK[1], proven, given(1)], is_whole=False) == []


@pytest.mark.parametrize(
    ("talk", "start"),
    [(TALK, 7), (TALK[:6], 2), (TALK[2:6], 0)],
    ids=["asked anew", "running", "never asked"],
)
def test_loop_begins_behind_the_last_question(talk: Sequence[Message], start: int) -> None:
    assert start_of_loop(talk) == start


def test_results_that_the_user_gives_are_no_question() -> None:
    result = Message(role="user", content=given(1).content)
    assert start_of_loop([TALK[1], called(1), result]) == 1
