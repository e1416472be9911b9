"""openai-C54, C55, C58, C59, C62: what a Responses client asks of other vendors, and what others ask of its vendor."""

import json
from typing import Any

import pytest

from tests.support.scripted_client import answering

from .asking import (
    ask,
    called_item,
    chat_answer,
    claude_answer,
    error,
    response_answer,
    response_events,
    response_stream,
    said_item,
)

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CHAT_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CLAUDE_TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
QUESTION = {"role": "user", "content": "go"}


def called(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def output(call_id: str, said: Any = "r") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


# --- a Responses client -----------------------------------------------------------------------------------------------


async def test_openai_C54_tool_that_the_vendor_runs_is_refused_elsewhere() -> None:
    tools = [{"type": "file_search", "vector_store_ids": ["vs_1"]}]
    asked = await ask("responses", "claude", {"tools": tools}, claude_answer())
    told = asked.json["error"]
    assert (asked.answer.status, told["code"], told["param"]) == (400, "unsupported_value", "tools[0].type")
    assert asked.upstream.calls == []


async def test_openai_C54_search_of_the_web_is_anthropics_own_and_cites() -> None:
    citation = {"type": "web_search_result_location", "url": "https://example.com", "title": "T", "cited_text": "x",
                "encrypted_index": "i"}  # fmt: skip
    answer = claude_answer([{"type": "text", "text": "Found.", "citations": [citation]}])
    search = {"type": "web_search", "filters": {"allowed_domains": ["example.com"]}}
    asked = await ask("responses", "claude", {"tools": [search]}, answer)
    (tool,) = asked.sent["tools"]
    assert (tool["type"], tool["allowed_domains"]) == ("web_search_20260318", ["example.com"])
    (part,) = asked.json["output"][0]["content"]
    (cited,) = part["annotations"]
    assert (cited["type"], cited["url"]) == ("url_citation", "https://example.com")
    assert 0 <= cited["start_index"] <= cited["end_index"] <= len(part["text"])


async def test_openai_C55_items_of_one_turn_are_one_message_with_its_results_behind_it() -> None:
    rules = {"type": "message", "role": "developer", "content": "Rules."}
    body = {"input": [QUESTION, called("a"), called("b"), rules, output("b", "r b"), output("a", "r a")]}
    body |= {"tools": [FUNCTION]}
    asked = await ask("responses", "chat", body, chat_answer())
    _, turn, *results, last = asked.sent["messages"]
    assert [call["id"] for call in turn["tool_calls"]] == ["a", "b"]
    assert [(message["tool_call_id"], message["content"]) for message in results] == [("b", "r b"), ("a", "r a")]
    assert [message["role"] for message in (*results, last)] == ["tool", "tool", "developer"]


async def test_thought_text_and_call_are_one_turn_of_anthropics() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]}
    body = {"input": [QUESTION, said, called("a"), output("a")], "tools": [FUNCTION]}
    asked = await ask("responses", "claude", body, claude_answer())
    assert [message["role"] for message in asked.sent["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in asked.sent["messages"][1]["content"]] == ["text", "tool_use"]


async def test_instructions_and_settings_are_said_in_chats_words() -> None:
    schema = {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}
    limits = {
        "max_output_tokens": 50,
        "reasoning": {"effort": "high"},
        "tool_choice": {"type": "function", "name": "f"},
    }
    body = {"instructions": "Be brief.", "tools": [FUNCTION], **limits,
            "text": {"format": schema, "verbosity": "low"}}  # fmt: skip
    sent = (await ask("responses", "chat", body, chat_answer())).sent
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (sent["max_completion_tokens"], sent["reasoning_effort"], sent["verbosity"]) == (50, "high", "low")
    assert sent["response_format"]["json_schema"] == {"name": "s", "schema": {"type": "object"}, "strict": True}
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}


async def test_history_of_a_client_is_not_refused_for_its_ids() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    body = {"input": [QUESTION, thought, {**called("a"), "id": "fc_1", "status": "completed"}, output("a")]}
    tools = {"tools": [FUNCTION]}
    asked = await ask("responses", "chat", {**body, **tools}, chat_answer(), on_unsupported="reject")
    assert asked.answer.status == 200, asked.answer.text


# --- an upstream of the protocol --------------------------------------------------------------------------------------


async def test_openai_C55_chat_client_asks_a_responses_upstream() -> None:
    body = {
        "messages": [{"role": "system", "content": "S"}, QUESTION],
        "max_completion_tokens": 5,
        "tools": [CHAT_TOOL],
    }
    asked = await ask("chat", "responses", body, response_answer())
    assert (asked.sent["store"], asked.sent["tools"][0]["strict"], asked.sent["max_output_tokens"]) == (
        False,
        False,
        16,
    )
    assert (asked.sent["instructions"], asked.sent["input"]) == ("S", "go")
    assert asked.notices["max_completion_tokens"] == "changed"
    assert asked.json["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_of_a_responses_upstream_reach_a_chat_client(stream: bool) -> None:
    items = [said_item("Both."), called_item("a", "f", '{"x":1}'), called_item("b", "f", "{}")]
    script = response_stream(response_events(*items), split=7) if stream else response_answer(items)
    asked = await ask("chat", "responses", {"stream": stream, "tools": [CHAT_TOOL]}, script)
    if not stream:
        (choice,) = asked.json["choices"]
        calls = [(call["id"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"]]
        assert (choice["finish_reason"], calls) == ("tool_calls", [("a", '{"x":1}'), ("b", "{}")])
        return
    deltas = [event["choices"][0]["delta"] for event in asked.events[:-1]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    arguments: dict[int, str] = {}
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls", ())):
        arguments[piece["index"]] = arguments.get(piece["index"], "") + piece["function"]["arguments"]
    assert (text, arguments) == ("Both.", {0: '{"x":1}', 1: "{}"})


async def test_claude_client_talks_with_results_in_its_turns() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}, picture]}
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}
    turns = [QUESTION, {"role": "assistant", "content": [{"type": "text", "text": "Look."}, use]},
             {"role": "user", "content": [result, {"type": "text", "text": "so?"}]}]  # fmt: skip
    asked = await ask("claude", "responses", {"messages": turns, "tools": [CLAUDE_TOOL]}, response_answer())
    kinds = [item["type"] for item in asked.sent["input"]]
    assert kinds == ["message", "message", "function_call", "function_call_output", "message"]
    assert asked.sent["input"][3]["output"] == [
        {"type": "input_text", "text": "r"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
    ]
    assert asked.json["content"] == [{"type": "text", "text": "Hello"}]


async def test_claude_client_gets_the_vendors_reasoning_back_to_it() -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}],
               "encrypted_content": "gAAA=="}  # fmt: skip
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2_048}, "max_tokens": 4_096}
    asked = await ask("claude", "responses", thinking, response_answer([thought, said_item("Hi")]))
    assert asked.sent["reasoning"] == {"effort": "medium", "summary": "auto"}
    block, _ = asked.json["content"]
    assert (block["type"], block["thinking"]) == ("thinking", "Hm.")
    turns = [QUESTION, {"role": "assistant", "content": asked.json["content"]}, QUESTION]
    again = await ask("claude", "responses", {"messages": turns, **thinking}, response_answer())
    assert again.sent["input"][1]["encrypted_content"] == "gAAA=="


