"""What real clients send is taken as they send it, and reaches upstreams of both protocols."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from asgi_ds2api.gateway import Gateway
from asgi_ds2api.secret import Secret
from asgi_ds2api.testing import FakeUpstream
from tests.support.asgi_driver import Answer, call
from tests.support.gateways import CALLER_KEY, make_gateway, upstream
from tests.support.recorded import ClientRequest, case_params, clients

pytestmark = pytest.mark.anyio

PATHS = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "claude"}
RELAYED = {"chat": "openai", "responses": "openai-responses", "claude": "anthropic"}
"""Face -> the vendor that speaks its protocol to the letter."""
ENDS = {
    "chat": "data: [DONE]\n\n",
    "responses": "data: [DONE]\n\n",
    "claude": 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
}
MISTRAL = {
    "js-sdks-35": "an image without its object",
    "js-sdks-36": "an image without its object",
    "python-frameworks-38": "a call without its type",
}
"""Clients who speak as Mistral's do and do not say so. OpenAI refuses their words, and relayed to it, they are told so;
a look-alike is given OpenAI's, and so is OpenAI where Mistral's own SDK asks."""
MISTRALS_OWN = "mistral-client-"
"""How Mistral's SDKs begin to say who they are."""
NOT_SENT = ("content-length",)
"""The bodies were cut when they were recorded."""


def asking() -> list[ClientRequest]:
    """Return the requests that ask a model for an answer, on these faces."""
    return [request for request in clients() if request.path in PATHS and request.method == "POST"]


def counting() -> list[ClientRequest]:
    return [request for request in clients() if request.path == "/v1/messages/count_tokens"]


def looking() -> list[ClientRequest]:
    """Return the requests for what there is; Gemini's own are another face's."""
    found = [request for request in clients() if request.path in ("/", "/v1/models")]
    return [request for request in found if "x-goog-api-key" not in request.headers]


@dataclass
class Stage:
    """A gateway whose every model is served by one vendor."""

    gateway: Gateway
    vendor: FakeUpstream
    protocol: str
    """``chat`` or ``claude``."""
    profile: str

    async def ask(self, request: ClientRequest) -> Answer:
        """Send a request as it was recorded, with a caller's key where there was one."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        kept = {name: _filled(name, value) for name, value in headers.items() if name not in NOT_SENT}
        body = b"" if request.body is None else json.dumps(request.body).encode()
        return await call(self.gateway, request.method, request.path, headers=kept, query=request.query, body=body)


def _filled(name: str, value: str) -> str:
    """Return a header without the marks of those who recorded it: masked, or cut."""
    head, mark, _ = value.partition(" … (")
    scheme = "Bearer " if name == "authorization" else ""
    return head.rpartition(",")[0] if mark else value.replace("***", f"{scheme}{CALLER_KEY}")


VENDORS = [("chat", "openai"), ("chat", "lenient"), ("claude", "anthropic")]


@pytest.fixture(scope="module", params=VENDORS, ids=[profile for _, profile in VENDORS])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    protocol, profile = request.param
    with FakeUpstream() as vendor:
        callers = [{"label": "client", "key": Secret(CALLER_KEY)}]
        table = upstream(protocol, url=vendor.url, models=["*"], profile=profile)
        yield Stage(make_gateway(table, auth="callers", callers=callers), vendor, protocol, profile)


@pytest.mark.parametrize("request_", case_params(asking))
async def test_client_is_answered_by_every_vendor(stage: Stage, request_: ClientRequest) -> None:
    face, body = PATHS[request_.path], request_.body or {}
    answer = await stage.ask(request_)
    sent: Any = stage.vendor.requests[-1]
    assert PATHS[sent.path] == stage.protocol
    assert (sent.json["model"], bool(sent.json.get("stream"))) == (body["model"], bool(body.get("stream")))
    is_mistrals = request_.headers.get("user-agent", "").startswith(MISTRALS_OWN)
    if stage.profile == RELAYED[face] and not is_mistrals:
        assert sent.json == body
    if stage.profile == "openai" and request_.name in MISTRAL:
        assert answer.status == 400, MISTRAL[request_.name]
        return
    assert answer.status == 200, answer.text
    if body.get("stream"):
        assert answer.text.endswith(ENDS[face])
    else:
        assert answer.json().keys() & {"choices", "content", "output"}


@pytest.mark.parametrize("request_", case_params(counting))
async def test_client_is_told_a_count_by_every_vendor(stage: Stage, request_: ClientRequest) -> None:
    answer = await stage.ask(request_)
    assert answer.status == 200, answer.text
    count = answer.json()["input_tokens"]
    assert isinstance(count, int)
    assert count > 0


@pytest.mark.parametrize("request_", case_params(looking))
async def test_client_that_looks_around_is_greeted(stage: Stage, request_: ClientRequest) -> None:
    answer = await stage.ask(request_)
    assert answer.status == 200, answer.text
    if request_.method == "HEAD":
        assert answer.body == b""
    else:
        assert isinstance(answer.json()["data"], list)
