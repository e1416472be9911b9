"""What the stream helpers of OpenAI's and Anthropic's SDKs add up, where a list has more than one entry."""

from typing import Any

import pytest

from tests.support.scripted_client import Answering
from tests.support.sdk_reading import sdk_message

from .asking import (
    ask,
    chat_stream,
    chunk,
    claude_events,
    claude_stream,
    gemini_chunk,
    gemini_stream,
    response_events,
    response_stream,
    said_item,
)

pytestmark = pytest.mark.anyio

ALMOST = {"base": "lenient"}
"""A look-alike, whose streams are not passed on as they come."""
URLS = ["https://a.example/", "https://b.example/"]
PICTURES = ["data:image/png;base64,AAAA", "data:image/png;base64,BBBB"]


def cited(url: str) -> dict[str, Any]:
    found = {"type": "web_search_result_location", "url": url, "title": "T", "cited_text": "c", "encrypted_index": "E"}
    said = [{"type": "text_delta", "text": "Hello."}, {"type": "citations_delta", "citation": found}]
    return {"start": {"type": "text", "text": "", "citations": []}, "said": said}


def link(url: str) -> dict[str, Any]:
    return {"type": "url_citation", "start_index": 0, "end_index": 5, "url": url, "title": "T"}


def by_claude() -> Answering:
    return claude_stream(claude_events(*[(text["start"], text["said"]) for text in map(cited, URLS)]))


def by_gemini() -> Answering:
    supports = [{"segment": {"startIndex": n, "endIndex": 5}, "groundingChunkIndices": [n]} for n in (0, 1)]
    found = {"groundingChunks": [{"web": {"uri": url}} for url in URLS], "groundingSupports": supports}
    return gemini_stream(gemini_chunk([{"text": "Hello."}], "STOP", groundingMetadata=found))


def by_responses() -> Answering:
    part = {"type": "output_text", "text": "Hello.", "annotations": [link(url) for url in URLS], "logprobs": []}
    return response_stream(response_events(said_item("", content=[part])))


def by_chat() -> Answering:
    links = [{"type": "url_citation", "url_citation": {"url": url, "title": "T"}} for url in URLS]
    return chat_stream(
        chunk({"content": "Hello."}), *[chunk({"annotations": [found]}) for found in links], chunk({}, "stop")
    )


CITING = {"claude": by_claude, "gemini": by_gemini, "responses": by_responses, "chat": by_chat}


@pytest.mark.parametrize("to", CITING)
async def test_chats_helper_adds_up_two_citations(to: str) -> None:
    asked = await ask("chat", to, {"stream": True}, CITING[to](), profile=ALMOST if to == "chat" else None)
    told = sdk_message("chat", asked.answer)["choices"][0]["message"]["annotations"]
    assert [found["url_citation"]["url"] for found in told] == URLS


@pytest.mark.parametrize("to", CITING)
async def test_the_helper_of_responses_adds_up_two_citations(to: str) -> None:
    asked = await ask("responses", to, {"stream": True}, CITING[to]())
    parts = sdk_message("responses", asked.answer)["output"][0]["content"]
    assert [found["url"] for part in parts for found in part["annotations"]] == URLS


async def test_anthropics_helper_adds_up_two_citations() -> None:
    asked = await ask("claude", "claude", {"stream": True}, by_claude(), profile={"base": "anthropic", "exact": False})
    blocks = sdk_message("claude", asked.answer)["content"]
    assert [found["url"] for block in blocks for found in block["citations"]] == URLS


def pictures_of_chat() -> Answering:
    images = [{"type": "image_url", "image_url": {"url": url}} for url in PICTURES]
    return chat_stream(chunk({"content": "See"}), *[chunk({"images": [image]}) for image in images], chunk({}, "stop"))


def pictures_of_gemini() -> Answering:
    first, second = [{"inlineData": {"mimeType": "image/png", "data": url[-4:]}} for url in PICTURES]
    return gemini_stream(gemini_chunk([{"text": "See"}, first]), gemini_chunk([second], "STOP"))


PAINTING = {"chat": pictures_of_chat, "gemini": pictures_of_gemini}


@pytest.mark.parametrize("to", PAINTING)
async def test_chats_helper_adds_up_two_pictures(to: str) -> None:
    asked = await ask("chat", to, {"stream": True}, PAINTING[to](), profile=ALMOST if to == "chat" else None)
    told = sdk_message("chat", asked.answer)["choices"][0]["message"]["images"]
    assert [image["image_url"]["url"] for image in told] == PICTURES


@pytest.mark.parametrize("to", PAINTING)
async def test_the_helper_of_responses_adds_up_two_pictures(to: str) -> None:
    asked = await ask("responses", to, {"stream": True}, PAINTING[to]())
    items = sdk_message("responses", asked.answer)["output"]
    assert [item["result"] for item in items if item["type"] == "image_generation_call"] == ["AAAA", "BBBB"]
