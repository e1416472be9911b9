"""Stop sequences that the upstream does not take are found by the gateway, at any split of the text."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.canonical import (
    BlockStart,
    BlockStop,
    Event,
    Finish,
    Message,
    Notices,
    Request,
    Text,
    TextDelta,
)
from asgi_ds2api.profiles import Profile
from asgi_ds2api.shims.stop_matcher import StopMatcher


def request_with(*stop: str, source: str = "openai_chat") -> Request:
    return Request(
        source=source,
        model="m",
        messages=(Message(role="user", content=(Text(text="hi"),)),),
        stop=stop,
    )


def stream(*pieces: str) -> list[Event]:
    deltas: list[Event] = [TextDelta(index=0, text=piece) for piece in pieces]
    return [BlockStart(index=0, block=Text(text="")), *deltas, BlockStop(index=0), Finish(reason="stop")]


def matcher(*watched: str) -> StopMatcher:
    shim = StopMatcher(sent_max=0)
    shim.request(request_with(*watched), Notices())
    return shim


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_first_sequences_are_sent_and_the_rest_reported() -> None:
    notices = Notices()
    sent = StopMatcher(sent_max=2).request(request_with("a", "b", "c", "d"), notices)
    assert sent.stop == ("a", "b")
    assert [(n.path, n.severity) for n in notices] == [("stop[2]", "changed"), ("stop[3]", "changed")]


def test_notice_names_the_field_of_the_callers_protocol() -> None:
    notices = Notices({"stop": "stop_sequences"})
    StopMatcher(sent_max=1).request(request_with("a", "b", source="anthropic_messages"), notices)
    assert [n.path for n in notices] == ["stop_sequences[1]"]


@pytest.mark.parametrize(("count", "needed"), [(3, False), (4, False), (5, True)])
def test_is_needed_past_the_limit_of_the_profile(count: int, needed: bool) -> None:
    request = request_with(*(str(n) for n in range(count)))
    assert StopMatcher.is_needed(request, Profile(stop_max=4)) is needed


def test_text_before_a_match_is_kept_and_the_answer_is_over() -> None:
    shim = matcher("END")
    events = list(shim.events(stream("one E", "N", "D two")))
    assert text_of(events) == "one "
    assert events[-1] == Finish(reason="stop_sequence", stop_sequence="END")
    assert shim.is_over
    assert list(shim.events([TextDelta(index=0, text="more")])) == []


def test_every_open_block_is_closed_before_the_end() -> None:
    events = list(matcher("X").events(stream("aXb")))
    assert events[-2:] == [BlockStop(index=0), Finish(reason="stop_sequence", stop_sequence="X")]


def test_text_that_only_began_like_a_sequence_is_let_out_at_the_end() -> None:
    events = list(matcher("END").events(stream("all EN")))
    assert text_of(events) == "all EN"
    assert events[-1] == Finish(reason="stop")


@given(
    text=st.text(alphabet="abE N", max_size=24),
    cuts=st.lists(st.integers(0, 24), max_size=6),
    watched=st.lists(st.sampled_from(["a", "ab", "E N", "NN", "bab"]), min_size=1, max_size=3),
)
def test_any_split_gives_the_text_up_to_the_first_match(text: str, cuts: list[int], watched: list[str]) -> None:
    points = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(points)]
    shim = matcher(*watched)
    got: list[Event] = []
    for event in stream(*pieces):
        got += shim.events([event])
    found = [(position + len(stop), position) for stop in watched if (position := text.find(stop)) >= 0]
    assert text_of(got) == text[: min(found)[1] if found else len(text)]
    assert shim.is_over is bool(found)
