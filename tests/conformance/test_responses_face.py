"""openai-C39..C53, C57: what a client of the Responses protocol is answered, whoever serves it."""

import json
from typing import Any

import pytest

from tests.support.asgi_driver import call
from tests.support.gateways import Records, make_gateway, upstream
from tests.support.http_bytes import sse_body
from tests.support.scripted_client import NEVER, Answering, Delay, ScriptedUpstream, answering, streaming
from tests.support.virtual_time import run_virtual

from .asking import (
    TEXT_BLOCK,
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    error,
    gemini_answer,
    response,
    response_answer,
    response_events,
    response_stream,
    said_item,
    tool_block,
)
from .responses_events import accumulated, check_order, kinds

pytestmark = pytest.mark.anyio

CODEX = {"originator": "codex_cli_rs", "user-agent": "codex_cli_rs/0.169.0"}
KEYS = {
    "id", "object", "created_at", "completed_at", "status", "background", "error", "incomplete_details", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "output", "parallel_tool_calls", "previous_response_id",
    "prompt_cache_key", "reasoning", "safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "presence_penalty", "frequency_penalty", "usage", "user",
}  # fmt: skip
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
USAGE = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
         "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}  # fmt: skip
HELLO_STREAM = chat_stream(chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"),
                           USAGE)  # fmt: skip
SIGNED = [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "SIG=="}]
THOUGHT = ({"type": "thinking", "thinking": "", "signature": ""}, SIGNED)


# --- the object -------------------------------------------------------------------------------------------------------


