"""anthropic-C01..C36, C38..C40 on the client's side: what an Anthropic caller gets from an upstream of Chat."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.support.asgi_driver import Exchange, call
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.http_bytes import sse_body
from tests.support.scripted_client import NEVER, Delay, ScriptedUpstream, answering, streaming
from tests.support.virtual_time import run_virtual

from .asking import (
    HELLO,
    Asked,
    ask,
    assert_estimated,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    error,
    response_answer,
    said_item,
)

pytestmark = pytest.mark.anyio

TOOL = {"name": "f", "input_schema": {"type": "object"}}


def of_type(asked: Asked, kind: str) -> list[Any]:
    return [event for event in asked.events if event["type"] == kind]


def message_of(asked: Asked) -> list[Any]:
    """Return the content that the deltas of a stream add up to: (type, text, input text)."""
    blocks: dict[int, list[str]] = {}
    for event in asked.events:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = [event["content_block"]["type"], ""]
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            text = delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
            blocks[event["index"]][1] += text
    assert list(blocks) == list(range(len(blocks)))
    return [tuple(block) for block in blocks.values()]


async def test_anthropic_C01_query_beta_changes_nothing() -> None:
    scripted = ScriptedUpstream(chat_answer(), chat_answer())
    gateway = make_gateway(upstream("chat"), scripts={"chat": scripted})
    body = {"model": "chat/m", "max_tokens": 5, "messages": HELLO}
    answers = [await call(gateway, "POST", "/v1/messages", json=body, query=query) for query in ("", "beta=true")]
    assert answers[0].body == answers[1].body
    assert scripted.calls[0].request.body == scripted.calls[1].request.body


async def test_anthropic_C05_missing_max_tokens_is_refused() -> None:
    asked = await ask("claude", "chat", {"max_tokens": ...})
    assert (asked.answer.status, asked.json["error"]["type"]) == (400, "invalid_request_error")
    assert "max_tokens" in asked.json["error"]["message"]
    assert asked.upstream.calls == []


async def test_anthropic_C05_zero_warms_the_cache_of_a_vendor_that_can() -> None:
    asked = await ask("claude", "claude", {"max_tokens": 0}, claude_answer([]))
    assert (asked.answer.status, asked.sent["max_tokens"]) == (200, 0)


async def test_anthropic_C06_string_and_text_block_mean_the_same() -> None:
    sent = []
    for content in ("Hi", [{"type": "text", "text": "Hi"}]):
        asked = await ask("claude", "chat", {"messages": [{"role": "user", "content": content}]}, chat_answer())
        sent.append(asked.sent)
    assert sent[0] == sent[1]


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


def after_tool(**result: Any) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    return [*HELLO, {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", **result}]}]  # fmt: skip


async def test_anthropic_C11_image_of_a_result_follows_in_a_user_message() -> None:
    messages = after_tool(content=[{"type": "text", "text": "see"}, PICTURE])
    asked = await ask("claude", "chat", {"messages": messages, "tools": [TOOL]}, chat_answer())
    *_, result, shown = asked.sent["messages"]
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "t1", "see")
    assert (shown["role"], shown["content"][-1]["type"]) == ("user", "image_url")
    assert "t1" in shown["content"][0]["text"]


async def test_anthropic_C12_failed_result_says_so() -> None:
    messages = after_tool(content="no such file", is_error=True)
    asked = await ask("claude", "chat", {"messages": messages, "tools": [TOOL]}, chat_answer())
    assert asked.sent["messages"][-1]["content"] == "Error: no such file"


def fragment(text: str, index: int = 0, **head: Any) -> dict[str, Any]:
    named = {"name": head.pop("name")} if "name" in head else {}
    return chunk({"tool_calls": [{"index": index, **head, "function": {**named, "arguments": text}}]})


@pytest.mark.parametrize("split", [0, 1, 7])
async def test_anthropic_C14_arguments_split_inside_an_escape_stay_valid(split: int) -> None:
    script = chat_stream(
        fragment('{"city":"Z\\u00', id="c", name="f"), fragment('fcrich \\ud83d\\ude00 ü"}'), chunk({}, "tool_calls"),
        split=split,
    )  # fmt: skip
    asked = await ask("claude", "chat", {"stream": True, "tools": [TOOL]}, script)
    ((kind, text),) = message_of(asked)
    assert (kind, json.loads(text)) == ("tool_use", {"city": "Zürich 😀 ü"})


async def test_anthropic_C15_interleaved_calls_become_blocks_in_sequence() -> None:
    heads = [fragment("", 0, id="a", name="f"), fragment("", 1, id="b", name="g")]
    pieces = [fragment('{"x":', 0), fragment('{"y":', 1), fragment("1}", 0), fragment("2}", 1)]
    script = chat_stream(*heads, *pieces, chunk({}, "tool_calls"))
    asked = await ask("claude", "chat", {"stream": True}, script)
    assert message_of(asked) == [("tool_use", '{"x":1}'), ("tool_use", '{"y":2}')]


async def test_anthropic_C16_call_without_arguments_is_valid_json() -> None:
    script = chat_stream(fragment("", id="a", name="f"), chunk({}, "tool_calls"))
    asked = await ask("claude", "chat", {"stream": True}, script)
    ((_, text),) = message_of(asked)
    assert text in ("", "{}")


@pytest.mark.parametrize("pieces", [['{"path": "/etc", ', '"n'], ['{"path": "a"}', '{"path": "b"}']])
async def test_anthropic_C16_call_that_is_no_json_is_never_passed_off_as_another_one(pieces: list[str]) -> None:
    script = chat_stream(fragment(pieces[0], id="c", name="f"), fragment(pieces[1]), chunk({}, "tool_calls"))
    asked = await ask("claude", "chat", {"stream": True}, script)
    kinds = [event["type"] for event in asked.events]
    assert kinds[-1] == "error"
    assert not {"content_block_stop", "message_delta", "message_stop"} & {*kinds}
    assert asked.records[-1].result == "interrupted"


async def test_anthropic_C17_empty_text_makes_no_block() -> None:
    script = chat_stream(chunk({"role": "assistant", "content": ""}), fragment("{}", id="a", name="f"),
                         chunk({}, "tool_calls"))  # fmt: skip
    asked = await ask("claude", "chat", {"stream": True}, script)
    assert [kind for kind, _ in message_of(asked)] == ["tool_use"]


async def test_anthropic_C18_every_event_is_named_after_its_type() -> None:
    script = chat_stream(chunk({"reasoning_content": "hm"}), chunk({"content": "x"}), chunk({}, "stop"))
    asked = await ask("claude", "chat", {"stream": True}, script, profile="lenient")
    frames = asked.answer.text.rstrip("\n").split("\n\n")
    for frame in frames:
        match = re.fullmatch(r"event: (\w+)\ndata: (.*)", frame, re.S)
        assert match is not None
        assert json.loads(match[2])["type"] == match[1]
    assert "[DONE]" not in asked.answer.text


@run_virtual
async def test_anthropic_C19_silence_is_bridged_by_pings() -> None:
    script = streaming(Delay(20), sse_body([chunk({"content": "x"}), chunk({}, "stop"), "[DONE]"]))
    asked = await ask("claude", "chat", {"stream": True}, script)
    assert asked.answer.status == 200
    assert [event["type"] for event in asked.events][:2] == ["ping", "message_start"]


@run_virtual
async def test_anthropic_C19_error_within_the_grace_period_keeps_its_status() -> None:
    body = {"error": {"message": "no", "type": "invalid_request_error"}}
    slow = replace(error(400, body), before=[Delay(10)])
    asked = await ask("claude", "chat", {"stream": True}, slow)
    assert asked.answer.status == 400


async def test_anthropic_C23_too_long_is_said_in_the_words_that_clients_look_for() -> None:
    text = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
    asked = await ask("claude", "chat", {}, error(400, {"error": {"message": text, "code": "context_length_exceeded"}}))
    assert asked.answer.status == 400
    assert re.search(r"prompt is too long: \d+ tokens > \d+ maximum", asked.json["error"]["message"])


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 9,
    "total_tokens": 109,
    "prompt_tokens_details": {"cached_tokens": 80},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


async def test_anthropic_C24_input_excludes_what_was_cached() -> None:
    script = chat_stream(chunk({"content": "x"}), chunk({}, "stop"), chunk(usage=USAGE, choices=[]))
    asked = await ask("claude", "chat", {"stream": True}, script)
    (delta,) = of_type(asked, "message_delta")
    assert (delta["usage"]["input_tokens"], delta["usage"]["cache_read_input_tokens"]) == (20, 80)


async def test_anthropic_C24_and_includes_it_again_on_the_way_back() -> None:
    usage = {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 9}
    asked = await ask("chat", "claude", {}, claude_answer(usage=usage))
    assert asked.json["usage"]["prompt_tokens"] == 100


@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_anthropic_C25_thinking_is_part_of_the_output(face: str) -> None:
    usage = {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 5}}
    script = claude_answer(usage=usage) if face == "chat" else chat_answer(usage=USAGE)
    asked = await ask(face, "claude" if face == "chat" else "chat", {}, script)
    told = asked.json["usage"]
    if face == "chat":
        assert (told["completion_tokens"], told["completion_tokens_details"]["reasoning_tokens"]) == (9, 5)
    else:
        assert (told["output_tokens"], told["output_tokens_details"]["thinking_tokens"]) == (9, 5)


async def test_anthropic_C27_envelope_comes_back_to_its_vendor_alone() -> None:
    first = await ask("claude", "chat", {}, chat_answer({"reasoning_content": "hm"}), profile="lenient")
    thinking, text = first.json["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "hm")
    assert thinking["signature"].startswith("ds2r1.")
    turns = [*HELLO, {"role": "assistant", "content": [thinking, text]}, *HELLO]
    home = await ask("claude", "chat", {"messages": turns}, chat_answer(), profile="lenient")
    assert home.sent["messages"][1]["reasoning_content"] == "hm"
    away = await ask("claude", "claude", {"messages": turns}, claude_answer(), model="claude-sonnet-4-5")
    assert "ds2r1." not in json.dumps(away.sent)
    assert away.notices["messages[1].content[0]"] == "lost"


async def test_anthropic_C29_system_in_the_middle_stays_in_place() -> None:
    messages = [*HELLO, {"role": "assistant", "content": "A"}, *HELLO, {"role": "system", "content": "S"}]
    asked = await ask("claude", "chat", {"messages": messages, "system": "Top"}, chat_answer())
    assert [message["role"] for message in asked.sent["messages"]] == ["system", "user", "assistant", "user", "system"]


async def test_anthropic_C30_claude_codes_request_reaches_a_chat_upstream() -> None:
    reference = {"type": "tool_reference", "tool_name": "Read"}
    body = {
        "messages": after_tool(content=[reference]),
        "tools": [{**TOOL, "defer_loading": True}, {"name": "Read", "input_schema": {"type": "object"}}],
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "safeguards": [{"type": "x"}],
        "metadata": {"user_id": "u"},
    }
    asked = await ask("claude", "chat", body, chat_answer())
    assert asked.answer.status == 200
    assert "context_management" in asked.notices
    assert [tool["function"]["name"] for tool in asked.sent["tools"]] == ["f", "Read"]


async def test_anthropic_C31_any_without_parallel() -> None:
    body = {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    asked = await ask("claude", "chat", body, chat_answer())
    assert (asked.sent["tool_choice"], asked.sent["parallel_tool_calls"]) == ("required", False)


@pytest.mark.parametrize("to", ["chat", "responses"])
async def test_tool_without_properties_says_so_as_openai_wants_it(to: str) -> None:
    """So MCP's Go SDK declares tools without arguments."""
    schemas: list[Any] = [{"type": "object"}, {"type": "object", "properties": {"a": {}}}, {"type": "string"}]
    tools = [{"name": f"f{i}", "input_schema": schema} for i, schema in enumerate(schemas)]
    answers = {"chat": chat_answer(), "responses": response_answer([said_item("x")])}
    asked = await ask("claude", to, {"tools": tools}, answers[to])
    functions = [tool.get("function", tool) for tool in asked.sent["tools"]]
    assert [function["parameters"] for function in functions] == [{"type": "object", "properties": {}}, *schemas[1:]]


