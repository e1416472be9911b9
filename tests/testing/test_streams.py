"""Streams of Responses, Gemini and Ollama as the fake says them, and what vouches for reasoning that comes back."""

import json
from typing import Any

import httpx
import pytest

from asgi_ds2api.testing import FakeUpstream, Script

SAID = Script.tool_calls(("f", {"a": 1}), text="A b")
THOUGHT = Script.text("A b", reasoning="Hm so")
GEMINI = "/v1beta/models/m:streamGenerateContent"
CONTENTS: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}


def post(fake: FakeUpstream, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(fake.url + path, json=body)


def events_of(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_events_of_responses_follow_the_grammar() -> None:
    with FakeUpstream(script=SAID) as fake:
        answer = post(fake, "/v1/responses", {"model": "m", "input": "?", "stream": True})
    events = events_of(answer.text)
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    names = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["response"]["output"] == done
    assert events[0]["response"]["output"] == []


@pytest.mark.parametrize("query", ["?alt=sse", ""], ids=["events", "array"])
def test_chunks_of_gemini_follow_the_grammar(query: str) -> None:
    with FakeUpstream(script=SAID) as fake:
        answer = post(fake, GEMINI + query, CONTENTS)
    chunks = events_of(answer.text) if query else answer.json()
    assert answer.headers["content-type"].startswith("text/event-stream" if query else "application/json")
    parts = [chunk["candidates"][0]["content"]["parts"][0] for chunk in chunks]
    assert [part.get("text") for part in parts] == ["A ", "b", None, ""]
    assert parts[2]["functionCall"]["args"] == {"a": 1}
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None, None, None, "STOP"]
    assert chunks[-1]["usageMetadata"]["candidatesTokenCount"] == 5
    assert len({chunk["responseId"] for chunk in chunks}) == 1


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_lines_of_ollama_follow_the_grammar(path: str) -> None:
    asked = {"prompt": "?"} if path == "/api/generate" else {"messages": [{"role": "user", "content": "?"}]}
    with FakeUpstream(script=THOUGHT) as fake:
        answer = post(fake, path, {"model": "m", **asked})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    said = [line if "response" in line else line["message"] for line in lines]
    assert "".join(piece.get("thinking", "") for piece in said) == "Hm so"
    assert "".join(piece.get("response", piece.get("content", "")) for piece in said) == "A b"
    assert [line["done"] for line in lines] == [False] * 4 + [True]
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("stop", 4)


def test_talk_without_a_question_loads_the_model() -> None:
    with FakeUpstream() as fake:
        body = post(fake, "/api/chat", {"model": "m", "messages": []}).json()
    assert (body["done"], body["done_reason"], body["message"]["content"]) == (True, "load", "")


def test_verbatim_events_are_in_the_form_of_the_protocol() -> None:
    script = Script.answer(events=[{"type": "error"}, "[DONE]"])
    with FakeUpstream(script=script * 3) as fake:
        responses = post(fake, "/v1/responses", {"model": "m", "input": "?"})
        gemini = post(fake, GEMINI, CONTENTS)
        ollama = post(fake, "/api/chat", {"model": "m", "messages": [{"role": "user", "content": "?"}]})
    assert responses.text == 'event: error\ndata: {"type":"error"}\n\ndata: [DONE]\n\n'
    assert gemini.text == 'data: {"type":"error"}\r\n\r\ndata: [DONE]\r\n\r\n'
    assert (ollama.text, ollama.headers["content-type"]) == ('{"type":"error"}\n[DONE]\n', "application/x-ndjson")


def test_sealed_reasoning_of_responses_is_taken_back_and_of_others_refused() -> None:
    """Each comes sealed, whether its caller asks for that (``include``) or not."""
    asked = {"model": "m", "input": "?", "reasoning": {"effort": "low"}}
    with FakeUpstream() as fake:
        (reasoning, message) = post(fake, "/v1/responses", asked).json()["output"]
        question = {"role": "user", "content": "And?"}
        turns = [reasoning, message, question]
        own = post(fake, "/v1/responses", {"model": "m", "input": turns})
        turns[0] = {**reasoning, "encrypted_content": "gAAAAA"}
        other = post(fake, "/v1/responses", {"model": "m", "input": turns})
    assert own.status_code == 200
    assert (other.status_code, other.json()["error"]["code"]) == (400, "invalid_encrypted_content")


SIGNED = [("own", 200), ("skip_thought_signature_validator", 200), ("b3RoZXJz", 400)]


@pytest.mark.parametrize(("signature", "status"), SIGNED)
def test_signature_of_gemini_is_taken_back_and_of_others_refused(signature: str, status: int) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    thinking = {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}, "tools": tools}
    with FakeUpstream() as fake:
        path = GEMINI.replace("streamGenerate", "generate")
        said = post(fake, path, CONTENTS | thinking).json()["candidates"][0]["content"]
        (call,) = said["parts"]
        if signature != "own":
            call["thoughtSignature"] = signature
        result = {"functionResponse": {"name": "f", "response": {"output": "it said so"}}}
        turns = [*CONTENTS["contents"], said, {"role": "user", "parts": [result]}]
        answer = post(fake, path, {"contents": turns, "tools": tools})
    assert answer.status_code == status
    assert ("it said so" in answer.text) == (status == 200)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/responses", {"model": "m", "input": [{"type": "function_call", "call_id": "c", "name": "f",
          "arguments": "{}"}]}, "No tool output found for function call c."),
        ("/v1/responses", {"model": "m", "input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
         "No tool call found for function call output with call_id c."),
        ("/v1/responses", {"model": "m", "input": "?", "previous_response_id": "resp_1"}, "'resp_1' not found"),
        (GEMINI, {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}}]}]}, "function call turn"),
        (GEMINI, {"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        (GEMINI, {"contents": [{"role": "user", "parts": [{}]}]}, "oneof field 'data'"),
        (GEMINI, CONTENTS | {"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, "response_mime_type"),
        ("/api/chat", {"model": "m", "messages": [{"role": "user", "images": ["%"]}]}, "Invalid base64"),
    ],
)  # fmt: skip
def test_talk_that_the_vendor_would_refuse_is_refused(path: str, body: dict[str, Any], words: str) -> None:
    with FakeUpstream() as fake:
        answer = post(fake, path, body)
    assert answer.status_code in (400, 404)
    assert words in answer.text


def test_models_are_listed_and_shown_as_each_vendor_does() -> None:
    with FakeUpstream(models=["one", "two"]) as fake:
        pages = [
            httpx.get(f"{fake.url}/v1beta/models", params=at).json() for at in ({"pageSize": "1"}, {"pageToken": "1"})
        ]
        tags = httpx.get(f"{fake.url}/api/tags").json()
        shown = post(fake, "/api/show", {"model": "one"})
        missing = post(fake, "/api/show", {"model": "none"})
        found = httpx.get(f"{fake.url}/v1beta/models/two").json()
    assert [[model["name"] for model in page["models"]] for page in pages] == [["models/one"], ["models/two"]]
    assert [page.get("nextPageToken") for page in pages] == ["1", None]
    assert [model["name"] for model in tags["models"]] == ["one", "two"]
    assert "tools" in shown.json()["capabilities"]
    assert (missing.status_code, missing.json()) == (404, {"error": "model 'none' not found"})
    assert found["name"] == "models/two"


def test_tokens_are_counted_and_vectors_are_the_same_in_every_protocol() -> None:
    with FakeUpstream() as fake:
        counts = [
            post(fake, "/v1/responses/input_tokens", {"model": "m", "input": "Hello you"}).json()["input_tokens"],
            post(fake, "/v1beta/models/m:countTokens", {"contents": [{"parts": [{"text": "Hello you"}]}]}).json()[
                "totalTokens"
            ],
        ]
        content = {"content": {"parts": [{"text": "Hello"}]}}
        vectors = [
            post(fake, "/v1/embeddings", {"model": "m", "input": "Hello"}).json()["data"][0]["embedding"],
            post(fake, "/api/embed", {"model": "m", "input": ["Hello"]}).json()["embeddings"][0],
            post(fake, "/v1beta/models/m:embedContent", content).json()["embedding"]["values"],
            post(fake, "/v1beta/models/m:batchEmbedContents", {"requests": [content]}).json()["embeddings"][0][
                "values"
            ],
        ]
    assert counts == [2, 2]
    assert all(vector == vectors[0] for vector in vectors)
