"""A request for each row of the table of OpenAI Chat's face."""

from typing import Any

from .sample import CLOSED, MP4, OBJECT, PDF, PNG, TEXT, WAV, ZIP, Sample, Samples

_TOOL = {"type": "function", "function": {"name": "f", "parameters": OBJECT}}
_OTHER = {"type": "function", "function": {"name": "g", "parameters": OBJECT}}
_NAMED = {"type": "function", "function": {"name": "f"}}
_ROOM = {"max_completion_tokens": 40_000}


def _turn(role: str, content: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def _talk(*messages: dict[str, Any], **fields: Any) -> Sample:
    return Sample({"messages": messages, **fields})


def _part(type_: str, value: Any = None, **fields: Any) -> Sample:
    part = {"type": type_, **({} if value is None else {type_: value}), **fields}
    return _talk(_turn("user", [{"type": "text", "text": "x"}, part]))


def _said(**fields: Any) -> Sample:
    return _talk(_turn("user"), _turn("assistant", **{"content": "y", **fields}), _turn("user", "z"))


def _call(arguments: str = '{"a":"b"}', id_: str = "call_1") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}


def _loop(calls: list[dict[str, Any]], *results: dict[str, Any]) -> Sample:
    return _talk(_turn("user"), _turn("assistant", None, tool_calls=calls), *results, tools=[_TOOL])


def _result(content: Any = "r", id_: str = "call_1", **fields: Any) -> dict[str, Any]:
    return _turn("tool", content, tool_call_id=id_, **fields)


def _data(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"


_IMAGE = {"type": "image_url", "image_url": {"url": _data("image/png", PNG)}}
_CUSTOM_CALL = {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "x"}}
_CUSTOM = {"type": "custom", "custom": {"name": "c", "description": "d"}}
_GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
_ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": CLOSED, "strict": True}}
_SIGNED = {"type": "reasoning.text", "text": "t", "signature": "c2ln", "format": "anthropic-claude-v1"}
_HIDDEN = {"type": "reasoning.encrypted", "data": "ZGF0YQ=="}
_MARK = {"type": "ephemeral"}