async def test_anthropic_C33_schema_goes_out_and_the_answer_comes_back() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    body = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    asked = await ask("claude", "chat", body, chat_answer({"content": "{}"}))
    sent = asked.sent["response_format"]
    assert (sent["type"], sent["json_schema"]["schema"], sent["json_schema"]["strict"]) == ("json_schema", schema, True)
    assert asked.json["content"][0]["text"] == "{}"


async def test_anthropic_C35_strict_version_refuses_sampling() -> None:
    strict = {"anthropic-version": "2026-10-21"}
    asked = await ask("claude", "chat", {"temperature": 0.5}, headers=strict)
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    older = await ask("claude", "chat", {"temperature": 0.5}, chat_answer())
    assert older.sent["temperature"] == 0.5


async def test_anthropic_C36_refusal_has_its_stop_reason_and_words() -> None:
    asked = await ask("claude", "chat", {}, chat_answer({"content": None, "refusal": "No."}, "content_filter"))
    assert asked.json["stop_reason"] == "refusal"
    assert "No." in json.dumps(asked.json)
    back = claude_answer(
        [], stop="refusal", stop_details={"type": "refusal", "category": None, "explanation": "Never."}
    )
    chat = await ask("chat", "claude", {}, back)
    choice = chat.json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", "Never.")


