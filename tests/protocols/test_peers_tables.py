"""Features that gateways lose between OpenAI Chat and Anthropic Messages, row by row, through the whole gateway.

Each row was lost or changed in silence by at least one widely used gateway. Here its value is on the other side, or a
Notice says where it stood, or a 400 names its field. What a row does not report must not be reported: Notices are
compared whole, unless a row says that others may be among them.
"""

from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.asking import (
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    response_answer,
)
from tests.support.cases import row_params, rows
from tests.support.places import all_at
from tests.support.scripted_client import Script
from tests.support.sdk_reading import sdk_error, sdk_message

pytestmark = pytest.mark.anyio

CLASSIC = "claude-sonnet-4-5"
OF_EVERY_ANSWER = ("anthropic-version", "created")
"""Hints that say no more than that the two protocols are not one."""
CHAT_ROWS = """
temperature|max_tokens absent|stop as a string|parallel_tool_calls=false|tool_choice none|response_format json_schema
response_format json_object|reasoning_effort|PDF file part|input_audio|assistant text beside tool_calls|tool arguments
tool schema keywords|is_error on tool result|cache_control|mid-conversation system/developer|thinking in stream out
server_tool_use out|several thinking blocks|stream ids / finish|unknown stop_reason
"""
CLAUDE_ROWS = """
max_tokens|stop_sequences|temperature + top_p both|thinking budget|adaptive thinking default effort
output_config.effort w/o thinking|thinking history|document block|lone image in tool_result|lone document in tool_result
tool_result.is_error|tool_choice any|tool_choice none|disable_parallel_tool_use|Anthropic server tools
output_config.format|tool names >64 / bad chars|mid-conversation role=system|user text/images beside tool_result
reasoning_effort + tools|upstream reasoning|usage on a chunk that also has choices|cached tokens subtracted
interleaved parallel tool deltas|content_filter|EOF without finish_reason|message_start.usage
"""


@pytest.mark.parametrize(
    ("table", "names"),
    [("chat_to_messages", CHAT_ROWS), ("messages_to_chat", CLAUDE_ROWS)],
    ids=["21 rows", "27 rows"],
)
def test_every_row_of_a_table_is_tested_in_its_order(table: str, names: str) -> None:
    tested = dict.fromkeys(row["id"].partition(": ")[0] for row in rows("peers", table))
    assert list(tested) == names.strip().replace("\n", "|").split("|")


@pytest.mark.parametrize("row", row_params("peers", "chat_to_messages"))
async def test_chat_caller_of_an_anthropic_upstream(row: dict[str, Any]) -> None:
    script = claude_answer(**row.get("answer", {}))
    if "events" in row:
        blocks = [(block["block"], block["deltas"]) for block in row["events"]]
        script = claude_stream(claude_events(*blocks, stop=row.get("stop", "end_turn")))
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in named(row)]
    asked = await asked_by("chat", "claude", row, tools, script)
    judge("chat", row, asked)


@pytest.mark.parametrize("row", row_params("peers", "messages_to_chat"))
async def test_anthropic_caller_of_a_chat_upstream(row: dict[str, Any]) -> None:
    script = response_answer() if "side" in row else chat_answer(**row.get("answer", {}))
    if "events" in row:
        chunks = [chunk(event["delta"], event.get("finish"), usage=event.get("usage")) for event in row["events"]]
        script = chat_stream(*chunks, done=row.get("done", True))
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in named(row)]
    asked = await asked_by("claude", "chat", row, tools, script)
    judge("claude", row, asked)


def named(row: dict[str, Any]) -> list[str]:
    names: list[str] = row.get("tools", [])
    return names


async def asked_by(face: str, to: str, row: dict[str, Any], tools: list[Any], script: Script) -> Asked:
    body = {**({"tools": tools} if tools else {}), **({"stream": True} if "events" in row else {}), **row["body"]}
    model = row.get("model", CLASSIC if to == "claude" else "gpt-5")
    return await ask(face, to, body, script, model=model, profile=row.get("profile"), side=row.get("side", {}))


def judge(face: str, row: dict[str, Any], asked: Asked) -> None:
    """Compare both ends with a row."""
    if "refused" in row:
        problem = asked.json["error"]
        names = problem.get("param") or problem["message"]
        assert (asked.answer.status, asked.upstream.calls) == (400, [])
        assert row["refused"] in names
        return
    assert asked.answer.status == 200, asked.answer.text
    assert all_at(asked.sent, row.get("sent", {})) == row.get("sent", {})
    told = {path: severity for path, severity in asked.notices.items() if path not in OF_EVERY_ANSWER}
    wanted = row.get("notices", {})
    assert (wanted if row.get("any_notices") else told) == wanted, told
    if "raises" in row:
        assert type(sdk_error(face, asked.answer, stream=True)).__name__ == row["raises"]
        return
    if "events" in row:
        assert all_at(asked.events[0], row.get("begins", {})) == row.get("begins", {})
        if face == "chat":
            chunks = [event for event in asked.events if event != "[DONE]"]
            assert all(a["id"] == b["id"] for a, b in pairwise(chunks))
            assert len([c for c in chunks for choice in c["choices"] if choice["finish_reason"]]) == 1
    if "told" in row:
        answer = sdk_message(face, asked.answer) if "events" in row else asked.json
        assert all_at(answer, row["told"]) == row["told"]
