"""How likely each token was is told between protocols, each in its own form; what an answer loses is named."""

from typing import Any, Final

import pytest

from .asking import ask, chat_answer, chat_stream, chunk, gemini_chunk, gemini_stream

pytestmark = pytest.mark.anyio

GEMINI: Final[dict[str, Any]] = {
    "chosenCandidates": [
        {"token": "Hé", "tokenId": 1, "logProbability": -0.5},
        {"token": "!", "tokenId": 2},
    ],
    "topCandidates": [
        {"candidates": [{"token": "Hé", "logProbability": -0.5}, {"token": "Ho", "logProbability": -2}]},
        {"candidates": [{"token": "!"}]},
    ],
    "logProbabilitySum": -0.5,
}
BARE: Final = [[{"token": "Hé", "logProbability": -0.5}, {"token": "!", "logProbability": 0.0}],
               [{"candidates": [{"token": "Hé", "logProbability": -0.5}, {"token": "Ho", "logProbability": -2.0}]},
                {"candidates": [{"token": "!", "logProbability": 0.0}]}]]  # fmt: skip
"""What others can tell of it: tokens without their numbers."""


def token(text: str, logprob: float, *rivals: Any) -> dict[str, Any]:
    """Return a token as OpenAI writes it."""
    own = {"token": text, "logprob": logprob, "bytes": list(text.encode())}
    return {**own, "top_logprobs": list(rivals)} if rivals else own


OPENAI: Final = [
    token("Hé", -0.5, token("Hé", -0.5), token("Ho", -2)),
    token("!", 0.0, token("!", 0.0)),
]


def told_by_gemini() -> Any:
    """Return a stream of Gemini's in which each chunk tells of its own token."""
    first, second = (
        {"chosenCandidates": GEMINI["chosenCandidates"][i : i + 1], "topCandidates": GEMINI["topCandidates"][i : i + 1]}
        for i in (0, 1)
    )
    return gemini_stream(
        gemini_chunk([{"text": "Hé"}], logprobsResult={**first, "logProbabilitySum": -0.5}),
        gemini_chunk([{"text": "!"}], finish="STOP", logprobsResult=second),
    )


@pytest.mark.parametrize("face", ["chat", "responses", "ollama"])
async def test_gemini_probabilities_are_told_to_callers_of_other_protocols(face: str) -> None:
    path = {"ollama": "/api/chat"}.get(face)
    asked = await ask(face, "gemini", {"stream": False}, told_by_gemini(), path=path)
    body = asked.json
    told = {
        "chat": lambda: body["choices"][0]["logprobs"]["content"],
        "responses": lambda: body["output"][0]["content"][0]["logprobs"],
        "ollama": lambda: body["logprobs"],
    }[face]()
    assert told == OPENAI


async def test_gemini_probabilities_are_streamed_to_callers_of_chat() -> None:
    asked = await ask("chat", "gemini", {"stream": True}, told_by_gemini())
    told = [choice["logprobs"]["content"] for event in asked.events if isinstance(event, dict)
            for choice in event["choices"] if choice.get("logprobs")]  # fmt: skip
    assert [each for content in told for each in content] == OPENAI


async def test_gemini_probabilities_of_all_chunks_are_one_list_within_the_protocol() -> None:
    like = {"base": "gemini", "exact": False}
    asked = await ask("gemini", "gemini", {}, told_by_gemini(), profile=like, verb="streamGenerateContent")
    assert asked.events[-1]["candidates"][0]["logprobsResult"] == GEMINI


def chat_logprobs(tokens: list[Any]) -> dict[str, Any]:
    return {"content": tokens, "refusal": None}


async def test_chat_probabilities_are_told_to_callers_of_gemini() -> None:
    answer = chat_answer(choices=[{"index": 0, "message": {"role": "assistant", "content": "Hé!"},
                                   "finish_reason": "stop", "logprobs": chat_logprobs(OPENAI)}])  # fmt: skip
    asked = await ask("gemini", "chat", {}, answer)
    told = asked.json["candidates"][0]["logprobsResult"]
    assert [told["chosenCandidates"], told["topCandidates"]] == BARE


