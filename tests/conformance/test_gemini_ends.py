"""gemini-C20, C26, C27: answers that end before they say anything, and calls that cannot be read."""

from typing import Any

import pytest

from tests.support.scripted_client import Answering

from .asking import HELLO, STREAM, ask, gemini_answer, gemini_chunk, gemini_stream

pytestmark = pytest.mark.anyio

SPOILED = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS")
UNSAID = "FINISH_REASON_UNSPECIFIED"
FACES = ("chat", "claude", "responses", "ollama")
ONE = {"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 12}
"""What each call of a test costs."""


def ended(word: str, *parts: dict[str, Any], stream: bool) -> Answering:
    """Return an answer that says these parts and ends with a word."""
    if stream:
        return gemini_stream(gemini_chunk(list(parts), word, usage=ONE))
    return gemini_answer(list(parts), word, usage=ONE)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("word", SPOILED)
@pytest.mark.parametrize("face", FACES)
async def test_gemini_C27_malformed_call_is_asked_for_again_on_the_same_account(
    face: str, word: str, stream: bool
) -> None:
    thought = {"text": "hm", "thought": True}
    scripts = ended(word, thought, stream=stream), ended("STOP", {"text": "mended"}, stream=stream)
    asked = await ask(face, "gemini", {"stream": stream}, *scripts)
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)
    assert asked.upstream.calls[0].json() == asked.upstream.calls[1].json()
    assert "mended" in asked.answer.text
    assert asked.notices["tool_calls"] == "changed"
    usage = asked.records[-1].usage
    assert usage is not None
    assert (usage.input_total, usage.output_total) == (20, 4)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("face", FACES)
async def test_gemini_C27_call_that_is_malformed_twice_ends_the_answer(face: str, stream: bool) -> None:
    asked = await ask(face, "gemini", {"stream": stream}, *[ended(SPOILED[0], stream=stream)] * 2, accounts=2)
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)
    assert asked.records[-1].finish == "other"
    assert asked.notices["tool_calls"] == "changed"
    assert "tool_calls=repeated" in (asked.answer.header("x-ds2api-notices") or "")


async def test_gemini_C27_malformed_call_is_the_vendors_own_clients_to_ask_for_again() -> None:
    for verb in ("generateContent", STREAM):
        asked = await ask("gemini", "gemini", {}, ended(SPOILED[0], stream=verb == STREAM), verb=verb)
        assert (asked.answer.status, len(asked.upstream.calls)) == (200, 1)
        assert SPOILED[0] in asked.answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("word", ["OTHER", "MALFORMED_RESPONSE", "NO_IMAGE", "IMAGE_OTHER", "A_NEW_WORD", UNSAID])
@pytest.mark.parametrize("face", [*FACES, "gemini"])
async def test_gemini_C26_empty_answer_without_a_reason_is_a_failure(face: str, word: str, stream: bool) -> None:
    verb = STREAM if stream else "generateContent"
    body = {} if face == "gemini" else {"stream": stream}
    failed = await ask(face, "gemini", body, ended(word, stream=stream), verb=verb)
    assert failed.answer.status == 502
    broken_off = {"upstream_truncated", "incomplete_stream"}  # what is not said at all is no end
    assert failed.records[-1].code in (broken_off if word == UNSAID else {"upstream_server_error"})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("face", FACES)
async def test_gemini_C26_text_without_a_reason_for_its_end_is_an_answer(face: str, stream: bool) -> None:
    asked = await ask(face, "gemini", {"stream": stream}, ended("OTHER", {"text": "said"}, stream=stream))
    assert asked.answer.status == 200
    assert "said" in asked.answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("face", ["chat", "claude"])
async def test_gemini_C20_signature_that_is_missed_inside_a_success_is_made_up_for(face: str, stream: bool) -> None:
    call: dict[str, Any]
    if face == "chat":
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        turns = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": "c1", "content": "r"}]  # fmt: skip
    else:
        call = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
        told = {"type": "tool_result", "tool_use_id": "c1", "content": "r"}
        turns = [*HELLO, {"role": "assistant", "content": [call]}, {"role": "user", "content": [told]}]
    unsigned = ended("MISSING_THOUGHT_SIGNATURE", stream=stream)
    body = {"messages": turns, "stream": stream}
    asked = await ask(face, "gemini", body, unsigned, ended("STOP", {"text": "mended"}, stream=stream))
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 2)
    assert "skip_thought_signature_validator" in str(asked.sent)
    assert asked.answer.text.count("mended") == 1
    failed = await ask(face, "gemini", body, unsigned, unsigned)
    assert (failed.answer.status, len(failed.upstream.calls)) == (502, 2)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("parts", [[{"text": "I call"}], [{"text": "hm", "thought": True}, {"text": "I call"}]])
async def test_gemini_C27_malformed_call_behind_text_that_was_streamed_is_an_error(
    face: str, parts: list[dict[str, Any]]
) -> None:
    """Nothing else can tell the caller: its headers are sent, and an agent would stop at a success without a call."""
    asked = await ask(face, "gemini", {"stream": True}, ended(SPOILED[0], *parts, stream=True), accounts=2)
    assert (asked.answer.status, len(asked.upstream.calls)) == (200, 1)
    assert "I call" in asked.answer.text
    assert "The model wrote a call that cannot be read." in asked.answer.text
    assert not any(end in asked.answer.text for end in ("[DONE]", "message_stop", "response.completed", '"done":true'))
    assert asked.records[-1].result != "ok"


async def test_gemini_C27_one_of_several_answers_that_is_spoiled_ends_alone() -> None:
    spoiled = {"index": 1, "finishReason": SPOILED[0]}
    both = gemini_chunk([{"text": "x"}], "STOP", usage=ONE)
    both["candidates"].append(spoiled)
    asked = await ask("chat", "gemini", {"stream": True, "n": 2}, gemini_stream(both))
    assert asked.events[-1] == "[DONE]"


async def test_gemini_C27_malformed_call_behind_text_ends_the_answer() -> None:
    asked = await ask("chat", "gemini", {}, gemini_answer([{"text": "x"}], "MALFORMED_FUNCTION_CALL"))
    assert asked.json["choices"][0]["finish_reason"] == "stop"
    assert asked.notices["candidates[0].finishReason"] == "changed"
