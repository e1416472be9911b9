"""others-C12..C20, C34..C40: what vendors who resemble OpenAI are asked, and what is made of their answers."""

import json
import re
from typing import Any

import pytest

from .asking import ask, chat_answer, chat_stream, chunk, error

pytestmark = pytest.mark.anyio

TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQK"


def claude_round(*results: Any, id_: str = "toolu_01ABC") -> list[dict[str, Any]]:
    """Return a talk of Anthropic's in which a tool was called and gave ``results``."""
    return [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": id_, "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_, "content": "r"}, *results]},
    ]


def roles(asked: Any) -> list[str]:
    return [message["role"] for message in asked.sent["messages"]]


async def mistral(face: str, body: dict[str, Any], script: Any = None, profile: str = "mistral") -> Any:
    return await ask(face, "chat", body, script or chat_answer(), model="mistral-small-2503", profile=profile)


async def test_others_C12_ids_are_nine_letters_and_digits_alike_every_time() -> None:
    sent = [(await mistral("claude", {"messages": claude_round(), "tools": [TOOL]})).sent for _ in range(2)]
    _, call, result = sent[0]["messages"]
    id_ = call["tool_calls"][0]["id"]
    assert re.fullmatch(r"[A-Za-z0-9]{9}", id_)
    assert result["tool_call_id"] == id_
    assert sent[0] == sent[1]


async def test_others_C12_legal_ids_stay_and_no_two_are_alike() -> None:
    calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}
             for id_ in ("abcDEF123", "call_1", "call_2")]  # fmt: skip
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "r"} for call in calls]
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": calls}, *results]
    asked = await mistral("chat", {"messages": turns, "tools": [FUNCTION]})
    ids = [call["id"] for call in asked.sent["messages"][1]["tool_calls"]]
    assert ids[0] == "abcDEF123"
    assert len({*ids}) == 3
    assert [message["tool_call_id"] for message in asked.sent["messages"][2:]] == ids


async def test_others_C13_user_behind_a_tool_is_introduced() -> None:
    said = {"type": "text", "text": "and now?"}
    asked = await mistral("claude", {"messages": claude_round(said), "tools": [TOOL]})
    assert roles(asked) == ["user", "assistant", "tool", "assistant", "user"]


async def test_others_C13_there_are_as_many_results_as_calls() -> None:
    calls = [{"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)]
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": calls},
             {"role": "tool", "tool_call_id": "call_2", "content": "r"}]  # fmt: skip
    asked = await mistral("chat", {"messages": turns, "tools": [FUNCTION]})
    assert roles(asked) == ["user", "assistant", "tool", "tool"]
    one, two = (call["id"] for call in asked.sent["messages"][1]["tool_calls"])
    assert [message["tool_call_id"] for message in asked.sent["messages"][2:]] == [two, one]


async def test_others_C14_no_field_that_mistral_refuses_is_sent() -> None:
    body = {"user": "u", "safety_identifier": "s", "logit_bias": {"1": 1}, "stream": True, "seed": 7, "store": True,
            "stream_options": {"include_usage": True}, "max_completion_tokens": 9, "verbosity": "low",
            "messages": [{"role": "developer", "content": "d"},
                         {"role": "user", "name": "bob", "content": "hi"}]}  # fmt: skip
    asked = await mistral("chat", body, chat_stream(chunk({"content": "x"}), chunk({}, "stop")))
    refused = {"user", "safety_identifier", "logit_bias", "stream_options", "max_completion_tokens", "seed", "store"}
    assert not refused & asked.sent.keys()
    assert (asked.sent["max_tokens"], asked.sent["random_seed"]) == (9, 7)
    assert asked.sent["messages"] == [{"role": "system", "content": "d"}, {"role": "user", "content": "hi"}]


async def test_others_C15_picture_of_a_user_passes() -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    asked = await mistral("chat", {"messages": [{"role": "user", "content": [part]}]})
    assert asked.sent["messages"][0]["content"] == [part]


@pytest.mark.parametrize("face", ["claude", "chat"])
async def test_others_C15_picture_of_a_tool_goes_to_a_user(face: str) -> None:
    url = f"data:image/png;base64,{PNG}"
    if face == "claude":
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        turns = claude_round()
        turns[2]["content"][0]["content"] = [{"type": "text", "text": "r"}, {"type": "image", "source": source}]
    else:
        call = {"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        parts = [{"type": "text", "text": "r"}, {"type": "image_url", "image_url": {"url": url}}]
        turns = [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": "abcDEF123", "content": parts}]  # fmt: skip
    tools = [TOOL] if face == "claude" else [FUNCTION]
    asked = await mistral(face, {"messages": turns, "tools": tools})
    assert roles(asked) == ["user", "assistant", "tool", "assistant", "user"]
    *_, tool, _, shown = asked.sent["messages"]
    assert tool["content"] == "r"
    assert shown["content"][-1] == {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize("face", ["chat", "ollama"])
async def test_others_C16_last_assistant_is_a_prefix(face: str) -> None:
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "It is"}]
    asked = await mistral(face, {"messages": turns, "stream": False})
    assert asked.sent["messages"][-1] == {"role": "assistant", "content": "It is", "prefix": True}


@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C17_content_in_chunks_is_reasoning_and_text(streamed: bool) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    said = {"type": "text", "text": "x"}
    script = chat_answer({"content": [thinking, said]})
    if streamed:
        script = chat_stream(chunk({"content": [thinking]}), chunk({"content": [said]}), chunk({}, "stop"))
    asked = await mistral("chat", {"stream": streamed}, script)
    if streamed:
        messages = [event["choices"][0]["delta"] for event in asked.events if event != "[DONE]"]
    else:
        messages = [asked.json["choices"][0]["message"]]
    assert "".join(message.get("reasoning_content") or "" for message in messages) == "hm"
    assert "".join(message.get("content") or "" for message in messages) == "x"


async def test_others_C17_earlier_reasoning_goes_back_in_chunks() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "hm"},
             {"role": "user", "content": "c"}]  # fmt: skip
    asked = await mistral("chat", {"messages": turns})
    assert asked.sent["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "b"}],
    }


