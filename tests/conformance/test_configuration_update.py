"""What a Responses request changes on its way, and nobody here can honour: carried to the vendor, or reported."""

from typing import Any

import pytest

from .asking import ask, chat_answer

pytestmark = pytest.mark.anyio

UPDATE: dict[str, Any] = {"type": "configuration_update", "reasoning": {"effort": "low"}}
HELLO = {"type": "message", "role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("unknown", "told"),
    [
        pytest.param({}, set(), id="all of it is honoured"),
        pytest.param({"unheard_of": 1}, {"input[1]"}, id="a part of it is not"),
    ],
)
async def test_what_of_an_update_is_not_honoured_is_reported(unknown: dict[str, Any], told: set[str]) -> None:
    asked = await ask("responses", "chat", {"input": [HELLO, {**UPDATE, **unknown}]}, chat_answer())
    assert asked.sent["reasoning_effort"] == "low"
    assert {path for path in asked.notices if path.startswith("input")} == told
