"""An answer for each row of the tables of what upstreams answer."""

from collections.abc import Mapping
from typing import Any

from asgi_ds2api.meanings import Telling
from tests.conformance.asking import (
    called_item,
    chat_answer,
    claude_answer,
    ollama_answer,
    response_answer,
    said_item,
)
from tests.support.scripted_client import answering

from .sample import PNG, WAV, Sample
from .trying import TIMES

Answers = Mapping[tuple[str, Telling], Sample]
"""(Field, what it means) -> an answer that holds it."""

_PICTURE = f"data:image/png;base64,{PNG}"


def _anyway(sample: Sample) -> Sample:
    """Return an answer that says what a caller is told in any case."""
    return Sample(answer=sample.answer, is_silent=True)


# --- OpenAI Chat ------------------------------------------------------------------------------------------------------


def _chat(message: Mapping[str, Any] | None = None, finish: str = "stop", **fields: Any) -> Sample:
    return Sample(answer=chat_answer(message, finish, **fields))


def _chat_call(arguments: str = '{"a":"b"}') -> Sample:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return _chat({"content": None, "tool_calls": [call]}, "tool_calls")


def _chat_usage(**usage: Any) -> Sample:
    return _chat(usage={"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16, **usage})


_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
_PAGE = {"url": "https://example.com", "title": "t", "start_index": 0, "end_index": 5}
_TOKEN = {"token": "Hello", "logprob": -0.1, "bytes": [72], "top_logprobs": []}
_CUSTOM = {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "x"}}
_SIGNED = {"type": "reasoning.text", "text": "t", "signature": "c2ln"}

CHAT: Answers = {
    ("choices[].message.content", "text"): _chat({"content": "other"}),
    ("choices[].message.reasoning_content, reasoning", "reasoning"): _chat({"reasoning_content": "t"}),
    ("choices[].message.reasoning_details[]", "reasoning.signed"): _chat({"reasoning_details": [_SIGNED]}),
    ("choices[].message.refusal", "refusal"): _chat({"content": None, "refusal": "No."}),
    ("choices[].message.tool_calls[]", "call"): _chat_call(),
    ("choices[].message.tool_calls[].function.arguments", "call.arguments"): _chat_call("[1]"),
    ("choices[].message.tool_calls[].custom", "call.custom"): _chat(
        {"content": None, "tool_calls": [_CUSTOM]}, "tool_calls"
    ),
    ("choices[].message.annotations[]", "citation.web"): _chat(
        {"annotations": [{"type": "url_citation", "url_citation": _PAGE}]}
    ),
    ("choices[].message.images[]", "image"): _chat({"images": [{"type": "image_url", "image_url": {"url": _PICTURE}}]}),
    ("choices[].message.audio", "audio"): _chat(
        {"content": None, "audio": {"id": "a", "data": WAV, "transcript": "x", "expires_at": 1}}
    ),
    ("choices[].message: any other field", "own"): _chat({"x_new": 1}),
    ("choices[].logprobs", "logprobs"): _chat(
        choices=[{**_CHOICE, "logprobs": {"content": [_TOKEN], "refusal": None}}]
    ),
    ("choices[]", "choices"): _chat(choices=[_CHOICE, {**_CHOICE, "index": 1}]),
    ("choices[].finish_reason: stop", "end.stop"): _anyway(_chat(finish="stop")),
    ("choices[].finish_reason: length", "end.length"): _chat(finish="length"),
    ("choices[].finish_reason: tool_calls", "end.calls"): _chat_call(),
    ("choices[].finish_reason: content_filter", "end.filter"): _chat(finish="content_filter"),
    ("choices[].finish_reason: any other word", "end.other"): _anyway(_chat(finish="x_new")),
    ("usage.prompt_tokens, completion_tokens", "usage"): _chat_usage(),
    ("usage.prompt_tokens_details.cached_tokens", "usage.cached"): _chat_usage(
        prompt_tokens_details={"cached_tokens": 4}
    ),
    ("usage.completion_tokens_details.reasoning_tokens", "usage.reasoning"): _chat_usage(
        completion_tokens_details={"reasoning_tokens": 3}
    ),
    ("service_tier", "tier"): _chat(service_tier="flex"),
    ("system_fingerprint", "own.idle"): _chat(system_fingerprint="fp"),
    ("any other field", "own"): _chat(x_new=1),
}

# --- OpenAI Responses -------------------------------------------------------------------------------------------------


def _responses(*output: Any, **fields: Any) -> Sample:
    return Sample(answer=response_answer(list(output) or None, **fields))


def _said(**part: Any) -> Sample:
    item = said_item("Hello")
    item["content"][0].update(part)
    return _responses(item)


def _responses_usage(**usage: Any) -> Sample:
    whole: dict[str, Any] = {"input_tokens": 9, "output_tokens": 7, "total_tokens": 16,
                             "input_tokens_details": {"cached_tokens": 0},
                             "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return _responses(usage={**whole, **usage})


_SUMMARY = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]}
_SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
_REFUSED = {**said_item("x"), "content": [{"type": "refusal", "refusal": "No."}]}
_CUSTOM_ITEM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "c", "input": "x",
                "status": "completed"}  # fmt: skip

