"""gemini-C15..C24, C26, C28..C30, C34, C35, C40: what a Gemini upstream is sent, and what of it is told."""

import json
from typing import Any

import pytest

from asgi_ds2api.state.memory import MemoryStore
from tests.support.scripted_client import answering

from .asking import (
    CONTENTS,
    HELLO,
    STREAM,
    Asked,
    ask,
    claude_answer,
    error,
    gemini_answer,
    gemini_chunk,
    gemini_stream,
)

pytestmark = pytest.mark.anyio

NEW = "gemini-3.6-flash"
OLD = "gemini-2.5-flash"
TRANSLATED: dict[str, Any] = {"base": "gemini", "exact": False}


def call(id_: str, name: str = "f", arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def calling(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def result(id_: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


async def sent(*messages: Any, model: str = NEW, store: MemoryStore | None = None, **fields: Any) -> Asked:
    body = {"messages": [*HELLO, *messages], **fields}
    return await ask("chat", "gemini", body, gemini_answer([{"text": "x"}]), model=model, store=store)


def responses(asked: Asked, turn: int = 2) -> list[Any]:
    return [part["functionResponse"] for part in asked.sent["contents"][turn]["parts"] if "functionResponse" in part]


# --- what is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ("18C", {"output": "18C"}),
        ('{"temp":18}', {"temp": 18}),
        ("[1]", {"output": "[1]"}),
        ('{"a":', {"output": '{"a":'}),
    ],
    ids=["text", "object", "list", "broken"],
)
async def test_gemini_C15_result_becomes_an_object(content: str, response: Any) -> None:
    asked = await sent(calling(call("c1")), result("c1", content))
    assert responses(asked) == [{"id": "c1", "name": "f", "response": response}]


async def test_gemini_C15_failed_result_is_an_error() -> None:
    content = [{"type": "tool_result", "tool_use_id": "t1", "content": "no such city", "is_error": True}]
    messages = [
        *HELLO,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]},
        {"role": "user", "content": content},
    ]
    asked = await ask("claude", "gemini", {"messages": messages}, gemini_answer([{"text": "x"}]))
    assert responses(asked)[0]["response"] == {"error": "no such city"}


async def test_gemini_C16_results_stand_in_one_turn_in_the_order_of_the_calls() -> None:
    asked = await sent(
        calling(call("c1", "f"), call("c2", "g"), call("c3", "f")),
        result("c3", "3"),
        result("c1", "1"),
        result("c2", "2"),
    )
    assert [turn["role"] for turn in asked.sent["contents"]] == ["user", "model", "user"]
    assert [(r["id"], r["name"], r["response"]["output"]) for r in responses(asked)] == [
        ("c1", "f", "1"), ("c2", "g", "2"), ("c3", "f", "3"),
    ]  # fmt: skip


async def test_gemini_C17_missing_result_is_made_up_and_told() -> None:
    asked = await sent(calling(call("c1"), call("c2")), result("c1", "1"))
    assert [list(r["response"]) for r in responses(asked)] == [["output"], ["error"]]
    assert asked.notices["messages[1].tool_calls[1]"] == "lost"


SIGNED: list[dict[str, Any]] = [
    {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "U0lH"},
    {"functionCall": {"name": "g", "args": {}}},
]


def joined(asked: Asked) -> dict[str, Any]:
    """Return the message that the chunks of a Chat stream add up to, as an SDK that keeps what it does not know."""
    calls: dict[int, Any] = {}
    for event in asked.events:
        for delta in (choice["delta"] for choice in event["choices"]) if event != "[DONE]" else ():
            for piece in delta.get("tool_calls", ()):
                known = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
                known.update({name: value for name, value in piece.items() if name not in ("index", "function")})
                for name, text in piece["function"].items():
                    known["function"][name] += text
    return calling(*calls.values())


