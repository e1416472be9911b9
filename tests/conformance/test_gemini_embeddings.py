"""gemini-C38: embeddings on Gemini's face, and of its upstreams, through the gateway."""

import base64
import json
import struct
from typing import Any

import pytest

from tests.support.scripted_client import answering

from .asking import Asked, ask, error

pytestmark = pytest.mark.anyio

NUMBERS = [[0.5, -1.0], [0.25, 2.0]]
GEMINI: Any = {"embeddings": [{"values": numbers} for numbers in NUMBERS], "usageMetadata": {"promptTokenCount": 3}}
ALONE: Any = {"embedding": {"values": NUMBERS[0]}, "usageMetadata": {"promptTokenCount": 2}}
OLLAMA: Any = {"model": "m", "embeddings": NUMBERS, "prompt_eval_count": 3}
OPENAI: Any = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": n, "embedding": numbers} for n, numbers in enumerate(NUMBERS)],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
PLACE = "projects/p/locations/global"


def content(text: str) -> Any:
    return {"role": "user", "parts": [{"text": text}]}


def batch(to: str, *texts: str, **wanted: Any) -> Any:
    model = f"models/{to}/test-model"
    return {"requests": [{"model": model, "content": content(text), **wanted} for text in texts]}


async def embed(to: str, body: Any, answer: Any, verb: str = "batchEmbedContents", **more: Any) -> Asked:
    return await ask("gemini", to, {"contents": ..., **body}, answering(json.dumps(answer).encode()), verb=verb, **more)


async def embed_as(face: str, path: str, body: Any, answer: Any, **more: Any) -> Asked:
    given = {"messages": ..., **body}
    return await ask(face, "gemini", given, answering(json.dumps(answer).encode()), path=path, **more)


# --- the face ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/gemini"])
@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha", "v1beta1"])
@pytest.mark.parametrize(
    "place",
    [
        "models/chat/m",
        "tunedModels/chat/m",
        "publishers/google/models/chat/m",
        f"{PLACE}/publishers/google/models/chat/m",
        f"{PLACE}/endpoints/chat/m",
    ],
)
async def test_gemini_C38_both_verbs_are_found_under_every_path(prefix: str, version: str, place: str) -> None:
    path = f"{prefix}/{version}/{place}"
    body = {"requests": [{"content": content(text)} for text in "ab"]}
    asked = await embed("chat", body, OPENAI, path=f"{path}:batchEmbedContents", profile="lenient")
    assert [item["values"] for item in asked.json["embeddings"]] == NUMBERS
    one = {**OPENAI, "data": OPENAI["data"][:1]}
    asked = await embed("chat", {"content": content("a")}, one, path=f"{path}:embedContent", profile="lenient")
    assert asked.json["embedding"] == {"values": NUMBERS[0]}


async def test_gemini_C38_batch_of_two_is_an_input_list_of_openai() -> None:
    asked = await embed("chat", batch("chat", "a", "b", outputDimensionality=2), OPENAI, profile="lenient")
    assert asked.sent == {"input": ["a", "b"], "model": "test-model", "dimensions": 2}
    assert asked.json == GEMINI
    record = asked.records[0]
    assert (record.operation, record.usage and record.usage.input_total) == ("embed", 3)


async def test_gemini_C38_packed_vectors_are_read() -> None:
    packed = [base64.b64encode(struct.pack("<2f", *numbers)).decode() for numbers in NUMBERS]
    data = [{**item, "embedding": text} for item, text in zip(OPENAI["data"], packed, strict=True)]
    asked = await embed("chat", batch("chat", "a", "b"), {**OPENAI, "data": data}, profile="openai")
    assert asked.sent["encoding_format"] == "base64"
    assert [item["values"] for item in asked.json["embeddings"]] == NUMBERS


