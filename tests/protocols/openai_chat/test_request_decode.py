"""What a caller sends is read as it is meant, and what is wrong is named by its path and never quoted.

The tables are sections A1 to A5 of the vendor's reference and the fields of those who extend it, row by row.
"""

from typing import Any

import pytest

from asgi_ds2api.canonical import Text
from asgi_ds2api.codec import DEFAULT_LIMITS
from asgi_ds2api.errors import MalformedRequest
from asgi_ds2api.protocols import openai_chat as codec
from tests.support.canonical_json import as_json, find
from tests.support.cases import row_params

from .calls import HELLO, body, call, native

NAME = "openai_chat"
CANARY = "sk-CANARY-7f3a"
FUNCTION = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("row", row_params(NAME, "request_fields", "field"))
def test_every_field_has_its_place(row: dict[str, Any]) -> None:
    request = native(**row.get("beside", {}), **{row["field"]: row["value"]})
    assert as_json(find(request, row["canonical"])) == row["read"]


@pytest.mark.parametrize("row", row_params(NAME, "request_fields", "field"))
def test_a_field_that_is_null_is_absent(row: dict[str, Any]) -> None:
    assert native(**{row["field"]: None}) == native()


@pytest.mark.parametrize("row", row_params(NAME, "request_settings"))
def test_tools_formats_and_settings_of_others_are_read(row: dict[str, Any]) -> None:
    assert as_json(find(native(**row["fields"]), row["canonical"])) == row["read"]


@pytest.mark.parametrize("row", row_params(NAME, "messages"))
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "beside-an-unknown-field"])
def test_every_kind_of_message_is_read(row: dict[str, Any], is_known: bool) -> None:
    """Also where a field that nobody knows makes the whole body be read piece by piece."""
    request = native(messages=[row["message"]], **({} if is_known else {"x": 1}))
    assert as_json(request.messages) == [row["read"]]


@pytest.mark.parametrize("row", row_params(NAME, "content_parts"))
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "beside-an-unknown-part"])
def test_every_content_part_is_read(row: dict[str, Any], is_known: bool) -> None:
    others = [] if is_known else [{"type": "unknown"}]
    block = as_json(native(messages=[{"role": "user", "content": [row["part"], *others]}]).messages[0].content[0])
    assert block.pop("at") == "messages[0].content[0]"
    for place in ("detail_at", "source_at"):
        block.pop(place, None)
    if "cache" in row["block"]:
        assert block["cache"].pop("at") == "messages[0].content[0].prompt_cache_breakpoint"
    assert block == row["block"]


@pytest.mark.parametrize("row", row_params(NAME, "refused"))
def test_what_is_wrong_is_named_by_its_path(row: dict[str, Any]) -> None:
    whole = row["body"] if "body" in row else body(**row["fields"])
    with pytest.raises(MalformedRequest) as caught:
        codec.decode_request(call(whole))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, row["code"], row["param"])


LONG = "y" * DEFAULT_LIMITS.max_schema_bytes
LARGE = [
    pytest.param(
        {"messages": HELLO * (DEFAULT_LIMITS.max_messages + 1)}, "array_above_max_length", "messages", id="B24-messages"
    ),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * (DEFAULT_LIMITS.max_parts + 1)}]},
        "array_above_max_length",
        "messages[0].content",
        id="parts",
    ),
    pytest.param(
        {"tools": [{"function": {"name": f"f{i}"}} for i in range(DEFAULT_LIMITS.max_tools + 1)]},
        "array_above_max_length",
        "tools",
        id="B22-tools",
    ),
    pytest.param({"stop": ["x"] * (DEFAULT_LIMITS.max_stop + 1)}, "array_above_max_length", "stop", id="B26-stop"),
    pytest.param(
        {"tools": [{"function": {"name": "f", "parameters": {"x": LONG}}}]},
        "invalid_function_parameters",
        "tools[0].function.parameters",
        id="B23-schema",
    ),
    pytest.param(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "o", "schema": {"x": LONG}}}},
        "invalid_function_parameters",
        "response_format.json_schema.schema",
        id="B23-format",
    ),
]


@pytest.mark.parametrize(("fields", "code", "param"), LARGE)
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "beside-an-unknown-field"])
def test_what_is_too_much_is_named_by_its_path(fields: dict[str, Any], code: str, param: str, is_known: bool) -> None:
    with pytest.raises(MalformedRequest) as caught:
        native(**fields, **({} if is_known else {"x": 1}))
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": CANARY, "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": CANARY}}]}]},
        {"tool_choice": CANARY},
        {"service_tier": [CANARY]},
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": CANARY}}},
    ],
    ids=["role", "url", "choice", "tier", "named-tool"],
)
def test_no_error_quotes_what_was_sent(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedRequest) as caught:
        native(**fields)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n", "seed", "top_k", "top_logprobs"])
