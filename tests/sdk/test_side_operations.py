"""Embeddings and legacy completions by the official OpenAI SDK, against a gateway in a real server."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

import ollama
import openai
import pytest
from google.genai import errors, types
from openai import AzureOpenAI, OpenAI

from asgi_ds2api import Gateway
from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.gateways import Records
from tests.support.sdk_google import google_client
from tests.support.serving import serve

from .conftest import Stage


@pytest.fixture(params=["openai", "lenient"])
def vectors(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A gateway in front of OpenAI, which it relays to, or of a look-alike, which it translates for."""
    with FakeUpstream() as fake:
        records = Records()
        upstream = {
            "name": "chat",
            "protocol": "openai_chat",
            "base_url": f"{fake.url}/v1",
            "profile": request.param,
            "accounts": [{"label": "a", "key": lambda: "key-of-account-one-0123"}],
        }
        gateway = Gateway({"auth": "none", "upstreams": [upstream]}, hooks=[records])
        with serve(gateway) as served:
            yield Stage(url=served.url, fake=fake, records=records, model="chat/embed-1")


def client_of(stage: Stage) -> OpenAI:
    return OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0)


def test_openai_C60_vectors_come_as_floats_whether_or_not_they_were_packed(vectors: Stage) -> None:
    texts = ["The food was delicious", "and the waiter", "The food was delicious"]
    with client_of(vectors) as client:
        packed = client.embeddings.create(model=vectors.model, input=texts)  # asks for base64 by itself
        plain = client.embeddings.create(model=vectors.model, input=texts, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1, 2]
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert packed.data[0].embedding == packed.data[2].embedding != packed.data[1].embedding
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 11
    assert [record.operation for record in vectors.records.wait(2)] == ["embed", "embed"]
    assert [record.usage.input_total for record in vectors.records if record.usage] == [11, 11]


def test_openai_C60_strict_caller_gets_the_form_it_asks_for(vectors: Stage) -> None:
    with client_of(vectors) as client:
        asked = {"model": vectors.model, "input": "hello", "encoding_format": "base64", "dimensions": 4}
        raw = client.post("/embeddings", body=asked, cast_to=dict[str, object])
        plain = client.embeddings.create(model=vectors.model, input="hello", encoding_format="float", dimensions=4)
    data = raw["data"]
    assert isinstance(data, list)
    assert list(struct.unpack("<4f", base64.b64decode(data[0]["embedding"]))) == plain.data[0].embedding


@pytest.mark.parametrize("given", ["text", ["one"], ["one", "two"], [1, 2, 3], [[1, 2], [3]]])
def test_every_form_of_input_reaches_the_upstream(vectors: Stage, given: str | list[str]) -> None:
    with client_of(vectors) as client:
        answer = client.embeddings.create(model=vectors.model, input=given)
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    assert len(answer.data) == count
    sent = vectors.fake.requests[0].json
    assert isinstance(sent, dict)
    assert sent["input"] in (given, [given])


def test_upstreams_refusal_is_native(vectors: Stage) -> None:
    with client_of(vectors) as client, pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=vectors.model, input=["fine", ""])
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


@pytest.mark.parametrize("stage", ["claude"], indirect=True)
def test_model_of_an_upstream_without_embeddings_is_refused_by_name(stage: Stage) -> None:
    with client_of(stage) as client, pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=stage.model, input="hello")
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "model")
    assert not stage.fake.requests


def test_gemini_C38_googles_sdk_gets_the_same_vectors_as_openais(vectors: Stage) -> None:
    texts = ["The food was delicious", "and the waiter"]
    wanted = types.EmbedContentConfig(output_dimensionality=4)
    with google_client(vectors.url) as google, client_of(vectors) as client:
        asked = google.models.embed_content(model=vectors.model, contents=list(texts), config=wanted)
        plain = client.embeddings.create(model=vectors.model, input=texts, dimensions=4, encoding_format="float")
    assert asked.embeddings is not None
    assert [item.values for item in asked.embeddings] == [item.embedding for item in plain.data]
    assert asked.usage_metadata is not None
    assert asked.usage_metadata.prompt_token_count == plain.usage.prompt_tokens


