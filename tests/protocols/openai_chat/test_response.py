"""A whole answer, both ways: every field, every reason of the end, every figure of usage."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api import errors
from asgi_ds2api.canonical import (
    Block,
    Choice,
    Finish,
    FinishReason,
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
from asgi_ds2api.errors import Malformed, UpstreamError
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.canonical_json import as_json
from tests.support.cases import row_params

from .calls import LENIENT, OPENAI, told

NAME = "openai_chat"
ENVELOPE = Envelope(model="asked", salt="1", created=7)
LEGACY = Envelope(model="asked", legacy_functions=True)
CALL = ToolCall(id="t", name="f", arguments="{}")


def answer(message: dict[str, Any] | None = None, finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    whole = {"role": "assistant", "content": "Hello", **(message or {})}
    return {"id": "c1", "choices": [{"index": 0, "message": whole, "finish_reason": finish}], **fields}


def decode(body: object) -> Response:
    return codec.decode_response(json.dumps(body).encode(), LENIENT)


def encode(response: Response, envelope: Envelope = ENVELOPE, notices: Notices | None = None) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(
        codec.encode_response(response, envelope, Notices() if notices is None else notices)
    )
    return written


def foreign(*blocks: Block, finish: Finish | FinishReason = "stop", **fields: Any) -> Response:
    end = finish if isinstance(finish, Finish) else Finish(reason=finish)
    choices = (Choice(blocks=blocks, finish=end),)
    return Response(source="anthropic_messages", id="msg_1", model="claude", choices=choices, **fields)


def message(response: Response, envelope: Envelope = ENVELOPE) -> dict[str, Any]:
    found: dict[str, Any] = encode(response, envelope)["choices"][0]["message"]
    return found


@pytest.mark.parametrize("row", row_params(NAME, "answers"))
def test_every_field_comes_back(row: dict[str, Any]) -> None:
    notices = Notices()
    response = codec.decode_response(json.dumps(row["body"]).encode(), LENIENT)
    written = encode(response, ENVELOPE, notices)
    assert (written, told(notices)) == ({**row.get("sent", row["body"]), "model": "asked"}, [])


@pytest.mark.parametrize("row", row_params(NAME, "finish_reasons"))
def test_reasons_of_the_end_are_read(row: dict[str, Any]) -> None:
    calls = {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]} if row["has_calls"] else None
    finish = decode(answer(calls, row["word"])).choices[0].finish
    assert (finish.reason, finish.raw) == (row["reason"], row["word"] or None)


@pytest.mark.parametrize("row", row_params(NAME, "finish_words"))
def test_reasons_of_the_end_are_said_in_the_vendors_words(row: dict[str, Any]) -> None:
    def word(*blocks: Block, envelope: Envelope = ENVELOPE) -> str:
        found: str = encode(foreign(*blocks, finish=row["reason"]), envelope)["choices"][0]["finish_reason"]
        return found

    assert (word(Text(text="a")), word(CALL)) == (row["word"], row["with_calls"])
    assert word(CALL, envelope=LEGACY) == row["legacy"]


@pytest.mark.parametrize("row", row_params(NAME, "usage"))
def test_usage_is_read_and_written(row: dict[str, Any]) -> None:
    response = decode(answer(usage=row["usage"]))
    assert as_json(response.usage) == row["read"]
    if "sent" in row:
        assert encode(response)["usage"] == row["sent"]


def test_reasoning_that_is_not_in_the_output_is_added_to_it() -> None:
    profile = msgspec.structs.replace(LENIENT, reasoning_in_output_tokens=False)
    usage = {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 7}}
    read = codec.decode_response(json.dumps(answer(usage=usage)).encode(), profile).usage
    assert read is not None
    assert (read.output_total, read.reasoning) == (12, 7)


def test_usage_of_another_protocol_counts_all_input_openai_C01() -> None:
    usage = Usage(input_total=18, cache_read=5, cache_write=3, output_total=7, reasoning=2)
    assert encode(foreign(Text(text="Hello"), usage=usage))["usage"] == {
        "prompt_tokens": 18,
        "completion_tokens": 7,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def test_usage_that_nobody_told_is_estimated_in_plain_integers() -> None:
    usage = encode(foreign(Text(text="x" * 40)))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (0, 10, 10)


def test_what_the_upstream_left_out_is_made_up() -> None:
    written = encode(decode({"choices": [{"message": {"content": "a"}}]}))
    assert (written["id"], written["created"], written["model"], written["object"]) == (
        "chatcmpl-1",
        7,
        "asked",
        "chat.completion",
    )


def test_keys_that_clients_look_for_are_always_there() -> None:
    (choice,) = encode(foreign(CALL, finish="tool_calls"))["choices"]
    assert choice["message"].keys() == {"role", "content", "refusal", "tool_calls"}
    assert (choice["message"]["content"], choice["message"]["refusal"], choice["logprobs"]) == (None, None, None)


def test_texts_are_joined_without_a_break() -> None:
    assert message(foreign(Text(text="a"), Text(text="b")))["content"] == "ab"


def test_choices_are_in_order_whatever_order_they_came_in() -> None:
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in (2, 0, 1)]
    written = encode(decode({"id": "c1", "choices": choices}))["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in written] == [(0, "0"), (1, "1"), (2, "2")]


def test_calls_without_an_id_get_one_that_is_the_same_every_time() -> None:
    body = answer({"tool_calls": [{"function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]})
    first, again = (message(decode(body))["tool_calls"] for _ in range(2))
    other = message(decode({**body, "id": "c2"}))["tool_calls"]
    assert first == again
    assert len({call["id"] for call in first + other}) == 4
    assert all(len(call["id"]) <= 64 for call in first)


def test_a_call_that_nobody_can_run_is_told_as_lost() -> None:
    notices = Notices()
    response = decode(answer({"tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]}))
    assert "tool_calls" not in encode(response, ENVELOPE, notices)["choices"][0]["message"]
    assert told(notices, "lost") == ["choices[0].message.tool_calls[0]"]


def test_function_call_is_a_call_and_is_written_as_the_caller_knows_it_openai_C36() -> None:
    response = decode(answer({"content": None, "function_call": {"name": "f", "arguments": ""}}, "function_call"))
    (call,) = message(response)["tool_calls"]
    assert (call["type"], call["function"]) == ("function", {"name": "f", "arguments": "{}"})
    assert message(response, LEGACY)["function_call"] == {"name": "f", "arguments": "{}"}


def test_a_caller_of_functions_is_told_one_call_and_that_there_were_more() -> None:
    notices = Notices()
    second = msgspec.structs.replace(CALL, id="u", at="second")
    written = encode(foreign(CALL, second, finish="tool_calls"), LEGACY, notices)
    assert written["choices"][0]["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert told(notices, "lost") == ["second"]


@pytest.mark.parametrize(
    ("finish", "refusal"),
    [
        (Finish(reason="refusal", explanation="Because."), "Because."),
        (Finish(reason="refusal"), "The model declined to answer."),
        (Finish(reason="content_filter"), "The model declined to answer."),
        (Finish(reason="stop"), None),
    ],
    ids=["explained", "refusal", "openai-C08-filter", "silence"],
)
def test_an_answer_in_which_there_is_nothing_to_read_is_a_refusal(finish: Finish, refusal: str | None) -> None:
    assert message(foreign(finish=finish))["refusal"] == refusal


def test_a_filtered_answer_of_this_protocol_stays_empty() -> None:
    assert message(decode(answer({"content": None}, "content_filter")))["refusal"] is None


def test_what_a_model_refused_is_no_text() -> None:
    told_ = message(foreign(Refusal(text="I "), Refusal(text="won't."), finish="refusal"))
    assert (told_["content"], told_["refusal"]) == (None, "I won't.")


def test_a_matched_stop_sequence_is_told_as_vllm_does() -> None:
    written = encode(foreign(Text(text="a"), finish=Finish(reason="stop_sequence", stop_sequence="END")))
    assert (written["choices"][0]["finish_reason"], written["choices"][0]["stop_reason"]) == ("stop", "END")
    finish = decode({"choices": [{"message": {}, "finish_reason": "stop", "stop_reason": "END"}]}).choices[0].finish
    assert (finish.reason, finish.stop_sequence) == ("stop_sequence", "END")


def test_what_has_no_place_is_reported() -> None:
    notices = Notices()
    response = foreign(
        Text(text="x", extras={"new": Raw(b"1")}, at="text"),
        Media(kind="video", source=UrlSource(url="https://x"), at="film"),
        Opaque(protocol="anthropic_messages", type="server_tool_use", raw=Raw(b"{}"), at="opaque"),
        extras={"container": Raw(b"{}")},
    )
    encode(response, ENVELOPE, notices)
    assert told(notices, "lost") == ["film", "opaque"]
    assert sorted(told(notices, "hint")) == ["container", "text.new"]


@pytest.mark.parametrize("row", row_params(NAME, "errors_in_200"))
def test_an_error_inside_a_200_is_one(row: dict[str, Any]) -> None:
    body = json.dumps(row["body"]).encode()
    with pytest.raises(getattr(errors, row["error"])):
        codec.decode_response(body, LENIENT)
    with pytest.raises(getattr(errors, row["error"])):
        codec.tap_response(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"", Malformed, id="empty"),
        pytest.param(b"not json", Malformed, id="text"),
        pytest.param(b"<html>", Malformed, id="html"),
        pytest.param(b"[]", Malformed, id="list"),
        pytest.param(b'{"id":"x"}', Malformed, id="no-choices"),
        pytest.param(b'{"choices":[]}', Malformed, id="choices-empty"),
        pytest.param(b'{"choices":"x"}', Malformed, id="choices-text"),
        pytest.param(b'{"choices":' + b"[" * 200 + b"]" * 200 + b"}", Malformed, id="deep"),
        pytest.param(b'{"choices":[{}],"x":"\xff"}', Malformed, id="no-utf8"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_upstream(body: bytes, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        codec.decode_response(body, OPENAI)
    with pytest.raises(error):
        codec.tap_response(body)


def test_a_relayed_answer_is_judged_and_its_facts_are_read() -> None:
    calls = {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    body = answer(calls, "stop", model="gpt", usage={"prompt_tokens": 3, "completion_tokens": 2})
    facts = codec.tap_response(json.dumps(body).encode())
    assert facts.finish is not None
    assert facts.usage is not None
    assert (facts.model, facts.usage.input_total, facts.usage.output_total, facts.finish.reason) == (
        "gpt",
        3,
        2,
        "tool_calls",
    )


@pytest.mark.parametrize(
    "field", ["usage", "logprobs", "tool_calls", "annotations", "audio", "images", "function_call"]
)
def test_a_field_of_another_type_is_not_there(field: str) -> None:
    body = answer({field: 5})
    body["choices"][0][field] = body[field] = 5
    response = codec.decode_response(json.dumps(body).encode(), PROFILES["azure"])
    assert [block for block in response.choices[0].blocks if not isinstance(block, Reasoning)] == [
        Text(text="Hello", at="choices[0].message.content")
    ]
    assert response.usage is None
