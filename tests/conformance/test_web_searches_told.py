"""protocol-openai E3: a search of the web that Anthropic ran is a ``web_search_call`` on the face of Responses."""

from typing import Any

import pytest

from .asking import TEXT_BLOCK, Asked, ask, claude_answer, claude_events, claude_stream
from .responses_events import check_order, kinds

pytestmark = pytest.mark.anyio

TOOL = {"type": "web_search"}
FOUND = [
    {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "E=="},
    {"type": "web_search_result", "url": "https://b.example", "title": "B", "encrypted_content": "E=="},
]
FAILED = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
HELLO = {"type": "text", "text": "Hello"}


def searched(id_: str, query: str) -> dict[str, Any]:
    return {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": query}}


def result(id_: str, content: Any) -> dict[str, Any]:
    return {"type": "web_search_tool_result", "tool_use_id": id_, "content": content}


def streamed(*blocks: dict[str, Any]) -> Any:
    """Return a stream of these blocks; the input of a search comes in pieces."""
    events: list[Any] = []
    for block in blocks:
        if block["type"] == "server_tool_use":
            text = f'{{"query": "{block["input"]["query"]}"}}'
            pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in (text[:6], text[6:])]
            events.append(({**block, "input": {}}, pieces))
        else:
            events.append((block, []) if block["type"] != "text" else TEXT_BLOCK)
    return claude_stream(claude_events(*events))


def told(query: str, status: str, *urls: str) -> dict[str, Any]:
    sources = [{"type": "url", "url": url} for url in urls]
    action = {"type": "search", "query": query, "queries": [query], "sources": sources}
    return {"type": "web_search_call", "status": status, "action": action}


def items(asked: Asked, *, stream: bool) -> list[Any]:
    """Return the items of an answer without their ids, which are checked."""
    output = asked.events[-2]["response"]["output"] if stream else asked.json["output"]
    for item in output:
        if item["type"] == "web_search_call":
            assert item.pop("id").startswith("ws_")
    return [item for item in output if item["type"] == "web_search_call"]


CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "found": (
        [searched("s1", "q"), result("s1", FOUND), HELLO],
        [told("q", "completed", "https://a.example", "https://b.example")],
    ),
    "nothing found": ([searched("s1", "q"), result("s1", []), HELLO], [told("q", "completed")]),
    "failed": ([searched("s1", "q"), result("s1", FAILED), HELLO], [told("q", "failed")]),
    "two at once": (
        [searched("s1", "q"), searched("s2", "r"), result("s2", FOUND[:1]), result("s1", FOUND[1:]), HELLO],
        [told("r", "completed", "https://a.example"), told("q", "completed", "https://b.example")],
    ),
    "broken off": ([HELLO, searched("s1", "q")], [told("q", "incomplete")]),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", list(CASES))
async def test_search_is_told_with_what_it_found(case: str, stream: bool) -> None:
    blocks, expected = CASES[case]
    script = streamed(*blocks) if stream else claude_answer(blocks)
    asked = await ask("responses", "claude", {"tools": [TOOL], "stream": stream}, script)
    if stream:
        check_order(asked)
    assert items(asked, stream=stream) == expected
    assert "lost" not in asked.notices.values(), asked.notices


async def test_search_is_streamed_in_the_steps_of_its_kind() -> None:
    script = streamed(searched("s1", "q"), result("s1", FOUND))
    asked = await ask("responses", "claude", {"tools": [TOOL], "stream": True}, script)
    steps = [f"response.web_search_call.{step}" for step in ("in_progress", "searching", "completed")]
    assert kinds(asked)[2:-1] == ["response.output_item.added", *steps, "response.output_item.done"]
    added = asked.events[2]["item"]
    assert (added["status"], added["action"]) == ("in_progress", {"type": "search"})
    assert {event["item_id"] for event in asked.events[3:6]} == {added["id"]}


async def test_search_that_failed_does_not_say_that_it_was_completed() -> None:
    script = streamed(searched("s1", "q"), result("s1", FAILED))
    asked = await ask("responses", "claude", {"tools": [TOOL], "stream": True}, script)
    assert "response.web_search_call.completed" not in kinds(asked)


async def test_other_tools_that_the_vendor_runs_are_lost_as_before() -> None:
    ran = {"type": "server_tool_use", "id": "s1", "name": "code_execution", "input": {}}
    asked = await ask("responses", "claude", {}, claude_answer([ran, HELLO]))
    assert asked.notices["content[0]"] == "lost"
