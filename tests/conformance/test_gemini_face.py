"""gemini-C01..C14, C22, C25, C26, C28, C31..C33, C36, C39: what a Gemini caller gets from other upstreams."""

import base64
import json
import re
from typing import Any

import pytest

from asgi_ds2api.secret import Secret
from tests.support.asgi_driver import call
from tests.support.gateways import make_gateway, upstream
from tests.support.http_bytes import sse_body
from tests.support.scripted_client import Delay, ScriptedUpstream, streaming
from tests.support.virtual_time import run_virtual

from .asking import (
    CONTENTS,
    STREAM,
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    gemini_chunk,
    gemini_stream,
    tool_block,
)

pytestmark = pytest.mark.anyio

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def parts_of(asked: Asked) -> Any:
    return asked.json["candidates"][0]["content"]["parts"]


def turn(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"functionDeclarations": [{"name": name, **fields}]}


PLACE = "projects/p/locations/global"


@pytest.mark.parametrize("prefix", ["", "/gemini"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/chat/m",
        "/v1beta/models/chat/m",
        "/v1alpha/models/chat/m",
        "/v1beta1/models/chat/m",
        "/v1beta1/publishers/google/models/chat/m",
        f"/v1beta1/{PLACE}/publishers/google/models/chat/m",
        f"/v1/{PLACE}/endpoints/chat/m",
        "/v1beta/tunedModels/chat/m",
    ],
)
async def test_gemini_C01_every_version_and_place_is_the_same_face(path: str, prefix: str) -> None:
    asked = await ask("gemini", "chat", {}, chat_answer(), path=f"{prefix}{path}:generateContent")
    assert asked.answer.status == 200
    assert asked.sent["model"] == "m"
    assert parts_of(asked) == [{"text": "Hello"}]
    assert asked.json["modelVersion"] == "chat/m"
    assert asked.json["candidates"][0]["finishReason"] == "STOP"


KEY = "key-of-a-caller-0123456789"
CLOSED: dict[str, Any] = {"auth": "callers", "callers": [{"label": "web", "key": Secret(KEY)}]}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-goog-api-key": KEY}, ""),
        ({"authorization": f"Bearer {KEY}"}, ""),
        ({}, f"key={KEY}"),
        ({}, f"alt=json&key={KEY}"),
    ],
    ids=["header", "bearer", "query", "query-among-others"],
)
async def test_gemini_C02_key_is_read_where_clients_put_it(headers: dict[str, str], query: str) -> None:
    asked = await ask("gemini", "chat", {}, chat_answer(), headers=headers, query=query, query_key=True, **CLOSED)
    assert asked.answer.status == 200


