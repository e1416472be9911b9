"""What a model's Chat refuses is asked of the same account in Responses: functions beside reasoning."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from asgi_ds2api.canonical import FunctionTool, ReasoningControl, Request
from asgi_ds2api.model_facts import ModelFacts
from asgi_ds2api.transcoding.ways import chat_takes
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import Script, ScriptedUpstream, answering

from .asking import PATHS, called_item, chat_answer, error, response_answer, response_events, response_stream

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOLS: dict[str, Any] = {
    "chat": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "claude": [{"name": "f", "input_schema": SCHEMA}],
    "gemini": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}],
    "ollama": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "responses": [{"type": "function", "name": "f", "parameters": SCHEMA}],
}
THINKING: dict[str, Any] = {
    "chat": {"reasoning_effort": "high"},
    "claude": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}},
    "ollama": {"think": "high"},
    "responses": {"reasoning": {"effort": "high"}},
}
UNTHINKING: dict[str, Any] = {
    "chat": {"reasoning_effort": "none"},
    "claude": {"thinking": {"type": "disabled"}},
    "gemini": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    "ollama": {"think": False},
    "responses": {"reasoning": {"effort": "none"}},
}
CALLED = called_item("call_1", "f", '{"a":1}')


@dataclass
class Asked:
    """What came back, and what went out."""

    answer: Answer
    upstream: ScriptedUpstream
    records: Records

    @property
    def paths(self) -> list[str]:
        return [seen.request.url.removeprefix("http://127.0.0.1:9") for seen in self.upstream.calls]

    @property
    def sent(self) -> Any:
        return self.upstream.calls[-1].json()


async def ask(
    face: str, body: Any, *scripts: Script, model: str = "gpt-5.6-terra", accounts: int = 1, **config: Any
) -> Asked:
    """Ask an upstream of Chat that says of itself that it speaks Responses as well."""
    scripted, records = ScriptedUpstream(*scripts), Records()
    config.setdefault("responses", True)
    gateway = make_gateway(upstream("chat", accounts=accounts, **config), scripts={"chat": scripted}, hooks=[records])
    hello = [{"role": "user", "content": "Hi"}]
    whole: dict[str, Any] = {"model": f"chat/{model}", "messages": hello, "stream": False}
    path = PATHS.get(face, f"/v1beta/models/chat/{model}:generateContent")
    match face:
        case "claude":
            whole["max_tokens"] = 100
        case "gemini":
            whole = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        case "responses":
            whole = {"model": f"chat/{model}", "input": "Hi"}
    answer = await call(gateway, "POST", path, json=whole | body, headers={"anthropic-version": "2023-06-01"})
    return Asked(answer, scripted, records)


def called(face: str, answer: Any) -> Any:
    """Return the arguments of the call in an answer."""
    match face:
        case "chat":
            return json.loads(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
        case "claude":
            return next(block["input"] for block in answer["content"] if block["type"] == "tool_use")
        case "gemini":
            parts = answer["candidates"][0]["content"]["parts"]
            return next(part["functionCall"]["args"] for part in parts if "functionCall" in part)
        case "ollama":
            return answer["message"]["tool_calls"][0]["function"]["arguments"]
    return json.loads(next(item["arguments"] for item in answer["output"] if item["type"] == "function_call"))


@pytest.mark.parametrize("model", ["gpt-5.4-mini", "gpt-5.5", "gpt-5.6-terra", "gpt-6"])
@pytest.mark.parametrize("face", ["chat", "claude", "gemini", "ollama", "responses"])
async def test_functions_beside_reasoning_go_to_responses(face: str, model: str) -> None:
    body = {"tools": TOOLS[face], **THINKING[face]}
    asked = await ask(face, body, response_answer([CALLED]), model=model)
    assert asked.paths == ["/v1/responses"]
    assert asked.sent["model"] == model
    assert asked.sent["reasoning"]["effort"] == "high"
    assert [(tool["type"], tool["name"]) for tool in asked.sent["tools"]] == [("function", "f")]
    assert called(face, json.loads(asked.answer.body)) == {"a": 1}
    assert asked.records[0].mode == "translate"


@pytest.mark.parametrize("face", ["chat", "claude", "gemini", "ollama"])
async def test_model_that_reasons_unasked_is_asked_there_for_any_function(face: str) -> None:
    asked = await ask(face, {"tools": TOOLS[face]}, response_answer([CALLED]))
    assert asked.paths == ["/v1/responses"]
    assert "effort" not in asked.sent.get("reasoning", {})


@pytest.mark.parametrize("face", ["chat", "claude", "gemini", "ollama"])
async def test_without_reasoning_functions_stay_with_chat(face: str) -> None:
    asked = await ask(face, {"tools": TOOLS[face], **UNTHINKING[face]}, chat_answer())
    assert asked.paths == ["/v1/chat/completions"]
    assert asked.sent["reasoning_effort"] == "none"


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("gpt-5.6", THINKING["chat"]),
        ("gpt-5.6", {"tools": []}),
        ("gpt-5.4", {"tools": TOOLS["chat"]}),
        ("gpt-5.2", {"tools": TOOLS["chat"], **THINKING["chat"]}),
    ],
    ids=["no-functions", "an-empty-list", "no-effort", "an-older-model"],
)
async def test_what_chat_takes_stays_with_it_as_it_came(model: str, body: Any) -> None:
    asked = await ask("chat", body, chat_answer(), model=model)
    assert (asked.paths, asked.records[0].mode) == (["/v1/chat/completions"], "relay")


async def test_upstream_that_does_not_say_so_is_asked_as_it_is() -> None:
    body = {"tools": TOOLS["chat"], **THINKING["chat"]}
    asked = await ask("chat", body, chat_answer(), responses=None)
    assert asked.paths == ["/v1/chat/completions"]


async def test_stream_comes_from_there_as_well() -> None:
    body = {"tools": TOOLS["chat"], "stream": True, **THINKING["chat"]}
    asked = await ask("chat", body, response_stream(response_events(CALLED)))
    events = [json.loads(line[6:]) for line in asked.answer.text.splitlines() if line.startswith("data: {")]
    pieces = [
        piece for event in events for choice in event["choices"] for piece in choice["delta"].get("tool_calls", [])
    ]
    assert "".join(piece["function"].get("arguments", "") for piece in pieces) == '{"a":1}'
    assert asked.answer.text.rstrip().endswith("data: [DONE]")


async def test_same_accounts_serve_it_and_fail_over() -> None:
    body = {"tools": TOOLS["chat"], **THINKING["chat"]}
    asked = await ask("chat", body, error(500, {}), response_answer([CALLED]), accounts=2)
    assert asked.paths == ["/v1/responses"] * 2
    assert [(attempt.account, attempt.code) for attempt in asked.records[0].attempts] == [
        ("a0", "upstream_server_error"), ("a1", "ok")
    ]  # fmt: skip


async def test_a_notice_says_where_it_was_asked() -> None:
    asked = await ask("chat", {"tools": TOOLS["chat"], **THINKING["chat"]}, response_answer([CALLED]))
    assert ("tools", "moved", "hint") in [(n.path, n.action, n.severity) for n in asked.records[0].notices]


async def test_what_responses_cannot_say_is_refused_by_name() -> None:
    asked = await ask("chat", {"tools": TOOLS["chat"], "n": 2, **THINKING["chat"]})
    assert (asked.answer.status, json.loads(asked.answer.body)["error"]["param"]) == (400, "n")


async def test_several_answers_are_fanned_out_there() -> None:
    body = {"tools": TOOLS["chat"], "n": 2, **THINKING["chat"]}
    asked = await ask("chat", body, *[response_answer([CALLED])] * 2, fan_out=True)
    assert asked.paths == ["/v1/responses"] * 2
    assert len(json.loads(asked.answer.body)["choices"]) == 2


async def test_talk_of_responses_goes_on_whichever_way_its_turns_took() -> None:
    """The vendor's copy of an answer is of no use to a turn that goes by Chat."""
    scripted = ScriptedUpstream(response_answer([CALLED]), chat_answer({"content": "done"}))
    gateway = make_gateway(upstream("chat", responses=True), scripts={"chat": scripted})
    first = {"model": "chat/gpt-5.6", "input": "Hi", "tools": TOOLS["responses"]}
    told = json.loads((await call(gateway, "POST", PATHS["responses"], json=first)).body)
    second = {
        "model": "chat/gpt-5.6",
        "previous_response_id": told["id"],
        "input": [{"type": "function_call_output", "call_id": "call_1", "output": "1"}],
    }
    answer = await call(gateway, "POST", PATHS["responses"], json=second)
    assert answer.status == 200
    assert scripted.calls[1].request.url.endswith("/v1/chat/completions")
    sent = json.loads(scripted.calls[1].request.body)
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]


