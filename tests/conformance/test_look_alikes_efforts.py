"""protocol-others 7.1: how hard models of look-alikes are asked to think, and what they cannot do while they think."""

from typing import Any

import pytest

from .asking import Asked, ask, chat_answer, chat_stream, chunk, error

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
ASKED: dict[str, Any] = {
    "chat": lambda effort: {"reasoning_effort": effort},
    "claude": lambda effort: {"output_config": {"effort": effort}},
    "responses": lambda effort: {"reasoning": {"effort": effort}},
}
WORDS = [
    ("xai", "grok-3-mini", "none", "low"),
    ("xai", "grok-4", "minimal", "low"),
    ("xai", "grok-4", "medium", "medium"),
    ("xai", "grok-4", "xhigh", "high"),
    ("xai", "grok-code-fast-1", "none", "none"),
    ("xai", "grok-code-fast-1", "max", "high"),
    ("groq", "openai/gpt-oss-20b", "none", "low"),
    ("groq", "openai/gpt-oss-120b", "minimal", "low"),
    ("groq", "openai/gpt-oss-120b", "default", "medium"),
    ("groq", "openai/gpt-oss-120b", "max", "high"),
    ("groq", "qwen/qwen3-32b", "none", "none"),
    ("groq", "qwen/qwen3-32b", "minimal", "default"),
    ("groq", "qwen/qwen3-32b", "high", "default"),
    ("groq", "qwen/qwen3-32b", "default", "default"),
    ("vllm", "openai/gpt-oss-120b", "low", "low"),
    ("vllm", "openai/gpt-oss-120b", "none", "low"),
    ("llama.cpp", "gpt-oss-20b-mxfp4", "medium", "medium"),
    ("lm-studio", "openai/gpt-oss-20b", "xhigh", "high"),
]


@pytest.mark.parametrize("face", ASKED)
@pytest.mark.parametrize(("profile", "model", "effort", "sent"), WORDS)
async def test_7_1_effort_is_a_word_that_the_model_knows(
    face: str, profile: str, model: str, effort: str, sent: str
) -> None:
    asked = await ask(face, "chat", ASKED[face](effort), chat_answer(), model=model, profile=profile)
    assert asked.sent["reasoning_effort"] == sent
    told = [severity for path, severity in asked.notices.items() if "effort" in path or path == "reasoning"]
    assert told == ([] if sent == effort else ["changed"])


async def test_7_1_other_models_on_vllm_are_switched() -> None:
    asked = await ask("chat", "chat", {"reasoning_effort": "low"}, chat_answer(), model="qwen3", profile="vllm")
    assert "reasoning_effort" not in asked.sent
    assert asked.sent["chat_template_kwargs"] == {"enable_thinking": True}


@pytest.mark.parametrize("face", ASKED)
async def test_7_1_refused_effort_is_asked_for_once_more_in_a_word_that_is_offered(face: str) -> None:
    words = "`reasoning_effort` must be one of `low`, `medium`, or `high`"
    refused = error(400, {"error": {"message": words, "param": "reasoning_effort"}})
    asked = await ask(face, "chat", ASKED[face]("max"), refused, chat_answer(), profile="groq")
    assert (asked.answer.status, asked.sent["reasoning_effort"]) == (200, "high")


async def test_7_1_deepseek_that_misses_reasoning_does_not_think_for_a_caller_of_chat_either() -> None:
    """protocol-others trap 22."""
    words = "The reasoning_content in the thinking mode must be passed back to the API."
    asked = await ask(
        "chat", "chat", {}, error(400, {"error": {"message": words}}), chat_answer(), model="deepseek-v4",
        profile="deepseek",
    )  # fmt: skip
    assert (asked.answer.status, asked.sent["thinking"]) == (200, {"type": "disabled"})
    assert asked.notices["reasoning_effort"] == "lost"


NAMED = {"type": "function", "function": {"name": "f"}}


