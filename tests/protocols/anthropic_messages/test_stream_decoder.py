"""A stream is read as it is meant, at any split of its bytes; what breaks it is told, and nothing before it is lost."""

import json
from typing import Any

import msgspec
import pytest

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Notice,
    Opaque,
    Ping,
    Reasoning,
    ReasoningDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.errors import (
    Interrupted,
    Malformed,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Refused,
    ServerFault,
    UpstreamError,
)
from asgi_ds2api.fold import fold
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import Recording, recorded_params

from .calls import ANTHROPIC
from .sse import MAX_EVENT_BYTES, START, STOP, begin, decode, delta, end, finish, stream, text, tool

NO_FLOAT = "no float"
WHOLE = stream(
    START,
    {"type": "ping"},
    begin(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="hm ü", estimated_tokens=3),
    delta(0, type="signature_delta", signature="EqA="),
    end(0),
    *text(1, "One", " two \u2028 wörld"),
    *tool(2, "", '{"a":', '"\\u00e9"}'),
    finish("tool_use", output_tokens=20, input_tokens=12),
    STOP,
)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_a_stream_becomes_events() -> None:
    events, failure = decode(WHOLE)
    assert failure is None
    assert events == [
        Start(source="anthropic_messages", id="msg_1", model="claude"),
        Usage(input_total=12, output_total=1),
        Ping(),
        BlockStart(index=0, block=Reasoning(origin="anthropic", at="content[0]")),
        ReasoningDelta(index=0, text="hm ü"),
        SignatureDelta(index=0, signature="EqA="),
        BlockStop(index=0),
        BlockStart(index=1, block=Text(text="", at="content[1]")),
        TextDelta(index=1, text="One"),
        TextDelta(index=1, text=" two \u2028 wörld"),
        BlockStop(index=1),
        BlockStart(index=2, block=ToolCall(id="t1", name="f", arguments="", at="content[2]")),
        ArgumentsDelta(index=2, arguments='{"a":'),
        ArgumentsDelta(index=2, arguments='"\\u00e9"}'),
        BlockStop(index=2),
        Usage(input_total=12, output_total=20),
        Finish(reason="tool_calls", raw="tool_use", at="stop_reason"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 500])
def test_any_split_gives_the_same_events_F63_F64_C14(size: int) -> None:
    assert decode(WHOLE, size=size) == decode(WHOLE)


@pytest.mark.parametrize(
    "dirty",
    [
        pytest.param(WHOLE.replace(b"\n", b"\r\n"), id="F64-crlf"),
        pytest.param(b"\xef\xbb\xbf" + WHOLE, id="F64-bom"),
        pytest.param(
            b": comment\n\n" + WHOLE.replace(b"event: ping", b"id: 1\nretry: 5\nevent: ping"), id="F64-fields"
        ),
        pytest.param(b"\n\n" + WHOLE + b"data: [DONE]\n\n", id="done-at-the-end"),
        pytest.param(WHOLE.replace(b"event: ping", b"data: [DONE]\n\nevent: ping"), id="done-in-the-middle"),
        pytest.param(
            b"".join(line + b"\n" for line in WHOLE.split(b"\n") if not line.startswith(b"event:")), id="C18-no-names"
        ),
        pytest.param(WHOLE + stream(*text(3, "late")), id="F68-after-the-end"),
    ],
)
def test_what_vendors_and_proxies_add_changes_nothing(dirty: bytes) -> None:
    assert decode(dirty) == decode(WHOLE)


@pytest.mark.parametrize("record", recorded_params("anthropic", status=200, stream=True))
def test_recorded_streams_are_read_whole_at_any_split(record: Recording) -> None:
    events, failure = decode(record.response.body)
    assert failure is None
    for size in (1, 7, 64, 4096):
        assert decode(record.response.body, size=size) == (events, None)
    fold(events, codec.join_opaque)


def test_a_call_without_arguments_has_the_empty_object_C16_openai_C05() -> None:
    events, _ = decode(stream(START, *tool(0), *tool(1, "", call_id="t2"), finish(), STOP))
    blocks = fold(events).choices[0].blocks
    assert [block.arguments for block in blocks if isinstance(block, ToolCall)] == ["{}", "{}"]


