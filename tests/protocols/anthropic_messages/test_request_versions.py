"""Versions, Claude Code's own request, and odd blocks: what a caller sends is read as it is meant."""

import json
from typing import Any

import pytest

from asgi_ds2api.canonical import (
    Opaque,
    Text,
    ToolCall,
)
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import assistant, body, call, content, native, refusal, user

STRICT = {"anthropic-version": "2026-10-21"}


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
