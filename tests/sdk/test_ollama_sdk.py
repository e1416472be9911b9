"""The official Ollama SDK, sync and async, against a gateway in a real server."""

import base64
from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from ollama import AsyncClient, Client

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


@pytest.fixture(params=["", "/ollama"], ids=["bare", "ollama"])
def client(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(f"{stage.url}{request.param}") as made:
        yield made


def read(client: Client, stage: Stage, *, stream: bool, said: list[str] | None = None) -> None:
    """Read an answer to its end; ``said`` takes the pieces of a stream as they come."""
    asked: Any = {"model": stage.model, "messages": HELLO, "stream": stream}
    answer: Any = client.chat(**asked)
    for line in answer if stream else ():
        if said is not None and line.message.content:
            said.append(line.message.content)


def test_others_C01_version_parses(client: Client) -> None:
    assert client._client.get("/api/version").json()["version"]
    assert client.ps().models == []


def test_others_C02_streamed_answer_equals_the_whole_one(stage: Stage, client: Client) -> None:
    whole = client.chat(stage.model, messages=HELLO)
    lines = list(client.chat(stage.model, messages=HELLO, stream=True))
    assert len(lines) > 2
    assert "".join(line.message.content or "" for line in lines) == whole.message.content
    assert (whole.message.content or "").startswith('You said: "Hello".')
    last = lines[-1]
    assert (last.done, last.done_reason, whole.done_reason) == (True, "stop", "stop")
    assert (last.prompt_eval_count, last.eval_count) == (whole.prompt_eval_count, whole.eval_count)
    assert last.eval_duration
    assert whole.total_duration
    assert whole.created_at


@pytest.mark.parametrize("streamed", [False, True])
def test_others_C03_tools_go_round(stage: Stage, client: Client, streamed: bool) -> None:
    question: Any = [{"role": "user", "content": "What is the weather?"}]
    asked: Any = {"model": stage.model, "tools": [WEATHER]}
    if streamed:
        messages = [line.message for line in client.chat(**asked, messages=question, stream=True)]
    else:
        messages = [client.chat(**asked, messages=question).message]
    (call,) = [call for message in messages for call in message.tool_calls or ()]
    assert call.function.name == "get_weather"
    assert isinstance(call.function.arguments, dict)
    assert "city" in call.function.arguments
    turns = [*question, {"role": "assistant", "tool_calls": [call]},
             {"role": "tool", "tool_name": "get_weather", "content": "12 degrees and rain"}]  # fmt: skip
    answer = client.chat(**asked, messages=turns)
    assert "12 degrees and rain" in (answer.message.content or "")


def test_others_C05_picture_is_seen(stage: Stage, client: Client) -> None:
    turns = [{"role": "user", "content": "What is in the picture?", "images": [PIXEL]}]
    answer = client.chat(stage.model, messages=turns)
    assert answer.message.content
    assert PIXEL.encode() in stage.fake.requests[-1].body


def test_others_C08_model_is_loaded_without_anybody_asked(stage: Stage, client: Client) -> None:
    assert client.chat(stage.model, messages=[]).done_reason == "load"
    assert client.generate(stage.model, prompt="", keep_alive=0).done_reason == "unload"
    assert list(stage.fake.requests) == []


@pytest.mark.parametrize("streamed", [False, True])
def test_others_C09_error_is_the_sdks_own(stage: Stage, client: Client, streamed: bool) -> None:
    stage.play(Script.error(400, "these words"))
    with pytest.raises(ollama.ResponseError) as caught:
        read(client, stage, stream=streamed)
    assert (caught.value.status_code, caught.value.error) == (400, "these words")


def test_others_C09_cut_stream_raises_after_what_was_said(stage: Stage, client: Client) -> None:
    stage.play(Script.cut(after=4_000, of=Script.text("one two three four five six " * 30)))
    said: list[str] = []
    with pytest.raises(ollama.ResponseError):
        read(client, stage, stream=True, said=said)
    assert said
    assert ("one two three four five six " * 30).startswith("".join(said))


def test_others_C10_models_are_listed_and_shown(stage: Stage, client: Client) -> None:
    shown = client.show(stage.model)
    assert {"completion", "tools"} <= set(shown.capabilities or ())
    assert any(name.endswith(".context_length") for name in shown.modelinfo or {})
    with pytest.raises(ollama.ResponseError) as caught:
        client.show("nobody")
    assert (caught.value.status_code, caught.value.error) == (404, "model 'nobody' not found")


def test_prompt_is_answered(stage: Stage, client: Client) -> None:
    whole = client.generate(stage.model, prompt="Hello", system="Be brief.")
    pieces = list(client.generate(stage.model, prompt="Hello", system="Be brief.", stream=True))
    assert (whole.response or "").startswith('You said: "Hello".')
    assert "".join(piece.response or "" for piece in pieces) == whole.response


@pytest.mark.anyio
async def test_async_client_reads_the_same(stage: Stage) -> None:
    async with AsyncClient(stage.url) as client:
        stream = await client.chat(stage.model, messages=HELLO, stream=True)
        said = "".join([line.message.content or "" async for line in stream])
        whole = await client.chat(stage.model, messages=HELLO)
    assert said == whole.message.content
