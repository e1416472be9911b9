"""openai-C20: several answers to one request, from upstreams that give one at a time."""

import json
from typing import Any

import pytest

from tests.support.asgi_driver import Exchange
from tests.support.gateways import Records, make_gateway, open_leases, upstream
from tests.support.http_bytes import sse_body
from tests.support.scripted_client import NEVER, Answering, Delay, ScriptedUpstream, streaming
from tests.support.virtual_time import run_virtual

from .asking import (
    STREAM,
    Asked,
    ask,
    chat_answer,
    claude_answer,
    claude_events,
    claude_stream,
    error,
    ollama_answer,
    response_answer,
    said_item,
    tool_block,
)

pytestmark = pytest.mark.anyio

TWO = {"n": 2, "stream": True, "stream_options": {"include_usage": True}}
PARAMS = {"chat": "n", "gemini": "generationConfig.candidateCount"}


def said(to: str, text: str) -> Answering:
    """Return a whole answer, 3 tokens of input and 2 of output."""
    match to:
        case "claude":
            return claude_answer([{"type": "text", "text": text}])
        case "responses":
            return response_answer([said_item(text)], usage={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})
        case "ollama":
            return ollama_answer({"content": text}, prompt_eval_count=3, eval_count=2)
    return chat_answer({"content": text})


def spoken(*texts: str) -> list[dict[str, Any]]:
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return claude_events(({"type": "text", "text": ""}, deltas))


def wanted(face: str, count: int) -> dict[str, Any]:
    return {"generationConfig": {"candidateCount": count}} if face == "gemini" else {"n": count}


def answers_of(face: str, asked: Asked) -> list[tuple[int, str]]:
    if face == "gemini":
        return [(c.get("index", 0), c["content"]["parts"][0]["text"]) for c in asked.json["candidates"]]
    return [(choice["index"], choice["message"]["content"]) for choice in asked.json["choices"]]


def indexes(asked: Asked) -> list[int]:
    return [choice["index"] for event in asked.events[:-1] for choice in event["choices"]]


def texts(asked: Asked) -> dict[int, str]:
    joined: dict[int, str] = {}
    for event in asked.events[:-1]:
        for choice in event["choices"]:
            joined[choice["index"]] = joined.get(choice["index"], "") + (choice["delta"].get("content") or "")
    return joined


# --- on and off -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("face", ["chat", "gemini"])
@pytest.mark.parametrize("to", ["claude", "responses", "ollama"])
async def test_openai_C20_without_the_switch_several_answers_are_refused_by_name(face: str, to: str) -> None:
    asked = await ask(face, to, wanted(face, 2))
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    if face == "chat":
        assert (asked.json["error"]["code"], asked.json["error"]["param"]) == ("unsupported_value", "n")


@pytest.mark.parametrize("face", ["chat", "gemini"])
@pytest.mark.parametrize("to", ["claude", "responses", "ollama"])
async def test_openai_C20_each_answer_is_a_call_of_its_own(face: str, to: str) -> None:
    asked = await ask(face, to, wanted(face, 2), said(to, "A"), said(to, "B"), fan_out=True)
    assert answers_of(face, asked) == [(0, "A"), (1, "B")]
    assert [sorted({"n", "candidateCount"} & call.json().keys()) for call in asked.upstream.calls] == [[], []]
    (record,) = asked.records
    assert record.usage is not None
    assert (record.usage.input_total, record.usage.output_total) == (6, 4)
    assert (record.result, [attempt.code for attempt in record.attempts]) == ("ok", ["ok", "ok"])
    assert asked.answer.header("content-length") == str(len(asked.answer.body))
    assert asked.answer.header("x-ds2api-attempts") == "2"
    if face == "chat":
        assert (asked.json["usage"]["prompt_tokens"], asked.json["usage"]["completion_tokens"]) == (6, 4)


@pytest.mark.parametrize("face", ["chat", "gemini"])
async def test_openai_C20_a_notice_says_that_each_answer_is_billed_for_its_input(face: str) -> None:
    asked = await ask(face, "claude", wanted(face, 2), said("claude", "A"), said("claude", "B"), fan_out=True)
    assert asked.notices[PARAMS[face]] == "changed"
    assert f"{PARAMS[face]}=emulated" in (asked.answer.header("x-ds2api-notices") or "")


