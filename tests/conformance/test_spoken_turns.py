"""What an assistant said comes to whoever goes on with the talk as it was said, however its client kept it."""

from typing import Any

import pytest

from .asking import (
    HELLO,
    ask,
    chat_answer,
    claude_answer,
    gemini_answer,
    ollama_answer,
    response_answer,
    said_item,
)

pytestmark = pytest.mark.anyio

ANSWERS: dict[str, Any] = {
    "chat": chat_answer(),
    "responses": response_answer(),
    "claude": claude_answer(),
    "ollama": ollama_answer(),
    "gemini": gemini_answer([{"text": "Hello"}]),
}
THANKS = {"role": "user", "content": "Thanks."}
PIECES = ("Here", " is", " a list:", "\n\n", "```py\n", "if x:\n", "    ", "y = 1", "\n", "```")
SEARCHED = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "rain"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
]
CITED = {
    "type": "web_search_result_location", "url": "https://w.example", "title": "W", "encrypted_index": "E",
    "cited_text": "Rain.",
}  # fmt: skip


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


async def spoken(face: str, to: str, talk: dict[str, Any], profile: str | None = None) -> list[Any]:
    """Return what the assistant said, message by message, as the upstream is sent it."""
    asked = await ask(face, to, talk, ANSWERS[to], profile=profile, model="claude-opus-4-6")
    assert asked.answer.status == 200
    turns = next(asked.sent[name] for name in ("messages", "input", "contents") if name in asked.sent)
    return [turn.get("content", turn.get("parts")) for turn in turns if turn.get("role") in ("assistant", "model")]


def kept_by_a_chat(*chunks: dict[str, Any]) -> dict[str, Any]:
    """Return a talk as the chats of Google's SDK keep it: a content for each chunk of the stream."""
    contents = [{"role": "model", "parts": [chunk]} for chunk in chunks]
    return {"contents": [{"role": "user", "parts": [{"text": "go"}]}, *contents,
                         {"role": "user", "parts": [{"text": "Thanks."}]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("to", "profile"),
    [("chat", None), ("chat", "mistral"), ("chat", "deepseek"), ("chat", "vllm"), ("responses", None),
     ("claude", None), ("ollama", None)],
)  # fmt: skip
async def test_answer_that_was_streamed_to_a_gemini_client_is_one_text_again(to: str, profile: str | None) -> None:
    talk = kept_by_a_chat(*[{"text": piece} for piece in PIECES], {"text": ""})
    assert await spoken("gemini", to, talk, profile) == ["".join(PIECES)]


async def test_answer_that_was_streamed_to_a_gemini_client_goes_back_to_gemini_as_it_was_kept() -> None:
    talk = kept_by_a_chat(*[{"text": piece} for piece in PIECES])
    assert await spoken("gemini", "gemini", talk, "vertex") == [[{"text": piece}] for piece in PIECES]


@pytest.mark.parametrize(
    ("to", "profile"),
    [("chat", None), ("chat", "mistral"), ("chat", "deepseek"), ("chat", "lenient"), ("ollama", None)],
)
async def test_sentence_with_a_citation_in_it_is_one(to: str, profile: str | None) -> None:
    blocks = [text("It "), text("rains", citations=[CITED]), text(".")]
    talk = {"messages": [*HELLO, {"role": "assistant", "content": blocks}, THANKS]}
    assert await spoken("claude", to, talk, profile) == ["It rains."]


@pytest.mark.parametrize("to", ["chat", "ollama"])
async def test_what_was_said_before_a_search_and_behind_it_keeps_apart(to: str) -> None:
    blocks = [text("I'll search."), *SEARCHED, text("It "), text("rains.")]
    talk = {"messages": [*HELLO, {"role": "assistant", "content": blocks}, THANKS]}
    assert await spoken("claude", to, talk) == ['I\'ll search.\n\n[web_search {"query":"rain"}]\n\nIt rains.']


@pytest.mark.parametrize(("to", "profile"), [("chat", None), ("chat", "mistral"), ("ollama", None)])
async def test_two_items_of_one_turn_are_two_paragraphs(to: str, profile: str | None) -> None:
    said = [said_item("Let me see.", "msg_1"), said_item("It rains.", "msg_2")]
    talk = {"input": [*HELLO, *said, THANKS]}
    assert await spoken("responses", to, talk, profile) == ["Let me see.\n\nIt rains."]


@pytest.mark.parametrize(
    ("face", "to"), [("claude", "claude"), ("claude", "chat"), ("claude", "gemini"), ("claude", "ollama")]
)
async def test_turn_of_thoughts_that_belong_to_another_vendor_is_left_out_whole(face: str, to: str) -> None:
    """An assistant that says nothing is refused by Anthropic."""
    first = await ask("claude", "chat", {}, chat_answer({"content": "", "reasoning_content": "hm"}), profile="lenient")
    thoughts = [block for block in first.json["content"] if block["type"] == "thinking"]
    talk = {"messages": [*HELLO, {"role": "assistant", "content": thoughts}, THANKS]}
    assert await spoken(face, to, talk) == []


async def test_items_of_thoughts_that_belong_to_another_vendor_leave_nothing_behind() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "S"}
    calls: list[Any] = [{"type": "tool_use", "id": id_, "name": "f", "input": {}} for id_ in ("t1", "t2")]
    script = claude_answer([thought, calls[0], thought, calls[1]], "tool_use")
    output = (await ask("responses", "claude", {"reasoning": {"effort": "low"}}, script)).json["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"] * 2
    results = [{"type": "function_call_output", "call_id": id_, "output": "r"} for id_ in ("t1", "t2")]
    asked = await ask("responses", "responses", {"input": [*HELLO, *output, *results]}, response_answer())
    kinds = [item["type"] for item in asked.sent["input"]]
    assert kinds == ["message", *["function_call"] * 2, *["function_call_output"] * 2]


@pytest.mark.parametrize(("face", "profile"), [("chat", "deepseek"), ("claude", "deepseek"), ("claude", "lenient")])
async def test_texts_are_one_string_where_lists_are_refused_or_may_be(face: str, profile: str) -> None:
    """DeepSeek: "invalid type: sequence, expected a string", see cline/cline#230 and QwenLM/qwen-code#2320."""
    said = {"role": "assistant", "content": [text("It "), text("rains.")]}
    asked_for = {"role": "user", "content": [text("a"), text("b")]}
    asked = await ask(face, "chat", {"messages": [asked_for, said, THANKS]}, chat_answer(), profile=profile)
    assert [message["content"] for message in asked.sent["messages"]] == ["a\n\nb", "It rains.", "Thanks."]


async def test_system_is_one_string_where_no_lists_are_taken() -> None:
    system = {"role": "system", "content": [text("a"), text("b")]}
    asked = await ask("chat", "chat", {"messages": [system, THANKS]}, chat_answer(), profile="deepseek")
    assert asked.sent["messages"][0]["content"] == "a\n\nb"


async def test_texts_of_the_callers_own_protocol_stay_parts_where_lists_are_taken() -> None:
    turns = [{"role": role, "content": [text("a"), text("b")]} for role in ("user", "assistant", "user")]
    asked = await ask("chat", "chat", {"messages": turns}, chat_answer(), profile="lenient")
    assert asked.sent["messages"] == turns
