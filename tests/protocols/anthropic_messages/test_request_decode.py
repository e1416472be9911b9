"""What a caller sends is read as it is meant, and what is wrong is named by its path and never quoted."""

from typing import Any

import pytest

from asgi_ds2api.canonical import (
    Base64Source,
    BlocksSource,
    CacheMark,
    FileSource,
    FunctionTool,
    Media,
    Message,
    Opaque,
    Reasoning,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
    VendorTool,
)
from asgi_ds2api.codec import DEFAULT_LIMITS
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import OLD, assistant, body, call, content, native, refusal, user

CANARY = "sk-CANARY-7f3a"


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
        body(tools=[{"name": "f", "input_schema": {"x": "y" * DEFAULT_LIMITS.max_schema_bytes}}]),
        "invalid_value",
        "tools[0].input_schema",
        id="B23-schema-too-large",
    ),
    pytest.param(
        body(output_config={"format": {"type": "json_schema", "schema": {"x": "y" * DEFAULT_LIMITS.max_schema_bytes}}}),
        "invalid_value",
        "output_config.format.schema",
        id="B23-format-too-large",
    ),
    pytest.param(
        body(output_config={"format": {"type": "json_schema", "schema": 5}}),
        "invalid_type",
        "output_config.format.schema",
        id="format-number",
    ),
    pytest.param(body(metadata={"user_id": 5}), "invalid_type", "metadata.user_id", id="user-id"),
    pytest.param(body(cache_control=5), "invalid_type", "cache_control", id="mark-number"),
    pytest.param(
        body(stop_sequences=["x"] * (DEFAULT_LIMITS.max_stop + 1)), "invalid_value", "stop_sequences", id="B26-stop"
    ),
    pytest.param(
        body(tools=[{"name": f"t{i}", "input_schema": {}} for i in range(DEFAULT_LIMITS.max_tools + 1)]),
        "invalid_value",
        "tools",
        id="B22-tools",
    ),
    pytest.param(
        content(*({"type": "text", "text": "x"} for _ in range(DEFAULT_LIMITS.max_parts + 1))),
        "invalid_value",
        "messages[0].content",
        id="parts",
    ),
    pytest.param(
        body(messages=[user("x")] * (DEFAULT_LIMITS.max_messages + 1)), "invalid_value", "messages", id="B24-messages"
    ),
    pytest.param([], "invalid_type", None, id="B16-list"),
    pytest.param(b"{", "invalid_json", None, id="B1-cut"),
]


@pytest.mark.parametrize(("whole", "code", "param"), WRONG)
def test_what_is_wrong_is_named_by_its_path(whole: object, code: str, param: str | None) -> None:
    error = refusal(whole)
    assert (error.status, error.code, error.param) == (400, code, param)


@pytest.mark.parametrize(
    "whole",
    [
        content({"type": "text", "text": [CANARY]}),
        body(messages=[{"role": CANARY, "content": "x"}]),
        body(thinking={"type": "enabled", "budget_tokens": CANARY}),
        body(service_tier=[CANARY]),
    ],
)
def test_no_error_quotes_what_was_sent(whole: object) -> None:
    assert CANARY not in str(refusal(whole))


def test_a_whole_float_is_an_integer_B17() -> None:
    request = native(max_tokens=64.0, top_k=3.0)
    assert (request.max_output_tokens, request.sampling.top_k) == (64, 3)


def test_a_string_and_one_text_block_are_the_same_C06() -> None:
    block = [{"type": "text", "text": "hi"}]
    (short,) = native(messages=[user("hi")]).messages
    (long,) = native(messages=[user(block)]).messages
    assert short == Message(role="user", content=(Text(text="hi", at="messages[0].content"),), at="messages[0]")
    assert long == Message(role="user", content=(Text(text="hi", at="messages[0].content[0]"),), at="messages[0]")


def test_a_count_needs_no_max_tokens() -> None:
    whole = {"model": OLD, "messages": [user("hi")]}
    request = codec.decode_request(call(whole, path="/v1/messages/count_tokens"))
    assert request.max_output_tokens is None


def test_blocks_become_their_canonical_values() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    blocks = [
        {"type": "text", "text": "a", "cache_control": mark},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://x"}},
        {"type": "document", "source": {"type": "file", "file_id": "f1"}, "title": "T", "context": "C"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "p"}},
        {"type": "document", "source": {"type": "content", "content": "q"}, "citations": {"enabled": True}},
    ]
    at = "messages[0].content"
    assert native(messages=[user(blocks)]).messages[0].content == (
        Text(text="a", cache=CacheMark(ttl="1h"), at=f"{at}[0]"),
        Media(kind="image", source=Base64Source(media_type="image/png", data="aGk="), at=f"{at}[1]"),
        Media(kind="image", source=UrlSource(url="https://x"), at=f"{at}[2]"),
        Media(
            kind="document",
            source=FileSource(file_id="f1", protocol="anthropic_messages"),
            name="T",
            context="C",
            at=f"{at}[3]",
        ),
        Media(kind="document", source=TextSource(text="p"), at=f"{at}[4]"),
        Media(
            kind="document",
            source=BlocksSource(blocks=(Text(text="q", at=f"{at}[5].source.content"),)),
            citations_enabled=True,
            at=f"{at}[5]",
        ),
    )


