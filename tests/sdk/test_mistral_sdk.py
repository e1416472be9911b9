"""Mistral's official SDK, sync and async, against a gateway in a real server; and Mistral as every SDK's upstream."""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google.genai import types
from mistralai.client import Mistral
from mistralai.client.errors import ResponseValidationError, SDKError
from mistralai.client.models import CompletionChunk, ToolCall
from mistralai.client.utils.retries import BackoffStrategy, RetryConfig

from asgi_ds2api import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.gateways import Records
from tests.support.sdk_google import google_client
from tests.support.serving import serve

from .conftest import Stage

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PIXEL = b"\x89PNG\r\n\x1a\n" + b"x" * 60
DATA = base64.b64encode(PIXEL).decode()
URL = f"data:image/png;base64,{DATA}"
HELLO: Any = [{"role": "user", "content": "Hello"}]
LONG = "one two three four five six seven eight nine ten " * 20


@pytest.fixture
def client(stage: Stage) -> Iterator[Mistral]:
    with Mistral(api_key="any", server_url=stage.url) as made:
        yield made


def chunks_of(client: Mistral, stage: Stage, said: list[CompletionChunk] | None = None, **asked: Any) -> list[Any]:
    """Read a stream to its end; ``said`` takes the chunks as they come."""
    said = [] if said is None else said
    with client.chat.stream(**{"model": stage.model, "messages": HELLO, **asked}) as stream:
        said.extend(event.data for event in stream)
    return said


