"""An end that the caller's protocol has no word for is told at the place where the upstream said it."""

from collections.abc import Callable

import pytest

from tests.support.scripted_client import Script

from .asking import (
    PATHS,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    gemini_answer,
    gemini_chunk,
    gemini_stream,
    ollama_answer,
    ollama_end,
    ollama_stream,
    response_answer,
    response_events,
    response_stream,
    said_item,
)

pytestmark = pytest.mark.anyio

ODD = "x_new"
CUT = {"status": "incomplete", "incomplete_details": {"reason": ODD}}
TEXT = ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Hello"}])
ENDS: dict[str, tuple[str, Callable[[], Script], Callable[[], Script]]] = {
    "chat": (
        "choices[0].finish_reason",
        lambda: chat_answer(finish=ODD),
        lambda: chat_stream(chunk({"content": "Hello"}), chunk(finish=ODD)),
    ),
    "claude": ("stop_reason", lambda: claude_answer(stop=ODD), lambda: claude_stream(claude_events(TEXT, stop=ODD))),
    "gemini": (
        "candidates[0].finishReason",
        lambda: gemini_answer([{"text": "Hello"}], ODD),
        lambda: gemini_stream(gemini_chunk([{"text": "Hello"}], ODD)),
    ),
    "ollama": (
        "done_reason",
        lambda: ollama_answer(done_reason=ODD),
        lambda: ollama_stream(ollama_end({"content": "Hello"}, done_reason=ODD)),
    ),
    "responses": (
        "incomplete_details.reason",
        lambda: response_answer([said_item("Hello")], **CUT),
        lambda: response_stream(response_events(said_item("Hello"), end=CUT)),
    ),
}
"""Upstream -> where its end stands, and an answer of its own that ends oddly, whole and as a stream."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("face", "to"), [(face, to) for face in (*PATHS, "gemini") for to in ENDS if face != to])
async def test_end_that_a_caller_is_not_told_is_named_as_the_upstream_does(face: str, to: str, *, stream: bool) -> None:
    at, whole, streamed = ENDS[to]
    script = streamed if stream else whole
    body = {} if face == "gemini" else {"stream": stream}
    verb = "streamGenerateContent" if stream else "generateContent"
    asked = await ask(face, to, body, script(), verb=verb)
    assert asked.answer.status == 200, asked.answer.text
    assert asked.notices[at] == "changed"
