"""Versions, Claude Code's own request, and odd blocks: what a caller sends is read as it is meant."""

import json
from typing import Any

import pytest

from asgi_ds2api.canonical import (
    Opaque,
    Text,
    ToolCall,
)
from asgi_ds2api.codec import MAX_PARTS, MAX_SCHEMA_BYTES, MAX_STOP, MAX_TOOLS
from asgi_ds2api.errors import MalformedRequest
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import OLD, assistant, call, native, user

CANARY = "sk-CANARY-7f3a"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": OLD, "max_tokens": 64, "messages": [user("hi")], **fields}


def content(*blocks: object) -> dict[str, Any]:
    return body(messages=[user(list(blocks))])


def refusal(whole: object, headers: dict[str, str] | None = None) -> MalformedRequest:
    with pytest.raises(MalformedRequest) as caught:
        codec.decode_request(call(whole, headers=headers))
    return caught.value


WRONG = [
    pytest.param({"model": OLD, "max_tokens": 1}, "missing_required_parameter", "messages", id="B16-no-messages"),
    pytest.param({"max_tokens": 1, "messages": [user("hi")]}, "missing_required_parameter", "model", id="no-model"),
    pytest.param({"model": OLD, "messages": [user("hi")]}, "missing_required_parameter", "max_tokens", id="C05"),
    pytest.param(body(max_tokens=None), "missing_required_parameter", "max_tokens", id="C05-null"),
    pytest.param(body(max_tokens=True), "invalid_type", "max_tokens", id="B17-bool-for-int"),
    pytest.param(body(max_tokens=1.5), "invalid_type", "max_tokens", id="B17-fraction"),
    pytest.param(body(max_tokens="1"), "invalid_type", "max_tokens", id="B17-text-for-int"),
    pytest.param(body(max_tokens=-1), "invalid_value", "max_tokens", id="B20-negative"),
    pytest.param(body(max_tokens=2**70), "invalid_value", "max_tokens", id="B12-huge"),
    pytest.param(body(temperature="a"), "invalid_type", "temperature", id="B17-text-for-float"),
    pytest.param(body(stream="true"), "invalid_type", "stream", id="B17-text-for-bool"),
    pytest.param(body(messages=[]), "invalid_value", "messages", id="B24-empty"),
    pytest.param(body(messages={}), "invalid_type", "messages", id="B16-messages-object"),
    pytest.param(body(messages=[5]), "invalid_type", "messages[0]", id="B16-message-number"),
    pytest.param(
        body(messages=[{"role": "user"}]), "missing_required_parameter", "messages[0].content", id="no-content"
    ),
    pytest.param(body(messages=[{"content": "x"}]), "missing_required_parameter", "messages[0].role", id="B16-no-role"),
    pytest.param(
        body(messages=[{"role": "tool", "content": "x"}]), "invalid_value", "messages[0].role", id="B19-unknown-role"
    ),
    pytest.param(body(messages=[user(None)]), "invalid_type", "messages[0].content", id="B16-content-null"),
    pytest.param(body(messages=[user([5])]), "invalid_type", "messages[0].content[0]", id="B16-block-number"),
    pytest.param(
        content({"text": "x"}), "missing_required_parameter", "messages[0].content[0].type", id="B16-block-no-type"
    ),
    pytest.param(
        content({"type": "text"}), "missing_required_parameter", "messages[0].content[0].text", id="B16-text-no-text"
    ),
    pytest.param(content({"type": "text", "text": 5}), "invalid_type", "messages[0].content[0].text", id="B16-text"),
    pytest.param(
        content({"type": "text", "text": 5, "new": 1}),
        "invalid_type",
        "messages[0].content[0].text",
        id="B16-slow-path",
    ),
    pytest.param(
        content({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": 5}}),
        "invalid_type",
        "messages[0].content[0].source.data",
        id="B16-image-data",
    ),
    pytest.param(
        content({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": None}]}),
        "invalid_type",
        "messages[0].content[0].content[0].text",
        id="B16-inner-text",
    ),
    pytest.param(
        body(messages=[user("x"), assistant([{"type": "tool_use", "id": "t", "name": "f", "input": "{}"}])]),
        "invalid_type",
        "messages[1].content[0].input",
        id="B16-input-text",
    ),
    pytest.param(body(tools=[{"name": "f"}]), "missing_required_parameter", "tools[0].input_schema", id="no-schema"),
    pytest.param(
        body(tools=[{"name": "f", "input_schema": []}]), "invalid_type", "tools[0].input_schema", id="schema-list"
    ),
    pytest.param(
        body(tools=[{"name": "f", "input_schema": {}}, {"name": "f", "input_schema": {}}]),
        "tool_name_conflict",
        "tools[1].name",
        id="B25-one-name-twice",
    ),
    pytest.param(body(tool_choice={"type": "tool"}), "invalid_value", "tool_choice.name", id="choice-no-name"),
    pytest.param(body(tool_choice={"type": "some"}), "invalid_value", "tool_choice.type", id="choice-unknown"),
    pytest.param(
        body(thinking={"type": "enabled", "budget_tokens": 1.5}), "invalid_type", "thinking.budget_tokens", id="budget"
    ),
    pytest.param(body(output_config={"effort": 5}), "invalid_type", "output_config.effort", id="effort"),
    pytest.param(
        body(output_config={"format": {"type": "json_schema"}}),
        "missing_required_parameter",
        "output_config.format.schema",
        id="format-no-schema",
    ),
    pytest.param(
        body(tools=[{"name": "f", "input_schema": {"x": "y" * MAX_SCHEMA_BYTES}}]),
        "invalid_value",
        "tools[0].input_schema",
        id="B23-schema-too-large",
    ),
    pytest.param(body(metadata={"user_id": 5}), "invalid_type", "metadata.user_id", id="user-id"),
    pytest.param(body(cache_control=5), "invalid_type", "cache_control", id="mark-number"),
    pytest.param(body(stop_sequences=["x"] * (MAX_STOP + 1)), "invalid_value", "stop_sequences", id="B26-stop"),
    pytest.param(
        body(tools=[{"name": f"t{i}", "input_schema": {}} for i in range(MAX_TOOLS + 1)]),
        "invalid_value",
        "tools",
        id="B22-tools",
    ),
    pytest.param(
        content(*({"type": "text", "text": "x"} for _ in range(MAX_PARTS + 1))),
        "invalid_value",
        "messages[0].content",
        id="parts",
    ),
    pytest.param(body(messages=[user("x")] * 20_001), "invalid_value", "messages", id="B24-messages"),
    pytest.param([], "invalid_type", None, id="B16-list"),
    pytest.param(b"{", "invalid_json", None, id="B1-cut"),
]


@pytest.mark.parametrize(
    ("whole", "param"),
    [
        (body(temperature=1.0), "temperature"),
        (body(top_p=0.5), "top_p"),
        (body(top_k=1), "top_k"),
        (
            body(messages=[user("x"), assistant([{"type": "document", "source": {"type": "url", "url": "u"}}])]),
            "messages[1].content[0]",
        ),
        (content({"type": "text", "text": "x", "citations": [{"type": "y"}]}), "messages[0].content[0].citations"),
        (
            content(
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "text", "text": "x", "citations": [{"type": "y"}]}],
                }
            ),
            "messages[0].content[0].content[0].citations",
        ),
        (
            content(
                {
                    "type": "search_result",
                    "source": "s",
                    "title": "t",
                    "citations": {"enabled": True},
                    "content": [{"type": "text", "text": "x", "citations": [{"type": "y"}]}],
                }
            ),
            "messages[0].content[0].content[0].citations",
        ),
    ],
)
def test_the_newest_version_refuses_what_the_vendor_refuses_C35(whole: dict[str, Any], param: str) -> None:
    assert refusal(whole, STRICT).param == param
    lenient = codec.decode_request(call(whole, headers=STRICT), enforces_version=False)
    older = codec.decode_request(call(whole, headers={"anthropic-version": "2023-06-01"}))
    assert lenient.messages == older.messages == codec.decode_request(call(whole)).messages


def test_the_newest_version_takes_what_the_vendor_takes_C35() -> None:
    cited = {"type": "text", "text": "x", "citations": [{"type": "y"}]}
    document = {"type": "document", "source": {"type": "url", "url": "u"}, "citations": {"enabled": True}}
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [document]}
    native(messages=[user([document]), assistant([cited]), user([nested])], headers=STRICT)


