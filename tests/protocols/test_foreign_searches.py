"""A search of the web at another vendor than the one that defines it: what it is asked is sent, or told as a loss."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.asking import ask, chat_answer, claude_answer, gemini_answer, response_answer, said_item
from tests.support.scripted_client import Script

pytestmark = pytest.mark.anyio

ANSWERS: dict[str, Callable[[], Script]] = {
    "chat": chat_answer,
    "claude": claude_answer,
    "gemini": lambda: gemini_answer([{"text": "Hello"}]),
    "responses": lambda: response_answer([said_item("Hello")]),
}
MODELS = {"chat": "gpt-5-search-api", "claude": "claude-sonnet-4-5", "gemini": "gemini-3.6-flash", "responses": "gpt-5"}
ROME = {"type": "approximate", "city": "Rome", "country": "IT"}
PLACE = {"user_location": ROME}
NESTED = {"user_location": {"type": "approximate", "approximate": {"city": "Rome", "country": "IT"}}}
BROAD = {**NESTED, "search_context_size": "high"}
CLAUDES = {"allowed_domains": ["a.example"], "max_uses": 1, **PLACE, "cache_control": {"type": "ephemeral"}}
"""What a search of Anthropic's may be asked; blocked domains are a list of their own."""
OPENAIS = {
    "filters": {"allowed_domains": ["a.example"], "odd": 1},
    "external_web_access": False,
    "search_context_size": "low",
    **PLACE,
}


UNREADABLE: list[tuple[str, Any, str]] = [
    ("claude", {"allowed_domains": "a.example"}, "tools[0].allowed_domains"),
    ("claude", {"blocked_domains": [5]}, "tools[0].blocked_domains"),
    ("claude", {"max_uses": "1"}, "tools[0].max_uses"),
    ("claude", {"user_location": "DE"}, "tools[0].user_location"),
    ("responses", {"filters": "a.example"}, "tools[0].filters"),
    ("responses", {"filters": {"allowed_domains": {}}, "search_context_size": 5}, "tools[0].search_context_size"),
    ("chat", "x", "web_search_options"),
    ("chat", [], "web_search_options"),
    ("chat", {"search_context_size": 5}, "web_search_options.search_context_size"),
    ("chat", {"user_location": "DE"}, "web_search_options.user_location"),
    ("chat", {"user_location": {"approximate": "DE"}}, "web_search_options.user_location.approximate"),
]


def searching(face: str, search: Any) -> dict[str, Any]:
    """Return the field by which a face asks for a search of the web."""
    match face:
        case "chat":
            return {"web_search_options": search}
        case "claude":
            return {"tools": [{"type": "web_search_20250305", "name": "web_search", **search}]}
        case _:
            return {"tools": [{"type": "web_search", **search}]}


def sent_search(to: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the search that an upstream was sent, without its name."""
    search = body["web_search_options"] if to == "chat" else body["tools"][-1]
    return {name: value for name, value in search.items() if name not in ("name", "type")}


@pytest.mark.parametrize(
    ("face", "search", "to", "sent", "lost"),
    [
        ("claude", CLAUDES, "gemini", {"googleSearch": {}}, {"allowed_domains", "max_uses", "user_location"}),
        ("claude", CLAUDES, "responses", {"filters": {"allowed_domains": ["a.example"]}, **PLACE}, {"max_uses"}),
        ("claude", CLAUDES, "chat", NESTED, {"allowed_domains", "max_uses"}),
        ("claude", {"blocked_domains": ["b.example"]}, "responses", {}, {"blocked_domains"}),
        ("claude", {"blocked_domains": []}, "gemini", {"googleSearch": {}}, set()),
        ("responses", OPENAIS, "gemini", {"googleSearch": {}},
         {"filters.allowed_domains", "filters.odd", "external_web_access", "search_context_size", "user_location"}),
        ("responses", OPENAIS, "claude", {"allowed_domains": ["a.example"], **PLACE},
         {"filters.odd", "external_web_access", "search_context_size"}),
        ("responses", OPENAIS, "chat", {**NESTED, "search_context_size": "low"},
         {"filters.allowed_domains", "filters.odd", "external_web_access"}),
        ("responses", {"external_web_access": True, "filters": None}, "gemini", {"googleSearch": {}}, set()),
        ("chat", BROAD, "gemini", {"googleSearch": {}},
         {"user_location.approximate", "search_context_size"}),
        ("chat", BROAD, "claude", PLACE, {"search_context_size"}),
        ("chat", BROAD, "responses", {**PLACE, "search_context_size": "high"}, set()),
        ("chat", {"search_context_size": "medium"}, "gemini", {"googleSearch": {}}, set()),
    ],
)  # fmt: skip
async def test_what_a_search_is_asked_is_sent_or_told_as_a_loss_at_its_own_path(
    face: str, search: dict[str, Any], to: str, sent: dict[str, Any], lost: set[str]
) -> None:
    asked = await ask(face, to, searching(face, search), ANSWERS[to](), model=MODELS[to])
    assert asked.answer.status == 200, asked.answer.text
    assert sent_search(to, asked.sent) == sent
    at = "web_search_options" if face == "chat" else "tools[0]"
    assert {path for path, severity in asked.notices.items() if severity == "lost"} == {f"{at}.{path}" for path in lost}
    assert asked.notices[at] == "changed"


async def test_search_that_would_be_wider_is_refused_where_losses_are() -> None:
    search = searching("claude", {"blocked_domains": ["b.example"]})
    asked = await ask("claude", "gemini", search, model=MODELS["gemini"], on_unsupported="reject")
    assert asked.answer.status == 400
    assert "tools[0].blocked_domains" in asked.answer.text
    assert asked.upstream.calls == []


@pytest.mark.parametrize(
    ("face", "search", "path", "to"), [(*row, to) for row in UNREADABLE for to in ANSWERS if to != row[0]]
)
async def test_search_that_cannot_be_read_is_refused_with_its_path(face: str, search: Any, path: str, to: str) -> None:
    asked = await ask(face, to, searching(face, search), model=MODELS[to])
    assert asked.answer.status == 400
    assert path in asked.answer.text
    assert asked.upstream.calls == []
