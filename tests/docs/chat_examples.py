"""What stands for each row of the tables of ``docs/protocols/openai-chat.md``: a request, a caller's answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from asgi_ds2api.seal import Keyring, Sealed
from tests.conformance.asking import claude_answer

from .asked import ADAPTIVE, NO_SCHEMAS, Example

Examples = Mapping[str, Sequence[Example]]

_KEYRING = Keyring([b"seal-of-the-tests-0123456789"])
_SEALED = _KEYRING.seal(Sealed(kind="signature", origin="anthropic", data="EqQB"), "anonymous")
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
_OTHER = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}
_NAMED = {"type": "function", "function": {"name": "f"}}
_LOOKED = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def _turn(role: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def _talk(*messages: dict[str, Any], model: str = "claude-sonnet-4-5", **fields: Any) -> Example:
    return Example({"messages": messages, **fields}, model)


def _parts(*parts: dict[str, Any]) -> Example:
    return _talk(_turn("user", list(parts)))


def _text(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def _file(**fields: str) -> Example:
    return _parts({"type": "file", "file": fields})


def _calls(*ids: str, arguments: str = "{}") -> dict[str, Any]:
    made = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}} for id_ in ids]
    return _turn("assistant", None, tool_calls=made)


def _loop(*results: dict[str, Any], calling: dict[str, Any] | None = None, **fields: Any) -> Example:
    asking = calling or _calls("a")
    return _talk(_turn("user", "go"), asking, *results, **{"tools": [_TOOL], **fields})


def _result(content: Any = "r", id_: str = "a") -> dict[str, Any]:
    return _turn("tool", content, tool_call_id=id_)


def _schema(schema: dict[str, Any], model: str = "claude-sonnet-4-5") -> Example:
    return Example({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}, model)


def _field(name: str, *values: Any) -> list[Example]:
    return [Example({name: value}) for value in values]


def _thought(**fields: Any) -> Example:
    return _talk(_turn("user", "a"), _turn("assistant", "b", **fields), _turn("user", "c"))


_OPEN = {"type": "object", "properties": {}}
_CLOSED = {**_OPEN, "additionalProperties": False}
_NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
_CUSTOM = {"type": "custom", "custom": {"name": "c"}}
_BREAK = {"mode": "explicit"}
_ROOM = {"max_tokens": 40_000}

REQUEST: Examples = {
    "messages: system, developer at the beginning": [
        _talk(_turn("system", "A"), _turn("user", "x")),
        _talk(_turn("developer", "A"), _turn("user", "x")),
    ],
    "system, developer later": [
        _talk(_turn("user", "x"), _turn("system", "B"), _turn("assistant", "y"), _turn("user", "z"), model=ADAPTIVE),
        _talk(_turn("user", "x"), _turn("system", "B"), _turn("user", "z"), model=ADAPTIVE),
        _talk(_turn("user", "x"), _turn("system", "B"), _turn("user", "z")),
    ],
    "neighbours of one role": [_talk(_turn("user", "x"), _turn("user", "y"))],
    "assistant first": [_talk(_turn("assistant", "x"), _turn("user", "y"))],
    "assistant last": [
        _talk(_turn("user", "x"), _turn("assistant", "y")),
        _talk(_turn("user", "x"), _turn("assistant", "y ")),
        _talk(_turn("user", "x"), _turn("assistant", "y"), model=ADAPTIVE),
    ],
    "blank text": [_parts(_text(" "), _text("a")), _talk(_turn("user", " "))],
    "assistant without content and calls": [_talk(_turn("user", "x"), _turn("assistant", ""), _turn("user", "y"))],
    "image_url": [
        _parts({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}),
        _parts(_LOOKED),
        _parts({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,aGk="}}),
    ],
    "image_url.detail": [
        _parts({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}})
    ],
    "file.file_data, filename": [
        _file(file_data="data:application/pdf;base64,aGk=", filename="a.pdf"),
        _file(file_data="data:text/plain;base64,aGk=", filename="a.txt"),
        _file(file_data="data:application/zip;base64,aGk=", filename="a.zip"),
    ],
    "file.file_id": [_file(file_id="file-1")],
    "document_url": [_parts({"type": "document_url", "document_url": "https://example.com/a.pdf"})],
    "input_audio, audio_url, video_url, audio of a message": [
        _parts({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}),
        _parts({"type": "audio_url", "audio_url": {"url": "https://example.com/a.wav"}}),
        _parts({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}),
        _talk(_turn("user", "a"), _turn("assistant", None, audio={"id": "audio_1"}), _turn("user", "b")),
    ],
    "any other part": [_parts(_text("a"), {"type": "new_part", "x": 1})],
    "tool_calls": [
        _loop(_result()),
        _loop(_result(), calling=_calls("a", arguments="")),
        _loop(_result(), calling=_calls("a", arguments="[1]")),
        _loop(_result(), calling=_calls("a", arguments="{")),
    ],
    "tool_calls[].id": [_loop(_result(id_="a.b"), calling=_calls("a.b"))],
    "role: tool": [
        _loop(_result()),
        _loop(_result(id_="b"), _result(), calling=_calls("a", "b")),
        _loop(_result([_text("see"), _LOOKED])),
        _talk(_turn("user", "x"), _result(), tools=[_TOOL]),
    ],
    "call without a result": [_loop(_result(), calling=_calls("a", "b"))],
    "calls in the history, no tools": [_loop(_result(), tools=[])],
    "refusal": [_talk(_turn("user", "x"), _turn("assistant", None, refusal="no"), _turn("user", "y"))],
    "reasoning_content, reasoning, thinking_blocks, reasoning_details": [
        _thought(reasoning_details=[{"type": "reasoning.text", "text": "t", "signature": _SEALED}]),
        _thought(reasoning_content="t"),
        _thought(reasoning="t"),
        _thought(thinking_blocks=[{"type": "thinking", "thinking": "t", "signature": "EqQB"}]),
    ],
    "name of a message": [_talk(_turn("user", "x", name="bob"))],
    "any other field of a message, a part, a tool": [
        _talk(_turn("user", "x", foo=1)),
        _parts(_text("a", foo=1)),
        Example({"tools": [{**_TOOL, "foo": 1}]}),
    ],
    "prompt_cache_breakpoint, cache_control": [
        _parts(_text("a", prompt_cache_breakpoint=_BREAK)),
        _parts(_text("a", cache_control={"type": "ephemeral"})),
        _parts(_text("a", prompt_cache_breakpoint={**_BREAK, "ttl": "30m"})),
        _parts(*[_text(name, prompt_cache_breakpoint=_BREAK) for name in "abcde"]),
    ],
    "max_completion_tokens, max_tokens": [
        Example(),
        Example({"max_completion_tokens": 50, "max_tokens": 90}),
        Example({"max_tokens": 1_000_000}),
    ],
    "temperature": [
        *_field("temperature", 0.5, 1.7),
        Example({"temperature": 0.5}, ADAPTIVE),
        Example({"temperature": 0.5, "reasoning_effort": "high", **_ROOM}),
    ],
    "top_p": [*_field("top_p", 0.5), Example({"top_p": 0.5, "temperature": 0.5}), Example({"top_p": 0.5}, ADAPTIVE)],
    "top_k": [*_field("top_k", 3), Example({"top_k": 3}, ADAPTIVE)],
    "stop": _field("stop", ["END"], "END", ["\n\n", "END"]),
    "n": _field("n", 1, 2),
    "seed, min_p": [*_field("seed", 1, 0), *_field("min_p", 0.1)],
    "logit_bias, frequency_penalty, presence_penalty, logprobs, top_logprobs": [
        *_field("logit_bias", {"1": 2}, {}),
        *_field("frequency_penalty", 0.5, 0),
        *_field("presence_penalty", 0.5, 0),
        *_field("logprobs", True, False),
        *_field("top_logprobs", 2, 0),
    ],
    "user, safety_identifier": [*_field("user", "u1", "a@example.com", "u" * 300), *_field("safety_identifier", "u1")],
    "metadata": _field("metadata", {"user_id": "u1"}, {"team": "a"}),
    "service_tier": _field("service_tier", "auto", "default", "flex", "priority", "fast"),
    "store, prompt_cache_key, prompt_cache_retention": [
        *_field("store", True, False),
        *_field("prompt_cache_key", "k"),
        *_field("prompt_cache_retention", "24h"),
    ],
    "verbosity": _field("verbosity", "low"),
    "stream, stream_options": [
        Example({"stream_options": {"include_usage": True, "include_obfuscation": False}}),
        Example({"stream_options": {"foo": 1}}),
    ],
    "tools of type function": [
        Example({"tools": [_TOOL]}),
        Example({"tools": [{"type": "function", "function": {"name": "f", "description": "d"}}]}),
        Example({"tools": [{"type": "function", "function": {"name": "a.b"}}]}),
        Example({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"anyOf": []}}}]}),
    ],
    "strict of a function": [
        Example({"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": _CLOSED}}]}),
        Example({"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": _OPEN}}]}),
        Example(
            {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": _OPEN}}]},
            NO_SCHEMAS,
        ),
    ],
    "tools of type custom": [
        Example({"tools": [_CUSTOM]}),
        Example({"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar"}}}]}),
    ],
    "tools of any other type": [Example({"tools": [{"type": "openrouter:web_search"}]})],
    "tool_choice": [
        Example({"tools": [_TOOL], "tool_choice": "auto"}),
        Example({"tools": [_TOOL], "tool_choice": "none"}),
        Example({"tools": [_TOOL], "tool_choice": "required"}),
        Example({"tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        Example({"tools": [_TOOL], "tool_choice": "required"}, ADAPTIVE),
        Example({"tools": [_TOOL], "tool_choice": "required", "reasoning_effort": "high", **_ROOM}),
        Example({"tool_choice": "required"}),
    ],
    "tool_choice of type allowed_tools": [
        Example(
            {
                "tools": [_TOOL, _OTHER],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}},
            }
        )
    ],
    "parallel_tool_calls": [
        Example({"tools": [_TOOL], "parallel_tool_calls": False}),
        Example({"tools": [_TOOL], "parallel_tool_calls": True}),
    ],
    "functions, function_call": [Example({"functions": [_TOOL["function"]], "function_call": {"name": "f"}})],
    "response_format": [
        Example({"response_format": {"type": "text"}}),
        Example({"response_format": {"type": "json_object"}}),
        _schema(_CLOSED),
        _schema(_OPEN),
        _schema(_OPEN, NO_SCHEMAS),
        _schema({"$ref": "#/$defs/node", "$defs": {"node": _NODE}}),
    ],
    "reasoning_effort, reasoning, thinking, enable_thinking, thinking_budget": [
        Example({"reasoning_effort": "none"}),
        Example({"reasoning_effort": "high", **_ROOM}),
        Example({"reasoning_effort": "high", "max_tokens": 500}),
        Example({"reasoning_effort": "high"}, ADAPTIVE),
        Example({"reasoning_effort": "none"}, ADAPTIVE),
        Example({"reasoning_effort": "minimal"}, ADAPTIVE),
        Example({"reasoning_effort": "zany"}, ADAPTIVE),
        Example({"reasoning": {"effort": "high"}, **_ROOM}),
        Example({"reasoning": {"max_tokens": 2_000}, **_ROOM}),
        Example({"thinking": {"type": "enabled", "budget_tokens": 2_000}, **_ROOM}),
        Example({"enable_thinking": True, "thinking_budget": 2_000, **_ROOM}),
        Example({"reasoning": {"effort": "high", "foo": 1}, **_ROOM}),
    ],
    "web_search_options": [
        Example({"web_search_options": {}}),
        Example({"web_search_options": {"search_context_size": "low"}}),
        Example({"web_search_options": {}}, profile={"base": "anthropic", "vendor": "other", "exact": False}),
    ],
    "extra_body": [
        Example({"extra_body": {"anthropic": {"speed": "fast"}}}),
        Example({"extra_body": {"openai": {"x": 1}}}),
        Example({"extra_body": {"anthropic": {"model": "m"}}}),
    ],
    "audio, modalities, moderation": [
        *_field("audio", {"voice": "alloy", "format": "wav"}),
        *_field("modalities", ["text", "audio"], ["text"]),
        *_field("moderation", {"type": "x"}),
    ],
    "include_reasoning": _field("include_reasoning", True),
    "prediction, prompt_cache_options, any other field": [
        *_field("prediction", {"type": "content", "content": "x"}),
        *_field("prompt_cache_options", {"x": 1}),
        *_field("foo", 1),
        *_field("api_base", "https://example.com"),
    ],
}
"""Chat callers, an upstream of Anthropic Messages."""


def _told(*content: dict[str, Any], body: Mapping[str, Any] | None = None, **fields: Any) -> Example:
    return Example(body or {}, answer=claude_answer(content or None, **fields))


_THOUGHT = {"type": "thinking", "thinking": "t", "signature": "EqQB"}
_USE = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
_HIDDEN = {"type": "redacted_thinking", "data": "R"}
_SENT_BACK = _thought(reasoning_details=[{"type": "reasoning.text", "text": "t", "signature": _SEALED}]).body
"""A caller who sends details back is told them."""
_WEB = {"type": "web_search_result_location", "url": "https://example.com", "title": "t", "cited_text": "q"}
_DOC = {"type": "char_location", "cited_text": "q", "document_index": 0}
_SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}

ANSWER: Examples = {
    "text": [_told(), _told(_text("a"), _text("b")), _told(_text("a"), _USE, _text("b"), stop="tool_use")],
    "citations of a text": [_told(_text("a", citations=[_WEB])), _told(_text("a", citations=[_DOC]))],
    "tool_use": [_told(_USE, stop="tool_use")],
    "thinking": [_told(_THOUGHT, _text("a")), _told(_THOUGHT, _text("a"), body=_SENT_BACK)],
    "redacted_thinking": [_told(_HIDDEN, _text("a")), _told(_HIDDEN, _text("a"), body=_SENT_BACK)],
    "blocks of tools that the vendor runs": [_told(_SEARCH, _text("a"))],
    "usage": [_told(usage={"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3})],
    "stop_sequence": [_told(stop="stop_sequence", stop_sequence="END")],
    "any other field": [_told(container={"id": "c"})],
}
"""Chat callers, what Anthropic Messages answered."""
