"""A real model behind the gateway says to every face what it was trained to say, streamed and not."""

import subprocess
import sys
from collections.abc import Iterator

import anthropic
import ollama
import openai
import pytest

from tests.support.gateways import make_gateway, upstream
from tests.support.outcome import Outcome
from tests.support.recorded import require_cases
from tests.support.responses_reading import ask_responses
from tests.support.sdk_google import ask_google, closing_google, google_client
from tests.support.sdk_outcome import ask_anthropic, ask_ollama, ask_openai
from tests.support.serving import ROOT, serve
from tests.support.waiting import WAIT_S

from .questions import ANSWERS, QUESTIONS, WITHOUT_SCHEMA, Body

pytestmark = pytest.mark.anyio

UPSTREAMS = {
    "chat": ("openai_chat", "lenient", "/v1"),
    "responses": ("openai_responses", {"base": "openai-responses", "exact": False}, "/v1"),
    "messages": ("anthropic_messages", {"base": "anthropic", "exact": False}, ""),
}
"""llama.cpp's server resembles both vendors, to the letter neither."""
VERSION = {"anthropic-version": "2023-06-01"}
"""The last one under which a temperature may be set."""


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    """The URL of an inference server with the tiny model."""
    require_cases()  # the model lies beside them
    command = [sys.executable, "-m", "tests.real.model_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the inference server did not start"
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def gateway_url(model_url: str) -> Iterator[str]:
    """The URL of a gateway in front of it."""
    tables = [
        upstream(name, protocol=protocol, base_url=model_url + path, profile=profile)
        for name, (protocol, profile, path) in UPSTREAMS.items()
    ]
    with serve(make_gateway(*tables)) as served:
        yield served.url


async def told(face: str, url: str, model: str, body: Body, *, stream: bool) -> Outcome:
    """Return what the SDK of a face made of the answer; nothing is left to chance."""
    if face == "ollama":
        body = {**body, "options": {"temperature": 0}}
        async with ollama.AsyncClient(url, timeout=WAIT_S) as local:
            return await ask_ollama(local, model, stream=stream, body=body)
    if face == "gemini":
        body = {**body, "generationConfig": {**body.get("generationConfig", {}), "temperature": 0}}
        async with closing_google(google_client(url)) as google:
            return await ask_google(google, model, stream=stream, body=body)
    body = {**body, "temperature": 0}
    if face in ("openai", "responses"):
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=WAIT_S) as chat:
            ask = ask_openai if face == "openai" else ask_responses
            return await ask(chat, model, stream=stream, body=body)
    async with anthropic.AsyncAnthropic(
        base_url=url, api_key="any", max_retries=0, timeout=WAIT_S, default_headers=VERSION
    ) as claude:
        return await ask_anthropic(claude, model, stream=stream, body=body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("question", ANSWERS)
@pytest.mark.parametrize("upstream_name", UPSTREAMS)
@pytest.mark.parametrize("face", QUESTIONS)
async def test_real_model_is_understood(
    gateway_url: str, face: str, upstream_name: str, question: str, stream: bool
) -> None:
    outcome = await told(face, gateway_url, f"{upstream_name}/tiny", QUESTIONS[face][question], stream=stream)
    is_unread = question == "json" and upstream_name != "chat"
    expected = WITHOUT_SCHEMA if is_unread else ANSWERS[question]
    assert expected.equals(outcome), outcome