@pytest.mark.parametrize("streamed", [False, True])
async def test_gemini_C18_signature_goes_through_a_chat_client_and_back(streamed: bool) -> None:
    script = gemini_stream(gemini_chunk(SIGNED, "STOP")) if streamed else gemini_answer(SIGNED)
    first = await ask("chat", "gemini", {"stream": streamed}, script, model=NEW)
    message = joined(first) if streamed else first.json["choices"][0]["message"]
    answered = [result(made["id"], "r") for made in message["tool_calls"]]
    second = await sent(message, *answered)
    parts = second.sent["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["U0lH", None]


async def test_signature_goes_through_a_client_of_messages_and_back() -> None:
    thought = {"text": "hm", "thought": True}
    script = gemini_answer([thought, *SIGNED])
    first = await ask("claude", "gemini", {}, script, model=NEW)
    content = first.json["content"]
    answered = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "r"}
        for block in content
        if block["type"] == "tool_use"
    ]
    messages = [*HELLO, {"role": "assistant", "content": content}, {"role": "user", "content": answered}]
    second = await ask("claude", "gemini", {"messages": messages}, gemini_answer([{"text": "x"}]), model=NEW)
    parts = second.sent["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts if "functionCall" in part] == ["U0lH", None]


@pytest.mark.parametrize("streamed", [False, True])
async def test_gemini_C19_signature_survives_a_client_that_strips_what_it_does_not_know(streamed: bool) -> None:
    store = MemoryStore(lambda: 0.0)
    script = gemini_stream(gemini_chunk(SIGNED, "STOP")) if streamed else gemini_answer(SIGNED)
    body = {"stream": streamed, "tools": [{"type": "function", "function": {"name": "f"}}]}
    first = await ask("chat", "gemini", body, script, model=NEW, store=store)
    message = joined(first) if streamed else first.json["choices"][0]["message"]
    bare = [call(made["id"], made["function"]["name"]) for made in message["tool_calls"]]
    assert message["tool_calls"] != bare
    second = await sent(calling(*bare), *[result(made["id"], "r") for made in bare], store=store)
    assert [part.get("thoughtSignature") for part in second.sent["contents"][1]["parts"]] == ["U0lH", None]


async def test_gemini_C20_foreign_calls_get_the_sentinel_at_the_first_of_each_step() -> None:
    asked = await sent(
        calling(call("c1"), call("c2")), result("c1", "1"), result("c2", "2"), calling(call("c3")), result("c3", "3")
    )
    signed = [[part.get("thoughtSignature") for part in turn["parts"]] for turn in asked.sent["contents"]]
    sentinel = "skip_thought_signature_validator"
    assert signed == [[None], [sentinel, None], [None, None], [sentinel], [None]]


async def test_models_that_need_no_signatures_get_no_sentinel() -> None:
    asked = await sent(calling(call("c1")), result("c1", "1"), model=OLD)
    assert "thoughtSignature" not in asked.sent["contents"][1]["parts"][0]


@pytest.mark.parametrize("streamed", [False, True])
async def test_gemini_C21_signature_of_an_empty_text_stays_where_it_is(streamed: bool) -> None:
    parts: list[dict[str, Any]] = [{"text": "Hello"}, {"text": "", "thoughtSignature": "QUJD/+=="}]
    script = gemini_stream(*(gemini_chunk([part]) for part in parts), gemini_chunk([], "STOP"))
    first = await ask(
        "gemini", "gemini", {}, script if streamed else gemini_answer(parts), profile=TRANSLATED,
        verb=STREAM if streamed else "generateContent",
    )  # fmt: skip
    chunks = first.events if streamed else [first.json]
    got = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert [part for part in got if part != {"text": ""}] == parts
    contents = [*CONTENTS, {"role": "model", "parts": parts}, *CONTENTS]
    second = await ask("gemini", "gemini", {"contents": contents}, gemini_answer(parts), profile=TRANSLATED)
    assert second.sent["contents"] == contents


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        (OLD, "none", {"thinkingBudget": 0}),
        (OLD, "low", {"thinkingBudget": 2048, "includeThoughts": True}),
        (NEW, "low", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
    ],
)
async def test_gemini_C28_effort_is_said_as_the_model_takes_it(model: str, effort: str, config: Any) -> None:
    asked = await sent(model=model, reasoning_effort=effort)
    assert asked.sent["generationConfig"]["thinkingConfig"] == config


async def test_gemini_C29_effort_below_the_lowest_level_is_clamped() -> None:
    asked = await sent(model="gemini-3-pro-preview", reasoning_effort="minimal")
    assert asked.sent["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "LOW"
    assert asked.notices["reasoning_effort"] == "changed"


async def test_gemini_C30_functions_are_declared_in_json_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": schema}},
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
        {"type": "function", "function": {"name": "h"}},
    ]
    asked = await sent(tools=tools)
    assert asked.sent["tools"] == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}, {"name": "g"}, {"name": "h"}]}
    ]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", None),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
    ids=["auto", "none", "required", "named"],
)
async def test_gemini_C33_choice_of_tools_is_said_as_a_mode(choice: Any, config: Any) -> None:
    asked = await sent(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice=choice)
    assert asked.sent.get("toolConfig", {}).get("functionCallingConfig") == config


async def test_gemini_C34_more_stop_sequences_than_the_vendor_takes_are_matched_here() -> None:
    stop = ["1", "2", "3", "4", "5", "6"]
    asked = await ask("chat", "gemini", {"stop": stop}, gemini_answer([{"text": "a6b"}]))
    assert asked.sent["generationConfig"]["stopSequences"] == stop[:5]
    assert asked.json["choices"][0]["message"]["content"] == "a"