def test_gemini_C38_googles_sdk_raises_its_own_error(vectors: Stage) -> None:
    with google_client(vectors.url) as google, pytest.raises(errors.ClientError) as caught:
        google.models.embed_content(model=vectors.model, contents=["fine", ""])
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


# --- legacy completions -----------------------------------------------------------------------------------------------

SAID = 'You said: "Say this". I am '


def test_openai_C2_completion_is_parsed(stage: Stage) -> None:
    with client_of(stage) as client:
        told = client.completions.create(model=stage.model, prompt="Say this", max_tokens=50)
    assert (told.object, told.choices[0].index, told.choices[0].finish_reason) == ("text_completion", 0, "stop")
    assert told.choices[0].text.startswith(SAID)
    assert told.usage is not None
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens


def limit_of(sent: dict[str, Any]) -> object:
    """Return how many tokens an upstream of any protocol was told that its answer may have."""
    places = (sent, sent.get("generationConfig", {}), sent.get("options", {}))
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")
    (limit,) = [place[name] for place in places for name in names if name in place]
    return limit


def test_openai_C2_default_limit_is_the_vendors(stage: Stage) -> None:
    with client_of(stage) as client:
        client.completions.create(model=stage.model, prompt="Say this")
    sent = stage.fake.requests[0].json
    assert isinstance(sent, dict)
    assert limit_of(sent) == 16


def test_openai_C2_streamed_completion_equals_the_whole_one(stage: Stage) -> None:
    with client_of(stage) as client:
        whole = client.completions.create(model=stage.model, prompt="Say this", echo=True, max_tokens=50)
        chunks = list(
            client.completions.create(
                model=stage.model,
                prompt="Say this",
                echo=True,
                max_tokens=50,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    pieces = [chunk.choices[0].text for chunk in chunks[:-1]]
    assert len(pieces) > 2
    assert "".join(pieces) == whole.choices[0].text
    assert whole.choices[0].text.startswith("Say this" + SAID)
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)


@pytest.mark.parametrize("stream", [False, True])
def test_openai_C2_prompts_are_answered_in_their_order(stage: Stage, stream: bool) -> None:
    prompts = ["one", "two", "three"]
    texts = ["", "", ""]
    with client_of(stage) as client:
        told = client.completions.create(model=stage.model, prompt=prompts, stream=stream, max_tokens=50)
        for completion in told if stream else [told]:
            for choice in completion.choices:  # type: ignore[union-attr]  # told apart by stream
                texts[choice.index] += choice.text
    assert [text.startswith(f'You said: "{prompt}".') for text, prompt in zip(texts, prompts, strict=True)] == [
        True
    ] * 3
    assert len(stage.fake.requests) == 3


def test_openai_C2_refusal_is_the_sdks_own_error(stage: Stage) -> None:
    with client_of(stage) as client, pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=stage.model, prompt="def f():", suffix="return 1")
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "suffix")


def test_openai_C2_cut_stream_raises(stage: Stage) -> None:
    stage.play(Script.cut(after=3))
    with client_of(stage) as client, pytest.raises(openai.APIError):
        list(client.completions.create(model=stage.model, prompt="x", stream=True))


def test_others_C32_azure_sdk_asks_side_operations_of_a_deployment(vectors: Stage) -> None:
    with AzureOpenAI(azure_endpoint=vectors.url, api_version="2024-10-21", api_key="any", max_retries=0) as client:
        assert len(client.embeddings.create(model=vectors.model, input=["a", "b"]).data) == 2
        told = client.completions.create(model=vectors.model, prompt="Say this", max_tokens=50)
    assert told.choices[0].text.startswith(SAID)


def test_others_C11_ollamas_sdk_gets_vectors_by_both_paths(vectors: Stage) -> None:
    with ollama.Client(vectors.url) as client:
        batch = client.embed(vectors.model, ["a", "b"])
        single = client.embeddings(vectors.model, "a")
    assert [len(vector) > 1 for vector in batch.embeddings] == [True, True]
    assert list(single.embedding) == list(batch.embeddings[0])