_MESSAGES: Samples = {
    ("messages[].role: system, developer", "system"): _talk(_turn("developer", "S"), _turn("user")),
    ("messages[].role: system, developer", "system.later"): _talk(
        _turn("user"), _turn("assistant"), _turn("system", "S"), _turn("user")
    ),
    ("messages[].role: user, assistant", "assistant.first"): _talk(_turn("assistant"), _turn("user")),
    ("messages[].role: user, assistant", "assistant.last"): _talk(_turn("user"), _turn("assistant")),
    ("messages[].role: tool, function", "result"): _loop([_call()], _result()),
    ("messages[].role: tool, function", "result.missing"): _loop([_call(), _call(id_="call_2")], _result()),
    ("messages[].role: tool, function", "result.orphan"): _talk(_turn("user"), _result(id_="call_9"), tools=[_TOOL]),
    ("messages[].content", "text"): _talk(_turn("user", "hello")),
    ("messages[].content", "text.blank"): _talk(_turn("user", [{"type": "text", "text": " "}, _IMAGE])),
    ("messages[].content", "message.empty"): _talk(_turn("user"), _turn("assistant", ""), _turn("user")),
    ("messages[].content", "result.image"): _loop([_call()], _result([{"type": "text", "text": "r"}, _IMAGE])),
    ("messages[].name", "message.name"): _talk(_turn("user", name="bob")),
    ("messages[].audio", "audio.earlier"): _said(content=None, audio={"id": "audio_1"}),
    ("messages[].refusal", "refusal"): _said(content=None, refusal="No."),
    ("messages[].tool_calls[]", "call"): _loop([_call()], _result()),
    ("messages[].tool_calls[].function.arguments", "call.arguments"): _loop([_call("[1]")], _result()),
    ("messages[].tool_calls[].custom", "custom.call"): _talk(
        _turn("user"), _turn("assistant", None, tool_calls=[_CUSTOM_CALL]), _result(), tools=[_CUSTOM]
    ),
    ("messages[].tool_calls[].cache_control", "cache.mark"): _loop([{**_call(), "cache_control": _MARK}], _result()),
    ("messages[].function_call", "call"): _talk(
        _turn("user"),
        _turn("assistant", None, function_call={"name": "f", "arguments": "{}"}),
        _turn("function", "r", name="f"),
        functions=[_TOOL["function"]],
    ),
    ("messages[].tool_call_id", "result"): _loop([_call()], _result()),
    ("messages[].reasoning_content", "reasoning"): _said(reasoning_content="t"),
    ("messages[].reasoning", "reasoning"): _said(reasoning="t"),
    ("messages[].reasoning_details[]", "reasoning.signed"): _said(reasoning_details=[_SIGNED]),
    ("messages[].reasoning_details[]", "reasoning.redacted"): _said(reasoning_details=[_HIDDEN]),
    ("messages[].thinking_blocks[]", "reasoning.signed"): _said(
        thinking_blocks=[{"type": "thinking", "thinking": "t", "signature": "c2ln"}]
    ),
    ("messages[]: any other field", "own"): _talk(_turn("user", x_new=1)),
    ("messages[].content[].text", "text"): _part("text", "hello"),
    ("messages[].content[].prompt_cache_breakpoint", "cache.mark"): _part(
        "text", "a", prompt_cache_breakpoint={"mode": "explicit"}
    ),
    ("messages[].content[].cache_control", "cache.mark"): _part("text", "a", cache_control=_MARK),
    ("messages[].content[].annotations", "citation"): _said(
        content=[{"type": "output_text", "text": "y", "annotations": [{"type": "file_path"}]}]
    ),
    ("messages[].content[].image_url", "image.base64"): _part("image_url", {"url": _data("image/png", PNG)}),
    ("messages[].content[].image_url", "image.url"): _part("image_url", {"url": "https://example.com/a.png"}),
    ("messages[].content[].image_url", "image.type"): _part("image_url", {"url": _data("image/bmp", "Qk0=")}),
    ("messages[].content[].image_url.detail", "image.detail"): _part(
        "image_url", {"url": _data("image/png", PNG), "detail": "high"}
    ),
    ("messages[].content[].detail", "image.detail"): _part(
        "image_url", {"url": _data("image/png", PNG)}, detail="high"
    ),
    ("messages[].content[].input_audio", "audio.base64"): _part("input_audio", {"data": WAV, "format": "wav"}),
    ("messages[].content[].audio_url", "audio.url"): _part("audio_url", {"url": "https://example.com/a.wav"}),
    ("messages[].content[].video_url", "video.url"): _part("video_url", {"url": "https://example.com/a.mp4"}),
    ("messages[].content[].video_url", "video.base64"): _part("video_url", {"url": _data("video/mp4", MP4)}),
    ("messages[].content[].file.file_data", "document.base64"): _part(
        "file", {"file_data": _data("application/pdf", PDF), "filename": "a.pdf"}
    ),
    ("messages[].content[].file.file_data", "document.plain"): _part(
        "file", {"file_data": _data("text/plain", TEXT), "filename": "a.txt"}
    ),
    ("messages[].content[].file.file_data", "document.type"): _part(
        "file", {"file_data": _data("application/zip", ZIP), "filename": "a.zip"}
    ),
    ("messages[].content[].file.file_id", "document.file"): _part("file", {"file_id": "file-1"}),
    ("messages[].content[].file.filename", "document.base64"): _part(
        "file", {"file_data": _data("application/pdf", PDF), "filename": "a.pdf"}
    ),
    ("messages[].content[].refusal", "refusal"): _said(content=[{"type": "refusal", "refusal": "No."}]),
    ("messages[].content[].document_url", "document.url"): _part("document_url", "https://example.com/a.pdf"),
    ("messages[].content[].document_name", "document.url"): _part(
        "document_url", "https://example.com/a.pdf", document_name="a"
    ),
    ("messages[].content[]: any other part", "vendor.other"): _part("x_new", {"a": 1}),
    ("messages[].content[]: any other field", "own"): _part("text", "a", x_new=1),
}

_TOOLS: Samples = {
    ("tools[].function", "tool"): Sample({"tools": [_TOOL]}),
    ("tools[].function.name", "tool.name"): Sample({"tools": [{"type": "function", "function": {"name": "f" * 100}}]}),
    ("tools[].function.strict", "tool.strict"): Sample(
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": CLOSED}}]}
    ),
    ("tools[].custom", "tool.custom"): Sample({"tools": [_CUSTOM]}),
    ("tools[].custom.format", "tool.grammar"): Sample(
        {"tools": [{"type": "custom", "custom": {"name": "c", "format": _GRAMMAR}}]}
    ),
    ("tools[].cache_control", "cache.mark"): Sample({"tools": [{**_TOOL, "cache_control": _MARK}]}),
    ("tools[]: any other type", "tool.vendor"): Sample({"tools": [{"type": "x_new:tool"}]}),
    ("tools[]: any other field", "own"): Sample({"tools": [{**_TOOL, "x_new": 1}]}),
    ("tool_choice", "choice.auto"): Sample({"tools": [_TOOL], "tool_choice": "auto"}),
    ("tool_choice", "choice.none"): Sample({"tools": [_TOOL], "tool_choice": "none"}),
    ("tool_choice", "choice.required"): Sample({"tools": [_TOOL], "tool_choice": "required"}),
    ("tool_choice", "choice.named"): Sample({"tools": [_TOOL], "tool_choice": _NAMED}),
    ("tool_choice", "choice.allowed"): Sample({"tools": [_TOOL, _OTHER], "tool_choice": _ALLOWED}),
    ("parallel_tool_calls", "parallel"): Sample({"tools": [_TOOL], "parallel_tool_calls": False}),
    ("functions", "tool"): Sample({"functions": [_TOOL["function"]]}),
    ("function_call", "choice.named"): Sample({"functions": [_TOOL["function"]], "function_call": {"name": "f"}}),
    ("web_search_options", "web_search.chat"): Sample({"web_search_options": {}}),
}