async def test_gemini_C38_one_content_of_several_texts_is_one_text() -> None:
    body = {"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "output_dimensionality": 2}
    asked = await embed("ollama", body, {**OLLAMA, "embeddings": NUMBERS[:1]}, "embedContent")
    assert asked.sent == {"model": "test-model", "input": ["ab"], "truncate": False, "dimensions": 2}
    assert asked.json == {"embedding": {"values": NUMBERS[0]}, "usageMetadata": {"promptTokenCount": 3}}


async def test_gemini_C38_task_and_title_have_no_twin_and_are_told() -> None:
    wanted = {"taskType": "retrieval_document", "title": "t"}
    asked = await embed("ollama", batch("ollama", "a", "b", **wanted), OLLAMA)
    assert asked.notices == {
        "requests[0].title": "lost", "requests[0].taskType": "lost",
        "requests[1].title": "lost", "requests[1].taskType": "lost",
    }  # fmt: skip


async def test_gemini_C38_settings_of_vertex_are_read_as_well() -> None:
    config = {"taskType": "CLUSTERING", "outputDimensionality": 2, "autoTruncate": True, "documentOcr": True}
    body = {"content": content("a"), "embedContentConfig": config}
    asked = await embed("ollama", body, {**OLLAMA, "embeddings": NUMBERS[:1]}, "embedContent")
    assert asked.sent == {"model": "test-model", "input": ["a"], "truncate": True, "dimensions": 2}
    assert asked.notices == {"embedContentConfig.documentOcr": "lost", "content.taskType": "lost"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "requests"),
        ({"requests": []}, "requests"),
        ({"requests": "x"}, "requests"),
        ({"requests": ["x"]}, "requests[0]"),
        ({"requests": [{}]}, "requests[0].content"),
        ({"requests": [{"content": {"parts": []}}]}, "requests[0].content.parts"),
        ({"requests": [{"content": {"parts": [{"text": 1}]}}]}, "requests[0].content.parts[0].text"),
        ({"requests": [{"content": content("a"), "outputDimensionality": 0}]}, "requests[0].outputDimensionality"),
        ({"requests": [{"content": content("a"), "model": "models/other"}]}, "requests[0].model"),
        (
            {"requests": [{"content": content("a"), "title": "t", "autoTruncate": "yes"}]},
            "requests[0].autoTruncate",
        ),
        ({"requests": [{"content": {"parts": [{"inlineData": {}}]}}]}, "requests[0].content.parts[0].inlineData"),
        ({"requests": [{"content": {"parts": [{}]}}]}, "requests[0].content.parts[0]"),
        ({"requests": [{"content": {"novel": 1, "parts": [{"text": "a"}]}}]}, "requests[0].content.novel"),
        (
            {"requests": [{"content": content("a")}, {"content": content("b"), "outputDimensionality": 2}]},
            "requests[1].outputDimensionality",
        ),
    ],
)
async def test_odd_batches_are_refused_by_name(body: Any, param: str) -> None:
    asked = await embed("chat", body, OPENAI)
    assert asked.answer.status == 400
    assert asked.json["error"]["status"] == "INVALID_ARGUMENT"
    fields = [
        violation["field"]
        for detail in asked.json["error"].get("details", [])
        for violation in detail.get("fieldViolations", [])
    ]
    assert fields == [param]
    assert asked.upstream.calls == []


# --- relayed ----------------------------------------------------------------------------------------------------------


async def test_batch_within_the_protocol_is_relayed_for_the_upstreams_model() -> None:
    body = {**batch("gemini", "a", "b", taskType="CLUSTERING", novel=1), "more": [1]}
    asked = await embed("gemini", body, GEMINI)
    sent = batch("gemini", "a", "b", taskType="CLUSTERING", novel=1)["requests"]
    assert asked.sent == {"requests": [{**item, "model": "models/test-model"} for item in sent], "more": [1]}
    assert asked.upstream.calls[-1].request.url.endswith("/v1beta/models/test-model:batchEmbedContents")
    assert (asked.json, asked.records[0].mode) == (GEMINI, "relay")
    assert asked.records[0].usage is not None
    assert asked.records[0].usage.input_total == 3


async def test_single_content_within_the_protocol_is_relayed() -> None:
    asked = await embed("gemini", {"model": "models/gemini/test-model", "content": content("a")}, ALONE, "embedContent")
    assert asked.sent == {"content": content("a")}
    assert asked.upstream.calls[-1].request.url.endswith(":embedContent")
    assert (asked.json, asked.records[0].mode) == (ALONE, "relay")


