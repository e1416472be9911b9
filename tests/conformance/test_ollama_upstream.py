"""others-C02..C09 the other way: what an Ollama server is asked, and what is made of its answer, on every face."""

from typing import Any

import pytest

from tests.support.scripted_client import Answering, answering, streaming_lines

from .asking import ask, error, ollama_answer, ollama_end, ollama_line, ollama_stream

pytestmark = pytest.mark.anyio

CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
TOOLS: dict[str, Any] = {
    "chat": {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
    "claude": {"name": "f", "input_schema": {"type": "object", "properties": {}}},
}


def texts(face: str, asked: Any, *, streamed: bool) -> str:
    if face == "chat":
        if streamed:
            deltas = [e["choices"][0]["delta"] for e in asked.events if e != "[DONE]" and e["choices"]]
            return "".join(delta.get("content") or "" for delta in deltas)
        return str(asked.json["choices"][0]["message"]["content"])
    if streamed:
        return "".join(e["delta"].get("text", "") for e in asked.events if e["type"] == "content_block_delta")
    return "".join(block.get("text", "") for block in asked.json["content"])


@pytest.mark.parametrize("face", ["chat", "claude"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C02_answer_reaches_every_face(face: str, streamed: bool) -> None:
    script = ollama_answer()
    if streamed:
        script = ollama_stream(ollama_line({"content": "He"}), ollama_line({"content": "llo"}), ollama_end(), split=7)
    asked = await ask(face, "ollama", {"stream": streamed}, script)
    assert texts(face, asked, streamed=streamed) == "Hello"
    request = asked.upstream.calls[0].request
    assert (request.url, asked.sent["stream"]) == ("http://127.0.0.1:9/api/chat", streamed)
    assert asked.records[-1].usage is not None
    assert (asked.records[-1].usage.input_total, asked.records[-1].usage.output_total) == (3, 2)


@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C03_call_without_an_id_has_one(streamed: bool) -> None:
    message = {"content": "", "tool_calls": [CALL, CALL]}
    script = ollama_stream(ollama_line(message), ollama_end()) if streamed else ollama_answer(message)
    asked = await ask("chat", "ollama", {"stream": streamed, "tools": [TOOLS["chat"]]}, script)
    if streamed:
        heads = [c for e in asked.events if e != "[DONE]" for c in e["choices"][0]["delta"].get("tool_calls", ())]
        ids = [head["id"] for head in heads if "id" in head]
        reason = next(e["choices"][0]["finish_reason"] for e in asked.events[::-1] if e != "[DONE]" and e["choices"])
    else:
        choice = asked.json["choices"][0]
        ids, reason = [call["id"] for call in choice["message"]["tool_calls"]], choice["finish_reason"]
    assert len(set(ids)) == 2
    assert reason == "tool_calls"


async def test_others_C04_results_go_by_name_and_in_order() -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}} for n in (1, 2)
    ]
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": calls},
             {"role": "tool", "tool_call_id": "c2", "content": "two"},
             {"role": "tool", "tool_call_id": "c1", "content": "one"}]  # fmt: skip
    asked = await ask("chat", "ollama", {"messages": turns, "tools": [TOOLS["chat"]]}, ollama_answer())
    _, assistant, first, second = asked.sent["messages"]
    assert [call["function"]["arguments"] for call in assistant["tool_calls"]] == [{"n": 1}, {"n": 2}]
    assert [(turn["tool_name"], turn["content"]) for turn in (first, second)] == [("f", "one"), ("f", "two")]


async def test_others_C05_image_goes_as_bare_base64() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    asked = await ask("chat", "ollama", {"messages": [{"role": "user", "content": [part]}]}, ollama_answer())
    assert asked.sent["messages"] == [{"role": "user", "content": "", "images": ["iVBORw0KGgo="]}]


async def test_image_by_its_url_is_refused() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    asked = await ask("chat", "ollama", {"messages": [{"role": "user", "content": [part]}]})
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "messages[0].content[0]")


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("asked_for", "expected"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, SCHEMA),
        ({"type": "text"}, None),
    ],
    ids=["others-C06-object", "others-C06-schema", "others-C06-text"],
)
async def test_form_of_the_answer(asked_for: Any, expected: Any) -> None:
    asked = await ask("chat", "ollama", {"response_format": asked_for}, ollama_answer())
    assert asked.sent.get("format") == expected


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("low", "low"), ("high", "high"), ("xhigh", "max")],
)
async def test_others_C07_effort_is_a_level_of_thinking(effort: str, think: Any) -> None:
    asked = await ask("chat", "ollama", {"reasoning_effort": effort}, ollama_answer({"thinking": "hm"}))
    assert asked.sent["think"] == think
    assert asked.json["choices"][0]["message"]["reasoning_content"] == "hm"


@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_others_C07_model_that_does_not_think_is_asked_again_without(face: str) -> None:
    body: dict[str, Any] = {"reasoning_effort": "high"}
    if face == "claude":
        body = {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "max_tokens": 4_000}
    refusal = error(400, {"error": '"up" does not support thinking'})
    asked = await ask(face, "ollama", body, refusal, ollama_answer())
    assert (asked.answer.status, "think" in asked.sent) == (200, False)
    assert "lost" in asked.notices.values()