def test_an_unknown_version_is_refused() -> None:
    assert "2023-06-01" in refusal(body(), {"anthropic-version": "2024-01-01"}).message


def test_a_payload_of_claude_code_is_read_C30() -> None:
    whole = body(
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        safeguards=[{"type": "x"}],
        tools=[{"name": "Read", "input_schema": {"type": "object"}, "defer_loading": True}],
        messages=[
            user("hi"),
            {"role": "system", "content": "env", "output_config": {"effort": "high"}},
            assistant([{"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {"query": "x"}}]),
            user(
                [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "tool_reference", "tool_name": "Read"}],
                    }
                ]
            ),
        ],
    )
    request = native(whole)
    assert [message.role for message in request.messages] == ["user", "system", "assistant", "user"]
    assert request.required_extras == ()


def test_an_unreadable_number_in_a_block_of_the_vendors_leaves_it_without_text_B11() -> None:
    whole = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"search_result","x":1e999}]}]}'
    (opaque,) = codec.decode_request(call(whole)).messages[0].content
    assert isinstance(opaque, Opaque)
    assert opaque.fallback is None


def test_a_citation_that_cannot_be_read_is_carried_all_the_same() -> None:
    cited = {"type": "text", "text": "x", "citations": [{"type": "y", "url": 5}, {"source": "https://s", "title": "T"}]}
    (text,) = native(messages=[user("q"), assistant([cited])]).messages[1].content
    assert isinstance(text, Text)
    odd, plain = text.citations
    assert (odd.url, bytes(odd.raw)) == (None, b'{"type": "y", "url": 5}')
    assert (plain.url, plain.title) == ("https://s", "T")


@pytest.mark.parametrize("whole", [b"null", b"{}"], ids=["null", "object"])
def test_an_input_may_be_null(whole: bytes) -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": json.loads(whole)}
    (asked,) = native(messages=[user("q"), assistant([use])]).messages[1].content
    assert isinstance(asked, ToolCall)
    assert asked.arguments in ("", "{}")


def test_a_content_that_is_text_is_read_beside_what_is_unknown() -> None:
    """A message of an unknown shape beside one whose content is a string."""
    request = native(messages=[{"role": "user", "content": "hi", "new": 1}])
    assert request.messages[0].content == (Text(text="hi", at="messages[0].content"),)


def test_a_search_result_that_is_odd_has_no_citations_C35() -> None:
    odd = {"type": "search_result", "content": 5}
    assert native(messages=[user([odd])], headers=STRICT).messages[0].content
