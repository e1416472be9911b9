"""Lists and words that SDKs of Gemini and Ollama ask for as the whole answer, from vendors that give objects alone."""

from typing import Any

import pytest

from .asking import (
    STREAM,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    gemini_answer,
    ollama_answer,
    ollama_end,
    ollama_line,
    ollama_stream,
    response_answer,
    response_events,
    response_stream,
    said_item,
)

pytestmark = pytest.mark.anyio

ITEM = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
LIST = {"type": "array", "items": ITEM}
WORDS = {"type": "string", "enum": ["Percussion", "String"]}
CHOICE = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": WORDS["enum"]}}


def wrapped(schema: Any) -> Any:
    return {"type": "object", "properties": {"answer": schema}, "required": ["answer"], "additionalProperties": False}


def answering(to: str, text: str, *, stream: bool) -> Any:
    half = len(text) // 2
    pieces = text[:half], text[half:]
    match to:
        case "chat":
            if not stream:
                return chat_answer({"content": text})
            return chat_stream(*(chunk({"content": piece}) for piece in pieces), chunk(finish="stop"))
        case "responses":
            if not stream:
                return response_answer([said_item(text)])
            return response_stream(response_events(said_item(text)))
        case "claude":
            if not stream:
                return claude_answer([{"type": "text", "text": text}])
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
            return claude_stream(claude_events(({"type": "text", "text": ""}, deltas)))
        case _:
            if not stream:
                return ollama_answer({"content": text})
            return ollama_stream(*(ollama_line({"content": piece}) for piece in pieces), ollama_end())


def schema_sent(to: str, sent: Any) -> Any:
    match to:
        case "chat":
            return sent["response_format"]["json_schema"]["schema"]
        case "responses":
            return sent["text"]["format"]["schema"]
        case "claude":
            return sent["output_config"]["format"]["schema"]
        case _:
            return sent["format"]


def said(face: str, asked: Any, *, stream: bool) -> str:
    if face == "ollama":
        return "".join(line["message"]["content"] for line in (asked.lines if stream else [asked.json]))
    bodies = asked.events if stream else [asked.json]
    parts = [part for body in bodies for part in body["candidates"][0].get("content", {}).get("parts", [])]
    return "".join(part["text"] for part in parts)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("to", ["chat", "responses", "claude"])
@pytest.mark.parametrize("face", ["gemini", "ollama"])
async def test_list_is_asked_for_in_an_object_and_told_bare(face: str, to: str, stream: bool) -> None:
    script = answering(to, '{"answer": [{"a": "x"}]}', stream=stream)
    settings = {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": LIST}}
    body = settings if face == "gemini" else {"format": LIST, "stream": stream}
    profile = "openai" if to in ("chat", "responses") else None
    verb = STREAM if stream else "generateContent"
    asked = await ask(face, to, body, script, profile=profile, verb=verb)
    assert schema_sent(to, asked.sent) == wrapped(LIST)
    assert said(face, asked, stream=stream) == '[{"a": "x"}]'
    at = "format" if face == "ollama" else "generationConfig.responseJsonSchema"
    assert (at, "changed") in {(notice.path, notice.severity) for notice in asked.records[-1].notices}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("to", ["chat", "responses", "claude", "ollama"])
async def test_word_is_asked_for_in_an_object_and_told_without_quotes(to: str, stream: bool) -> None:
    script = answering(to, '{"answer": "Percussion"}', stream=stream)
    profile = "openai" if to in ("chat", "responses") else None
    verb = STREAM if stream else "generateContent"
    asked = await ask("gemini", to, {"generationConfig": CHOICE}, script, profile=profile, verb=verb)
    assert schema_sent(to, asked.sent)["properties"]["answer"]["enum"] == WORDS["enum"]
    assert said("gemini", asked, stream=stream) == "Percussion"
    assert asked.notices["generationConfig.responseSchema"] == "changed"


async def test_word_is_asked_of_gemini_as_its_own() -> None:
    profile = {"base": "lenient", "json_schema": True}
    asked = await ask(
        "gemini", "gemini", {"generationConfig": CHOICE}, gemini_answer([{"text": "String"}]), profile=profile
    )
    config = asked.sent["generationConfig"]
    assert (config["responseMimeType"], config["responseSchema"]["enum"]) == ("text/x.enum", WORDS["enum"])
    assert said("gemini", asked, stream=False) == "String"