async def test_gemini_C02_bad_key_is_an_invalid_argument() -> None:
    asked = await ask("gemini", "chat", {}, headers={"x-goog-api-key": "another-key-0123456789"}, **CLOSED)
    assert (asked.answer.status, asked.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert asked.json["error"]["details"][0]["reason"] == "API_KEY_INVALID"


async def test_gemini_C02_missing_key_is_denied() -> None:
    asked = await ask("gemini", "chat", {}, **CLOSED)
    assert (asked.answer.status, asked.json["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("takes", [True, False])
async def test_key_leaves_the_query_before_anything_can_log_it(takes: bool) -> None:
    gateway = make_gateway(
        upstream("chat"), scripts={"chat": ScriptedUpstream(chat_answer())}, query_key=takes, **CLOSED
    )
    scope: dict[str, Any] = {}

    async def watched(inner: Any, receive: Any, send: Any) -> None:
        scope.update(inner=inner)
        await gateway(inner, receive, send)

    answer = await call(
        watched,
        "POST",
        "/v1beta/models/chat/m:generateContent",
        json={"contents": CONTENTS},
        query=f"alt=json&key={KEY}",
    )
    assert scope["inner"]["query_string"] == b"alt=json"
    assert answer.status == (200 if takes else 403)


async def test_gemini_C05_stream_is_what_the_strictest_client_reads() -> None:
    asked = await ask(
        "gemini",
        "chat",
        {},
        chat_stream(chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop")),
        verb=STREAM,
    )
    rest, chunks = asked.answer.text, []
    while match := re.match(r"^data: (.*)(?:\n\n|\r\r|\r\n\r\n)", rest):
        chunks.append(json.loads(match[1]))
        rest = rest[match.end() :]
    assert rest == ""
    assert [c["candidates"][0].get("finishReason") for c in chunks] == [None, None, "STOP"]


@run_virtual
async def test_gemini_C06_silence_is_bridged_by_blank_lines_alone() -> None:
    script = streaming(Delay(20), sse_body([chunk({"content": "x"}), chunk({}, "stop"), "[DONE]"]))
    asked = await ask("gemini", "chat", {}, script, verb=STREAM)
    lines = re.split(r"\r?\n", asked.answer.text)
    assert asked.answer.text.startswith("\n")
    assert all(line == "" or line.startswith("data: {") for line in lines)
    assert "[DONE]" not in asked.answer.text
    assert (b"content-type", b"text/event-stream") in asked.answer.headers


async def test_gemini_C07_without_alt_a_stream_is_one_json_array() -> None:
    script = chat_stream(chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop"))
    as_array = await ask("gemini", "chat", {}, script, verb=STREAM, query="alt=json")
    as_events = await ask("gemini", "chat", {}, script, verb=STREAM)
    assert (b"content-type", b"application/json") in as_array.answer.headers
    assert without_ids(as_array.json) == without_ids(as_events.events)


@run_virtual
async def test_gemini_C07_array_stays_json_when_it_is_kept_alive_and_when_it_breaks() -> None:
    script = streaming(Delay(20), sse_body([chunk({"content": "x"})]))
    asked = await ask("gemini", "chat", {}, script, verb=STREAM, query="alt=json")
    first, error = asked.json
    assert first["candidates"][0]["content"]["parts"] == [{"text": "x"}]
    assert error["error"]["status"] == "INTERNAL"


async def test_gemini_C07_array_of_a_gemini_upstream_is_translated() -> None:
    script = gemini_stream(
        gemini_chunk([{"text": "a"}]), gemini_chunk([{"text": "b"}], "STOP", {"promptTokenCount": 1})
    )
    asked = await ask("gemini", "gemini", {}, script, verb=STREAM, query="alt=json")
    assert [c["candidates"][0]["content"]["parts"][0]["text"] for c in asked.json] == ["a", "b", ""]
    assert asked.upstream.calls[0].request.url.endswith(":streamGenerateContent?alt=sse")


def without_ids(chunks: list[Any]) -> list[Any]:
    return [{name: value for name, value in chunk.items() if name != "responseId"} for chunk in chunks]


PARAMETERS = {"type": "object", "properties": {"a_b": {"type": "string"}}}
SNAKE = {
    "system_instruction": {"parts": [{"text": "s"}]},
    "contents": [turn("user", {"inline_data": {"mime_type": "image/png", "data": "aGk="}}, "look")],
    "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": PARAMETERS}]}],
    "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
    "generation_config": {
        "max_output_tokens": 9,
        "top_p": 0.5,
        "stop_sequences": ["X"],
        "thinking_config": {"thinking_level": "low"},
    },
}
CAMEL = {
    "systemInstruction": {"parts": [{"text": "s"}]},
    "contents": [turn("user", {"inlineData": {"mimeType": "image/png", "data": "aGk="}}, "look")],
    "tools": [function("f", parametersJsonSchema=PARAMETERS)],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "maxOutputTokens": 9,
        "topP": 0.5,
        "stopSequences": ["X"],
        "thinkingConfig": {"thinkingLevel": "LOW"},
    },
}


async def test_gemini_C08_snake_case_and_camel_case_mean_the_same() -> None:
    sent = [(await ask("gemini", "chat", body, chat_answer())).sent for body in (SNAKE, CAMEL)]
    assert sent[0] == sent[1]
    assert sent[0]["max_completion_tokens"] == 9


async def test_gemini_C09_casings_are_mixed_and_user_data_is_left_alone() -> None:
    contents = [
        turn("user", {"inlineData": {"mime_type": "image/png", "data": "aGk="}}),
        turn("model", {"functionCall": {"id": "c1", "name": "f", "args": {"snake_key": {"inner_key": 1}}}}),
        turn("user", {"functionResponse": {"id": "c1", "name": "f", "response": {"some_key": 2}}}),
    ]
    asked = await ask("gemini", "chat", {"contents": contents}, chat_answer())
    image, called, result = asked.sent["messages"]
    assert image["content"][0]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"snake_key": {"inner_key": 1}}
    assert json.loads(result["content"]) == {"some_key": 2}