async def test_others_C18_call_in_one_chunk_with_its_end() -> None:
    call = {"id": "abcDEF123", "index": 0, "function": {"name": "f", "arguments": '{"a": 1}'}}
    asked = await mistral(
        "chat",
        {"stream": True, "tools": [FUNCTION]},
        chat_stream(chunk({"content": "", "tool_calls": [call]}, "tool_calls")),
    )
    choices = [event["choices"][0] for event in asked.events if event != "[DONE]"]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert [call["id"] for call in calls if "id" in call] == ["abcDEF123"]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"a": 1}
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["tool_calls"]


async def test_others_C19_problems_of_a_422_are_joined() -> None:
    detail = [{"loc": ["body", "user"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"},
              {"loc": ["body", "n"], "msg": "Too large", "type": "x"}]  # fmt: skip
    asked = await mistral("chat", {}, error(422, {"detail": detail}))
    assert asked.answer.status == 400
    assert asked.json["error"]["message"] == "body.user: Extra inputs are not permitted; body.n: Too large"


async def test_others_C19_wrong_id_is_the_callers_400() -> None:
    words = "Tool call id was X but must be a-z, A-Z, 0-9, with a length of 9."
    body = {"object": "error", "message": words, "type": "invalid_function_call", "param": None, "code": "3280"}
    asked = await mistral("chat", {}, error(400, body))
    assert (asked.answer.status, asked.json["error"]["message"]) == (400, words)


@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_others_C20_pdf_is_a_document_url(face: str) -> None:
    part: dict[str, Any] = {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
    }
    if face == "claude":
        source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
        part = {"type": "document", "source": source, "title": "a.pdf"}
    asked = await mistral(face, {"messages": [{"role": "user", "content": [part]}]})
    assert asked.sent["messages"][0]["content"] == [
        {"type": "document_url", "document_url": f"data:application/pdf;base64,{PDF}", "document_name": "a.pdf"}
    ]


async def test_choice_that_must_be_a_call_is_any() -> None:
    asked = await mistral("chat", {"tools": [FUNCTION], "tool_choice": "required"})
    assert asked.sent["tool_choice"] == "any"


async def test_recording_is_bare_base64() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    asked = await mistral("chat", {"messages": [{"role": "user", "content": [part]}]})
    assert asked.sent["messages"][0]["content"] == [{"type": "input_audio", "input_audio": "UklGRg=="}]


# --- DeepSeek ---------------------------------------------------------------------------------------------------------


def thought_talk(**assistant: Any) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    return [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call], **assistant},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
        {"role": "assistant", "content": "done", "reasoning_content": "other"},
        {"role": "user", "content": "more"},
    ]


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("deepseek-v4", {"reasoning_content": "hm"}, "hm"),
        ("deepseek-v4", {}, ""),
        ("deepseek-r1", {"reasoning_content": "hm"}, None),
        ("deepseek-r1", {}, None),
    ],
)
async def test_others_C34_calls_go_back_with_their_reasoning(model: str, given: Any, expected: str | None) -> None:
    body = {"messages": thought_talk(**given), "tools": [FUNCTION]}
    asked = await ask("chat", "chat", body, chat_answer(), model=model, profile="deepseek")
    assert asked.sent["messages"][1].get("reasoning_content") == expected
    assert "reasoning_content" not in asked.sent["messages"][3]


