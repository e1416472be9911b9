"""A request for each row of the table of the face of OpenAI Responses."""

from typing import Any

from .sample import CLOSED, OBJECT, PDF, PNG, TEXT, WAV, Sample, Samples

_TOOL = {"type": "function", "name": "f", "parameters": OBJECT}
_OTHER = {**_TOOL, "name": "g"}
_CUSTOM = {"type": "custom", "name": "c", "description": "d"}
_GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
_ROOM = {"max_output_tokens": 40_000}
_SUMMARY = {"reasoning": {"summary": "auto"}, **_ROOM}
"""Where no summary is asked for, a Notice tells who shows what it thinks all the same."""
_NAMED = {"type": "function", "name": "f"}


def _turn(role: str, content: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **fields}


def _items(*items: Any, **fields: Any) -> Sample:
    return Sample({"input": items, **fields})


def _part(type_: str, **fields: Any) -> Sample:
    return _items(_turn("user", [{"type": "input_text", "text": "x"}, {"type": type_, **fields}]))


def _said(*parts: Any, **fields: Any) -> Sample:
    return _items(_turn("user"), _turn("assistant", list(parts), **fields), _turn("user"))


def _text(text: str = "y", **fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, **fields}


def _call(id_: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id_, "name": "f", "arguments": '{"a":"b"}', **fields}


def _output(said: Any = "r", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "call_1", "output": said, **fields}


def _loop(*items: Any, **fields: Any) -> Sample:
    return _items(_turn("user"), *items, **{"tools": [_TOOL], **fields})


def _between(*items: Any, **fields: Any) -> Sample:
    return _items(_turn("user"), *items, _turn("user"), **fields)


