"""Calls of tools that Gemini's callers are told of in one piece, however the upstream streamed them."""

import pytest

from .asking import STREAM, ask, chat_stream, chunk

USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 20,
    "total_tokens": 50,
    "completion_tokens_details": {"reasoning_tokens": 8},
}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}


def piece(text: str) -> dict[str, object]:
    return chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})


@pytest.mark.anyio
@pytest.mark.parametrize("split", [0, 7], ids=["whole", "cut7"])
async def test_openai_C63_fragments_of_a_call_become_one_function_call(split: int) -> None:
    stream = chat_stream(
        chunk({"role": "assistant", "content": None, "tool_calls": [CALL]}),
        *map(piece, ['{"ci', 'ty": "Sã', 'o Paulo", "da', 'ys": 3}']),
        chunk(finish="tool_calls"),
        chunk(choices=[], usage=USAGE),
        split=split,
    )
    asked = await ask("gemini", "chat", {}, stream, verb=STREAM)
    parts = [content["parts"] for event in asked.events if (content := event["candidates"][0].get("content"))]
    calls = [part["functionCall"] for told in parts for part in told if "functionCall" in part]
    assert calls == [{"id": "call_1", "name": "get_weather", "args": {"city": "São Paulo", "days": 3}}]
    *_, before, last = asked.events
    assert [part["functionCall"] for part in before["candidates"][0]["content"]["parts"]] == calls
    assert "finishReason" not in before["candidates"][0]
    assert last["candidates"][0]["finishReason"] == "STOP"
    usage = last["usageMetadata"]
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (30, 12, 8)
    assert usage["totalTokenCount"] == 50
