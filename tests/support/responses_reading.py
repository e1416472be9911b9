"""What an answer of the Responses protocol says, as an `Outcome`: of a recording, and of what the SDK parsed.

A stream says what its terminal event holds; that its deltas say the same is checked of the SDK's reading. Parts of
reasoning are joined by an empty line, as they are paragraphs of one text.
"""

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any

import openai
from openai.types.responses import Response, ResponseStreamEvent

from .outcome import Draft, FinishClass, Outcome, ToolCallText

INCOMPLETE: dict[str, FinishClass] = {"max_output_tokens": "length", "content_filter": "filter"}


class ResponsesReader:
    """Reads a recorded answer."""

    def __init__(self) -> None:
        self.draft = Draft()

    def read_whole(self, body: Mapping[str, Any]) -> None:
        """Read an answer."""
        if body.get("error") or body.get("status") in ("failed", "cancelled") or "output" not in body:
            self.draft.is_error = True
            return
        for item in body["output"]:
            self._read_item(item)
        self._read_usage(body.get("usage") or {})
        reason = (body.get("incomplete_details") or {}).get("reason")
        self.draft.finish = INCOMPLETE[reason] if reason else "stop"

    def read_stream(self, events: Iterable[tuple[str, str]]) -> None:
        """Read the terminal event of a stream, and the items that were done before it."""
        done: list[Any] = []
        for _, data in events:
            event = _event(data)
            if event.get("type") == "response.output_item.done":
                done.append(event["item"])
            if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
                whole = event["response"]
                self.read_whole({**whole, "output": whole.get("output") or done})
                return
        self.draft.is_error = True

    def _read_item(self, item: Mapping[str, Any]) -> None:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    self.draft.text += part.get("text") or ""
                    self.draft.refusal += part.get("refusal") or ""
            case "reasoning":
                parts = item.get("summary") or item.get("content") or ()
                self.draft.reasoning += "\n\n".join(part["text"] for part in parts)
            case "function_call" | "custom_tool_call":
                space = f"{item['namespace']}__" if item.get("namespace") else ""
                is_custom = item["type"] == "custom_tool_call"
                arguments = item["input"] if is_custom else item["arguments"]
                call = ToolCallText(name=space + item["name"], arguments=arguments, is_custom=is_custom)
                self.draft.calls.append(call)

    def _read_usage(self, usage: Mapping[str, Any]) -> None:
        if not usage:
            return
        draft = self.draft
        draft.input_tokens, draft.output_tokens = usage["input_tokens"], usage["output_tokens"]
        draft.cached_tokens = (usage.get("input_tokens_details") or {}).get("cached_tokens") or 0
        draft.reasoning_tokens = (usage.get("output_tokens_details") or {}).get("reasoning_tokens") or 0


def _event(data: str) -> Any:
    """Return an event; one that is no JSON says nothing."""
    try:
        return json.loads(data)
    except ValueError:
        return {}


async def ask_responses(
    client: openai.AsyncOpenAI, model: str, *, stream: bool, body: Mapping[str, object] | None = None
) -> Outcome:
    """Ask for a response and return what the SDK parsed, or an error where it raised or the answer failed.

    Args:
        client: Without retries, or an error takes its time.
        model: Name of the model.
        stream: Ask for a stream, and hold its deltas against its end.
        body: Replaces fields of the request, all but ``model`` and ``stream``.
    """
    fields = {"input": "anything", **(body or {}), "model": model, "stream": stream}
    try:
        if not stream:
            return _outcome(await client.responses.create(model=model, input="", extra_body=fields))
        return await _events(await client.responses.create(model=model, input="", stream=True, extra_body=fields))
    except openai.APIError:
        return Outcome(is_error=True)


def _outcome(response: object) -> Outcome:
    if not isinstance(response, Response):
        return Outcome(is_error=True)
    reader = ResponsesReader()
    reader.read_whole(response.to_dict(mode="json", warnings=False))
    assert response.output_text == reader.draft.text
    return reader.draft.settled()


async def _events(events: AsyncIterable[ResponseStreamEvent]) -> Outcome:
    text, final = "", None
    async for event in events:
        if event.type == "response.output_text.delta":
            text += event.delta
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            final = event.response
    if final is None or final.status == "failed":
        return Outcome(text=text, is_error=True)
    outcome = _outcome(final)
    assert text in ("", final.output_text)
    return outcome