async def test_upstream_has_its_own_word_on_it() -> None:
    records = Records()
    gateway = make_gateway(upstream("claude", fan_out=False), scripts={"claude": ScriptedUpstream()}, hooks=[records],
                           fan_out=True)  # fmt: skip
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        assert (await exchange.finish()).status == 400


async def test_upstream_that_gives_several_is_asked_once() -> None:
    twice = [{"index": i, "message": {"content": f"{i}"}, "finish_reason": "stop"} for i in range(2)]
    asked = await ask("chat", "chat", {"n": 2}, chat_answer(choices=twice), profile="lenient", fan_out=True)
    assert asked.sent["n"] == 2
    assert len(asked.upstream.calls) == 1


@pytest.mark.parametrize("face", ["chat", "gemini"])
async def test_openai_C20_number_of_answers_is_bounded(face: str) -> None:
    asked = await ask(face, "claude", wanted(face, 5), fan_out=True, limits={"max_choices": 4})
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    assert PARAMS[face] in asked.json["error"]["message"]


async def test_openai_C20_completions_of_a_prompt_stand_together() -> None:
    scripts = [said("claude", text) for text in "ABCD"]
    body = {"messages": ..., "prompt": ["one", "two"], "n": 2, "echo": True}
    asked = await ask("chat", "claude", body, *scripts, path="/v1/completions", fan_out=True)
    told = [(choice["index"], choice["text"]) for choice in asked.json["choices"]]
    assert told == [(0, "oneA"), (1, "oneB"), (2, "twoC"), (3, "twoD")]
    assert asked.json["usage"]["total_tokens"] == 20
    words = [json.dumps(call.json()["messages"]) for call in asked.upstream.calls]
    assert ["one" in word for word in words] == [True, True, False, False]


async def test_best_of_more_stays_refused() -> None:
    body = {"messages": ..., "prompt": "one", "n": 2, "best_of": 3}
    asked = await ask("chat", "claude", body, path="/v1/completions", fan_out=True)
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "best_of")


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_openai_C20_stream_tells_all_choices_and_one_usage() -> None:
    streams = [claude_stream(spoken("A", "!")), claude_stream(spoken("B", "?"))]
    asked = await ask("chat", "claude", TWO, *streams, fan_out=True)
    assert texts(asked) == {0: "A!", 1: "B?"}
    assert indexes(asked)[0] == 0
    assert asked.events.count("[DONE]") == 1
    finishes = [(c["index"], c["finish_reason"]) for e in asked.events[:-1] for c in e["choices"] if c["finish_reason"]]
    assert finishes == [(0, "stop"), (1, "stop")]
    usages = [event["usage"] for event in asked.events[:-1] if event.get("usage")]
    assert [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages] == [(6, 4)]
    assert len({event["id"] for event in asked.events[:-1]}) == 1


@run_virtual
async def test_openai_C20_first_chunk_is_of_choice_0_whoever_speaks_first() -> None:
    late = streaming(Delay(5), sse_body(spoken("A"), named=True))
    scripted = ScriptedUpstream(late, claude_stream(spoken("B")))
    gateway = make_gateway(upstream("claude"), scripts={"claude": scripted}, fan_out=True)
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], **TWO}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        answer = await exchange.finish()
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    numbers = [choice["index"] for event in events for choice in event["choices"]]
    assert (numbers[0], sorted(set(numbers))) == (0, [0, 1])


async def test_openai_C20_calls_of_several_answers_do_not_mix() -> None:
    streams = [claude_stream(claude_events(tool_block(f"t{i}", "f", '{"a":', f"{i}}}"), stop="tool_use"))
               for i in range(2)]  # fmt: skip
    body = TWO | {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}
    asked = await ask("chat", "claude", body, *streams, fan_out=True)
    said_by: dict[int, str] = {0: "", 1: ""}
    for event in asked.events[:-1]:
        for choice in event["choices"]:
            for call in choice["delta"].get("tool_calls", []):
                assert call["index"] == 0
                said_by[choice["index"]] += call["function"].get("arguments", "")
    assert said_by == {0: '{"a":0}', 1: '{"a":1}'}


