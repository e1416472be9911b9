"""What users of gateways have suffered from, of R-4 to R-33 what is about streams and usage: through the whole gateway.

See `test_peers_pains`. The official SDK is the judge where a row names one.
"""

from typing import Any

import pytest

from tests.conformance.asking import (
    TEXT_BLOCK,
    Asked,
    ask,
    called_item,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    error,
    gemini_answer,
    response_events,
    response_stream,
    said_item,
    tool_block,
)
from tests.support.messages_grammar import violations
from tests.support.peers import fragment, proves
from tests.support.sdk_reading import sdk_error, sdk_message

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("pain")]

# --- streams ----------------------------------------------------------------------------------------------------------


@proves("R-4")
async def test_openais_sdk_rebuilds_parallel_calls_behind_thinking_and_text() -> None:
    thought = ({"type": "thinking", "thinking": "", "signature": ""}, [{"type": "thinking_delta", "thinking": "hm"}])
    blocks = [tool_block(f"t{n}", "f", '{"n":', f"{n}}}") for n in range(4)]
    script = claude_stream(claude_events(thought, TEXT_BLOCK, *blocks, stop="tool_use"))
    asked = await ask("chat", "claude", {"stream": True}, script)
    made = sdk_message("chat", asked.answer)["choices"][0]["message"]["tool_calls"]
    assert [(c["id"], c["function"]["arguments"]) for c in made] == [(f"t{n}", f'{{"n":{n}}}') for n in range(4)]


@proves("R-4")
async def test_anthropics_sdk_rebuilds_parallel_calls_that_interleave_behind_text() -> None:
    heads = [fragment(n, "", id=f"c{n}") for n in range(4)]
    tails = [fragment(n, '{"n":') for n in (3, 1, 0, 2)] + [fragment(n, f"{n}}}") for n in (1, 3, 2, 0)]
    asked = await ask(
        "claude",
        "chat",
        {"stream": True},
        chat_stream(chunk({"content": "x"}), *heads, *tails, chunk({}, "tool_calls")),
    )
    blocks = sdk_message("claude", asked.answer)["content"]
    assert blocks[0]["text"] == "x"
    assert [(block["id"], block["input"]) for block in blocks[1:]] == [(f"c{n}", {"n": n}) for n in range(4)]


@proves("R-4")
async def test_parallel_calls_of_gemini_are_rebuilt() -> None:
    made = [{"functionCall": {"name": "f", "args": {"n": n}}} for n in range(3)]
    asked = await ask("claude", "gemini", {}, gemini_answer(made))
    assert [block["input"] for block in asked.json["content"]] == [{"n": n} for n in range(3)]


CHAT_STREAMS: dict[str, list[Any]] = {
    "text": [chunk({"role": "assistant", "content": ""}), chunk({"content": "x"}), chunk({}, "stop")],
    "nothing": [chunk({"role": "assistant"}), chunk({}, "stop")],
    "thought and text": [chunk({"reasoning_content": "h"}), chunk({"content": "x"}), chunk({}, "stop")],
    "thought again": [
        chunk({"reasoning_content": "h"}), chunk({"content": "x"}), chunk({"reasoning_content": "i"}), chunk({}, "stop")
    ],
    "calls that interleave": [
        fragment(0, "", id="a"), fragment(1, "{", id="b"), fragment(0, "{}"), fragment(1, "}"), chunk({}, "tool_calls")
    ],
    "text in a call": [fragment(0, "{", id="a"), chunk({"content": "x"}), fragment(0, "}"), chunk({}, "tool_calls")],
    "text after a call": [fragment(0, "{}", id="a"), chunk({"content": "x"}), chunk({}, "tool_calls")],
    "odd indexes": [fragment(7, "{}", id="a"), fragment(9, "{}", id="b"), chunk({}, "tool_calls")],
    "cut call": [fragment(0, '{"a', id="a"), chunk({}, "length")],
    "refusal": [chunk({"refusal": "No."}), chunk({}, "content_filter")],
}  # fmt: skip
every_stream = pytest.mark.parametrize("chunks", CHAT_STREAMS.values(), ids=CHAT_STREAMS.keys())


