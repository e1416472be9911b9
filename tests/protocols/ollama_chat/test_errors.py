"""Errors come out as the one text that Ollama's SDK knows."""

import json
from typing import Any

import httpx
import ollama
import pytest

from asgi_ds2api.codec import ErrorAnswer
from asgi_ds2api.errors import GatewayError, KeyRefused, MalformedRequest, Overloaded, Refused, UnknownModel
from asgi_ds2api.protocols import ollama_chat as codec
from tests.docs.every_error import every_error


def raised(answer: ErrorAnswer) -> ollama.ResponseError:
    """Return what the SDK raises."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status, headers=list(answer.headers), content=answer.body)

    client = ollama.Client("http://test", transport=httpx.MockTransport(respond))
    with client, pytest.raises(ollama.ResponseError) as caught:
        client.chat("m", messages=[{"role": "user", "content": "hi"}])
    return caught.value


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: f"{type(error).__name__}-{error.status}")
def test_sdk_raises_its_own_error_with_our_words(error: GatewayError) -> None:
    found = raised(codec.encode_error(error, "req_1"))
    assert found.error == error.message
    assert found.status_code == (503 if isinstance(error, Overloaded) else error.status)


def test_place_of_a_mistake_stands_before_the_words() -> None:
    answer = codec.encode_error(MalformedRequest("Expected a string.", param="messages[0].content"), "r")
    assert json.loads(answer.body) == {"error": "messages[0].content: Expected a string."}


def test_others_C10_unknown_model_is_told_by_its_name() -> None:
    answer = codec.encode_error(UnknownModel("There is none.", asked="x"), "r")
    assert (answer.status, json.loads(answer.body)) == (404, {"error": "model 'x' not found"})


def decoded(status: int, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return codec.decode_error(status, headers, data)


@pytest.mark.parametrize(
    ("status", "words", "kind", "refusal"),
    [
        (404, "model 'x' not found", Refused, "model_not_found"),
        (400, '"x" does not support thinking', Refused, "invalid_request"),
        (401, "unauthorized", KeyRefused, None),
        (503, "server busy, please try again.  maximum pending requests exceeded", Overloaded, None),
    ],
)
def test_error_of_an_upstream_is_read(status: int, words: str, kind: type, refusal: str | None) -> None:
    error = decoded(status, {"error": words})
    assert type(error) is kind
    assert getattr(error, "kind", None) == refusal


def test_body_of_its_own_dialect_is_passed_on() -> None:
    body = {"error": "model 'x' not found"}
    assert json.loads(codec.encode_error(decoded(404, body), "r").body) == body


def test_hint_about_retrying_is_kept() -> None:
    headers = dict(codec.encode_error(decoded(429, {"error": "slow"}, **{"retry-after": "7"}), "r").headers)
    assert headers[b"retry-after"] == b"7"
