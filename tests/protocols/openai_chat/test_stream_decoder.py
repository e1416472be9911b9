"""A stream is read as it is meant, whoever sends it and however it is cut."""

from typing import Any

import msgspec
import pytest

from asgi_ds2api import errors
from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Notice,
    Reasoning,
    ReasoningDelta,
    Refusal,
    Response,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    Usage,
)
from asgi_ds2api.errors import Interrupted, Malformed, UpstreamError
from asgi_ds2api.fold import fold
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.canonical_json import as_json
from tests.support.cases import row_params
from tests.support.http_bytes import sse_body

from .calls import LENIENT, OPENAI
from .sse import DONE, MAX_EVENT_BYTES, chunk, decode, fragment

NAME = "openai_chat"
HI = chunk({"role": "assistant", "content": "Hi"})
END = chunk({}, "stop")
AT = "choices[0].message"


def events(*frames: Any) -> list[Event]:
    read, failure = decode(sse_body([*frames, DONE]))
    assert failure is None
    return read


def folded(*frames: Any) -> Response:
    return fold(events(*frames), codec.join_opaque)


def bytes_of(row: dict[str, Any]) -> bytes:
    return row["raw"].encode() if "raw" in row else sse_body(row["frames"])


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("row", row_params(NAME, "stream_deviations"))
def test_what_vendors_do_otherwise_is_read_as_it_is_meant(row: dict[str, Any], size: int) -> None:
    read, failure = decode(bytes_of(row), size=size)
    assert failure is None
    response = fold(read, codec.join_opaque)
    (choice,) = response.choices
    texts = [block.text for block in choice.blocks if isinstance(block, Text)]
    thoughts = [block.text for block in choice.blocks if isinstance(block, Reasoning)]
    calls = [block for block in choice.blocks if isinstance(block, ToolCall)]
    assert ("".join(texts), "".join(thoughts)) == (row["text"], row["reasoning"])
    expected = [[call.id if id_ == "*" else id_, *rest] for call, (id_, *rest) in zip(calls, row["calls"], strict=True)]
    assert [[call.id, call.name, call.arguments] for call in calls] == expected
    assert len({call.id for call in calls if call.id}) == len(calls)
    assert choice.finish.reason == row["finish"]
    if "usage" in row:
        assert response.usage is not None
        assert [response.usage.input_total, response.usage.output_total] == row["usage"]


def test_events_of_a_text_in_their_order() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    assert events(HI, chunk({"content": " there"}), END, chunk(choices=[], usage=usage)) == [
        Start(source="openai_chat", id="c1", model="gpt", created=1),
        BlockStart(index=0, block=Text(text="", at=f"{AT}.content")),
        TextDelta(index=0, text="Hi"),
        TextDelta(index=0, text=" there"),
        BlockStop(index=0),
        Usage(input_total=3, output_total=2),
        Finish(reason="stop", raw="stop", at="choices[0].finish_reason"),
    ]


NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
USED = {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.mark.parametrize(
    ("told", "counts"), [([USED, NOTHING], (7, 3)), ([NOTHING, USED], (7, 3)), ([NOTHING], (0, 0))]
)  # fmt: skip
def test_figures_of_nothing_do_not_count_behind_others(told: list[Any], counts: tuple[int, int]) -> None:
    (usage,) = [
        event
        for event in events(HI, END, *[chunk(choices=[], usage=figures) for figures in told])
        if isinstance(event, Usage)
    ]
    assert (usage.input_total, usage.output_total) == counts


def test_events_of_thinking_and_calls_in_their_order() -> None:
    read = events(
        chunk({"role": "assistant", "reasoning_content": "t"}),
        chunk(fragment(0, "", id="a", name="f")),
        chunk(fragment(0, '{"x"')),
        chunk(fragment(1, "{}", id="b", name="g")),
        chunk(fragment(0, ":1}")),
        chunk({}, "tool_calls"),
    )
    assert read[1:] == [
        BlockStart(index=0, block=Reasoning(at=f"{AT}.reasoning_content")),
        ReasoningDelta(index=0, text="t"),
        BlockStop(index=0),
        BlockStart(index=1, block=ToolCall(id="a", name="f", arguments="", at=f"{AT}.tool_calls[0]")),
        ArgumentsDelta(index=1, arguments='{"x"'),
        BlockStart(index=2, block=ToolCall(id="b", name="g", arguments="", at=f"{AT}.tool_calls[1]")),
        ArgumentsDelta(index=1, arguments=":1}"),
        ArgumentsDelta(index=2, arguments="{}"),
        BlockStop(index=1),
        BlockStop(index=2),
        Finish(reason="tool_calls", raw="tool_calls", at="choices[0].finish_reason"),
    ]


def test_a_refusal_is_a_block_of_its_own() -> None:
    blocks = folded(HI, chunk({"refusal": "n"}), chunk({"refusal": "o"}), END).choices[0].blocks
    assert blocks == (Text(text="Hi", at=f"{AT}.content"), Refusal(text="no", at=f"{AT}.refusal"))


def test_signed_thinking_is_read_with_its_signature() -> None:
    def detail(**fields: Any) -> dict[str, Any]:
        return chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, **fields}]})

    read = events(detail(text="a"), detail(text="b"), detail(signature="S"), HI, END)
    assert SignatureDelta(index=0, signature="S") in read
    (thought, _) = fold(read).choices[0].blocks
    assert as_json(thought) == {
        "block": "reasoning", "text": "ab", "signature": "S", "extras": {"index": 0},
        "at": f"{AT}.reasoning_details[0]",
    }  # fmt: skip