async def qwen(model: str, **fields: Any) -> Asked:
    return await ask("chat", "chat", {"tools": [FUNCTION], **fields}, chat_answer(), model=model, profile="qwen")


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
@pytest.mark.parametrize(
    "wish", [{"reasoning_effort": "high"}, {"enable_thinking": True}, {"thinking_budget": 900}], ids=str
)
async def test_7_1_qwen_that_must_call_does_not_think(choice: Any, wish: dict[str, Any]) -> None:
    asked = await qwen("qwen3-max", tool_choice=choice, **wish)
    assert (asked.sent["tool_choice"], asked.sent["enable_thinking"]) == (choice, False)
    assert [*asked.notices.values()] == ["changed"]


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({"tool_choice": "required"}, None),
        ({"tool_choice": "auto", "enable_thinking": True}, True),
        ({"tool_choice": "required", "reasoning_effort": "none"}, False),
    ],
    ids=str,
)
async def test_7_1_qwen_thinks_as_it_is_asked_where_nothing_is_in_the_way(
    fields: dict[str, Any], thinks: bool | None
) -> None:
    asked = await qwen("qwen3-max", **fields)
    assert (asked.sent["tool_choice"], asked.sent.get("enable_thinking")) == (fields["tool_choice"], thinks)
    assert asked.notices == {}


@pytest.mark.parametrize(
    ("choice", "words"),
    [("required", "Answer by calling at least one of the tools."), (NAMED, "Answer by calling the tool f.")],
    ids=["required", "named"],
)
async def test_7_1_qwen_that_thinks_always_is_asked_for_a_call_in_words(choice: Any, words: str) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    asked = await qwen("qwen3-235b-a22b-thinking-2507", tool_choice=choice, messages=turns)
    assert asked.sent["tool_choice"] == "auto"
    assert [message["content"] for message in asked.sent["messages"]] == ["s", words, "u"]
    assert asked.notices == {"tool_choice": "lost"}


@pytest.mark.parametrize("streamed", [False, True])
async def test_7_3_malformed_call_is_asked_for_again(streamed: bool) -> None:
    word = "malformed_function_call"
    spoiled, said = chat_answer({"content": None}, word), chat_answer()
    if streamed:
        spoiled = chat_stream(chunk({"role": "assistant", "content": ""}), chunk({}, word))
        said = chat_stream(chunk({"content": "Hello"}), chunk({}, "stop"))
    asked = await ask("chat", "chat", {"stream": streamed}, spoiled, said, profile="lenient")
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)
    assert "Hello" in asked.answer.text
    assert asked.notices["tool_calls"] == "changed"


@pytest.mark.parametrize("streamed", [False, True])
async def test_7_3_malformed_call_that_comes_again_is_the_end(streamed: bool) -> None:
    word = "function_call_filter: MALFORMED_FUNCTION_CALL"
    spoiled = chat_answer({"content": None}, word)
    if streamed:
        spoiled = chat_stream(chunk({"role": "assistant", "content": ""}), chunk({}, word))
    asked = await ask("chat", "chat", {"stream": streamed}, spoiled, spoiled, profile="lenient")
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)
    assert '"finish_reason":"stop"' in asked.answer.text


@pytest.mark.parametrize("streamed", [False, True])
async def test_7_3_malformed_call_behind_text_ends_the_answer(streamed: bool) -> None:
    """With an error where the text was streamed already: see `test_gemini_ends`."""
    word = "malformed_function_call"
    script = chat_stream(chunk({"content": "x"}), chunk({}, word)) if streamed else chat_answer({"content": "x"}, word)
    asked = await ask("chat", "chat", {"stream": streamed}, script, profile="lenient")
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 1)
    assert ("cannot be read" in asked.answer.text) == streamed
    assert ('"finish_reason":"stop"' in asked.answer.text) == (not streamed)


@pytest.mark.parametrize("code", ["malformed_tool_call", "tool_use_failed"])
async def test_7_3_refused_call_is_asked_for_once_more(code: str) -> None:
    refused = error(400, {"error": {"message": "x", "code": code}})
    asked = await ask("chat", "chat", {}, refused, refused, profile="lenient")
    assert (asked.answer.status, len(asked.upstream.calls)) == (400, 2)


async def test_7_3_refused_call_that_is_good_at_the_second_time_is_one_attempt_with_the_usage_of_one() -> None:
    refused = error(400, {"error": {"message": "x", "code": "tool_use_failed"}})
    asked = await ask("chat", "chat", {}, refused, chat_answer(), profile="groq")
    assert (asked.answer.status, len(asked.upstream.calls), len(asked.records[-1].attempts)) == (200, 2, 1)
    assert asked.answer.header("x-ds2api-attempts") == "1"
    assert asked.notices["temperature"] == "changed"
    usage = asked.records[-1].usage
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (3, 2)


async def test_7_3_no_capacity_is_an_overload_whatever_its_status() -> None:
    full = error(400, {"error": {"message": "no available capacity"}})
    asked = await ask("chat", "chat", {}, full, chat_answer(), profile="lenient", accounts=2)
    assert asked.answer.status == 200
