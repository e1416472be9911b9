"""openai-C58, C59, C61: errors as the OpenAI SDK needs them, and interleaved calls on their way to Anthropic."""

from typing import Any

import pytest

from .asking import ask, chat_stream, chunk, error

pytestmark = pytest.mark.anyio

NATIVE = {"message", "type", "param", "code"}
GEMINI = [{"error": {"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT"}}]
CASES: list[tuple[int, Any, int, str, str | None]] = [
    (400, {"error": {"message": "no", "type": "invalid_request_error", "param": "x", "code": None}}, 400,
     "invalid_request_error", None),
    (401, {"error": {"message": "bad key", "code": "invalid_api_key"}}, 502, "server_error", "upstream_auth_error"),
    (403, {"error": {"message": "no access"}}, 502, "server_error", "upstream_auth_error"),
    (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, 404,
     "invalid_request_error", "model_not_found"),
    (409, {"error": {"message": "again"}}, 409, "invalid_request_error", None),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "wrong"}]}, 400, "invalid_request_error", None),
    (429, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}, 429, "requests",
     "rate_limit_exceeded"),
    (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, 429,
     "insufficient_quota", "insufficient_quota"),
    (500, {"error": {"message": "oops"}}, 502, "server_error", "upstream_error"),
    (503, {"error": {"message": "busy"}}, 503, "server_error", "server_is_overloaded"),
    (400, GEMINI, 400, "invalid_request_error", None),
    (502, b"<html><body>Bad gateway</body></html>", 502, "server_error", "upstream_error"),
]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("status", "body", "expected", "type_", "code"), CASES, ids=lambda value: str(value)[:24])
async def test_openai_C58_body_is_well_formed(
    status: int, body: Any, expected: int, type_: str, code: str | None, streamed: bool
) -> None:
    script = error(status, body)
    asked = await ask("chat", "chat", {"stream": streamed}, script, script, script, profile="lenient")
    assert asked.answer.status == expected
    assert asked.json["error"].keys() == NATIVE
    assert (asked.json["error"]["type"], asked.json["error"]["code"]) == (type_, code)
    assert asked.answer.header("x-request-id")


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C59_wait_of_the_upstream_is_passed_on_as_it_came(to: str) -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}
    asked = await ask("chat", to, {}, error(429, body, retry_after="2"))
    assert (asked.answer.status, asked.answer.header("retry-after")) == (429, "2")
    assert asked.answer.header("x-should-retry") is None


async def test_openai_C59_spent_quota_is_not_to_be_repeated() -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    asked = await ask("chat", "chat", {}, error(429, body, retry_after="2"))
    assert asked.answer.header("x-should-retry") == "false"


async def test_openai_C59_refused_key_is_a_502() -> None:
    asked = await ask("chat", "chat", {}, error(401, {"error": {"message": "Incorrect API key sk-abc123456"}}))
    assert (asked.answer.status, asked.answer.header("x-should-retry")) == (502, "false")
    assert "sk-abc" not in asked.answer.text


async def test_openai_C61_interleaved_calls_become_blocks_one_after_the_other() -> None:
    def piece(index: int, text: str, **head: Any) -> dict[str, Any]:
        named = {"name": head.pop("name")} if "name" in head else {}
        return chunk({"tool_calls": [{"index": index, **head, "function": {**named, "arguments": text}}]})

    usage = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109,
             "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5}}  # fmt: skip
    script = chat_stream(
        piece(0, "", id="c0", name="f"), piece(1, "", id="c1", name="g"), piece(0, '{"a"'), piece(1, '{"b"'),
        piece(0, ":1}"), piece(1, ":2}"), chunk({}, "tool_calls"), chunk(usage=usage, choices=[]),
    )  # fmt: skip
    asked = await ask("claude", "chat", {"stream": True}, script)
    open_block, seen, texts = None, [], {0: "", 1: ""}
    for event in asked.events:
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                open_block = event["index"]
                seen.append((event["index"], event["content_block"]["name"]))
            case "content_block_delta":
                assert event["index"] == open_block
                texts[event["index"]] += event["delta"]["partial_json"]
            case "content_block_stop":
                open_block = None
    assert seen == [(0, "f"), (1, "g")]
    assert texts == {0: '{"a":1}', 1: '{"b":2}'}
    (delta,) = [event for event in asked.events if event["type"] == "message_delta"]
    assert delta["delta"]["stop_reason"] == "tool_use"
    assert delta["usage"]["input_tokens"] == 15