async def test_openai_C39_answer_has_every_field() -> None:
    asked = await ask("responses", "chat", {"input": "x"}, chat_answer())
    assert asked.json.keys() == KEYS
    assert asked.json["output"][0]["content"][0]["text"] == "Hello"
    assert asked.json["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }
    assert asked.sent["messages"] == [{"role": "user", "content": "x"}]


async def test_openai_C39_answer_repeats_what_was_asked() -> None:
    body = {"instructions": "Be brief.", "temperature": 0.5, "tools": [FUNCTION], "metadata": {"a": "b"},
            "reasoning": {"effort": "low"}, "max_output_tokens": 99, "text": {"verbosity": "low"}}  # fmt: skip
    answer = (await ask("responses", "chat", body, chat_answer())).json
    assert answer["tools"] == [{**FUNCTION, "description": None, "strict": None}]
    assert answer["reasoning"] == {"effort": "low", "summary": None}
    assert answer["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    given = (answer["instructions"], answer["temperature"], answer["metadata"], answer["max_output_tokens"])
    assert given == ("Be brief.", 0.5, {"a": "b"}, 99)
    assert answer["store"] is True


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_openai_C40_events_of_a_text_are_those_of_the_vendor() -> None:
    asked = await ask("responses", "chat", {"stream": True}, HELLO_STREAM)
    assert kinds(asked) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    check_order(asked)
    final = accumulated(asked)
    assert (final.status, final.output_text, final.usage.total_tokens) == ("completed", "Hello", 5)
    assert asked.events[0]["response"]["output"] == []
    assert asked.answer.text.endswith("data: [DONE]\n\n")


async def test_openai_C41_arguments_in_pieces_are_one_call() -> None:
    script = claude_stream(claude_events(tool_block("toolu_1", "f", '{"a"', ":", "1}"), stop="tool_use"))
    asked = await ask("responses", "claude", {"stream": True, "tools": [FUNCTION]}, script)
    check_order(asked)
    added, *deltas, done, item = asked.events[2:-2]
    assert (added["item"]["arguments"], added["item"]["call_id"]) == ("", "toolu_1")
    assert [delta["delta"] for delta in deltas] == ['{"a"', ":", "1}"]
    assert (done["arguments"], done["name"], item["item"]["arguments"]) == ('{"a":1}', "f", '{"a":1}')
    assert {added["item"]["id"], done["item_id"], item["item"]["id"]} == {added["item"]["id"]}


async def test_openai_C42_interleaved_calls_come_one_after_the_other() -> None:
    def fragment(index: int, arguments: str, **named: Any) -> dict[str, Any]:
        return {"index": index, "function": {"arguments": arguments, **({"name": "f"} if named else {})}, **named}

    script = chat_stream(
        chunk({"tool_calls": [fragment(0, "", id="a", type="function")]}),
        chunk({"tool_calls": [fragment(1, "", id="b", type="function")]}),
        chunk({"tool_calls": [fragment(0, '{"x"'), fragment(1, '{"y"')]}),
        chunk({"tool_calls": [fragment(1, ":2}"), fragment(0, ":1}")]}),
        chunk({}, "tool_calls"),
    )
    asked = await ask("responses", "chat", {"stream": True, "tools": [FUNCTION]}, script)
    check_order(asked)
    indexes = [event["output_index"] for event in asked.events[2:-2]]
    assert indexes == sorted(indexes)
    output = asked.events[-2]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [("a", '{"x":1}'), ("b", '{"y":2}')]


async def test_openai_C43_thinking_goes_out_sealed_and_comes_back_bit_for_bit() -> None:
    script = claude_stream(claude_events(THOUGHT, TEXT_BLOCK, tool_block("t1", "f"), stop="tool_use"))
    thinking = {"reasoning": {"effort": "low", "summary": "auto"}, "tools": [FUNCTION], "max_output_tokens": 20_000}
    asked = await ask("responses", "claude", {"stream": True, **thinking}, script)
    check_order(asked)
    output = asked.events[-2]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert output[0]["encrypted_content"].startswith("ds2r1.")
    result = {"type": "function_call_output", "call_id": "t1", "output": "ok"}
    again = {"input": [{"role": "user", "content": "Hi"}, *output, result], **thinking}
    replayed = await ask("responses", "claude", again, claude_answer())
    assert replayed.sent["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "SIG=="}
    assert [block["type"] for block in replayed.sent["messages"][1]["content"]] == ["thinking", "text", "tool_use"]


@pytest.mark.parametrize("to", ["chat", "responses", "gemini"])
async def test_openai_C44_reasoning_of_another_vendor_is_left_out_and_said_so(to: str) -> None:
    script = claude_answer([{"type": "thinking", "thinking": "Hm.", "signature": "S"}, {"type": "text", "text": "Hi"}])
    first = await ask("responses", "claude", {"reasoning": {"effort": "low"}}, script)
    thought = first.json["output"][0]
    body = {"input": [{"role": "user", "content": "a"}, *first.json["output"], {"role": "user", "content": "b"}]}
    answers = {"chat": chat_answer(), "responses": response_answer(), "gemini": gemini_answer([{"text": "Hello"}])}
    asked = await ask("responses", to, body, answers[to])
    assert asked.answer.status == 200
    assert "ds2r1." not in json.dumps(asked.sent)
    removed = {"id": thought["id"], "type": "reasoning", "action": "removed", "reason": "model_mismatch"}
    assert asked.json["input_transformations"] == [removed]


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_C45_cut_answer_is_incomplete(stream: bool) -> None:
    whole = chat_answer(finish="length")
    script = chat_stream(chunk({"content": "Hello"}), chunk({}, "length"), USAGE) if stream else whole
    asked = await ask("responses", "chat", {"stream": stream}, script)
    answer = asked.events[-2]["response"] if stream else asked.json
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert answer["output"][-1]["status"] == "incomplete"
    assert answer["usage"]["output_tokens"] == 2
    if stream:
        assert kinds(asked)[-2:] == ["response.output_item.done", "response.incomplete"]
        assert asked.events[-3]["item"]["status"] == "incomplete"


REFUSED = chat_stream(chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk({}, "stop"))


async def test_openai_C46_refusal_is_a_part_of_its_own() -> None:
    asked = await ask("responses", "chat", {"stream": True}, REFUSED)
    check_order(asked)
    assert kinds(asked)[3:7] == ["response.content_part.added", "response.refusal.delta", "response.refusal.delta",
                                 "response.refusal.done"]  # fmt: skip
    assert asked.events[3]["part"] == {"type": "refusal", "refusal": ""}
    assert asked.events[-2]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "I cannot."}]
    assert kinds(asked)[-1] == "response.completed"


async def test_openai_C46_codex_reads_a_refusal_as_text() -> None:
    asked = await ask("responses", "chat", {"stream": True}, REFUSED, headers=CODEX)
    (part,) = asked.events[-2]["response"]["output"][0]["content"]
    assert (part["type"], part["text"]) == ("output_text", "I cannot.")


async def test_openai_C47_failure_in_the_middle_is_an_answer_that_failed() -> None:
    script = chat_stream(chunk({"content": "Hel"}), {"error": {"message": "boom", "code": 502}}, done=False)
    asked = await ask("responses", "chat", {"stream": True}, script)
    last = asked.events[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"]["code"] == "server_error"
    assert last["response"]["id"] == asked.events[0]["response"]["id"]
    assert last["response"]["output"] == []
    assert "[DONE]" not in asked.answer.text


async def test_openai_C47_failure_before_the_beginning_is_a_status() -> None:
    asked = await ask("responses", "chat", {"stream": True}, error(500, {"error": {"message": "x"}}))
    assert (asked.answer.status, asked.json["error"]["type"]) == (502, "server_error")


async def test_open_responses_reader_gets_an_error_before_the_failure() -> None:
    script = chat_stream(chunk({"content": "Hel"}), {"error": {"message": "boom", "code": 502}}, done=False)
    asked = await ask("responses", "chat", {"stream": True}, script, headers={"x-openresponses": "1"})
    assert kinds(asked)[-2:] == ["error", "response.failed"]
    assert asked.events[-2]["error"].keys() == {"type", "code", "message", "param"}


# --- what is kept nowhere ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C48_earlier_answer_is_kept_nowhere(to: str) -> None:
    asked = await ask("responses", to, {"previous_response_id": "resp_1"})
    told = asked.json["error"]
    assert (asked.answer.status, told["code"], told["param"]) == (
        400, "previous_response_not_found", "previous_response_id"
    )  # fmt: skip
    assert asked.upstream.calls == []


async def test_openai_C48_earlier_answer_of_the_same_vendor_passes() -> None:
    asked = await ask("responses", "responses", {"previous_response_id": "resp_1"}, response_answer())
    assert asked.sent["previous_response_id"] == "resp_1"


@pytest.mark.parametrize(
    ("field", "value"), [("conversation", "conv_1"), ("background", True), ("prompt", {"id": "p"})]
)
@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_what_the_vendor_would_keep_is_refused_by_name(to: str, field: str, value: Any) -> None:
    asked = await ask("responses", to, {field: value})
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, field)


async def test_openai_C50_result_without_its_call_is_refused() -> None:
    output = {"type": "function_call_output", "call_id": "c9", "output": "x"}
    asked = await ask("responses", "chat", {"input": [{"role": "user", "content": "a"}, output]})
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "input")
    assert asked.json["error"]["message"].startswith("No tool call found for")