async def test_chat_probabilities_are_streamed_to_callers_of_gemini() -> None:
    pieces = [chunk({"content": text}) for text in ("Hé", "!")]
    for piece, each in zip(pieces, OPENAI, strict=True):
        piece["choices"][0]["logprobs"] = chat_logprobs([each])
    asked = await ask("gemini", "chat", {}, chat_stream(*pieces, chunk(finish="stop")), verb="streamGenerateContent")
    told = [
        each["logprobsResult"] for event in asked.events for each in event["candidates"] if "logprobsResult" in each
    ]
    assert [[t for each in told for t in each["chosenCandidates"]],
            [t for each in told for t in each["topCandidates"]]] == BARE  # fmt: skip
    assert (
        "".join(part["text"] for event in asked.events for part in event["candidates"][0]["content"]["parts"]) == "Hé!"
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_tokens_without_bytes_get_them_for_callers_of_responses(stream: bool) -> None:
    """The types of OpenAI's SDK have a list there, and no null."""
    bare = [{"token": "H\u00e9", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "!", "logprob": -1.5}]}]
    told = [{"token": "H\u00e9", "logprob": -0.5, "bytes": [72, 195, 169],
             "top_logprobs": [{"token": "!", "logprob": -1.5, "bytes": [33]}]}]  # fmt: skip
    choice = {"index": 0, "message": {"role": "assistant", "content": "H\u00e9"}, "finish_reason": "stop",
              "logprobs": chat_logprobs(bare)}  # fmt: skip
    piece = chunk({"content": "H\u00e9"})
    piece["choices"][0]["logprobs"] = chat_logprobs(bare)
    script = chat_stream(piece, chunk(finish="stop")) if stream else chat_answer(choices=[choice])
    asked = await ask("responses", "chat", {"stream": stream}, script)
    events = [event for event in asked.events if isinstance(event, dict)] if stream else []
    answer = events[-1]["response"] if stream else asked.json
    said = [event["logprobs"] for event in events if event["type"].startswith("response.output_text.")]
    assert said == ([told, told] if stream else [])
    assert answer["output"][0]["content"][0]["logprobs"] == told


async def test_tokens_of_a_refusal_follow_those_of_the_text() -> None:
    logprobs = {"content": None, "refusal": [token("No", -1)]}
    message = {"role": "assistant", "content": None, "refusal": "No"}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}
    asked = await ask("gemini", "chat", {}, chat_answer(choices=[choice]))
    assert asked.json["candidates"][0]["logprobsResult"] == {
        "chosenCandidates": [{"token": "No", "logProbability": -1.0}]
    }
    plain = await ask("ollama", "chat", {"stream": False}, chat_answer(choices=[choice]), path="/api/chat")
    assert plain.json["logprobs"] == [token("No", -1)]


USAGE: Final = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


async def test_callers_of_ollama_are_not_told_parts_of_counts_and_a_notice_says_so() -> None:
    answer = chat_answer(usage=USAGE, service_tier="flex")
    asked = await ask("ollama", "chat", {"stream": False}, answer, path="/api/chat")
    told = ("service_tier", "usage.cache_read", "usage.reasoning")
    assert {name: asked.notices.get(name) for name in told} == dict.fromkeys(told, "hint")


async def test_a_notice_of_an_answer_is_not_named_by_the_request() -> None:
    """Settings of a request are named where its caller had them; a field of an answer has its own name."""
    asked = await ask("gemini", "chat", {"serviceTier": "flex"}, chat_answer(service_tier="flex", metadata={"a": "b"}))
    assert {asked.notices.get("service_tier"), asked.notices.get("metadata")} == {"hint"}


async def test_schema_of_no_arguments_is_left_out_by_name() -> None:
    function = {"name": "f", "parameters": {"type": "object", "additionalProperties": False}, "strict": True}
    asked = await ask("chat", "gemini", {"tools": [{"type": "function", "function": function}]},
                      gemini_stream(gemini_chunk([{"text": "a"}], finish="STOP")))  # fmt: skip
    assert asked.sent["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
    assert asked.notices["tools[0].function.parameters.additionalProperties"] == "hint"
    assert asked.notices["tools[0].function.strict"] == "changed"


async def test_effort_of_a_model_that_shall_not_think_is_left_out_by_name() -> None:
    body = {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}
    asked = await ask("claude", "gemini", body, gemini_stream(gemini_chunk([{"text": "a"}], finish="STOP")),
                      model="gemini-2.5-flash")  # fmt: skip
    assert asked.notices["output_config.effort"] == "hint"
