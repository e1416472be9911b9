"""The official OpenAI SDK, `client.responses`, against a gateway in a real server."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from asgi_ds2api.testing import Script

from .conftest import Stage

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
QUESTION: Any = [{"role": "user", "content": "What is the weather?"}]


class Weather(BaseModel):
    """What a model is asked for."""

    city: str
    degrees: int


@pytest.fixture
def client(stage: Stage) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stage.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def test_openai_C39_answer_parses_and_carries_its_request_id(stage: Stage, client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model=stage.model, input="Hello")
    response = raw.parse()
    assert response.output_text.startswith('You said: "Hello".')
    assert (response.status, response._request_id) == ("completed", raw.headers["x-request-id"])
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_openai_C40_stream_equals_the_whole_answer(stage: Stage, client: OpenAI) -> None:
    whole = client.responses.create(model=stage.model, input="Hello")
    with client.responses.stream(model=stage.model, input="Hello") as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == final.output_text == whole.output_text
    assert (final.status, final.usage) == ("completed", whole.usage)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_go_round(stage: Stage, client: OpenAI, streamed: bool) -> None:
    asked: Any = {"model": stage.model, "tools": [WEATHER]}
    if streamed:
        with client.responses.stream(**asked, input=QUESTION) as stream:
            first: Any = stream.until_done().get_final_response()
    else:
        first = client.responses.create(**asked, input=QUESTION)
    (call,) = (item for item in first.output if item.type == "function_call")
    assert (call.name, '"city"' in call.arguments) == ("get_weather", True)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees and rain"}
    turns = [*QUESTION, *(item.to_dict() for item in first.output), result]
    assert "12 degrees and rain" in client.responses.create(**asked, input=turns).output_text


def test_openai_C42_parallel_calls_keep_their_ids_and_names(stage: Stage, client: OpenAI) -> None:
    stage.play(Script.tool_calls(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Lima"}), text="Both."))
    with client.responses.stream(model=stage.model, input="Hello", tools=[WEATHER]) as stream:
        final: Any = stream.until_done().get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "get_weather"]
    assert ["Oslo" in calls[0].arguments, "Lima" in calls[1].arguments] == [True, True]
    assert len({call.call_id for call in calls}) == 2
    assert final.output_text == "Both."


def test_structured_output_is_parsed(stage: Stage, client: OpenAI) -> None:
    stage.play(Script.text('{"city": "Oslo", "degrees": 3}'))
    response = client.responses.parse(model=stage.model, input="Hello", text_format=Weather)
    assert response.output_parsed == Weather(city="Oslo", degrees=3)


def test_tokens_are_counted_or_estimated(stage: Stage, client: OpenAI) -> None:
    assert client.responses.input_tokens.count(model=stage.model, input="Hello").input_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("sent", "class_", "status"),
    [
        (400, openai.BadRequestError, 400),
        (401, openai.InternalServerError, 502),
        (404, openai.NotFoundError, 404),
        (429, openai.RateLimitError, 429),
        (503, openai.InternalServerError, 503),
    ],
    ids=str,
)
def test_openai_C58_error_is_the_sdks_own(
    stage: Stage, client: OpenAI, sent: int, class_: type[openai.APIStatusError], status: int, streamed: bool
) -> None:
    stage.play(Script.error(sent) * 3)
    with pytest.raises(class_) as caught:
        client.responses.create(model=stage.model, input="Hello", stream=streamed)
    assert caught.value.status_code == status
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


def test_openai_C47_cut_stream_ends_in_a_failure(stage: Stage, client: OpenAI) -> None:
    text = "one two three four five six seven eight nine ten " * 20
    stage.play(Script.cut(after=4_000, of=Script.text(text)))
    events: list[Any] = list(client.responses.create(model=stage.model, input="Hello", stream=True))
    got = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert (events[-1].type, events[-1].response.status) == ("response.failed", "failed")
    assert got
    assert text.startswith(got)
