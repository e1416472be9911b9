"""The protocols' pages say what the gateway does: each row of their tables is tried."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2
import openai
import pytest
from _pytest.mark import ParameterSet
from google.genai import errors as google_errors

from asgi_ds2api.codec import Codec, ErrorAnswer
from asgi_ds2api.protocols import anthropic_messages, gemini_generate, ollama_chat, openai_chat, openai_responses
from asgi_ds2api.protocols.anthropic_messages.wire import Request as MessagesRequest
from asgi_ds2api.protocols.ollama_chat.wire import Chat as OllamaChat
from asgi_ds2api.protocols.ollama_chat.wire import Generate as OllamaGenerate
from asgi_ds2api.protocols.openai_chat.wire import Request as ChatRequest
from asgi_ds2api.protocols.openai_responses.wire import Request as ResponsesRequest
from tests.conformance.asking import chat_answer, claude_answer, gemini_answer

from . import chat_examples, gemini_examples, messages_examples, ollama_examples, responses_examples
from .asked import Example, asked_of, verdict
from .every_error import every_error
from .pages import ROOT, Row, table

pytestmark = pytest.mark.anyio

PAGES = ("openai-chat.md", "openai-responses.md", "anthropic-messages.md", "gemini.md", "ollama.md")
CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA = (ROOT / "docs/protocols" / name for name in PAGES)


class Table(NamedTuple):
    """A mapping table and the examples of its rows."""

    page: Any
    heading: str
    face: str
    to: str
    examples: Mapping[str, Any]


TABLES = (
    Table(CHAT, "Request to Anthropic Messages", "chat", "claude", chat_examples.REQUEST),
    Table(CHAT, "Answer of Anthropic Messages", "chat", "claude", chat_examples.ANSWER),
    Table(RESPONSES, "Request to OpenAI Chat", "responses", "chat", responses_examples.REQUEST),
    Table(RESPONSES, "Answer of OpenAI Chat", "responses", "chat", responses_examples.ANSWER),
    Table(MESSAGES, "Request to OpenAI Chat", "claude", "chat", messages_examples.REQUEST),
    Table(MESSAGES, "Answer of OpenAI Chat", "claude", "chat", messages_examples.ANSWER),
    Table(GEMINI, "Request to OpenAI Chat", "gemini", "chat", gemini_examples.REQUEST),
    Table(OLLAMA, "Request to OpenAI Chat", "ollama", "chat", ollama_examples.REQUEST),
    Table(OLLAMA, "Answer of OpenAI Chat", "ollama", "chat", ollama_examples.ANSWER),
    Table(OLLAMA, "Request from OpenAI Chat", "chat", "ollama", ollama_examples.FROM_CHAT),
)


def mapped() -> Iterator[ParameterSet]:
    for found in TABLES:
        for row in table(found.page, found.heading):
            yield pytest.param(found, row, id=f"{found.face}-{found.heading.split()[0]}-{row.key[:60]}")


@pytest.mark.parametrize("found", TABLES, ids=lambda found: f"{found.face}-{found.heading}")
def test_every_row_has_examples_and_every_example_a_row(found: Table) -> None:
    assert [row.key for row in table(found.page, found.heading)] == list(found.examples)


@pytest.mark.parametrize(("found", "row"), list(mapped()))
async def test_row_says_what_becomes_of_it(found: Table, row: Row) -> None:
    verdicts = [await verdict(found.face, found.to, example) for example in found.examples[row.key]]
    assert set(row.cells[2].replace(", ", "")) == set("".join(verdicts)), verdicts


WIRES = (
    (CHAT, ChatRequest, TABLES[0]),
    (RESPONSES, ResponsesRequest, TABLES[2]),
    (MESSAGES, MessagesRequest, TABLES[4]),
    (OLLAMA, OllamaChat, TABLES[7]),
    (OLLAMA, OllamaGenerate, TABLES[7]),
)


@pytest.mark.parametrize(
    ("page", "shape", "found"), WIRES, ids=["chat", "responses", "messages", "ollama", "ollama-prompt"]
)
def test_every_field_that_is_known_stands_in_the_table(page: Any, shape: Any, found: Table) -> None:
    told = {code.partition(".")[0] for row in table(page, found.heading) for code in row.codes}
    assert set(shape.__struct_fields__) - told == {"model"}


# --- why an answer ended ----------------------------------------------------------------------------------------------

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
UNKNOWN = "any other word"


@pytest.mark.parametrize("row", table(CHAT, "Why an answer ended"), ids=lambda row: row.key)
async def test_chat_caller_is_told_why_it_ended(row: Row) -> None:
    word = "new_word" if row.key == UNKNOWN else row.key
    script = claude_answer([USE] if word == "tool_use" else None, stop=word)
    asked = await asked_of("chat", "claude", Example(answer=script))
    assert asked.json["choices"][0]["finish_reason"] == row.cells[1].strip("`")


@pytest.mark.parametrize("row", table(RESPONSES, "Why an answer ended"), ids=lambda row: row.key)
async def test_responses_caller_is_told_why_it_ended(row: Row) -> None:
    word = "new_word" if row.key == UNKNOWN else row.key
    has_calls = word in ("tool_calls", "function_call")
    script = chat_answer({"tool_calls": [CALL]} if has_calls else None, word)
    answer = (await asked_of("responses", "chat", Example(answer=script))).json
    why = (answer["incomplete_details"] or {}).get("reason")
    assert ": ".join(filter(None, (answer["status"], why))) == row.cells[1].strip("`")


@pytest.mark.parametrize("row", table(MESSAGES, "Why an answer ended"), ids=lambda row: row.key)
async def test_messages_caller_is_told_why_it_ended(row: Row) -> None:
    word = "new_word" if row.key == UNKNOWN else row.key
    has_calls = word in ("tool_calls", "function_call")
    script = chat_answer({"tool_calls": [CALL]} if has_calls else None, word)
    asked = await asked_of("claude", "chat", Example(answer=script))
    assert asked.json["stop_reason"] == row.cells[1].strip("`")


@pytest.mark.parametrize("row", table(OLLAMA, "Why an answer ended"), ids=lambda row: row.key)
async def test_ollama_caller_is_told_why_it_ended(row: Row) -> None:
    word = "new_word" if row.key == UNKNOWN else row.key
    script = chat_answer({"tool_calls": [CALL]} if word == "tool_calls" else None, word)
    asked = await asked_of("ollama", "chat", Example({"stream": False}, answer=script))
    assert asked.json["done_reason"] == row.cells[1].strip("`")


@pytest.mark.parametrize("row", table(GEMINI, "Why an answer ended"), ids=lambda row: row.key)
async def test_chat_caller_of_gemini_is_told_why_it_ended(row: Row) -> None:
    word = "NEW_WORD" if row.key == UNKNOWN else row.key
    asked = await asked_of("chat", "gemini", Example(answer=gemini_answer([{"text": "x"}], word)))
    assert asked.json["choices"][0]["finish_reason"] == row.cells[1].strip("`")


# --- paths, credentials, errors ---------------------------------------------------------------------------------------

FACES: tuple[tuple[Any, Codec], ...] = (
    (CHAT, openai_chat),
    (RESPONSES, openai_responses),
    (MESSAGES, anthropic_messages),
    (GEMINI, gemini_generate),
    (OLLAMA, ollama_chat),
)
FACE_IDS = ("chat", "responses", "messages", "gemini", "ollama")
VERSION = "{v1|v1beta|v1alpha|v1beta1}"
"""Of Gemini's paths, as its routes have it and the page calls ``{version}``."""
every_face = pytest.mark.parametrize(("page", "codec"), FACES, ids=FACE_IDS)


