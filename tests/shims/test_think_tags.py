"""Reasoning in tags at the beginning of a text (others-C39)."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.canonical import (
    Block,
    Choice,
    Event,
    Finish,
    Reasoning,
    Response,
    Text,
    ToolCall,
)
from asgi_ds2api.fold import fold, unfold
from asgi_ds2api.shims.think_tags import ThinkTags
from tests.support.streams import streams


def answer(*blocks: Block) -> Response:
    choice = Choice(blocks=blocks, finish=Finish(reason="stop"))
    return Response(source="openai_chat", id="", model="m", choices=(choice,))


def told(events: Sequence[Sequence[Event]]) -> list[tuple[str, str]]:
    """Return kind and text of the blocks that a caller is told of."""
    shim = ThinkTags()
    out = list(itertools.chain.from_iterable(shim.events(piece) for piece in events))
    return [(type(block).__name__, getattr(block, "text", "")) for block in fold(out).choices[0].blocks]


CASES = {
    "tagged": ("<think>a b</think>c", [("Reasoning", "a b"), ("Text", "c")]),
    "spaced": ("\n <think>\na\n</think>\n\nc ", [("Reasoning", "a"), ("Text", "c ")]),
    "other-tag": ("<thinking>a</think></thinking>c", [("Reasoning", "a</think>"), ("Text", "c")]),
    "mistral": ("[THINK]a[/THINK]c", [("Reasoning", "a"), ("Text", "c")]),
    "unclosed": ("<think>a", [("Reasoning", "a")]),
    "thought-alone": ("<think>a</think>\n", [("Reasoning", "a")]),
    "empty-thought": ("<think>\n</think>c", [("Text", "c")]),
    "later": ("c <think>a</think>", [("Text", "c <think>a</think>")]),
    "half-a-tag": (" <thin", [("Text", " <thin")]),
    "plain": (" c", [("Text", " c")]),
    "empty": ("", [("Text", "")]),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_others_C39_tags_part_reasoning_from_text(text: str, expected: list[tuple[str, str]]) -> None:
    assert told([unfold(answer(Text(text=text)))]) == expected


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
@given(data=st.data())
def test_others_C39_wherever_the_text_is_cut(text: str, expected: list[tuple[str, str]], data: st.DataObject) -> None:
    stream = data.draw(streams(answer(Text(text=text))))
    assert told([[event] for event in stream]) == expected


def test_other_blocks_keep_their_places() -> None:
    call = ToolCall(id="c", name="f", arguments="{}")
    events = unfold(answer(Text(text="<think>a</think>b"), call, Text(text="<think>c</think>")))
    assert told([events]) == [("Reasoning", "a"), ("Text", "b"), ("ToolCall", ""), ("Text", "<think>c</think>")]


def test_reasoning_that_came_apart_leaves_tags_as_they_are() -> None:
    events = unfold(answer(Reasoning(text="a"), Text(text="<think>b</think>")))
    assert told([events]) == [("Reasoning", "a"), ("Text", "<think>b</think>")]
