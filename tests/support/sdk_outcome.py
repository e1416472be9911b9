"""What the official SDKs made of an answer, as an `Outcome`.

Strict where `oracle` forgives: only what an application finds in the fields that the SDK documents counts (reasoning
on Chat, which OpenAI has no field for, in ``reasoning_content`` or ``reasoning``). Deltas are joined as the SDKs' own
accumulators do it: strings are appended, usage is assigned.
"""

from collections.abc import AsyncIterable, Mapping
from typing import Any

import anthropic
import ollama
import openai
from anthropic.types import Message, MessageDeltaUsage, RawContentBlockDelta, RawMessageStreamEvent, Usage
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from .outcome import OFFICIAL_FINISH, Draft, Outcome, ToolCallText

MAX_TOKENS = 1024
"""What the Anthropic SDK takes without insisting on a stream."""


async def ask_openai(
    client: openai.AsyncOpenAI, model: str, *, stream: bool, body: Mapping[str, object] | None = None
) -> Outcome:
    """Ask for a chat completion and return what the SDK parsed, or an error where it raised.

    Args:
        client: Without retries, or an error takes its time.
        model: Name of the model.
        stream: Ask for a stream, with its usage, and join the chunks.
        body: Replaces fields of the request, all but ``model`` and ``stream``.
    """
    fields = _question(body) | {"model": model, "stream": stream}
    create = client.chat.completions.create
    try:
        if not stream:
            return openai_completion(await create(model=model, messages=[], extra_body=fields))
        fields.setdefault("stream_options", {"include_usage": True})
        chunks = await create(model=model, messages=[], stream=True, extra_body=fields)
    except openai.APIError:
        return Outcome(is_error=True)
    return await openai_chunks(chunks)


async def ask_anthropic(
    client: anthropic.AsyncAnthropic, model: str, *, stream: bool, body: Mapping[str, object] | None = None
) -> Outcome:
    """Ask for a message and return what the SDK parsed, or an error where it raised. As `ask_openai`."""
    fields = {"max_tokens": MAX_TOKENS} | _question(body) | {"model": model, "stream": stream}
    create = client.messages.create
    try:
        if not stream:
            whole = await create(model=model, max_tokens=MAX_TOKENS, messages=[], extra_body=fields)
            return anthropic_message(whole)
        events = await create(model=model, max_tokens=MAX_TOKENS, messages=[], stream=True, extra_body=fields)
    except anthropic.APIError:
        return Outcome(is_error=True)
    return await anthropic_events(events)


async def ask_ollama(
    client: ollama.AsyncClient, model: str, *, stream: bool, body: Mapping[str, Any] | None = None
) -> Outcome:
    """Ask for an answer and return what the SDK parsed, or an error where it raised. As `ask_openai`.

    A body with a ``prompt`` is one of ``generate``, else it is one of ``chat``.
    """
    fields = {name: value for name, value in (body or {}).items() if value not in (None, "", [], {})}
    ask: Any = client.generate if "prompt" in fields else client.chat
    asked = fields if "prompt" in fields else _question(fields)
    draft = Draft(is_error=True)
    try:
        answer = await ask(**asked, model=model, stream=stream)
        if not stream:
            _read_ollama(draft, answer)
        else:
            async for line in answer:
                _read_ollama(draft, line)
    except ollama.ResponseError:
        draft.is_error, draft.finish = True, None
    return draft.settled()


def _read_ollama(draft: Draft, answer: ollama.ChatResponse | ollama.GenerateResponse) -> None:
    """Read an answer, or a line of one; it is whole with the line that is done."""
    if isinstance(answer, ollama.GenerateResponse):
        draft.text += answer.response or ""
        draft.reasoning += answer.thinking or ""
    else:
        draft.text += answer.message.content or ""
        draft.reasoning += answer.message.thinking or ""
        for call in answer.message.tool_calls or ():
            draft.calls.append(ToolCallText(name=call.function.name, seed=dict(call.function.arguments)))
    if answer.done:
        draft.is_error, draft.finish = False, OFFICIAL_FINISH.get(answer.done_reason or "stop")
        draft.input_tokens, draft.output_tokens = answer.prompt_eval_count, answer.eval_count


def _question(body: Mapping[str, object] | None) -> dict[str, object]:
    """Return a request that says something, with the fields of ``body`` in place of its own."""
    return {"messages": [{"role": "user", "content": "anything"}], **(body or {})}


def openai_completion(completion: object) -> Outcome:
    """Return what a completion says. What is no completion (the SDK passes text on as it is) is an error."""
    if not isinstance(completion, ChatCompletion) or not completion.choices:
        return Outcome(is_error=True)
    draft, choice = Draft(), completion.choices[0]
    message = choice.message
    _read_message(draft, message)
    for call in message.tool_calls or ():
        if call.type == "custom":
            draft.calls.append(ToolCallText(name=call.custom.name, arguments=call.custom.input, is_custom=True))
        else:
            arguments = str(call.function.arguments)  # where there are none, "None", which equals no recording
            draft.calls.append(ToolCallText(name=call.function.name, arguments=arguments))
    if message.function_call is not None and message.function_call.name:
        draft.calls.append(ToolCallText(name=message.function_call.name, arguments=message.function_call.arguments))
    draft.finish = OFFICIAL_FINISH.get(choice.finish_reason)
    _read_openai_usage(draft, completion.usage)
    return draft.settled()