_SETTINGS: Samples = {
    ("max_completion_tokens", "limit"): Sample({"max_completion_tokens": 50}),
    ("max_tokens", "limit"): Sample({"max_tokens": 50}),
    ("temperature", "temperature"): Sample({"temperature": 0.5}),
    ("top_p", "top_p"): Sample({"top_p": 0.5}),
    ("top_k", "top_k"): Sample({"top_k": 3}),
    ("min_p", "min_p"): Sample({"min_p": 0.1}),
    ("seed", "seed"): Sample({"seed": 1}),
    ("frequency_penalty", "frequency_penalty"): Sample({"frequency_penalty": 0.5}),
    ("presence_penalty", "presence_penalty"): Sample({"presence_penalty": 0.5}),
    ("logit_bias", "logit_bias"): Sample({"logit_bias": {"1": 2}}),
    ("logprobs", "logprobs"): Sample({"logprobs": True}),
    ("top_logprobs", "top_logprobs"): Sample({"logprobs": True, "top_logprobs": 2}),
    ("stop", "stop"): Sample({"stop": ["END"]}),
    ("stop", "stop.many"): Sample({"stop": list("abcdefg")}),
    ("n", "answers.one"): Sample({"n": 1}, is_silent=True),
    ("n", "answers.many"): Sample({"n": 2}),
    ("response_format", "format.text"): Sample({"response_format": {"type": "text"}}, is_silent=True),
    ("response_format", "format.object"): Sample({"response_format": {"type": "json_object"}}),
    ("response_format", "format.schema"): Sample({"response_format": _SCHEMA}),
    ("reasoning_effort", "effort"): Sample({"reasoning_effort": "high", **_ROOM}),
    ("reasoning_effort", "effort.none"): Sample({"reasoning_effort": "none"}, is_silent=True),
    ("reasoning.effort", "effort"): Sample({"reasoning": {"effort": "high"}, **_ROOM}),
    ("reasoning.max_tokens", "budget"): Sample({"reasoning": {"max_tokens": 2_000}, **_ROOM}),
    ("reasoning.enabled", "adaptive"): Sample({"reasoning": {"enabled": True}, **_ROOM}),
    ("reasoning.exclude", "display"): Sample({"reasoning": {"enabled": True, "exclude": True}, **_ROOM}),
    ("reasoning.summary", "display"): Sample({"reasoning": {"enabled": True, "summary": "auto"}, **_ROOM}),
    ("thinking.type", "adaptive"): Sample({"thinking": {"type": "enabled"}, **_ROOM}),
    ("thinking.budget_tokens", "budget"): Sample({"thinking": {"type": "enabled", "budget_tokens": 2_000}, **_ROOM}),
    ("enable_thinking", "adaptive"): Sample({"enable_thinking": True, **_ROOM}),
    ("thinking_budget", "budget"): Sample({"enable_thinking": True, "thinking_budget": 2_000, **_ROOM}),
    ("include_reasoning", "own.idle"): Sample({"include_reasoning": True}),
    ("verbosity", "verbosity"): Sample({"verbosity": "low"}),
    ("user", "user"): Sample({"user": "u1"}),
    ("safety_identifier", "user"): Sample({"safety_identifier": "u1"}),
    ("metadata", "metadata"): Sample({"metadata": {"team": "a"}}),
    ("service_tier", "tier"): Sample({"service_tier": "default"}),
    ("service_tier", "tier.other"): Sample({"service_tier": "flex"}),
    ("store", "store"): Sample({"store": True}),
    ("prompt_cache_key", "cache.key"): Sample({"prompt_cache_key": "k"}),
    ("prompt_cache_retention", "cache.retention"): Sample({"prompt_cache_retention": "24h"}),
    ("prompt_cache_options", "cache.options"): Sample({"prompt_cache_options": {"x": 1}}),
    ("stream", "stream"): Sample({"stream": True}),
    ("stream_options.include_usage", "stream.usage"): Sample(
        {"stream": True, "stream_options": {"include_usage": True}}, is_silent=True
    ),
    ("stream_options.include_obfuscation", "stream.padding"): Sample(
        {"stream": True, "stream_options": {"include_obfuscation": False}}
    ),
    ("audio", "own.required"): Sample({"audio": {"voice": "alloy", "format": "wav"}}),
    ("modalities", "modalities.text"): Sample({"modalities": ["text"]}, is_silent=True),
    ("modalities", "modalities"): Sample({"modalities": ["text", "audio"]}),
    ("moderation", "moderation.required"): Sample({"moderation": {"type": "x"}}),
    ("prediction", "own"): Sample({"prediction": {"type": "content", "content": "x"}}),
    ("extra_body.VENDOR", "extra_body"): Sample({"extra_body": {"VENDOR": {"x_new": 1}}}),
    ("any other field", "own"): Sample({"x_new": 1}),
}

SAMPLES: Samples = {**_MESSAGES, **_TOOLS, **_SETTINGS}
