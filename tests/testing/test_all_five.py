"""What holds of the fake in each of its protocols: one table, five rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from asgi_ds2api.testing import FakeUpstream, Script

TOLD = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
PIXEL = "iVBORw0KGgp4eHh4eHh4eHh4eHh4eHh4"


@dataclass(frozen=True)
class Row:
    """A protocol, in the least words."""

    path: str
    body: dict[str, Any]
    """Asks "Hello you" of a model ``m``, with "Be kind." as the system's word, for a whole answer."""
    text: Callable[[Any], str]
    usage: Callable[[Any], tuple[int, int]]
    error: Callable[[Any], str]
    tools: dict[str, Any]
    calls: Callable[[Any], list[tuple[str, Any]]]
    picture: dict[str, Any]
    headers: dict[str, str]


def _of(answer: Any, *path: str | int) -> Any:
    for step in path:
        answer = answer[step]
    return answer


CHAT = Row(
    "/v1/chat/completions",
    {"model": "m", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello you"}]},
    lambda body: str(_of(body, "choices", 0, "message", "content")),
    lambda body: (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]),
    lambda body: str(body["error"]["message"]),
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": TOLD}}]},
    lambda body: [
        (call["function"]["name"], call["function"]["arguments"])
        for call in _of(body, "choices", 0, "message", "tool_calls")
    ],
    {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}],
            }
        ]
    },
    {"authorization": "Bearer KEY"},
)
RESPONSES = Row(
    "/v1/responses",
    {"model": "m", "instructions": "Be kind.", "input": "Hello you"},
    lambda body: "".join(_of(item, "content", 0, "text") for item in body["output"] if item["type"] == "message"),
    lambda body: (body["usage"]["input_tokens"], body["usage"]["output_tokens"]),
    lambda body: str(body["error"]["message"]),
    {"tools": [{"type": "function", "name": "f", "parameters": TOLD}]},
    lambda body: [(item["name"], item["arguments"]) for item in body["output"] if item["type"] == "function_call"],
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]}]},
    {"authorization": "Bearer KEY"},
)
MESSAGES = Row(
    "/v1/messages",
    {"model": "m", "max_tokens": 99, "system": "Be kind.", "messages": [{"role": "user", "content": "Hello you"}]},
    lambda body: "".join(block["text"] for block in body["content"] if block["type"] == "text"),
    lambda body: (body["usage"]["input_tokens"], body["usage"]["output_tokens"]),
    lambda body: str(body["error"]["message"]),
    {"tools": [{"name": "f", "input_schema": TOLD}]},
    lambda body: [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"],
    {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}],
            }
        ]
    },
    {"x-api-key": "KEY", "anthropic-version": "2023-06-01"},
)
GEMINI = Row(
    "/v1beta/models/m:generateContent",
    {"systemInstruction": {"parts": [{"text": "Be kind."}]}, "contents": [{"parts": [{"text": "Hello you"}]}]},
    lambda body: "".join(part.get("text", "") for part in _of(body, "candidates", 0, "content", "parts")),
    lambda body: (body["usageMetadata"]["promptTokenCount"], body["usageMetadata"]["candidatesTokenCount"]),
    lambda body: str(body["error"]["message"]),
    {"tools": [{"functionDeclarations": [{"name": "f", "parameters_json_schema": TOLD}]}]},
    lambda body: [
        (part["functionCall"]["name"], part["functionCall"]["args"])
        for part in _of(body, "candidates", 0, "content", "parts")
    ],
    {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}]},
    {"x-goog-api-key": "KEY"},
)
OLLAMA = Row(
    "/api/chat",
    {
        "model": "m",
        "stream": False,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello you"}],
    },
    lambda body: str(body["message"]["content"]),
    lambda body: (body["prompt_eval_count"], body["eval_count"]),
    lambda body: str(body["error"]),
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": TOLD}}]},
    lambda body: [(call["function"]["name"], call["function"]["arguments"]) for call in body["message"]["tool_calls"]],
    {"messages": [{"role": "user", "content": "", "images": [PIXEL]}]},
    {"authorization": "Bearer KEY"},
)
ROWS = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "gemini": GEMINI, "ollama": OLLAMA}
every_protocol = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def ask(fake: FakeUpstream, row: Row, key: str = "any", **fields: Any) -> httpx.Response:
    headers = {name: value.replace("KEY", key) for name, value in row.headers.items()}
    return httpx.post(fake.url + row.path, json=row.body | fields, headers=headers)


@every_protocol
def test_same_talk_costs_the_same(row: Row) -> None:
    with FakeUpstream() as fake:
        body = ask(fake, row).json()
    assert row.text(body) == 'You said: "Hello you". I am m, a fake: I only repeat.'
    assert row.usage(body) == (4, 12)


@every_protocol
def test_script_is_said_in_order_and_then_the_fake_speaks_for_itself(row: Row) -> None:
    with FakeUpstream(script=Script.text("One.") + Script.error(500, "these words") + Script.text("Two.")) as fake:
        first, second, third, last = (ask(fake, row) for _ in range(4))
    assert [row.text(answer.json()) for answer in (first, third)] == ["One.", "Two."]
    assert (second.status_code, row.error(second.json())) == (500, "these words")
    assert row.text(last.json()).startswith("You said")


@every_protocol
def test_offered_tool_is_called_and_a_scripted_one_as_well(row: Row) -> None:
    with FakeUpstream() as fake:
        ((name, arguments),) = row.calls(ask(fake, row, **row.tools).json())
        fake.play(Script.tool_calls(("g", {"b": 1}), ("h", {})))
        scripted = row.calls(ask(fake, row).json())
    assert (name, "a" in arguments) == ("f", True)
    assert [name for name, _ in scripted] == ["g", "h"]


@every_protocol
def test_picture_is_seen(row: Row) -> None:
    with FakeUpstream() as fake:
        assert "I see an image: image/png, 24 bytes." in row.text(ask(fake, row, **row.picture).json())


@every_protocol
def test_key_tells_the_account_and_others_are_refused(row: Row) -> None:
    with FakeUpstream(keys=["one", "two"]) as fake:
        statuses = [ask(fake, row, key).status_code for key in ("one", "two", "three")]
        accounts = [request.account for request in fake.requests]
    assert statuses == [200, 200, 400 if row is GEMINI else 401]  # Google calls an unknown key a bad argument
    assert accounts == [0, 1, None]


@every_protocol
def test_unknown_model_is_a_404_and_a_limited_key_a_429(row: Row) -> None:
    with FakeUpstream(models=["other"]) as fake:
        answer = ask(fake, row)
    assert answer.status_code == 404
    assert "m" in row.error(answer.json())
    with FakeUpstream(keys=["one"], rate_limited_every={"one": 2}, retry_after_s=3) as fake:
        limited = [ask(fake, row, "one") for _ in range(2)]
    assert [answer.status_code for answer in limited] == [200, 429]
    assert limited[1].headers["retry-after"] == "3"


@every_protocol
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": 1}'], ids=lambda body: body.decode())
def test_malformed_body_is_refused_and_takes_nothing_from_the_script(row: Row, body: bytes) -> None:
    headers = {**row.headers, "content-type": "application/json"}
    with FakeUpstream(script=Script.text("One.")) as fake:
        refused = httpx.post(fake.url + row.path, content=body, headers=headers)
        assert row.text(ask(fake, row).json()) == "One."
    assert refused.status_code == 400
    assert row.error(refused.json())