@pytest.mark.parametrize("query", ["alt=sse", "alt=json"])
async def test_gemini_C14_candidates_of_several_calls_are_one_stream(query: str) -> None:
    streams = [claude_stream(spoken("A")), claude_stream(spoken("B"))]
    asked = await ask("gemini", "claude", wanted("gemini", 2), *streams, verb=STREAM, query=query, fan_out=True)
    chunks = asked.events if query == "alt=sse" else json.loads(asked.answer.body)
    said_by: dict[int, str] = {}
    for told in chunks:
        for candidate in told["candidates"]:
            number = candidate.get("index", 0)
            text = "".join(part.get("text", "") for part in candidate["content"]["parts"])
            said_by[number] = said_by.get(number, "") + text
    assert said_by == {0: "A", 1: "B"}
    assert chunks[-1]["usageMetadata"]["promptTokenCount"] == 6


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_each_answer_fails_over_by_itself() -> None:
    scripts = [said("claude", "A"), error(529, {}), said("claude", "B")]
    asked = await ask("chat", "claude", {"n": 2}, *scripts, accounts=2, fan_out=True)
    assert answers_of("chat", asked) == [(0, "A"), (1, "B")]
    assert len(asked.records[0].attempts) == 3


async def test_answer_of_which_a_choice_fails_is_an_error() -> None:
    asked = await ask("chat", "claude", {"n": 2}, said("claude", "A"), error(400, {"error": {"message": "no"}}),
                      fan_out=True)  # fmt: skip
    assert (asked.answer.status, "choices" in asked.json) == (400, False)


async def test_stream_of_which_a_choice_breaks_ends_with_the_error_and_no_end() -> None:
    cut = claude_stream(spoken("B")[:-2])
    asked = await ask("chat", "claude", TWO, claude_stream(spoken("A")), cut, fan_out=True)
    assert "error" in asked.events[-1]
    assert "[DONE]" not in asked.events
    assert asked.records[0].result == "interrupted"


@run_virtual
async def test_caller_who_leaves_ends_all_calls_and_no_lease_stays() -> None:
    scripted, records = ScriptedUpstream(NEVER, NEVER, NEVER), Records()
    gateway = make_gateway(upstream("claude"), scripts={"claude": scripted}, hooks=[records], fan_out=True)
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "n": 3}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        await scripted.wait_calls(3)
        assert open_leases(gateway) == 3
        exchange.disconnect()
        await exchange.finish()
    assert [call.cancelled_in for call in scripted.calls] == ["open"] * 3
    assert (open_leases(gateway), records[0].result) == (0, "client_gone")


@run_virtual
async def test_no_more_than_a_few_are_asked_at_once() -> None:
    scripted = ScriptedUpstream.by_request(lambda _: NEVER)
    gateway = make_gateway(upstream("claude"), scripts={"claude": scripted}, fan_out=True, limits={"max_choices": 20},
                           timeouts={"deadline_s": 5})  # fmt: skip
    body = {"model": "claude/m", "messages": [{"role": "user", "content": "Hi"}], "n": 20}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        answer = await exchange.finish()
    assert (answer.status, len(scripted.calls), open_leases(gateway)) == (504, 8, 0)


async def test_fields_of_two_protocols_are_not_mixed() -> None:
    """A part that fails over to another protocol must not pass for one of the first."""
    chat = ScriptedUpstream(chat_answer({"content": "A", "odd": 1}), error(529, {}))
    claude = ScriptedUpstream(said("claude", "B"))
    records = Records()
    gateway = make_gateway(
        upstream("chat", profile="groq"),
        upstream("claude"),
        scripts={"chat": chat, "claude": claude},
        hooks=[records],
        fan_out=True,
        models=[{"name": "m", "targets": ["chat/m", "claude/m"]}],
    )
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    async with Exchange(gateway, "POST", "/v1/chat/completions", json=body) as exchange:
        answer = await exchange.finish()
    choices = json.loads(answer.body)["choices"]
    assert [(choice["message"]["content"], "odd" in choice["message"]) for choice in choices] == [
        ("A", False), ("B", False)
    ]  # fmt: skip
    assert any(notice.path.endswith("odd") for notice in records[0].notices)
