"""openai-C01..C20: what a Chat caller gets."""

from typing import Any

import pytest

from tests.support.http_bytes import sse_body
from tests.support.scripted_client import NEVER, Delay, streaming
from tests.support.virtual_time import run_virtual

from .asking import (
    TEXT_BLOCK,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    error,
    gemini_answer,
    tool_block,
)

pytestmark = pytest.mark.anyio
USAGE = {
    "input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 2},
}  # fmt: skip


def deltas(events: list[Any]) -> list[Any]:
    return [event["choices"][0]["delta"] for event in events if event != "[DONE]" and event["choices"]]


def finishes(events: list[Any]) -> list[str]:
    found = [choice["finish_reason"] for event in events if event != "[DONE]" for choice in event["choices"]]
    return [reason for reason in found if reason is not None]


def fragments(events: list[Any]) -> list[Any]:
    return [fragment for delta in deltas(events) for fragment in delta.get("tool_calls", [])]


async def test_openai_C01_whole_answer_of_anthropic() -> None:
    asked = await ask("chat", "claude", {}, claude_answer(usage=USAGE))
    choice, usage = asked.json["choices"][0], asked.json["usage"]
    assert (choice["finish_reason"], choice["message"]["content"], choice["message"]["refusal"]) == (
        "stop",
        "Hello",
        None,
    )
    assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")] == [18, 7, 25]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 5
    assert usage["prompt_tokens_details"]["cache_write_tokens"] == 3
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 2


async def test_openai_C02_stream_without_options_has_no_usage() -> None:
    asked = await ask("chat", "claude", {"stream": True}, claude_stream(claude_events(TEXT_BLOCK, usage=USAGE)))
    *events, done = asked.events
    assert done == "[DONE]"
    assert asked.answer.text.endswith("data: [DONE]\n\n")
    assert all("usage" not in event for event in events)
    assert deltas(events)[0]["role"] == "assistant"
    assert finishes(events) == ["stop"]


async def test_openai_C03_usage_chunk_is_the_last() -> None:
    body = {"stream": True, "stream_options": {"include_usage": True}}
    asked = await ask("chat", "claude", body, claude_stream(claude_events(TEXT_BLOCK, usage=USAGE)))
    *events, last, done = asked.events
    assert done == "[DONE]"
    assert all(event["usage"] is None for event in events)
    assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], 18)


