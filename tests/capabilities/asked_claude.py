"""A request for each row of the table of Anthropic's face."""

from typing import Any

from .sample import CLOSED, OBJECT, PDF, PNG, Sample, Samples

_TOOL = {"name": "f", "input_schema": OBJECT}
_MARK = {"type": "ephemeral"}
_PDF = {"type": "base64", "media_type": "application/pdf", "data": PDF}
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
_ROOM = {"max_tokens": 40_000}


def _turn(role: str, content: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def _talk(*messages: dict[str, Any], **fields: Any) -> Sample:
    return Sample({"messages": messages, **fields})


def _text(text: str = "x", **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def _part(type_: str, **fields: Any) -> Sample:
    return _talk(_turn("user", [{"type": type_, **fields}, _text()]))


def _said(type_: str, **fields: Any) -> Sample:
    return _talk(_turn("user"), _turn("assistant", [{"type": type_, **fields}, _text()]), _turn("user"))


def _image(**source: Any) -> Sample:
    return _part("image", source=source)


def _document(source: dict[str, Any], **fields: Any) -> Sample:
    return _part("document", source=source, **fields)


def _use(id_: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {"a": "b"}, **fields}


def _result(content: Any = "r", id_: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}


def _loop(uses: list[dict[str, Any]], *results: dict[str, Any]) -> Sample:
    return _talk(_turn("user"), _turn("assistant", uses), _turn("user", list(results)), tools=[_TOOL])


def _tool(**fields: Any) -> Sample:
    return Sample({"tools": [{**_TOOL, **fields}]})


def _vendor(type_: str, name: str) -> Sample:
    return Sample({"tools": [{"type": type_, "name": name}]})


def _choice(type_: str, **fields: Any) -> Sample:
    return Sample({"tools": [_TOOL], "tool_choice": {"type": type_, **fields}})


_SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
_FOUND = {"type": "web_search_result", "url": "https://example.com", "title": "t", "encrypted_content": "e"}
_HITS = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [_FOUND]}

_MESSAGES: Samples = {
    ("system", "system"): Sample({"system": "S"}),
    ("system[].cache_control", "cache.mark"): Sample({"system": [_text("S", cache_control=_MARK)]}),
    ("messages[].role: system", "system.later"): _talk(
        _turn("user"), _turn("assistant"), _turn("system", "S"), _turn("user")
    ),
    ("messages[].role: user, assistant", "assistant.first"): _talk(_turn("assistant"), _turn("user")),
    ("messages[].role: user, assistant", "assistant.last"): _talk(_turn("user"), _turn("assistant")),
    ("messages[].output_config", "own"): _talk(_turn("user", output_config={"effort": "low"})),
    ("messages[].clear_at", "own"): _talk(_turn("user", clear_at="x")),
    ("messages[]: any other field", "own"): _talk(_turn("user", x_new=1)),
    ("messages[].content", "text"): _talk(_turn("user", "hello")),
    ("messages[].content", "text.blank"): _talk(_turn("user", [_text(" "), _IMAGE])),
    ("messages[].content", "message.empty"): _talk(_turn("user"), _turn("assistant", []), _turn("user")),
    ("messages[].content[].text", "text"): _part("text", text="hello"),
    ("messages[].content[].citations of a text", "citation"): _said(
        "text",
        text="q",
        citations=[
            {
                "type": "char_location",
                "cited_text": "q",
                "document_index": 0,
                "start_char_index": 0,
                "end_char_index": 1,
            }
        ],
    ),
    ("messages[].content[].cache_control", "cache.mark"): _part("text", text="a", cache_control=_MARK),
    ("messages[].content[]: image", "image.base64"): _talk(_turn("user", [_IMAGE, _text()])),
    ("messages[].content[]: image", "image.url"): _image(type="url", url="https://example.com/a.png"),
    ("messages[].content[]: image", "image.file"): _image(type="file", file_id="file_1"),
    ("messages[].content[]: image", "image.assistant"): _said("image", source=_IMAGE["source"]),
    ("messages[].content[]: document", "document.base64"): _document(_PDF),
    ("messages[].content[]: document", "document.text"): _document(
        {"type": "text", "media_type": "text/plain", "data": "body"}
    ),
    ("messages[].content[]: document", "document.url"): _document({"type": "url", "url": "https://example.com/a.pdf"}),
    ("messages[].content[]: document", "document.file"): _document({"type": "file", "file_id": "file_1"}),
    ("messages[].content[]: document", "document.blocks"): _document({"type": "content", "content": [_text(), _IMAGE]}),
    ("messages[].content[].title", "document.base64"): _document(_PDF, title="a.pdf"),
    ("messages[].content[].context", "document.context"): _document(_PDF, context="c"),
    ("messages[].content[].citations of a document", "document.citations"): _document(
        _PDF, citations={"enabled": True}
    ),
    ("messages[].content[]: thinking", "reasoning.signed"): _said("thinking", thinking="t", signature="c2ln"),
    ("messages[].content[]: thinking", "reasoning"): _said("thinking", thinking="t", signature=""),
    ("messages[].content[]: redacted_thinking", "reasoning.redacted"): _said("redacted_thinking", data="ZGF0YQ=="),
    ("messages[].content[]: tool_use", "call"): _loop([_use()], _result()),
    ("messages[].content[].caller", "own"): _loop([_use(caller={"type": "direct"})], _result()),
    ("messages[].content[].toolset_name", "call"): _loop([_use(toolset_name="t")], _result()),
    ("messages[].content[]: tool_result", "result"): _loop([_use()], _result()),
    ("messages[].content[]: tool_result", "result.image"): _loop([_use()], _result([_text("r"), _IMAGE])),
    ("messages[].content[]: tool_result", "result.missing"): _loop([_use(), _use("call_2")], _result()),
    ("messages[].content[].is_error", "result.error"): _loop([_use()], _result(is_error=True)),
    ("messages[].content[]: tool_reference", "vendor.text"): _loop(
        [_use()], _result([{"type": "tool_reference", "tool_name": "g"}])
    ),
    ("messages[].content[]: search_result", "vendor.text"): _part(
        "search_result", source="https://example.com", title="t", content=[_text()]
    ),
    ("messages[].content[]: server_tool_use, *_tool_result", "vendor.text"): _talk(
        _turn("user"), _turn("assistant", [_SEARCH, _HITS, _text()]), _turn("user")
    ),
    ("messages[].content[]: mcp_tool_use", "vendor.text"): _said(
        "mcp_tool_use", id="mcptoolu_1", name="n", server_name="v", input={}
    ),
    ("messages[].content[]: compaction", "vendor.text"): _said("compaction", content="so far"),
    ("messages[].content[]: compaction", "vendor.required"): _said("compaction", encrypted_content="e"),
    ("messages[].content[]: container_upload, any other block", "vendor.other"): _part("container_upload", file_id="f"),
    ("messages[].content[]: any other field", "own"): _part("text", text="a", x_new=1),
}

_TOOLS: Samples = {
    ("tools[]", "tool"): _tool(description="d"),
    ("tools[].name", "tool.name"): _tool(name="f" * 100),
    ("tools[].strict", "tool.strict"): _tool(strict=True, input_schema=CLOSED),
    ("tools[].cache_control", "cache.mark"): _tool(cache_control=_MARK),
    ("tools[].allowed_callers", "own"): _tool(allowed_callers=["direct"]),
    ("tools[].defer_loading", "tool.deferred"): _tool(defer_loading=True),
    ("tools[].eager_input_streaming", "tool.eager"): _tool(eager_input_streaming=True),
    ("tools[].input_examples", "tool.examples"): _tool(input_examples=[{"a": "b"}]),
    ("tools[]: any other field", "own"): _tool(x_new=1),
    ("tools[]: bash_*, text_editor_*, memory_*, computer_*, browser_*", "tool.client"): _vendor(
        "bash_20250124", "bash"
    ),
    ("tools[]: web_search_*", "web_search.claude"): _vendor("web_search_20250305", "web_search"),
    ("tools[]: tool_search_tool_*", "tool.search"): _vendor(
        "tool_search_tool_regex_20251119", "tool_search_tool_regex"
    ),
    ("tools[]: web_fetch_*, code_execution_*, mcp_toolset, any other type", "tool.vendor"): _vendor(
        "code_execution_20250825", "code_execution"
    ),
    ("tool_choice", "choice.auto"): _choice("auto"),
    ("tool_choice", "choice.none"): _choice("none"),
    ("tool_choice", "choice.required"): _choice("any"),
    ("tool_choice", "choice.named"): _choice("tool", name="f"),
    ("tool_choice.disable_parallel_tool_use", "parallel"): _choice("auto", disable_parallel_tool_use=True),
}

_SETTINGS: Samples = {
    ("max_tokens", "limit"): Sample({"max_tokens": 50}),
    ("max_tokens", "limit.zero"): Sample({"max_tokens": 0}),
    ("temperature", "temperature"): Sample({"temperature": 0.5}),
    ("top_p", "top_p"): Sample({"top_p": 0.5}),
    ("top_k", "top_k"): Sample({"top_k": 3}),
    ("stop_sequences", "stop"): Sample({"stop_sequences": ["END"]}),
    ("stop_sequences", "stop.many"): Sample({"stop_sequences": list("abcdefg")}),
    ("output_config.format", "format.schema"): Sample(
        {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}}
    ),
    ("output_format", "format.schema"): Sample({"output_format": {"type": "json_schema", "schema": CLOSED}}),
    ("output_config.effort", "effort"): Sample({"output_config": {"effort": "high"}, **_ROOM}),
    ("output_config: any other field", "own"): Sample({"output_config": {"task_budget": {"x": 1}}}),
    ("thinking.type", "effort.none"): Sample({"thinking": {"type": "disabled"}}, is_silent=True),
    ("thinking.type", "adaptive"): Sample({"thinking": {"type": "adaptive"}, **_ROOM}),
    ("thinking.budget_tokens", "budget"): Sample({"thinking": {"type": "enabled", "budget_tokens": 2_000}, **_ROOM}),
    ("thinking.display", "display"): Sample({"thinking": {"type": "adaptive", "display": "omitted"}, **_ROOM}),
    ("metadata.user_id", "user"): Sample({"metadata": {"user_id": "u1"}}),
    ("metadata: any other field", "own.idle"): Sample({"metadata": {"x_new": 1}}),
    ("service_tier", "tier"): Sample({"service_tier": "standard_only"}),
    ("speed", "tier.other"): Sample({"speed": "fast"}),
    ("cache_control", "cache.mark"): Sample({"cache_control": _MARK}),
    ("stream", "stream"): Sample({"stream": True}),
    ("container", "own"): Sample({"container": "c"}),
    ("diagnostics", "own.idle"): Sample({"diagnostics": {"a": 1}}),
    ("inference_geo", "own"): Sample({"inference_geo": "eu"}),
    ("user_profile_id", "own.idle"): Sample({"user_profile_id": "u"}),
    ("workspace_id", "own.idle"): Sample({"workspace_id": "w"}),
    ("billing_policy", "own.idle"): Sample({"billing_policy": {"a": 1}}),
    ("compaction", "own"): Sample({"compaction": {"a": 1}}),
    ("context_management", "own"): Sample({"context_management": {"edits": [{"type": "x"}]}}),
    ("fallback_credit_token", "own"): Sample({"fallback_credit_token": "t"}),
    ("safeguards", "own"): Sample({"safeguards": [{"a": 1}]}),
    ("fallbacks", "own.required"): Sample({"fallbacks": [{"model": "m"}]}),
    ("mcp_servers", "own.required"): Sample({"mcp_servers": [{"name": "x"}]}),
    ("thread: create", "own"): Sample({"thread": {"type": "create"}}),
    ("thread: continue", "own.required"): Sample({"thread": {"type": "continue", "previous_message_id": "msg_1"}}),
    ("anthropic-beta", "headers"): Sample(headers={"anthropic-beta": "x-2026-01-01"}),
    ("extra_body.VENDOR", "extra_body"): Sample({"extra_body": {"VENDOR": {"x_new": 1}}}),
    ("any other field", "own"): Sample({"x_new": 1}),
}

SAMPLES: Samples = {**_MESSAGES, **_TOOLS, **_SETTINGS}
