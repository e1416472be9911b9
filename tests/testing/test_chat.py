"""The fake speaks OpenAI Chat Completions: the official SDK understands all of it, and gets its own exceptions."""

import base64
import json
from typing import Any

import anyio
import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from asgi_ds2api.testing import FakeUpstream, Script

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME: Any = {"type": "function", "function": {"name": "get_time"}}
PIXEL = base64.b64encode(b"x" * 68).decode()


def _client(fake: FakeUpstream, key: str = "any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{fake.url}/v1", api_key=key, max_retries=0)


def _user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


async def _said(**request: Any) -> Any:
    """Return the one choice of an answer."""
    async with FakeUpstream() as fake, _client(fake) as client:
        completion = await client.chat.completions.create(**{"model": "m", **request})
    return completion.choices[0]


async def test_text_depends_on_the_question_and_usage_counts_words() -> None:
    async with FakeUpstream() as fake, _client(fake) as client:
        messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Be kind."}, *_user("Hello you")]
        completion = await client.chat.completions.create(model="m", messages=messages)
    assert completion.choices[0].message.content == 'You said: "Hello you". I am m, a fake: I only repeat.'
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (4, 12, 16)


async def test_sync_client_of_an_async_test_is_served() -> None:
    def ask(url: str) -> str | None:
        with OpenAI(base_url=f"{url}/v1", api_key="any") as client:
            return client.chat.completions.create(model="m", messages=_user("Hello")).choices[0].message.content

    async with FakeUpstream(script=Script.text("Hi.")) as fake:
        assert await anyio.to_thread.run_sync(ask, fake.url) == "Hi."


def test_sync_test_is_served_from_a_thread() -> None:
    with (
        FakeUpstream(script=Script.text("Hi there.")) as fake,
        OpenAI(base_url=f"{fake.url}/v1", api_key="any") as client,
    ):
        stream = client.chat.completions.create(model="m", messages=_user("Hello"), stream=True)
        said = [chunk.choices[0].delta.content for chunk in stream]
    assert said == ["", "Hi ", "there.", None]


async def test_chunks_follow_the_grammar() -> None:
    body = {"model": "m", "messages": _user("?"), "stream": True, "stream_options": {"include_usage": True}}
    async with FakeUpstream(script=Script.text("A b", reasoning="Hm")) as fake, httpx.AsyncClient() as client:
        answer = await client.post(f"{fake.url}/v1/chat/completions", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert [(chunk["choices"], chunk["usage"] and chunk["usage"]["total_tokens"]) for chunk in chunks] == [
        ([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}], None)
        for delta, reason in [
            ({"role": "assistant", "content": "", "refusal": None}, None),
            ({"reasoning_content": "Hm"}, None),
            ({"content": "A "}, None),
            ({"content": "b"}, None),
            ({}, "stop"),
        ]
    ] + [([], 4)]


async def test_chunks_of_a_tool_turn_follow_the_grammar() -> None:
    script = Script.tool_calls(("f", {"a": 1}), ("g", {}))
    async with FakeUpstream(script=script) as fake, _client(fake) as client:
        stream = await client.chat.completions.create(model="m", messages=_user("?"), stream=True)
        deltas = [chunk.choices[0].delta.model_dump(exclude_unset=True) async for chunk in stream]
    first, second = "call_fake00000001000000000000", "call_fake00000001000000000001"
    assert deltas == [
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {"index": 0, "id": first, "type": "function", "function": {"name": "f", "arguments": ""}},
            ],
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {
            "tool_calls": [
                {"index": 1, "id": second, "type": "function", "function": {"name": "g", "arguments": ""}},
            ]
        },
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]


async def test_no_usage_is_streamed_unless_asked_for() -> None:
    async with FakeUpstream() as fake, _client(fake) as client:
        stream = await client.chat.completions.create(model="m", messages=_user("Hello"), stream=True)
        chunks = [chunk async for chunk in stream]
    assert not any("usage" in chunk.model_fields_set for chunk in chunks)


@pytest.mark.parametrize("request_body", [{}, {"tools": [WEATHER]}, {"reasoning_effort": "low"}, {"n": 2}], ids=str)
async def test_streamed_answer_is_the_unstreamed_one(request_body: dict[str, Any]) -> None:
    request = {"model": "m", "messages": _user("Both, please"), **request_body}
    async with FakeUpstream() as fake, _client(fake) as client:
        whole = await client.chat.completions.create(**request)
        async with client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
            async for _ in stream:
                pass
            streamed = await stream.get_final_completion()
    assert streamed.usage == whole.usage
    for one, other in zip(streamed.choices, whole.choices, strict=True):
        assert (one.finish_reason, one.message.content or None) == (other.finish_reason, other.message.content)
        assert one.message.model_extra == other.message.model_extra
        calls = [[call.function.arguments for call in c.message.tool_calls or () if c] for c in (one, other)]
        assert calls[0] == calls[1]


