"""The demonstration does what it says: without a key, and with the very commands that it prints."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import ollama
import pytest
from anthropic import Anthropic
from google import genai
from google.genai.types import HttpOptions
from openai import OpenAI

from tests.support.serving import ROOT, serve_process

ASKED = "Hello!"
SAID = 'You said: "Hello!". I am demo, a fake: I only repeat.'


def ask_chat(url: str, model: str) -> str | None:
    with (
        OpenAI(base_url=f"{url}/ai/v1", api_key="any") as client,
        client.chat.completions.stream(model=model, messages=[{"role": "user", "content": ASKED}]) as stream,
    ):
        return stream.get_final_completion().choices[0].message.content


def ask_responses(url: str, model: str) -> str:
    with (
        OpenAI(base_url=f"{url}/ai/v1", api_key="any") as client,
        client.responses.stream(model=model, input=ASKED) as stream,
    ):
        return stream.get_final_response().output_text


def ask_messages(url: str, model: str) -> str:
    with (
        Anthropic(base_url=f"{url}/ai", api_key="any") as client,
        client.messages.stream(model=model, max_tokens=500, messages=[{"role": "user", "content": ASKED}]) as stream,
    ):
        return stream.get_final_text()


def ask_gemini(url: str, model: str) -> str:
    with genai.Client(api_key="any", http_options=HttpOptions(base_url=f"{url}/ai")) as client:
        return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model=model, contents=ASKED))


def ask_ollama(url: str, model: str) -> str:
    with ollama.Client(f"{url}/ai") as client:
        chunks = client.chat(model=model, messages=[{"role": "user", "content": ASKED}], stream=True)
        return "".join(chunk.message.content or "" for chunk in chunks)


FACES = (ask_chat, ask_responses, ask_messages, ask_gemini, ask_ollama)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_process("demo_app:app") as served:
        yield served.url


def test_apps_own_page_and_route_are_served(url: str) -> None:
    page, time = (httpx.get(url + path, trust_env=False) for path in ("/", "/api/time"))
    assert "<script>" in page.text
    assert list(time.json()) == ["time"]
    assert "x-ds2api-served-by" not in {*page.headers, *time.headers}


def test_every_model_of_the_page_is_answered_on_every_face(url: str) -> None:
    page = httpx.get(url, trust_env=False).text
    models = re.findall("<option>(.*?)</option>", page)
    assert len(models) == 6
    with ThreadPoolExecutor(len(models)) as pool:  # the fake speaks slowly, to be seen
        for ask in FACES:
            assert list(pool.map(partial(ask, url), models)) == [SAID] * len(models), ask.__name__


def test_failover_is_seen_and_does_no_harm() -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": ASKED}]}
    with serve_process("demo_app:app") as served:
        asked = f"{served.url}/ai/v1/chat/completions"
        answers = [httpx.post(asked, json=body, trust_env=False) for _ in range(4)]
    seen = [(answer.status_code, answer.headers["x-ds2api-attempts"]) for answer in answers]
    # The account that the conversation began on is limited; then it stays where it went.
    assert seen == [(200, "1"), (200, "2"), (200, "1"), (200, "1")]


def test_greeting_is_the_first_thing_that_is_seen() -> None:
    show = "import demo_app; print(demo_app.greeting('http://127.0.0.1:8000'))"
    done = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("\nA small app with an AI gateway inside")
    assert done.stderr == "", "no warning stands before it"


@pytest.mark.parametrize("number", [0, 1, 2], ids=["curl chat", "curl messages", "python"])
def test_printed_command_answers(url: str, number: int) -> None:
    show = f"import demo_app; print(demo_app.greeting({url!r}))"
    greeting = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    _, *commands = greeting.strip().split("\n\n")
    if commands[number].startswith("curl") and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    answer = subprocess.run(commands[number], shell=True, capture_output=True, text=True, check=True).stdout
    assert "repeat." in answer
