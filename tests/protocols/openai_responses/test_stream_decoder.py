"""Streams of Responses as servers really send them: without deltas, without names, cut, failed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from asgi_ds2api.canonical import Event, Reasoning, Response, Text, ToolCall
from asgi_ds2api.errors import Interrupted, Malformed, Overloaded, RateLimited, UpstreamError
from asgi_ds2api.fold import fold
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_responses as codec
from tests.conformance.asking import called_item, response, response_events, said_item
from tests.support.http_bytes import sse_body

PROFILE = PROFILES["openai-responses"]
MAX = 1_000_000

Events: TypeAlias = Sequence[Mapping[str, Any] | str]


def read(events: Events, *, is_whole: bool = True) -> tuple[list[Event], UpstreamError | None]:
    decoder = codec.StreamDecoder(PROFILE, MAX)
    told = decoder.feed(sse_body(events))
    told += [] if decoder.is_complete else decoder.close()
    assert decoder.is_complete is (decoder.failure is None)
    assert not is_whole or decoder.failure is None
    return told, decoder.failure


def folded(events: Events) -> Response:
    return fold(read(events)[0], codec.join_opaque)


def blocks(events: Events) -> list[Any]:
    return [block for choice in folded(events).choices for block in choice.blocks]


def without(events: Sequence[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [event for event in events if not event["type"].endswith(kinds)]


ITEMS = (said_item("Hello"), called_item("a", "f", '{"x":1}'))


@pytest.mark.parametrize(
    "left_out",
    [
        (".delta",),
        (".delta", "content_part.added", "content_part.done"),
        ("output_item.done",),
        ("content_part.added",),
        (".delta", "output_item.added", "output_item.done", "content_part.added", "content_part.done"),
        ("response.created",),
    ],
    ids=str,
)
def test_whatever_is_left_out_the_answer_is_the_same(left_out: tuple[str, ...]) -> None:
    text, call = blocks(without(response_events(*ITEMS), *left_out))
    assert isinstance(text, Text)
    assert isinstance(call, ToolCall)
    assert (text.text, call.id, call.name, call.arguments) == ("Hello", "a", "f", '{"x":1}')


def test_items_without_numbers_are_known_by_their_ids() -> None:
    numbers = ("output_index", "content_index", "sequence_number")
    events = response_events(*ITEMS)
    bare = [{name: value for name, value in event.items() if name not in numbers} for event in events]
    assert folded(bare) == folded(events)


def test_answer_without_output_at_its_end_is_what_its_items_said() -> None:
    events = response_events(*ITEMS, end={"output": []})
    assert [type(block) for block in blocks(events)] == [Text, ToolCall]


def test_what_the_end_says_otherwise_is_left_as_it_was_said() -> None:
    events = response_events(said_item("Hello"))
    events[-2]["item"] = said_item("Other")
    events[-1]["response"]["output"] = [said_item("Other")]
    assert [block.text for block in blocks(events)] == ["Hello"]


def test_ciphertext_is_that_of_the_item_that_is_done() -> None:
    begun = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "partial"}
    events = response_events({**begun, "encrypted_content": "whole"})
    events[1]["item"] = begun
    (thought,) = blocks(events)
    assert isinstance(thought, Reasoning)
    assert thought.signature == "whole"


def test_parts_of_a_summary_are_paragraphs_of_one_text() -> None:
    place = {"item_id": "rs_1", "output_index": 0}
    parts = [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]
    start, added, *end = response_events({"id": "rs_1", "type": "reasoning", "summary": parts})
    added["item"]["summary"] = []
    deltas = [
        {"type": "response.reasoning_summary_text.delta", **place, "summary_index": number, "delta": part["text"]}
        for number, part in enumerate(parts)
    ]
    assert [block.text for block in blocks([start, added, *deltas, *end])] == ["One.\n\nTwo."]


@pytest.mark.parametrize("name", ["response.reasoning_text.delta", "response.reasoning.delta"])
def test_thoughts_have_two_names(name: str) -> None:
    place = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    start, added, *end = response_events(item)
    (thought,) = blocks([start, added, {"type": name, **place, "delta": "Hm."}, *end])
    assert (thought.text, thought.is_summary) == ("Hm.", False)


def test_item_of_next_year_is_carried_with_its_events() -> None:
    item = {"id": "x_1", "type": "x_new", "done": True}
    start, added, *end = response_events(item)
    added["item"] = {"id": "x_1", "type": "x_new", "done": False}
    (opaque,) = blocks([start, added, {"type": "response.x_new.moved", "output_index": 0, "n": 1}, *end])
    assert json.loads(bytes(opaque.raw)) == item


FAILED = {"code": "rate_limit_exceeded", "message": "Try again in 2s."}
FAILURES: list[tuple[dict[str, Any], type[UpstreamError]]] = [
    ({"type": "error", "code": "server_is_overloaded", "message": "x", "param": None}, Overloaded),
    ({"type": "error", "error": {"type": "requests", "code": "rate_limit_exceeded", "message": "x"}}, RateLimited),
    ({"type": "response.failed", "response": response([], status="failed", error=FAILED)}, RateLimited),
    ({"type": "response.failed", "response": response([], status="failed")}, Interrupted),
    ({"type": "response.cancelled", "response": response([], status="cancelled")}, Interrupted),
]


@pytest.mark.parametrize(("event", "kind"), FAILURES, ids=[f"{e['type']}-{k.__name__}" for e, k in FAILURES])
def test_failure_keeps_what_came_before_it(event: dict[str, Any], kind: type[UpstreamError]) -> None:
    told, failure = read([*response_events(said_item("Hello"))[:4], event], is_whole=False)
    assert isinstance(failure, kind)
    assert any(getattr(each, "text", "") == "Hello" for each in told)
    relayed = codec.StreamTap(PROFILE, MAX)
    stream = sse_body([*response_events(said_item("Hello"))[:4], event])
    assert relayed.feed(stream) == sse_body(response_events(said_item("Hello"))[:4])
    assert isinstance(relayed.failure, kind)


@pytest.mark.parametrize("end", [[], ["[DONE]"]], ids=["eof", "sentinel"])
def test_stream_without_its_terminal_event_broke_off(end: list[str]) -> None:
    _, failure = read([*response_events(said_item("Hello"))[:-1], *end], is_whole=False)
    assert isinstance(failure, Interrupted)


def test_stream_of_nothing_is_no_answer() -> None:
    assert isinstance(read([], is_whole=False)[1], Malformed)


def test_relayed_stream_without_its_terminal_event_broke_off() -> None:
    tap = codec.StreamTap(PROFILE, MAX)
    tap.feed(sse_body(response_events(said_item("Hello"))[:-1]))
    tap.close()
    assert isinstance(tap.failure, Interrupted)


def test_relayed_stream_tells_the_record() -> None:
    tap = codec.StreamTap(PROFILE, MAX)
    stream = sse_body(response_events(*ITEMS))
    assert tap.feed(stream) == stream + b"data: [DONE]\n\n"
    assert (tap.is_complete, tap.close()) == (True, b"")
    assert (tap.facts.model, tap.facts.finish and tap.facts.finish.reason) == ("up", "tool_calls")
    assert tap.facts.usage is not None
    assert tap.facts.usage.output_total == 2