RESPONSES: Answers = {
    ("output[]: message", "text"): _responses(said_item("other")),
    ("output[]: message behind a call", "text.behind"): _responses(
        called_item("call_1", "f", "{}"), said_item("other")
    ),
    ("output[]: reasoning", "reasoning"): _responses(_SUMMARY, said_item("Hello")),
    ("output[].encrypted_content", "reasoning.signed"): _responses(
        {**_SUMMARY, "encrypted_content": "gAAA"}, said_item("Hello")
    ),
    ("output[].content[].refusal", "refusal"): _responses(_REFUSED),
    ("output[]: function_call", "call"): _responses(called_item("call_1", "f", '{"a":"b"}')),
    ("output[].arguments", "call.arguments"): _responses(called_item("call_1", "f", "[1]")),
    ("output[]: custom_tool_call", "call.custom"): _responses(_CUSTOM_ITEM),
    ("output[].content[].annotations[]: url_citation", "citation.web"): _said(
        annotations=[{"type": "url_citation", **_PAGE}]
    ),
    ("output[].content[].annotations[]: any other", "citation.document"): _said(
        annotations=[{"type": "file_citation", "file_id": "f", "index": 0, "filename": "a"}]
    ),
    ("output[].content[].logprobs", "logprobs"): _said(logprobs=[_TOKEN]),
    ("output[]: image_generation_call", "image.generated"): _responses(
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}
    ),
    ("output[]: items of tools that the vendor runs", "vendor.run"): _responses(_SEARCH, said_item("Hello")),
    ("output[]: any other item", "vendor.run"): _responses({"type": "x_new", "id": "x"}, said_item("Hello")),
    ("status: completed", "end.stop"): _anyway(_responses()),
    ("incomplete_details.reason: max_output_tokens", "end.length"): _responses(
        status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    ),
    ("incomplete_details.reason: content_filter", "end.filter"): _responses(
        status="incomplete", incomplete_details={"reason": "content_filter"}
    ),
    ("incomplete_details.reason: any other word", "end.other"): _anyway(
        _responses(status="incomplete", incomplete_details={"reason": "x_new"})
    ),
    ("usage.input_tokens, output_tokens", "usage"): _responses_usage(),
    ("usage.input_tokens_details.cached_tokens", "usage.cached"): _responses_usage(
        input_tokens_details={"cached_tokens": 4}
    ),
    ("usage.output_tokens_details.reasoning_tokens", "usage.reasoning"): _responses_usage(
        output_tokens_details={"reasoning_tokens": 3}
    ),
    ("service_tier", "tier"): _responses(service_tier="flex"),
    ("any other field", "own"): _responses(x_new=1),
}

# --- Anthropic Messages -----------------------------------------------------------------------------------------------


def _claude(*content: Any, stop: str = "end_turn", **fields: Any) -> Sample:
    return Sample(answer=claude_answer(list(content) or None, stop, **fields))


def _claude_usage(**usage: Any) -> Sample:
    return _claude(usage={"input_tokens": 9, "output_tokens": 7, **usage})


_HELLO = {"type": "text", "text": "Hello"}
_USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}}
_WEB = {"type": "web_search_result_location", "url": "https://example.com", "title": "t", "cited_text": "H",
        "encrypted_index": "e"}  # fmt: skip
_DOC = {"type": "char_location", "cited_text": "q", "document_index": 0, "document_title": "t",
        "start_char_index": 0, "end_char_index": 1}  # fmt: skip
_RUN = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {"code": "1"}}
_SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_2", "name": "web_search", "input": {"query": "q"}}
_FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_2", "content": [
    {"type": "web_search_result", "url": "https://example.com", "title": "T", "encrypted_content": "E=="}
]}  # fmt: skip