async def test_answer_that_came_the_other_way_is_deleted_there() -> None:
    deleted = answering({"id": "resp_up", "object": "response", "deleted": True})
    scripted = ScriptedUpstream(response_answer([CALLED]), deleted)
    gateway = make_gateway(upstream("chat", responses=True), scripts={"chat": scripted})
    body = {"model": "chat/gpt-5.6", "input": "Hi", "tools": TOOLS["responses"]}
    told = json.loads((await call(gateway, "POST", PATHS["responses"], json=body)).body)
    answer = await call(gateway, "DELETE", f"/v1/responses/{told['id']}")
    assert (answer.status, json.loads(answer.body)["deleted"]) == (200, True)
    request = scripted.calls[1].request
    assert (request.method, request.url.partition("/v1")[2]) == ("DELETE", f"/responses/{told['id']}")


@pytest.mark.parametrize(
    ("fact", "control", "expected"),
    [
        ("any", ReasoningControl(effort="high"), True),
        ("without_effort", None, True),
        ("without_effort", ReasoningControl(effort="low"), False),
        ("without_effort", ReasoningControl(effort="none"), True),
        ("without_reasoning", None, False),
        ("without_reasoning", ReasoningControl(mode="enabled", budget_tokens=1_024), False),
        ("without_reasoning", ReasoningControl(mode="disabled"), True),
    ],
)
def test_fact_of_a_model_says_what_its_chat_takes(fact: Any, control: ReasoningControl | None, expected: bool) -> None:
    tools = (FunctionTool(name="f"),)
    request = Request(source="openai_chat", model="m", messages=(), tools=tools, reasoning=control)
    assert chat_takes(request, ModelFacts(chat_tools=fact)) == expected
