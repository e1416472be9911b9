"""The fake speaks Anthropic Messages: the official SDK understands all of it, and gets its own exceptions."""

import base64
import json
from typing import Any

import anthropic
import anyio
import httpx
import pytest
from anthropic import Anthropic, AsyncAnthropic

from asgi_ds2api.testing import FakeUpstream, Script

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME: Any = {"name": "get_time", "input_schema": {"type": "object"}}
SEARCH: Any = {"type": "web_search_20250305", "name": "web_search"}
PIXEL = base64.b64encode(b"x" * 68).decode()
HELLO: Any = [{"role": "user", "content": "Hello"}]
VERSION = {"anthropic-version": "2023-06-01"}


def _client(fake: FakeUpstream, key: str = "any") -> AsyncAnthropic:
    return AsyncAnthropic(base_url=fake.url, api_key=key, max_retries=0)


async def _answered(**request: Any) -> anthropic.types.Message:
    async with FakeUpstream() as fake, _client(fake) as client:
        message: anthropic.types.Message = await client.messages.create(
            **{"model": "m", "max_tokens": 2000, "messages": HELLO, **request}
        )
    return message


def _text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def test_text_depends_on_the_question_and_usage_counts_words() -> None:
    message = await _answered(system="Be kind.", messages=[{"role": "user", "content": "Hello you"}])
    assert _text(message) == 'You said: "Hello you". I am m, a fake: I only repeat.'
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 4, 12)


async def test_sync_client_of_an_async_test_is_served() -> None:
    def ask(url: str) -> str:
        with Anthropic(base_url=url, api_key="any") as client:
            return _text(client.messages.create(model="m", max_tokens=20, messages=HELLO))

    async with FakeUpstream(script=Script.text("Hi.")) as fake:
        assert await anyio.to_thread.run_sync(ask, fake.url) == "Hi."


def test_sync_test_is_served_from_a_thread() -> None:
    with (
        FakeUpstream(script=Script.text("Hi there.")) as fake,
        Anthropic(base_url=fake.url, api_key="any") as client,
        client.messages.stream(model="m", max_tokens=20, messages=HELLO) as stream,
    ):
        assert list(stream.text_stream) == ["Hi ", "there."]


async def test_events_follow_the_grammar() -> None:
    body = {"model": "m", "max_tokens": 20, "messages": HELLO, "stream": True}
    script = Script.text("A b", reasoning="Hm", ending="stop", stop="c")
    async with FakeUpstream(script=script) as fake, httpx.AsyncClient(headers=VERSION) as client:
        answer = await client.post(f"{fake.url}/v1/messages?beta=true", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, rest = answer.text.split("\n\n")
    assert rest == ""
    named = [event.removeprefix("event: ").split("\ndata: ") for event in events]
    payloads = [json.loads(data) for _, data in named]
    assert [name for name, _ in named] == [data["type"] for data in payloads]
    start, ping, *blocks, delta, stop = payloads
    signature = blocks[2]["delta"].pop("signature")
    assert start["message"]["content"] == []
    assert (start["message"]["stop_reason"], start["message"]["usage"]["output_tokens"]) == (None, 1)
    assert blocks == [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "A "}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_stop", "index": 1},
    ]
    assert len(base64.b64decode(signature)) == 32
    assert delta["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "c", "stop_details": None}
    assert delta["usage"]["output_tokens"] == 3
    assert (ping, stop) == ({"type": "ping"}, {"type": "message_stop"})


async def test_events_of_a_tool_call_follow_the_grammar() -> None:
    async with FakeUpstream(script=Script.tool_call("f", {"a": 1})) as fake, _client(fake) as client:
        stream = await client.messages.create(model="m", max_tokens=20, messages=HELLO, stream=True)
        events = [event.model_dump(exclude_unset=True) async for event in stream]
    _, start, *deltas, _, delta, _ = events
    assert start["content_block"] == {"type": "tool_use", "id": "toolu_fake0000000100000000", "name": "f", "input": {}}
    assert [event["delta"]["partial_json"] for event in deltas] == ["", '{"a": ', "1}"]
    assert delta["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"tools": [WEATHER, TIME], "thinking": {"type": "adaptive"}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"max_tokens": 2},
    ],
    ids=str,
)
async def test_streamed_answer_is_the_unstreamed_one(request_body: dict[str, Any]) -> None:
    request = {"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": "Both"}], **request_body}
    async with FakeUpstream() as fake, _client(fake) as client:
        whole = await client.messages.create(**request)
        async with client.messages.stream(**request) as stream:
            streamed = await stream.get_final_message()
    one, other = (json.loads(message.to_json()) for message in (whole, streamed))
    for message in (one, other):
        del message["id"]
        for block in message["content"]:
            block.pop("id", None)
            block.pop("parsed_output", None)
    assert other == one


