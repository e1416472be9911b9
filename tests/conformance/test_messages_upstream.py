"""anthropic-C07..C10, C13, C26..C28, C32, C34, C37: what reaches an upstream of Anthropic's protocol."""

import json
from typing import Any

import pytest

from .asking import HELLO, ask, chat_answer, claude_answer, claude_stream

pytestmark = pytest.mark.anyio

CLASSIC = "claude-sonnet-4-5"
MODERN = "claude-opus-5-5"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def turn(role: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def calls(*ids: str, arguments: str = "{}") -> dict[str, Any]:
    made = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}} for id_ in ids]
    return turn("assistant", None, tool_calls=made)


async def sent(messages: list[Any], **fields: Any) -> Any:
    body = {"messages": messages, "tools": [TOOL], **fields}
    asked = await ask("chat", "claude", body, claude_answer(), model=CLASSIC)
    assert asked.answer.status == 200, asked.answer.text
    return asked


async def test_anthropic_C07_neighbours_of_one_role_are_legal() -> None:
    asked = await sent([turn("user", "a"), turn("user", "b")])
    roles = [message["role"] for message in asked.sent["messages"]]
    assert roles == ["user"]
    assert [block["text"] for block in asked.sent["messages"][0]["content"]] == ["a", "b"]


async def test_anthropic_C08_blank_text_is_no_block_of_its_own() -> None:
    asked = await sent([turn("user", [{"type": "text", "text": text} for text in ("a", " \n", "b", "")])])
    assert [block["text"] for block in asked.sent["messages"][0]["content"]] == ["a \n", "b"]


async def test_anthropic_C08_turn_of_blanks_is_refused_by_name() -> None:
    asked = await ask("chat", "claude", {"messages": [turn("user", " ")]}, model=CLASSIC)
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    assert "messages" in (asked.json["error"]["param"] or "") + asked.json["error"]["message"]


async def test_anthropic_C09_results_gather_in_one_turn_in_call_order() -> None:
    first, *rest = [turn("tool", id_, tool_call_id=id_) for id_ in "abc"]
    results = [first, turn("system", "S"), *rest]
    asked = await sent([turn("user", "go"), calls("a", "b", "c"), *results])
    content = asked.sent["messages"][2]["content"]
    assert [block.get("tool_use_id") for block in content[:3]] == ["a", "b", "c"]
    assert "S" in json.dumps(asked.sent)


async def test_anthropic_C10_missing_result_is_made_up_and_told() -> None:
    asked = await sent([turn("user", "go"), calls("a", "b"), turn("tool", "1", tool_call_id="a")])
    first, second = asked.sent["messages"][2]["content"][:2]
    assert (first["tool_use_id"], second["tool_use_id"], second["is_error"]) == ("a", "b", True)
    assert asked.notices


async def test_anthropic_C10_missing_result_is_refused_if_losses_are() -> None:
    body = {"messages": [turn("user", "go"), calls("a", "b"), turn("tool", "1", tool_call_id="a")], "tools": [TOOL]}
    asked = await ask("chat", "claude", body, model=CLASSIC, on_unsupported="reject")
    assert (asked.answer.status, asked.upstream.calls) == (400, [])


@pytest.mark.parametrize(("arguments", "expected"), [("", {}), ("[1]", {"value": [1]})], ids=["empty", "a list"])
async def test_anthropic_C13_arguments_become_an_object(arguments: str, expected: Any) -> None:
    asked = await sent([turn("user", "go"), calls("a", arguments=arguments), turn("tool", "1", tool_call_id="a")])
    (use,) = asked.sent["messages"][1]["content"]
    assert use["input"] == expected
    assert bool(asked.notices) is (arguments == "[1]")


THINKING = {"type": "thinking", "thinking": "hm", "signature": "EqQBCkYIAxgCKkA+/=="}


@pytest.mark.parametrize("profile", [None, {"exact": False, "vendor": "anthropic"}], ids=["relay", "translate"])
async def test_anthropic_C26_native_signature_survives_to_the_byte(profile: Any) -> None:
    turns = [*HELLO, turn("assistant", [THINKING, {"type": "text", "text": "x"}]), *HELLO]
    script = claude_answer([THINKING, {"type": "text", "text": "y"}])
    body = {"messages": turns, "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    asked = await ask("claude", "claude", body, script, model=CLASSIC, profile=profile)
    assert asked.answer.header("x-ds2api-mode") == ("translate" if profile else "relay")
    assert asked.sent["messages"][1]["content"][0] == THINKING
    assert asked.json["content"][0] == THINKING


async def test_anthropic_C28_relay_keeps_every_byte_but_the_model() -> None:
    body = {"messages": HELLO, "metadata": {"user_id": "u"}, "new_field": {"b": 1.50, "a": [1e3]}, "stream": False}
    answer = b'{"type":"message" , "content":[],"stop_reason":"end_turn","usage":{"output_tokens":1.0}, "x":1e2}'
    script = type(claude_answer())(pieces=[answer])
    asked = await ask("claude", "claude", body, script)
    fields = json.loads(asked.upstream.calls[0].request.body)
    assert fields == {**body, "model": "test-model", "max_tokens": 100}
    assert b'"new_field":{"b":1.5,"a":[1000.0]}' in asked.upstream.calls[0].request.body.replace(b" ", b"")
    assert asked.answer.body == answer


async def test_anthropic_C28_relayed_stream_is_byte_equal() -> None:
    frames = b'event: message_start\r\ndata: {"type":"message_start","message":{"id":"m","usage":{}}}\r\n\r\n'
    frames += b': a comment\n\nevent: new_kind\ndata: {"type":"new_kind",  "a":1}\n\n'
    frames += b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}\n\n'
    frames += b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    stream = claude_stream([])
    for size in (1, 7, 64, len(frames)):
        pieces = [frames[i : i + size] for i in range(0, len(frames), size)]
        asked = await ask("claude", "claude", {"stream": True}, type(stream)(headers=stream.headers, pieces=pieces))
        assert asked.answer.body == frames


async def test_anthropic_C32_forced_tool_on_a_model_that_forbids_it_is_a_hint() -> None:
    body = {"tools": [TOOL], "tool_choice": "required"}
    asked = await ask("chat", "claude", body, claude_answer(), model=MODERN)
    assert asked.sent.get("tool_choice", {"type": "auto"})["type"] == "auto"
    assert "f" in json.dumps(asked.sent["system"]) or "tool" in json.dumps(asked.sent["system"])
    assert asked.notices["tool_choice"] in ("changed", "lost")


@pytest.mark.parametrize(("model", "expected"), [(CLASSIC, 1.0), (MODERN, None)])
async def test_anthropic_C34_temperature_fits_the_model_and_is_told(model: str, expected: float | None) -> None:
    asked = await ask("chat", "claude", {"temperature": 1.7}, claude_answer(), model=model)
    assert asked.sent.get("temperature") == expected
    assert "temperature=" in (asked.answer.header("x-ds2api-notices") or "")


async def test_pause_of_the_upstream_is_an_end_and_is_told() -> None:
    asked = await ask("chat", "claude", {}, claude_answer(stop="pause_turn"))
    assert asked.json["choices"][0]["finish_reason"] == "stop"
    assert "stop_reason" in asked.notices


async def test_forced_tool_of_a_chat_caller_reaches_a_chat_upstream() -> None:
    named = {"type": "function", "function": {"name": "f"}}
    asked = await ask("chat", "chat", {"tools": [TOOL], "tool_choice": named}, chat_answer(), profile="lenient")
    assert asked.sent["tool_choice"] == named