async def openai_chunks(chunks: AsyncIterable[ChatCompletionChunk]) -> Outcome:
    """Return what the chunks of a completion say together; where the SDK raises, what came before, as an error."""
    draft, open_calls = Draft(), dict[int, ToolCallText]()
    try:
        async for chunk in chunks:
            _read_openai_usage(draft, chunk.usage)
            for choice in chunk.choices:
                if choice.index == 0:
                    _read_delta(draft, choice.delta, open_calls)
                    draft.finish = OFFICIAL_FINISH.get(choice.finish_reason or "") or draft.finish
    except openai.APIError:
        draft.is_error, draft.finish = True, None
    return draft.settled()


def _read_delta(draft: Draft, delta: ChoiceDelta, open_calls: dict[int, ToolCallText]) -> None:
    _read_message(draft, delta)
    for piece in delta.tool_calls or ():
        if piece.index not in open_calls:
            open_calls[piece.index] = ToolCallText()
            draft.calls.append(open_calls[piece.index])
        call = open_calls[piece.index]
        custom = (piece.model_extra or {}).get("custom")
        if custom:
            call.is_custom = True
            call.name += custom.get("name") or ""
            call.arguments += custom.get("input") or ""
        if piece.function is not None:
            call.name += piece.function.name or ""
            call.arguments += piece.function.arguments or ""
    if delta.function_call is not None:
        if -1 not in open_calls:
            open_calls[-1] = ToolCallText()
            draft.calls.append(open_calls[-1])
        open_calls[-1].name += delta.function_call.name or ""
        open_calls[-1].arguments += delta.function_call.arguments or ""


def _read_message(draft: Draft, message: ChatCompletionMessage | ChoiceDelta) -> None:
    """Read what a message and a delta have in common."""
    extra = message.model_extra or {}
    draft.text += message.content if isinstance(message.content, str) else ""
    draft.refusal += message.refusal or ""
    draft.reasoning += extra.get("reasoning_content") or extra.get("reasoning") or ""


def _read_openai_usage(draft: Draft, usage: CompletionUsage | None) -> None:
    if usage is None:
        return
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    draft.input_tokens, draft.output_tokens = usage.prompt_tokens, usage.completion_tokens
    draft.cached_tokens = (prompt.cached_tokens if prompt else None) or 0
    draft.reasoning_tokens = (completion.reasoning_tokens if completion else None) or 0


def anthropic_message(message: object) -> Outcome:
    """Return what a message says. What is no message is an error."""
    if not isinstance(message, Message):
        return Outcome(is_error=True)
    draft = Draft()
    for block in message.content:
        match block.type:
            case "text":
                draft.text += block.text
            case "thinking":
                draft.reasoning += block.thinking
            case "tool_use":
                draft.calls.append(ToolCallText(name=block.name, seed=block.input))
    draft.finish = OFFICIAL_FINISH.get(message.stop_reason or "")
    _read_anthropic_usage(draft, {}, message.usage)
    return draft.settled()


async def anthropic_events(events: AsyncIterable[RawMessageStreamEvent]) -> Outcome:
    """Return what the events of a message say together; where the SDK raises, what came before, as an error.

    A stream without ``message_stop`` is one too: the SDK does not see it, the clients that matter do.
    """
    draft, counts, open_calls, is_complete = Draft(), dict[str, int](), dict[int, ToolCallText](), False
    try:
        async for event in events:
            match event.type:
                case "message_start":
                    _read_anthropic_usage(draft, counts, event.message.usage)
                case "content_block_start":
                    if event.content_block.type == "text":
                        draft.text += event.content_block.text
                    elif event.content_block.type == "thinking":
                        draft.reasoning += event.content_block.thinking
                    elif event.content_block.type == "tool_use":
                        call = ToolCallText(name=event.content_block.name, seed=event.content_block.input)
                        open_calls[event.index] = call
                        draft.calls.append(call)
                case "content_block_delta":
                    _read_block_delta(draft, event.delta, open_calls.get(event.index))
                case "message_delta":
                    _read_anthropic_usage(draft, counts, event.usage)
                    draft.finish = OFFICIAL_FINISH.get(event.delta.stop_reason or "")
                case "message_stop":
                    is_complete = True
    except anthropic.APIError:
        is_complete = False
    if not is_complete:
        draft.is_error, draft.finish = True, None
    return draft.settled()


def _read_block_delta(draft: Draft, delta: RawContentBlockDelta, call: ToolCallText | None) -> None:
    match delta.type:
        case "text_delta":
            draft.text += delta.text
        case "thinking_delta":
            draft.reasoning += delta.thinking
        case "input_json_delta" if call is not None:
            call.arguments += delta.partial_json


def _read_anthropic_usage(draft: Draft, counts: dict[str, int], usage: Usage | MessageDeltaUsage) -> None:
    """Read usage, which assigns; the input of this protocol excludes the cache, that of an `Outcome` does not."""
    details = usage.output_tokens_details
    given = {
        "input": usage.input_tokens,
        "read": usage.cache_read_input_tokens,
        "written": usage.cache_creation_input_tokens,
        "output": usage.output_tokens,
        "thinking": details.thinking_tokens if details else None,
    }
    counts |= {name: tokens for name, tokens in given.items() if tokens is not None}
    draft.input_tokens = sum(counts.get(name, 0) for name in ("input", "read", "written"))
    draft.output_tokens = counts.get("output")
    draft.cached_tokens = counts.get("read", 0)
    draft.reasoning_tokens = counts.get("thinking", 0)
