"""Every face says errors natively: whatever goes wrong, the SDK of a face raises its own class, status and words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import errors, types

from asgi_ds2api import Gateway
from asgi_ds2api.testing import FakeUpstream, Script
from tests.support.gateways import Records
from tests.support.serving import serve

from .conftest import Stage

MOST_BYTES = 4_000
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A gateway that takes little, in front of one account of a look-alike (it is translated) that serves one model."""
    with FakeUpstream() as fake:
        upstream = {
            "name": "chat",
            "protocol": "openai_chat",
            "base_url": f"{fake.url}/v1",
            "profile": "lenient",
            "accounts": [{"label": "a", "key": lambda: "key-of-account-one-0123"}],
            "models": ["m"],
        }
        config = {"auth": "none", "upstreams": [upstream], "limits": {"max_body_bytes": MOST_BYTES}}
        records = Records()
        with serve(Gateway(config, hooks=[records])) as served:
            yield Stage(url=served.url, fake=fake, records=records, model="m")


@dataclass(frozen=True)
class Asked:
    """One question: to which model, how, and what is wrong with it."""

    model: str = "m"
    stream: bool = False
    text: str = "Hello"
    is_broken: bool = False
    """What stands for the talk is a number."""


def by_chat(url: str, asked: Asked) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        more = {"messages": 5} if asked.is_broken else {}
        messages: Any = [{"role": "user", "content": asked.text}]
        create: Any = client.chat.completions.create
        read(create(model=asked.model, messages=messages, stream=asked.stream, extra_body=more), asked)


def by_responses(url: str, asked: Asked) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        more = {"input": 5} if asked.is_broken else {}
        create: Any = client.responses.create
        answer = create(model=asked.model, input=asked.text, stream=asked.stream, extra_body=more)
        for event in answer if asked.stream else ():
            if event.type == "response.failed":  # what the SDK has in place of an exception
                raise InBand(event.response.error.code, event.response.error.message)


class InBand(Exception):
    """A stream of Responses that says itself that it failed."""


def by_claude(url: str, asked: Asked) -> None:
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        more = {"messages": 5} if asked.is_broken else {}
        messages: Any = [{"role": "user", "content": asked.text}]
        create: Any = client.messages.create
        read(create(model=asked.model, max_tokens=9, messages=messages, stream=asked.stream, extra_body=more), asked)


def by_gemini(url: str, asked: Asked) -> None:
    more = {"contents": 5} if asked.is_broken else None
    options = types.HttpOptions(base_url=url, api_version="v1beta", extra_body=more)
    with genai.Client(api_key="any", http_options=options) as client:
        models: Any = client.models
        ask = models.generate_content_stream if asked.stream else models.generate_content
        read(ask(model=asked.model, contents=asked.text), asked)


def by_ollama(url: str, asked: Asked) -> None:
    with ollama.Client(f"{url}/ollama") as client:
        if asked.is_broken:
            client._request_raw("POST", "/api/chat", json={"model": asked.model, "messages": 5})
        messages = [{"role": "user", "content": asked.text}]
        chat: Any = client.chat
        read(chat(asked.model, messages=messages, stream=asked.stream), asked)


def read(answer: Any, asked: Asked) -> None:
    """Read a stream to its end."""
    for _ in answer if asked.stream else ():
        pass


Ask = Callable[[str, Asked], None]
FACES: dict[str, Ask] = {
    "chat": by_chat,
    "responses": by_responses,
    "claude": by_claude,
    "gemini": by_gemini,
    "ollama": by_ollama,
}
CLASSES: dict[int, dict[str, Any]] = {
    400: {"openai": openai.BadRequestError, "anthropic": anthropic.BadRequestError},
    404: {"openai": openai.NotFoundError, "anthropic": anthropic.NotFoundError},
    413: {"openai": openai.APIStatusError, "anthropic": anthropic.APIStatusError},
    429: {"openai": openai.RateLimitError, "anthropic": anthropic.RateLimitError},
    502: {"openai": openai.InternalServerError, "anthropic": anthropic.InternalServerError},
    503: {"openai": openai.InternalServerError, "anthropic": anthropic.InternalServerError},
}
STATUSES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "INTERNAL",
    503: "UNAVAILABLE",
}
"""How Google calls them."""
each_face = pytest.mark.parametrize("face", FACES)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def told(face: str, stage: Stage, asked: Asked, status: int) -> str:
    """Ask, and return the words of the error, which is the SDK's own for this status."""
    sdk = {"chat": "openai", "responses": "openai", "claude": "anthropic"}.get(face, face)
    if face == "gemini":
        with pytest.raises(errors.ServerError if status >= 500 else errors.ClientError) as raised:
            FACES[face](stage.url, asked)
        assert (raised.value.code, raised.value.status) == (status, STATUSES[status])
        return str(raised.value.message)
    if face == "ollama":
        with pytest.raises(ollama.ResponseError) as refused:
            FACES[face](stage.url, asked)
        assert refused.value.status_code == status
        return refused.value.error
    with pytest.raises(CLASSES[status][sdk]) as caught:
        FACES[face](stage.url, asked)
    expected = 529 if face == "claude" and status == 503 else status
    assert caught.value.status_code == expected
    assert caught.value.response.headers["x-request-id"]
    return str(caught.value.message)