async def told_of(chunks: list[Any], **stream: Any) -> Asked:
    return await ask("claude", "chat", {"stream": True}, chat_stream(*chunks, **stream), profile="lenient")


@proves("R-5")
@every_stream
async def test_indexes_of_blocks_have_no_gap(chunks: list[Any]) -> None:
    events = (await told_of(chunks)).events
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    stops = [event["index"] for event in events if event["type"] == "content_block_stop"]
    assert starts == stops == list(range(len(starts)))


@proves("R-6")
@every_stream
async def test_one_block_is_open_at_a_time(chunks: list[Any]) -> None:
    assert violations((await told_of(chunks)).events) == []


@proves("R-6")
async def test_indexes_of_responses_are_not_those_of_blocks() -> None:
    items = (said_item("A"), called_item("c1", "f", "{}"), called_item("c2", "f", "{}"))
    asked = await ask("claude", "responses", {"stream": True}, response_stream(response_events(*items)))
    assert violations(asked.events) == []
    assert [event["index"] for event in asked.events if event["type"] == "content_block_start"] == [0, 1, 2]


@proves("R-7")
@every_stream
async def test_a_stream_that_is_cut_anywhere_ends_in_message_stop_or_error(chunks: list[Any]) -> None:
    for length in range(1, len(chunks) + 1):
        asked = await told_of(chunks[:length], done=False)
        if asked.answer.status != 200:
            continue
        is_whole = length == len(chunks)  # this dialect may end without its last word
        assert asked.events[-1]["type"] == ("message_stop" if is_whole else "error")
        assert (sdk_error("claude", asked.answer, stream=True) is None) is is_whole


