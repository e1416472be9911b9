"""What stands for each row of the tables of ``docs/protocols/ollama.md``: a request, an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.asking import chat_answer

from .asked import Example

Examples = Mapping[str, Sequence[Example]]

PNG = "iVBORw0KGgo="
_WAV = "UklGRgAAAABXQVZF"
_GENERATE = "/api/generate"
_SCHEMA = {"type": "object", "properties": {}}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}
_OTHER = {"type": "function", "function": {"name": "g", "parameters": _SCHEMA}}
_NAMED = {"type": "function", "function": {"name": "f"}}


def _turn(role: str, content: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def _talk(*messages: dict[str, Any], profile: Any = None, **fields: Any) -> Example:
    return Example({"messages": messages, **fields}, profile=profile)


def _prompt(**fields: Any) -> Example:
    return Example({"messages": ..., "prompt": "x", **fields}, path=_GENERATE)


def _field(name: str, *values: Any) -> list[Example]:
    return [Example({name: value}) for value in values]


def _options(profile: Any = None, **options: Any) -> Example:
    return Example({"options": options}, profile=profile)


def _calls(**fields: Any) -> dict[str, Any]:
    return _turn("assistant", tool_calls=[{"function": {"name": "f", "arguments": {}}, **fields}])


_THOUGHT = (_turn("user"), _turn("assistant", thinking="hm"), _turn("user"))

REQUEST: Examples = {
    "messages: system, user, assistant": [_talk(_turn("system"), _turn("user"), _turn("assistant"), _turn("user"))],
    "images of a message": [_talk(_turn("user", images=[PNG])), _talk(_turn("user", images=[_WAV]))],
    "thinking of a message": [_talk(*_THOUGHT, profile="lenient"), _talk(*_THOUGHT)],
    "tool_calls without id": [_talk(_turn("user"), _calls(), _turn("tool"), tools=[_TOOL])],
    "role: tool, tool_name": [
        _talk(_turn("user"), _calls(), _turn("tool", tool_name="f"), tools=[_TOOL]),
        _talk(_turn("user"), _calls(id="c"), _turn("tool", tool_call_id="c"), tools=[_TOOL]),
    ],
    "tool_name of no call": [_talk(_turn("user"), _turn("tool", tool_name="g"))],
    "call without a result": [_talk(_turn("user"), _calls(), _turn("user"), tools=[_TOOL])],
    "tools": [Example({"tools": [_TOOL]})],
    "format": _field("format", "json", _SCHEMA, ""),
    "stream": _field("stream", True, False),
    "think": _field("think", True, False, "high"),
    "options.num_predict": [_options(num_predict=9), _options(num_predict=-1)],
    "options.temperature, top_p, seed, stop, presence_penalty, frequency_penalty": [
        _options(temperature=1, top_p=0.5, seed=1, stop=["x"], presence_penalty=1, frequency_penalty=1)
    ],
    "options.top_k, min_p": [_options("lenient", top_k=1, min_p=0.1), _options(top_k=1), _options(min_p=0.1)],
    "options.num_ctx, num_keep, num_batch, num_gpu, main_gpu, num_thread, use_mmap": [
        _options(**{name: 1})
        for name in ("num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")
    ],
    "any other of the options": [_options(repeat_penalty=1.1), _options(typical_p=0.5), _options(novel=1)],
    "keep_alive, truncate, shift": [
        *_field("keep_alive", "5m", -1, 0),
        *_field("truncate", True),
        *_field("shift", True),
    ],
    "logprobs, top_logprobs": [Example({"logprobs": True, "top_logprobs": 2})],
    "any other field": [*_field("novel", 1), _talk(_turn("user", novel=1))],
    "prompt, system, images": [_prompt(system="x", images=[PNG]), _prompt()],
    "template, raw, context": [_prompt(template="x"), _prompt(raw=True), _prompt(context=[1])],
    "suffix": [_prompt(suffix="x")],
}


def _parts(*parts: dict[str, Any]) -> Example:
    return _talk(_turn("user", list(parts)))


def _image(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def _called(arguments: str) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return _turn("assistant", None, tool_calls=[call])


def _round(arguments: str) -> Example:
    return _talk(_turn("user"), _called(arguments), _turn("tool", tool_call_id="c"), tools=[_TOOL])


_DATA = f"data:image/png;base64,iVBORw0KGgoAAAA{PNG}"
_STRICT = {"type": "function", "function": {**_TOOL["function"], "strict": True}}  # type: ignore[dict-item]  # a dict
_ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}}
_WANTED = {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}

FROM_CHAT: Examples = {
    "system, developer": [_talk(_turn("system"), _turn("user")), _talk(_turn("developer"), _turn("user"))],
    "image_url as data": [_parts(_image(f"data:image/png;base64,{PNG}"))],
    "image_url by URL, files, recordings, films": [
        _parts(_image("https://example.com/a.png")),
        _parts({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}}),
        _parts({"type": "input_audio", "input_audio": {"data": _WAV, "format": "wav"}}),
        _parts({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,aGk="}}),
    ],
    "image_url.detail, cache marks": [
        _parts(_image(f"data:image/png;base64,{PNG}", detail="high")),
        _parts({"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}),
    ],
    "tool_calls": [_round('{"a":1}'), _round(""), _round("[1]"), _round("{")],
    "role: tool": [_round("{}")],
    "reasoning_content": [_talk(_turn("user"), _turn("assistant", reasoning_content="hm"), _turn("user"))],
    "tools": [Example({"tools": [_TOOL]}), Example({"tools": [_STRICT]})],
    "tools of type custom": [Example({"tools": [{"type": "custom", "custom": {"name": "c"}}]})],
    "tool_choice": [
        Example({"tools": [_TOOL, _OTHER], "tool_choice": choice})
        for choice in ("auto", "none", "required", _NAMED, _ALLOWED)
    ],
    "response_format": _field("response_format", {"type": "text"}, {"type": "json_object"}, _WANTED),
    "reasoning_effort": _field("reasoning_effort", "none", "low", "high", "minimal", "xhigh"),
    "max_completion_tokens, max_tokens": [*_field("max_completion_tokens", 9), *_field("max_tokens", 9)],
    "temperature, top_p, top_k, min_p, seed, stop, frequency_penalty, presence_penalty": [
        Example({"temperature": 1, "top_p": 0.5, "top_k": 1, "min_p": 0.1, "seed": 1, "stop": "x"}),
        Example({"frequency_penalty": 1, "presence_penalty": 1}),
    ],
    "logprobs, top_logprobs": [Example({"logprobs": True, "top_logprobs": 2})],
    "n": _field("n", 1, 2),
    "logit_bias, verbosity, any other field": [
        *_field("logit_bias", {"1": 1}),
        *_field("verbosity", "low"),
        *_field("novel", 1),
    ],
    "parallel_tool_calls": [Example({"tools": [_TOOL], "parallel_tool_calls": is_so}) for is_so in (True, False)],
    "user, metadata, service_tier, store, prompt_cache_key": [
        *_field("user", "u"),
        *_field("metadata", {"a": "b"}),
        *_field("service_tier", "default"),
        *_field("store", True),
        *_field("prompt_cache_key", "k"),
    ],
    "extra_body.ollama": _field("extra_body", {"ollama": {"options": {"num_ctx": 9}, "keep_alive": 5}}),
}


def _answer(finish: str = "stop", *, streamed: bool = False, top: Any = None, **message: Any) -> Example:
    return Example({"stream": streamed}, answer=chat_answer(message, finish, **(top or {})), profile="lenient")


_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_CITED = {"type": "url_citation", "url_citation": {"url": "https://x", "title": "", "start_index": 0, "end_index": 1}}
_SIGNED = {"type": "reasoning.text", "text": "hm", "signature": "s"}

ANSWER: Examples = {
    "content": [_answer(), _answer(streamed=True)],
    "reasoning_content": [_answer(reasoning_content="hm"), _answer(reasoning_content="hm", streamed=True)],
    "reasoning_details with signatures": [_answer(reasoning_details=[_SIGNED])],
    "refusal": [_answer(refusal="no", content=None)],
    "tool_calls": [_answer("tool_calls", tool_calls=[_CALL]), _answer("tool_calls", tool_calls=[_CALL], streamed=True)],
    "annotations, images, audio of a message": [
        _answer(annotations=[_CITED]),
        _answer(images=[_image(_DATA)]),
        _answer(audio={"id": "a", "data": "aGk=", "transcript": "hi", "expires_at": 1}),
    ],
    "usage": [_answer()],
    "any other field": [_answer(top={"system_fingerprint": "fp"}), _answer(novel=1)],
}