def test_details_of_another_index_are_another_thought() -> None:
    details = [{"type": "reasoning.text", "index": i, "text": text} for i, text in ((0, "a"), (1, "b"), (1, "c"))]
    thoughts = folded(*(chunk({"reasoning_details": [found]}) for found in details), END).choices[0].blocks
    assert [thought.text for thought in thoughts if isinstance(thought, Reasoning)] == ["a", "bc"]


def test_encrypted_thinking_is_a_block_of_its_own() -> None:
    detail = {"type": "reasoning.encrypted", "data": "D", "id": "r"}
    (thought, _) = folded(chunk({"reasoning_details": [detail]}), HI, END).choices[0].blocks
    assert isinstance(thought, Reasoning)
    assert (thought.redacted, thought.text, as_json(thought.extras)) == ("D", "", {"id": "r"})


def test_citations_are_told_of_the_text() -> None:
    cited = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 2, "url": "U", "title": "T"}}
    (event,) = [e for e in events(HI, chunk({"annotations": [cited]}), END) if isinstance(e, CitationDelta)]
    citation = event.citation
    assert (citation.url, citation.title, citation.start, citation.end) == ("U", "T", 0, 2)
    assert citation.at == f"{AT}.annotations[0]"


def test_log_probabilities_are_told_with_their_choice() -> None:
    choices = [{"index": 1, "delta": {"content": "a"}, "logprobs": {"content": [{"token": "a"}], "refusal": None}}]
    (found,) = [e for e in events(HI, {**HI, "choices": choices}, END) if isinstance(e, Logprobs)]
    assert as_json(found) == {"event": "logprobs", "content": [{"token": "a"}], "choice": 1}


def test_a_spoken_answer_is_put_together() -> None:
    pieces = [{"id": "a1", "transcript": "h"}, {"data": "aG"}, {"data": "k=", "transcript": "i"}, {"expires_at": 5}]
    (block,) = folded(*(chunk({"audio": piece}) for piece in pieces), END).choices[0].blocks
    assert as_json(block)["raw"] == {"id": "a1", "transcript": "hi", "data": "aGk=", "expires_at": 5}


def test_fields_without_a_name_are_told_once_until_they_change() -> None:
    def named(value: str) -> dict[str, Any]:
        return {**HI, "provider": value, "system_fingerprint": "fp"}

    read = events(named("a"), named("a"), named("b"), END)
    assert as_json(read[0])["extras"] == {"provider": "a", "system_fingerprint": "fp"}
    assert [as_json(e.fields) for e in read if isinstance(e, ExtrasDelta)] == [{"provider": "b"}]


@pytest.mark.parametrize(
    ("frames", "text", "reason"),
    [
        ([HI, END, chunk({"content": "!"})], "Hi", "stop"),
        ([HI, END, chunk({}, "length")], "Hi", "stop"),
        ([HI, chunk({}, "length"), chunk({}, "content_filter")], "Hi", "content_filter"),
    ],
    ids=["F68-text-behind-the-end", "F68-second-reason", "openai-C19-filter"],
)
def test_the_first_end_counts_but_a_filter_overrides_it_F68(frames: list[Any], text: str, reason: str) -> None:
    choice = folded(*frames).choices[0]
    assert ([block.text for block in choice.blocks if isinstance(block, Text)], choice.finish.reason) == (
        [text],
        reason,
    )


def test_content_behind_the_end_is_told_as_a_hint_F68() -> None:
    assert [e.path for e in events(HI, END, chunk({"content": "!"})) if isinstance(e, Notice)] == ["stream"]