async def test_anthropic_C38_models_have_the_shape_of_the_caller() -> None:
    gateway = make_gateway(upstream("chat"), upstream("claude"))
    native = await call(gateway, "GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
    page = json.loads(native.body)
    assert {model["type"] for model in page["data"]} == {"model"}
    assert page.keys() >= {"has_more", "first_id", "last_id"}
    other = json.loads((await call(gateway, "GET", "/v1/models")).body)
    assert (other["object"], {model["object"] for model in other["data"]}) == ("list", {"model"})


async def test_anthropic_C39_tokens_are_counted_without_an_upstream_that_can() -> None:
    asked = await ask("claude", "chat", {"max_tokens": ...}, path="/v1/messages/count_tokens")
    assert asked.answer.status == 200
    assert_estimated(asked, asked.json, "input_tokens")


async def test_anthropic_C39_tokens_are_counted_by_an_upstream_that_can() -> None:
    script = answering({"input_tokens": 7})
    asked = await ask("claude", "claude", {"max_tokens": ...}, script, path="/v1/messages/count_tokens")
    assert asked.json == {"input_tokens": 7}
    assert asked.upstream.calls[0].request.url.endswith("/v1/messages/count_tokens")


@run_virtual
async def test_anthropic_C40_caller_who_leaves_cancels_the_upstream_and_is_recorded() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    scripted = ScriptedUpstream(streaming(sse_body([chunk({"content": "x"}, usage=usage)]), NEVER))
    records = Records()
    gateway = make_gateway(upstream("chat", profile="lenient"), scripts={"chat": scripted}, hooks=[records])
    body = {"model": "chat/m", "max_tokens": 5, "messages": HELLO, "stream": True}
    async with Exchange(gateway, "POST", "/v1/messages", json=body) as exchange:
        await exchange.read_until(b"text_delta")
        exchange.disconnect()
        await exchange.finish()
    assert scripted.still_open == 0
    assert open_leases(gateway) == 0
    (record,) = records
    assert record.result == "client_gone"
