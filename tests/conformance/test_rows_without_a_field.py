"""What the references' mapping tables say of no field of a request or an answer: see ``tests/cases/references``."""

from typing import Any

import pytest

from tests.support.asgi_driver import call
from tests.support.gateways import make_gateway, upstream

from .asking import ask, chat_answer, claude_answer, gemini_answer

pytestmark = pytest.mark.anyio

SYSTEM = [{"role": "system", "content": "S"}]


async def test_talk_that_only_the_system_speaks_in_is_refused_by_anthropic_and_begun_at_gemini() -> None:
    refused = await ask("chat", "claude", {"messages": SYSTEM}, claude_answer())
    assert (refused.answer.status, refused.upstream.calls) == (400, [])
    begun = await ask("chat", "gemini", {"messages": SYSTEM}, gemini_answer([{"text": "Hello"}]))
    assert ([turn["role"] for turn in begun.sent["contents"]], begun.answer.status) == (["user"], 200)
    assert "changed" in begun.notices.values()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("POST", "/v1/chat/completions/chatcmpl-1"),
        ("DELETE", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/v1/chat/completions/chatcmpl-1/messages"),
    ],
)
async def test_stored_completions_are_not_served(method: str, path: str) -> None:
    answer = await call(make_gateway(upstream("chat")), method, path)
    assert answer.status in (404, 405)
    assert answer.header("x-ds2api-error")


async def test_answer_of_another_vendor_has_an_id() -> None:
    asked = await ask("chat", "claude", {}, claude_answer())
    assert asked.json["id"] in ("msg_1", "chatcmpl-msg_1")


@pytest.mark.parametrize(("told", "expected"), [("model_length", "length"), ("tool_calls", "tool_calls")])
async def test_ends_of_mistrals_are_told_in_openais_words(told: str, expected: str) -> None:
    tool = {"id": "aaaaaaaaa", "function": {"name": "f", "arguments": "{}"}}
    message: dict[str, Any] = {"tool_calls": [tool], "content": ""} if told == "tool_calls" else {}
    asked = await ask("chat", "chat", {}, chat_answer(message, told), profile="mistral")
    assert asked.json["choices"][0]["finish_reason"] == expected


async def test_error_of_mistrals_in_the_place_of_an_end_is_one() -> None:
    asked = await ask("chat", "chat", {}, chat_answer({}, "error"), profile="mistral")
    assert asked.answer.status == 502


@pytest.mark.parametrize("face", ["claude", "responses", "gemini", "ollama"])
async def test_references_of_mistrals_are_a_loss_that_is_said(face: str) -> None:
    chunks = [{"type": "text", "text": "So"}, {"type": "reference", "reference_ids": [1]}]
    body = {"stream": False} if face == "ollama" else {}
    asked = await ask(face, "chat", body, chat_answer({"content": chunks}), profile="mistral")
    assert "So" in asked.answer.text
    assert asked.notices["choices[0].message.content[1]"] == "lost"