CLAUDE: Answers = {
    ("content[].text", "text"): _claude({"type": "text", "text": "other"}),
    ("content[].text behind a call", "text.behind"): _claude(_USE, {"type": "text", "text": "b"}, stop="tool_use"),
    ("content[].citations[]: web_search_result_location", "citation.web"): _claude({**_HELLO, "citations": [_WEB]}),
    ("content[].citations[]: any other", "citation.document"): _claude({**_HELLO, "citations": [_DOC]}),
    ("content[]: thinking", "reasoning.signed"): _claude(
        {"type": "thinking", "thinking": "t", "signature": "c2ln"}, _HELLO
    ),
    ("content[]: redacted_thinking", "reasoning.redacted"): _claude(
        {"type": "redacted_thinking", "data": "ZGF0YQ=="}, _HELLO
    ),
    ("content[]: tool_use", "call"): _claude(_USE, stop="tool_use"),
    ("content[]: server_tool_use of web_search, web_search_tool_result", "vendor.search"): _claude(
        _SEARCHED, _FOUND, _HELLO
    ),
    ("content[]: server_tool_use, *_tool_result, any other block", "vendor.run"): _claude(_RUN, _HELLO),
    ("stop_reason: end_turn", "end.stop"): _anyway(_claude()),
    ("stop_reason: stop_sequence", "end.stop_sequence"): _claude(stop="stop_sequence", stop_sequence="END"),
    ("stop_reason: max_tokens", "end.length"): _claude(stop="max_tokens"),
    ("stop_reason: model_context_window_exceeded", "end.length"): _claude(stop="model_context_window_exceeded"),
    ("stop_reason: tool_use", "end.calls"): _claude(_USE, stop="tool_use"),
    ("stop_reason: refusal", "end.filter"): _claude(stop="refusal"),
    ("stop_reason: pause_turn", "end.pause"): _anyway(_claude(stop="pause_turn")),
    ("stop_reason: compaction", "end.compaction"): _claude(stop="compaction"),
    ("stop_reason: any other word", "end.other"): _anyway(_claude(stop="x_new")),
    ("usage.input_tokens, output_tokens", "usage"): _claude_usage(),
    ("usage.cache_read_input_tokens, cache_creation_input_tokens", "usage.cached"): _claude_usage(
        cache_read_input_tokens=4
    ),
    ("usage.output_tokens_details.thinking_tokens", "usage.reasoning"): _claude_usage(
        output_tokens_details={"thinking_tokens": 3}
    ),
    ("usage.service_tier", "tier"): _claude_usage(service_tier="standard"),
    ("any other field", "own"): _claude(container={"id": "c"}),
}

# --- Gemini -----------------------------------------------------------------------------------------------------------


def _gemini(*parts: Any, finish: str = "STOP", candidate: Any = None, **fields: Any) -> Sample:
    content = {"role": "model", "parts": list(parts) or [{"text": "Hello"}]}
    whole = {"content": content, "finishReason": finish, "index": 0, **(candidate or {})}
    return Sample(answer=answering({"candidates": [whole], "usageMetadata": {}, **fields}))


def _gemini_usage(**usage: Any) -> Sample:
    return _gemini(
        usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 7, "totalTokenCount": 16, **usage}
    )  # fmt: skip


_CALL = {"functionCall": {"id": "call_1", "name": "f", "args": {"a": "b"}}}
_INLINE = {"inlineData": {"mimeType": "image/png", "data": PNG}}
_SOUND = {"inlineData": {"mimeType": "audio/wav", "data": WAV}}
_CODE = {"executableCode": {"language": "PYTHON", "code": "1"}}
_LIKELY = {"chosenCandidates": [{"token": "Hello", "tokenId": 1, "logProbability": -0.1}],
           "topCandidates": [{"candidates": []}]}  # fmt: skip
_GROUND = {
    "groundingChunks": [{"web": {"uri": "https://example.com", "title": "t"}}],
    "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 5, "text": "Hello"}, "groundingChunkIndices": [0]}],
}