@pytest.mark.parametrize("face", ["chat", "claude", "ollama"])
async def test_others_C09_stream_without_its_end_was_cut(face: str) -> None:
    script = ollama_stream(ollama_line({"content": "x"}))
    asked = await ask(face, "ollama", {"stream": True}, script)
    assert asked.answer.status == 200
    assert '"error"' in asked.answer.text
    assert '"done":true' not in asked.answer.text
    assert "[DONE]" not in asked.answer.text
    assert "message_stop" not in asked.answer.text


@pytest.mark.parametrize("face", ["chat", "claude", "ollama"])
async def test_others_C09_error_line_is_an_error_of_the_face(face: str) -> None:
    failed = await ask(face, "ollama", {"stream": True}, ollama_stream({"error": "an error was encountered"}))
    assert failed.answer.status == 502
    script = ollama_stream(ollama_line({"content": "x"}), {"error": "an error was encountered"})
    broken = await ask(face, "ollama", {"stream": True}, script)
    assert broken.answer.status == 200
    assert '"error"' in broken.answer.text


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_ollamas_own_callers_are_relayed(streamed: bool, path: str) -> None:
    body: dict[str, Any] = {"stream": streamed, "options": {"num_ctx": 9, "new": [1]}, "new_top": None}
    if path == "/api/generate":
        body |= {"messages": ..., "prompt": "go", "template": "{{ .Prompt }}", "context": [1, 2]}
    line = ollama_line({"content": "x"}, novel=1)
    script: Answering = ollama_stream(line, ollama_end(), split=5) if streamed else ollama_answer(novel=1)
    asked = await ask("ollama", "ollama", body, script, path=f"/ollama{path}")
    assert asked.upstream.calls[0].request.url == f"http://127.0.0.1:9{path}"
    assert asked.sent == {"model": "test-model", **{k: v for k, v in _whole(body).items() if v is not ...}}
    assert asked.answer.body == b"".join(piece for piece in script.pieces if isinstance(piece, bytes))
    assert asked.records[-1].mode == "relay"
    assert (asked.records[-1].usage is not None, asked.records[-1].finish) == (True, "stop")


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}], **body}


async def test_prompt_with_a_template_stays_a_prompt_where_it_is_translated() -> None:
    body = {"messages": ..., "prompt": "go", "system": "s", "template": "{{ .Prompt }}", "stream": False}
    profile = {"base": "ollama", "exact": False}
    whole = {"model": "up", "created_at": "2026-11-22T10:00:00Z", "response": "hi", "thinking": "hm", "done": True,
             "done_reason": "stop", "context": [7], "prompt_eval_count": 1, "eval_count": 1}  # fmt: skip
    asked = await ask("ollama", "ollama", body, answering(whole), path="/api/generate", profile=profile)
    assert asked.upstream.calls[0].request.url == "http://127.0.0.1:9/api/generate"
    assert asked.sent == {
        "model": "test-model", "prompt": "go", "system": "s", "stream": False, "template": "{{ .Prompt }}"
    }  # fmt: skip
    assert (asked.json["response"], asked.json["thinking"], asked.json["context"]) == ("hi", "hm", [7])


@pytest.mark.parametrize(
    ("choice", "names", "is_asked"),
    [("none", [], False), ("auto", ["f", "g"], False), ("required", ["f", "g"], True),
     ({"type": "function", "function": {"name": "g"}}, ["g"], True)],
    ids=["none", "auto", "required", "named"],
)  # fmt: skip
async def test_choice_among_tools_is_made_by_what_is_told(choice: Any, names: list[str], is_asked: bool) -> None:
    other = {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}
    asked = await ask("chat", "ollama", {"tools": [TOOLS["chat"], other], "tool_choice": choice}, ollama_answer())
    assert [tool["function"]["name"] for tool in asked.sent.get("tools", [])] == names
    assert (asked.sent["messages"][-1]["role"] == "system") is is_asked


async def test_stream_under_the_type_of_a_whole_answer_is_added_up() -> None:
    stream = ollama_stream(ollama_line({"content": "He"}), ollama_line({"content": "llo"}), ollama_end())
    lines = b"".join(piece for piece in stream.pieces if isinstance(piece, bytes))
    asked = await ask("chat", "ollama", {}, answering(lines))
    assert asked.json["choices"][0]["message"]["content"] == "Hello"


async def test_keep_alives_of_all_kinds_are_no_lines() -> None:
    stream = ollama_stream(ollama_line({"content": "x"}), ollama_end())
    first, last, _ = b"".join(p for p in stream.pieces if isinstance(p, bytes)).split(b"\n")
    script = streaming_lines(b" ", b"\n", b"  " + first + b"\r\n", b" ", b"\n\n", last)
    for face in ("chat", "ollama"):
        asked = await ask(face, "ollama", {"stream": True}, script)
        assert asked.answer.status == 200
        assert asked.records[-1].result == "ok"