async def test_openai_C50_item_that_is_only_named_is_not_found() -> None:
    asked = await ask("responses", "chat", {"input": [{"type": "item_reference", "id": "rs_1"}]})
    told = asked.json["error"]
    assert "'rs_1'" in told["message"]
    assert (asked.answer.status, told["param"], told["code"], told["type"]) == (
        404, "input", None, "invalid_request_error"
    )  # fmt: skip


# --- Codex ------------------------------------------------------------------------------------------------------------

PATCH = {"type": "custom", "name": "apply_patch", "description": "Patch.",
         "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}  # fmt: skip
PRIVATE = {"internal_chat_message_metadata_passthrough": {"turn_id": "t"}}
CODEX_BODY: dict[str, Any] = {
    "instructions": "",
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "name": "late"}]},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}], **PRIVATE},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go."}], **PRIVATE},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin", **PRIVATE},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done", **PRIVATE},
    ],
    "tools": [PATCH, {"type": "namespace", "name": "agents", "description": "Agents.",
                      "tools": [{**FUNCTION, "name": "close"}]}],
    "tool_choice": "auto",
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "client_metadata": {"installation": "x"},
}  # fmt: skip


CODEX_HEADERS = {"session-id": "s1", "x-codex-turn-state": "ts1"}
TOLD = {
    "openai-model": "gpt-x",
    "x-models-etag": "e1",
    "x-reasoning-included": "true",
    "x-codex-turn-state": "ts2",
    "x-codex-primary-used-percent": "5",
    "x-codex-secondary-reset-at": "1790000000",
}


