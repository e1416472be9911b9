"""What the oracle forgives (protocol-others.md 7.2), what it does not, and where the reader of the SDKs is strict."""

import json
from collections.abc import Sequence

import anthropic
import openai
import pytest

from .http_bytes import DONE, response, sse, sse_body
from .oracle import outcome_of, sse_events
from .outcome import Outcome, json_arguments
from .raw_upstream import RawUpstream
from .script import Send
from .sdk_outcome import anthropic_message, ask_anthropic, ask_openai, openai_completion

pytestmark = pytest.mark.anyio

JSONObject = dict[str, object]


def chunk(delta: JSONObject | None = None, finish: str | None = None, **extra: object) -> JSONObject:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **extra}


def call(index: int | None, id_: str | None, name: str | None, arguments: object) -> JSONObject:
    fragment: JSONObject = {"id": id_, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [fragment if index is None else fragment | {"index": index}]}


STOP = chunk({}, "stop")
TWO_CALLS = Outcome(tools=(("f", '{"a": 1}'), ("g", "{}")), finish="tool")

CHAT_STREAMS: dict[str, tuple[list[JSONObject | str], Outcome]] = {
    "plain": (
        [chunk({"role": "assistant", "content": "a"}), chunk({"content": "b"}), STOP, DONE],
        Outcome(text="ab", finish="stop"),
    ),
    "end without the sentinel": ([chunk({"content": "a"}), STOP], Outcome(text="a", finish="stop")),
    "sentinel without a finish": ([chunk({"content": "a"}), DONE], Outcome(text="a", finish="stop")),
    "neither": ([chunk({"content": "a"})], Outcome(text="a", is_error=True)),
    "after the sentinel": ([STOP, DONE, chunk({"content": "a"})], Outcome(finish="stop")),
    "delta null, choices missing": ([chunk(None), {"id": "x"}, STOP, DONE], Outcome(finish="stop")),
    "other choices": ([{"choices": [{"index": 1, "delta": {"content": "b"}}]}, STOP, DONE], Outcome(finish="stop")),
    "usage: last wins, null is none": (
        [
            chunk({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 1}),
            chunk(
                {},
                usage={
                    "prompt_tokens": 5,
                    "completion_tokens": 7,
                    "prompt_tokens_details": {"cached_tokens": 2},
                    "completion_tokens_details": {"reasoning_tokens": 3},
                },
            ),
            chunk({}, usage=None),
            DONE,
        ],
        Outcome(finish="stop", input_tokens=5, output_tokens=7, cached_tokens=2, reasoning_tokens=3),
    ),
    "usage in x_groq": (
        [chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 5, "completion_tokens": 7}}), DONE],
        Outcome(finish="stop", input_tokens=5, output_tokens=7),
    ),
    "cached tokens of DeepSeek": (
        [chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 7, "prompt_cache_hit_tokens": 4}), DONE],
        Outcome(finish="stop", input_tokens=5, output_tokens=7, cached_tokens=4),
    ),
    "content as parts": (
        [
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]}),
            chunk({"content": [{"type": "text", "text": "t"}]}),
            STOP,
            DONE,
        ],
        Outcome(text="t", reasoning="r", finish="stop"),
    ),
    "reasoning twice in one delta": (
        [chunk({"reasoning": "r", "reasoning_content": "r"}), STOP, DONE],
        Outcome(reasoning="r", finish="stop"),
    ),
    "reasoning in details alone": (
        [chunk({"reasoning_details": [{"text": "r"}, {"summary": "s"}]}), STOP, DONE],
        Outcome(reasoning="rs", finish="stop"),
    ),
    "calls in fragments": (
        [
            chunk(call(0, "1", "f", "")),
            chunk(call(0, None, None, '{"a":')),
            chunk(call(0, "", "", "1}")),
            chunk(call(1, "2", "g", "")),
            chunk({}, "tool_calls"),
            DONE,
        ],
        TWO_CALLS,
    ),
    "interleaved calls": (
        [
            chunk(call(0, "1", "f", '{"a"')),
            chunk(call(1, "2", "g", "{}")),
            chunk(call(0, None, None, ":1}")),
            STOP,
            DONE,
        ],
        TWO_CALLS,
    ),
    "index always 0": ([chunk(call(0, "1", "f", '{"a":1}')), chunk(call(0, "2", "g", "{}")), STOP, DONE], TWO_CALLS),
    "no index": ([chunk(call(None, "1", "f", '{"a":1}')), chunk(call(None, "2", "g", None)), STOP, DONE], TWO_CALLS),
    "no index in fragments": (
        [
            chunk(call(None, "1", "f", '{"a"')),
            chunk(call(None, None, None, ":1}")),
            chunk(call(None, "2", "g", "")),
            DONE,
        ],
        TWO_CALLS,
    ),
    "id and name in each fragment": (
        [chunk(call(0, "1", "f", '{"a"')), chunk(call(0, "1", "f", ":1}")), chunk(call(1, "2", "g", "")), STOP, DONE],
        TWO_CALLS,
    ),
    "arguments as an object": (
        [chunk(call(0, "1", "f", {"a": 1})), chunk(call(1, "2", "g", {})), STOP, DONE],
        TWO_CALLS,
    ),
    "empty object before the real one": (
        [chunk(call(0, "1", "f", "{}")), chunk(call(0, None, None, '{"a":1}')), chunk(call(1, "2", "g", "{}")), DONE],
        TWO_CALLS,
    ),
    "legacy function": (
        [chunk({"function_call": {"name": "f", "arguments": "{"}}), chunk({"function_call": {"arguments": "}"}}), DONE],
        Outcome(tools=(("f", "{}"),), finish="tool"),
    ),
    "custom tool": (
        [
            chunk({"tool_calls": [{"index": 0, "id": "1", "type": "custom", "custom": {"name": "c", "input": "é"}}]}),
            DONE,
        ],
        Outcome(tools=(("c", '{"input": "é"}'),), finish="tool"),
    ),
    "refusal": ([chunk({"refusal": "no"}), STOP, DONE], Outcome(text="no", finish="filter")),
    "filter after stop": ([STOP, chunk({}, "content_filter"), DONE], Outcome(finish="filter")),
    "two finish reasons": ([chunk({}, "length"), STOP, DONE], Outcome(finish="length")),
    "other words": ([chunk({}, "eos"), DONE], Outcome(finish="stop")),
    "error object": ([chunk({"content": "a"}), {"error": {"message": "x"}}], Outcome(text="a", is_error=True)),
    "error text": ([{"error": "x"}], Outcome(is_error=True)),
    "error of FastAPI": ([{"detail": "x"}], Outcome(is_error=True)),
    "error of vLLM": ([{"object": "error", "message": "x"}], Outcome(is_error=True)),
    "error beside a choice": ([chunk({}, None, error={"code": 400}), DONE], Outcome(is_error=True)),
    "finish that is an error": ([chunk({"content": "a"}, "error"), DONE], Outcome(text="a", is_error=True)),
    "broken JSON": ([chunk({"content": "a"}), "{", DONE], Outcome(text="a", is_error=True)),
}


