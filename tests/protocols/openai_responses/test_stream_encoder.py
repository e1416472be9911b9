"""What the stream encoder writes keeps the hard rules of OpenAI's own accumulator, however the upstream's blocks come.

The rules are section B9 of the vendor's reference (``protocol-openai``), checked here one by one.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Event,
    Finish,
    Notices,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.codec import Envelope
from asgi_ds2api.errors import (
    GatewayError,
    Interrupted,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFault,
    Timeout,
)
from asgi_ds2api.protocols import openai_responses as codec
from tests.support.strategies import responses
from tests.support.streams import streams

ENVELOPE = Envelope(model="m", stream=True, salt="1")
START = Start(source="gemini_generate", id="r", model="m")
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def written(events: Sequence[Event], *, error: GatewayError | None = None) -> list[dict[str, Any]]:
    """Return the events of the caller's stream."""
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    data = b"".join(encoder.encode([event]) for event in events)
    data += encoder.close() if error is None else encoder.error(error)
    told = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in told if line != "[DONE]"]


def without_odds(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item without the log probabilities: those that Chat tells late stand in the last answer alone."""
    content = [{name: value for name, value in part.items() if name != "logprobs"} for part in item.get("content", ())]
    return {**item, "content": content}


class Rules:
    """Reads a stream as the SDK's accumulator does, and fails where it would raise."""

    def __init__(self) -> None:
        self.added: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self.parts: set[tuple[int, str, int]] = set()

    def check(self, events: Sequence[dict[str, Any]]) -> None:
        first, last = events[0], events[-1]
        assert (first["type"], first["response"]["output"]) == ("response.created", [])
        assert [event["sequence_number"] for event in events] == [*range(len(events))]
        assert len({event["response"]["id"] for event in events if "response" in event}) == 1
        assert [event["type"] for event in events if event["type"] in TERMINAL] == [last["type"]]
        for event in events:
            self._take(event)
        assert [*self.added] == [*range(len(self.added))], "numbers are given in order, without gaps"
        call_ids = [item["call_id"] for item in self.added.values() if "call_id" in item]
        assert len(call_ids) == len(set(call_ids))
        if last["type"] != "response.failed":
            assert self.done.keys() == self.added.keys(), "every item ends"
            ended = [self.done[index] for index in sorted(self.done)]
            assert [*map(without_odds, last["response"]["output"])] == [*map(without_odds, ended)]

    def _take(self, event: dict[str, Any]) -> None:
        kind, index = event["type"].removeprefix("response."), event.get("output_index", -1)
        if kind == "output_item.added":
            assert index not in self.added
            assert event["item"]["id"]
            self.added[index] = event["item"]
            return
        if index < 0:
            return
        assert index in self.added, f"{kind} before its item"
        assert index not in self.done, f"{kind} behind the end of its item"
        if kind == "output_item.done":
            same = ("type", "id", "call_id", "name")
            assert [event["item"].get(name) for name in same] == [self.added[index].get(name) for name in same]
            self.done[index] = event["item"]
            return
        assert event["item_id"] == self.added[index]["id"]
        for field in ("content_index", "summary_index"):
            if field in event:
                part = (index, field, event[field])
                if kind.endswith("part.added"):
                    assert part not in self.parts
                    self.parts.add(part)
                assert part in self.parts, f"{kind} before its part"


def call(index: int, name: str = "f") -> BlockStart:
    return BlockStart(index=index, block=ToolCall(id=f"call_{index}", name=name, arguments=""))


def piece(index: int, arguments: str) -> ArgumentsDelta:
    return ArgumentsDelta(index=index, arguments=arguments)


INTERLEAVED: list[Event] = [
    START, call(0), call(1, "g"), piece(0, '{"a"'), piece(1, '{"b": 1}'), BlockStop(index=1), piece(0, ": 2}"),
    BlockStop(index=0), Finish(reason="tool_calls"),
]  # fmt: skip
MIXED: list[Event] = [
    START,
    BlockStart(index=0, block=Reasoning(text="")), ReasoningDelta(index=0, text="Hm"), BlockStop(index=0),
    BlockStart(index=1, block=Text(text="")), TextDelta(index=1, text="A "), TextDelta(index=1, text="b"),
    BlockStop(index=1), call(2), BlockStop(index=2), Usage(input_total=3, output_total=4), Finish(reason="tool_calls"),
]  # fmt: skip
REFUSED: list[Event] = [
    START, BlockStart(index=0, block=Refusal(text="")), RefusalDelta(index=0, text="No."), BlockStop(index=0),
    Finish(reason="refusal"),
]  # fmt: skip
STREAMS = {"interleaved": INTERLEAVED, "mixed": MIXED, "refused": REFUSED, "empty": [START, Finish(reason="stop")]}


@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)
def test_protocol_openai_B9_order_is_kept(events: list[Event]) -> None:
    Rules().check(written(events))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_protocol_openai_B9_order_is_kept_by_any_answer_of_another_protocol(data: st.DataObject) -> None:
    response = data.draw(responses(source=data.draw(st.sampled_from(["openai_chat", "anthropic_messages"]))))
    Rules().check(written(data.draw(streams(response))))


