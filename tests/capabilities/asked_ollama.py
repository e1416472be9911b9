"""A request for each row of the table of Ollama's face."""

from typing import Any

from .sample import CLOSED, OBJECT, PNG, WAV, Sample, Samples

_TOOL = {"type": "function", "function": {"name": "f", "parameters": OBJECT}}
_GENERATE = "/api/generate"


def _turn(role: str, content: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def _talk(*messages: dict[str, Any], **fields: Any) -> Sample:
    return Sample({"messages": messages, **fields})


def _prompt(**fields: Any) -> Sample:
    return Sample({"messages": ..., "prompt": "x", **fields}, path=_GENERATE)


def _set(**options: Any) -> Sample:
    return Sample({"options": options})


def _calls(arguments: Any = None) -> dict[str, Any]:
    call = {"id": "call_1", "function": {"name": "f", "arguments": arguments or {"a": "b"}}}
    return _turn("assistant", "", tool_calls=[call])


def _loop(*turns: dict[str, Any]) -> Sample:
    return _talk(_turn("user"), *turns, tools=[_TOOL])


_RESULT = _turn("tool", "r", tool_name="f", tool_call_id="call_1")

_MESSAGES: Samples = {
    ("messages[].role: system", "system"): _talk(_turn("system", "S"), _turn("user")),
    ("messages[].role: system", "system.later"): _talk(
        _turn("user"), _turn("assistant"), _turn("system", "S"), _turn("user")
    ),
    ("messages[].role: user, assistant", "assistant.first"): _talk(_turn("assistant"), _turn("user")),
    ("messages[].role: user, assistant", "assistant.last"): _talk(_turn("user"), _turn("assistant")),
    ("messages[].role: tool", "result"): _loop(_calls(), _RESULT),
    ("messages[].role: tool", "result.missing"): _loop(_calls(), _turn("user")),
    ("messages[].role: tool", "result.orphan"): _loop(_turn("tool", "r", tool_name="g")),
    ("messages[].content", "text"): _talk(_turn("user", "hello")),
    ("messages[].content", "message.empty"): _talk(_turn("user"), _turn("assistant", ""), _turn("user")),
    ("messages[].images", "image.base64"): _talk(_turn("user", images=[PNG])),
    ("messages[].images", "audio.base64"): _talk(_turn("user", images=[WAV])),
    ("messages[].thinking", "reasoning"): _talk(_turn("user"), _turn("assistant", thinking="t"), _turn("user")),
    ("messages[].tool_calls", "call"): _loop(_calls(), _RESULT),
    ("messages[].tool_name", "result"): _loop(_calls(), _turn("tool", "r", tool_name="f")),
    ("messages[].tool_call_id", "result"): _loop(_calls(), _turn("tool", "r", tool_call_id="call_1")),
    ("messages[]: any other field", "own"): _talk(_turn("user", x_new=1)),
    ("prompt", "text"): _prompt(prompt="hello"),
    ("system", "system"): _prompt(system="S"),
    ("images", "image.base64"): _prompt(images=[PNG]),
    ("suffix", "own.required"): _prompt(suffix="x"),
    ("template", "own"): _prompt(template="x"),
    ("context", "own"): _prompt(context=[1]),
    ("raw", "own"): _prompt(raw=True),
}

_SETTINGS: Samples = {
    ("tools[]", "tool"): Sample({"tools": [_TOOL]}),
    ("tools[].function.name", "tool.name"): Sample({"tools": [{"type": "function", "function": {"name": "f" * 100}}]}),
    ("tools[]: any other field", "own"): Sample({"tools": [{**_TOOL, "x_new": 1}]}),
    ("format", "format.object"): Sample({"format": "json"}),
    ("format", "format.schema"): Sample({"format": CLOSED}),
    ("think", "adaptive"): Sample({"think": True, "options": {"num_predict": 40_000}}),
    ("think", "effort"): Sample({"think": "high", "options": {"num_predict": 40_000}}),
    ("think", "effort.none"): Sample({"think": False}, is_silent=True),
    ("logprobs", "logprobs"): Sample({"logprobs": True}),
    ("top_logprobs", "top_logprobs"): Sample({"logprobs": True, "top_logprobs": 2}),
    ("options.num_predict", "limit"): _set(num_predict=50),
    ("options.temperature", "temperature"): _set(temperature=0.5),
    ("options.top_p", "top_p"): _set(top_p=0.5),
    ("options.top_k", "top_k"): _set(top_k=3),
    ("options.min_p", "min_p"): _set(min_p=0.1),
    ("options.seed", "seed"): _set(seed=1),
    ("options.stop", "stop"): _set(stop=["END"]),
    ("options.stop", "stop.many"): _set(stop=list("abcdefg")),
    ("options.presence_penalty", "presence_penalty"): _set(presence_penalty=0.5),
    ("options.frequency_penalty", "frequency_penalty"): _set(frequency_penalty=0.5),
    ("options.num_ctx, num_keep, num_batch, num_gpu, main_gpu, num_thread, use_mmap", "own.idle"): _set(num_ctx=9),
    ("options: any other", "own"): _set(repeat_penalty=1.1),
    ("keep_alive", "own.idle"): Sample({"keep_alive": "5m"}),
    ("truncate", "own.idle"): Sample({"truncate": True}),
    ("shift", "own.idle"): Sample({"shift": True}),
    ("stream", "stream"): Sample({"stream": True}),
    ("any other field", "own"): Sample({"x_new": 1}),
}

SAMPLES: Samples = {**_MESSAGES, **_SETTINGS}