@pytest.mark.parametrize(("events", "expected"), CHAT_STREAMS.values(), ids=CHAT_STREAMS)
def test_chat_stream_means_what_was_meant(events: list[JSONObject | str], expected: Outcome) -> None:
    assert outcome_of("chat", sse_body(events), is_stream=True) == expected


def test_unknown_finish_reason_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="novel"):
        outcome_of("chat", sse_body([chunk({}, "novel"), DONE]), is_stream=True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":{}, "choices":[]}', b'{"choices":[]}'])
def test_whole_answer_that_is_no_completion_is_an_error(body: bytes) -> None:
    assert outcome_of("chat", body, is_stream=False) == Outcome(is_error=True)
    assert outcome_of("anthropic", body, is_stream=False) == Outcome(is_error=True)


def test_lines_end_with_cr_lf_or_both_and_with_nothing_else() -> None:
    text = "\ufeff: c\r\nevent: a\r\ndata: 1\u2028\x85\rdata:2\n\nid: 3\n\ndata: last"
    assert list(sse_events(text)) == [("a", "1\u2028\x85\n2"), ("", "last")]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", "{}"), ('{"b":1,"a":"é"}', '{"a": "é", "b": 1}'), ({"b": [1.0]}, '{"b": [1.0]}'), ('{"a"', '{"a"')],
)
def test_arguments_are_compared_as_json(arguments: object, expected: str) -> None:
    assert json_arguments(arguments) == expected


START: JSONObject = {
    "type": "message_start",
    "message": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "usage": {
            "input_tokens": 3,
            "cache_read_input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "output_tokens": 1,
        },
    },
}
END: list[JSONObject | str] = [
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 9, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 4}},
    },
    {"type": "message_stop"},
]


def block(index: int, start: JSONObject, *deltas: JSONObject) -> list[JSONObject]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def tool(name: str, **given: object) -> JSONObject:
    return {"type": "tool_use", "id": name, "name": name, "input": given}


