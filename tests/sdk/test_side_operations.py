"""Embeddings by the official OpenAI SDK, against a gateway in a real server."""

import base64
import struct
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from asgi_ds2api import Gateway
from asgi_ds2api.testing import FakeUpstream
from tests.support.gateways import Records
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