def test_a_whole_float_is_an_integer_B17(name: str) -> None:
    assert native(**{name: 3.0}) == native(**{name: 3})


@pytest.mark.parametrize(
    ("more", "wins"),
    [({"max_tokens": 90}, 50), ({"max_tokens": None}, 50)],
    ids=["both", "null"],
)
def test_max_completion_tokens_stands_before_max_tokens(more: dict[str, Any], wins: int) -> None:
    assert native(max_completion_tokens=50, **more).max_output_tokens == wins


def test_safety_identifier_stands_before_user_which_is_kept() -> None:
    request = native(safety_identifier="s", user="u")
    assert (request.user, as_json(request.extras)) == ("s", {"user": "u"})


def test_results_of_functions_answer_the_latest_call_of_their_name() -> None:
    calls = [{"role": "assistant", "function_call": {"name": name, "arguments": "{}"}} for name in ("f", "g", "f")]
    results = [{"role": "function", "name": name, "content": "r"} for name in ("f", "g")]
    talk = native(messages=[calls[0], results[0], calls[1], results[1], calls[2], results[0]]).messages
    ids = [find(message.content[0], "id" if message.role == "assistant" else "call_id") for message in talk]
    assert ids == ["call_fn_0", "call_fn_0", "call_fn_1", "call_fn_1", "call_fn_2", "call_fn_2"]


SPELLINGS = [
    pytest.param({"reasoning_content": "t"}, [{"text": "t"}], id="reasoning_content"),
    pytest.param({"reasoning": "t"}, [{"text": "t"}], id="reasoning"),
    pytest.param({"reasoning_content": "t", "reasoning": "t"}, [{"text": "t"}], id="both"),
    pytest.param({"reasoning_content": ""}, [{}], id="empty"),
    pytest.param(
        {
            "reasoning": "t",
            "reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "S", "index": 0}],
        },
        [{"text": "t", "signature": "S", "extras": {"index": 0}}],
        id="details",
    ),
    pytest.param(
        {
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "s"},
                {"type": "reasoning.encrypted", "data": "D"},
            ]
        },
        [{"text": "s", "is_summary": True}, {"redacted": "D"}],
        id="summary-and-encrypted",
    ),
    pytest.param(
        {
            "thinking_blocks": [
                {"type": "thinking", "thinking": "t", "signature": "S"},
                {"type": "redacted_thinking", "data": "D"},
            ]
        },
        [{"text": "t", "signature": "S"}, {"redacted": "D"}],
        id="thinking_blocks",
    ),
    pytest.param(
        {"reasoning_content": "t", "reasoning_details": [{"type": "reasoning.encrypted", "data": "D"}]},
        [{"text": "t"}, {"redacted": "D"}],
        id="text-beside-encrypted",
    ),
]


@pytest.mark.parametrize(("fields", "thoughts"), SPELLINGS)
def test_earlier_reasoning_is_read_in_every_spelling_once(fields: dict[str, Any], thoughts: list[Any]) -> None:
    (message,) = native(messages=[{"role": "assistant", "content": "a", **fields}]).messages
    *read, text = as_json(message.content)
    assert text["text"] == "a"
    assert [{name: value for name, value in thought.items() if name not in ("at", "block")} for thought in read] == (
        thoughts
    )


def test_what_changes_the_question_is_required_of_every_upstream() -> None:
    request = native(
        audio={"voice": "alloy", "format": "wav"},
        modalities=["text", "audio"],
        moderation={"model": "m"},
        prediction={"type": "content", "content": "x"},
        response_format={"type": "grammar"},
    )
    assert sorted(request.required_extras) == ["audio", "modalities", "moderation", "response_format"]
    assert native(modalities=["text"]).required_extras == ()


def test_headers_that_shape_the_answer_are_kept_and_no_others() -> None:
    headers = {"openai-beta": "x", "idempotency-key": "k", "authorization": "Bearer s", "user-agent": "u"}
    request = codec.decode_request(call(body(), headers=headers))
    assert request.vendor_headers == {"openai-beta": "x", "idempotency-key": "k"}


def test_a_pair_of_surrogates_is_one_character() -> None:
    (message,) = codec.decode_request(
        call(b'{"model":"m","messages":[{"role":"user","content":"\\ud83d\\ude00"}]}')
    ).messages
    assert message.content == (Text(text="😀", at="messages[0].content"),)