async def test_offered_tool_is_called_and_its_answer_cited() -> None:
    messages = _user("What is the weather like?")
    async with FakeUpstream() as fake, _client(fake) as client:
        asked = await client.chat.completions.create(model="m", messages=messages, tools=[TIME, WEATHER])
        message = asked.choices[0].message
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "city"}')
        assert (message.content, asked.choices[0].finish_reason) == (None, "tool_calls")
        messages += [
            message.to_dict(),  # type: ignore[list-item]  # the SDK takes its own answers back
            {"role": "tool", "tool_call_id": call.id, "content": "It snows"},
        ]
        answer = await client.chat.completions.create(model="m", messages=messages, tools=[TIME, WEATHER])
    assert answer.choices[0].message.content == 'The tool answered: "It snows". I am m, a fake: I only repeat.'


@pytest.mark.parametrize(
    ("text", "request_body", "called"),
    [
        ("Weather in both towns", {"tools": [WEATHER]}, [("get_weather", "city"), ("get_weather", "city 2")]),
        ("Weather and time: both", {"tools": [TIME, WEATHER]}, [("get_time", None), ("get_weather", "city")]),
        ("Both", {"tools": [WEATHER], "parallel_tool_calls": False}, [("get_weather", "city")]),
        ("Hello", {"tools": [WEATHER, TIME]}, [("get_weather", "city")]),
        ("Hello", {"tools": [WEATHER], "tool_choice": "none"}, []),
        ("Hello", {"tools": [WEATHER], "tool_choice": "required"}, [("get_weather", "city")]),
        (
            "Weather",
            {"tools": [WEATHER, TIME], "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            [("get_time", None)],
        ),
        (
            "Weather",
            {
                "tools": [WEATHER, TIME],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}},
            },
            [("get_time", None)],
        ),
    ],
)
async def test_tools_are_chosen_by_the_question_and_tool_choice(
    text: str, request_body: dict[str, Any], called: list[tuple[str, str | None]]
) -> None:
    choice = await _said(messages=_user(text), **request_body)
    calls = choice.message.tool_calls or []
    assert [(call.function.name, json.loads(call.function.arguments).get("city")) for call in calls] == called


@pytest.mark.parametrize(
    ("part", "seen"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            "I see an image: image/png, 68 bytes.",
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            "I see an image: elsewhere: I do not fetch.",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
            "I see a sound: audio/wav, 68 bytes.",
        ),
        (
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "a.pdf"}},
            "I see a file: application/pdf, 68 bytes.",
        ),
    ],
    ids=["image", "image of the web", "sound", "file"],
)
async def test_attachments_are_seen(part: dict[str, Any], seen: str) -> None:
    choice = await _said(messages=[{"role": "user", "content": [{"type": "text", "text": "Look"}, part]}])
    assert choice.message.content == f'{seen} You said: "Look". I am m, a fake: I only repeat.'


async def test_structured_output_is_valid_for_its_schema() -> None:
    class City(BaseModel):
        name: str
        people: int
        rivers: list[str]

    async with FakeUpstream() as fake, _client(fake) as client:
        completion = await client.chat.completions.parse(model="m", messages=_user("Oslo"), response_format=City)
    assert completion.choices[0].message.parsed == City(name="name", people=1, rivers=["rivers"])


async def test_json_object_is_json() -> None:
    choice = await _said(messages=_user("Oslo"), response_format={"type": "json_object"})
    assert json.loads(choice.message.content) == {"answer": "answer"}


@pytest.mark.parametrize(("effort", "reasons"), [("low", True), ("none", False), (None, False)])
async def test_reasoning_is_shown_when_asked_for(effort: str | None, reasons: bool) -> None:
    choice = await _said(messages=_user("Why?"), reasoning_effort=effort)
    expected = {"reasoning_content": 'I was asked: "Why?". I shall make something up.'} if reasons else {}
    assert choice.message.model_extra == expected


@pytest.mark.parametrize(
    ("request_body", "content", "reason"),
    [
        ({"max_tokens": 3}, 'You said: "a', "length"),
        ({"max_completion_tokens": 2}, "You said:", "length"),
        ({"max_completion_tokens": 100}, 'You said: "a b c". I am m, a fake: I only repeat.', "stop"),
        ({"stop": "b"}, 'You said: "a ', "stop"),
        ({"stop": ["nothing", "c", "b"]}, 'You said: "a ', "stop"),
    ],
    ids=str,
)
async def test_limits_end_the_answer(request_body: dict[str, Any], content: str, reason: str) -> None:
    choice = await _said(messages=_user("a b c"), **request_body)
    assert (choice.message.content, choice.finish_reason) == (content, reason)


