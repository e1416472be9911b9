"""The official Anthropic SDK, sync and async, against a gateway in a real server."""

import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from asgi_ds2api.testing import Script

from .conftest import Stage

WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 60).decode()
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(stage: Stage) -> Iterator[Anthropic]:
    with Anthropic(base_url=stage.url, api_key="any", max_retries=0) as made:
        yield made


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_anthropic_C03_message_parses_and_carries_its_request_id(stage: Stage, client: Anthropic) -> None:
    raw = client.messages.with_raw_response.create(model=stage.model, max_tokens=500, messages=HELLO)
    message = raw.parse()
    assert text_of(message).startswith('You said: "Hello".')
    assert (message.stop_reason, message.type, message.role) == ("end_turn", "message", "assistant")
    assert message._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]
    assert message.usage.input_tokens > 0


def test_anthropic_C04_streamed_message_equals_the_whole_one(stage: Stage, client: Anthropic) -> None:
    asked: Any = {"model": stage.model, "max_tokens": 500, "messages": HELLO}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 1
    assert "".join(texts) == text_of(final) == text_of(whole)
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert final.usage.input_tokens == whole.usage.input_tokens


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_go_round(stage: Stage, client: Anthropic, streamed: bool) -> None:
    asked: Any = {"model": stage.model, "max_tokens": 500, "tools": [WEATHER]}
    question: Any = [{"role": "user", "content": "What is the weather?"}]
    if streamed:
        with client.messages.stream(**asked, messages=question) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(**asked, messages=question)
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, call.name, list(call.input)) == ("tool_use", "get_weather", ["city"])
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "12 degrees and rain"}
    turns = [*question, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert "12 degrees and rain" in text_of(client.messages.create(**asked, messages=turns))


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_come_as_separate_blocks(stage: Stage, client: Anthropic, streamed: bool) -> None:
    stage.play(Script.tool_calls(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Lima"}), text="Both."))
    asked: Any = {"model": stage.model, "max_tokens": 500, "tools": [WEATHER], "messages": HELLO}
    if streamed:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Oslo"}, {"city": "Lima"}]
    assert len({call.id for call in calls}) == 2
    assert text_of(message) == "Both."


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"12 degrees and rain in {city}"


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_runner_goes_round_as_it_is(stage: Stage, client: Anthropic, streamed: bool) -> None:
    """It begins a thread by itself, and goes on in it with nothing but the results."""
    asked: Any = {"model": stage.model, "max_tokens": 500, "tools": [get_weather]}
    question: Any = [{"role": "user", "content": "What is the weather?"}]
    runner: Any = client.beta.messages.tool_runner(**asked, messages=question, stream=streamed)
    turns = [turn.get_final_message() for turn in runner] if streamed else list(runner)
    (call,) = [block for block in turns[0].content if block.type == "tool_use"]
    assert [turn.stop_reason for turn in turns] == ["tool_use", "end_turn"]
    assert get_weather(**call.input) in text_of(turns[1])


def test_image_reaches_the_upstream(stage: Stage, client: Anthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    content = [image, {"type": "text", "text": "What is this?"}]
    turns: Any = [{"role": "user", "content": content}]
    message = client.messages.create(model=stage.model, max_tokens=500, messages=turns)
    assert "image/png" in text_of(message)


ERRORS = [
    (400, anthropic.BadRequestError, 400, "invalid_request_error"),
    (401, anthropic.InternalServerError, 502, "api_error"),
    (403, anthropic.InternalServerError, 502, "api_error"),
    (404, anthropic.NotFoundError, 404, "not_found_error"),
    (429, anthropic.RateLimitError, 429, "rate_limit_error"),
    (500, anthropic.InternalServerError, 502, "api_error"),
    (503, anthropic.InternalServerError, 529, "overloaded_error"),
    (529, anthropic.InternalServerError, 529, "overloaded_error"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("sent", "class_", "status", "type_"), ERRORS, ids=lambda value: str(value))
def test_anthropic_C22_error_is_the_sdks_own(
    stage: Stage, client: Anthropic, sent: int, class_: type[anthropic.APIStatusError], status: int, type_: str,
    streamed: bool,
) -> None:  # fmt: skip
    stage.play(Script.error(sent) * 3)
    with pytest.raises(class_) as caught:
        client.messages.create(model=stage.model, max_tokens=50, messages=HELLO, stream=streamed)
    body: Any = caught.value.body
    assert (caught.value.status_code, body["error"]["type"]) == (status, type_)
    is_relayed = stage.model.startswith("claude/") and sent in (400, 404)
    assert is_relayed or body["request_id"] == caught.value.request_id
    if sent in (401, 403):
        assert caught.value.response.headers["x-should-retry"] == "false"


def test_anthropic_C21_wait_of_the_upstream_is_passed_on(stage: Stage, client: Anthropic) -> None:
    stage.play(Script.error(429, retry_after_s=7) * 2)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model=stage.model, max_tokens=50, messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "7"


def test_anthropic_C20_cut_stream_raises(stage: Stage, client: Anthropic) -> None:
    stage.play(Script.cut(after=4_000, of=Script.text("one two three four five six seven eight nine ten " * 20)))
    texts: list[str] = []
    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(model=stage.model, max_tokens=500, messages=HELLO) as stream,
    ):
        texts += stream.text_stream
    body: Any = caught.value.body
    assert body["error"]["type"] == "api_error"
    assert "".join(texts) in "one two three four five six seven eight nine ten " * 20


def test_second_account_serves_where_the_first_is_limited(stage: Stage, client: Anthropic) -> None:
    stage.play(Script.error(429, retry_after_s=30))
    raw = client.messages.with_raw_response.create(model=stage.model, max_tokens=500, messages=HELLO)
    assert raw.headers["x-ds2api-attempts"] == "2"
    assert text_of(raw.parse()).startswith("You said")


@pytest.mark.anyio
async def test_async_client_leaves_and_the_upstream_is_closed(stage: Stage) -> None:
    stage.play(Script.hang(after=4_000, of=Script.text("one two three four five six seven " * 30)))
    async with AsyncAnthropic(base_url=stage.url, api_key="any") as client:
        stream = await client.messages.create(model=stage.model, max_tokens=50, messages=HELLO, stream=True)
        async for _ in stream:
            break
        await stream.close()
    await stage.fake.wait_closed()
    assert stage.fake.open_connections == 0


def test_count_tokens_answers_a_number(stage: Stage, client: Anthropic) -> None:
    count = client.messages.count_tokens(model=stage.model, messages=HELLO)
    assert count.input_tokens > 0