def test_a_call_may_begin_with_its_arguments_or_without_any_field() -> None:
    """llama.cpp leaves ``input`` out; others send all of it at once."""
    seeded = tool(0, input={"a": 1})
    bare = tool(1, '{"b":2}', call_id="t2")
    del bare[0]["content_block"]["input"]
    events, failure = decode(stream(START, *seeded, *bare, finish(), STOP))
    assert failure is None
    blocks = fold(events).choices[0].blocks
    assert [block.arguments for block in blocks if isinstance(block, ToolCall)] == ['{"a": 1}', '{"b":2}']


def test_a_look_alike_without_signatures_is_read() -> None:
    start = {**START, "message": {**START["message"], "id": "chatcmpl-x"}}
    thought = [
        begin(0, type="thinking", thinking=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature=""),
        end(0),
    ]
    events, _ = decode(stream(start, *thought, *text(1, "x"), finish(), STOP))
    response = fold(events)
    assert response.id == "chatcmpl-x"
    assert response.choices[0].blocks[0] == Reasoning(text="hm", origin="anthropic", at="content[0]")


def test_blocks_with_gaps_and_out_of_order_are_numbered_anew() -> None:
    events, _ = decode(stream(START, *text(5, "a"), *text(2, "b"), finish(), STOP))
    assert [event.index for event in events if isinstance(event, BlockStart)] == [0, 1]


def test_a_block_that_never_stopped_is_closed_at_the_end() -> None:
    events, failure = decode(stream(START, *text(0, "a")[:-1], finish(), STOP))
    assert (kinds(events)[-3:], failure) == ([Usage, BlockStop, Finish], None)


def test_a_text_may_begin_with_content_and_have_citations() -> None:
    cited = {"type": "web_search_result_location", "url": "https://x", "title": "X", "cited_text": "c"}
    events, _ = decode(
        stream(
            START,
            begin(0, type="text", text="a", citations=[]),
            delta(0, type="citations_delta", citation=cited),
            end(0),
            finish(),
            STOP,
        )
    )
    (citation,) = [event.citation for event in events if isinstance(event, CitationDelta)]
    assert (citation.url, citation.title, citation.cited_text) == ("https://x", "X", "c")
    (block,) = fold(events).choices[0].blocks
    assert isinstance(block, Text)
    assert block.text == "a"


def test_blocks_of_the_vendor_are_carried_and_can_be_put_together() -> None:
    events, failure = decode(
        stream(
            START,
            begin(0, type="server_tool_use", id="s", name="web_search", input={}),
            delta(0, type="input_json_delta", partial_json='{"query":'),
            delta(0, type="input_json_delta", partial_json='"q"}'),
            end(0),
            begin(1, type="web_search_tool_result", tool_use_id="s", content=[]),
            end(1),
            begin(2, type="compaction", content=None),
            delta(2, type="compaction_delta", content="summary", encrypted_content="e"),
            end(2),
            begin(3, type="block_of_next_year", said="a"),
            delta(3, type="delta_of_next_year", said="b", n=1),
            end(3),
            finish(),
            STOP,
        )
    )
    assert failure is None
    blocks = fold(events, codec.join_opaque).choices[0].blocks
    raws = [msgspec.json.decode(block.raw) for block in blocks if isinstance(block, Opaque)]
    assert raws == [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "compaction", "content": "summary", "encrypted_content": "e"},
        {"type": "block_of_next_year", "said": "ab", "n": 1},
    ]
    assert all(isinstance(block, Opaque) and block.fallback is None for block in blocks)


def test_usage_is_cumulative_and_told_in_parts_F67() -> None:
    start = {**START, "message": {**START["message"], "usage": {"input_tokens": 20, "cache_read_input_tokens": 80}}}
    late = finish("end_turn", output_tokens=5, input_tokens=None, output_tokens_details={"thinking_tokens": 2})
    events, _ = decode(stream(start, finish(None, output_tokens=3), late, STOP))
    last = [event for event in events if isinstance(event, Usage)][-1]
    assert last == Usage(input_total=100, cache_read=80, output_total=5, reasoning=2)