@pytest.mark.parametrize("profile", [None, {"exact": False}], ids=["relay", "translate"])
async def test_protocol_openai_B14_2_B14_9_headers_of_codex_pass_within_its_protocol(profile: Any) -> None:
    head = {"content-type": "application/json", **TOLD, "x-codex-other": "no"}
    script = answering(response(), headers=head)
    asked = await ask("responses", "responses", {}, script, headers={**CODEX, **CODEX_HEADERS}, profile=profile)
    sent = asked.upstream.calls[-1]
    assert {name: sent.header(name) for name in CODEX_HEADERS} == CODEX_HEADERS
    assert {name: asked.answer.header(name) for name in TOLD} == TOLD
    assert asked.answer.header("x-codex-other") is None


async def test_protocol_openai_B14_2_headers_of_codex_reach_no_other_vendor() -> None:
    head = {"content-type": "application/json", **TOLD}
    body: Any = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    asked = await ask("responses", "chat", {}, answering(body, headers=head), headers={**CODEX, **CODEX_HEADERS})
    assert asked.answer.status == 200
    assert not any(asked.upstream.calls[-1].header(name) for name in CODEX_HEADERS)
    assert not any(asked.answer.header(name) for name in TOLD)


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/openai/v1/models"])
async def test_protocol_openai_B14_10_catalogue_of_codex_is_not_found(path: str) -> None:
    """It has its own, and would not understand the vendor's list."""
    gateway = make_gateway(upstream("chat"), scripts={"chat": ScriptedUpstream()})
    wanted = await call(gateway, "GET", path, query="client_version=0.169.0", headers=CODEX)
    assert (wanted.status, json.loads(wanted.body)["error"]["type"]) == (404, "invalid_request_error")
    assert (await call(gateway, "GET", path, headers=CODEX)).status == 200


@pytest.mark.parametrize(
    ("to", "answer"),
    [("chat", chat_answer()), ("claude", claude_answer()), ("responses", response_answer())],
    ids=["chat", "claude", "responses"],
)
async def test_openai_C51_request_of_codex_is_served_and_its_secrets_stay(to: str, answer: Any) -> None:
    profile = {"base": "openai-responses", "exact": False} if to == "responses" else None
    asked = await ask("responses", to, CODEX_BODY, answer, headers=CODEX, profile=profile)
    assert asked.answer.status == 200, asked.answer.text
    sent = json.dumps(asked.sent)
    assert "client_metadata" not in sent
    assert "passthrough" not in sent
    assert "late" in sent


async def test_openai_C51_tool_of_a_namespace_goes_out_by_its_full_name_and_comes_back_in_it() -> None:
    call = {"id": "c2", "type": "function", "function": {"name": "agents__close", "arguments": "{}"}}
    asked = await ask(
        "responses", "chat", CODEX_BODY, chat_answer({"content": None, "tool_calls": [call]}, "tool_calls")
    )
    assert "agents__close" in [tool.get("function", {}).get("name") for tool in asked.sent["tools"]]
    (item,) = asked.json["output"]
    assert (item["name"], item["namespace"], item["call_id"]) == ("close", "agents", "c2")


