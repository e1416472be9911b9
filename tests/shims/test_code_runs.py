"""Code that Gemini ran, and what it printed, is told in fences on every other face, whole and streamed."""

import json
from typing import Any

import pytest

from tests.conformance.asking import ask, gemini_answer, gemini_chunk, gemini_stream

pytestmark = pytest.mark.anyio

PARTS: list[dict[str, Any]] = [
    {"text": "So:"},
    {"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42"}},
    {"text": "It is 42."},
]
FENCED = ("So:", "```python\nprint(6 * 7)\n```", "```\n42\n```", "It is 42.")


@pytest.mark.parametrize("face", ["chat", "responses", "claude", "ollama"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
async def test_code_and_its_output_are_told_in_fences(face: str, is_stream: bool) -> None:
    stream = gemini_stream(*(gemini_chunk([part]) for part in PARTS), gemini_chunk([{"text": ""}], "STOP"))
    asked = await ask(face, "gemini", {"stream": is_stream}, stream if is_stream else gemini_answer(PARTS))
    said = "".join(text_of(json.loads(line)) for line in payloads(asked.answer.text)).split("\n")
    told = [line for line in said if line]
    assert told == [line for text in FENCED for line in text.split("\n")]
    severities = {notice.severity for notice in asked.records[-1].notices if "parts" in notice.path}
    assert severities == {"changed"}


async def test_gemini_itself_is_told_its_own_parts() -> None:
    asked = await ask("gemini", "gemini", {}, gemini_answer(PARTS))
    assert asked.json["candidates"][0]["content"]["parts"] == PARTS


def payloads(text: str) -> list[str]:
    lines = [line.removeprefix("data: ") for line in text.splitlines()]
    return [line for line in lines if line.startswith("{")]


def text_of(told: dict[str, Any]) -> str:
    """Return the text of an answer, or of a piece of one, of any face."""
    match told:
        case {"choices": [{"message": {"content": str(text)}}]} | {"choices": [{"delta": {"content": str(text)}}]}:
            return text
        case {"object": "response", "output": items}:
            return "".join(part["text"] for item in items for part in item["content"])
        case {"type": "response.output_text.delta", "delta": text}:
            return str(text)
        case {"type": "message", "content": blocks}:
            return "".join(block["text"] for block in blocks)
        case {"delta": {"type": "text_delta", "text": text}} | {"message": {"content": text}, "done": bool()}:
            return str(text)
        case _:
            return ""