async def test_offered_tool_is_called_and_its_answer_cited() -> None:
    messages: Any = [{"role": "user", "content": "What is the weather like?"}]
    async with FakeUpstream() as fake, _client(fake) as client:
        request: Any = {"model": "m", "max_tokens": 2000, "tools": [TIME, SEARCH, WEATHER]}
        asked = await client.messages.create(messages=messages, **request)
        (call,) = asked.content
        assert call.type == "tool_use"
        assert (call.name, call.input, asked.stop_reason) == ("get_weather", {"city": "city"}, "tool_use")
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        content = [{"type": "text", "text": "It snows"}, image]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": content, "is_error": True}
        messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        answer = await client.messages.create(messages=messages, **request)
    assert _text(answer) == 'The tool failed: "It snows [image image/png]". I am m, a fake: I only repeat.'


@pytest.mark.parametrize(
    ("text", "request_body", "called"),
    [
        ("Weather in both towns", {"tools": [WEATHER]}, ["city", "city 2"]),
        ("Both", {"tools": [WEATHER], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, ["city"]),
        ("Hello", {"tools": [WEATHER], "tool_choice": {"type": "none"}}, []),
        ("Hello", {"tools": [WEATHER], "tool_choice": {"type": "any"}}, ["city"]),
        ("Hello", {"tools": [WEATHER, TIME], "tool_choice": {"type": "tool", "name": "get_time"}}, [None]),
        ("Hello", {"tools": [SEARCH]}, []),
    ],
)
async def test_tools_are_chosen_by_the_question_and_tool_choice(
    text: str, request_body: dict[str, Any], called: list[str | None]
) -> None:
    message = await _answered(messages=[{"role": "user", "content": text}], **request_body)
    assert [block.input.get("city") for block in message.content if block.type == "tool_use"] == called


@pytest.mark.parametrize(
    ("block", "seen"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            "I see an image: image/png, 68 bytes.",
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            "I see an image: elsewhere: I do not fetch.",
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "né"}},
            "I see a document: text/plain, 3 bytes.",
        ),
    ],
    ids=["image", "image of the web", "document"],
)
async def test_attachments_are_seen(block: dict[str, Any], seen: str) -> None:
    message = await _answered(messages=[{"role": "user", "content": [block, {"type": "text", "text": "Look"}]}])
    assert _text(message) == f'{seen} You said: "Look". I am m, a fake: I only repeat.'


async def test_structured_output_is_valid_for_its_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}}, "required": ["n"]}
    message = await _answered(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(_text(message)) == {"n": 5}


@pytest.mark.parametrize(
    ("thinking", "shown"),
    [
        ({"type": "adaptive"}, ['I was asked: "Hello". I shall make something up.']),
        ({"type": "enabled", "budget_tokens": 1024}, ['I was asked: "Hello". I shall make something up.']),
        ({"type": "adaptive", "display": "omitted"}, [""]),
        ({"type": "disabled"}, []),
    ],
    ids=str,
)
async def test_thinking_is_shown_when_asked_for(thinking: dict[str, Any], shown: list[str]) -> None:
    message = await _answered(thinking=thinking)
    assert [block.thinking for block in message.content if block.type == "thinking"] == shown


async def _reply_to_own_thoughts(display: str, changed: dict[str, str]) -> anthropic.types.Message:
    """Ask for thoughts, change them and send them back."""
    request: Any = {"model": "m", "max_tokens": 2000, "thinking": {"type": "adaptive", "display": display}}
    async with FakeUpstream() as fake, _client(fake) as client:
        thinking, text = (await client.messages.create(messages=HELLO, **request)).content
        said = [{**thinking.to_dict(), **changed}, text.to_dict()]
        messages: Any = [*HELLO, {"role": "assistant", "content": said}, {"role": "user", "content": "And?"}]
        message: anthropic.types.Message = await client.messages.create(messages=messages, **request)
    return message


@pytest.mark.parametrize("display", ["summarized", "omitted"])
async def test_own_thinking_is_taken_back(display: str) -> None:
    assert "And?" in _text(await _reply_to_own_thoughts(display, {}))


@pytest.mark.parametrize("display", ["summarized", "omitted"])
@pytest.mark.parametrize(
    "changed",
    [
        {"thinking": "Other thoughts."},
        {"signature": ""},
        {"signature": "not base64"},
        {"signature": base64.b64encode(b"x" * 32).decode()},
    ],
    ids=str,
)
async def test_thinking_of_others_is_refused(display: str, changed: dict[str, str]) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0: Invalid `signature`"):
        await _reply_to_own_thoughts(display, changed)


@pytest.mark.parametrize(
    ("request_body", "text", "reason", "stop"),
    [
        ({"max_tokens": 3}, 'You said: "a', "max_tokens", None),
        ({"max_tokens": 0}, "", "max_tokens", None),
        ({"stop_sequences": ["c", "b"]}, 'You said: "a ', "stop_sequence", "b"),
    ],
    ids=str,
)
async def test_limits_end_the_answer(request_body: dict[str, Any], text: str, reason: str, stop: str | None) -> None:
    message = await _answered(messages=[{"role": "user", "content": "a b c"}], **request_body)
    assert (_text(message), message.stop_reason, message.stop_sequence) == (text, reason, stop)


CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}


