"""Legacy completions through the gateway: relayed, asked by conversations, one answer of several, cut and refused."""

import json
from typing import Any

import pytest

from tests.support.asgi_driver import Answer, Exchange, call
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.scripted_client import NEVER, Answering, Script, ScriptedUpstream, answering, streaming
from tests.support.virtual_time import run_virtual

from .asking import (
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    error,
)

pytestmark = pytest.mark.anyio

PATH = "/v1/completions"
INSTRUCT = "gpt-3.5-turbo-instruct"


async def complete(body: Any, *scripts: Script, to: str = "chat", **config: Any) -> Asked:
    return await ask("chat", to, {"messages": ..., "prompt": "Say it", **body}, *scripts, path=PATH, **config)


def said(to: str, text: str = "Hello") -> Answering:
    if to == "claude":
        return claude_answer([{"type": "text", "text": text}])
    return chat_answer({"content": text})


def spoken(to: str, *texts: str) -> Answering:
    """Return a stream."""
    if to == "claude":
        return claude_stream(
            claude_events(({"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in texts]))
        )
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    end = {**chunk(finish="stop"), "usage": usage}
    return chat_stream(chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts), end)


def texts(asked: Asked) -> dict[int, str]:
    """Return the joined text of each choice of a stream."""
    joined: dict[int, str] = {}
    for event in asked.events[:-1]:
        for choice in event["choices"]:
            joined[choice["index"]] = joined.get(choice["index"], "") + choice["text"]
    return joined


# --- asked by a conversation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C2_prompt_is_answered_by_any_upstream(to: str) -> None:
    asked = await complete({"max_tokens": 7, "echo": True}, said(to), to=to)
    choice = {"text": "Say itHello", "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert (asked.json["object"], asked.json["choices"]) == ("text_completion", [choice])
    assert asked.json["usage"]["total_tokens"] == 5
    assert asked.json["model"] == f"{to}/test-model"
    assert asked.json["id"] == {"chat": "cmpl-1", "claude": "cmpl-msg_1"}[to]
    assert "Say it" in json.dumps(asked.sent["messages"])
    record = asked.records[0]
    assert (record.operation, record.mode, record.result) == ("complete", "translate", "ok")


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C2_stream_has_the_object_name_of_the_whole(to: str) -> None:
    asked = await complete({"stream": True, "stream_options": {"include_usage": True}}, spoken(to, "Hel", "lo"), to=to)
    assert texts(asked) == {0: "Hello"}
    assert {event["object"] for event in asked.events[:-1]} == {"text_completion"}
    assert all(event["id"].startswith("cmpl-") for event in asked.events[:-1])
    assert (asked.events[-2]["usage"]["total_tokens"], asked.events[-1]) == (5, "[DONE]")
    assert asked.answer.header("content-type") == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("shape", ["whole", "stream"])
async def test_upstream_may_answer_in_the_other_shape(shape: str) -> None:
    asked = await complete(
        {"stream": shape == "stream"}, said("chat") if shape == "stream" else spoken("chat", "Hello")
    )
    assert (texts(asked) if shape == "stream" else {0: asked.json["choices"][0]["text"]}) == {0: "Hello"}


async def test_what_the_upstream_has_no_field_for_is_in_a_notice() -> None:
    asked = await complete({"logprobs": 2, "seed": 5}, said("claude"), to="claude")
    assert asked.json["choices"][0]["logprobs"] is None
    assert asked.notices == {"logprobs": "lost", "top_logprobs": "lost", "seed": "lost"}


async def test_n_of_who_gives_one_answer_is_refused() -> None:
    asked = await complete({"n": 2}, to="claude")
    assert (asked.answer.status, asked.json["error"]["param"], asked.upstream.calls) == (400, "n", [])


@pytest.mark.parametrize(
    ("body", "param"),
    [({"prompt": [1, 2]}, "prompt"), ({"prompt": ["x", [1]]}, "prompt[1]"), ({"suffix": "x"}, "suffix"),
     ({"best_of": 2}, "best_of"), ({"echo": True, "logprobs": 1}, "echo"), ({"prompt": ...}, "prompt"),
     ({"prompt": ["x"] * 129}, "prompt"), ({"messages": []}, "messages"), ({"model": ...}, "model")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C2_refusal_names_the_field_and_asks_nobody(to: str, body: Any, param: str) -> None:
    asked = await complete(body, to=to)
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, param)
    assert asked.json["error"]["type"] == "invalid_request_error"
    assert asked.upstream.calls == []


async def test_error_of_the_upstream_is_native() -> None:
    asked = await complete({}, error(429, {"error": {"message": "slow", "type": "requests"}}, retry_after="2"))
    assert (asked.answer.status, asked.answer.header("retry-after")) == (429, "2")


async def test_stream_that_breaks_off_ends_with_an_error() -> None:
    asked = await complete({"stream": True}, chat_stream(chunk({"content": "Hel"}), done=False))
    assert asked.events[-1]["error"]["code"] == "upstream_truncated"
    assert texts(asked) == {0: "Hel"}


# --- relayed ----------------------------------------------------------------------------------------------------------


async def test_model_of_the_endpoint_is_relayed_to_byte_for_byte() -> None:
    body = b'{"object":"text_completion", "choices":[{"text":"Hi","index":0,"finish_reason":"stop","logprobs":null}]}'
    given = {"prompt": [[1, 2], "ds2r1."], "suffix": "x", "best_of": 3, "echo": True, "logprobs": 5, "novel": 1}
    asked = await complete(given, answering(body), model=INSTRUCT)
    assert asked.answer.body == body
    assert asked.sent == {"model": INSTRUCT, **given}
    assert asked.upstream.calls[0].request.url.endswith("/v1/completions")
    assert asked.records[0].mode == "relay"


async def test_relayed_stream_passes_as_it_came() -> None:
    choice = {"text": "Hi", "index": 0, "finish_reason": None}
    frames = [{"choices": [choice]}, {"choices": [{**choice, "text": "", "finish_reason": "stop"}]}]
    data = b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames) + b"data: [DONE]\n\n"
    asked = await complete({"stream": True}, streaming(data), model=INSTRUCT)
    assert asked.answer.body == data
    assert asked.records[0].finish == "stop"


async def test_look_alike_says_which_models_it_serves_there() -> None:
    profile = {"base": "lenient", "completions": ["code-*"]}
    asked = await complete({"suffix": "x"}, answering({"choices": [{"text": "", "index": 0, "finish_reason": "stop"}]}),
                           model="code-1", profile=profile)  # fmt: skip
    assert (asked.answer.status, asked.sent["suffix"]) == (200, "x")


async def test_request_is_not_tried_in_the_other_way() -> None:
    """A text model and a chat model of one alias: what the first is asked, the second could not be asked alike."""
    scripts = {"chat": ScriptedUpstream(error(503, {"error": {"message": "busy"}})), "claude": ScriptedUpstream()}
    aliases = [{"name": "text", "targets": [f"chat/{INSTRUCT}", "claude/m"]}]
    gateway = make_gateway(upstream("chat"), upstream("claude"), scripts=scripts, models=aliases)
    answer = await call(gateway, "POST", PATH, json={"model": "text", "prompt": "x"})
    assert (answer.status, scripts["claude"].calls) == (503, [])


async def test_field_that_would_steer_is_refused() -> None:
    asked = await complete({"api_base": "http://evil"}, model=INSTRUCT)
    assert (asked.answer.status, asked.json["error"]["code"]) == (400, "reserved_field")


# --- several prompts --------------------------------------------------------------------------------------------------

BATCH = {"prompt": ["one", "two", "three"]}


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C2_each_prompt_is_asked_and_answered_in_order(to: str) -> None:
    asked = await complete(BATCH | {"echo": True}, *(said(to, text) for text in "ABC"), to=to)
    assert [(choice["index"], choice["text"]) for choice in asked.json["choices"]] == [
        (0, "oneA"), (1, "twoB"), (2, "threeC")
    ]  # fmt: skip
    assert (asked.json["usage"]["prompt_tokens"], asked.json["usage"]["completion_tokens"]) == (9, 6)
    prompts = [json.dumps(seen.json()["messages"]) for seen in asked.upstream.calls]
    assert [word in prompt for word, prompt in zip(BATCH["prompt"], prompts, strict=True)] == [True] * 3
    assert asked.answer.header("content-length") == str(len(asked.answer.body))
    (record,) = asked.records
    assert (record.result, len(record.attempts)) == ("ok", 3)
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total) == (9, 6)


async def test_openai_C2_choices_of_a_prompt_stand_together() -> None:
    twice = [{"index": i, "message": {"content": f"{i}"}, "finish_reason": "stop"} for i in range(2)]
    asked = await complete({"prompt": ["one", "two"], "n": 2}, *[chat_answer(choices=twice)] * 2)
    assert [(choice["index"], choice["text"]) for choice in asked.json["choices"]] == [
        (0, "0"), (1, "1"), (2, "0"), (3, "1")
    ]  # fmt: skip


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C2_stream_of_several_prompts_is_one(to: str) -> None:
    body = BATCH | {"stream": True, "stream_options": {"include_usage": True}}
    asked = await complete(body, *(spoken(to, text, "!") for text in "ABC"), to=to)
    assert texts(asked) == {0: "A!", 1: "B!", 2: "C!"}
    assert asked.events[-1] == "[DONE]"
    assert asked.events.count("[DONE]") == 1
    usages = [event["usage"] for event in asked.events[:-1] if event["usage"]]
    assert [usage["total_tokens"] for usage in usages] == [15]
    assert len({event["id"] for event in asked.events[:-1]}) == 1
    assert asked.records[0].usage is not None
    assert asked.records[0].usage.input_total == 9


async def test_part_fails_over_by_itself() -> None:
    asked = await complete(BATCH, said("chat", "A"), error(500, {}), said("chat", "C"), said("chat", "B"), accounts=2)
    assert [choice["text"] for choice in asked.json["choices"]] == ["A", "B", "C"]
    assert [attempt.code for attempt in asked.records[0].attempts] == ["ok", "upstream_server_error", "ok", "ok"]


async def test_header_tells_the_notices_of_all_parts() -> None:
    """Each part may lose something of its own."""
    spoken_parts = [{"type": "text", "text": "A"}, {"type": "thinking", "thinking": "hm", "signature": "s"}]
    asked = await complete(BATCH, claude_answer(spoken_parts), said("claude", "B"), said("claude", "C"), to="claude")
    header = asked.answer.header("x-ds2api-notices")
    assert header is not None
    assert header.split("; ") == [f"{n.pattern}={n.action}" for n in asked.records[0].notices if n.severity != "hint"]
    assert "content[]" in header


@pytest.mark.parametrize(("status", "told"), [(400, 400), (500, 502)])
async def test_whole_answer_of_which_a_part_fails_is_an_error(status: int, told: int) -> None:
    asked = await complete(BATCH, said("chat"), error(status, {"error": {"message": "no"}}), NEVER)
    assert asked.answer.status == told
    assert "choices" not in asked.json
    assert asked.records[0].result == "error"


@pytest.mark.parametrize(
    "broken", [error(500, {}), chat_stream(chunk({"content": "B"}), done=False)], ids=["error", "cut"]
)
async def test_stream_of_which_a_part_fails_ends_with_the_error(broken: Script) -> None:
    asked = await complete(BATCH | {"stream": True}, spoken("chat", "A"), broken, NEVER)
    assert texts(asked)[0] == "A"
    assert "error" in asked.events[-1]
    assert "[DONE]" not in asked.events
    assert asked.records[0].result == "interrupted"


@pytest.fixture
def slow() -> tuple[Any, ScriptedUpstream, Records]:
    """A gateway whose upstream answers the first prompt and no other."""
    scripted, records = ScriptedUpstream(spoken("chat", "A"), NEVER, NEVER), Records()
    return make_gateway(upstream("chat"), scripts={"chat": scripted}, hooks=[records]), scripted, records


@run_virtual
async def test_caller_who_leaves_ends_all_parts(slow: Any) -> None:
    gateway, scripted, records = slow
    body = {"model": "chat/m", "stream": True, **BATCH}
    async with Exchange(gateway, "POST", PATH, json=body) as exchange:
        await scripted.wait_calls(3)
        exchange.disconnect()
        await exchange.finish()
    assert ([call.cancelled_in for call in scripted.calls[1:]], open_leases(gateway)) == (["open"] * 2, 0)
    assert records[0].result == "client_gone"


@run_virtual
async def test_silence_of_a_part_has_its_heartbeats(slow: Any) -> None:
    gateway, _, _ = slow
    answer: Answer = await call(gateway, "POST", PATH, json={"model": "chat/m", "stream": True, **BATCH})
    assert answer.text.count(": keepalive") > 2
    assert answer.is_complete
    assert '"error"' in answer.text.splitlines()[-2]


@run_virtual
async def test_gateway_that_stops_ends_the_stream_of_all_parts(slow: Any) -> None:
    gateway, scripted, records = slow
    async with Exchange(gateway, "POST", PATH, json={"model": "chat/m", "stream": True, **BATCH}) as exchange:
        await scripted.wait_calls(3)
        await gateway.drain(1)
        answer = await exchange.finish()
    assert '"error"' in answer.text.splitlines()[-2]
    assert (records[0].result, open_leases(gateway)) == ("cut", 0)


@run_virtual
async def test_caller_who_does_not_read_is_cut_off_without_an_end() -> None:
    records = Records()
    scripted = ScriptedUpstream(spoken("chat", "A"), spoken("chat", "B"), spoken("chat", "C"))
    gateway = make_gateway(upstream("chat"), scripts={"chat": scripted}, hooks=[records])
    body = {"model": "chat/m", "stream": True, **BATCH}
    async with Exchange(gateway, "POST", PATH, json=body, holds_sends=True, may_cut=True) as exchange:
        exchange.release(2)  # the start, and the first part
        answer = await exchange.finish()
    assert (answer.is_complete, records[0].code, open_leases(gateway)) == (False, "client_stalled", 0)