async def test_others_C35_schema_is_an_object_and_words() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    asked = await ask("chat", "chat", {"response_format": wanted}, chat_answer(), profile="deepseek")
    assert asked.sent["response_format"] == {"type": "json_object"}
    hint = asked.sent["messages"][0]["content"]
    assert "JSON" in hint
    assert '"age"' in hint


@pytest.mark.parametrize(("said", "is_hinted"), [("hi", True), ("Answer in json", False)])
async def test_others_C35_object_needs_the_word(said: str, is_hinted: bool) -> None:
    body = {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": said}]}
    asked = await ask("chat", "chat", body, chat_answer(), profile="deepseek")
    assert asked.sent["response_format"] == {"type": "json_object"}
    assert (len(asked.sent["messages"]) == 2) is is_hinted


@pytest.mark.parametrize(("effort", "expected"), [("minimal", "low"), ("medium", "high"), ("xhigh", "max")])
async def test_effort_is_in_the_vendors_words(effort: str, expected: str) -> None:
    asked = await ask("chat", "chat", {"reasoning_effort": effort}, chat_answer(), profile="deepseek")
    assert (asked.sent["thinking"], asked.sent["reasoning_effort"]) == ({"type": "enabled"}, expected)


# --- xAI, OpenRouter, Groq, and others --------------------------------------------------------------------------------


async def test_others_C36_reasoning_counts_as_output() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 7}}
    asked = await ask("chat", "chat", {}, chat_answer(usage=usage), profile="xai")
    told = asked.json["usage"]
    assert told["completion_tokens"] == 12
    assert told["completion_tokens_details"]["reasoning_tokens"] == 7


async def test_others_C36_reasoning_models_are_not_sent_what_they_refuse() -> None:
    body = {"stop": ["x"], "presence_penalty": 1, "temperature": 0.5}
    asked = await ask("chat", "chat", body, chat_answer(), model="grok-4", profile="xai")
    assert asked.sent.keys() & body.keys() == {"temperature"}
    assert (asked.notices["stop"], asked.notices["presence_penalty"]) == ("lost", "lost")


COMMENT = b": OPENROUTER PROCESSING\n\n"


async def test_others_C37_error_behind_comments_is_told() -> None:
    failed = {"error": {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "x"}}}
    stream = chat_stream(chunk({"content": "x"}), {**chunk({}, "error"), **failed}, done=False)
    script = type(stream)(200, stream.headers, [COMMENT, *stream.pieces])
    asked = await ask("chat", "chat", {"stream": True}, script, profile="openrouter")
    assert "error" in asked.events[-1]
    assert "[DONE]" not in asked.answer.text


async def test_others_C37_reasoning_details_go_back_unchanged() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
               {"type": "reasoning.encrypted", "data": "d", "id": "r1", "format": "x", "index": 1}]  # fmt: skip
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_details": details},
             {"role": "user", "content": "c"}]  # fmt: skip
    asked = await ask("chat", "chat", {"messages": turns}, chat_answer(), profile="openrouter")
    assert asked.sent["messages"][1]["reasoning_details"] == details


