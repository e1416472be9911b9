"""What stands for each row of the tables of ``docs/protocols/anthropic-messages.md``: a request, a caller's answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.asking import chat_answer

from .asked import Example

Examples = Mapping[str, Sequence[Example]]

_TOOL = {"name": "f", "input_schema": {"type": "object"}}
_CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
_MARK = {"type": "ephemeral"}
_PDF = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
_REPLAYS = {"base": "lenient", "reasoning_replay": "content"}


def _turn(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def _text(text: str = "a", **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def _parts(*blocks: dict[str, Any], profile: Any = None) -> Example:
    return Example({"messages": [_turn("user", [*blocks, _text()])]}, profile=profile)


def _said(*blocks: dict[str, Any], profile: Any = None) -> Example:
    talk = [_turn("user", "x"), _turn("assistant", [*blocks, _text()]), _turn("user", "z")]
    return Example({"messages": talk}, profile=profile)


def _use(id_: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {"a": 1}, **fields}


def _result(id_: str = "a", content: Any = "r", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}


def _loop(*content: dict[str, Any], uses: Sequence[dict[str, Any]] | None = None) -> Example:
    talk = [_turn("user", "x"), _turn("assistant", list(uses or [_use("a")])), _turn("user", list(content))]
    return Example({"messages": talk, "tools": [_TOOL]})


def _document(source: dict[str, Any], **fields: Any) -> Example:
    return _parts({"type": "document", "source": source, **fields})


def _tools(*tools: dict[str, Any]) -> Example:
    return Example({"tools": tools})


def _vendors(*types: str) -> list[Example]:
    return [_tools({"type": type_, "name": type_.rpartition("_")[0]}) for type_ in types]


def _field(name: str, *values: Any) -> list[Example]:
    return [Example({name: value}) for value in values]


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "schema": schema}


REQUEST: Examples = {
    "system": [Example({"system": "A"}), Example({"system": [_text("a"), _text("b")]})],
    "system that begins x-anthropic-billing-header:": [
        Example({"system": [_text("x-anthropic-billing-header: v=1"), _text()]})
    ],
    "messages: role: system": [
        Example({"messages": [_turn("user", "x"), _turn("assistant", "y"), _turn("system", "S"), _turn("user", "z")]})
    ],
    "clear_at, output_config of a message, any other field of one": [
        Example({"messages": [_turn("user", "x"), _turn("system", "S", clear_at="x")]}),
        Example({"messages": [_turn("user", "x", output_config={"effort": "low"})]}),
        Example({"messages": [_turn("user", "x", foo=1)]}),
    ],
    "text": [_parts(), _loop(_result(), uses=[_text(), _use("a"), _text("b")])],
    "citations of a text": [_said(_text("q", citations=[{"type": "char_location", "cited_text": "q"}]))],
    "cache_control": [
        *_field("cache_control", _MARK),
        _parts(_text("b", cache_control=_MARK)),
        Example({"messages": [_turn("user", [_text("b", cache_control=_MARK)])]}, "gpt-5.6"),
        _tools({**_TOOL, "cache_control": _MARK}),
    ],
    "image": [
        _parts(_PICTURE),
        _parts({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
        _parts({"type": "image", "source": {"type": "file", "file_id": "f"}}),
    ],
    "image of an assistant": [_said(_PICTURE)],
    "document": [
        _document(_PDF, title="a.pdf"),
        _document({"type": "text", "media_type": "text/plain", "data": "body"}, title="t", context="c"),
        _document({"type": "content", "content": [_text(), _PICTURE]}),
        _document({"type": "url", "url": "https://example.com/a.pdf"}),
        _document({"type": "file", "file_id": "f"}),
    ],
    "context, citations of a document": [
        _document(_PDF, context="c"),
        _document(_PDF, citations={"enabled": True}),
        _document(_PDF, citations={"enabled": False}),
    ],
    "search_result": [
        _parts({"type": "search_result", "source": "https://example.com", "title": "t", "content": [_text()]}),
    ],
    "blocks of tools that the vendor runs": [
        _said(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s",
                "content": [
                    {"type": "web_search_result", "url": "https://example.com", "title": "t", "encrypted_content": "e"}
                ],
            },
        ),
        _said({"type": "mcp_tool_use", "id": "s", "name": "n", "server_name": "v", "input": {}}),
    ],
    "compaction": [
        _said({"type": "compaction", "content": "so far"}),
        _said({"type": "compaction", "encrypted_content": "e"}),
    ],
    "container_upload, any other block": [
        _parts({"type": "container_upload", "file_id": "f"}),
        _parts({"type": "new_thing", "a": 1}),
    ],
    "thinking, redacted_thinking": [
        _said({"type": "thinking", "thinking": "t", "signature": "S"}),
        _said({"type": "redacted_thinking", "data": "R"}),
        _said({"type": "thinking", "thinking": "t", "signature": "S"}, profile=_REPLAYS),
        _said({"type": "thinking", "thinking": "t", "signature": ""}, profile=_REPLAYS),
    ],
    "tool_use": [_loop(_result()), _loop(_result("a.b"), uses=[_use("a.b")])],
    "caller of a call": [_loop(_result(), uses=[_use("a", caller={"type": "direct"})])],
    "tool_result": [
        _loop(_result()),
        _loop(_result("b"), _result("a"), uses=[_use("a"), _use("b")]),
        _loop(_text(), _result()),
        _loop(_result(content=[_text(), _PICTURE])),
        _loop(_result(content=[{"type": "tool_reference", "tool_name": "g"}])),
    ],
    "call without a result": [_loop(_result("a"), uses=[_use("a"), _use("b")])],
    "is_error": [_loop(_result(is_error=True)), _loop(_result(is_error=False))],
    "max_tokens": [Example(), *_field("max_tokens", 0, ...)],
    "stop_sequences": _field("stop_sequences", ["a"], list("abcde")),
    "temperature, top_p": [*_field("temperature", 0.5), *_field("top_p", 0.5)],
    "top_k": [*_field("top_k", 3), Example({"top_k": 3}, profile="lenient")],
    "tools": [
        _tools({**_TOOL, "type": "custom", "description": "d", "strict": True}),
        _tools({**_TOOL, "input_schema": _CLOSED, "type": "custom", "description": "d", "strict": True}),
        _tools({**_TOOL, "name": "f" * 100}),
    ],
    "defer_loading, input_examples, allowed_callers, eager_input_streaming, any other field of a tool": [
        _tools({**_TOOL, "defer_loading": True}),
        _tools({**_TOOL, "input_examples": [{}]}),
        _tools({**_TOOL, "allowed_callers": ["direct"]}),
        _tools({**_TOOL, "eager_input_streaming": True}),
        _tools({**_TOOL, "foo": 1}),
    ],
    "bash_*, text_editor_*, memory_*, computer_*, computer_toolset_*, browser_toolset_*": _vendors(
        "bash_20250124",
        "text_editor_20250728",
        "memory_20250818",
        "computer_20250124",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
    ),
    "web_search_*": [
        *_vendors("web_search_20250305"),
        Example({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "gpt-5-search-api"),
        Example({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]}, "gpt-5-search-api"),
    ],
    "tool_search_tool_*": _vendors("tool_search_tool_regex_20251119"),
    "web_fetch_*, code_execution_*, mcp_toolset, any other tool": _vendors(
        "web_fetch_20250910", "code_execution_20250825", "mcp_toolset", "new_20270101"
    ),
    "tool_choice": [
        *[Example({"tools": [_TOOL], "tool_choice": {"type": type_}}) for type_ in ("auto", "any", "none")],
        Example({"tools": [_TOOL], "tool_choice": {"type": "tool", "name": "f"}}),
        Example({"tool_choice": {"type": "auto"}}),
        Example({"tool_choice": {"type": "any"}}),
        Example({"tools": [_TOOL], "tool_choice": {"type": "auto", "foo": 1}}),
    ],
    "disable_parallel_tool_use": [
        Example({"tools": [_TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}})
    ],
    "thinking of a request": [
        *_field("thinking", {"type": "adaptive"}, {"type": "disabled"}, {"type": "enabled", "budget_tokens": 5000}),
        *_field("thinking", {"type": "adaptive", "display": "omitted"}, {"type": "between_tools"}, {"type": "new"}),
    ],
    "output_config.effort": [
        Example({"output_config": {"effort": "high"}}),
        Example({"output_config": {"effort": "high"}}, profile={"base": "lenient", "reasoning_in": "none"}),
    ],
    "output_config.format, output_format": [
        Example({"output_config": {"format": _form(_CLOSED)}}),
        Example({"output_config": {"format": _form({"type": "object"})}}),
        *_field("output_format", _form({"type": "object"})),
        Example({"output_format": _form({"type": "object"})}, profile={"base": "lenient", "json_schema": False}),
    ],
    "any other field of output_config": [Example({"output_config": {"task_budget": {"x": 1}}})],
    "metadata": _field("metadata", {"user_id": "u1"}, {"user_id": "u" * 200}, {"foo": 1}),
    "service_tier, speed": [*_field("service_tier", "auto", "standard_only"), *_field("speed", "fast", "standard")],
    "stream": [Example({"stream": True})],
    "extra_body": _field(
        "extra_body", {"openai": {"verbosity": "low"}}, {"anthropic": {"x": 1}}, {"openai": {"model": "m"}}
    ),
    "anthropic-beta, anthropic-version": [
        Example(headers={"anthropic-beta": "x-2026-01-01"}),
        Example(headers={"anthropic-version": "2023-06-01"}),
    ],
    "fallbacks, mcp_servers, thread that goes on": [
        *_field("fallbacks", [{"model": "m"}]),
        *_field("mcp_servers", [{"name": "x"}]),
        *_field("thread", {"type": "continue", "previous_message_id": "msg_1"}),
    ],
    "diagnostics, user_profile_id, workspace_id, billing_policy": [
        *_field("diagnostics", {"a": 1}),
        *_field("user_profile_id", "u"),
        *_field("workspace_id", "w"),
        *_field("billing_policy", {"a": 1}),
    ],
    "container, compaction of a request, context_management, fallback_credit_token, inference_geo, safeguards, "
    "thread that begins, any other field": [
        *_field("container", "c"),
        *_field("compaction", {"a": 1}),
        *_field("context_management", {"edits": []}),
        *_field("fallback_credit_token", "t"),
        *_field("inference_geo", "eu"),
        *_field("safeguards", [{"a": 1}]),
        *_field("thread", {"type": "create"}),
        *_field("foo", 1),
    ],
}
"""Messages callers, an upstream of OpenAI Chat."""


def _told(message: Mapping[str, Any] | None = None, finish: str = "stop", **fields: Any) -> Example:
    return Example(answer=chat_answer(message, finish, **fields))


def _called(arguments: str) -> Example:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return _told({"content": None, "tool_calls": [call]}, "tool_calls")


_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 9,
    "total_tokens": 109,
    "prompt_tokens_details": {"cached_tokens": 80},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
_LINK = {"type": "url_citation", "url_citation": {"url": "https://example.com", "start_index": 0, "end_index": 1}}
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}

ANSWER: Examples = {
    "content": [_told(), _told({"content": ""})],
    "refusal": [_told({"content": None, "refusal": "No."})],
    "reasoning_content, reasoning, reasoning_details": [
        _told({"reasoning_content": "t"}),
        _told({"reasoning": "t"}),
        _told({"reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "S"}]}),
    ],
    "tool_calls": [_called('{"a":1}'), _called(""), _called("[1]")],
    "annotations": [_told({"annotations": [_LINK]})],
    "logprobs": [_told(choices=[{**_CHOICE, "logprobs": {"content": [], "refusal": None}}])],
    "further choices": [_told(choices=[_CHOICE, {**_CHOICE, "index": 1}])],
    "usage": [_told(usage=_USAGE)],
    "service_tier": [_told(service_tier="default")],
    "system_fingerprint": [_told(system_fingerprint="fp")],
    "any other field": [_told(x_groq={"id": "r"}), _told({"audio": {"id": "a"}})],
}
"""Messages callers, what OpenAI Chat answered."""