async def test_openai_C04_tool_fragments_carry_id_and_name_once() -> None:
    events = claude_events(TEXT_BLOCK, tool_block("toolu_1", "f", '{"a"', ":1}"), stop="tool_use")
    asked = await ask("chat", "claude", {"stream": True}, claude_stream(events))
    first, *rest = fragments(asked.events)
    assert first == {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert rest == [{"index": 0, "function": {"arguments": piece}} for piece in ('{"a"', ":1}")]
    assert finishes(asked.events) == ["tool_calls"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_openai_C05_call_without_arguments_is_an_empty_object(streamed: bool) -> None:
    script = claude_answer([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], stop="tool_use")
    if streamed:
        script = claude_stream(claude_events(tool_block("t", "f"), stop="tool_use"))
    asked = await ask("chat", "claude", {"stream": streamed}, script)
    if streamed:
        arguments = "".join(fragment["function"]["arguments"] for fragment in fragments(asked.events))
    else:
        arguments = asked.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments == "{}"


async def test_openai_C06_parallel_calls_have_indexes_of_their_own() -> None:
    events = claude_events(tool_block("t1", "f", "{}"), tool_block("t2", "g", "{}"), stop="tool_use")
    asked = await ask("chat", "claude", {"stream": True}, claude_stream(events))
    heads = [fragment for fragment in fragments(asked.events) if "id" in fragment]
    assert [(head["index"], head["id"], head["function"]["name"]) for head in heads] == [(0, "t1", "f"), (1, "t2", "g")]


async def test_openai_C09_reasoning_in_two_fields_is_told_once() -> None:
    chunks = [chunk({"reasoning": "x"}), chunk({"reasoning_content": "x", "reasoning": "x"}), chunk({}, "stop")]
    asked = await ask("chat", "chat", {"stream": True}, chat_stream(*chunks), profile="lenient")
    assert "".join(delta.get("reasoning_content", "") for delta in deltas(asked.events)) == "xx"
    assert all(not delta.get("content") for delta in deltas(asked.events))


async def test_openai_C10_repeated_role_id_and_name_are_told_once() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}
    again = {**call, "function": {"name": "f", "arguments": "}"}}
    chunks = [chunk({"role": "assistant", "tool_calls": [call]}), chunk({"role": "assistant", "tool_calls": [again]}),
              chunk({"role": "assistant"}, "tool_calls")]  # fmt: skip
    asked = await ask("chat", "chat", {"stream": True}, chat_stream(*chunks), profile="lenient")
    assert [delta["role"] for delta in deltas(asked.events) if "role" in delta] == ["assistant"]
    assert [fragment.get("id") for fragment in fragments(asked.events)] == ["c1", None, None]
    assert "".join(fragment["function"]["arguments"] for fragment in fragments(asked.events)) == "{}"


async def test_openai_C11_call_waits_for_its_name() -> None:
    chunks = [
        chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ":1"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
        chunk({}, "tool_calls"),
    ]
    asked = await ask("chat", "chat", {"stream": True}, chat_stream(*chunks), profile="lenient")
    found = fragments(asked.events)
    assert (found[0]["id"], found[0]["function"]["name"]) == ("c1", "f")
    assert "".join(fragment["function"]["arguments"] for fragment in found) == '{"a":1}'


async def test_openai_C12_index_starts_at_zero() -> None:
    call = {"index": 1, "id": "c1", "function": {"name": "f", "arguments": "{}"}}
    chunks = [chunk({"tool_calls": [call]}), chunk({}, "tool_calls")]
    asked = await ask("chat", "chat", {"stream": True}, chat_stream(*chunks), profile="lenient")
    assert {fragment["index"] for fragment in fragments(asked.events)} == {0}


@pytest.mark.parametrize("wanted", [False, True])
async def test_openai_C13_usage_on_the_finish_chunk_is_told_if_asked_for(wanted: bool) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    body: dict[str, Any] = {"stream": True}
    if wanted:
        body["stream_options"] = {"include_usage": True}
    script = chat_stream(chunk({"content": "x"}), chunk({}, "stop", usage=usage))
    asked = await ask("chat", "chat", body, script, profile="lenient")
    last = asked.events[-2]
    assert ("usage" in last) is wanted
    if wanted:
        assert (last["choices"], last["usage"]["total_tokens"]) == ([], 6)


@pytest.mark.parametrize("profile", ["openai", "lenient"])
async def test_openai_C14_error_in_the_middle_is_the_last_event(profile: str) -> None:
    script = chat_stream(
        chunk({"content": "a"}), chunk({"content": "b"}), {"error": {"message": "boom", "code": 502}}
    )  # fmt: skip
    asked = await ask("chat", "chat", {"stream": True}, script, profile=profile)
    *events, last = asked.events
    assert [delta["content"] for delta in deltas(events) if delta.get("content")] == ["a", "b"]
    assert last["error"].keys() == {"message", "type", "param", "code"}
    assert (last["error"]["type"], last["error"]["param"]) == ("server_error", None)
    assert asked.records[-1].result == "interrupted"


@pytest.mark.parametrize("streamed", [False, True])
async def test_openai_C15_overload_before_the_first_byte_is_a_503(streamed: bool) -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    script = error(529, body, retry_after="3")
    asked = await ask("chat", "claude", {"stream": streamed}, script, script, script, accounts=2)
    assert asked.answer.status == 503
    assert (asked.json["error"]["type"], asked.json["error"]["code"]) == ("server_error", "server_is_overloaded")
    assert asked.answer.header("retry-after") == "3"


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_openai_C16_end_without_a_finish_is_an_error(to: str) -> None:
    script = chat_stream(chunk({"content": "a"}), done=False)
    if to == "claude":
        script = claude_stream(claude_events(TEXT_BLOCK)[:-2])
    asked = await ask("chat", to, {"stream": True}, script)
    assert asked.events[-1]["error"]["code"] == "upstream_truncated"
    assert "[DONE]" not in asked.answer.text


@run_virtual
async def test_openai_C17_silence_is_bridged_by_comments() -> None:
    script = streaming(Delay(25), sse_body([chunk({"content": "x"}), chunk({}, "stop"), "[DONE]"]))
    asked = await ask("chat", "chat", {"stream": True}, script)
    assert asked.answer.text.startswith(": keepalive\n\n")
    assert "event: ping" not in asked.answer.text
    assert asked.answer.text.endswith("data: [DONE]\n\n")


@run_virtual
async def test_openai_C17_failure_behind_heartbeats_is_in_band() -> None:
    asked = await ask("chat", "chat", {"stream": True}, streaming(NEVER))
    assert asked.answer.status == 200
    assert asked.events[-1]["error"]["code"] == "upstream_timeout"
    assert "[DONE]" not in asked.answer.text


AZURE_FIRST = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "usage": None,
               "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}  # fmt: skip


def azure_note(finish: str | None) -> dict[str, Any]:
    note = {"index": 0, "finish_reason": finish, "content_filter_results": {"hate": {"filtered": False}}}
    return {"id": "", "object": "", "created": 0, "model": "", "choices": [note]}


async def test_openai_C18_azures_annotations_make_no_broken_chunk() -> None:
    script = chat_stream(AZURE_FIRST, chunk({"content": "x"}), chunk({}, "stop"), azure_note(None))
    asked = await ask("chat", "chat", {"stream": True}, script, profile="azure")
    *events, _ = asked.events
    assert all(event["id"] for event in events)
    assert all("delta" in choice for event in events for choice in event["choices"])
    assert finishes(events) == ["stop"]


async def test_openai_C19_azures_filter_after_stop_overrides_it() -> None:
    script = chat_stream(AZURE_FIRST, chunk({"content": "x"}), chunk({}, "stop"), azure_note("content_filter"))
    asked = await ask("chat", "chat", {"stream": True}, script, profile="azure")
    assert finishes(asked.events) == ["content_filter"]


async def test_openai_C20_several_choices_of_an_upstream_with_one_are_refused() -> None:
    asked = await ask("chat", "claude", {"n": 2})
    assert asked.answer.status == 400
    assert (asked.json["error"]["code"], asked.json["error"]["param"]) == ("unsupported_value", "n")
    assert asked.upstream.calls == []


async def test_several_choices_pass_between_chat_and_chat() -> None:
    choices = [
        {"index": n, "message": {"role": "assistant", "content": f"c{n}"}, "finish_reason": "stop"} for n in (0, 1)
    ]
    asked = await ask("chat", "chat", {"n": 2}, chat_answer(choices=choices), profile="lenient")
    assert asked.sent["n"] == 2
    assert [choice["message"]["content"] for choice in asked.json["choices"]] == ["c0", "c1"]


async def test_openai_C07_calls_of_gemini_get_ids() -> None:
    calls = [{"functionCall": {"name": "f", "args": {"a": n}}} for n in (1, 2)]
    asked = await ask("chat", "gemini", {}, gemini_answer(calls))
    message = asked.json["choices"][0]["message"]
    assert len({call["id"] for call in message["tool_calls"]}) == 2
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"a":1}', '{"a":2}']


async def test_openai_C08_ends_and_usage_of_gemini() -> None:
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}
    cut = await ask("chat", "gemini", {}, gemini_answer([{"text": "x"}], "MAX_TOKENS", usage))
    assert (cut.json["choices"][0]["finish_reason"], cut.json["usage"]["completion_tokens"]) == ("length", 5)
    refused = await ask("chat", "gemini", {}, gemini_answer([], "SAFETY", usage))
    choice = refused.json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert choice["message"]["refusal"]
