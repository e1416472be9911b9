"""openai-C21..C38, C64: what of a Chat request reaches the upstream."""

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from asgi_ds2api.protocols.anthropic_messages.preflight import DEFAULT_MAX_TOKENS

from .asking import HELLO, ask, chat_answer, chat_stream, chunk, claude_answer, gemini_answer

pytestmark = pytest.mark.anyio

MODERN = "claude-opus-5-5"
CLASSIC = "claude-sonnet-4-5"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
OTHER = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}


def turn(role: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def call(id_: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


async def sent_to_claude(body: dict[str, Any], *, model: str = CLASSIC, **config: Any) -> Any:
    asked = await ask("chat", "claude", body, claude_answer(), model=model, **config)
    assert asked.answer.status == 200, asked.answer.text
    return asked


@pytest.mark.parametrize("model", [MODERN, CLASSIC])
async def test_openai_C21_later_system_text_stays_in_position(model: str) -> None:
    messages = [
        turn("system", "A"),
        turn("user", "U"),
        turn("developer", "B"),
        turn("assistant", "W"),
        turn("user", "V"),
    ]
    asked = await sent_to_claude({"messages": messages}, model=model)
    system = asked.sent["system"]
    assert "A" in msgspec.json.encode(system).decode()
    text = json.dumps(asked.sent["messages"])
    assert text.index('"U"') < text.index("B") < text.index("V")
    roles = [message["role"] for message in asked.sent["messages"]]
    assert all(a != b for a, b in pairwise(roles))
    assert ("system" in roles) is (model == MODERN)


async def test_openai_C21_system_text_between_user_turns_is_folded_into_them() -> None:
    messages = [turn("user", "U"), turn("developer", "B"), turn("user", "V")]
    asked = await sent_to_claude({"messages": messages}, model=MODERN)
    assert [message["role"] for message in asked.sent["messages"]] == ["user"]
    text = json.dumps(asked.sent["messages"])
    assert text.index('"U"') < text.index("B") < text.index('"V"')


async def test_openai_C22_results_stand_first_in_one_turn() -> None:
    asking = turn("assistant", None, tool_calls=[call("c1"), call("c2")])
    results = [turn("tool", "two", tool_call_id="c2"), turn("tool", "one", tool_call_id="c1")]
    messages = [turn("user", "go"), asking, *results, turn("user", "X")]
    asked = await sent_to_claude({"messages": messages, "tools": [TOOL]})
    last = asked.sent["messages"][-1]
    assert last["role"] == "user"
    kinds = [block["type"] for block in last["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]
    assert [block["tool_use_id"] for block in last["content"][:2]] == ["c2", "c1"]
    assert last["content"][2]["text"] == "X"


@pytest.mark.parametrize(
    ("arguments", "expected", "is_told"), [("", {}, False), ("[1]", {"value": [1]}, True)], ids=["empty", "a list"]
)
async def test_openai_C23_arguments_become_an_object(arguments: str, expected: Any, is_told: bool) -> None:
    messages = [turn("user", "go"), turn("assistant", None, tool_calls=[call("c1", arguments=arguments)]),
                turn("tool", "r", tool_call_id="c1")]  # fmt: skip
    asked = await sent_to_claude({"messages": messages, "tools": [TOOL]})
    (block,) = [b for b in asked.sent["messages"][1]["content"] if b["type"] == "tool_use"]
    assert block["input"] == expected
    assert ("x-ds2api-notices" in dict_of(asked)) is is_told


def dict_of(asked: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in asked.answer.headers}


def picture(media_type: str) -> list[dict[str, Any]]:
    image = {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,aGk="}}
    return [turn("user", [{"type": "text", "text": "?"}, image])]


async def test_openai_C24_data_url_becomes_base64() -> None:
    asked = await sent_to_claude({"messages": picture("image/png")})
    source = asked.sent["messages"][0]["content"][1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": "aGk="}


async def test_openai_C24_unknown_image_type_is_refused_by_name() -> None:
    asked = await ask("chat", "claude", {"messages": picture("image/bmp")})
    assert asked.answer.status == 400
    assert asked.json["error"]["param"] == "messages[0].content[1].image_url.url"
    assert asked.upstream.calls == []


async def test_openai_C25_private_image_url_is_not_fetched() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/x.png"}}
    asked = await ask("chat", "gemini", {"messages": [turn("user", [image])]})
    assert (asked.answer.status, asked.upstream.calls) == (400, [])


@pytest.mark.parametrize(
    ("fields", "model", "expected"),
    [
        ({"max_completion_tokens": 50, "max_tokens": 90}, CLASSIC, 50),
        ({"max_tokens": 90}, CLASSIC, 90),
        ({}, CLASSIC, 64_000),
        ({}, "claude-3-haiku-20240307", 4_096),
        ({}, "claude-of-some-day", DEFAULT_MAX_TOKENS),
    ],
    ids=["both", "old", "none", "none-of-a-small-model", "none-of-an-unknown-model"],
)
async def test_openai_C26_limit_is_always_sent(fields: dict[str, int], model: str, expected: int) -> None:
    asked = await sent_to_claude(fields, model=model)
    assert asked.sent["max_tokens"] == expected


@pytest.mark.parametrize(
    ("to", "model", "expected", "is_told"),
    [("claude", CLASSIC, 1.0, True), ("claude", MODERN, None, True), ("chat", "gpt", 1.7, False)],
)
async def test_openai_C27_temperature_fits_the_upstream(to: str, model: str, expected: Any, is_told: bool) -> None:
    script = claude_answer() if to == "claude" else chat_answer()
    asked = await ask("chat", to, {"temperature": 1.7}, script, model=model)
    assert asked.sent.get("temperature") == expected
    assert ("temperature" in asked.notices) is is_told


async def test_openai_C28_blank_stop_sequence_is_left_out_and_told() -> None:
    script = claude_answer(stop="stop_sequence", stop_sequence="END")
    asked = await ask("chat", "claude", {"stop": ["\n\n", "END"]}, script, model=CLASSIC)
    assert asked.sent["stop_sequences"] == ["END"]
    assert any(path.startswith("stop") for path in asked.notices)
    assert asked.json["choices"][0]["finish_reason"] == "stop"


async def test_openai_C29_required_and_not_parallel() -> None:
    body = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    asked = await sent_to_claude(body)
    assert asked.sent["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


async def sent_to_gemini(body: dict[str, Any], *, model: str = "gemini-3-flash") -> Any:
    asked = await ask("chat", "gemini", body, gemini_answer([{"text": "x"}]), model=model)
    assert asked.answer.status == 200, asked.answer.text
    return asked


async def test_openai_C29_required_and_not_parallel_at_gemini() -> None:
    body = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    asked = await sent_to_gemini(body)
    assert asked.sent["toolConfig"]["functionCallingConfig"] == {"mode": "ANY"}
    assert "parallel_tool_calls" in asked.notices, "the vendor has nothing that says so"


async def test_openai_C30_allowed_subset_at_gemini() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    body = {"tools": [TOOL, OTHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}
    asked = await sent_to_gemini(body)
    wanted = {"mode": "ANY", "allowedFunctionNames": ["f"]}
    assert asked.sent["toolConfig"]["functionCallingConfig"] == wanted


async def test_openai_C31_schema_at_gemini() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    asked = await sent_to_gemini(body)
    config = asked.sent["generationConfig"]
    assert (config["responseMimeType"], config["responseJsonSchema"]) == ("application/json", schema)


async def test_openai_C30_allowed_subset_is_all_that_is_sent() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}
    body = {"tools": [TOOL, OTHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}
    asked = await sent_to_claude(body)
    assert [tool["name"] for tool in asked.sent["tools"]] == ["f"]
    assert asked.sent["tool_choice"] == {"type": "tool", "name": "f"}


async def test_openai_C31_schema_is_closed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    body = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    asked = await sent_to_claude(body)
    assert asked.sent["output_config"]["format"]["schema"] == {**schema, "additionalProperties": False}


@pytest.mark.parametrize(
    ("effort", "model", "expected"),
    [
        ("none", CLASSIC, None),
        ("high", CLASSIC, "enabled"),
        ("max", CLASSIC, "enabled"),
        ("none", "claude-opus-5", "disabled"),
        ("high", "claude-opus-5", "adaptive"),
        ("max", "claude-opus-5", "adaptive"),
        ("none", MODERN, "low"),
        ("high", MODERN, "adaptive"),
        ("max", MODERN, "adaptive"),
    ],
)
async def test_openai_C32_effort_fits_the_model(effort: str, model: str, expected: str | None) -> None:
    asked = await sent_to_claude({"reasoning_effort": effort, "max_tokens": 40_000}, model=model)
    thinking, wanted = asked.sent.get("thinking"), asked.sent.get("output_config", {}).get("effort")
    if expected == "low":
        assert wanted == "low"
    elif expected is None:
        assert thinking in (None, {"type": "disabled"})
    else:
        assert thinking["type"] == expected
    if expected == "adaptive":
        assert wanted == effort
    if expected == "enabled":
        assert thinking["budget_tokens"] == {"high": 16_384, "max": 39_999}[effort]


async def test_openai_C33_unsigned_reasoning_is_not_sent_to_anthropic() -> None:
    messages = [turn("user", "a"), turn("assistant", "b", reasoning_content="t"), turn("user", "c")]
    asked = await sent_to_claude({"messages": messages})
    assert "thinking" not in json.dumps(asked.sent["messages"])
    assert asked.notices["messages[1].reasoning_content"] == "lost"


async def test_openai_C33_reasoning_goes_back_to_a_vendor_that_wants_it() -> None:
    messages = [turn("user", "a"), turn("assistant", "b", reasoning_content="t"), turn("user", "c")]
    asked = await ask("chat", "chat", {"messages": messages}, chat_answer(), profile="lenient")
    assert asked.sent["messages"][1]["reasoning_content"] == "t"


async def test_openai_C34_thought_signature_goes_back_to_gemini() -> None:
    signed = {**call("c1"), "extra_content": {"google": {"thought_signature": "S"}}}
    messages = [turn("user", "a"), turn("assistant", None, tool_calls=[signed]), turn("tool", "r", tool_call_id="c1")]
    asked = await ask("chat", "gemini", {"messages": messages}, gemini_answer([{"text": "x"}]))
    assert asked.sent["contents"][1]["parts"][0]["thoughtSignature"] == "S"


async def test_openai_C35_custom_tool_is_lent_and_comes_back() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}}
    tool = {"type": "custom", "custom": {"name": "apply_patch", "format": grammar}}
    use = {"type": "tool_use", "id": "t1", "name": "apply_patch", "input": {"input": "*** Begin"}}
    asked = await ask("chat", "claude", {"tools": [tool]}, claude_answer([use], stop="tool_use"), model=CLASSIC)
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    assert asked.sent["tools"][0]["input_schema"] == schema
    (made,) = asked.json["choices"][0]["message"]["tool_calls"]
    assert made == {"id": "t1", "type": "custom", "custom": {"name": "apply_patch", "input": "*** Begin"}}


async def test_openai_C36_functions_are_tools_and_come_back_as_functions() -> None:
    history = [turn("user", "a"), turn("assistant", None, function_call={"name": "f", "arguments": "{}"}),
               turn("function", "r", name="f"), turn("user", "b")]  # fmt: skip
    body = {"functions": [TOOL["function"]], "function_call": {"name": "f"}, "messages": history}
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    asked = await ask("chat", "claude", body, claude_answer([use], stop="tool_use"), model=CLASSIC)
    assert asked.sent["tools"][0]["name"] == "f"
    assert asked.sent["tool_choice"] == {"type": "tool", "name": "f"}
    used, result = asked.sent["messages"][1]["content"][0], asked.sent["messages"][2]["content"][0]
    assert used["id"] == result["tool_use_id"]
    choice = asked.json["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert choice["finish_reason"] == "function_call"


async def test_openai_C37_unknown_field_is_told_and_not_refused() -> None:
    asked = await sent_to_claude({"foo": 1})
    assert asked.notices["foo"] == "lost"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": ...}, "missing_required_parameter", "messages"),
        ({"temperature": "a"}, "invalid_type", "temperature"),
        ({"messages": []}, "empty_array", "messages"),
    ],
)
async def test_openai_C37_invalid_field_is_refused_by_name(body: dict[str, Any], code: str, param: str) -> None:
    asked = await ask("chat", "claude", body)
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    assert (asked.json["error"]["code"], asked.json["error"]["param"]) == (code, param)


async def test_openai_C38_body_alone_decides_about_streaming() -> None:
    headers = {"accept": "application/json"}
    stream = chat_stream(chunk({"content": "x"}), chunk({}, "stop"))
    streamed = await ask("chat", "chat", {"stream": True}, stream, headers=headers)
    assert streamed.answer.header("content-type") == "text/event-stream; charset=utf-8"
    whole = await ask("chat", "chat", {"stream": None}, chat_answer(), headers={"accept": "text/event-stream"})
    assert whole.answer.header("content-type") == "application/json"


async def test_openai_C64_relay_keeps_every_byte_but_the_model() -> None:
    body = {"messages": HELLO, "foo": {"b": 1.50, "a": [1e3]}, "x_groq": {"id": 1}, "seed": 12345678901234567}
    arguments = '{ "b":1.0,"a" : 2 }'
    message = {"tool_calls": [call("c", arguments=arguments)], "reasoning_details": [{"type": "x"}]}
    asked = await ask("chat", "chat", body, chat_answer(message, "tool_calls", x_groq={"id": "r"}))
    assert asked.answer.header("x-ds2api-mode") == "relay"
    assert asked.sent == {**body, "model": "test-model"}
    made = asked.json["choices"][0]["message"]
    assert made["tool_calls"][0]["function"]["arguments"] == arguments
    assert made["reasoning_details"] == [{"type": "x"}]
    assert asked.json["x_groq"] == {"id": "r"}
