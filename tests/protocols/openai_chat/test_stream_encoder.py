"""What a caller's SDK adds up: every thing is said once, in the one order that it can read."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    ArgumentsDelta,
    BlockStart,
    BlockStop,
    Citation,
    CitationDelta,
    Event,
    ExtrasDelta,
    Finish,
    Logprobs,
    Media,
    Notice,
    Notices,
    Opaque,
    OpaqueDelta,
    Ping,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SignatureDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    UrlSource,
    Usage,
)
from asgi_ds2api.codec import Envelope
from asgi_ds2api.errors import Interrupted, Overloaded
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.cases import row_params

from .calls import told
from .sse import ENVELOPE, WITH_USAGE, encode, parse

BEGUN = Start(source="anthropic_messages", id="msg_1", model="claude")
USED = Usage(input_total=9, output_total=7)
DETAILS = Envelope(model="asked", include_reasoning_details=True)
LEGACY = Envelope(model="asked", legacy_functions=True)


def text(index: int, *pieces: str, choice: int = 0) -> list[Event]:
    deltas = [TextDelta(index=index, text=piece) for piece in pieces]
    return [BlockStart(index=index, block=Text(text=""), choice=choice), *deltas, BlockStop(index=index)]


def call(index: int, *pieces: str, kind: Any = "function", **fields: Any) -> list[Event]:
    block = ToolCall(**{"id": f"t{index}", "name": "f", "arguments": "", "kind": kind, **fields})
    deltas = [ArgumentsDelta(index=index, arguments=piece) for piece in pieces]
    return [BlockStart(index=index, block=block), *deltas, BlockStop(index=index)]


def chunks(*events: Event, envelope: Envelope = ENVELOPE, notices: Notices | None = None) -> list[Any]:
    """Return the chunks for a stream; they are the same whether events come one by one or all at once."""
    whole = encode([BEGUN, *events], envelope, notices)
    assert encode([BEGUN, *events], envelope, one_by_one=True) == whole
    return parse(whole)


def deltas(*events: Event, envelope: Envelope = ENVELOPE, notices: Notices | None = None) -> list[Any]:
    """Return the deltas of the chunks, without the last, which has the reason."""
    found = [chunk["choices"][0]["delta"] for chunk in chunks(*events, envelope=envelope, notices=notices)]
    assert found[0]["role"] == "assistant"
    assert not any("role" in delta for delta in found[1:])
    return found[:-1]


BEGINNING = {"role": "assistant", "content": "", "refusal": None}
SILENT = {"role": "assistant", "content": None, "refusal": None}


def test_a_text_openai_C02() -> None:
    top = {"id": "msg_1", "object": "chat.completion.chunk", "created": 1, "model": "asked"}

    def chunk(delta: Any, finish: str | None = None) -> Any:
        return {**top, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    assert chunks(*text(0, "He", "", "llo"), USED, Finish(reason="stop")) == [
        chunk(BEGINNING),
        chunk({"content": "He"}),
        chunk({"content": "llo"}),
        chunk({}, "stop"),
    ]


def test_usage_is_told_last_and_only_if_it_was_asked_for_openai_C03() -> None:
    *before, last = chunks(*text(0, "a"), USED, Finish(reason="stop"), envelope=WITH_USAGE)
    assert [chunk["usage"] for chunk in before] == [None] * 3
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 16)


def test_usage_that_nobody_told_is_estimated_from_all_that_was_said() -> None:
    said = [*text(0, "x" * 40), *call(1, "y" * 40)]
    assert chunks(*said, envelope=WITH_USAGE)[-1]["usage"]["completion_tokens"] == 20


def test_usage_in_instalments_is_assigned_and_not_added() -> None:
    told_ = [Usage(input_total=9, output_total=1), Usage(output_total=7)]
    usage = chunks(*text(0, "a"), *told_, envelope=WITH_USAGE)[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (9, 7)


def test_a_call_tells_its_id_and_name_once_openai_C04() -> None:
    first, *rest = deltas(*call(0, '{"a"', ":1}"))
    start = {"index": 0, "id": "t0", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert first == {**SILENT, "tool_calls": [start]}
    assert rest == [
        {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ('{"a"', ":1}")
    ]  # fmt: skip


def test_a_call_without_arguments_has_empty_ones_openai_C05() -> None:
    assert deltas(*call(0))[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_arguments_that_come_with_the_start_are_told_once() -> None:
    assert deltas(*call(0, arguments='{"a":1}'))[-1]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'


def test_calls_are_numbered_without_gaps_whatever_stands_between_openai_C06() -> None:
    found = deltas(*call(0, "{}"), *text(1, "a"), *call(2, "{}"))
    assert [delta["tool_calls"][0]["index"] for delta in found if "tool_calls" in delta] == [0, 0, 1, 1]


def test_calls_that_interleave_are_told_one_after_the_other() -> None:
    first, second = call(0, '{"a"', ":1}"), call(1, '{"b"', ":2}")
    mixed = [event for pair in zip(first, second, strict=True) for event in pair]
    pieces = [fragment for delta in deltas(*mixed) for fragment in delta["tool_calls"]]
    assert [(piece["index"], piece["function"]["arguments"]) for piece in pieces] == [
        (0, ""), (0, '{"a"'), (0, ":1}"), (1, ""), (1, '{"b"'), (1, ":2}"),
    ]  # fmt: skip


def test_a_custom_call_openai_C35() -> None:
    first, second = deltas(*call(0, "***", kind="custom"))
    assert first["tool_calls"][0] == {"index": 0, "id": "t0", "type": "custom", "custom": {"name": "f", "input": ""}}
    assert second["tool_calls"] == [{"index": 0, "custom": {"input": "***"}}]


def test_a_caller_of_functions_is_told_one_call_openai_C36() -> None:
    notices = Notices()
    events = [*call(0, "{", "}"), *call(1, "{}", at="second")]
    found = chunks(*events, Finish(reason="tool_calls"), envelope=LEGACY, notices=notices)
    functions = [chunk["choices"][0]["delta"].get("function_call") for chunk in found]
    assert functions == [{"name": "f", "arguments": ""}, {"arguments": "{"}, {"arguments": "}"}, None]
    assert (found[-1]["choices"][0]["finish_reason"], told(notices, "lost")) == ("function_call", ["second"])


def test_reasoning_comes_before_the_text_and_never_in_its_chunk() -> None:
    thought: list[Event] = [
        BlockStart(index=0, block=Reasoning()),
        ReasoningDelta(index=0, text="t"),
        BlockStop(index=0),
    ]
    assert deltas(*thought, *text(1, "a")) == [SILENT, {"reasoning_content": "t"}, {"content": "a"}]  # fmt: skip


SIGNED: list[Event] = [
    BlockStart(index=0, block=Reasoning(at="thought")),
    ReasoningDelta(index=0, text="t"),
    SignatureDelta(index=0, signature="S"),
    BlockStop(index=0),
    BlockStart(index=1, block=Reasoning(redacted="D", at="hidden")),
    BlockStop(index=1),
]


def test_details_are_told_to_those_who_can_carry_them() -> None:
    def detail(kind: str, index: int, **fields: str) -> dict[str, Any]:
        return {"type": f"reasoning.{kind}", **fields, "index": index}

    assert deltas(*SIGNED, envelope=DETAILS)[1:] == [
        {"reasoning_content": "t", "reasoning_details": [detail("text", 0, text="t")]},
        {"reasoning_details": [detail("text", 0, text="", signature="S")]},
        {"reasoning_details": [detail("encrypted", 1, data="D")]},
    ]


def test_others_are_told_the_text_and_the_rest_is_a_hint() -> None:
    notices = Notices()
    assert deltas(*SIGNED, notices=notices)[1:] == [{"reasoning_content": "t"}]
    assert told(notices, "hint") == ["thought.signature", "hidden"]


def test_a_refusal() -> None:
    events: list[Event] = [BlockStart(index=0, block=Refusal(text="n")), RefusalDelta(index=0, text="o")]
    assert deltas(*events, BlockStop(index=0)) == [{**SILENT, "refusal": "n"}, {"refusal": "o"}]


@pytest.mark.parametrize(
    ("finish", "refusal"),
    [
        (Finish(reason="refusal", explanation="Because."), "Because."),
        (Finish(reason="content_filter"), "The model declined to answer."),
        (Finish(reason="stop"), None),
    ],
    ids=["explained", "openai-C08-filter", "silence"],
)
def test_an_answer_in_which_there_is_nothing_to_read_is_a_refusal(finish: Finish, refusal: str | None) -> None:
    (chunk,) = chunks(finish)
    assert chunk["choices"][0]["delta"] == {**SILENT, "refusal": refusal}


@pytest.mark.parametrize("source", ["gemini_generate", "openai_chat"])
def test_signatures_go_with_their_calls_which_wait_for_each_other(source: Any) -> None:
    extras = {"extra_content": Raw(b"{}")} if source == "openai_chat" else {}
    events: list[Event] = [Start(source=source, id="r1", model="gemini")]
    for index in (0, 2, 4):
        mark = Reasoning(signature=f"s{index}", extras=extras, at=f"calls[{index}]")
        events += (BlockStart(index=index, block=mark), BlockStop(index=index), call(index + 1, at=mark.at)[0])
    events += (ArgumentsDelta(index=index, arguments="{}") for index in (1, 3, 5))
    found = [one for delta in deltas(*events) for one in delta.get("tool_calls", ()) if "id" in one]
    signatures = [one["extra_content"]["google"]["thought_signature"] for one in found]
    assert [(one["id"], signature) for one, signature in zip(found, signatures, strict=True)] == [
        ("t1", "s0"), ("t3", "s2"), ("t5", "s4")
    ]  # fmt: skip


@pytest.mark.parametrize("row", row_params("openai_chat", "finish_words"))
def test_reasons_of_the_end_are_said_in_the_vendors_words(row: dict[str, Any]) -> None:
    def word(events: Sequence[Event], envelope: Envelope = ENVELOPE) -> str:
        found: str = chunks(*events, Finish(reason=row["reason"]), envelope=envelope)[-1]["choices"][0]["finish_reason"]
        return found

    assert (word(text(0, "a")), word(call(0, "{}"))) == (row["word"], row["with_calls"])
    assert word(call(0, "{}"), LEGACY) == row["legacy"]


def test_a_reason_that_came_early_is_told_at_the_end() -> None:
    found = chunks(Finish(reason="length"), *text(0, "a"))
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, "length"]


def test_choices_before_the_first_that_speaks_begin_before_it_openai_C20() -> None:
    found = chunks(*text(0, "b", choice=1), *text(1, "a", choice=0), Finish(reason="stop", choice=1))
    assert [chunk["choices"][0]["index"] for chunk in found] == [0, 1, 1, 0, 0, 1]
    roles = [chunk["choices"][0]["index"] for chunk in found if "role" in chunk["choices"][0]["delta"]]
    assert roles == [0, 1]


def test_log_probabilities_stand_beside_the_text_that_they_are_of() -> None:
    tokens = [Logprobs(content=(Raw(b'{"token":"a"}'),)), Logprobs(content=(Raw(b'{"token":"b"}'),))]
    begin, *middle, stop = text(0, "a", "b")
    found = chunks(begin, tokens[0], middle[0], tokens[1], middle[1], stop)
    logprobs = [chunk["choices"][0]["logprobs"] for chunk in found]
    assert [told_ and told_["content"] for told_ in logprobs] == [None, [{"token": "a"}], [{"token": "b"}], None]


def test_fields_of_this_protocol_go_with_the_next_chunk() -> None:
    own = Start(source="openai_chat", id="c1", model="gpt", created=5, service_tier="flex", extras={"x": Raw(b"1")})
    begin, said, stop = text(0, "a")
    later: list[Event] = [
        ExtrasDelta(level="response", fields={"top": Raw(b"2")}),
        ExtrasDelta(level="choice", fields={"choice": Raw(b"3")}),
        ExtrasDelta(level="message", fields={"message": Raw(b"4")}),
    ]
    first, second, last = parse(encode([own, begin, *later, said, stop]))
    assert (first["id"], first["created"], first["service_tier"], first["x"]) == ("c1", 5, "flex", 1)
    assert (second["top"], second["choices"][0]["choice"], second["choices"][0]["delta"]["message"]) == (2, 3, 4)
    assert "top" not in last


def test_fields_of_another_protocol_are_told_as_hints() -> None:
    notices = Notices()
    fields = {"new": Raw(b"1")}
    levels: list[Event] = [ExtrasDelta(level=level, fields=fields) for level in ("response", "choice", "message")]
    chunks(*levels, notices=notices)
    assert told(notices, "hint") == ["new", "choices[0].new", "choices[0].message.new"]


def test_a_web_page_is_cited_with_its_span() -> None:
    cited = Citation(protocol="anthropic_messages", raw=Raw(b"{}"), url="U", title="T", at="cite")
    begin, said, stop = text(1, "bc")
    found = deltas(*text(0, "a"), begin, said, CitationDelta(index=1, citation=cited), stop)
    span = {"start_index": 1, "end_index": 3, "url": "U", "title": "T"}
    assert found[-1] == {"annotations": [{"index": 0, "type": "url_citation", "url_citation": span}]}


def test_source_that_is_told_before_its_text_is_cited_with_its_span() -> None:
    """So Anthropic tells them; what has a place of its own does not wait."""
    source = Citation(protocol="anthropic_messages", raw=Raw(b"{}"), url="U", title="T")
    placed = Citation(protocol="gemini_generate", raw=Raw(b"{}"), url="P", start=0, end=1)
    begin, said, stop = text(1, "bc")
    cited = [CitationDelta(index=1, citation=citation) for citation in (source, placed)]
    found = deltas(*text(0, "a"), begin, *cited, said, stop, *text(2, "d"))
    spans = [note["url_citation"] for delta in found for note in delta.get("annotations", ())]
    assert [(span["url"], span["start_index"], span["end_index"]) for span in spans] == [("P", 0, 1), ("U", 1, 3)]


def test_pictures_and_a_voice_have_their_places() -> None:
    picture = Media(kind="image", source=UrlSource(url="https://x/a.png"))
    voice = Opaque(protocol="openai_chat", type="message.audio", raw=Raw(b'{"id":"a1"}'))
    spoken = OpaqueDelta(index=1, protocol="openai_chat", raw=Raw(b'{"data":"aGk="}'))
    events: list[Event] = [BlockStart(index=0, block=picture), BlockStart(index=1, block=voice), spoken]
    assert deltas(*events) == [
        {**SILENT, "images": [{"index": 0, "type": "image_url", "image_url": {"url": "https://x/a.png"}}]},
        {"audio": {"id": "a1"}},
        {"audio": {"data": "aGk="}},
    ]


def test_what_has_no_place_is_told_as_lost_and_its_deltas_are_passed_over() -> None:
    notices = Notices()
    block = Opaque(protocol="anthropic_messages", type="server_tool_use", raw=Raw(b"{}"), at="opaque")
    delta = OpaqueDelta(index=0, protocol="anthropic_messages", raw=Raw(b"{}"))
    assert deltas(BlockStart(index=0, block=block), delta, *text(1, "a"), notices=notices) == [
        BEGINNING,
        {"content": "a"},
    ]
    assert told(notices, "lost") == ["opaque"]


def test_pings_and_notices_have_no_chunk() -> None:
    aside = Notice(path="x", action="dropped", reason="no effect", severity="hint")
    assert chunks(Ping(), *text(0, "a"), aside) == chunks(*text(0, "a"))


def test_nothing_at_all_is_an_empty_answer() -> None:
    (chunk,) = parse(encode([]))
    assert (chunk["id"], chunk["choices"][0]["finish_reason"]) == ("chatcmpl-1", "stop")


def test_an_error_is_the_last_word_openai_C14_openai_C16() -> None:
    encoder = codec.StreamEncoder(ENVELOPE, Notices())
    told_ = {"message": "It broke off.", "type": "server_error", "param": None, "code": "upstream_truncated"}
    error = encoder.error(Interrupted("It broke off."))
    assert (error[:6], json.loads(error[6:]), error[-2:]) == (b"data: ", {"error": told_}, b"\n\n")
    assert b'"code":"server_is_overloaded"' in encoder.error(Overloaded("busy"))


def test_a_heartbeat_is_a_comment_openai_C17() -> None:
    assert codec.StreamEncoder(ENVELOPE, Notices()).heartbeat() == b": keepalive\n\n"
