"""What real clients send is taken as they send it by each of the five faces, and reaches upstreams of all protocols."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from asgi_ds2api.upstream.contract import UpstreamRequest
from tests.conformance.asking import (
    gemini_answer,
    gemini_chunk,
    gemini_stream,
    ollama_answer,
    ollama_end,
    ollama_stream,
    response_answer,
    response_events,
    response_stream,
    said_item,
)
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import CALLER_KEY, make_gateway, upstream
from tests.support.recorded import ClientRequest, case_params, clients, require_cases
from tests.support.scripted_client import Script, ScriptedUpstream, answering

pytestmark = pytest.mark.anyio

PATHS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "claude",
    "/api/chat": "ollama",
    "/api/generate": "ollama",
}
GEMINI = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)")
RELAYED = {
    "chat": "openai",
    "responses": "openai-responses",
    "claude": "anthropic",
    "gemini": "gemini",
    "ollama": "ollama",
}
"""Face -> the vendor that speaks its protocol to the letter."""
ENDS = {
    "chat": re.compile(r"data: \[DONE\]\n\n\Z"),
    "responses": re.compile(r"data: \[DONE\]\n\n\Z"),
    "claude": re.compile(r'event: message_stop\ndata: {"type":"message_stop"}\n\n\Z'),
    "gemini": re.compile(r'data: {[^\n]*"finishReason": ?"STOP"[^\n]*}\r?\n\r?\n\Z'),
    "ollama": re.compile(r'{[^\n]*"done": ?true[^\n]*}\n\Z'),
}
"""What a stream ends with."""
ANSWERS = {"choices", "content", "output", "candidates", "message", "response"}
"""Fields one of which a whole answer has."""
MISTRAL = {
    "js-sdks-35": "an image without its object",
    "js-sdks-36": "an image without its object",
    "python-frameworks-38": "a call without its type",
}
"""Clients who speak as Mistral's do and do not say so. OpenAI refuses their words, and relayed to it, they are told so;
a look-alike is given OpenAI's, and so is OpenAI where Mistral's own SDK asks."""
MISTRALS_OWN = "mistral-client-"
"""How Mistral's SDKs begin to say who they are."""
CREDENTIALS = {"authorization", "x-api-key", "x-goog-api-key"}
NOT_SENT = ("content-length",)
"""The bodies were cut when they were recorded."""


def face_of(path: str) -> str | None:
    """Return whose path of an operation that asks a model for an answer this is."""
    return "gemini" if GEMINI.fullmatch(path) else PATHS.get(path)


def is_stream(request: ClientRequest) -> bool:
    """Tell whether a stream is asked for; Ollama streams unless told otherwise."""
    if face_of(request.path) == "gemini":
        return "stream" in request.path
    return bool((request.body or {}).get("stream", face_of(request.path) == "ollama"))


def model_of(path: str, body: dict[str, Any]) -> str:
    match = GEMINI.fullmatch(path)
    return str(body["model"]) if match is None else match["model"]


def asking() -> list[ClientRequest]:
    """Return the requests that ask a model for an answer."""
    return [request for request in clients() if face_of(request.path) and request.method == "POST"]


def counting() -> list[ClientRequest]:
    return [request for request in clients() if request.path.endswith(("/count_tokens", ":countTokens"))]


LOOKED_AT = {"/": "data", "/v1/models": "data", "/api/tags": "models", "/api/show": "details"}
"""Where clients look for what there is, and what they are told."""


def looking() -> list[ClientRequest]:
    """Return the requests for what there is."""
    return [request for request in clients() if request.path in LOOKED_AT]


@dataclass
class Stage:
    """A gateway whose every model is served by one vendor."""

    gateway: Gateway
    protocol: str
    """``chat``, ``claude``, ...: the vendor's."""
    profile: str
    asked: Callable[[], list[tuple[str, Any]]]
    """Path and body of all requests that reached the vendor."""

    async def ask(self, request: ClientRequest) -> Answer:
        """Send a request as it was recorded, with a caller's key where there was one."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        kept = {name: _filled(name, value) for name, value in headers.items() if name not in NOT_SENT}
        if not kept.keys() & CREDENTIALS:  # a server of Ollama's wants none; a gateway's caller sets it as a header
            kept["authorization"] = f"Bearer {CALLER_KEY}"
        body = b"" if request.body is None else json.dumps(request.body).encode()
        return await call(self.gateway, request.method, request.path, headers=kept, query=request.query, body=body)


def _filled(name: str, value: str) -> str:
    """Return a header without the marks of those who recorded it: masked, or cut."""
    head, mark, _ = value.partition(" … (")
    scheme = "Bearer " if name == "authorization" else ""
    return head.rpartition(",")[0] if mark else value.replace("***", f"{scheme}{CALLER_KEY}")


VENDORS = [
    ("chat", "openai"),
    ("chat", "lenient"),
    ("responses", "openai-responses"),
    ("claude", "anthropic"),
    ("gemini", "gemini"),
    ("ollama", "ollama"),
]


FAKED = ("chat", "claude")
"""Protocols that the fake of our users' tests speaks; the others are scripted."""