async def test_gemini_C10_url_safe_base64_arrives_as_standard_base64() -> None:
    data = bytes(range(256)) + b"x"
    spelled = base64.urlsafe_b64encode(data).decode().rstrip("=")
    contents = [turn("user", {"inlineData": {"mimeType": "image/png", "data": spelled}})]
    asked = await ask("gemini", "claude", {"contents": contents}, claude_answer())
    source = asked.sent["messages"][0]["content"][0]["source"]
    assert base64.b64decode(source["data"], validate=True) == data


@pytest.mark.parametrize(
    "system",
    [{"role": "user", "parts": [{"text": "s"}]}, {"parts": {"text": "s"}}, [{"text": "s"}], {"text": "s"}, "s"],
    ids=["content", "one-part", "parts", "part", "text"],
)
async def test_gemini_C11_system_comes_in_any_form(system: Any) -> None:
    asked = await ask("gemini", "chat", {"systemInstruction": system}, chat_answer())
    assert asked.sent["messages"][0] == {"role": "system", "content": "s"}


@pytest.mark.parametrize(
    "contents",
    [{"parts": [{"text": "Hi"}]}, [{"parts": [{"text": "Hi"}]}], [{"role": "USER", "parts": {"text": "Hi"}}], ["Hi"]],
    ids=["object", "no-role", "upper-case", "text"],
)
async def test_gemini_C12_contents_are_a_users(contents: Any) -> None:
    asked = await ask("gemini", "chat", {"contents": contents}, chat_answer())
    assert asked.sent["messages"] == [{"role": "user", "content": "Hi"}]


async def test_unknown_role_is_refused_in_the_vendors_words() -> None:
    asked = await ask("gemini", "chat", {"contents": [turn("robot", "Hi")]})
    assert (asked.answer.status, asked.json["error"]["message"]) == (400, "Please use a valid role: user, model.")
    assert asked.json["error"]["details"][0]["fieldViolations"][0]["field"] == "contents[0].role"


async def test_gemini_C13_C14_calls_without_ids_pair_by_name_and_order() -> None:
    def called(name: str, n: int) -> Any:
        return {"functionCall": {"name": name, "args": {"n": n}}}

    def gave(name: str, text: str) -> Any:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    contents = [
        turn("user", "go"),
        turn("model", called("f", 1), called("g", 2), called("f", 3)),
        turn("user", gave("f", "one"), gave("f", "three"), gave("g", "two")),
    ]
    sent = [(await ask("gemini", "chat", {"contents": contents}, chat_answer())).sent for _ in range(2)]
    assert sent[0] == sent[1]
    _, calls, *results = sent[0]["messages"]
    asked_for = {c["id"]: json.loads(c["function"]["arguments"])["n"] for c in calls["tool_calls"]}
    told = [(asked_for[r["tool_call_id"]], r["content"]) for r in results]
    assert told == [(1, "one"), (3, "three"), (2, "two")]  # in the order in which they came