async def test_gemini_C32_structured_output_is_asked_for_in_json_schema() -> None:
    schema = {"type": "object", "properties": {"kind": {"const": "x"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    asked = await sent(response_format=wanted)
    assert asked.sent["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {"kind": {"enum": ["x"]}}},
    }


FORM = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "title": "Answer"}}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize("form", [FORM, {"type": "json_object"}])
async def test_old_model_is_asked_for_json_in_words_at_once_where_there_are_tools(form: Any) -> None:
    asked = await sent(model=OLD, response_format=form, tools=TOOLS)
    (hint,) = asked.sent["systemInstruction"]["parts"]
    assert "JSON" in hint["text"]
    assert ("Answer" in hint["text"]) == (form is FORM)
    assert "generationConfig" not in asked.sent
    assert asked.notices["response_format"] == "changed"


@pytest.mark.parametrize(("model", "tools"), [(OLD, []), (NEW, TOOLS)])
async def test_form_binds_where_the_model_takes_it(model: str, tools: Any) -> None:
    asked = await sent(model=model, response_format=FORM, tools=tools)
    assert asked.sent["generationConfig"]["responseMimeType"] == "application/json"
    assert "systemInstruction" not in asked.sent


async def test_system_stands_apart_and_later_ones_are_said_by_the_user() -> None:
    messages = [{"role": "system", "content": "s"}, *HELLO, {"role": "developer", "content": "now"}, *HELLO]
    asked = await ask("chat", "gemini", {"messages": messages}, gemini_answer([{"text": "x"}]))
    assert asked.sent["systemInstruction"] == {"parts": [{"text": "s"}]}
    assert asked.sent["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}, {"text": "<system>now</system>"}, {"text": "Hi"}]}
    ]
    assert asked.notices["messages[2]"] == "changed"


async def test_openai_web_search_becomes_googles() -> None:
    asked = await sent(web_search_options={})
    assert asked.sent["tools"] == [{"googleSearch": {}}]


STEPS = {"includeServerSideToolInvocations": True}


@pytest.mark.parametrize(
    ("model", "profile", "tools", "config"),
    [
        (NEW, "gemini", ["functionDeclarations", "googleSearch"], STEPS),
        (NEW, "vertex", ["functionDeclarations", "googleSearch"], None),
        (NEW, None, ["functionDeclarations", "googleSearch"], STEPS),
        (OLD, "gemini", ["functionDeclarations"], None),
        (OLD, "vertex", ["functionDeclarations"], None),
    ],
)
async def test_search_stands_beside_functions_where_the_model_takes_both(
    model: str, profile: str | None, tools: list[str], config: Any
) -> None:
    """What Codex offers always. The vendor's own API wants a switch for it, which Vertex does not know."""
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    body = {"tools": [{"type": "web_search"}, function]}
    answer = gemini_answer([{"text": "x"}])
    asked = await ask("responses", "gemini", body, answer, model=model, profile=profile)
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 1)
    assert [name for tool in asked.sent["tools"] for name in tool] == tools
    assert asked.sent.get("toolConfig") == config
    assert asked.notices["tools[0]"] == ("changed" if "googleSearch" in tools else "lost")


async def test_old_model_searches_where_there_are_no_functions() -> None:
    asked = await sent(web_search_options={}, model=OLD)
    assert asked.sent["tools"] == [{"googleSearch": {}}]
    assert "toolConfig" not in asked.sent


async def test_steps_of_the_vendors_own_search_are_told_as_a_loss_elsewhere() -> None:
    step = {"id": "s", "toolType": "GOOGLE_SEARCH_WEB"}
    steps: list[dict[str, Any]] = [
        {"toolCall": {**step, "args": {}}, "thoughtSignature": "c2ln"},
        {"toolResponse": {**step, "response": {}}, "thoughtSignature": "c2ln"},
        {"text": "Found."},
    ]
    asked = await ask("chat", "gemini", {}, gemini_answer(steps), model=NEW)
    assert asked.json["choices"][0]["message"]["content"] == "Found."
    lost = {path for path, severity in asked.notices.items() if severity == "lost"}
    assert lost == {f"candidates[0].content.parts[{number}]" for number in (0, 1)}


async def test_what_was_written_for_google_alone_is_merged() -> None:
    extra = {"google": {"thinking_config": {"thinking_budget": 5}, "safety_settings": [{"category": "X"}], "odd": 1}}
    asked = await sent(extra_body=extra)
    assert asked.sent["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 5}}
    assert asked.sent["safetySettings"] == [{"category": "X"}]
    assert asked.notices["extra_body.google.odd"] == "lost"


# --- what others are told ---------------------------------------------------------------------------------------------

BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}