def test_usage_may_come_at_the_end_alone_C24() -> None:
    start = {**START, "message": {**START["message"], "usage": {"input_tokens": 0, "output_tokens": 0}}}
    events, _ = decode(stream(start, finish("end_turn", output_tokens=5, input_tokens=7), STOP))
    assert fold(events).usage == Usage(input_total=7, output_total=5)


def test_fields_of_the_message_are_carried() -> None:
    start = {**START, "message": {**START["message"], "container": {"id": "c"}, "diagnostics": None}}
    last = {**finish(), "context_management": {"applied_edits": []}}
    last["delta"]["container"] = {"id": "c2"}
    events, _ = decode(stream(start, last, STOP))
    assert isinstance(events[0], Start)
    assert {name: bytes(value) for name, value in events[0].extras.items()} == {"container": b'{"id": "c"}'}
    (extras,) = [event.fields for event in events if isinstance(event, ExtrasDelta)]
    assert set(extras) == {"container", "context_management"}


@pytest.mark.parametrize("name", ["type", "usage", "id", "content", "delta"])
def test_fields_that_stand_elsewhere_are_not_taken_from_a_delta(name: str) -> None:
    """Written out again, they would take the place of the event's own: a ``type`` within made it another event."""
    last = finish()
    last["delta"][name] = {"a": 1}
    events, failure = decode(stream(START, last, STOP))
    assert failure is None
    assert not any(isinstance(event, ExtrasDelta) for event in events)
    assert [event.action for event in events if isinstance(event, Notice)] == ["ignored"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "event_of_next_year", "x": 1},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "delta_of_next_year"}},
        START,
    ],
    ids=["event", "delta", "second-start"],
)
def test_what_is_newer_than_this_file_is_passed_over_and_counted_F66(event: dict[str, Any]) -> None:
    begun, *rest = text(0, "a", "b")
    events, failure = decode(stream(START, begun, event, *rest, finish(), STOP))
    assert failure is None
    assert [e.severity for e in events if isinstance(e, Notice)] == ["hint"]
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["a", "b"]


def test_content_behind_the_reason_of_the_end_is_dropped_and_counted_F68() -> None:
    events, failure = decode(
        stream(START, *text(0, "a"), finish("max_tokens"), *text(1, "b"), finish("end_turn"), STOP)
    )
    assert failure is None
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["a"]
    assert events[-1] == Finish(reason="length", raw="max_tokens", at="stop_reason")
    assert any(isinstance(e, Notice) for e in events)


BROKEN = [
    pytest.param(stream(START, *text(0, "a")), Interrupted, "incomplete_stream", id="C20-F-cut"),
    pytest.param(stream(START, *text(0, "a"), finish()), Interrupted, "incomplete_stream", id="no-message-stop"),
    pytest.param(stream(START, *text(0, "a")) + b"event: mess", Interrupted, "incomplete_stream", id="cut-in-a-frame"),
    pytest.param(b"", Malformed, "empty_response", id="F43-nothing"),
    pytest.param(b": hi\n\n", Malformed, "empty_response", id="F43-comments-alone"),
    pytest.param(stream(START) + b"data: {nope\n\n", Malformed, "bad_event", id="F65-bad-json"),
    pytest.param(
        stream(START) + b'data: {"type":"ping","x":"\xff"}\n\n', Interrupted, "incomplete_stream", id="skipped"
    ),
    pytest.param(stream(START) + b"data: [1]\n\n", Malformed, "bad_upstream_answer", id="F65-list"),
    pytest.param(
        stream(START) + b'data: {"type":"x","x":' + b"[" * 300 + b"]" * 300 + b"}\n\n", Malformed, "bad_event", id="B14"
    ),
    pytest.param(stream(START, delta(0, type="text_delta", text="a")), Malformed, "bad_event", id="no-block"),
    pytest.param(stream(*text(0, "a")), Malformed, "bad_event", id="no-message"),
    pytest.param(stream(STOP), Malformed, "bad_event", id="end-alone"),
    pytest.param(
        stream(START, begin(0, type="text", text=""), delta(0, type="thinking_delta", thinking="x")),
        Malformed,
        "bad_event",
        id="delta-of-another-kind",
    ),
    pytest.param(
        stream(START, {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}}),
        Malformed,
        "bad_event",
        id="delta-of-the-wrong-type",
    ),
    pytest.param(stream(START, begin(0, type="text")), Malformed, "bad_upstream_answer", id="block-without-text"),
    pytest.param(stream(START, {"type": "content_block_stop", "index": "x"}), Malformed, "bad_event", id="bad-index"),
    pytest.param(stream(START) + b"data: " + b"x" * (MAX_EVENT_BYTES + 1), Malformed, "event_too_large", id="F62"),
    pytest.param(
        stream(START) + b'data: {"type":"content_block_start","index":0,"content_block":{"type":"x","y":"\xff"}}\n\n',
        Malformed,
        "bad_event",
        id="B6-carried-bytes",
    ),
]


