"""others-C01..C10: what a client of Ollama's gets, whoever answers. C11 is of the embeddings."""

import json
from typing import Any

import pytest

from asgi_ds2api.secret import Secret
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import make_gateway, upstream
from tests.support.scripted_client import NEVER, Delay, ScriptedUpstream, streaming
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
    tool_block,
)

pytestmark = pytest.mark.anyio

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


async def get(path: str, method: str = "GET", **config: Any) -> Answer:
    gateway = make_gateway(upstream("chat"), scripts={"chat": ScriptedUpstream()}, **config)
    return await call(gateway, method, path)


@pytest.mark.parametrize("path", ["/ollama", "/ollama/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_others_C01_it_says_that_it_is_running(path: str, method: str) -> None:
    answer = await get(path, method, auth="callers", callers=[{"label": "a", "key": f"sha256:{'0f' * 32}"}])
    assert answer.status == 200
    assert answer.text == ("Ollama is running" if method == "GET" else "")
    assert answer.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_others_C01_the_bare_prefix_answers_too(method: str) -> None:
    assert (await get("/", method)).status == 200


@pytest.mark.parametrize("path", ["/api/version", "/ollama/api/version"])
async def test_others_C01_version_is_told(path: str) -> None:
    answer = await get(path)
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    version: Any = answer.json()["version"]
    assert version.count(".") == 2


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_others_C02_streams_unless_told_otherwise(to: str) -> None:
    scripts = {"chat": chat_stream(chunk({"content": "He"}), chunk({"content": "llo"}), chunk({}, "stop")),
               "claude": claude_stream(claude_events(TEXT_BLOCK))}  # fmt: skip
    asked = await ask("ollama", to, {}, scripts[to])
    assert asked.answer.header("content-type") == "application/x-ndjson"
    assert asked.sent["stream"] is True
    *pieces, last = asked.lines
    assert "".join(line["message"]["content"] for line in pieces) == "Hello"
    assert all(line["done"] is False and line["message"]["role"] == "assistant" for line in pieces)
    assert (last["done"], last["done_reason"], last["message"]["content"]) == (True, "stop", "")
    assert all(isinstance(last[name], int) and last[name] > 0 for name in DURATIONS)
    assert {line["model"] for line in asked.lines} == {f"{to}/test-model"}


async def test_others_C02_whole_answer_is_one_object() -> None:
    asked = await ask("ollama", "claude", {"stream": False}, claude_answer())
    assert asked.answer.header("content-type") == "application/json"
    answer = asked.json
    assert answer["message"] == {"role": "assistant", "content": "Hello"}
    assert (answer["done"], answer["done_reason"]) == (True, "stop")
    assert (answer["prompt_eval_count"], answer["eval_count"]) == (3, 2)
    assert answer["created_at"].endswith("Z")


@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C03_arguments_are_an_object(streamed: bool) -> None:
    script = claude_answer([{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}], stop="tool_use")
    if streamed:
        script = claude_stream(claude_events(tool_block("t1", "f", '{"a"', ":1}"), stop="tool_use"))
    asked = await ask("ollama", "claude", {"stream": streamed, "tools": [TOOL]}, script)
    calls = [call for line in asked.lines for call in line["message"].get("tool_calls", ())]
    assert calls == [{"id": "t1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}]
    assert asked.lines[-1]["done_reason"] == "stop"


def parallel(*results: dict[str, Any]) -> list[dict[str, Any]]:
    calls = [{"function": {"name": "f", "arguments": {"n": n}}} for n in (1, 2)]
    return [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": calls}, *results]


@pytest.mark.parametrize("named", [True, False])
async def test_others_C04_calls_without_ids_are_paired_in_order(named: bool) -> None:
    name = {"tool_name": "f"} if named else {}
    results = [{"role": "tool", "content": text, **name} for text in ("one", "two")]
    asked = await ask("ollama", "chat", {"stream": False, "messages": parallel(*results)}, chat_answer())
    _, assistant, first, second = asked.sent["messages"]
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(turn["tool_call_id"], turn["content"]) for turn in (first, second)] == [(ids[0], "one"), (ids[1], "two")]
    again = await ask("ollama", "chat", {"stream": False, "messages": parallel(*results)}, chat_answer())
    assert again.sent == asked.sent


async def test_others_C04_results_are_paired_by_the_name_of_their_tool() -> None:
    calls: list[Any] = [{"function": {"name": name, "arguments": {}}} for name in ("f", "g")]
    results = [{"role": "tool", "content": f"of {name}", "tool_name": name} for name in ("g", "f")]
    assistant = {"role": "assistant", "content": "", "tool_calls": calls}
    turns = [{"role": "user", "content": "go"}, assistant, *results]
    asked = await ask("ollama", "chat", {"stream": False, "messages": turns}, chat_answer())
    _, called, *told = asked.sent["messages"]
    names = {call["id"]: call["function"]["name"] for call in called["tool_calls"]}
    assert {names[turn["tool_call_id"]]: turn["content"] for turn in told} == {"f": "of f", "g": "of g"}


async def test_others_C05_image_reaches_chat_as_a_data_url() -> None:
    turns = [{"role": "user", "content": "what is it?", "images": [PNG]}]
    asked = await ask("ollama", "chat", {"stream": False, "messages": turns}, chat_answer())
    assert asked.sent["messages"][0]["content"] == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]


async def test_others_C05_data_url_is_no_base64() -> None:
    turns = [{"role": "user", "content": "x", "images": [f"data:image/png;base64,{PNG}"]}]
    asked = await ask("ollama", "chat", {"messages": turns})
    assert asked.answer.status == 400
    assert asked.json["error"].startswith("Invalid 'messages[0].images[0]'")


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


async def test_others_C06_schema_is_a_schema() -> None:
    asked = await ask("ollama", "chat", {"stream": False, "format": SCHEMA}, chat_answer())
    assert asked.sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": SCHEMA, "strict": False},
    }


async def test_others_C06_json_is_a_json_object() -> None:
    asked = await ask("ollama", "chat", {"stream": False, "format": "json"}, chat_answer())
    assert asked.sent["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_others_C07_level_of_thinking_that_there_is_not_is_refused(to: str) -> None:
    asked = await ask("ollama", to, {"stream": False, "think": "bad"})
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    assert asked.json["error"].startswith("invalid think value")


@pytest.mark.parametrize(("think", "effort"), [(False, "none"), ("high", "high"), ("low", "low"), (True, None)])
async def test_others_C07_think_is_an_effort(think: Any, effort: str | None) -> None:
    asked = await ask("ollama", "chat", {"stream": False, "think": think}, chat_answer())
    assert asked.sent.get("reasoning_effort") == effort


@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C07_thinking_is_told_in_its_own_field(streamed: bool) -> None:
    script = chat_answer({"reasoning_content": "hm", "content": "x"})
    if streamed:
        script = chat_stream(chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "m"}),
                             chunk({"content": "x"}), chunk({}, "stop"))  # fmt: skip
    asked = await ask("ollama", "chat", {"stream": streamed, "think": True}, script)
    messages = [line["message"] for line in asked.lines]
    assert "".join(message.get("thinking", "") for message in messages) == "hm"
    assert "".join(message["content"] for message in messages) == "x"
    assert all("content" in message for message in messages)


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [(..., "load"), ("5m", "load"), (-1, "load"), (0, "unload"), (0.0, "unload"), ("0s", "unload")],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C08_nothing_asked_is_answered_at_once(keep_alive: Any, reason: str, streamed: bool) -> None:
    asked = await ask("ollama", "chat", {"messages": [], "keep_alive": keep_alive, "stream": streamed})
    (answer,) = asked.lines
    assert (asked.answer.status, asked.upstream.calls) == (200, [])
    assert (answer["done"], answer["done_reason"]) == (True, reason)
    assert answer["message"] == {"role": "assistant", "content": ""}


async def test_others_C08_empty_prompt_loads_too() -> None:
    asked = await ask("ollama", "chat", {"messages": ..., "prompt": ""}, path="/api/generate")
    assert (asked.json["response"], asked.json["done_reason"], asked.upstream.calls) == ("", "load", [])


async def test_others_C08_unknown_model_is_not_loaded() -> None:
    asked = await ask("ollama", "chat", {"model": "nobody", "messages": []})
    assert (asked.answer.status, asked.json) == (404, {"error": "model 'nobody' not found"})


async def test_others_C09_failure_amid_a_stream_is_a_line() -> None:
    asked = await ask("ollama", "chat", {}, chat_stream(chunk({"content": "x"}), done=False))
    assert asked.answer.status == 200
    first, last = asked.lines
    assert first["message"]["content"] == "x"
    assert last.keys() == {"error"}


@run_virtual
async def test_others_C09_heartbeats_are_spaces_before_the_next_line() -> None:
    script = streaming(Delay(20), chat_stream(chunk({"content": "x"}), chunk({}, "stop")).pieces[0])
    asked = await ask("ollama", "chat", {}, script)
    assert asked.answer.text.startswith(" {")
    assert "".join(line["message"]["content"] for line in asked.lines) == "x"
    assert "\n\n" not in asked.answer.text


@run_virtual
async def test_others_C09_failure_behind_heartbeats_is_a_line() -> None:
    asked = await ask("ollama", "chat", {}, streaming(NEVER))
    assert asked.answer.status == 200
    (line,) = asked.lines
    assert line.keys() == {"error"}


@pytest.mark.parametrize("field", ["model", "name"])
async def test_others_C10_model_is_shown(field: str) -> None:
    body = {"messages": ..., "model": ..., field: "claude/claude-opus-4-5"}
    asked = await ask("ollama", "claude", body, path="/api/show", profile="anthropic")
    shown = asked.json
    assert {"completion", "tools", "vision", "thinking"} <= set(shown["capabilities"])
    family = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{family}.context_length"] == 200_000
    assert asked.upstream.calls == []


async def test_others_C10_unknown_model_is_not_shown() -> None:
    asked = await ask("ollama", "chat", {"model": "x", "messages": ...}, path="/api/show")
    assert (asked.answer.status, asked.json) == (404, {"error": "model 'x' not found"})


# --- beside the numbered cases ----------------------------------------------------------------------------------------


async def test_models_are_listed_with_a_tag_and_found_by_it() -> None:
    scripted = ScriptedUpstream(chat_answer())
    gateway = make_gateway(upstream("chat", models=["gpt-test", "qwen:7b"]), scripts={"chat": scripted})
    listed: Any = (await call(gateway, "GET", "/api/tags")).json()["models"]
    assert [model["name"] for model in listed] == [model["model"] for model in listed] == ["gpt-test:latest", "qwen:7b"]
    body = {"model": "gpt-test:latest", "stream": False, "messages": [{"role": "user", "content": "hi"}]}
    answer = await call(gateway, "POST", "/api/chat", json=body)
    assert (answer.status, answer.json()["model"]) == (200, "gpt-test:latest")
    assert scripted.calls[0].json()["model"] == "gpt-test"
    shown = await call(gateway, "POST", "/api/show", json={"model": "gpt-test:latest"})
    assert shown.status == 200


async def test_caller_may_use_a_model_by_its_tag_only_if_it_may_by_its_name() -> None:
    key = "key-of-a-caller-0123456789"
    callers = [{"label": "a", "key": Secret(key), "models": ["gpt-test"]}]
    gateway = make_gateway(
        upstream("chat", models=["gpt-test", "gpt-other"]), scripts={"chat": ScriptedUpstream(chat_answer())},
        auth="callers", callers=callers,
    )  # fmt: skip
    statuses = []
    for name in ("gpt-test:latest", "gpt-other:latest"):
        body = {"model": name, "stream": False, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {key}"}
        statuses.append((await call(gateway, "POST", "/api/chat", json=body, headers=headers)).status)
    assert statuses == [200, 403]


async def test_no_model_is_loaded_here() -> None:
    assert (await get("/api/ps")).json() == {"models": []}


async def test_prompt_is_a_talk_and_its_answer_a_text() -> None:
    body = {"messages": ..., "prompt": "go", "system": "be brief", "images": [PNG], "stream": False}
    asked = await ask("ollama", "chat", body, chat_answer({"reasoning_content": "hm"}), path="/api/generate")
    system, user = asked.sent["messages"]
    assert (system["role"], system["content"]) == ("system", "be brief")
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]
    assert (asked.json["response"], asked.json["thinking"], "message" in asked.json) == ("Hello", "hm", False)


async def test_prompt_is_answered_in_pieces_of_text() -> None:
    script = chat_stream(chunk({"reasoning_content": "hm"}), chunk({"content": "x"}), chunk({}, "stop"))
    asked = await ask("ollama", "chat", {"messages": ..., "prompt": "go"}, script, path="/ollama/api/generate")
    assert [(line["response"], line.get("thinking"), line["done"]) for line in asked.lines] == [
        ("", "hm", False),
        ("x", None, False),
        ("", None, True),
    ]


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_text_to_be_filled_in_is_refused(to: str) -> None:
    body = {"messages": ..., "prompt": "def f(", "suffix": "return 1"}
    asked = await ask("ollama", to, body, path="/api/generate")
    assert (asked.answer.status, asked.upstream.calls) == (400, [])
    assert asked.json["error"].startswith("suffix: ")


@pytest.mark.parametrize("to", ["chat", "claude"])
async def test_options_go_where_they_mean_the_same(to: str) -> None:
    options = {"num_predict": 50, "temperature": 0.5, "stop": ["END"], "num_ctx": 4096, "repeat_penalty": 1.1}
    script = chat_answer() if to == "chat" else claude_answer()
    asked = await ask("ollama", to, {"stream": False, "options": options, "keep_alive": "5m"}, script)
    limit = asked.sent.get("max_completion_tokens") or asked.sent.get("max_tokens")
    assert (limit, asked.sent["temperature"]) == (50, 0.5)
    assert asked.sent.get("stop") or asked.sent.get("stop_sequences") == ["END"]
    assert asked.notices["options.repeat_penalty"] == "lost"
    assert (asked.notices["options.num_ctx"], asked.notices["keep_alive"]) == ("hint", "hint")


async def test_what_an_option_lost_is_told_by_its_own_path() -> None:
    asked = await ask("ollama", "claude", {"stream": False, "options": {"seed": 1, "min_p": 0.1}}, claude_answer())
    assert {path: asked.notices[path] for path in ("options.seed", "options.min_p")} == {
        "options.seed": "lost",
        "options.min_p": "lost",
    }


@pytest.mark.parametrize(
    ("status", "expected"), [(400, 400), (401, 502), (404, 404), (429, 429), (500, 502), (529, 503)]
)
async def test_upstreams_error_is_told_in_one_text(status: int, expected: int) -> None:
    body = {"type": "error", "error": {"type": "x", "message": "some words"}}
    asked = await ask("ollama", "claude", {"stream": False}, error(status, body))
    assert asked.answer.status == expected
    assert asked.json.keys() == {"error"}
    assert isinstance(asked.json["error"], str)


async def test_wrong_path_is_told_in_its_words() -> None:
    answer = await get("/api/pull", "POST")
    assert answer.status == 404
    assert json.loads(answer.body).keys() == {"error"}