async def test_gemini_C22_calls_end_with_stop() -> None:
    asked = await ask("gemini", "chat", {}, chat_answer({"content": None, "tool_calls": [CALL]}, "tool_calls"))
    assert parts_of(asked) == [{"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}]
    assert asked.json["candidates"][0]["finishReason"] == "STOP"


async def test_arguments_that_a_model_wrote_in_several_lines_stay_within_their_event() -> None:
    written = {**CALL, "index": 0, "function": {"name": "f", "arguments": '{\n  "a": [\r\n    1\r\n  ]\n}'}}
    script = chat_stream(chunk({"tool_calls": [written]}), chunk({}, "tool_calls"))
    asked = await ask("gemini", "chat", {}, script, verb=STREAM)
    (part,) = asked.events[0]["candidates"][0]["content"]["parts"]
    assert part["functionCall"]["args"] == {"a": [1]}
    assert asked.events[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_streamed_calls_come_whole_and_in_their_order() -> None:
    events = claude_events(tool_block("t1", "f", '{"a"', ":1}"), tool_block("t2", "g"), stop="tool_use")
    asked = await ask("gemini", "claude", {}, claude_stream(events, split=7), verb=STREAM)
    calls = [
        p["functionCall"] for c in asked.events for p in c["candidates"][0]["content"]["parts"] if "functionCall" in p
    ]
    assert calls == [{"id": "t1", "name": "f", "args": {"a": 1}}, {"id": "t2", "name": "g", "args": {}}]


async def test_arguments_that_are_no_json_end_as_a_malformed_call() -> None:
    broken = {**CALL, "function": {"name": "f", "arguments": '{"a":'}}
    asked = await ask("gemini", "chat", {}, chat_answer({"content": None, "tool_calls": [broken]}, "tool_calls"))
    assert asked.json["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


async def test_refusal_is_text_and_ends_for_safety() -> None:
    asked = await ask("gemini", "chat", {}, chat_answer({"content": None, "refusal": "No."}))
    assert (parts_of(asked), asked.json["candidates"][0]["finishReason"]) == ([{"text": "No."}], "SAFETY")


CHAT_USAGE = {
    "prompt_tokens": 15,
    "completion_tokens": 10,
    "total_tokens": 25,
    "completion_tokens_details": {"reasoning_tokens": 7},
    "prompt_tokens_details": {"cached_tokens": 4},
}


@pytest.mark.parametrize("streamed", [False, True])
async def test_gemini_C25_usage_of_chat_is_told_apart(streamed: bool) -> None:
    whole = chat_answer(usage=CHAT_USAGE)
    pieces = chat_stream(chunk({"content": "x"}), chunk({}, "stop"), chunk(usage=CHAT_USAGE, choices=[]))
    asked = await ask(
        "gemini", "chat", {}, pieces if streamed else whole, verb=STREAM if streamed else "generateContent"
    )
    told = asked.events[-1] if streamed else asked.json
    assert told["usageMetadata"] == {
        "promptTokenCount": 15, "cachedContentTokenCount": 4, "candidatesTokenCount": 3, "thoughtsTokenCount": 7,
        "totalTokenCount": 25,
    }  # fmt: skip


async def test_gemini_C26_length_without_text_still_has_a_part() -> None:
    asked = await ask("gemini", "chat", {}, chat_answer({"content": None}, "length"))
    assert (parts_of(asked), asked.json["candidates"][0]["finishReason"]) == ([{"text": ""}], "MAX_TOKENS")


@pytest.mark.parametrize(
    ("config", "effort"),
    [({"thinkingBudget": 0}, "none"), ({"thinkingLevel": "LOW"}, "low"), ({"thinkingLevel": "high"}, "high")],
    ids=["zero", "low", "high"],
)
async def test_gemini_C28_thinking_becomes_an_effort(config: dict[str, Any], effort: str) -> None:
    asked = await ask("gemini", "chat", {"generationConfig": {"thinkingConfig": config}}, chat_answer())
    assert asked.sent["reasoning_effort"] == effort


async def test_gemini_C28_budget_beside_level_is_refused() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 100, "thinkingLevel": "LOW"}}
    asked = await ask("gemini", "chat", {"generationConfig": config})
    assert (asked.answer.status, asked.upstream.calls) == (400, [])


@pytest.mark.parametrize(("asks", "shown"), [(True, [{"text": "hm", "thought": True}]), (False, [])])
async def test_thoughts_are_shown_to_who_asks_for_them(asks: bool, shown: list[Any]) -> None:
    body = {"generationConfig": {"thinkingConfig": {"includeThoughts": asks}}}
    asked = await ask("gemini", "chat", body, chat_answer({"reasoning_content": "hm"}), profile="lenient")
    found = parts_of(asked)
    assert found[-1] == {"text": "Hello"}
    assert [{n: v for n, v in part.items() if n != "thoughtSignature"} for part in found[:-1]] == shown


async def test_thinking_of_another_vendor_goes_through_a_gemini_client_and_back() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    body = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}, "tools": [function("f")]}
    first = await ask("gemini", "claude", body, claude_answer([thinking, use], "tool_use"))
    answered = turn("user", {"functionResponse": {"id": "t1", "name": "f", "response": {"output": "r"}}})
    history = [*CONTENTS, first.json["candidates"][0]["content"], answered]
    second = await ask("gemini", "claude", {**body, "contents": history}, claude_answer())
    assert second.sent["messages"][1]["content"] == [thinking, use]