def _search(execution: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a search for tools, and what it found."""
    by = {"call_id": "call_1", "execution": execution}
    return {"type": "tool_search_call", "arguments": {}, **by}, {"type": "tool_search_output", "tools": [_TOOL], **by}


_IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}
_SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
_CUSTOM_LOOP = (
    {"type": "custom_tool_call", "call_id": "call_1", "name": "c", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "call_1", "output": "r"},
)
_ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [_NAMED]}
_SPACE = {"type": "namespace", "name": "n", "description": "d", "tools": [_TOOL]}
_SCHEMA = {"type": "json_schema", "name": "s", "schema": CLOSED, "strict": True}

_INPUT: Samples = {
    ("instructions", "system"): Sample({"instructions": "S"}),
    ("input", "text"): Sample({"input": "hello"}),
    ("input[].role: system, developer", "system"): _items(_turn("developer", "S"), _turn("user")),
    ("input[].role: system, developer", "system.later"): _items(
        _turn("user"), _turn("assistant", [_text()]), _turn("developer", "S"), _turn("user")
    ),
    ("input[].role: user, assistant", "assistant.first"): _items(_turn("assistant", [_text()]), _turn("user")),
    ("input[].role: user, assistant", "assistant.last"): _items(_turn("user"), _turn("assistant", [_text()])),
    ("input[].id, status, phase", "bookkeeping"): _said(_text(), id="msg_1", status="completed", phase="commentary"),
    ("input[].content", "text"): _items(_turn("user", "hello")),
    ("input[].content[].text", "text"): _part("input_text", text="hello"),
    ("input[].content[].text", "text.blank"): _items(_turn("user", [{"type": "input_text", "text": " "}, _IMAGE])),
    ("input[].content[].annotations", "citation"): _said(_text(annotations=[{"type": "file_path"}])),
    ("input[].content[].logprobs", "own"): _said(_text(logprobs=[{"token": "y"}])),
    ("input[].content[].prompt_cache_breakpoint", "cache.mark"): _part(
        "input_text", text="a", prompt_cache_breakpoint={"mode": "explicit"}
    ),
    ("input[].content[].refusal", "refusal"): _said({"type": "refusal", "refusal": "No."}),
    ("input[].content[].image_url", "image.base64"): _part("input_image", image_url=_IMAGE["image_url"]),
    ("input[].content[].image_url", "image.url"): _part("input_image", image_url="https://example.com/a.png"),
    ("input[].content[]: input_image.file_id", "image.file"): _part("input_image", file_id="file_1"),
    ("input[].content[].detail", "image.detail"): _part("input_image", image_url=_IMAGE["image_url"], detail="high"),
    ("input[].content[].file_data", "document.base64"): _part(
        "input_file", file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"
    ),
    ("input[].content[].file_data", "document.plain"): _part(
        "input_file", file_data=f"data:text/plain;base64,{TEXT}", filename="a.txt"
    ),
    ("input[].content[].file_id", "document.file"): _part("input_file", file_id="file_1"),
    ("input[].content[].file_url", "document.url"): _part("input_file", file_url="https://example.com/a.pdf"),
    ("input[].content[].filename", "document.base64"): _part(
        "input_file", file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"
    ),
    ("input[].content[].input_audio", "audio.base64"): _part("input_audio", input_audio={"data": WAV, "format": "wav"}),
    ("input[].content[].audio_url", "audio.url"): _part("input_audio", audio_url="https://example.com/a.wav"),
    ("input[].content[]: any other part", "vendor.other"): _part("x_new", a=1),
    ("input[].content[]: any other field", "own"): _part("input_text", text="a", x_new=1),
    ("input[]: function_call", "call"): _loop(_call(), _output()),
    ("input[].arguments", "call.arguments"): _loop({**_call(), "arguments": "[1]"}, _output()),
    ("input[].namespace", "tool.namespace"): _loop(_call(namespace="n"), _output(), tools=[_SPACE]),
    ("input[].caller", "own"): _loop(_call(caller={"type": "direct"}), _output()),
    ("input[]: function_call_output", "result"): _loop(_call(), _output()),
    ("input[]: function_call_output", "result.image"): _loop(
        _call(), _output([{"type": "input_text", "text": "r"}, _IMAGE])
    ),
    ("input[]: function_call_output", "result.missing"): _loop(_call(), _turn("user")),
    ("input[]: function_call_output", "result.refused"): _loop(_output()),
    ("input[]: custom_tool_call, custom_tool_call_output", "custom.call"): _items(
        _turn("user"), *_CUSTOM_LOOP, tools=[_CUSTOM]
    ),
    ("input[]: reasoning", "reasoning.encrypted"): _between(
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    ),
    ("input[].summary", "reasoning"): _between(
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]}
    ),
    ("input[]: additional_tools", "tool.later"): _between(
        {"type": "additional_tools", "role": "developer", "tools": [_TOOL]}
    ),
    ("input[]: configuration_update", "effort.later"): _between(
        {"type": "configuration_update", "reasoning": {"effort": "low"}}, **_ROOM
    ),
    ("input[]: local_shell_call, shell_call, apply_patch_call, their outputs", "tool.client.call"): _between(
        {"type": "shell_call", "call_id": "call_1", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "call_1", "output": [{"stdout": "a", "stderr": ""}]},
    ),
    ("input[]: tool_search_call, tool_search_output", "tool.client.call"): _between(*_search("client")),
    ("input[]: tool_search_call, tool_search_output", "vendor.required"): _between(*_search("server")),
    ("input[]: web_search_call, other items of tools that the vendor runs", "vendor.text"): _between(_SEARCHED),
    ("input[]: image_generation_call", "image.made"): _between(
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}
    ),
    ("input[]: compaction, compaction_trigger", "vendor.required"): _between(
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    ),
    ("input[]: any other item", "vendor.other"): _between(_turn("assistant", [_text()]), {"type": "x_new"}),
    ("input[]: any other field", "own"): _items(_turn("user", x_new=1)),
}

_TOOLS: Samples = {
    ("tools[]: function", "tool"): Sample({"tools": [_TOOL]}),
    ("tools[].name", "tool.name"): Sample({"tools": [{**_TOOL, "name": "f" * 100}]}),
    ("tools[].strict", "tool.strict"): Sample({"tools": [{**_TOOL, "strict": True, "parameters": CLOSED}]}),
    ("tools[]: custom", "tool.custom"): Sample({"tools": [_CUSTOM]}),
    ("tools[].format", "tool.grammar"): Sample({"tools": [{**_CUSTOM, "format": _GRAMMAR}]}),
    ("tools[]: namespace", "tool.namespace"): Sample({"tools": [_SPACE]}),
    ("tools[]: web_search", "web_search.responses"): Sample({"tools": [{"type": "web_search"}]}),
    ("tools[]: local_shell, shell, apply_patch", "tool.client"): Sample({"tools": [{"type": "local_shell"}]}),
    ("tools[]: tool_search", "tool.client"): Sample({"tools": [{"type": "tool_search", "execution": "client"}]}),
    ("tools[]: tool_search", "tool.search"): Sample({"tools": [_TOOL, {"type": "tool_search"}]}),
    ("tools[].defer_loading", "tool.deferred"): Sample({"tools": [{**_TOOL, "defer_loading": True}]}),
    ("tools[]: any other type", "tool.vendor"): Sample({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}),
    ("tools[]: any other field", "own"): Sample({"tools": [{**_TOOL, "x_new": 1}]}),
    ("tool_choice", "choice.auto"): Sample({"tools": [_TOOL], "tool_choice": "auto"}),
    ("tool_choice", "choice.none"): Sample({"tools": [_TOOL], "tool_choice": "none"}),
    ("tool_choice", "choice.required"): Sample({"tools": [_TOOL], "tool_choice": "required"}),
    ("tool_choice", "choice.named"): Sample({"tools": [_TOOL], "tool_choice": _NAMED}),
    ("tool_choice", "choice.allowed"): Sample({"tools": [_TOOL, _OTHER], "tool_choice": _ALLOWED}),
    ("parallel_tool_calls", "parallel"): Sample({"tools": [_TOOL], "parallel_tool_calls": False}),
    ("max_tool_calls", "own"): Sample({"max_tool_calls": 3}),
}

_SETTINGS: Samples = {
    ("max_output_tokens", "limit"): Sample({"max_output_tokens": 50}),
    ("temperature", "temperature"): Sample({"temperature": 0.5}),
    ("top_p", "top_p"): Sample({"top_p": 0.5}),
    ("frequency_penalty", "frequency_penalty"): Sample({"frequency_penalty": 0.5}),
    ("presence_penalty", "presence_penalty"): Sample({"presence_penalty": 0.5}),
    ("top_logprobs", "top_logprobs"): Sample({"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    ("stop", "stop"): Sample({"stop": ["END"]}),
    ("stop", "stop.many"): Sample({"stop": list("abcdefg")}),
    ("text.format", "format.text"): Sample({"text": {"format": {"type": "text"}}}, is_silent=True),
    ("text.format", "format.object"): Sample({"text": {"format": {"type": "json_object"}}}),
    ("text.format", "format.schema"): Sample({"text": {"format": _SCHEMA}}),
    ("text.verbosity", "verbosity"): Sample({"text": {"verbosity": "low"}}),
    ("text: any other field", "own"): Sample({"text": {"x_new": 1}}),
    ("reasoning.effort", "effort"): Sample({"reasoning": {"effort": "high"}, **_ROOM}, besides=_SUMMARY),
    ("reasoning.effort", "effort.none"): Sample({"reasoning": {"effort": "none"}}, besides=_SUMMARY),
    ("reasoning.summary", "display"): Sample({"reasoning": {"summary": "auto"}, **_ROOM}),
    ("reasoning: any other field", "own"): Sample(
        {"reasoning": {"summary": "auto", "x_new": 1}}, besides={"reasoning": {"summary": "auto"}}
    ),
    ("user", "user"): Sample({"user": "u1"}),
    ("safety_identifier", "user"): Sample({"safety_identifier": "u1"}),
    ("metadata", "metadata"): Sample({"metadata": {"team": "a"}}),
    ("service_tier", "tier"): Sample({"service_tier": "default"}),
    ("service_tier", "tier.other"): Sample({"service_tier": "flex"}),
    ("store", "store"): Sample({"store": True}),
    ("previous_response_id", "previous"): Sample({"previous_response_id": "resp_1"}),
    ("prompt_cache_key", "cache.key"): Sample({"prompt_cache_key": "k"}),
    ("prompt_cache_retention", "cache.retention"): Sample({"prompt_cache_retention": "24h"}),
    ("prompt_cache_options", "cache.options"): Sample({"prompt_cache_options": {"ttl": "30m"}}),
    ("stream", "stream"): Sample({"stream": True}),
    ("stream_options.include_obfuscation", "stream.padding"): Sample(
        {"stream": True, "stream_options": {"include_obfuscation": False}}
    ),
    ("include", "own.idle"): Sample({"include": ["reasoning.encrypted_content"]}, is_silent=True),
    ("client_metadata", "own.idle"): Sample({"client_metadata": {"a": "b"}}),
    ("truncation", "own.usual"): Sample({"truncation": "disabled"}),
    ("truncation", "own"): Sample({"truncation": "auto"}),
    ("background", "own.required"): Sample({"background": True}),
    ("conversation", "own.required"): Sample({"conversation": "conv_1"}),
    ("prompt", "own.required"): Sample({"prompt": {"id": "p"}}),
    ("access_programs", "own"): Sample({"access_programs": {"a": 1}}),
    ("background_options", "own"): Sample({"background_options": {"a": 1}}),
    ("context_management", "own"): Sample({"context_management": [{"type": "compaction"}]}),
    ("image", "own"): Sample({"image": {"context_compression": "x"}}),
    ("moderation", "moderation"): Sample({"moderation": {"a": 1}}),
    ("extra_body.VENDOR", "extra_body"): Sample({"extra_body": {"VENDOR": {"x_new": 1}}}),
    ("any other field", "own"): Sample({"x_new": 1}),
}

SAMPLES: Samples = {**_INPUT, **_TOOLS, **_SETTINGS}