@each_face
@whole_and_streamed
def test_unknown_model_is_not_found(stage: Stage, face: str, stream: bool) -> None:
    assert "model" in told(face, stage, Asked(model="nobody", stream=stream), 404)
    assert stage.fake.requests == ()


@each_face
def test_body_that_is_none_names_what_is_wrong(stage: Stage, face: str) -> None:
    words = told(face, stage, Asked(is_broken=True), 400)
    assert {"responses": "input", "gemini": "contents"}.get(face, "messages") in words
    assert stage.fake.requests == ()


@each_face
def test_too_large_body_is_told_the_limit(stage: Stage, face: str) -> None:
    assert told(face, stage, Asked(text="x" * MOST_BYTES), 413)
    assert stage.fake.requests == ()


@each_face
def test_pool_without_an_open_account_says_so_and_asks_nobody(stage: Stage, face: str) -> None:
    stage.play(Script.error(429, retry_after_s=60))
    told(face, stage, Asked(), 429)
    assert told(face, stage, Asked(), 429)
    assert len(stage.fake.requests) == 1


@each_face
@whole_and_streamed
@pytest.mark.parametrize(("sent", "status"), [(401, 502), (429, 429), (500, 502), (529, 503)])
def test_upstreams_error_is_told_in_the_words_of_the_face(
    stage: Stage, face: str, stream: bool, sent: int, status: int
) -> None:
    stage.play(Script.error(sent, "secret words of the vendor") * 3)
    words = told(face, stage, Asked(stream=stream), status)
    assert words
    assert ("secret words" in words) <= (sent == 429)


CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
BROKEN = Script.answer(
    events=[
        {**CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]},
        {"error": {"message": "went wrong", "type": "server_error", "code": "server_error", "param": None}},
    ]
)
IN_BAND = {
    "chat": openai.APIError,
    "responses": InBand,
    "claude": anthropic.APIStatusError,
    "gemini": errors.APIError,
    "ollama": ollama.ResponseError,
}


@each_face
def test_error_behind_the_first_word_raises_the_sdks_own(stage: Stage, face: str) -> None:
    stage.play(BROKEN)
    with pytest.raises(IN_BAND[face]) as caught:
        FACES[face](stage.url, Asked(stream=True))
    assert str(caught.value)
    assert len(stage.fake.requests) == 1


MANAGEMENT: dict[str, Callable[[ollama.Client], object]] = {
    "pull": lambda client: client.pull("llama3"),
    "pull-streamed": lambda client: list(client.pull("llama3", stream=True)),
    "push": lambda client: client.push("llama3"),
    "create": lambda client: client.create("mine", from_="llama3"),
    "copy": lambda client: client.copy("llama3", "mine"),
    "delete": lambda client: client.delete("llama3"),
}


@pytest.mark.parametrize("manage", MANAGEMENT.values(), ids=MANAGEMENT)
@pytest.mark.parametrize("prefix", ["", "/ollama"], ids=["bare", "ollama"])
def test_models_of_a_gateway_are_not_managed_and_the_sdk_says_so(
    stage: Stage, manage: Callable[[ollama.Client], object], prefix: str
) -> None:
    with ollama.Client(f"{stage.url}{prefix}") as client, pytest.raises(ollama.ResponseError) as caught:
        manage(client)
    assert caught.value.status_code == 404
    assert "Models are configured" in caught.value.error
    assert stage.fake.requests == ()
