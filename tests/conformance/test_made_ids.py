"""Ids of calls that an upstream gave none, in answers that have none either: an id is one call's, in the whole talk.

The callers here give all of their requests one id, as programs do that pass on that of a request of their own.
"""

from typing import Any

import pytest

from tests.support.scripted_client import Answering

from .asking import (
    ask,
    chat_answer,
    chat_stream,
    chunk,
    gemini_answer,
    gemini_chunk,
    gemini_stream,
    ollama_answer,
    ollama_end,
    ollama_stream,
)

pytestmark = pytest.mark.anyio

FUNCTION = {"name": "f", "arguments": "{}"}
CALLS = {"content": None, "tool_calls": [{"index": n, "type": "function", "function": FUNCTION} for n in (0, 1)]}
LEGACY = {"content": None, "function_call": FUNCTION}
RUN = {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}] * 2}
PARTS = [{"functionCall": {"name": "f", "args": {}}}] * 2

WHOLE: dict[str, tuple[str, Answering]] = {
    "calls": ("lenient", chat_answer(CALLS, "tool_calls", id="")),
    "a function": ("lenient", chat_answer(LEGACY, "function_call", id="")),
    "an answer whose id is always the same": ("lenient", chat_answer(CALLS, "tool_calls", id="chatcmpl-0")),
    "ollama": ("ollama", ollama_answer(RUN)),
    "gemini": ("gemini", gemini_answer(PARTS)),
}
STREAMED: dict[str, Answering] = {
    "calls": chat_stream(chunk(CALLS, id=""), chunk({}, "tool_calls", id="")),
    "a function": chat_stream(chunk(LEGACY, id=""), chunk({}, "function_call", id="")),
    "an answer whose id is always the same": chat_stream(
        chunk(CALLS, id="chatcmpl-0"), chunk({}, "tool_calls", id="chatcmpl-0")
    ),
    "ollama": ollama_stream(ollama_end(RUN)),
    "gemini": gemini_stream({**gemini_chunk(PARTS, "STOP"), "responseId": ""}),
}
every_answer = pytest.mark.parametrize("kind", WHOLE)


async def ids_of(kind: str, *, stream: bool = False) -> list[str]:
    """Return the ids of the calls, as a caller of Messages is told them."""
    to, whole = WHOLE[kind]
    script = STREAMED[kind] if stream else whole
    profile = {"base": "lenient"} if to == "lenient" else None
    asked = await ask(
        "claude",
        "chat" if to == "lenient" else to,
        {"stream": stream},
        script,
        headers={"x-request-id": "req-1"},
        profile=profile,
    )
    blocks: list[Any] = (
        [event["content_block"] for event in asked.events if event["type"] == "content_block_start"]
        if stream
        else asked.json["content"]
    )
    return [block["id"] for block in blocks if block["type"] == "tool_use"]


@every_answer
async def test_two_answers_share_no_id(kind: str) -> None:
    first, second = await ids_of(kind), await ids_of(kind)
    assert len({*first, *second}) == len(first) + len(second) >= 2


@every_answer
async def test_the_ids_of_a_stream_are_those_of_the_whole_answer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the gateway draws the same salt for both."""
    monkeypatch.setattr("secrets.token_hex", lambda count: "5a" * count)
    assert await ids_of(kind, stream=True) == await ids_of(kind)
