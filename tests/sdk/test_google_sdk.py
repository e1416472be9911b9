"""The official Google SDK (google-genai), sync and async, against a gateway in a real server."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from asgi_ds2api.testing import Script
from tests.support.sdk_google import closing_google, google_client

from .conftest import Stage
from .pairs import paired

WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        )
    ]
)
OFFERED = types.GenerateContentConfig(
    tools=[WEATHER], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
)
PIXEL = b"\x89PNG\r\n\x1a\n" + b"x" * 60
LONG = "one two three four five six seven eight nine ten " * 20
TWICE = Script.tool_calls(("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Lima"}), text="Both.")


@pytest.fixture
def client(stage: Stage) -> Iterator[genai.Client]:
    with google_client(stage.url) as made:
        yield made


def read(
    client: genai.Client, stage: Stage, *, streamed: bool, contents: Any = "Hello", config: Any = None,
    said: list[str] | None = None,
) -> list[types.GenerateContentResponse]:  # fmt: skip
    """Read an answer to its end, a whole one as one chunk; ``said`` takes the texts of a stream as they come."""
    asked: Any = {"model": stage.model, "contents": contents, "config": config}
    if not streamed:
        return [client.models.generate_content(**asked)]
    chunks = []
    for chunk in client.models.generate_content_stream(**asked):
        chunks.append(chunk)
        if said is not None and text_of([chunk]):
            said.append(text_of([chunk]))
    return chunks


def parts_of(chunks: list[types.GenerateContentResponse]) -> list[types.Part]:
    candidates = [candidate for chunk in chunks for candidate in chunk.candidates or ()]
    return [part for found in candidates if found.content for part in found.content.parts or ()]


def text_of(chunks: list[types.GenerateContentResponse]) -> str:
    return "".join(part.text or "" for part in parts_of(chunks) if not part.thought)


def calls_of(chunks: list[types.GenerateContentResponse]) -> list[types.FunctionCall]:
    return [part.function_call for part in parts_of(chunks) if part.function_call]


def finish_of(chunk: types.GenerateContentResponse) -> types.FinishReason | None:
    return (chunk.candidates or [types.Candidate()])[0].finish_reason


def test_gemini_C03_answer_parses_with_its_text_usage_and_reason(stage: Stage, client: genai.Client) -> None:
    answer = client.models.generate_content(model=stage.model, contents="Hello")
    assert (answer.text or "").startswith('You said: "Hello".')
    assert finish_of(answer) == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.prompt_token_count
    assert usage.candidates_token_count == len((answer.text or "").split())
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert answer.model_version
    assert answer.response_id


def test_gemini_C04_stream_yields_all_chunks_and_the_last_has_the_reason(stage: Stage, client: genai.Client) -> None:
    whole = client.models.generate_content(model=stage.model, contents="Hello")
    chunks = read(client, stage, streamed=True)
    assert len([chunk for chunk in chunks if text_of([chunk])]) > 2
    assert text_of(chunks) == whole.text
    assert [finish_of(chunk) for chunk in chunks if finish_of(chunk)] == [types.FinishReason.STOP]
    assert finish_of(chunks[-1]) == types.FinishReason.STOP
    assert chunks[-1].usage_metadata == whole.usage_metadata


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_go_round(stage: Stage, client: genai.Client, streamed: bool) -> None:
    question = types.UserContent("What is the weather?")
    first = read(client, stage, streamed=streamed, contents=[question], config=OFFERED)
    (call,) = calls_of(first)
    assert (call.name, list(call.args or ())) == ("get_weather", ["city"])
    assert finish_of(first[-1]) == types.FinishReason.STOP
    answered = types.FunctionResponse(id=call.id, name=call.name, response={"output": "12 degrees and rain"})
    turns = [question, types.ModelContent(parts_of(first)), types.UserContent(types.Part(function_response=answered))]
    assert "12 degrees and rain" in text_of(read(client, stage, streamed=streamed, contents=turns, config=OFFERED))


@pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "order"])
@pytest.mark.parametrize("streamed", [False, True])
def test_gemini_C14_parallel_calls_of_one_function_pair_in_order(
    stage: Stage, client: genai.Client, streamed: bool, with_ids: bool
) -> None:
    """Who sends back no ids, as Gemini 2 has none, is paired by the order of the calls."""
    stage.play(TWICE + Script.text("Rain in one, sun in the other."))
    first = read(client, stage, streamed=streamed, config=OFFERED)
    calls = calls_of(first)
    assert [(call.name, call.args) for call in calls] == [("get_weather", {"city": city}) for city in ("Oslo", "Lima")]
    assert len({call.id for call in calls}) == 2
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id if with_ids else None, name="get_weather", response={"output": f"answer {number}"}
            )
        )
        for number, call in enumerate(calls)
    ]
    said = [part.model_copy(deep=True) for part in parts_of(first)]
    for part in said:
        if part.function_call and not with_ids:
            part.function_call.id = None
    turns = [types.UserContent("Hello"), types.ModelContent(said), types.UserContent(results)]
    assert text_of(read(client, stage, streamed=streamed, contents=turns, config=OFFERED)).startswith("Rain")
    pairs = paired(stage.upstream, stage.fake.requests[-1].json)
    assert pairs == [({"city": "Oslo"}, "answer 0"), ({"city": "Lima"}, "answer 1")]


@pytest.mark.parametrize("streamed", [False, True])
def test_sdk_calls_a_function_of_python_by_itself(stage: Stage, client: genai.Client, streamed: bool) -> None:
    """The SDK's own loop: it declares the function, calls it, and asks again with the result."""
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        asked.append(city)
        return "12 degrees and rain"

    stage.play(Script.tool_call("get_weather", {"city": "Oslo"}))
    chunks = read(
        client, stage, streamed=streamed, contents="What is the weather?",
        config=types.GenerateContentConfig(tools=[get_weather]),
    )  # fmt: skip
    assert asked == ["Oslo"]
    assert "12 degrees and rain" in text_of(chunks)


