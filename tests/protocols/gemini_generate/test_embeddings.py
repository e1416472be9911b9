"""Gemini's embeddings: encoded again for the protocol, a request and an answer are what came."""

import json
from typing import Any

import pytest

from asgi_ds2api.canonical import Notices
from asgi_ds2api.codec import Envelope, HTTPCall, RequestLimits
from asgi_ds2api.errors import MalformedRequest
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols.gemini_generate import embeddings

GEMINI = PROFILES["gemini"]
WANTED = {"taskType": "CLUSTERING", "title": "t", "outputDimensionality": 3}


def call(verb: str, body: Any, model: str = "m") -> HTTPCall:
    return HTTPCall(method="POST", path=f"/v1beta/models/{model}:{verb}", body=json.dumps(body).encode())


def again(verb: str, body: Any, profile: Any = GEMINI) -> tuple[str, Any, Notices]:
    notices = Notices()
    request = embeddings.decode_embeddings_request(call(verb, body))
    sent = embeddings.encode_embeddings_request(request, profile, notices)
    return sent.path.rpartition(":")[2], json.loads(sent.body), notices


def content(text: str) -> Any:
    return {"parts": [{"text": text}]}


def test_single_content_comes_out_as_it_went_in() -> None:
    body = {"content": content("a"), **WANTED, "novel": {"x": 1}}
    assert again("embedContent", body) == ("embedContent", body, [])


def test_batch_comes_out_as_it_went_in() -> None:
    body = {
        "requests": [{"model": "models/m", "content": content(text), **WANTED, "novel": text} for text in "ab"],
        "more": 1,
    }
    assert again("batchEmbedContents", body) == ("batchEmbedContents", body, [])


def test_every_spelling_is_read_and_one_is_written() -> None:
    body = {"content": "a", "embed_content_config": {"task_type": "clustering", "documentOcr": True}, "title": None}
    verb, sent, _ = again("embedContent", body)
    assert (verb, sent) == (
        "embedContent",
        {"content": content("a"), "taskType": "CLUSTERING", "embedContentConfig": {"documentOcr": True}},
    )


def test_what_would_steer_is_not_sent() -> None:
    _, sent, notices = again("embedContent", {"content": content("a"), "api_base": "http://evil"})
    assert (sent, [notice.path for notice in notices]) == ({"content": content("a")}, ["api_base"])


def test_batch_over_the_limit_is_refused() -> None:
    body = {"requests": [{"content": content("a")}] * 3}
    with pytest.raises(MalformedRequest) as caught:
        embeddings.decode_embeddings_request(call("batchEmbedContents", body), RequestLimits(max_inputs=2))
    assert (caught.value.code, caught.value.param) == ("array_above_max_length", "requests")
    parts = {"content": {"parts": [{"text": "a"}] * 3}}
    with pytest.raises(MalformedRequest) as caught:
        embeddings.decode_embeddings_request(call("embedContent", parts), RequestLimits(max_parts=2))
    assert caught.value.param == "content.parts"


@pytest.mark.parametrize("name", ["models/up/m", "tunedModels/up/m", "publishers/google/models/up/m", "up/m"])
def test_model_of_a_request_is_that_of_the_path(name: str) -> None:
    body = {"requests": [{"model": name, "content": content("a")}]}
    read = embeddings.decode_embeddings_request(call("batchEmbedContents", body, "up/m"))
    assert read.model == "up/m"


@pytest.mark.parametrize(
    "answer",
    [
        {"embeddings": [{"values": [0.5], "statistics": {"tokenCount": 1}}, {"values": [1.0]}]},
        {"embeddings": [{"values": [0.5]}], "novel": {"x": 1}},
    ],
)
def test_answer_comes_out_as_it_went_in(answer: Any) -> None:
    told = {**answer, "usageMetadata": {"promptTokenCount": 3, "promptTokensDetails": [{"tokenCount": 3}]}}
    read = embeddings.decode_embeddings(json.dumps(told).encode(), GEMINI)
    written = embeddings.encode_embeddings(read, Envelope(model="m", operation="embed"), Notices())
    assert json.loads(written) == told
