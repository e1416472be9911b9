"""Calls one after the other, for the SDK of OpenAI's that parses a strict call when the next one begins."""

from collections.abc import Sequence

import pytest

from asgi_ds2api.canonical import ArgumentsDelta, BlockStart, BlockStop, Event, Text, TextDelta, ToolCall
from asgi_ds2api.protocols.openai_chat.calls_in_turn import MAX_HELD, CallsInTurn


def begin(index: int, arguments: str = "", *, choice: int = 0, is_custom: bool = False) -> Event:
    call = ToolCall(id="t", name="f", arguments=arguments, kind="custom" if is_custom else "function")
    return BlockStart(index=index, choice=choice, block=call)


def more(index: int, arguments: str) -> Event:
    return ArgumentsDelta(index=index, arguments=arguments)


def end(index: int) -> Event:
    return BlockStop(index=index)


def turns(events: Sequence[Event]) -> list[list[Event]]:
    """Return what is told at each event."""
    calls = CallsInTurn()
    return [list(calls.gather([event])) for event in events]


@pytest.mark.parametrize(
    "pieces",
    [
        ["{}"],
        ['{"a":', "1}"],
        ['{"a":{"b":"}', '"}}', " "],
        ['{"a":"\\', '"}', '"}'],
        ['{"a":"\\\\"', "}"],
    ],
)
def test_calls_that_do_not_interleave_are_told_as_they_come(pieces: list[str]) -> None:
    """Their blocks end with the answer, as those of a Chat upstream do."""
    events = [begin(0), *[more(0, piece) for piece in pieces], begin(1), more(1, "{}"), end(0), end(1)]
    assert turns(events) == [[event] for event in events]


def test_a_call_waits_until_the_one_before_it_is_whole() -> None:
    first, second = [begin(0), more(0, '{"a"'), more(0, ":1}")], [begin(1), more(1, '{"b"'), more(1, ":2}")]
    a, b, c = first
    x, y, z = second
    assert turns([a, x, b, y, c, z]) == [[a], [], [b], [], [c, x, y], [z]]


def test_a_call_waits_until_the_one_before_it_ends_that_never_becomes_whole() -> None:
    events = [begin(0), begin(1, "{}"), begin(2), end(1), end(2), end(0)]
    start, x, y, end_x, end_y, last = events
    assert turns(events) == [[start], [], [], [], [], [last, x, end_x, y, end_y]]


def test_other_things_pass_at_once() -> None:
    text: list[Event] = [BlockStart(index=1, block=Text(text="")), TextDelta(index=1, text="x"), BlockStop(index=1)]
    assert turns([begin(0), *text]) == [[event] for event in [begin(0), *text]]


def test_calls_of_different_choices_do_not_wait_for_each_other() -> None:
    events = [begin(0), begin(1, choice=1), more(0, "{"), more(1, "{"), more(0, "}"), more(1, "}")]
    assert turns(events) == [[event] for event in events]


def test_nobody_waits_for_free_text() -> None:
    events = [begin(0, is_custom=True), begin(1), more(0, "x"), more(1, "{}"), end(0), end(1)]
    assert turns(events) == [[event] for event in events]


def test_what_waits_is_bounded() -> None:
    start, x, long, later = begin(0), begin(1), more(1, "x" * (MAX_HELD + 1)), more(0, "{")
    assert turns([start, x, long, later, begin(2)]) == [[start], [], [x, long], [later], [begin(2)]]