def test_picture_is_seen(stage: Stage, client: genai.Client) -> None:
    contents = [types.Part.from_bytes(data=PIXEL, mime_type="image/png"), "What is in the picture?"]
    answer = client.models.generate_content(model=stage.model, contents=contents)
    assert "I see an image: image/png, 68 bytes." in (answer.text or "")
    assert base64.b64encode(PIXEL) in stage.fake.requests[-1].body


def test_schema_is_kept_and_parsed(stage: Stage, client: genai.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=schema)
    answer = client.models.generate_content(model=stage.model, contents="A city, please.", config=config)
    assert isinstance(answer.parsed, dict)
    assert list(answer.parsed) == ["city"]


def test_chat_remembers_what_was_said(stage: Stage, client: genai.Client) -> None:
    chat = client.chats.create(model=stage.model)
    chat.send_message("Hello")
    said = "".join(chunk.text or "" for chunk in chat.send_message_stream("And now?"))
    assert said.startswith('You said: "And now?".')
    assert {content.role for content in chat.get_history()} == {"user", "model"}
    assert b'You said: \\"Hello\\".' in stage.fake.requests[-1].body


def test_tokens_are_counted(stage: Stage, client: genai.Client) -> None:
    counted = client.models.count_tokens(model=stage.model, contents="Hello there")
    assert isinstance(counted.total_tokens, int)
    assert counted.total_tokens > 0


def test_models_are_listed_and_shown(stage: Stage, client: genai.Client) -> None:
    assert [model.name for model in client.models.list()] == []  # a glob lists nothing
    shown = client.models.get(model=stage.model)
    assert shown.name == f"models/{stage.model}"
    assert "generateContent" in (shown.supported_actions or ())
    with pytest.raises(errors.ClientError) as caught:
        client.models.get(model="nobody")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


ERRORS = [
    (400, errors.ClientError, 400, "INVALID_ARGUMENT"),
    (401, errors.ServerError, 502, "INTERNAL"),
    (404, errors.ClientError, 404, "NOT_FOUND"),
    (429, errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
    (500, errors.ServerError, 502, "INTERNAL"),
    (503, errors.ServerError, 503, "UNAVAILABLE"),
    (529, errors.ServerError, 503, "UNAVAILABLE"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("sent", "class_", "code", "status"), ERRORS, ids=lambda value: str(value))
def test_error_is_the_sdks_own(
    stage: Stage, client: genai.Client, sent: int, class_: type[errors.APIError], code: int, status: str,
    streamed: bool,
) -> None:  # fmt: skip
    stage.play(Script.error(sent, "these words") * 3)
    with pytest.raises(class_) as caught:
        read(client, stage, streamed=streamed)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message
    if sent == 400:
        assert caught.value.message == "these words"


def test_cut_stream_raises_after_what_was_said(stage: Stage, client: genai.Client) -> None:
    stage.play(Script.cut(after=4_000, of=Script.text(LONG)))
    said: list[str] = []
    with pytest.raises(errors.ServerError) as caught:
        read(client, stage, streamed=True, said=said)
    assert said
    assert LONG.startswith("".join(said))
    assert (caught.value.code, caught.value.status) == (502, "INTERNAL")


def test_sdk_asks_again_where_it_may(stage: Stage) -> None:
    """Three attempts of the gateway, then the SDK's second: its wait is made next to nothing."""
    stage.play(Script.error(500) * 3)
    options = types.HttpOptions(
        base_url=stage.url, api_version="v1beta",
        retry_options=types.HttpRetryOptions(attempts=2, initial_delay=0.001, max_delay=0.002, jitter=0.001),
    )  # fmt: skip
    with genai.Client(api_key="any", http_options=options) as client:
        answer = client.models.generate_content(model=stage.model, contents="Hello")
    assert (answer.text or "").startswith("You said")
    assert [record.status for record in stage.records.wait(2)] == [502, 200]


def test_second_account_serves_where_the_first_is_limited(stage: Stage, client: genai.Client) -> None:
    stage.play(Script.error(429, retry_after_s=30))
    answer = client.models.generate_content(model=stage.model, contents="Hello")
    assert answer.sdk_http_response is not None
    assert (answer.sdk_http_response.headers or {})["x-ds2api-attempts"] == "2"


@pytest.mark.anyio
async def test_async_client_reads_the_same(stage: Stage) -> None:
    async with closing_google(google_client(stage.url)) as client:
        asked: Any = {"model": stage.model, "contents": "Hello"}
        said = "".join([chunk.text or "" async for chunk in await client.aio.models.generate_content_stream(**asked)])
        whole = await client.aio.models.generate_content(**asked)
    assert said == whole.text


@pytest.mark.anyio
async def test_async_client_leaves_and_the_upstream_is_closed(stage: Stage) -> None:
    stage.play(Script.hang(after=4_000, of=Script.text(LONG)))
    async with closing_google(google_client(stage.url)) as client:
        stream: Any = await client.aio.models.generate_content_stream(model=stage.model, contents="Hello")
        async for _ in stream:
            break
        await stream.aclose()
    await stage.fake.wait_closed()
    assert stage.fake.open_connections == 0