@every_face
def test_paths_are_those_of_the_face(page: Any, codec: Codec) -> None:
    places = [row.key for row in table(page, "Where a model stands")] or [""]
    told = {
        (row.cells[0], path.strip(" `").replace("{version}", VERSION).replace("{place}", place))
        for row in table(page, "Paths")
        for path in row.cells[1].split(",")
        for place in places
    }
    beside_the_table = {"", "/"}  # what a family's own name answers
    served = {(route.method, route.path.removesuffix("{|/}")) for route in codec.ROUTES if route.operation != "absent"}
    assert told == served - {("GET", path) for path in beside_the_table}


def test_paths_that_are_not_served_are_told() -> None:
    below = "/{v1|v1beta|v1alpha|v1beta1}/"
    told = {below + path for row in table(GEMINI, "Not served") for path in re.findall(r"`([a-z][^`]+)`", row.cells[0])}
    assert told == {route.path for route in gemini_generate.ROUTES if route.operation == "absent"}


@every_face
def test_credentials_are_named_in_their_order(page: Any, codec: Codec) -> None:
    line = next(line for line in page.read_text().split("\n\n") if line.startswith("**Credentials**"))
    places = [line.index(f"`{name}`") for name in codec.CREDENTIAL_HEADERS]
    assert places == sorted(places)


def raised(answer: ErrorAnswer, page: Any) -> str:
    """Return the name of the class that the SDK raises."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(answer.status, headers=[(n.decode(), v.decode()) for n, v in answer.headers],
                               content=answer.body)  # fmt: skip

    if page is GEMINI:
        with pytest.raises(google_errors.APIError) as failed:
            google_errors.APIError.raise_for_response(httpx.Response(answer.status, content=answer.body))
        return type(failed.value).__name__
    given: dict[str, Any] = {"api_key": "k", "base_url": "http://test", "max_retries": 0}
    asked: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        create: Any = anthropic.Anthropic(**given, http_client=http).messages.create
        if page is CHAT:
            create = openai.OpenAI(**given, http_client=http).chat.completions.create
        elif page is RESPONSES:
            create, asked = openai.OpenAI(**given, http_client=http).responses.create, {"model": "m", "input": "hi"}
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
            create(**asked)
    return type(caught.value).__name__


def _kind(error: dict[str, Any]) -> str:
    kind: str = error["status"] if "status" in error else error["type"]
    return kind


@pytest.mark.parametrize(("page", "codec"), FACES[:-1], ids=FACE_IDS[:-1])
def test_errors_are_those_that_the_sdk_raises(page: Any, codec: Codec) -> None:
    told = {tuple(cell.strip("`") for cell in row.cells[:3]) for row in table(page, "Errors")}
    found = set()
    for error in every_error():
        answer = codec.encode_error(error, "req_1")
        found.add((str(answer.status), _kind(json.loads(answer.body)["error"]), raised(answer, page)))
    assert found == told


def test_errors_of_ollama_have_the_statuses_that_are_told() -> None:
    """Its SDK has one class for all; that it raises is tested with the codec."""
    told = {tuple(cell.strip("`") for cell in row.cells[:2]) for row in table(OLLAMA, "Errors")}
    found = {(str(ollama_chat.encode_error(error, "r").status), "ResponseError") for error in every_error()}
    assert found == told
