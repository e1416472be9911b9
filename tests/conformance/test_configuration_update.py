"""What a Responses request changes on its way, and nobody here can honour: carried to the vendor, or reported."""

from typing import Any

import pytest

from .asking import ask, chat_answer

pytestmark = pytest.mark.anyio

UPDATE: dict[str, Any] = {"type": "configuration_update", "reasoning": {"effort": "low"}}
HELLO = {"type": "message", "role": "user", "content": "Hi"}


EMPTY = ("input[1]", "hint")
"""Nothing else is in that message."""
OPAQUE = {"reasoning": {"effort": "low", "unheard_of": 1}}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param({}, set(), id="all of it is honoured"),
        pytest.param({"unheard_of": 1}, {("input[1]", "lost"), EMPTY}, id="a part of it is not"),
        pytest.param(OPAQUE, {("input[1].reasoning.unheard_of", "lost")}, id="a part of what it says is not"),
        pytest.param({"id": "u_1"}, {("input[1].id", "hint")}, id="what names it is not passed on"),
    ],
)
async def test_what_of_an_update_is_not_honoured_is_reported(more: dict[str, Any], told: set[tuple[str, str]]) -> None:
    asked = await ask("responses", "chat", {"input": [HELLO, {**UPDATE, **more}]}, chat_answer())
    assert asked.sent["reasoning_effort"] == "low"
    assert {(notice.path, notice.severity) for notice in asked.records[-1].notices} == told


async def test_what_an_update_stands_in_place_of_is_a_hint() -> None:
    earlier = {**UPDATE, "reasoning": {"effort": "high"}}
    asked = await ask(
        "responses", "chat", {"reasoning": {"effort": "medium"}, "input": [HELLO, earlier, UPDATE]}, chat_answer()
    )
    assert asked.sent["reasoning_effort"] == "low"
    assert asked.notices == {"reasoning": "hint", "input[1].reasoning": "hint"}