async def test_gemini_C31_openapi_schema_becomes_json_schema() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"b": {"type": "STRING", "nullable": True}, "a": {"type": "INTEGER", "minimum": 1}},
        "propertyOrdering": ["a", "b"],
        "required": ["a"],
    }
    asked = await ask("gemini", "chat", {"tools": [function("f", parameters=schema)]}, chat_answer())
    sent = asked.sent["tools"][0]["function"]["parameters"]
    assert sent == {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"type": ["string", "null"]}},
        "required": ["a"],
    }
    assert list(sent["properties"]) == ["a", "b"]


async def test_gemini_C32_response_schema_becomes_a_json_schema() -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    config = {"responseMimeType": "application/json", "responseSchema": schema}
    asked = await ask("gemini", "chat", {"generationConfig": config}, chat_answer({"content": '{"a":"x"}'}))
    wanted = asked.sent["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"] == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert json.loads(parts_of(asked)[0]["text"]) == {"a": "x"}


@pytest.mark.parametrize(
    ("names", "choice"),
    [(["f"], {"type": "function", "function": {"name": "f"}}), (["f", "g"], "required")],
    ids=["one", "two"],
)
async def test_gemini_C33_any_of_some_functions(names: list[str], choice: Any) -> None:
    body = {
        "tools": [function("f"), function("g"), function("h")],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": names}},
    }
    asked = await ask("gemini", "chat", body, chat_answer())
    sent = asked.sent["tool_choice"]
    if isinstance(sent, dict) and sent["type"] == "allowed_tools":
        assert sent["allowed_tools"]["mode"] == choice
        assert [tool["function"]["name"] for tool in sent["allowed_tools"]["tools"]] == names
    else:
        assert sent == choice


async def test_gemini_C36_broken_stream_ends_with_an_error_and_no_reason() -> None:
    asked = await ask("gemini", "chat", {}, chat_stream(chunk({"content": "x"}), done=False), verb=STREAM)
    *chunks, last = asked.events
    assert last["error"]["code"] == 502
    assert all("finishReason" not in c["candidates"][0] for c in chunks)


@pytest.mark.parametrize(
    ("path", "headers", "query"),
    [
        ("/v1/models", {"x-goog-api-key": "any"}, ""),
        ("/v1/models", {"x-goog-api-client": "google-genai-sdk/3.4.0"}, ""),
        ("/v1/models", {}, "key=any"),
        ("/v1/models", {}, "pageSize=5"),
        ("/v1beta/models", {}, ""),
    ],
    ids=["key", "client", "query", "page", "version"],
)
async def test_gemini_C39_models_are_told_in_the_vendors_form(path: str, headers: dict[str, str], query: str) -> None:
    gateway = make_gateway(upstream("chat"), upstream("claude"))
    answer = await call(gateway, "GET", path, headers=headers, query=query)
    assert [model["name"] for model in json.loads(answer.body)["models"]] == ["models/claude-test", "models/gpt-test"]


async def test_gemini_C39_models_come_in_pages() -> None:
    gateway = make_gateway(upstream("chat"), upstream("claude"))
    names, token = [], ""
    while True:
        answer = json.loads((await call(gateway, "GET", "/v1beta/models", query=f"pageSize=1&pageToken={token}")).body)
        names += [model["name"] for model in answer["models"]]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert names == ["models/claude-test", "models/gpt-test"]


async def test_gemini_C39_one_model_is_told() -> None:
    gateway = make_gateway(upstream("chat"))
    answer = await call(gateway, "GET", "/v1beta/models/gpt-test")
    assert json.loads(answer.body)["name"] == "models/gpt-test"


async def test_models_without_a_sign_of_google_stay_openais() -> None:
    answer = await call(make_gateway(upstream("chat")), "GET", "/v1/models")
    assert json.loads(answer.body)["object"] == "list"