@pytest.mark.parametrize(
    "body",
    [
        {"requests": [{"content": content("a"), "model": "models/other"}]},
        {"requests": ["x"]},
        {**batch("gemini", "a"), "api_base": "http://evil"},
    ],
)
async def test_relayed_batch_that_is_for_another_model_or_would_steer_is_refused(body: Any) -> None:
    asked = await embed("gemini", body, GEMINI)
    assert (asked.answer.status, asked.upstream.calls) == (400, [])


# --- its upstreams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_gemini_C38_input_list_of_openai_is_a_batch_of_two(form: str) -> None:
    body = {"input": ["a", "b"], "dimensions": 2, "encoding_format": form}
    asked = await embed_as("chat", "/v1/embeddings", body, GEMINI)
    requests = [
        {"model": "models/test-model", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2}
        for text in "ab"
    ]
    assert asked.sent == {"requests": requests}
    assert asked.upstream.calls[-1].request.url.endswith("/v1beta/models/test-model:batchEmbedContents")
    told = [item["embedding"] for item in asked.json["data"]]
    if form == "base64":
        told = [list(struct.unpack("<2f", base64.b64decode(text))) for text in told]
    assert told == NUMBERS
    assert asked.json["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_gemini_C38_one_text_is_one_content() -> None:
    asked = await embed_as("chat", "/v1/embeddings", {"input": "a", "user": "u"}, ALONE)
    assert asked.sent == {"content": {"parts": [{"text": "a"}]}}
    assert asked.upstream.calls[-1].request.url.endswith(":embedContent")
    assert [item["embedding"] for item in asked.json["data"]] == NUMBERS[:1]
    assert asked.notices == {"user": "hint"}


async def test_gemini_C38_ollamas_caller_is_answered() -> None:
    asked = await embed_as("ollama", "/api/embed", {"input": ["a", "b"], "truncate": True}, GEMINI)
    assert (asked.json["embeddings"], asked.json["prompt_eval_count"]) == (NUMBERS, 3)
    assert asked.notices == {"truncate": "lost"}


@pytest.mark.parametrize(("asked_for", "told"), [({}, False), ({"truncate": True}, True)])
async def test_vertex_is_told_whether_to_cut(asked_for: Any, told: bool) -> None:
    asked = await embed_as("ollama", "/api/embed", {"input": "a", **asked_for}, ALONE, profile="vertex")
    assert asked.sent == {"content": {"parts": [{"text": "a"}]}, "autoTruncate": told}


async def test_tokens_are_not_text() -> None:
    asked = await embed_as("chat", "/v1/embeddings", {"input": [1, 2]}, ALONE)
    assert (asked.answer.status, asked.json["error"]["param"]) == (400, "input")


async def test_what_stands_beside_a_vector_is_told_of() -> None:
    vectors = [{"values": numbers, "statistics": {"tokenCount": 1}} for numbers in NUMBERS]
    asked = await embed_as("chat", "/v1/embeddings", {"input": ["a", "b"]}, {"embeddings": vectors, "novel": 1})
    assert asked.notices == {"novel": "hint", "vectors[].statistics": "hint"}


@pytest.mark.parametrize(
    "answer",
    [{}, {"embeddings": []}, {"embedding": {}}, {"embeddings": [{"values": "x"}] * 2}, {"embeddings": [{}, {}]}],
)
async def test_answer_without_vectors_is_none(answer: Any) -> None:
    asked = await embed_as("chat", "/v1/embeddings", {"input": ["a", "b"]}, answer)
    assert asked.answer.status == 502


async def test_refusal_of_the_vendor_is_native_to_the_caller() -> None:
    refusal = {"error": {"code": 400, "message": "Too long.", "status": "INVALID_ARGUMENT"}}
    asked = await ask("chat", "gemini", {"messages": ..., "input": "a"}, error(400, refusal), path="/v1/embeddings")
    assert (asked.answer.status, asked.json["error"]["message"]) == (400, "Too long.")