def test_a_round_of_tools_becomes_call_and_result() -> None:
    messages = [
        user("hi"),
        assistant([{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1.50, "ü"]}}]),
        user([{"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}]),
    ]
    _, asked, answered = native(messages=messages).messages
    assert asked.content == (
        ToolCall(id="t1", name="f", arguments='{"a": [1.5, "\\u00fc"]}', at="messages[1].content[0]"),
    )
    assert answered.content == (
        ToolResult(
            call_id="t1",
            blocks=(Text(text="no", at="messages[2].content[0].content"),),
            is_error=True,
            at="messages[2].content[0]",
        ),
    )


def test_native_signatures_name_their_issuer_and_sealed_ones_do_not_C27() -> None:
    blocks = [
        {"type": "thinking", "thinking": "a", "signature": "EqA="},
        {"type": "thinking", "thinking": "b", "signature": "ds2r1.x"},
        {"type": "thinking", "thinking": "c", "signature": ""},
        {"type": "redacted_thinking", "data": "Zm8="},
    ]
    thoughts = native(messages=[user("hi"), assistant(blocks)]).messages[1].content
    at = "messages[1].content"
    assert thoughts == (
        Reasoning(text="a", signature="EqA=", origin="anthropic", at=f"{at}[0]"),
        Reasoning(text="b", signature="ds2r1.x", at=f"{at}[1]"),
        Reasoning(text="c", at=f"{at}[2]"),
        Reasoning(redacted="Zm8=", origin="anthropic", at=f"{at}[3]"),
    )


@pytest.mark.parametrize(
    ("block", "fallback"),
    [
        ({"type": "tool_reference", "tool_name": "g"}, "Tool found: g"),
        (
            {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "x"}]},
            "T\nS\nx",
        ),
        ({"type": "browser_state", "tabs": [1]}, '{"type":"browser_state","tabs":[1]}'),
        (
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            '[web_search {"query":"q"}]',
        ),
        (
            {"type": "mcp_tool_use", "id": "s", "name": "n", "server_name": "srv", "input": {}},
            "[srv.n {}]",
        ),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [{"type": "web_search_result", "url": "U", "title": "T", "encrypted_content": "e"}],
            },
            "T\nU",
        ),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
            },
            "max_uses_exceeded",
        ),
        (
            {
                "type": "web_fetch_tool_result",
                "tool_use_id": "s",
                "content": {
                    "type": "web_fetch_result",
                    "url": "U",
                    "content": {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "D"},
                    },
                },
            },
            "U\nD",
        ),
        (
            {
                "type": "bash_code_execution_tool_result",
                "tool_use_id": "s",
                "content": {"type": "r", "stdout": "out", "stderr": "err", "return_code": 2, "content": []},
            },
            "out\nerr\n(exit code 2)",
        ),
        (
            {
                "type": "code_execution_tool_result",
                "tool_use_id": "s",
                "content": {"type": "encrypted_code_execution_result", "encrypted_stdout": "e"},
            },
            None,
        ),
        (
            {
                "type": "tool_search_tool_result",
                "tool_use_id": "s",
                "content": {"type": "r", "tool_references": [{"type": "tool_reference", "tool_name": "g"}]},
            },
            "Tool found: g",
        ),
        (
            {"type": "mcp_tool_result", "tool_use_id": "s", "content": [{"type": "text", "text": "r"}]},
            "r",
        ),
        ({"type": "bash_code_execution_tool_result", "tool_use_id": "s", "content": "odd"}, None),
        (
            {
                "type": "tool_search_tool_result",
                "tool_use_id": "s",
                "content": {"type": "tool_search_tool_result_error", "error_code": "unavailable"},
            },
            "unavailable",
        ),
        ({"type": "search_result", "title": 5, "content": None}, None),
        ({"type": "compaction", "content": "what was said"}, "what was said"),
        ({"type": "compaction", "encrypted_content": "e"}, None),
        ({"type": "block_of_next_year", "text": "x"}, None),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
def test_what_has_no_canonical_form_is_carried_whole_with_its_plain_text(
    block: dict[str, Any], fallback: str | None
) -> None:
    (opaque,) = native(messages=[user([block])]).messages[0].content
    assert isinstance(opaque, Opaque)
    assert (opaque.type, opaque.fallback) == (block["type"], fallback)
    assert opaque.is_required == (block["type"] == "compaction")


@pytest.mark.parametrize(
    ("type_name", "runs_at"),
    [
        ("bash_20250124", "caller"),
        ("text_editor_20250728", "caller"),
        ("memory_20250818", "caller"),
        ("computer_20250124", "caller"),
        ("computer_toolset_20260801", "caller"),
        ("browser_toolset_20260801", "caller"),
        ("web_search_20260318", "provider"),
        ("tool_search_tool_bm25_20251119", "provider"),
        ("mcp_toolset", "provider"),
        ("tool_of_next_year", "provider"),
    ],
)
def test_who_runs_a_tool_is_told_by_its_type(type_name: str, runs_at: str) -> None:
    (tool,) = native(tools=[{"type": type_name}]).tools
    assert isinstance(tool, VendorTool)
    assert tool.runs_at == runs_at


@pytest.mark.parametrize("type_field", [{}, {"type": None}, {"type": "custom"}], ids=["absent", "null", "custom"])
def test_a_tool_without_a_type_is_a_function(type_field: dict[str, object]) -> None:
    (tool,) = native(tools=[{"name": "f", "input_schema": {"type": "object"}, **type_field}]).tools
    assert isinstance(tool, FunctionTool)
    assert tool.name == "f"


def test_a_choice_without_parallel_calls_C31() -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    request = native(tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert request.tool_choice is not None
    assert (request.tool_choice.mode, request.parallel_tool_calls) == ("required", False)


def test_what_changes_the_question_is_required_of_every_upstream() -> None:
    request = native(mcp_servers=[{"url": "x"}], fallbacks="default", safeguards=[{"type": "x"}])
    assert request.required_extras == ("fallbacks", "mcp_servers")
    assert set(request.extras) == {"mcp_servers", "fallbacks", "safeguards"}
