"""Several answers as one: streamed parts join to what whole parts join to, however their streams interleave."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_ds2api.canonical import Event, Message, Notices, Request, Response, Text, Usage
from asgi_ds2api.codec import Envelope
from asgi_ds2api.errors import Interrupted
from asgi_ds2api.fold import fold, unfold
from asgi_ds2api.protocols import anthropic_messages, openai_chat
from asgi_ds2api.transcoding.joint import Joint, PartFace, join_responses, part_of
from tests.support.strategies import responses

ENVELOPE = Envelope(model="m", stream=True)


class Listening:
    """A face that keeps the events which it is told."""

    NAME: Any = "openai_chat"
    STREAM_CONTENT_TYPE = b"text/event-stream"

    def __init__(self) -> None:
        self.events: list[Event] = []

    def StreamEncoder(self, envelope: Envelope, notices: Notices) -> Any:
        return self

    def encode(self, events: Sequence[Event]) -> bytes:
        self.events += events
        return b""

    def encode_response(self, response: Response, envelope: Envelope, notices: Notices) -> bytes:
        raise AssertionError("streams alone are told here")


@settings(max_examples=30)
@given(st.data(), st.lists(responses("openai_chat", max_choices=1), min_size=1, max_size=3))
def test_openai_C20_streamed_parts_join_to_what_whole_parts_join_to(data: st.DataObject, parts: list[Response]) -> None:
    face = Listening()
    joint = Joint(face, ENVELOPE, width=1, source=None)
    encoders = [PartFace(face, lambda _: None).StreamEncoder(ENVELOPE, Notices()) for _ in parts]
    waiting = [unfold(part) for part in parts]
    turns = [0]
    while any(waiting):
        number = turns.pop() if turns else data.draw(st.sampled_from([i for i, left in enumerate(waiting) if left]))
        size = data.draw(st.integers(1, len(waiting[number])))
        said, waiting[number] = waiting[number][:size], waiting[number][size:]
        joint.pass_on(number, encoders[number].encode(said))
    notices = Notices()
    assert fold(face.events) == join_responses([fold(unfold(part)) for part in parts], None, notices)
    assert sorted(joint.notices, key=str) == sorted(notices, key=str)


@settings(max_examples=30)
@given(st.sampled_from(["openai_chat", "anthropic_messages", "gemini_generate", "ollama_chat"]), st.data())
def test_part_is_told_in_events_that_survive_the_way(source: Any, data: st.DataObject) -> None:
    part = data.draw(responses(source))
    face = Listening()
    encoder = PartFace(face, lambda _: None).StreamEncoder(ENVELOPE, Notices())
    Joint(face, ENVELOPE, width=1, source=None).pass_on(0, encoder.encode(unfold(part)))
    assert fold(face.events) == msgspec.structs.replace(fold(unfold(part)), id="")


def test_part_says_nothing_of_what_the_whole_says() -> None:
    encoder = PartFace(anthropic_messages, lambda _: None).StreamEncoder(ENVELOPE, Notices())
    assert (encoder.close(), encoder.heartbeat(), encoder.error(Interrupted("cut", code="cut"))) == (b"", b"", b"")


def test_whole_answer_of_a_part_is_kept_and_not_told() -> None:
    kept: list[Response] = []
    answer = Response(source="openai_chat", id="a", model="m", choices=())
    assert PartFace(openai_chat, kept.append).encode_response(answer, ENVELOPE, Notices()) == b""
    assert kept == [answer]


def test_usage_of_a_part_takes_the_place_of_its_estimate() -> None:
    face = Listening()
    joint = Joint(face, ENVELOPE, width=1, source=None)
    told = [Usage(input_total=99, is_estimated=True), Usage(input_total=3, output_total=2)]
    for number in (0, 1):
        encoder = PartFace(face, lambda _: None).StreamEncoder(ENVELOPE, Notices())
        for usage in told:
            joint.pass_on(number, encoder.encode([usage]))
    last = face.events[-1]
    assert last == Usage(input_total=6, output_total=4)


def test_part_of_a_batch_asks_one_conversation_and_keeps_its_choices() -> None:
    first, second = ((Message(role="user", content=(Text(text=text),)),) for text in "ab")
    batch = Request(source="openai_chat", model="m", messages=first, alternatives=(second,), choices=2)
    assert [part_of(batch, number, is_single=False).messages for number in range(2)] == [first, second]
    assert {part_of(batch, number, is_single=False).choices for number in range(2)} == {2}
    assert [part_of(batch, number, is_single=True).messages for number in range(4)] == [first, first, second, second]
    assert {part_of(batch, number, is_single=True).choices for number in range(4)} == {None}