def text_of(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_streamed_answer_equals_the_whole_one_and_tells_its_usage(stage: Stage, client: Mistral) -> None:
    whole = client.chat.complete(model=stage.model, messages=HELLO)
    chunks = chunks_of(client, stage)
    message = whole.choices[0].message
    assert message is not None
    assert text_of(chunks) == message.content
    assert str(message.content).startswith('You said: "Hello".')
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert whole.choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == len(str(message.content).split())
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_go_round(stage: Stage, client: Mistral, streamed: bool) -> None:
    question: Any = [{"role": "user", "content": "What is the weather in both places?"}]
    asked: Any = {"model": stage.model, "tools": [WEATHER]}
    calls: list[ToolCall] = []
    if streamed:
        for chunk in chunks_of(client, stage, **asked, messages=question):
            calls += [call for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        finish = chunk.choices  # the usage has none
        assert finish == []
    else:
        choice = client.chat.complete(**asked, messages=question).choices[0]
        assert choice.message is not None
        calls += choice.message.tool_calls or []
        assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in calls] == ["get_weather", "get_weather"]
    assert len({call.id for call in calls}) == 2
    results = [
        {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": f"{n} degrees"}
        for n, call in enumerate(calls)
    ]
    turns = [*question, {"role": "assistant", "content": "", "tool_calls": calls}, *results]
    if streamed:
        said = text_of(chunks_of(client, stage, **asked, messages=turns))
    else:
        answer = client.chat.complete(**asked, messages=turns).choices[0].message
        said = str(answer.content) if answer else ""
    assert '"0 degrees"' in said
    assert '"1 degrees"' in said


def test_call_streams_in_one_chunk_though_the_upstream_cut_it(stage: Stage, client: Mistral) -> None:
    """The SDK raises at a fragment without a name, and OpenAI names a call once."""
    stage.play(Script.tool_calls(("get_weather", {"city": "São Paulo", "days": "one two three"}), ("now", {})))
    chunks = chunks_of(client, stage, tools=[WEATHER])
    calls = [choice.delta.tool_calls for chunk in chunks for choice in chunk.choices if choice.delta.tool_calls]
    told = [[(call.index, call.function.name, call.function.arguments) for call in of_chunk] for of_chunk in calls]
    ((first,), (second,)) = told
    assert first[:2] == (0, "get_weather")
    assert second == (1, "now", "{}")


def test_picture_is_seen(stage: Stage, client: Mistral) -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": URL}]
    turns: Any = [{"role": "user", "content": content}]
    message = client.chat.complete(model=stage.model, messages=turns).choices[0].message
    assert message is not None
    assert "I see an image: image/png, 68 bytes." in str(message.content)


ERRORS = [(400, 400), (401, 502), (404, 404), (429, 429), (500, 502), (503, 503), (529, 503)]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("sent", "status"), ERRORS)
def test_error_is_the_sdks_own(stage: Stage, client: Mistral, sent: int, status: int, streamed: bool) -> None:
    stage.play(Script.error(sent, "these words") * 3)
    ask: Any = client.chat.stream if streamed else client.chat.complete
    with pytest.raises(SDKError) as caught:
        ask(model=stage.model, messages=HELLO)
    assert caught.value.status_code == status
    assert sent != 400 or "these words" in caught.value.body


def test_cut_stream_raises_after_what_was_said(stage: Stage, client: Mistral) -> None:
    """An error in a stream is no chunk to this SDK: it says so, and shows the error."""
    stage.play(Script.cut(after=4_000, of=Script.text(LONG)))
    said: list[CompletionChunk] = []
    with pytest.raises(ResponseValidationError) as caught:
        chunks_of(client, stage, said)
    assert text_of(said)
    assert LONG.startswith(text_of(said))
    assert "upstream_truncated" in caught.value.body


def test_sdk_asks_again_where_it_may(stage: Stage) -> None:
    stage.play(Script.error(500) * 3)
    backoff = BackoffStrategy(initial_interval=1, max_interval=2, exponent=1, max_elapsed_time=5_000)
    with Mistral(
        api_key="any", server_url=stage.url, retry_config=RetryConfig("backoff", backoff, retry_connection_errors=False)
    ) as client:
        answer = client.chat.complete(model=stage.model, messages=HELLO)
    assert answer.choices[0].finish_reason == "stop"
    assert [record.status for record in stage.records.wait(2)] == [502, 200]


def test_key_of_nobody_is_refused(stage: Stage) -> None:
    callers = [{"label": "app", "key": Secret("key-of-the-caller-app-0123")}]
    table = {"name": "chat", "protocol": "openai_chat", "base_url": stage.fake.url}
    with (
        serve(Gateway({"callers": callers, "upstreams": [table]})) as served,
        Mistral(api_key="key-of-nobody", server_url=served.url) as client,
        pytest.raises(SDKError) as caught,
    ):
        client.chat.complete(model="chat/m", messages=HELLO)
    assert caught.value.status_code == 401
    assert "key-of-nobody" not in caught.value.body


def test_models_are_listed(stage: Stage, client: Mistral) -> None:
    assert client.models.list().data == []


@pytest.mark.anyio
async def test_async_client_reads_the_same(stage: Stage) -> None:
    async with Mistral(api_key="any", server_url=stage.url) as client:
        async with await client.chat.stream_async(model=stage.model, messages=HELLO) as stream:
            said = text_of([event.data async for event in stream])
        whole = await client.chat.complete_async(model=stage.model, messages=HELLO)
    assert whole.choices[0].message is not None
    assert said == whole.choices[0].message.content


# --- Mistral as the upstream ------------------------------------------------------------------------------------------


@pytest.fixture
def mistral() -> Iterator[Stage]:
    """A gateway in front of what passes for Mistral."""
    with FakeUpstream() as fake:
        records = Records()
        upstream = {
            "name": "mistral",
            "protocol": "openai_chat",
            "profile": "mistral",
            "base_url": f"{fake.url}/v1",
            "accounts": [{"label": "a", "key": lambda: "key-of-account-one-0123"}],
        }
        with serve(Gateway({"auth": "none", "upstreams": [upstream]}, hooks=[records])) as served:
            yield Stage(url=served.url, fake=fake, records=records, model="mistral/mistral-small-2503")


def by_mistral(stage: Stage) -> str:
    content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": URL}}]
    with Mistral(api_key="any", server_url=stage.url) as client:
        turns: Any = [{"role": "user", "content": content}]
        message = client.chat.complete(model=stage.model, messages=turns).choices[0].message
        return str(message.content) if message else ""


def by_chat(stage: Stage) -> str:
    content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": URL}}]
    with openai.OpenAI(base_url=f"{stage.url}/v1", api_key="any") as client:
        answer = client.chat.completions.create(
            model=stage.model, messages=[{"role": "user", "content": content}], seed=7, user="u", logit_bias={"1": 1},
            max_completion_tokens=100,
        )  # fmt: skip
        return answer.choices[0].message.content or ""


def by_responses(stage: Stage) -> str:
    content: Any = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": URL}]
    with openai.OpenAI(base_url=f"{stage.url}/v1", api_key="any") as client:
        return client.responses.create(model=stage.model, input=[{"role": "user", "content": content}]).output_text


def by_claude(stage: Stage) -> str:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
    turns: Any = [{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}]
    with anthropic.Anthropic(base_url=stage.url, api_key="any") as client:
        message = client.messages.create(model=stage.model, max_tokens=100, messages=turns)
    return "".join(block.text for block in message.content if block.type == "text")


def by_gemini(stage: Stage) -> str:
    with google_client(stage.url) as client:
        contents: Any = [types.Part.from_bytes(data=PIXEL, mime_type="image/png"), "What is this?"]
        return client.models.generate_content(model=stage.model, contents=contents).text or ""


def by_ollama(stage: Stage) -> str:
    with ollama.Client(f"{stage.url}/ollama") as client:
        turns = [{"role": "user", "content": "What is this?", "images": [DATA]}]
        return client.chat(stage.model, messages=turns).message.content or ""


SDKS = [by_mistral, by_chat, by_responses, by_claude, by_gemini, by_ollama]
UNKNOWN = {"user", "logit_bias", "stream_options", "max_completion_tokens", "seed", "store"}
"""What Mistral refuses a request for."""


@pytest.mark.parametrize("ask", SDKS, ids=lambda ask: ask.__name__)
def test_others_C15_picture_reaches_mistral_from_every_sdk(mistral: Stage, ask: Callable[[Stage], str]) -> None:
    assert "I see an image: image/png, 68 bytes." in ask(mistral)
    body: Any = mistral.fake.requests[-1].json
    parts = [part for message in body["messages"] if message["role"] == "user" for part in message["content"]]
    (image,) = [part["image_url"] for part in parts if part["type"] == "image_url"]
    assert (image if isinstance(image, str) else image["url"]) == URL
    assert body["model"] == "mistral-small-2503"
    assert UNKNOWN.isdisjoint(body)


def test_others_C12_ids_of_calls_suit_mistral_from_another_sdk(mistral: Stage) -> None:
    call = {
        "type": "tool_use",
        "id": "toolu_01ABCDEFGHIJKLMNOPQRSTUV",
        "name": "get_weather",
        "input": {"city": "Oslo"},
    }
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "12 degrees"}
    turns: Any = [
        *HELLO,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    ]
    tools: Any = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    with anthropic.Anthropic(base_url=mistral.url, api_key="any") as client:
        client.messages.create(model=mistral.model, max_tokens=100, messages=turns, tools=tools)
    body: Any = mistral.fake.requests[-1].json
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    sent = body["messages"][1]["tool_calls"][0]["id"]
    assert re.fullmatch("[A-Za-z0-9]{9}", sent)
    assert body["messages"][2]["tool_call_id"] == sent
