"""The official OpenAI SDK, sync and async, against a gateway in a real server."""

import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from asgi_ds2api.testing import Script

from .conftest import Stage

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 60).decode()
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(stage: Stage) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def test_completion_parses_and_carries_its_request_id(stage: Stage, client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=stage.model, messages=HELLO)
    completion = raw.parse()
    assert completion.choices[0].message.content is not None
    assert completion.choices[0].message.content.startswith('You said: "Hello".')
    assert completion.choices[0].finish_reason == "stop"
    assert completion._request_id == raw.headers["x-request-id"]
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_openai_C03_streamed_completion_equals_the_whole_one(stage: Stage, client: OpenAI) -> None:
    asked: Any = {"model": stage.model, "messages": HELLO}
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert len(deltas) > 1
    assert "".join(deltas) == final.choices[0].message.content == whole.choices[0].message.content
    assert (final.usage, final.choices[0].finish_reason) == (whole.usage, whole.choices[0].finish_reason)


def test_openai_C02_no_usage_comes_unasked(stage: Stage, client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=stage.model, messages=HELLO, stream=True))
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_go_round(stage: Stage, client: OpenAI, streamed: bool) -> None:
    asked: Any = {"model": stage.model, "tools": [WEATHER]}
    question: Any = [{"role": "user", "content": "What is the weather?"}]
    if streamed:
        with client.chat.completions.stream(**asked, messages=question) as stream:
            stream.until_done()
            first: Any = stream.get_final_completion()
    else:
        first = client.chat.completions.create(**asked, messages=question)
    assert first.choices[0].finish_reason == "tool_calls"
    (call,) = first.choices[0].message.tool_calls
    assert (call.function.name, '"city"' in call.function.arguments) == ("get_weather", True)
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees and rain"}
    turns = [*question, first.choices[0].message.to_dict(), result]
    answer = client.chat.completions.create(**asked, messages=turns)
    assert "12 degrees and rain" in (answer.choices[0].message.content or "")


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_C06_parallel_tools_keep_their_ids_and_names(stage: Stage, client: OpenAI, streamed: bool) -> None:
    stage.play(Script.tool_calls(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Lima"}), text="Both."))
    asked: Any = {"model": stage.model, "tools": [WEATHER], "messages": HELLO}
    if streamed:
        with client.chat.completions.stream(**asked) as stream:
            stream.until_done()
            completion: Any = stream.get_final_completion()
    else:
        completion = client.chat.completions.create(**asked)
    message = completion.choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_weather"]
    assert ["Oslo" in message.tool_calls[0].function.arguments, "Lima" in message.tool_calls[1].function.arguments] == [
        True,
        True,
    ]
    assert len({call.id for call in message.tool_calls}) == 2
    assert message.content == "Both."


def test_image_reaches_the_upstream(stage: Stage, client: OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    turns: Any = [{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}]
    completion = client.chat.completions.create(model=stage.model, messages=turns)
    assert "image/png" in (completion.choices[0].message.content or "")


ERRORS = [
    (400, openai.BadRequestError, 400),
    (401, openai.InternalServerError, 502),
    (403, openai.InternalServerError, 502),
    (404, openai.NotFoundError, 404),
    (429, openai.RateLimitError, 429),
    (500, openai.InternalServerError, 502),
    (503, openai.InternalServerError, 503),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("sent", "class_", "status"), ERRORS, ids=lambda value: str(value))
def test_openai_C58_error_is_the_sdks_own(
    stage: Stage, client: OpenAI, sent: int, class_: type[openai.APIStatusError], status: int, streamed: bool
) -> None:
    stage.play(Script.error(sent) * 3)
    with pytest.raises(class_) as caught:
        client.chat.completions.create(model=stage.model, messages=HELLO, stream=streamed)
    error = caught.value
    assert error.status_code == status
    assert error.type
    assert error.request_id == error.response.headers["x-request-id"]


def test_openai_C59_wait_of_the_upstream_is_obeyed_by_the_sdk(stage: Stage) -> None:
    stage.play(Script.error(429, retry_after_s=1) * 2)
    with OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=1) as client:
        completion = client.chat.completions.create(model=stage.model, messages=HELLO)
    assert completion.choices[0].finish_reason == "stop"
    first, second = stage.records.wait(2)
    assert (first.status, second.status) == (429, 200)


def test_openai_C59_upstreams_401_is_no_401_and_is_not_repeated(stage: Stage) -> None:
    stage.play(Script.error(401) * 4)
    with (
        OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=2) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.chat.completions.create(model=stage.model, messages=HELLO)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(stage.records.wait(1)) == 1


def test_openai_C16_cut_stream_raises(stage: Stage, client: OpenAI) -> None:
    text = "one two three four five six seven eight nine ten " * 20
    stage.play(Script.cut(after=4_000, of=Script.text(text)))
    chunks: list[Any] = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(client.chat.completions.create(model=stage.model, messages=HELLO, stream=True))
    got = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert caught.value.code
    assert got
    assert text.startswith(got)


@pytest.mark.anyio
async def test_async_client_leaves_and_the_upstream_is_closed(stage: Stage) -> None:
    stage.play(Script.hang(after=4_000, of=Script.text("one two three four five six seven " * 30)))
    async with AsyncOpenAI(base_url=f"{stage.url}/v1", api_key="any") as client:
        stream = await client.chat.completions.create(model=stage.model, messages=HELLO, stream=True)
        async for _ in stream:
            break
        await stream.close()
    await stage.fake.wait_closed()
    assert stage.fake.open_connections == 0


def test_models_are_listed_and_found(stage: Stage, client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == []
    found = client.models.retrieve(f"{stage.model.partition('/')[0]}/org/model:free")
    assert found.id.endswith("/org/model:free")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody-serves-this")
    assert caught.value.code == "model_not_found"
