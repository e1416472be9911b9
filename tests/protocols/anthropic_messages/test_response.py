"""A whole answer, both ways: every field, every reason of the end, every figure of usage."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    Block,
    Choice,
    Citation,
    Finish,
    FinishReason,
    Logprobs,
    Media,
    Notices,
    Opaque,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    UrlSource,
    Usage,
)
from asgi_ds2api.codec import Envelope
from asgi_ds2api.errors import Malformed, Overloaded, UpstreamError
from asgi_ds2api.protocols import anthropic_messages as codec
from tests.support.recorded import Recording, recorded_params

from .calls import ANTHROPIC, told
from .normal import normal_response

ENVELOPE = Envelope(model="asked", salt="1")


def answer(*content: object, **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
        **fields,
    }


def decode(body: object) -> Response:
    return codec.decode_response(json.dumps(body).encode(), ANTHROPIC)


def encode(response: Response, notices: Notices | None = None) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(
        codec.encode_response(response, ENVELOPE, Notices() if notices is None else notices)
    )
    return written


def foreign(*blocks: Block, finish: Finish | FinishReason = "stop", **fields: Any) -> Response:
    end = finish if isinstance(finish, Finish) else Finish(reason=finish)
    return Response(source="openai_chat", id="c1", model="gpt", choices=(Choice(blocks=blocks, finish=end),), **fields)


ANSWERS = [
    pytest.param(answer({"type": "text", "text": "Hello"}), id="C03-text"),
    pytest.param(answer(), id="empty"),
    pytest.param(
        answer(
            {
                "type": "text",
                "text": "c",
                "citations": [{"type": "char_location", "cited_text": "x", "document_index": 0}],
            }
        ),
        id="citations",
    ),
    pytest.param(
        answer(
            {"type": "thinking", "thinking": "", "signature": "EqA+/="},
            {"type": "redacted_thinking", "data": "Zm9v"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.0}, "caller": {"type": "direct"}},
            stop_reason="tool_use",
        ),
        id="C26-thinking-and-call",
    ),
    pytest.param(
        answer(
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"encrypted_content": "e+/="}]},
            {"type": "block_of_next_year", "x": [{}]},
        ),
        id="server-tools",
    ),
    pytest.param(
        answer(
            container={"id": "c", "expires_at": "x"},
            diagnostics={"cache_miss_reason": None},
            context_management={"applied_edits": []},
            input_transformations=[],
            new_field=1,
        ),
        id="top-level",
    ),
    pytest.param(answer(stop_reason="stop_sequence", stop_sequence="END"), id="stop-sequence"),
    pytest.param(
        answer(stop_reason="refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "No."}),
        id="C36-refusal",
    ),
    pytest.param(answer(stop_reason="reason_of_next_year"), id="unknown-reason"),
    pytest.param(
        answer(
            usage={
                "input_tokens": 20,
                "cache_creation_input_tokens": 30,
                "cache_read_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 5},
                "server_tool_use": {"web_search_requests": 1},
                "service_tier": "priority",
                "speed": "fast",
                "inference_geo": "eu",
                "iterations": [{"type": "message"}],
            }
        ),
        id="C25-usage",
    ),
    pytest.param(
        answer(
            usage={"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1, "new": 2}}
        ),
        id="usage-of-next-year",
    ),
]


@pytest.mark.parametrize("body", ANSWERS)
def test_every_field_comes_back(body: dict[str, Any]) -> None:
    notices = Notices()
    written = encode(decode(body), notices)
    assert normal_response(written) == normal_response({**body, "model": "asked"})
    assert told(notices) == []


@pytest.mark.parametrize("record", recorded_params("anthropic", status=200, stream=False))
def test_recorded_answers_come_back(record: Recording) -> None:
    body = json.loads(record.response.body)
    response = codec.decode_response(record.response.body, ANTHROPIC)
    written = json.loads(codec.encode_response(response, Envelope(model=body["model"]), Notices()))
    assert normal_response(written) == normal_response(body)


REASONS: list[tuple[str, FinishReason]] = [
    ("end_turn", "stop"),
    ("max_tokens", "length"),
    ("stop_sequence", "stop_sequence"),
    ("tool_use", "tool_calls"),
    ("pause_turn", "pause"),
    ("refusal", "refusal"),
    ("model_context_window_exceeded", "context_window"),
    ("compaction", "compaction"),
    ("reason_of_next_year", "other"),
]


@pytest.mark.parametrize(("word", "reason"), REASONS)
def test_reasons_of_the_end_are_read(word: str, reason: FinishReason) -> None:
    finish = decode(answer(stop_reason=word)).choices[0].finish
    assert (finish.reason, finish.raw) == (reason, word)


def test_an_answer_without_a_reason_ends_by_what_it_holds() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert decode(answer(stop_reason=None)).choices[0].finish.reason == "stop"
    assert decode(answer(call, stop_reason=None)).choices[0].finish.reason == "tool_calls"


CALL = ToolCall(id="t", name="f", arguments="{}")


@pytest.mark.parametrize(
    ("finish", "blocks", "word"),
    [
        ("stop", (), "end_turn"),
        ("stop", (CALL,), "tool_use"),
        ("tool_calls", (CALL,), "tool_use"),
        ("tool_calls", (), "end_turn"),
        ("length", (CALL,), "max_tokens"),
        ("content_filter", (), "refusal"),
        ("refusal", (), "refusal"),
        ("other", (), "end_turn"),
        ("context_window", (), "model_context_window_exceeded"),
    ],
)
def test_reasons_of_other_vendors_are_said_in_anthropics_words(
    finish: FinishReason, blocks: tuple[Block, ...], word: str
) -> None:
    assert encode(foreign(*blocks, finish=finish))["stop_reason"] == word


def test_a_matched_stop_sequence_is_told_C28() -> None:
    written = encode(foreign(finish=Finish(reason="stop_sequence", stop_sequence="END")))
    assert (written["stop_reason"], written["stop_sequence"]) == ("stop_sequence", "END")


def test_a_refusal_is_text_and_details_C36() -> None:
    written = encode(foreign(Refusal(text="I won't."), finish="stop"))
    assert written["content"] == [{"type": "text", "text": "I won't."}]
    assert (written["stop_reason"], written["stop_details"]) == (
        "refusal",
        {"type": "refusal", "category": None, "explanation": "I won't."},
    )


def test_a_refusal_is_read_with_its_explanation_C36() -> None:
    details = {"type": "refusal", "category": None, "explanation": "Because."}
    finish = decode(answer(stop_reason="refusal", stop_details=details)).choices[0].finish
    assert (finish.reason, finish.explanation) == ("refusal", "Because.")


USAGES = [
    pytest.param({"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 1}, (100, 80, None, 1), id="C24"),
    pytest.param(
        {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 7},
        (18, 5, 3, 7),
        id="openai-C01",
    ),
    pytest.param({"output_tokens": 7}, (None, None, None, 7), id="no-input"),
    pytest.param({"input_tokens": -5, "output_tokens": 10**30}, (0, None, None, 2**53), id="F67-B32-odd-numbers"),
    pytest.param({"input_tokens": "NaN", "output_tokens": None}, (None, None, None, None), id="B32-no-numbers"),
    pytest.param({"input_tokens": 3.0, "output_tokens": True}, (3, None, None, None), id="float-and-bool"),
]


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_usage_is_read_with_the_cache_in_the_input(usage: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    read = decode(answer(usage=usage)).usage
    assert read is not None
    assert (read.input_total, read.cache_read, read.cache_write, read.output_total) == expected


def test_usage_of_others_is_written_without_the_cache_C24_C25() -> None:
    usage = Usage(input_total=100, cache_read=70, cache_write=10, output_total=9, reasoning=5)
    assert encode(foreign(usage=usage, service_tier="default"))["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 70,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
    }


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        (Usage(input_total=5, cache_read=80), (0, 0, 5)),
        (Usage(input_total=2_168, cache_read=2_161, cache_write=2_161), (0, 7, 2_161)),
        (Usage(cache_read=8), (0, 0, 8)),
    ],
    ids=["more-read-than-input", "read-and-written-at-once", "no-total"],
)
def test_the_parts_of_the_input_are_its_total(usage: Usage, written: tuple[int, int, int]) -> None:
    told = encode(foreign(usage=usage))["usage"]
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert tuple(told[name] for name in names) == written


def test_usage_that_nobody_told_is_numbers_all_the_same() -> None:
    assert set(encode(foreign())["usage"].values()) == {0}


def test_the_model_is_the_asked_one_and_an_id_is_made_where_there_is_none() -> None:
    written = encode(msgspec.structs.replace(foreign(), id=""))
    assert (written["model"], written["id"]) == ("asked", "msg_1")
    assert encode(foreign())["id"] == "c1"


def test_blocks_without_content_are_not_shown_C17() -> None:
    assert encode(foreign(Text(text=""), Reasoning(), Refusal(text=""), Text(text="x")))["content"] == [
        {"type": "text", "text": "x"}
    ]


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        pytest.param("", {}, id="C16-empty"),
        pytest.param('{"a":1}', {"a": 1}, id="object"),
        pytest.param("[1]", {"value": [1]}, id="list"),
        pytest.param('{"a":', {"_raw": '{"a":'}, id="B28-cut"),
    ],
)
def test_arguments_are_always_an_object_C16(arguments: str, written: object) -> None:
    call = ToolCall(id="t", name="f", arguments=arguments)
    assert encode(foreign(call, finish="tool_calls"))["content"][0]["input"] == written


def test_a_call_without_input_is_a_call_without_arguments() -> None:
    (call,) = decode(answer({"type": "tool_use", "id": "t", "name": "f"})).choices[0].blocks
    assert call == ToolCall(id="t", name="f", arguments="", at="content[0]")


def test_what_has_no_place_is_reported() -> None:
    url = Citation(protocol="openai_chat", raw=Raw(b"{}"), url="https://x", at="cite")
    response = foreign(
        Text(text="x", citations=(url,)),
        Media(kind="image", source=UrlSource(url="https://x"), at="image"),
        Opaque(protocol="gemini_generate", type="x", raw=Raw(b"{}"), at="opaque"),
        extras={"system_fingerprint": Raw(b'"fp"'), "x_groq": Raw(b"{}")},
    )
    choice = msgspec.structs.replace(
        response.choices[0], logprobs=Logprobs(), message_extras={"m": Raw(b"1")}, extras={"c": Raw(b"1")}
    )
    notices = Notices()
    encode(msgspec.structs.replace(response, choices=(choice, choice)), notices)
    assert told(notices, "hint") == ["system_fingerprint"]
    assert sorted(told(notices, "lost")) == [
        "choices[0].c",
        "choices[0].logprobs",
        "choices[0].message.m",
        "choices[1]",
        "cite",
        "image",
        "opaque",
        "x_groq",
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", Malformed),
        (b"not json", Malformed),
        (b"[]", Malformed),
        (b'{"id":"x"}', Malformed),
        (b'{"content":"text"}', Malformed),
        (b'{"content":[{"type":"text"}]}', Malformed),
        (b'{"content":[5]}', Malformed),
        (b'{"content":' + b"[" * 200 + b"]" * 200 + b"}", Malformed),
        (b'{"content":[],"x":"\xff"}', Malformed),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Overloaded),
        (b'{"error":{"message":"boom","code":500}}', UpstreamError),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_upstream(body: bytes, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        codec.decode_response(body, ANTHROPIC)


def test_a_relayed_answer_is_judged_and_its_facts_are_read() -> None:
    facts = codec.tap_response(json.dumps(answer(stop_reason="max_tokens")).encode())
    assert facts.finish is not None
    assert facts.usage is not None
    assert (facts.model, facts.usage.input_total, facts.usage.output_total, facts.finish.reason) == (
        "claude",
        1,
        2,
        "length",
    )
    with pytest.raises(Overloaded):
        codec.tap_response(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    with pytest.raises(Malformed):
        codec.tap_response(b"")


def test_usage_and_details_that_are_odd_are_no_reason_to_fail_B32() -> None:
    response = decode(answer(usage=5, stop_details=[1]))
    assert (response.usage, response.choices[0].finish.explanation) == (None, None)
    assert decode(answer(usage={"output_tokens_details": 5})).usage == Usage(extras={})
