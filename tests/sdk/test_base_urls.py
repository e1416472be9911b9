"""Base URLs as each vendor's SDK joins them, with the vendor's family in front and without it."""

import json

import pytest
from anthropic import Anthropic
from openai import AzureOpenAI, OpenAI

from .conftest import Stage


@pytest.mark.parametrize("base", ["", "/v1", "/openai", "/openai/v1"])
def test_openai_sdk_finds_its_paths(stage: Stage, base: str) -> None:
    with OpenAI(base_url=f"{stage.url}{base}", api_key="any", max_retries=0) as client:
        completion = client.chat.completions.create(model=stage.model, messages=[{"role": "user", "content": "Hello"}])
        assert completion.object == "chat.completion"
        assert client.models.retrieve(stage.model).object == "model"


@pytest.mark.parametrize("base", ["", "/anthropic"])
def test_anthropic_sdk_finds_its_paths(stage: Stage, base: str) -> None:
    with Anthropic(base_url=f"{stage.url}{base}", api_key="any", max_retries=0) as client:
        asked = [{"role": "user", "content": "Hello"}]
        message = client.messages.create(model=stage.model, max_tokens=50, messages=asked)  # type: ignore[arg-type]  # a plain dict
        assert message.type == "message"
        assert client.models.retrieve(stage.model).type == "model"


def test_model_list_under_a_family_is_that_of_its_vendor(stage: Stage) -> None:
    with Anthropic(base_url=f"{stage.url}/openai", api_key="any", max_retries=0) as client:
        told = client.models.with_raw_response.list()
    assert json.loads(told.text())["object"] == "list"


@pytest.mark.parametrize("stream", [False, True])
def test_others_C32_azure_sdk_names_the_model_in_the_path(stage: Stage, stream: bool) -> None:
    with AzureOpenAI(azure_endpoint=stage.url, api_version="2024-10-21", api_key="any", max_retries=0) as client:
        asked = client.chat.completions.create(
            model=stage.model, messages=[{"role": "user", "content": "Hello"}], stream=stream
        )
        said = "".join(c.choices[0].delta.content or "" for c in asked) if stream else asked.choices[0].message.content  # type: ignore[union-attr]  # told apart by stream
    assert said is not None
    assert said.startswith('You said: "Hello".')
    assert stage.records.wait(1)[0].model == stage.model


def test_others_C32_deployment_in_the_path_wins_over_the_body(stage: Stage) -> None:
    with AzureOpenAI(
        base_url=f"{stage.url}/openai/deployments/{stage.model}",
        api_version="2024-10-21",
        api_key="any",
        max_retries=0,
    ) as client:
        client.chat.completions.create(model="another", messages=[{"role": "user", "content": "Hello"}])
        body: dict[str, object] = {"messages": [{"role": "user", "content": "Hello"}]}
        answer = client.post("/chat/completions", body=body, cast_to=object)
    assert answer is not None
    assert [record.model for record in stage.records.wait(2)] == [stage.model, stage.model]
