"""A choice that means a tool of a vendor's, at another vendor: that vendor's own is forced, or it is told that not."""

from typing import Any

import pytest

from tests.conformance.asking import ask
from tests.protocols.test_foreign_searches import ANSWERS, MODELS
from tests.support.scripted_client import answering

pytestmark = pytest.mark.anyio

CLAUDES = {"type": "web_search_20250305", "name": "web_search"}
FINDER = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTIONS: dict[str, dict[str, Any]] = {
    "chat": {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
    "claude": {"name": "f", "input_schema": SCHEMA},
    "responses": {"type": "function", "name": "f", "parameters": SCHEMA},
}
AUTO: dict[str, Any] = {"claude": {"type": "auto"}, "gemini": {"mode": "AUTO"}, "responses": "auto", "chat": "auto"}


def searching(face: str, *, beside: bool = False) -> dict[str, Any]:
    """Return a search of the web that must be made, beside a function or not."""
    tools = [FUNCTIONS[face]] if beside else []
    if face == "claude":
        return {"tools": [CLAUDES, *tools], "tool_choice": {"type": "tool", "name": "web_search"}}
    return {"tools": [{"type": "web_search"}, *tools], "tool_choice": {"type": "web_search_preview"}}


def sent_choice(to: str, body: dict[str, Any]) -> Any:
    """Return the choice that an upstream was sent; None: none."""
    return body.get("toolConfig", {}).get("functionCallingConfig") if to == "gemini" else body.get("tool_choice")


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(
    ("face", "to", "choice", "severity"),
    [
        ("claude", "responses", {"type": "web_search"}, None),
        ("claude", "gemini", None, "changed"),
        ("claude", "chat", None, "hint"),
        ("responses", "claude", {"type": "tool", "name": "web_search"}, None),
        ("responses", "gemini", None, "changed"),
        ("responses", "chat", None, "hint"),
    ],
)
async def test_forced_search_is_the_upstreams_own_search_and_no_other_tool(
    face: str, to: str, choice: Any, severity: str | None, *, beside: bool
) -> None:
    asked = await ask(face, to, searching(face, beside=beside), ANSWERS[to](), model=MODELS[to])
    assert asked.answer.status == 200, asked.answer.text
    assert sent_choice(to, asked.sent) == choice
    assert asked.notices.get("tool_choice") == severity


@pytest.mark.parametrize(
    ("to", "choice", "severity"),
    [("responses", {"type": "web_search"}, None), ("gemini", None, "changed"), ("chat", None, "hint")],
)
async def test_any_of_one_search_is_that_search(to: str, choice: Any, severity: str | None) -> None:
    body = {"tools": [CLAUDES], "tool_choice": {"type": "any"}}
    asked = await ask("claude", to, body, ANSWERS[to](), model=MODELS[to])
    assert sent_choice(to, asked.sent) == choice
    assert asked.notices.get("tool_choice") == severity


@pytest.mark.parametrize(
    ("face", "to", "body", "model"),
    [
        ("claude", "gemini", searching("claude", beside=True), "gemini-2.5-flash"),
        ("responses", "gemini", searching("responses", beside=True), "gemini-2.5-flash"),
        ("responses", "claude", {"tools": [FUNCTIONS["responses"]], "tool_choice": {"type": "web_search"}}, "m"),
        *(
            (
                "claude", to, {"tools": [FINDER, FUNCTIONS["claude"]],
                               "tool_choice": {"type": "tool", "name": FINDER["name"]}}, MODELS[to],
            )
            for to in ("chat", "gemini", "responses")
        ),
    ],
)  # fmt: skip
async def test_choice_of_a_tool_that_is_not_sent_forces_no_other(
    face: str, to: str, body: dict[str, Any], model: str
) -> None:
    asked = await ask(face, to, body, ANSWERS[to](), model=model)
    assert asked.answer.status == 200, asked.answer.text
    assert sent_choice(to, asked.sent) in (AUTO[to], None)
    assert asked.notices["tool_choice"] == "lost"


async def test_tools_are_told_to_ollama_where_the_one_that_must_be_called_is_not_sent() -> None:
    body = {"tools": [FINDER, FUNCTIONS["claude"]], "tool_choice": {"type": "tool", "name": FINDER["name"]}}
    said = {"model": "up", "message": {"role": "assistant", "content": "Hello"}, "done": True, "done_reason": "stop"}
    asked = await ask("claude", "ollama", body, answering(said))
    assert [tool["function"]["name"] for tool in asked.sent["tools"]] == ["f"]
    assert len(asked.sent["messages"]) == 1, "nothing is asked for in words"
    assert asked.notices["tool_choice"] == "lost"


@pytest.mark.parametrize("to", ["claude", "responses"])
async def test_search_by_options_is_told_as_lost_where_no_call_means_no_search(to: str) -> None:
    body = {"web_search_options": {}, "tools": [FUNCTIONS["chat"]], "tool_choice": "none"}
    asked = await ask("chat", to, body, ANSWERS[to](), model=MODELS[to])
    assert [tool.get("name") for tool in asked.sent["tools"]] == ["f"]
    assert asked.notices["web_search_options"] == "lost"


@pytest.mark.parametrize("to", ["claude", "responses"])
async def test_search_by_options_alone_is_none_of_the_tools_that_may_not_be_called(to: str) -> None:
    asked = await ask("chat", to, {"web_search_options": {}, "tool_choice": "none"}, ANSWERS[to](), model=MODELS[to])
    assert "tool_choice" not in asked.sent
    assert asked.notices["web_search_options"] == "changed"
    assert asked.notices["tool_choice"] == "hint"


async def test_gemini_searches_by_options_beside_functions_that_may_not_be_called() -> None:
    body = {"web_search_options": {}, "tools": [FUNCTIONS["chat"]], "tool_choice": "none"}
    asked = await ask("chat", "gemini", body, ANSWERS["gemini"](), model=MODELS["gemini"])
    assert [*asked.sent["tools"][1]] == ["googleSearch"]
    assert sent_choice("gemini", asked.sent) == {"mode": "NONE"}


@pytest.mark.parametrize("beside", [False, True])
async def test_gemini_is_given_no_search_where_no_tool_may_be_called(*, beside: bool) -> None:
    body = {"tools": [CLAUDES, *([FUNCTIONS["claude"]] if beside else [])], "tool_choice": {"type": "none"}}
    asked = await ask("claude", "gemini", body, ANSWERS["gemini"](), model=MODELS["gemini"])
    assert len(asked.sent.get("tools", [])) == int(beside)
    assert sent_choice("gemini", asked.sent) == ({"mode": "NONE"} if beside else None)
    assert "lost" not in asked.notices.values()