def _talk(*turns: tuple[str, object]) -> dict[str, object]:
    return {"messages": [*HELLO, *({"role": role, "content": content} for role, content in turns)]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"max_tokens": ...}, "max_tokens"),
        ({"model": ...}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
        (_talk(("assistant", ""), ("user", "x")), "messages.1: all messages must have non-empty content"),
        (_talk(("assistant", [CALL])), "messages.1: `tool_use` ids were found without `tool_result`"),
        (_talk(("assistant", [CALL]), ("user", "x")), "messages.1: `tool_use` ids were found without `tool_result`"),
        (
            _talk(("assistant", "x"), ("user", [RESULT])),
            "messages.2: unexpected `tool_use_id` found in `tool_result` blocks",
        ),
        (_talk(("assistant", [CALL, CALL]), ("user", [RESULT])), "`tool_use` ids must be unique"),
        (
            _talk(("assistant", [CALL]), ("user", [{"type": "text", "text": "x"}, RESULT])),
            "messages.2: `tool_result` blocks must come before",
        ),
        ({"tools": [WEATHER, WEATHER]}, "tools.1.name"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.name"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.input_schema.type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "not found in provided tools"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be greater"),
        (
            {
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "tools": [WEATHER],
                "tool_choice": {"type": "any"},
            },
            "Thinking may not be enabled",
        ),
        ({"temperature": 1.5}, "temperature"),
        (
            _talk(
                (
                    "user",
                    [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}],
                )
            ),
            "messages.1.content.0.image.source.base64",
        ),
    ],
)
async def test_malformed_request_gets_a_native_400(body: dict[str, object], message: str) -> None:
    merged = {"model": "m", "max_tokens": 2000, "messages": HELLO, **body}
    request = {name: value for name, value in merged.items() if value is not ...}
    async with FakeUpstream() as fake, httpx.AsyncClient(headers=VERSION) as client:
        answer = await client.post(f"{fake.url}/v1/messages", json=request)
    got = answer.json()
    assert (answer.status_code, got["type"], got["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in got["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, {}, 400),
        ({"anthropic-version": "2020-01-01"}, {}, 400),
        ({"anthropic-version": "2023-06-01"}, {"temperature": 1}, 200),
        ({"anthropic-version": "2026-10-21"}, {}, 200),
        ({"anthropic-version": "2026-10-21"}, {"temperature": 1}, 400),
    ],
    ids=str,
)
async def test_version_is_required_and_the_new_one_takes_no_sampling(
    headers: dict[str, str], body: dict[str, object], status: int
) -> None:
    request = {"model": "m", "max_tokens": 20, "messages": HELLO, **body}
    async with FakeUpstream() as fake, httpx.AsyncClient(headers=headers) as client:
        assert (await client.post(f"{fake.url}/v1/messages", json=request)).status_code == status


async def test_results_may_be_spread_over_messages_of_one_turn() -> None:
    second = {"type": "tool_result", "tool_use_id": "t2"}
    messages = _talk(
        ("assistant", [CALL, {**CALL, "id": "t2"}]),
        ("user", [RESULT]),
        ("user", [second, {"type": "text", "text": "Well?"}]),
    )["messages"]
    message = await _answered(messages=messages)
    assert _text(message) == (
        'The tool answered: "x". The tool answered: "". You said: "Well?". I am m, a fake: I only repeat.'
    )


async def test_error_raises_the_class_of_the_sdk_with_its_request_id() -> None:
    async with FakeUpstream(keys=["right"], models=["m"]) as fake:
        async with _client(fake, "wrong") as client:
            with pytest.raises(anthropic.AuthenticationError) as caught:
                await client.messages.create(model="m", max_tokens=20, messages=HELLO)
        assert caught.value.request_id == "req_fake00000001"
        async with _client(fake, "right") as client:
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.create(model="x", max_tokens=20, messages=HELLO)


async def test_keys_are_taken_from_either_header() -> None:
    request = {"model": "m", "max_tokens": 20, "messages": HELLO}
    async with FakeUpstream(keys=["k"], rate_limited_every={"k": 1}) as fake, httpx.AsyncClient() as client:
        for header in ({"x-api-key": "k"}, {"authorization": "Bearer k"}):
            answer = await client.post(f"{fake.url}/v1/messages", json=request, headers={**VERSION, **header})
            assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
            assert answer.headers["retry-after"] == "2"


async def test_tokens_are_counted_as_they_are_billed() -> None:
    request: Any = {"model": "m", "system": "Be kind.", "messages": HELLO, "tools": [WEATHER]}
    async with FakeUpstream() as fake, _client(fake) as client:
        counted = await client.messages.count_tokens(**request)
        billed = await client.messages.create(**request, max_tokens=20)
    assert counted.input_tokens == billed.usage.input_tokens == 4


async def test_models_are_listed_in_pages_and_described() -> None:
    names = [f"model-{i}" for i in range(5)]
    async with FakeUpstream(models=names) as fake, _client(fake) as client:
        assert [model.id async for model in client.models.list(limit=2)] == names
        assert len(fake.requests) == 3
        assert (await client.models.retrieve("model-3")).created_at.year == 2026
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("model-9")
