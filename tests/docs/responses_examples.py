"""What stands for each row of the tables of ``docs/protocols/openai-responses.md``: a request, a caller's answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from asgi_ds2api.auth import ANONYMOUS
from asgi_ds2api.seal import Keyring, Sealed
from tests.conformance.asking import chat_answer
from tests.support.gateways import SECRET

from .asked import Example

Examples = Mapping[str, Sequence[Example]]

_FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
_CUSTOM = {"type": "custom", "name": "c"}
_ASK = {"role": "user", "content": "go"}


def _items(*items: Any, **fields: Any) -> Example:
    return Example({"input": [_ASK, *items], **fields}, "gpt-5")


def _parts(*parts: Any) -> Example:
    return Example({"input": [{"role": "user", "content": list(parts)}]}, "gpt-5")


def _text(text: str = "x", **fields: Any) -> dict[str, Any]:
    return {"type": "input_text", "text": text, **fields}


def _field(name: str, *values: Any) -> list[Example]:
    return [Example({name: value}, "gpt-5") for value in values]


def _call(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", **fields}


def _output(said: Any = "r", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "a", "output": said, **fields}


def _loop(*items: Any, **fields: Any) -> Example:
    return _items(*items, **{"tools": [_FUNCTION], **fields})


def _search(execution: str) -> tuple[dict[str, Any], dict[str, Any]]:
    by = {"call_id": "a", "execution": execution}
    return (
        {"type": "tool_search_call", "arguments": {}, **by},
        {"type": "tool_search_output", "tools": [_FUNCTION], **by},
    )


_PART = {"type": "output_text", "text": "b", "annotations": []}
_SAID: dict[str, Any] = {"type": "message", "role": "assistant", "content": [_PART]}
_NAMED = {"id": "msg_1", "status": "completed", "phase": "commentary"}
_GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
_PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
_SCHEMA = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}
_SPACE = {"type": "namespace", "name": "n", "description": "N.", "tools": [_FUNCTION]}
_SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
_PAINTED = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw0KGgo="}

_SUMMARY = Sealed(kind="compaction", origin="gateway", data="What was said.")
_SEALED = Keyring([SECRET.reveal().encode()]).seal(_SUMMARY, ANONYMOUS.label)

REQUEST: Examples = {
    "input: text": [Example({"input": "x"}, "gpt-5")],
    "instructions": _field("instructions", "Be brief."),
    "message": [_items(_SAID, _ASK), _items({"role": "developer", "content": "R"}, _ASK)],
    "id, status, phase of an item": [_items({**_SAID, **_NAMED}, _ASK)],
    "input_text, output_text": [_parts(_text())],
    "prompt_cache_breakpoint": [_parts(_text(prompt_cache_breakpoint={"mode": "explicit"}))],
    "annotations of a text": [
        _items({**_SAID, "content": [{**_SAID["content"][0], "annotations": [{"type": "file_path"}]}]}, _ASK)
    ],
    "refusal": [_items({**_SAID, "content": [{"type": "refusal", "refusal": "No."}]}, _ASK)],
    "input_image": [_parts(_PICTURE), _parts({"type": "input_image", "file_id": "file_1"})],
    "input_file": [
        _parts({"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}),
        _parts({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
    ],
    "input_audio": [_parts({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}})],
    "any other part": [_parts(_text(), {"type": "x_new"})],
    "function_call, function_call_output": [_loop(_call(), _output()), _loop(_call(), _output([_text(), _PICTURE]))],
    "a call without its output": [_loop(_call(), _ASK)],
    "an output without its call": [_loop(_output())],
    "custom_tool_call, custom_tool_call_output": [
        _items(
            {"type": "custom_tool_call", "call_id": "a", "name": "c", "input": "x"},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "r"},
            tools=[_CUSTOM],
        )
    ],
    "reasoning": [_items({"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}, _ASK)],
    "compaction": [
        _items({"type": "compaction", "encrypted_content": _SEALED}, _ASK),
        _items({"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}),
    ],
    "compaction_trigger": [_items(_ASK, {"type": "compaction_trigger"})],
    "additional_tools": [_items({"type": "additional_tools", "role": "developer", "tools": [_FUNCTION]})],
    "configuration_update": [_items({"type": "configuration_update", "reasoning": {"effort": "low"}})],
    "web_search_call and other items of tools that the vendor runs": [_items(_SEARCHED, _ASK)],
    "local_shell_call, shell_call, apply_patch_call and their outputs": [
        _items(
            {"type": "shell_call", "call_id": "a", "action": {"commands": ["ls"]}},
            {"type": "shell_call_output", "call_id": "a", "output": [{"stdout": "a", "stderr": ""}]},
            _ASK,
        )
    ],
    "tool_search_call, tool_search_output": [_items(*_search("client")), _items(*_search("server"))],
    "image_generation_call": [_items(_PAINTED, _ASK)],
    "any other item": [_items(_SAID, {"type": "x_new"}, _ASK)],
    "tools of type function": [Example({"tools": [{**_FUNCTION, "strict": True}]}, "gpt-5")],
    "tools of type custom": [
        Example({"tools": [{**_CUSTOM, "format": _GRAMMAR}]}, "gpt-5"),
        Example({"tools": [_CUSTOM]}, "gpt-5", "lenient"),
    ],
    "tools of type namespace": [Example({"tools": [_SPACE]}, "gpt-5")],
    "tools of type web_search": [
        Example({"tools": [{"type": "web_search"}]}, "gpt-5-search-api"),
        Example({"tools": [{"type": "web_search"}]}, "gpt-5"),
    ],
    "tools of type local_shell, shell, apply_patch": [Example({"tools": [{"type": "local_shell"}]}, "gpt-5")],
    "tools of type tool_search": [
        Example({"tools": [{"type": "tool_search", "execution": "client"}]}, "gpt-5"),
        Example({"tools": [_FUNCTION, {"type": "tool_search"}]}, "gpt-5"),
    ],
    "tools of any other type": [Example({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "gpt-5")],
    "tool_choice": [
        Example({"tools": [_FUNCTION], "tool_choice": {"type": "function", "name": "f"}}, "gpt-5"),
        Example({"tools": [_FUNCTION], "tool_choice": {"type": "allowed_tools", "mode": "auto",
                 "tools": [{"type": "function", "name": "f"}]}}, "gpt-5"),
        Example({"tools": [_FUNCTION], "tool_choice": {"type": "web_search"}}, "gpt-5"),
        Example({"tool_choice": "required"}, "gpt-5"),
    ],
    "parallel_tool_calls": [Example({"tools": [_FUNCTION], "parallel_tool_calls": False}, "gpt-5")],
    "text": [
        *_field("text", {"format": {"type": "json_object"}}, {"format": _SCHEMA}, {"verbosity": "low"}),
        *_field("text", {"x_new": 1}),
    ],
    "reasoning.effort": _field("reasoning", {"effort": "low", "summary": "auto"}),
    "reasoning.summary": _field("reasoning", {"summary": "auto"}),
    "max_output_tokens": _field("max_output_tokens", 50),
    "temperature, top_p, frequency_penalty, presence_penalty": [
        *_field("temperature", 0.5), *_field("top_p", 0.5), *_field("presence_penalty", 0.5),
        *_field("frequency_penalty", 0.5),
    ],
    "top_logprobs": [Example({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, "gpt-5")],
    "stop": _field("stop", "END"),
    "metadata, user, safety_identifier, service_tier, store": [
        *_field("metadata", {"a": "b"}), *_field("user", "u"), *_field("safety_identifier", "u"),
        *_field("service_tier", "default"), *_field("store", False),
    ],
    "prompt_cache_key, prompt_cache_options, prompt_cache_retention, moderation": [
        *_field("prompt_cache_key", "k"), *_field("prompt_cache_retention", "24h"),
        *_field("prompt_cache_options", {"ttl": "30m"}), *_field("moderation", {"a": 1}),
    ],
    "stream, stream_options": [Example({"stream_options": {"include_obfuscation": False}}, "gpt-5")],
    "previous_response_id": _field("previous_response_id", "resp_1"),
    "background, conversation, prompt": [
        *_field("background", True), *_field("conversation", "conv_1"), *_field("prompt", {"id": "p"}),
    ],
    "include, client_metadata": [
        *_field("include", ["reasoning.encrypted_content"]), *_field("client_metadata", {"a": "b"}),
    ],
    "truncation": _field("truncation", "auto", "disabled"),
    "access_programs, background_options, context_management, image, max_tool_calls, any other field": [
        *_field("image", {"context_compression": "x"}),
        *_field("access_programs", {"a": 1}), *_field("background_options", {"a": 1}),
        *_field("max_tool_calls", 3), *_field("context_management", [{"type": "compaction"}]),
        *_field("x_new", 1),
    ],
    "extra_body": [*_field("extra_body", {"openai": {"x": 1}}, {"other": {}})],
}  # fmt: skip

_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_CITED = {"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "T", "start_index": 0,
                                                  "end_index": 1}}  # fmt: skip


def _answered(*, body: Any = None, finish: str = "stop", top: Any = None, **message: Any) -> Example:
    return Example(body or {}, "gpt-5", answer=chat_answer(message, finish, **(top or {})))


ANSWER: Examples = {
    "content": [_answered(content="x")],
    "annotations": [_answered(annotations=[_CITED])],
    "refusal": [_answered(content=None, refusal="No.")],
    "reasoning_content": [_answered(reasoning_content="Hm.")],
    "tool_calls": [_answered(body={"tools": [_FUNCTION]}, finish="tool_calls", content=None, tool_calls=[_CALL])],
    "images": [_answered(images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}])],
    "audio": [_answered(content=None, audio={"id": "a", "data": "aGk=", "transcript": "x", "expires_at": 1})],
    "usage": [_answered()],
    "any other field": [_answered(top={"system_fingerprint": "fp"})],
}