@pytest.mark.parametrize(("data", "error", "code"), BROKEN)
def test_a_broken_stream_is_a_failure(data: bytes, error: type[UpstreamError], code: str) -> None:
    for size in (1 << 30, 5):
        _, failure = decode(data, size=size)
        assert type(failure) is error
        assert failure.code == code


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, RateLimited),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}, Refused),
        ({"type": "error", "error": {"type": "api_error", "message": "boom"}}, ServerFault),
        ({"type": "error", "error": "boom"}, ServerFault),
        ({"error": {"message": "boom", "code": 502}}, ServerFault),
        ({"type": "error", "error": {"type": "rate_limit_error", "details": {"error_code": 5}}}, RateLimited),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "details": {"error_code": "insufficient_quota"}}},
            QuotaExhausted,
        ),
        ({"type": "error"}, Malformed),
        ({"type": "error", "error": {"type": "api_error", "details": {"error_code": NO_FLOAT}}}, ServerFault),
    ],
    ids=["overloaded", "rate", "invalid", "api", "text", "openai-C14", "odd-code", "spent", "unknown-form", "B11-code"],
)
def test_an_error_in_the_stream_ends_it_behind_what_came_before(
    event: dict[str, Any], error: type[UpstreamError]
) -> None:
    told = b"event: error\ndata: " + json.dumps(event).replace(f'"{NO_FLOAT}"', "1e999").encode() + b"\n\n"
    events, failure = decode(stream(START, *text(0, "a")) + told + stream(*text(1, "b")))
    assert type(failure) is error
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["a"]


def test_a_stream_may_end_early_where_the_profile_says_so() -> None:
    profile = msgspec.structs.replace(ANTHROPIC, done="optional")
    events, failure = decode(stream(START, *text(0, "a"), finish("max_tokens")), profile=profile)
    assert (events[-1], failure) == (Finish(reason="length", raw="max_tokens", at="stop_reason"), None)
    assert decode(stream(START, *text(0, "a")), profile=profile)[1] is not None


def test_nothing_comes_after_the_end_or_a_failure() -> None:
    decoder = codec.StreamDecoder(ANTHROPIC, MAX_EVENT_BYTES)
    decoder.feed(WHOLE)
    assert (decoder.is_complete, decoder.feed(WHOLE), decoder.close()) == (True, [], [])
    broken = codec.StreamDecoder(ANTHROPIC, MAX_EVENT_BYTES)
    broken.feed(b"data: {\n\n")
    assert (broken.feed(WHOLE), broken.close()) == ([], [])


def test_empty_deltas_and_usage_are_nothing() -> None:
    start = {**START, "message": {**START["message"], "usage": None}}
    thought = [begin(0, type="thinking", thinking=""), delta(0, type="thinking_delta", thinking=""), end(0)]
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    events, failure = decode(stream(start, *thought, *text(1, ""), last, STOP))
    assert failure is None
    assert kinds(events) == [Start, BlockStart, BlockStop, BlockStart, BlockStop, Finish]


def test_a_stream_that_may_end_early_may_not_be_cut_inside_an_event() -> None:
    profile = msgspec.structs.replace(ANTHROPIC, done="optional")
    decoder = codec.StreamDecoder(profile, MAX_EVENT_BYTES)
    decoder.feed(stream(START, *text(0, "a"), finish()) + b"event: mess")
    decoder.close()
    assert (decoder.is_complete, type(decoder.failure)) == (False, Interrupted)
