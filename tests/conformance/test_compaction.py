"""openai-C57: talks that are compacted, by the vendor or by asking any model, and that go on from their summary."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from asgi_ds2api.secret import Secret
from asgi_ds2api.shims.compaction import ASK, OPENING
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.scripted_client import Script, ScriptedUpstream, answering

from .asking import (
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    gemini_answer,
    ollama_answer,
    response,
    response_answer,
    said_item,
)

pytestmark = pytest.mark.anyio

SUMMARY = "The user is Ada; she wants a boat."
SAYING: Mapping[str, Script] = {
    "chat": chat_answer({"content": SUMMARY}),
    "claude": claude_answer([{"type": "text", "text": SUMMARY}]),
    "gemini": gemini_answer([{"text": SUMMARY}]),
    "ollama": ollama_answer({"content": SUMMARY}),
    "responses": response_answer([said_item(SUMMARY)]),
}
every_upstream = pytest.mark.parametrize("to", SAYING)
TALK = [
    {"role": "user", "content": "I am Ada."},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello, Ada."}]},
    {"role": "user", "content": [{"type": "input_text", "text": "I want a boat."}]},
]
CALLERS = [{"label": label, "key": Secret(f"key-of-the-caller-{label}-0123")} for label in ("web", "app")]


class Talking:
    """A gateway in front of one upstream of each protocol, that all play the same scripts."""

    def __init__(self, *scripts: Script, profile: Any = None, **config: Any) -> None:
        self.upstream, self.records = ScriptedUpstream(*scripts), Records()
        tables = [upstream(name, profile=profile if name == "responses" else None) for name in SAYING]
        scripted = dict.fromkeys(SAYING, self.upstream)
        self._gateway = make_gateway(*tables, scripts=scripted, hooks=[self.records], **config)

    async def ask(self, to: str, body: Any, path: str = "/v1/responses", caller: str = "") -> Answer:
        headers = {"authorization": f"Bearer key-of-the-caller-{caller}-0123"} if caller else {}
        return await call(self._gateway, "POST", path, json={"model": f"{to}/m", **body}, headers=headers)

    async def compact(self, to: str, body: Any, caller: str = "") -> Any:
        answer = await self.ask(to, body, "/v1/responses/compact", caller)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    @property
    def sent(self) -> Any:
        return self.upstream.calls[-1].json()


def responses_profile() -> Any:
    return {"base": "openai-responses", "exact": False}


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/responses/compact", "/openai/v1/responses/compact"])
async def test_openai_C57_without_a_model_it_is_a_400(path: str) -> None:
    gateway = make_gateway(upstream("chat"), scripts={"chat": ScriptedUpstream()})
    answer = await call(gateway, "POST", path, json={"input": TALK})
    assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "model")


@every_upstream
async def test_openai_C57_last_item_is_a_compaction_behind_what_the_user_said(to: str) -> None:
    talking = Talking(SAYING[to], profile=responses_profile())
    told = await talking.compact(to, {"input": TALK})
    assert told["object"] == "response.compaction"
    assert told["id"].startswith("resp_")
    *said, last = told["output"]
    assert [(item["type"], item["role"], item["content"][0]["text"]) for item in said] == [
        ("message", "user", "I am Ada."),
        ("message", "user", "I want a boat."),
    ]
    assert {(item["status"], item["content"][0]["type"]) for item in said} == {("completed", "input_text")}
    assert sorted(last) == ["encrypted_content", "id", "type"]
    assert (last["type"], last["id"][:4]) == ("compaction", "cmp_")
    assert set(told["usage"]) == {
        "input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details", "total_tokens",
    }  # fmt: skip
    assert ASK in json.dumps(talking.sent)
    assert "compaction" not in json.dumps(talking.sent)
    assert [(record.operation, record.mode) for record in talking.records] == [("compact", "translate")]


@every_upstream
async def test_openai_C57_what_came_out_yields_the_summary_in_the_prompt(to: str) -> None:
    talking = Talking(SAYING[to], SAYING[to], profile=responses_profile())
    told = await talking.compact(to, {"input": TALK})
    answer = await talking.ask(to, {"input": [*told["output"], {"role": "user", "content": "Go on."}]})
    assert answer.status == 200
    sent = json.dumps(talking.sent)
    assert json.dumps(OPENING + SUMMARY)[1:-1] in sent
    assert "ds2r1." not in sent
    lost = [notice.path for notice in talking.records[-1].notices if notice.severity != "hint"]
    assert [path for path in lost if not path.endswith((".id", ".status"))] == []


async def test_openai_C57_summary_is_opened_for_the_vendor_as_well() -> None:
    talking = Talking(SAYING["chat"], SAYING["responses"], profile="openai-responses")
    told = await talking.compact("chat", {"input": "I am Ada."})
    await talking.ask("responses", {"input": told["output"]})
    assert [item["content"] for item in talking.sent["input"]] == ["I am Ada.", OPENING + SUMMARY]


async def test_openai_C57_vendor_makes_its_own() -> None:
    made = {
        "id": "resp_c", "object": "response.compaction", "created_at": 1, "usage": {"input_tokens": 5},
        "output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}],
    }  # fmt: skip
    talking = Talking(answering(made), profile="openai-responses")
    told = await talking.compact("responses", {"input": TALK, "novel": 1})
    assert (told, talking.sent) == (made, {"model": "m", "input": TALK, "novel": 1})
    assert talking.upstream.calls[0].request.url.endswith("/responses/compact")
    record = talking.records[0]
    assert (record.mode, record.usage and record.usage.input_total) == ("relay", 5)


async def test_openai_C57_count_of_tokens_is_that_of_the_opened_summary() -> None:
    talking = Talking(SAYING["chat"], answering({"input_tokens": 7}))
    told = await talking.compact("chat", {"input": TALK})
    body = {"input": [*told["output"], {"role": "user", "content": "Go on."}]}
    answer = await talking.ask("claude", body, "/v1/responses/input_tokens")
    assert (answer.status, json.loads(answer.body)["input_tokens"]) == (200, 7)
    assert SUMMARY in json.dumps(talking.sent)


async def test_another_caller_cannot_go_on_from_a_summary() -> None:
    talking = Talking(SAYING["chat"], auth="callers", callers=CALLERS)
    told = await talking.compact("chat", {"input": TALK}, caller="web")
    refused = await talking.ask("chat", {"input": told["output"]}, caller="app")
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["code"]) == (400, "invalid_encrypted_content")
    assert error["param"] == "input[2].encrypted_content"
    assert len(talking.upstream.calls) == 1


async def test_summary_of_a_vendor_goes_to_no_other_one() -> None:
    talking = Talking()
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}
    refused = await talking.ask("chat", {"input": [item, {"role": "user", "content": "Go on."}]})
    assert (refused.status, json.loads(refused.body)["error"]["param"]) == (400, "input[0]")
    assert talking.upstream.calls == []


async def test_talk_that_is_kept_is_compacted_by_its_id() -> None:
    talking = Talking(chat_answer({"content": "Hello, Ada."}), SAYING["chat"])
    first = json.loads((await talking.ask("chat", {"input": "I am Ada."})).body)
    told = await talking.compact("chat", {"previous_response_id": first["id"]})
    assert [message["content"] for message in talking.sent["messages"]] == ["I am Ada.", "Hello, Ada.", ASK]
    assert [item["type"] for item in told["output"]] == ["message", "compaction"]


async def test_instructions_and_tools_that_ran_are_part_of_what_is_summed_up() -> None:
    talking = Talking(SAYING["chat"])
    called = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "a lake"}
    await talking.compact("chat", {"input": [*TALK, called, result], "instructions": "Be kind."})
    roles = [message["role"] for message in talking.sent["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "tool", "user"]


@pytest.mark.parametrize(
    "script",
    [
        chat_answer({"content": SUMMARY}, "length"),
        chat_answer({"content": " "}),
        chat_answer({"content": "No.", "refusal": None}, "content_filter"),
        chat_answer({"content": "x" * (1024 * 1024 + 1)}),
    ],
)
async def test_what_is_no_whole_summary_is_none(script: Script) -> None:
    talking = Talking(script, script, script)
    answer = await talking.ask("chat", {"input": TALK}, "/v1/responses/compact")
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (502, "server_error")


# --- as Codex asks for it ---------------------------------------------------------------------------------------------

TRIGGER = {"type": "compaction_trigger"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def events_of(answer: Answer) -> list[Any]:
    lines = answer.text.split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


async def test_stream_that_is_asked_for_a_compaction_holds_it_alone() -> None:
    said = [chunk({"role": "assistant", "reasoning_content": "Hm."}), *(chunk({"content": word}) for word in "abc")]
    talking = Talking(chat_stream(*said, chunk({}, "stop")))
    body = {"input": [*TALK, TRIGGER], "tools": [TOOL], "stream": True, "text": {"format": {"type": "json_object"}}}
    events = events_of(await talking.ask("chat", body))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["compaction"]
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"] == done
    assert not {"tools", "response_format"} & talking.sent.keys()
    assert [(n.path, n.severity) for n in talking.records[0].notices if n.severity != "hint"] == [
        ("input[3]", "changed")
    ]


async def test_stream_without_a_whole_summary_fails() -> None:
    broken = chat_stream(chunk({"content": "a"}), chunk({}, "length"))
    talking = Talking(broken, broken, broken)
    answer = await talking.ask("chat", {"input": [*TALK, TRIGGER], "stream": True})
    assert answer.status == 502
    assert "compaction" not in answer.text


async def test_earlier_wish_for_a_summary_is_left_out() -> None:
    talking = Talking(SAYING["chat"])
    await talking.compact("chat", {"input": [*TALK, TRIGGER]})
    assert json.dumps(talking.sent).count(json.dumps(ASK)[1:-1]) == 1


async def test_vendor_is_asked_for_a_compaction_as_it_came() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}
    talking = Talking(answering(response([item])), profile="openai-responses")
    answer = await talking.ask("responses", {"input": [*TALK, TRIGGER]})
    assert json.loads(answer.body)["output"] == [item]
    assert talking.sent["input"] == [*TALK, TRIGGER]