async def test_others_C38_usage_is_read_where_groq_has_it() -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    script = chat_stream(chunk({"content": "x"}), chunk({}, "stop", x_groq={"id": "r", "usage": usage}))
    body = {"stream": True, "stream_options": {"include_usage": True}}
    asked = await ask("chat", "chat", body, script, profile="groq")
    assert asked.events[-2]["usage"]["prompt_tokens"] == 11


@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_others_C38_call_that_was_written_wrong_is_asked_for_once_more(face: str) -> None:
    refusal = error(400, {"error": {"message": "Failed to call a function.", "type": "invalid_request_error",
                                    "code": "tool_use_failed", "failed_generation": "<f"}})  # fmt: skip
    tools = [FUNCTION] if face == "chat" else [TOOL]
    mended = await ask(face, "chat", {"tools": tools}, refusal, chat_answer(), profile="groq")
    assert (mended.answer.status, len(mended.upstream.calls)) == (200, 2)
    failed = await ask(face, "chat", {"tools": tools}, refusal, refusal, profile="groq")
    assert (failed.answer.status, len(failed.upstream.calls)) == (400, 2)


@pytest.mark.parametrize("streamed", [False, True])
async def test_others_C39_tags_over_chunks_leave_no_remains(streamed: bool) -> None:
    script = chat_answer({"content": "<think>hm</think>\nx"})
    if streamed:
        pieces = ("<th", "ink>h", "m</", "think>", "\n", "x")
        script = chat_stream(*(chunk({"content": piece}) for piece in pieces), chunk({}, "stop"))
    asked = await ask("chat", "chat", {"stream": streamed}, script, profile="vllm")
    if streamed:
        messages = [event["choices"][0]["delta"] for event in asked.events if event != "[DONE]"]
    else:
        messages = [asked.json["choices"][0]["message"]]
    assert "".join(message.get("reasoning_content") or "" for message in messages) == "hm"
    assert "".join(message.get("content") or "" for message in messages) == "x"


@pytest.mark.parametrize("face", ["chat", "claude", "ollama"])
async def test_others_C40_model_that_only_streams_answers_everybody(face: str) -> None:
    chunks = [chunk({"reasoning_content": "hm"}), chunk({"content": "x"}), chunk({}, "stop")]
    whole = await ask(face, "chat", {"stream": False}, chat_stream(*chunks), model="qwq-32b", profile="qwen")
    assert whole.sent["stream"] is True
    plain = await ask(
        face,
        "chat",
        {"stream": False},
        chat_answer({"reasoning_content": "hm", "content": "x"}),
        model="qwen3",
        profile="qwen",
    )
    assert plain.sent.get("stream") is None
    told = {name: value for name, value in whole.json.items() if name in ("content", "message", "choices")}
    assert told == {name: value for name, value in plain.json.items() if name in told}


async def test_object_is_asked_for_by_a_schema_where_there_is_no_other_switch() -> None:
    asked = await ask("chat", "chat", {"response_format": {"type": "json_object"}}, chat_answer(), profile="lm-studio")
    assert asked.sent["response_format"]["json_schema"]["schema"] == {"type": "object"}


async def test_form_and_tools_together_are_asked_for_in_words() -> None:
    body = {"response_format": {"type": "json_object"}, "tools": [FUNCTION]}
    asked = await ask("chat", "chat", body, chat_answer(), profile="groq")
    assert "response_format" not in asked.sent
    assert "JSON" in asked.sent["messages"][0]["content"]


async def test_vendor_without_eyes_is_sent_no_picture() -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    asked = await ask("chat", "chat", {"messages": [{"role": "user", "content": [part]}]}, profile="deepseek")
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "messages[0].content[0]")


@pytest.mark.parametrize(("effort", "is_on"), [("none", False), ("high", True)])
@pytest.mark.parametrize(("profile", "path"), [("vllm", "chat_template_kwargs"), ("qwen", None)])
async def test_thinking_is_switched_as_the_vendor_has_it(
    effort: str, is_on: bool, profile: str, path: str | None
) -> None:
    asked = await ask("chat", "chat", {"reasoning_effort": effort}, chat_answer(), profile=profile)
    holder = asked.sent if path is None else asked.sent[path]
    assert holder["enable_thinking"] is is_on