@pytest.fixture(scope="module", params=VENDORS, ids=[profile for _, profile in VENDORS])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    protocol, profile = request.param
    callers = [{"label": "client", "key": Secret(CALLER_KEY)}]
    if protocol not in FAKED:
        scripted = ScriptedUpstream.by_request(partial(said_by, protocol))
        gateway = make_gateway(upstream(protocol, models=["*"], profile=profile), scripts={protocol: scripted},
                               auth="callers", callers=callers)  # fmt: skip
        yield Stage(gateway, protocol, profile, lambda: [
            (urlsplit(call.request.url).path, call.json()) for call in scripted.calls
        ])  # fmt: skip
        return
    with FakeUpstream() as vendor:
        table = upstream(protocol, url=vendor.url, models=["*"], profile=profile)
        gateway = make_gateway(table, auth="callers", callers=callers)
        yield Stage(gateway, protocol, profile, lambda: [(sent.path, sent.json) for sent in vendor.requests])


def said_by(protocol: str, request: UpstreamRequest) -> Script:
    """Return what a vendor says to a request, in the form that is asked for."""
    path, body = urlsplit(request.url).path, json.loads(request.body)
    if path.endswith(":countTokens"):
        return answering({"totalTokens": 7})
    if path.endswith("/input_tokens"):
        return answering({"object": "response.input_tokens", "input_tokens": 7})
    said = "Hello"
    if protocol == "gemini":
        told = gemini_chunk([{"text": said}], finish="STOP", usage={"promptTokenCount": 3, "candidatesTokenCount": 1})
        return gemini_stream(told) if "stream" in path else gemini_answer([{"text": said}])
    if protocol == "ollama":
        return ollama_stream(ollama_end({"content": said})) if body["stream"] else ollama_answer({"content": said})
    items = [said_item(said)]
    return response_stream(response_events(*items)) if body.get("stream") else response_answer(items)


@pytest.mark.parametrize("request_", case_params(asking))
async def test_client_is_answered_by_every_vendor(stage: Stage, request_: ClientRequest) -> None:
    face, body = face_of(request_.path), request_.body or {}
    assert face is not None
    answer = await stage.ask(request_)
    path, sent = stage.asked()[-1]
    streamed = "stream" in path if stage.protocol == "gemini" else bool(sent.get("stream"))
    assert (face_of(path), model_of(path, sent)) == (stage.protocol, model_of(request_.path, body))
    assert streamed == is_stream(request_)
    is_mistrals = request_.headers.get("user-agent", "").startswith(MISTRALS_OWN)
    if stage.profile == RELAYED[face] and not is_mistrals:
        assert sent == body
    if stage.profile == "openai" and request_.name in MISTRAL:
        assert answer.status == 400, MISTRAL[request_.name]
        return
    assert answer.status == 200, answer.text
    if is_stream(request_):
        assert ENDS[face].search(answer.text), answer.text[-300:]
    else:
        assert answer.json().keys() & ANSWERS


@pytest.mark.cases
def test_every_face_has_clients() -> None:
    require_cases()
    assert {face_of(request.path) for request in asking()} == RELAYED.keys()


@pytest.mark.cases
def test_every_client_is_asked_for() -> None:
    """What no face takes: Cohere's protocol, a path that was doubled, and a WebSocket of Codex's, which is refused."""
    require_cases()
    asked = {request.name for request in (*asking(), *counting(), *looking())}
    others = {request.path for request in clients() if request.name not in asked}
    doubled = "/v1beta/models/gemini-2.5-flash/models/gemini-2.5-flash"
    assert others == {"/v2/chat", "/v1/responses", f"{doubled}:generateContent", f"{doubled}:streamGenerateContent"}


@pytest.mark.parametrize("request_", case_params(counting))
async def test_client_is_told_a_count_by_every_vendor(stage: Stage, request_: ClientRequest) -> None:
    answer = await stage.ask(request_)
    assert answer.status == 200, answer.text
    count = answer.json()["totalTokens" if request_.path.endswith(":countTokens") else "input_tokens"]
    assert isinstance(count, int)
    assert count > 0


@pytest.mark.parametrize("request_", case_params(looking))
async def test_client_that_looks_around_is_greeted(stage: Stage, request_: ClientRequest) -> None:
    answer = await stage.ask(request_)
    assert answer.status == 200, answer.text
    if request_.method == "HEAD":
        assert answer.body == b""
    else:
        told = "models" if "x-goog-api-key" in request_.headers else LOOKED_AT[request_.path]
        assert isinstance(answer.json()[told], list | dict)