async def test_gemini_C23_blocked_prompt_is_a_refusal_to_callers_of_chat() -> None:
    asked = await ask("chat", "gemini", {}, answering(BLOCKED))
    choice = asked.json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert "SAFETY" in choice["message"]["refusal"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_gemini_C23_blocked_prompt_is_a_refusal_to_callers_of_messages(streamed: bool) -> None:
    asked = await ask(
        "claude", "gemini", {"stream": streamed}, gemini_stream(BLOCKED) if streamed else answering(BLOCKED)
    )
    told = next(e["delta"] for e in asked.events if e["type"] == "message_delta") if streamed else asked.json
    assert told["stop_reason"] == "refusal"


USAGE = {
    "promptTokenCount": 10,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 7,
    "totalTokenCount": 25,
}


async def test_gemini_C24_usage_is_summed_for_callers_of_chat() -> None:
    asked = await ask("chat", "gemini", {}, gemini_answer([{"text": "x"}], usage=USAGE))
    usage = asked.json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (15, 10, 25)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 4
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 7


async def test_gemini_C24_usage_stays_as_it_is_within_the_protocol() -> None:
    asked = await ask("gemini", "gemini", {}, gemini_answer([{"text": "x"}], usage=USAGE), profile=TRANSLATED)
    assert asked.json["usageMetadata"] == USAGE


async def test_gemini_C26_length_without_parts_is_an_empty_answer() -> None:
    body = {"candidates": [{"finishReason": "MAX_TOKENS", "index": 0}], "usageMetadata": {"promptTokenCount": 1}}
    asked = await ask("chat", "gemini", {}, answering(body))
    choice = asked.json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"] or "") == ("length", "")


QUOTA = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}],
    }
}


async def test_gemini_C35_time_to_come_back_is_told_in_the_callers_way() -> None:
    on_chat = await ask("chat", "gemini", {}, error(429, QUOTA))
    assert on_chat.answer.status == 429
    assert int(dict(on_chat.answer.headers)[b"retry-after"]) >= 7
    on_gemini = await ask("gemini", "gemini", {}, error(429, QUOTA))
    assert on_gemini.answer.status == 429
    assert on_gemini.json == QUOTA


async def test_gemini_C36_error_inside_a_stream_is_told_as_one() -> None:
    failed = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    script = gemini_stream(gemini_chunk([{"text": "x"}]), failed)
    asked = await ask("gemini", "gemini", {}, script, verb=STREAM)
    assert [list(event) for event in asked.events][-1] == ["error"]
    assert asked.events[-1]["error"]["code"] == 503
    assert "finishReason" not in asked.answer.text


async def test_gemini_C40_places_of_citations_count_characters() -> None:
    text = "😀 Berlin is big."
    start = len("😀 ".encode())
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": start, "endIndex": start + len("Berlin"), "text": "Berlin"},
                "groundingChunkIndices": [0],
            }
        ],
    }
    script = gemini_stream(
        gemini_chunk([{"text": text[:3]}]), gemini_chunk([{"text": text[3:]}], "STOP", groundingMetadata=grounding)
    )
    asked = await ask("chat", "gemini", {"stream": True}, script)
    deltas = [choice["delta"] for event in asked.events if event != "[DONE]" for choice in event["choices"]]
    (cited,) = [note["url_citation"] for delta in deltas for note in delta.get("annotations", ())]
    assert text[cited["start_index"] : cited["end_index"]] == "Berlin"
    assert (cited["url"], cited["title"]) == ("https://a.example", "A")


async def test_calls_that_come_in_pieces_are_put_together() -> None:
    def piece(**fields: Any) -> dict[str, Any]:
        return gemini_chunk([{"functionCall": fields}])

    script = gemini_stream(
        piece(name="f", id="c1", willContinue=True),
        piece(partialArgs=[{"jsonPath": "$.a.b[0]", "stringValue": "Ro", "willContinue": True}], willContinue=True),
        piece(
            partialArgs=[{"jsonPath": "$.a.b[0]", "stringValue": "me"}, {"jsonPath": "$.n", "numberValue": 2}],
            willContinue=True,
        ),
        piece(),
        gemini_chunk([], "STOP"),
    )
    asked = await ask("chat", "gemini", {"stream": True}, script)
    (made,) = joined(asked)["tool_calls"]
    assert json.loads(made["function"]["arguments"]) == {"a": {"b": ["Rome"]}, "n": 2}


async def test_relayed_answer_is_what_the_vendor_said() -> None:
    script = gemini_answer([{"text": "x", "odd_field": 1}])
    asked = await ask("gemini", "gemini", {}, script)
    assert dict(asked.answer.headers)[b"x-ds2api-mode"] == b"relay"
    assert asked.json["candidates"][0]["content"]["parts"] == [{"text": "x", "odd_field": 1}]


async def test_gemini_client_of_a_claude_upstream_gets_its_text() -> None:
    asked = await ask("gemini", "claude", {}, claude_answer())
    assert asked.json["candidates"][0]["content"]["parts"] == [{"text": "Hello"}]
