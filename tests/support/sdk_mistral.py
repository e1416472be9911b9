"""What Mistral's official SDK made of an answer of the Chat face, as an `Outcome`; for `sdk_outcome`, and as strict.

The SDK knows thoughts as chunks of the content alone: what OpenAI's look-alikes say in ``reasoning_content`` it leaves
unread, and so does this. It has no way to ask for the usage of a stream, which Mistral always tells.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from mistralai.client import Mistral, models
from mistralai.client.errors import MistralError

from .outcome import DEVIANT_FINISH, OFFICIAL_FINISH, Draft, Outcome, ToolCallText

QUESTION: Any = [{"role": "user", "content": "anything"}]


@asynccontextmanager
async def open_mistral(url: str, timeout_s: float) -> AsyncIterator[Mistral]:
    """Give a client of the gateway at this URL; it does not retry unless it is told to."""
    async with Mistral(api_key="any", server_url=url, timeout_ms=int(timeout_s * 1_000)) as client:
        yield client


async def ask_mistral(client: Mistral, model: str, *, stream: bool) -> Outcome:
    """Ask for a completion and return what the SDK parsed, or an error where it raised."""
    draft = Draft()
    try:
        await read_mistral(client, model, stream=stream, draft=draft)
    except MistralError:
        draft.is_error, draft.finish = True, None
    return draft.settled()


async def read_mistral(client: Mistral, model: str, *, stream: bool, draft: Draft | None = None) -> None:
    """Ask for a completion and read it; raises what the SDK raises."""
    draft = Draft() if draft is None else draft
    if not stream:
        whole = await client.chat.complete_async(model=model, messages=QUESTION)
        _read_choice(draft, whole.choices[0].message, whole.choices[0].finish_reason)
        _read_usage(draft, whole.usage)
        return
    async with await client.chat.stream_async(model=model, messages=QUESTION) as events:
        async for event in events:
            _read_usage(draft, event.data.usage)
            for choice in event.data.choices:
                if choice.index == 0:
                    _read_choice(draft, choice.delta, choice.finish_reason)


def _read_choice(draft: Draft, message: Any, finish: str | None) -> None:
    content = getattr(message, "content", None)
    for chunk in [models.TextChunk(text=content)] if isinstance(content, str) else content or ():
        _read_chunk(draft, chunk)
    for call in getattr(message, "tool_calls", None) or ():
        draft.calls.append(_call(call))
    if finish is not None:
        draft.finish = OFFICIAL_FINISH.get(finish) or DEVIANT_FINISH.get(finish)


def _read_chunk(draft: Draft, chunk: Any) -> None:
    if isinstance(chunk, models.TextChunk):
        draft.text += chunk.text
    if isinstance(chunk, models.ThinkChunk):
        draft.reasoning += _joined(chunk.thinking)


def _joined(pieces: Iterable[Any]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, models.TextChunk))


def _call(call: models.ToolCall) -> ToolCallText:
    arguments = call.function.arguments
    if isinstance(arguments, str):
        return ToolCallText(name=call.function.name, arguments=arguments)
    return ToolCallText(name=call.function.name, seed=arguments)


def _read_usage(draft: Draft, usage: models.UsageInfo | None) -> None:
    if not isinstance(usage, models.UsageInfo):
        return
    more: dict[str, Any] = usage.additional_properties or {}
    draft.input_tokens, draft.output_tokens = usage.prompt_tokens, usage.completion_tokens
    draft.cached_tokens = (more.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    draft.reasoning_tokens = (more.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