async def test_openai_C62_failure_of_a_responses_upstream_is_an_error_event_of_anthropics() -> None:
    *events, end = response_events(said_item("Hi"))
    failed = {**end["response"], "status": "failed", "error": {"code": "server_error", "message": "boom"}}
    script = response_stream([*events, {**end, "type": "response.failed", "response": failed}])
    asked = await ask("claude", "responses", {"stream": True}, script)
    assert (asked.events[-1]["type"], asked.events[-1]["error"]["type"]) == ("error", "api_error")
    assert "message_stop" not in asked.answer.text


async def test_failure_inside_a_200_is_a_status() -> None:
    failed = {"code": "rate_limit_exceeded", "message": "Slow down."}
    asked = await ask("chat", "responses", {}, response_answer([], status="failed", error=failed))
    assert (asked.answer.status, asked.json["error"]["code"]) == (429, "rate_limit_exceeded")


@pytest.mark.parametrize(("status", "told"), [(400, 400), (401, 502), (404, 404), (429, 429), (500, 502), (503, 503)])
async def test_openai_C58_errors_are_told_in_the_vendors_words(status: int, told: int) -> None:
    asked = await ask("responses", "claude", {}, error(status, {"type": "error", "error": {"message": "x"}}))
    assert asked.answer.status == told
    assert asked.json["error"].keys() == {"message", "type", "param", "code"}


async def test_openai_C59_wait_of_the_upstream_passes_as_it_came() -> None:
    asked = await ask("responses", "claude", {}, error(429, {"type": "error", "error": {"type": "rate_limit_error",
                                                       "message": "x"}}, retry_after="2"))  # fmt: skip
    assert (asked.answer.status, asked.answer.header("retry-after")) == (429, "2")


async def test_tokens_are_counted_by_an_upstream_that_counts() -> None:
    script = claude_answer()
    counted = await ask("responses", "claude", {}, _count(script), path="/v1/responses/input_tokens")
    assert counted.json == {"object": "response.input_tokens", "input_tokens": 7}
    assert counted.upstream.calls[0].request.url.endswith("/v1/messages/count_tokens")


async def test_claude_client_lets_a_responses_upstream_count() -> None:
    answer = {"object": "response.input_tokens", "input_tokens": 7}
    counted = await ask("claude", "responses", {"max_tokens": ...}, _count(answer), path="/v1/messages/count_tokens")
    assert counted.json == {"input_tokens": 7}
    assert counted.upstream.calls[0].request.url.endswith("/responses/input_tokens")
    assert json.dumps(counted.sent).count("max_output_tokens") == 0


def _count(answer: Any) -> Any:
    return answering(answer if isinstance(answer, dict) else {"input_tokens": 7})