async def test_call_that_does_not_fit_into_the_limit_is_not_made() -> None:
    choice = await _said(messages=_user("Hello"), tools=[WEATHER], max_completion_tokens=2)
    assert (choice.message.tool_calls, choice.finish_reason) == (None, "length")


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", None, None),
        (b"[" * 100_000, None, None),
        (b"\xff", None, None),
        ([], "invalid_type", "body"),
        ({"messages": HELLO}, "missing_required_parameter", "model"),
        ({"model": "m"}, "missing_required_parameter", "messages"),
        ({"model": "m", "messages": []}, "invalid_type", "messages"),
        ({"model": 3, "messages": HELLO}, "invalid_type", "model"),
        ({"model": "m", "messages": [{"role": "king", "content": "x"}]}, "invalid_type", "messages[0].role"),
        ({"model": "m", "messages": HELLO, "temperature": 3}, "invalid_type", "temperature"),
        ({"model": "m", "messages": HELLO, "stop": ["a"] * 5}, "invalid_type", "stop"),
        ({"model": "m", "messages": HELLO, "stream_options": {}}, "invalid_value", "stream_options"),
        ({"model": "m", "messages": HELLO, "tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"model": "m", "messages": HELLO, "tools": [WEATHER, WEATHER]}, "invalid_value", "tools[1]"),
        (
            {
                "model": "m",
                "messages": HELLO,
                "tools": [WEATHER],
                "tool_choice": {"type": "function", "function": {"name": "x"}},
            },
            "invalid_value",
            "tool_choice",
        ),
        (
            {"model": "m", "messages": HELLO, "response_format": {"type": "json_schema"}},
            "missing_required_parameter",
            "response_format.json_schema",
        ),
        (
            {"model": "m", "messages": [*HELLO, {"role": "assistant", "tool_calls": [CALL]}]},
            None,
            "messages",
        ),
        (
            {"model": "m", "messages": [*HELLO, {"role": "assistant", "tool_calls": [CALL]}, *HELLO]},
            None,
            "messages",
        ),
        (
            {"model": "m", "messages": [*HELLO, {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
            None,
            "messages[1].role",
        ),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "missing_required_parameter",
            "messages[0].content[0]",
        ),
        (
            {
                "model": "m",
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}
                ],
            },
            "invalid_image_url",
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "model": "m",
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:a/b;base64,?"}}]}
                ],
            },
            "invalid_base64_image",
            "messages[0].content[0].image_url.url",
        ),
    ],
)
async def test_malformed_request_gets_a_native_400(body: object, code: str | None, param: str | None) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with FakeUpstream() as fake, httpx.AsyncClient() as client:
        answer = await client.post(f"{fake.url}/v1/chat/completions", content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"], error["param"]) == (
        400,
        "invalid_request_error",
        code,
        param,
    )


async def test_error_raises_the_class_of_the_sdk_with_its_request_id() -> None:
    async with FakeUpstream(keys=["right"], models=["m"]) as fake:
        async with _client(fake, "wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.chat.completions.create(model="m", messages=_user("Hello"))
        assert (caught.value.code, caught.value.request_id) == ("invalid_api_key", "req_fake00000001")
        async with _client(fake, "right") as client:
            with pytest.raises(openai.NotFoundError) as missing:
                await client.chat.completions.create(model="x", messages=_user("Hello"))
    assert missing.value.code == "model_not_found"


async def test_every_nth_request_of_the_chosen_key_is_rate_limited() -> None:
    statuses = []
    async with FakeUpstream(keys=["a", "b"], rate_limited_every={"b": 3}) as fake, httpx.AsyncClient() as client:
        for key in "ababababab" + "b":
            headers = {"authorization": f"Bearer {key}"}
            body = {"model": "m", "messages": HELLO}
            answer = await client.post(f"{fake.url}/v1/chat/completions", json=body, headers=headers)
            statuses.append((key, answer.status_code, answer.headers.get("retry-after")))
    good, limited = ("b", 200, None), ("b", 429, "2")
    assert [status for status in statuses if status[0] == "b"] == [good, good, limited, good, good, limited]
    assert {status for status in statuses if status[0] == "a"} == {("a", 200, None)}


async def test_sdk_retries_a_rate_limited_request_by_itself() -> None:
    async with FakeUpstream(keys=["a"], rate_limited_every={"a": 2}, retry_after_s=0.01) as fake:
        async with AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="a") as client:
            for _ in range(2):
                await client.chat.completions.create(model="m", messages=_user("Hello"))
        assert [request.account for request in fake.requests] == [0, 0, 0]


async def test_models_are_listed_and_described() -> None:
    async with FakeUpstream(models=["one", "org/two:free"]) as fake, _client(fake) as client:
        assert [model.id async for model in client.models.list()] == ["one", "org/two:free"]
        assert (await client.models.retrieve("org/two:free")).id == "org/two:free"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("three")