async def test_openai_C52_free_text_comes_out_of_pieces_of_json() -> None:
    pieces = ('{"inp', 'ut":"a\\u00', "e9\\n", 'b"}')
    script = claude_stream(claude_events(tool_block("t1", "apply_patch", *pieces), stop="tool_use"))
    asked = await ask("responses", "claude", {"stream": True, "tools": [PATCH]}, script)
    check_order(asked)
    deltas = [e["delta"] for e in asked.events[:-1] if e["type"] == "response.custom_tool_call_input.delta"]
    (done,) = (e["input"] for e in asked.events[:-1] if e["type"] == "response.custom_tool_call_input.done")
    (item,) = asked.events[-2]["response"]["output"]
    assert ("".join(deltas), done, item["input"], item["type"]) == ("aé\nb", "aé\nb", "aé\nb", "custom_tool_call")


@run_virtual
async def test_openai_C53_silence_is_bridged_by_events_for_codex() -> None:
    events = claude_events(TEXT_BLOCK)
    script = streaming(sse_body(events[:1], named=True), Delay(90), sse_body(events[1:], named=True))
    asked = await ask("responses", "claude", {"stream": True}, script, headers=CODEX)
    check_order(asked)
    beats = [event["response"] for event in asked.events[:-1] if event["type"] == "response.in_progress"]
    assert len(beats) > 2
    assert [beat["output"] for beat in beats] == [[]] * len(beats)
    assert {event["response"]["id"] for event in asked.events[:-1] if "response" in event} == {beats[0]["id"]}


@run_virtual
async def test_answer_that_began_with_heartbeats_does_not_begin_again_where_another_upstream_gives_it() -> None:
    """The other one speaks Responses, and would tell a beginning, an id and numbers of its own."""
    busy = Answering(status=500, pieces=[b"{}"], before=[Delay(90)])
    native = ScriptedUpstream(response_stream(response_events(said_item("Hi"))))
    records = Records()
    gateway = make_gateway(
        upstream("claude"),
        upstream("responses"),
        scripts={"claude": ScriptedUpstream(busy), "responses": native},
        hooks=[records],
        models=[{"name": "m", "targets": ["claude/m", "responses/m"]}],
    )
    body = {"model": "m", "input": "Hi", "stream": True}
    answer = await call(gateway, "POST", "/v1/responses", json=body, headers=CODEX)
    asked = Asked(answer, native, records)
    check_order(asked)
    assert kinds(asked).count("response.created") == 1
    assert len({event["response"]["id"] for event in asked.events[:-1] if "response" in event}) == 1
    assert accumulated(asked).output_text == "Hi"


@run_virtual
async def test_silence_is_bridged_by_comments_for_others() -> None:
    events = claude_events(TEXT_BLOCK)
    script = streaming(sse_body(events[:1], named=True), Delay(90), sse_body(events[1:], named=True))
    asked = await ask("responses", "claude", {"stream": True}, script)
    check_order(asked)
    assert asked.answer.text.startswith(": keepalive\n\n")
    assert kinds(asked).count("response.in_progress") == 1


@run_virtual
async def test_failure_behind_heartbeats_is_an_answer_that_failed() -> None:
    asked = await ask("responses", "chat", {"stream": True}, streaming(NEVER), headers=CODEX)
    assert asked.answer.status == 200
    assert asked.events[-1]["type"] == "response.failed"
    check_order(asked)


async def test_relayed_stream_ends_with_the_sentinel() -> None:
    script = response_stream(response_events(said_item("Hi")))
    asked = await ask("responses", "responses", {"stream": True}, script)
    assert asked.events[-1] == "[DONE]"
    assert accumulated(asked).output_text == "Hi"