def test_several_choices_are_kept_apart() -> None:
    def said(number: int, text: str) -> dict[str, Any]:
        return chunk({"content": text}, index=number)

    ends = [chunk({}, reason, index=number) for number, reason in ((1, "length"), (0, "stop"))]
    choices = folded(said(0, "a"), said(1, "b"), said(0, "c"), *ends).choices
    texts = [block.text for choice in choices for block in choice.blocks if isinstance(block, Text)]
    assert (texts, [choice.finish.reason for choice in choices]) == (["ac", "b"], ["stop", "length"])


@pytest.mark.parametrize("row", row_params(NAME, "errors_in_200", where="both"))
def test_an_error_in_the_stream_breaks_it(row: dict[str, Any]) -> None:
    read, failure = decode(sse_body([HI, row["body"], HI, END, DONE]))
    assert type(failure) is getattr(errors, row["error"])
    assert [event.text for event in read if isinstance(event, TextDelta)] == ["Hi"]


BROKEN: list[Any] = [
    pytest.param(b"", Malformed, "empty_response", id="nothing"),
    pytest.param(b": x\n\n", Malformed, "empty_response", id="comments"),
    pytest.param(sse_body([DONE]), Malformed, "empty_response", id="done-alone"),
    pytest.param(sse_body([HI]), Interrupted, "incomplete_stream", id="F56-no-end"),
    pytest.param(sse_body([HI, END]), Interrupted, "incomplete_stream", id="F56-no-done"),
    pytest.param(sse_body([HI, DONE]), Interrupted, "incomplete_stream", id="F56-no-reason"),
    pytest.param(sse_body([HI, END]) + b"data: [DO", Interrupted, "incomplete_stream", id="F54-cut-done"),
    pytest.param(sse_body([HI, "not json"]), Malformed, None, id="F58-no-json"),
    pytest.param(sse_body([HI, "[1]"]), Malformed, None, id="F58-list"),
    pytest.param(sse_body([HI, '{"x":' + "[" * 300 + "]" * 300 + "}"]), Malformed, None, id="F61-deep"),
    pytest.param(sse_body([HI]) + b"data: " + b"x" * MAX_EVENT_BYTES, Malformed, "event_too_large", id="F62-large"),
    pytest.param(
        sse_body([chunk({"content": "a"}, index=128)]), Malformed, None, id="more-choices-than-can-be-asked-for"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "error", "code"), BROKEN)
@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytewise", "whole"])
def test_a_stream_that_is_none_or_has_no_end_fails(
    data: bytes, error: type[UpstreamError], code: str | None, size: int
) -> None:
    read, failure = decode(data, size=size if len(data) < 10_000 else 1 << 16, profile=OPENAI)
    assert type(failure) is error
    assert code in (None, failure.code)
    assert not any(isinstance(event, Finish) for event in read)


@pytest.mark.parametrize(
    "frames", [[HI, END], [HI, DONE], [HI, END, DONE]], ids=["no-done", "done-without-reason", "both"]
)
def test_look_alikes_may_leave_the_end_out(frames: list[Any]) -> None:
    read, failure = decode(sse_body(frames), profile=LENIENT)
    assert (failure, [e.reason for e in read if isinstance(e, Finish)]) == (None, ["stop"])


def test_a_look_alike_that_is_cut_inside_an_event_is_broken() -> None:
    assert type(decode(sse_body([HI, END]) + b'data: {"id"', profile=LENIENT)[1]) is Interrupted


def test_nothing_is_read_behind_the_end_or_an_error() -> None:
    for data in (sse_body([HI, END, DONE]), sse_body([HI, {"error": {"message": "x"}}])):
        decoder = codec.StreamDecoder(OPENAI, MAX_EVENT_BYTES)
        decoder.feed(data)
        state = (decoder.is_complete, decoder.failure)
        assert (decoder.feed(sse_body([HI])), decoder.close(), (decoder.is_complete, decoder.failure)) == (
            [], [], state,
        )  # fmt: skip


def test_arguments_that_never_become_a_call_are_bounded() -> None:
    decoder = codec.StreamDecoder(LENIENT, 1_000)
    for _ in range(30):
        decoder.feed(sse_body([chunk(fragment(0, "x" * 100))]))
    assert decoder.failure is not None
    assert decoder.failure.code == "event_too_large"


def test_calls_without_an_id_get_the_one_that_they_have_in_a_whole_answer() -> None:
    (streamed,) = folded(chunk(fragment(0, "{}", name="f")), chunk({}, "tool_calls")).choices[0].blocks
    function = {"name": "f", "arguments": "{}"}
    body = {"id": "c1", "choices": [{"message": {"tool_calls": [{"function": function}]}, "finish_reason": "stop"}]}
    (whole,) = codec.decode_response(msgspec.json.encode(body), LENIENT).choices[0].blocks
    assert streamed == whole