@proves("R-8")
async def test_a_thought_a_text_a_call_and_a_text_are_told_to_the_byte() -> None:
    chunks = [
        chunk({"reasoning_content": "T"}), chunk({"content": "A"}), fragment(0, "{}", id="c"), chunk({"content": "B"}),
        chunk({}, "tool_calls", usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
    ]  # fmt: skip
    asked = await ask("claude", "chat", {"stream": True}, chat_stream(*chunks))
    body = asked.answer.text
    assert body.count("event: message_start\n") == 1
    golden = [
        ("content_block_start", 0, {"type": "thinking", "thinking": "", "signature": ""}),
        ("content_block_delta", 0, {"type": "thinking_delta", "thinking": "T"}),
        ("content_block_stop", 0, None),
        ("content_block_start", 1, {"type": "text", "text": ""}),
        ("content_block_delta", 1, {"type": "text_delta", "text": "A"}),
        ("content_block_stop", 1, None),
        ("content_block_start", 2, {"type": "tool_use", "id": "c", "name": "f", "input": {}}),
        ("content_block_delta", 2, {"type": "input_json_delta", "partial_json": "{}"}),
        ("content_block_stop", 2, None),
        ("content_block_start", 3, {"type": "text", "text": ""}),
        ("content_block_delta", 3, {"type": "text_delta", "text": "B"}),
        ("content_block_stop", 3, None),
    ]
    told = [
        (event["type"], event["index"], event.get("content_block") or event.get("delta"))
        for event in asked.events
        if "index" in event and event.get("delta", {}).get("type") != "signature_delta"
    ]
    assert told == golden
    assert [event["type"] for event in asked.events[-2:]] == ["message_delta", "message_stop"]


# --- usage ------------------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109,
         "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5}}  # fmt: skip
ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@proves("R-13")
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param([chunk({}, "stop", usage=USAGE)], id="with the finish"),
        pytest.param([chunk({}, "stop"), chunk(usage=USAGE, choices=[])], id="alone"),
        pytest.param([chunk({}, "stop", usage=USAGE), chunk(usage=USAGE, choices=[])], id="twice"),
        pytest.param([chunk({}, "stop", usage=USAGE), chunk(usage=None, choices=[])], id="then null"),
    ],
)
async def test_usage_is_the_last_that_was_told(tail: list[Any]) -> None:
    asked = await ask("claude", "chat", {"stream": True}, chat_stream(chunk({"content": "x"}), *tail))
    usage = sdk_message("claude", asked.answer)["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (15, 80, 9)


@proves("R-13")
async def test_usage_that_never_comes_is_estimated_and_flagged() -> None:
    asked = await ask("claude", "chat", {"stream": True}, chat_stream(chunk({"content": "x" * 40}), chunk({}, "stop")))
    assert sdk_message("claude", asked.answer)["usage"]["output_tokens"] == 10
    assert asked.records[-1].usage is not None
    assert asked.records[-1].usage.is_estimated


@proves("R-14")
async def test_input_of_anthropic_and_its_caches_are_the_prompt() -> None:
    told = (await ask("claude", "chat", {}, chat_answer(usage=USAGE))).json["usage"]
    counts = [told[name] for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")]
    assert (counts, sum(counts)) == ([15, 80, 5], USAGE["prompt_tokens"])
    back = (await ask("chat", "claude", {}, claude_answer(usage=told))).json["usage"]
    assert (back["prompt_tokens"], back["total_tokens"]) == (100, back["prompt_tokens"] + back["completion_tokens"])
    assert back["prompt_tokens_details"]["cached_tokens"] == 80


@proves("R-15")
async def test_message_start_estimates_the_input_and_message_delta_tells_it() -> None:
    chunks = [chunk({"content": "x"}), chunk({}, "stop", usage=USAGE)]
    events = (await ask("claude", "chat", {"stream": True}, chat_stream(*chunks))).events
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[-2]["usage"]["input_tokens"] == 15


# --- errors and bytes -------------------------------------------------------------------------------------------------

BOOM = {"error": {"message": "boom", "type": "server_error", "code": 500}}


@proves("R-31")
@pytest.mark.parametrize("face", ["chat", "claude"])
@pytest.mark.parametrize("to", ["chat", "claude"])
@pytest.mark.parametrize("broken", ["error", "cut"])
async def test_a_failure_in_a_stream_ends_it_without_success(face: str, to: str, broken: str) -> None:
    if to == "chat":
        script = chat_stream(chunk({"content": "a"}), *([BOOM] if broken == "error" else []), done=False)
    else:
        failed = [{"type": "error", "error": {"type": "api_error", "message": "boom"}}]
        script = claude_stream(claude_events(TEXT_BLOCK)[:3] + (failed if broken == "error" else []))
    asked = await ask(face, to, {"stream": True}, script)
    assert "error" in asked.events[-1]
    assert "[DONE]" not in asked.answer.text
    assert "message_stop" not in asked.answer.text
    assert sdk_error(face, asked.answer, stream=True) is not None


FRAMES = (
    ': ä comment\r\n\r\ndata: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",\r\n'
    'data: "choices":[{"index":0,"delta":{"content":"Grüße 😀"}}]}\r\n\r\n'
    'data: {"id":"c","created":1,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":'
    '{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\ndata: [DONE]\n\n'
).encode()


@proves("R-32")
async def test_a_stream_that_is_split_anywhere_is_the_same() -> None:
    told = set()
    for cut in range(1, len(FRAMES)):
        script = chat_stream()
        split = type(script)(headers=script.headers, pieces=[FRAMES[:cut], FRAMES[cut:]])
        asked = await ask("claude", "chat", {"stream": True}, split)
        told.add(asked.answer.body)
    assert len(told) == 1
    assert sdk_message("claude", asked.answer)["content"][0]["text"] == "Grüße 😀"


@proves("R-33")
@pytest.mark.parametrize(
    ("face", "to", "status"), [("chat", "claude", 503), ("claude", "claude", 529), ("claude", "chat", 529)]
)
async def test_overload_stays_overload_and_says_when(face: str, to: str, status: int) -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    script = error(529 if to == "claude" else 503, body if to == "claude" else BOOM, retry_after="3")
    asked = await ask(face, to, {}, script, script, script)
    assert (asked.answer.status, asked.answer.header("retry-after")) == (status, "3")