@pytest.mark.parametrize("kept", range(1, len(MIXED)))
def test_protocol_openai_B9_order_is_kept_where_the_stream_breaks_off(kept: int) -> None:
    events = written(MIXED[:kept], error=Interrupted("It ended too early."))
    Rules().check(events)
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"


def test_parallel_calls_are_told_one_after_the_other_and_whole() -> None:
    events = written(INTERLEAVED)
    told = [event["output_index"] for event in events if "arguments.delta" in event["type"]]
    assert told == sorted(told)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [(item["name"], json.loads(item["arguments"])) for item in done] == [("f", {"a": 2}), ("g", {"b": 1})]


def test_source_that_is_told_before_its_text_is_cited_with_its_span_before_the_text_is_done() -> None:
    """So Anthropic tells them."""
    source = Citation(protocol="anthropic_messages", raw=Raw(b"{}"), url="U", title="T")
    cited = CitationDelta(index=0, citation=source)
    begin, said = BlockStart(index=0, block=Text(text="")), [TextDelta(index=0, text=text) for text in ("a", "bc")]
    events = written([START, begin, cited, *said, BlockStop(index=0), Finish(reason="stop")])
    kinds = [event["type"].removeprefix("response.") for event in events]
    done = kinds.index("output_text.done")
    assert kinds[done - 2 : done] == ["output_text.delta", "output_text.annotation.added"]
    note = events[done - 1]["annotation"]
    assert (note["url"], note["start_index"], note["end_index"]) == ("U", 0, 3)
    assert events[-1]["response"]["output"][0]["content"][0]["annotations"] == [note]


def test_call_without_arguments_has_a_delta_all_the_same() -> None:
    events = written([START, call(0), BlockStop(index=0), Finish(reason="tool_calls")])
    deltas = [event["delta"] for event in events if event["type"].endswith("arguments.delta")]
    assert deltas == ["{}"]


FAILED = [
    (Interrupted("x"), "server_error"),
    (ServerFault("x"), "server_error"),
    (Timeout("x"), "server_error"),
    (Overloaded("x"), "server_is_overloaded"),
    (RateLimited("x"), "rate_limit_exceeded"),
    (QuotaExhausted("x"), "insufficient_quota"),
    (Refused("x"), "invalid_prompt"),
]


@pytest.mark.parametrize(("error", "code"), FAILED, ids=[type(error).__name__ for error, _ in FAILED])
def test_failure_has_the_code_that_clients_look_for(error: GatewayError, code: str) -> None:
    """Codex waits and asks again, or stops, by these words."""
    last = written([START], error=error)[-1]
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", code)
    assert last["response"]["error"]["message"]
    assert last["response"]["output"] == []


DECODED = [
    (400, {"message": "bad", "code": "context_length_exceeded"}, Refused, "context_too_long"),
    (400, {"message": "bad", "code": "invalid_prompt"}, Refused, None),
    (404, {"message": "bad", "code": "model_not_found"}, Refused, "model_not_found"),
    (429, {"message": "bad", "code": "insufficient_quota", "type": "insufficient_quota"}, QuotaExhausted, None),
    (429, {"message": "bad", "code": "rate_limit_exceeded"}, RateLimited, None),
    (500, {"message": "bad", "code": "server_error"}, ServerFault, None),
    (503, {"message": "bad", "code": "server_is_overloaded"}, Overloaded, None),
]


@pytest.mark.parametrize(("status", "error", "class_", "kind"), DECODED)
def test_vendors_error_becomes_ours(
    status: int, error: dict[str, Any], class_: type[GatewayError], kind: str | None
) -> None:
    found = codec.decode_error(status, {}, json.dumps({"error": {"type": "x", "param": None, **error}}).encode())
    assert type(found) is class_
    assert kind is None or getattr(found, "kind", None) == kind
    answer = codec.encode_error(found, "req_1")
    told = json.loads(answer.body)["error"]
    assert told.keys() == {"message", "type", "param", "code"}
