"""What callers and models say is in no log and no Record, at any level, whatever becomes of the request."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.asking import ask, chat_answer, chat_stream, chunk, claude_answer, error
from tests.support.scripted_client import Answering

pytestmark = pytest.mark.anyio

ASKED, TOLD = "what-the-caller-asked-in-confidence", "what-the-model-told-in-confidence"
CUT = chat_stream(chunk({"content": TOLD}), done=False)
ANSWERS: dict[str, tuple[str, bool, Callable[[], Answering]]] = {
    "relayed": ("chat", False, lambda: chat_answer({"content": TOLD})),
    "relayed as a stream": ("chat", True, lambda: chat_stream(chunk({"content": TOLD}), chunk({}, "stop"))),
    "translated": ("claude", False, lambda: claude_answer([{"type": "text", "text": TOLD}])),
    "broken off": ("chat", True, lambda: CUT),
    "of a wrong form": ("claude", False, lambda: claude_answer([{"type": "text", "text": {"told": TOLD}}])),
    "refused with an echo": ("chat", False, lambda: error(400, {"error": {"message": f"{ASKED}: {TOLD}"}})),
    "failed with an echo": ("claude", False, lambda: error(500, {"error": {"message": f"{ASKED}: {TOLD}"}})),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_content_is_in_no_log_and_no_record(case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    to, stream, make = ANSWERS[case]
    body: dict[str, Any] = {"messages": [{"role": "user", "content": ASKED}], "stream": stream, "seed": 7}
    asked = await ask("chat", to, body, make())
    assert ASKED.encode() in asked.upstream.calls[0].request.body, "it was asked"
    assert asked.answer.status != 200 or TOLD in asked.answer.text
    told = [repr(record.__dict__) + record.getMessage() for record in caplog.records]
    assert told, "something was logged"
    whole = caplog.text + "".join(told) + repr(asked.records)
    assert ASKED not in whole
    assert TOLD not in whole
