"""What Google's official SDK made of an answer, as an `Outcome`; for `sdk_outcome`, and as strict."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from google import genai
from google.genai import errors, types

from .outcome import Draft, Outcome, ToolCallText

FINISH: dict[str, Any] = {
    "STOP": "stop",
    "OTHER": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "PROHIBITED_CONTENT": "filter",
}


def google_client(url: str) -> genai.Client:
    """Return a client of the gateway at this URL; without retries, or an error takes its time."""
    options = types.HttpOptions(base_url=url, api_version="v1beta")
    return genai.Client(api_key="any", http_options=options)


@asynccontextmanager
async def closing_google(client: genai.Client) -> AsyncIterator[genai.Client]:
    """Close a client's connections when it is no longer needed."""
    try:
        yield client
    finally:
        await client.aio.aclose()
        client.close()


async def ask_google(
    client: genai.Client, model: str, *, stream: bool, body: Mapping[str, object] | None = None
) -> Outcome:
    """Ask for content and return what the SDK parsed, or an error where it raised. As `sdk_outcome.ask_openai`."""
    read = Reader()
    try:
        await read_google(client, model, stream=stream, body=body, read=read)
    except (errors.APIError, errors.UnknownApiResponseError):
        read.draft.is_error = True
    return read.outcome()


async def read_google(
    client: genai.Client, model: str, *, stream: bool, body: Mapping[str, object] | None = None,
    read: "Reader | None" = None,
) -> None:  # fmt: skip
    """Ask for content and read the answer; raises what the SDK raises."""
    read = Reader() if read is None else read
    options = types.HttpOptions(extra_body=dict(body)) if body else None
    asked: Any = {"model": model, "contents": "anything", "config": types.GenerateContentConfig(http_options=options)}
    if stream:
        async for chunk in await client.aio.models.generate_content_stream(**asked):
            read.add(chunk)
    else:
        read.add(await client.aio.models.generate_content(**asked))


class Reader:
    """Adds chunks up, as applications do: texts are appended, usage is assigned."""

    def __init__(self) -> None:
        self.draft = Draft()
        self._finish: str | None = None

    def add(self, answer: types.GenerateContentResponse) -> None:
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None:
            self._finish = "SAFETY"
        if answer.usage_metadata is not None:
            self._read_usage(answer.usage_metadata)
        for candidate in (c for c in answer.candidates or () if not c.index):
            for part in (candidate.content.parts if candidate.content is not None else None) or []:
                self._read_part(part)
            if candidate.finish_reason is not None:
                self._finish = candidate.finish_reason.name

    def _read_part(self, part: types.Part) -> None:
        if part.thought:
            self.draft.reasoning += part.text or ""
        else:
            self.draft.text += part.text or ""
        if part.function_call is not None:
            call = part.function_call
            self.draft.calls.append(ToolCallText(name=call.name or "", seed=call.args or {}))

    def _read_usage(self, usage: types.GenerateContentResponseUsageMetadata) -> None:
        draft = self.draft
        if usage.prompt_token_count is not None:
            draft.input_tokens = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
        if usage.candidates_token_count is not None or usage.thoughts_token_count is not None:
            draft.output_tokens = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        draft.cached_tokens = usage.cached_content_token_count or draft.cached_tokens
        draft.reasoning_tokens = usage.thoughts_token_count or draft.reasoning_tokens

    def outcome(self) -> Outcome:
        """Return what was read. A stream that told no reason is an error: the clients that matter see it so."""
        draft = self.draft
        draft.is_error = draft.is_error or self._finish is None
        if not draft.is_error:
            finish = FINISH.get(self._finish or "")
            draft.finish = "tool" if draft.calls and finish == "stop" else finish
        return draft.settled()
