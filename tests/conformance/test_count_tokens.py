"""What is counted is what the model would be asked."""

from typing import Any

import pytest

from tests.support.scripted_client import answering

from .asking import ask, gemini_answer, response_answer

pytestmark = pytest.mark.anyio

TOOL: dict[str, Any] = {"name": "n" * 200, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
COUNT = "/v1/messages/count_tokens"
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "of another vendor"},
            {"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": {"a": "b"}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]},
]


async def test_responses_counts_what_it_would_be_asked() -> None:
    body = {"tools": [TOOL], "messages": CALLED}
    asked = await ask("claude", "responses", body, response_answer())
    counted = await ask("claude", "responses", body, answering({"input_tokens": 7}), path=COUNT)
    assert counted.json == {"input_tokens": 7}
    assert (counted.sent["tools"], counted.sent["input"]) == (asked.sent["tools"], asked.sent["input"])
    assert counted.sent["tools"][0]["name"] != TOOL["name"]


async def test_gemini_counts_what_it_would_be_asked() -> None:
    body = {"tools": [TOOL], "messages": CALLED}
    asked = await ask("claude", "gemini", body, gemini_answer([{"text": "x"}]))
    counted = await ask("claude", "gemini", body, answering({"totalTokens": 7}), path=COUNT)
    assert counted.json == {"input_tokens": 7}
    inner = counted.sent.get("generateContentRequest", counted.sent)
    assert (inner["tools"], inner["contents"]) == (asked.sent["tools"], asked.sent["contents"])