GEMINI: Answers = {
    ("candidates[].content.parts[].text", "text"): _gemini({"text": "other"}),
    ("candidates[].content.parts[].text behind a call", "text.behind"): _gemini(_CALL, {"text": "b"}),
    ("candidates[].content.parts[].thought", "reasoning"): _gemini({"text": "t", "thought": True}, {"text": "Hello"}),
    ("candidates[].content.parts[].thoughtSignature", "reasoning.signed"): _gemini(
        {"text": "t", "thought": True, "thoughtSignature": "c2ln"}, {"text": "Hello"}
    ),
    ("candidates[].content.parts[].functionCall", "call"): _gemini(_CALL),
    ("candidates[].content.parts[].inlineData", "image"): _gemini({"text": "Hello"}, _INLINE),
    ("candidates[].content.parts[].inlineData", "audio"): _gemini({"text": "Hello"}, _SOUND),
    ("candidates[].content.parts[].executableCode, codeExecutionResult", "code.run"): _gemini({"text": "Hello"}, _CODE),
    ("candidates[].groundingMetadata", "citation.web"): _gemini(candidate={"groundingMetadata": _GROUND}),
    ("candidates[].logprobsResult", "logprobs"): _gemini(candidate={"logprobsResult": _LIKELY}),
    ("candidates[].avgLogprobs", "own"): _gemini(candidate={"avgLogprobs": -0.1}),
    ("candidates[].safetyRatings, any other field", "own"): _gemini(candidate={"safetyRatings": [{"a": 1}]}),
    ("candidates[]", "choices"): Sample(
        answer=answering(
            {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": [{"text": "Hello"}]},
                        "finishReason": "STOP",
                        "index": number,
                    }
                    for number in range(2)
                ],
                "usageMetadata": {},
            }
        )
    ),
    ("candidates[].finishReason: STOP", "end.stop"): _anyway(_gemini()),
    ("candidates[].finishReason: MAX_TOKENS", "end.length"): _gemini(finish="MAX_TOKENS"),
    ("candidates[].finishReason: SAFETY and others of its kind", "end.filter"): _gemini(finish="SAFETY"),
    ("candidates[].finishReason: any other word", "end.other"): _anyway(_gemini(finish="X_NEW")),
    ("promptFeedback.blockReason", "end.blocked"): Sample(
        answer=answering({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}})
    ),
    ("usageMetadata.promptTokenCount, candidatesTokenCount", "usage"): _gemini_usage(),
    ("usageMetadata.cachedContentTokenCount", "usage.cached"): _gemini_usage(cachedContentTokenCount=4),
    ("usageMetadata.thoughtsTokenCount", "usage.reasoning"): _gemini_usage(thoughtsTokenCount=3, totalTokenCount=19),
    ("any other field", "own"): _gemini(xNew=1),
}

# --- Ollama -----------------------------------------------------------------------------------------------------------


def _ollama(message: Mapping[str, Any] | None = None, **fields: Any) -> Sample:
    return Sample(answer=ollama_answer(message, **{**dict.fromkeys(TIMES), **fields}))


_OLLAMA_CALL = {"content": "", "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": {"a": "b"}}}]}

OLLAMA: Answers = {
    ("message.content", "text"): _ollama({"content": "other"}),
    ("message.thinking", "reasoning"): _ollama({"thinking": "t"}),
    ("message.tool_calls[]", "call"): _ollama(_OLLAMA_CALL),
    ("message: any other field", "own"): _ollama({"x_new": 1}),
    ("logprobs", "logprobs"): _ollama(logprobs=[{"token": "Hello", "logprob": -0.1}]),
    ("done_reason: stop", "end.stop"): _anyway(_ollama()),
    ("done_reason: length", "end.length"): _ollama(done_reason="length"),
    ("done_reason: any other word", "end.other"): _anyway(_ollama(done_reason="x_new")),
    ("prompt_eval_count, eval_count", "usage"): _ollama(prompt_eval_count=9, eval_count=7),
    ("total_duration, load_duration, prompt_eval_duration, eval_duration", "usage.times"): _ollama(total_duration=9),
    ("any other field", "own"): _ollama(x_new=1),
}

ANSWERS: Mapping[str, Answers] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "claude": CLAUDE,
    "gemini": GEMINI,
    "ollama": OLLAMA,
}
"""Upstream -> what it answers."""

_THOUGHT = {"type": "thinking", "thinking": "t", "signature": "c2ln"}
_REDACTED = {"type": "redacted_thinking", "data": "ZGF0YQ=="}
_SHOWN = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}


def _wanted(wish: Mapping[str, Any], *content: Any) -> Sample:
    """Return an answer to a caller who asks for reasoning."""
    return Sample(wish, answer=claude_answer([*content, _HELLO]), besides=wish)


FURTHER: Mapping[tuple[str, str], Mapping[Telling, Sample]] = {
    ("chat", "claude"): {
        "reasoning.signed": _wanted({"include_reasoning": True}, _THOUGHT),
        "reasoning.redacted": _wanted({"include_reasoning": True}, _REDACTED),
    },
    ("claude", "chat"): {"tier": _chat(service_tier="default")},
    ("gemini", "claude"): {"reasoning.signed": _wanted(_SHOWN, _THOUGHT)},
    ("gemini", "chat"): {
        "reasoning": Sample(_SHOWN, answer=chat_answer({"reasoning_content": "t"}), besides=_SHOWN),
    },
}
"""(Face, upstream) -> answers whose verdict depends on what the caller asked for."""
