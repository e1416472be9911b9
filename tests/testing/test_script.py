"""What a script says is said in the protocol in which it was asked, in order, and broken off where it says."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import anyio
import httpx
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from asgi_ds2api.testing import FakeUpstream, Script

pytestmark = pytest.mark.anyio

HELLO: Any = [{"role": "user", "content": "Hello"}]
CHAT = ("/v1/chat/completions", {"model": "m", "messages": HELLO})
MESSAGES = ("/v1/messages", {"model": "m", "max_tokens": 2000, "messages": HELLO})
BOTH = pytest.mark.parametrize(("path", "body"), [CHAT, MESSAGES], ids=["chat", "messages"])
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def _http(fake: FakeUpstream) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=fake.url, headers={"anthropic-version": "2023-06-01"})


async def _chat(fake: FakeUpstream, stream: bool) -> str:
    async with AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="any", max_retries=0) as client:
        if not stream:
            whole = await client.chat.completions.create(model="m", messages=HELLO)
            return whole.choices[0].message.content or ""
        chunks = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def _messages(fake: FakeUpstream, stream: bool) -> str:
    async with AsyncAnthropic(base_url=fake.url, api_key="any", max_retries=0) as client:
        if not stream:
            whole = await client.messages.create(model="m", max_tokens=2000, messages=HELLO)
            return "".join(block.text for block in whole.content if block.type == "text")
        async with client.messages.stream(model="m", max_tokens=2000, messages=HELLO) as events:
            return await events.get_final_text()


SDKS = pytest.mark.parametrize("ask", [_chat, _messages], ids=["openai", "anthropic"])
Ask = Callable[[FakeUpstream, bool], Awaitable[str]]


@SDKS
@STREAMED
async def test_answers_are_played_in_order_before_the_usual_ones(ask: Ask, stream: bool) -> None:
    async with FakeUpstream(script=Script.text("One.") * 2) as fake:
        fake.play(Script.text("Two."))
        said = [await ask(fake, stream) for _ in range(4)]
    assert said == ["One.", "One.", "Two.", 'You said: "Hello". I am m, a fake: I only repeat.']


@BOTH
async def test_script_can_be_played_again(path: str, body: dict[str, object]) -> None:
    script = Script.text("One.") + Script.error(500)
    async with FakeUpstream(script=script) as fake, _http(fake) as client:
        fake.play(script)
        statuses = [(await client.post(path, json=body)).status_code for _ in range(5)]
    assert statuses == [200, 500, 200, 500, 200]


@BOTH
@pytest.mark.parametrize(
    "request_body", [b"{", b"{}", b'{"model": "m", "max_tokens": 1, "messages": []}'], ids=lambda body: body.decode()
)
async def test_malformed_request_takes_nothing_from_the_script(
    path: str, body: dict[str, object], request_body: bytes
) -> None:
    async with FakeUpstream(script=Script.text("One.")) as fake, _http(fake) as client:
        assert (await client.post(path, content=request_body)).status_code == 400
        assert "One." in (await client.post(path, json=body)).text


@SDKS
@pytest.mark.parametrize(
    ("status", "name"),
    [(400, "BadRequestError"), (401, "AuthenticationError"), (429, "RateLimitError"), (503, "InternalServerError")],
)
async def test_error_raises_the_class_of_the_sdk(ask: Ask, status: int, name: str) -> None:
    sdk = openai if ask is _chat else anthropic
    async with FakeUpstream(script=Script.error(status, "No.")) as fake:
        with pytest.raises(getattr(sdk, name)) as caught:
            await ask(fake, False)
    assert "No." in str(caught.value)


async def test_error_takes_its_details_from_the_script() -> None:
    script = Script.error(
        429, "Later.", type="tokens", code="quota", param="p", retry_after_s=1.5, headers={"x-should-retry": "false"}
    )
    async with FakeUpstream(script=script) as fake, _http(fake) as client:
        answer = await client.post(CHAT[0], json=CHAT[1])
    assert answer.json() == {"error": {"message": "Later.", "type": "tokens", "param": "p", "code": "quota"}}
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1.5", "false")


@BOTH
@pytest.mark.parametrize(
    ("script", "text", "content_type"),
    [
        (Script.answer(json=[1, "é"]), '[1, "é"]', "application/json"),
        (Script.answer(json=None), "null", "application/json"),
        (Script.answer(502, text="<h1>Bad</h1>", headers={"Content-Type": "text/html"}), "<h1>Bad</h1>", "text/html"),
        (Script.answer(text=b"\x00"), "\x00", "text/plain; charset=utf-8"),
    ],
    ids=["json", "null", "html", "bytes"],
)
async def test_verbatim_body_is_sent_as_it_is(
    path: str, body: dict[str, object], script: Script, text: str, content_type: str
) -> None:
    async with FakeUpstream(script=script) as fake, _http(fake) as client:
        answer = await client.post(path, json=body)
    assert (answer.text, answer.headers["content-type"]) == (text, content_type)


async def test_verbatim_events_are_named_where_the_protocol_names_them() -> None:
    async with (
        FakeUpstream(script=Script.answer(events=[{"type": "a"}, {}, "[DONE]"]) * 2) as fake,
        _http(fake) as client,
    ):
        texts = [(await client.post(path, json=body)).text for path, body in (CHAT, MESSAGES)]
    unnamed = "data: {}\n\ndata: [DONE]\n\n"
    assert texts == ['data: {"type":"a"}\n\n' + unnamed, 'event: a\ndata: {"type":"a"}\n\n' + unnamed]


@SDKS
@STREAMED
async def test_cut_answer_raises_in_the_sdk(ask: Ask, stream: bool) -> None:
    async with FakeUpstream(script=Script.cut(after=150)) as fake:
        with pytest.raises(Exception, match=r"Connection error|incomplete|without sending complete"):
            await ask(fake, stream)


@BOTH
@STREAMED
@pytest.mark.parametrize("after", [0, 1, 150])
async def test_cut_answer_has_exactly_so_many_bytes(
    path: str, body: dict[str, object], stream: bool, after: int
) -> None:
    got = b""

    async def read(answer: httpx.Response) -> None:
        nonlocal got
        async for piece in answer.aiter_raw():
            got += piece

    async with (
        FakeUpstream(script=Script.cut(after=after, of=Script.text("word " * 50))) as fake,
        _http(fake) as client,
        client.stream("POST", path, json={**body, "stream": stream}) as answer,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await read(answer)
    assert (answer.status_code, len(got)) == (200, after)


@BOTH
async def test_cut_beyond_the_end_cuts_nothing(path: str, body: dict[str, object]) -> None:
    async with FakeUpstream(script=Script.cut(after=10**6, of=Script.text("All."))) as fake, _http(fake) as client:
        assert "All." in (await client.post(path, json=body)).text


@BOTH
@pytest.mark.parametrize("script", [Script.hang(), Script.hang(after=150), Script.hang(after=0)], ids=[0, 150, "head"])
async def test_hanging_answer_ends_when_the_caller_leaves(path: str, body: dict[str, object], script: Script) -> None:
    async with FakeUpstream(script=script) as fake, _http(fake) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.post(path, json={**body, "stream": True}, timeout=None))
            await fake.wait_requests(1)
            assert fake.open_connections == 1
            group.cancel_scope.cancel()
        await fake.wait_closed()


async def test_hanging_answer_sends_what_comes_before() -> None:
    async with (
        FakeUpstream(script=Script.hang(after=100)) as fake,
        _http(fake) as client,
        client.stream("POST", CHAT[0], json={**CHAT[1], "stream": True}) as answer,
    ):
        pieces, got = answer.aiter_raw(), b""
        while len(got) < 100:
            got += await anext(pieces)
        assert (len(got), fake.open_connections) == (100, 1)


async def test_calls_of_a_script_need_no_offered_tool() -> None:
    script = Script.tool_calls(("f", {"a": "é"}), ("g", {}), text="Wait.")
    async with FakeUpstream(script=script * 2) as fake, _http(fake) as client:
        chat = (await client.post(CHAT[0], json=CHAT[1])).json()
        message = (await client.post(MESSAGES[0], json=MESSAGES[1])).json()
    said = chat["choices"][0]["message"]
    assert said["content"] == message["content"][0]["text"] == "Wait."
    calls = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in said["tool_calls"]]
    assert (
        calls == [(block["name"], block["input"]) for block in message["content"][1:]] == [("f", {"a": "é"}), ("g", {})]
    )


def test_script_tells_its_length_and_not_its_words() -> None:
    assert repr(Script.text("secret") * 3) == "<Script of 3 answer(s)>"
