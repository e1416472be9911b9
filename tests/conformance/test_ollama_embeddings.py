"""others-C11: embeddings on Ollama's face, and of its upstreams, through the gateway."""

import json
from typing import Any

import pytest

from tests.support.scripted_client import answering

from .asking import ask

pytestmark = pytest.mark.anyio

VECTORS: Any = {"model": "m", "embeddings": [[0.5, -1.0], [0.25, 2.0]], "total_duration": 5, "prompt_eval_count": 3}
OPENAI: Any = {
    "object": "list",
    "model": "m",
    "data": [
        {"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(VECTORS["embeddings"])
    ],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


async def embed(face: str, to: str, body: dict[str, Any], answer: Any, path: str, **more: Any) -> Any:
    messages = "input" if face == "responses" else "messages"
    return await ask(face, to, {messages: ..., **body}, answering(json.dumps(answer).encode()), path=path, **more)


async def test_others_C11_list_of_two_is_relayed_as_it_is() -> None:
    asked = await embed("ollama", "ollama", {"input": ["a", "b"], "keep_alive": 0}, VECTORS, "/api/embed")
    assert (asked.json, asked.sent) == (VECTORS, {"model": "test-model", "input": ["a", "b"], "keep_alive": 0})


async def test_others_C11_list_of_two_is_asked_of_openai() -> None:
    asked = await embed(
        "ollama", "chat", {"input": ["a", "b"], "dimensions": 2}, OPENAI, "/api/embed", profile="lenient"
    )
    assert asked.json["embeddings"] == VECTORS["embeddings"]
    assert (asked.json["model"], asked.json["prompt_eval_count"]) == ("chat/test-model", 3)
    assert asked.sent == {"model": "test-model", "input": ["a", "b"], "dimensions": 2}


async def test_others_C11_older_path_has_the_older_shape() -> None:
    one = {**OPENAI, "data": OPENAI["data"][:1]}
    asked = await embed("ollama", "chat", {"prompt": "a"}, one, "/api/embeddings", profile="lenient")
    assert asked.json == {"embedding": [0.5, -1.0]}
    assert asked.sent["input"] == ["a"]


async def test_openais_caller_is_answered_by_ollama_and_no_text_is_cut() -> None:
    asked = await embed("chat", "ollama", {"input": ["a", "b"], "user": "u"}, VECTORS, "/v1/embeddings")
    assert [item["embedding"] for item in asked.json["data"]] == VECTORS["embeddings"]
    assert asked.json["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert asked.sent == {"model": "test-model", "input": ["a", "b"], "truncate": False}
    assert asked.upstream.calls[-1].request.url.endswith("/api/embed")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/api/embed", {}, "input"),
        ("/api/embed", {"input": []}, "input"),
        ("/api/embed", {"input": [1]}, "input"),
        ("/api/embed", {"input": "a", "dimensions": 0}, "dimensions"),
        ("/api/embeddings", {"prompt": ["a"]}, "prompt"),
    ],
)
async def test_odd_requests_are_refused_by_name(path: str, body: dict[str, Any], param: str) -> None:
    asked = await ask("ollama", "chat", {"messages": ..., **body}, path=path)
    assert (asked.answer.status, param in asked.json["error"]) == (400, True)


async def test_tokens_are_not_text() -> None:
    asked = await ask("chat", "ollama", {"messages": ..., "input": [1, 2]}, path="/v1/embeddings")
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "input")