MESSAGE: list[JSONObject | str] = [
    START,
    {"type": "ping"},
    *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "r"}),
    *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "t"}),
    *block(
        2,
        tool("f"),
        {"type": "input_json_delta", "partial_json": '{"a":'},
        {"type": "input_json_delta", "partial_json": "1}"},
    ),
    *block(3, tool("g"), {"type": "input_json_delta", "partial_json": ""}),
    *block(4, tool("h", b=2)),
    *block(
        5,
        {"type": "server_tool_use", "id": "s", "name": "s", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"q":1}'},
    ),
]
SAID = Outcome(
    text="t",
    reasoning="r",
    tools=(("f", '{"a": 1}'), ("g", "{}"), ("h", '{"b": 2}')),
    finish="tool",
    input_tokens=18,
    output_tokens=9,
    cached_tokens=10,
    reasoning_tokens=4,
)
BROKEN = Outcome(
    text="t", reasoning="r", tools=SAID.tools, input_tokens=18, output_tokens=1, cached_tokens=10, is_error=True
)


async def through_anthropic(events: Sequence[JSONObject | str]) -> Outcome:
    async with (
        RawUpstream.per_request([Send(sse(events, named=True))]) as upstream,
        anthropic.AsyncAnthropic(base_url=upstream.url, api_key="k", max_retries=0) as client,
    ):
        return await ask_anthropic(client, "m", stream=True)


async def through_openai(*events: JSONObject | str) -> Outcome:
    async with (
        RawUpstream.per_request([Send(sse(events))]) as upstream,
        openai.AsyncOpenAI(base_url=upstream.url, api_key="k", max_retries=0) as client,
    ):
        return await ask_openai(client, "m", stream=True)


async def test_anthropic_stream_counts_the_cache_as_input_and_server_tools_as_none() -> None:
    assert outcome_of("anthropic", sse_body(MESSAGE + END, named=True), is_stream=True) == SAID
    assert await through_anthropic(MESSAGE + END) == SAID


async def test_anthropic_stream_without_its_end_is_an_error() -> None:
    assert outcome_of("anthropic", sse_body(MESSAGE, named=True), is_stream=True) == BROKEN
    assert await through_anthropic(MESSAGE) == BROKEN


async def test_anthropic_error_event_ends_the_stream() -> None:
    events: list[JSONObject | str] = [
        *MESSAGE,
        {"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        *END,
    ]
    assert outcome_of("anthropic", sse_body(events, named=True), is_stream=True) == BROKEN
    assert await through_anthropic(events) == BROKEN


async def test_reader_of_chunks_appends_what_a_server_repeats() -> None:
    repeated = [chunk(call(0, "1", "f", '{"a"')), chunk(call(0, "1", "f", ":1}")), chunk({}, "tool_calls")]
    assert await through_openai(*repeated, DONE) == Outcome(tools=(("ff", '{"a": 1}'),), finish="tool")


async def test_reader_of_chunks_takes_reasoning_once_and_the_last_usage() -> None:
    usage: JSONObject = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    said = await through_openai(
        chunk({"reasoning": "r", "reasoning_content": "r"}),
        chunk({"content": "t"}, "length"),
        {"choices": [], "usage": usage},
        DONE,
    )
    assert said == Outcome(text="t", reasoning="r", finish="length", input_tokens=5, output_tokens=7)


async def test_reader_of_chunks_keeps_what_came_before_an_error() -> None:
    assert await through_openai(chunk({"content": "t"}), {"error": {"message": "x"}}) == Outcome(
        text="t", is_error=True
    )


async def test_raised_status_is_an_error() -> None:
    failing = RawUpstream.per_request([Send(response(429, body={"error": {"message": "x", "type": "y"}}))])
    async with (
        failing as upstream,
        openai.AsyncOpenAI(base_url=upstream.url, api_key="k", max_retries=0) as one,
        anthropic.AsyncAnthropic(base_url=upstream.url, api_key="k", max_retries=0) as other,
    ):
        for stream in (True, False):
            assert await ask_openai(one, "m", stream=stream) == Outcome(is_error=True)
            assert await ask_anthropic(other, "m", stream=stream) == Outcome(is_error=True)


async def test_request_is_that_of_the_body_with_model_and_stream_of_the_test() -> None:
    upstream = RawUpstream.per_request([Send(response(500))])
    async with upstream, openai.AsyncOpenAI(base_url=upstream.url, api_key="k", max_retries=0) as client:
        await ask_openai(client, "m", stream=True, body={"model": "x", "messages": [1], "stream": False, "seed": 7})
        (request,) = upstream.requests
    assert request.json() == {
        "model": "m",
        "messages": [1],
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 7,
    }


@pytest.mark.parametrize("answer", ["text", None, json.loads("{}")])
def test_what_an_sdk_could_not_parse_is_an_error(answer: object) -> None:
    assert openai_completion(answer) == anthropic_message(answer) == Outcome(is_error=True)
