"""Spans of citations: each protocol counts from where its own text begins, and what is cited stays what it was."""

from typing import Any

import pytest

from tests.support.sdk_reading import sdk_message

from .asking import (
    STREAM,
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    response_answer,
    response_events,
    response_stream,
    said_item,
)

pytestmark = pytest.mark.anyio

WORDS = ["Öl rises.", "Gold falls.", "Tin stays."]
either = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def part(text: str, cited: str) -> dict[str, Any]:
    """Return a part of Responses that cites for one of its words."""
    start = text.index(cited)
    link = {"type": "url_citation", "start_index": start, "end_index": start + len(cited)}
    annotation = {**link, "url": f"https://{cited}.example/", "title": cited}
    return {"type": "output_text", "text": text, "annotations": [annotation], "logprobs": []}


ITEMS = [
    said_item("", "msg_1", content=[part(WORDS[0], "rises"), part(WORDS[1], "falls")]),
    said_item("", "msg_2", content=[part(WORDS[2], "stays")]),
]


def message_of(face: str, asked: Asked, *, stream: bool) -> Any:
    """Return the message of an answer of Chat, or the first one of Responses."""
    answer = sdk_message(face, asked.answer) if stream else asked.json
    return answer["choices"][0]["message"] if face == "chat" else answer["output"][0]


@either
async def test_parts_of_responses_are_cited_where_they_stand_in_the_text_of_chat(stream: bool) -> None:
    script = response_stream(response_events(*ITEMS)) if stream else response_answer(ITEMS)
    message = message_of("chat", await ask("chat", "responses", {"stream": stream}, script), stream=stream)
    links = [note["url_citation"] for note in message["annotations"]]
    assert [message["content"][link["start_index"] : link["end_index"]] for link in links] == [
        "rises",
        "falls",
        "stays",
    ]


@either
async def test_parts_of_responses_are_cited_by_their_bytes_at_gemini(stream: bool) -> None:
    script = response_stream(response_events(*ITEMS)) if stream else response_answer(ITEMS)
    asked = await ask("gemini", "responses", {}, script, verb=STREAM if stream else "generateContent")
    chunks = asked.events if stream else [asked.json]
    data = "".join(WORDS).encode()
    (found,) = [c["candidates"][0]["groundingMetadata"] for c in chunks if "groundingMetadata" in c["candidates"][0]]
    segments = [support["segment"] for support in found["groundingSupports"]]
    assert [segment["text"] for segment in segments] == ["rises", "falls", "stays"]
    assert [data[s["startIndex"] : s["endIndex"]].decode() for s in segments] == ["rises", "falls", "stays"]


async def test_text_of_chat_behind_a_call_is_cited_where_it_stands_in_its_part() -> None:
    call = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    link = {"start_index": 9, "end_index": 13, "url": "https://gold.example/", "title": "T"}
    chunks = [{"content": WORDS[0]}, {"tool_calls": [call]}, {"content": WORDS[1]}]
    noted = chunk({"annotations": [{"type": "url_citation", "url_citation": link}]})
    script = chat_stream(*map(chunk, chunks), noted, chunk({}, "stop"))
    asked = await ask("responses", "chat", {"stream": True}, script)
    (said,) = sdk_message("responses", asked.answer)["output"][-1]["content"]
    (found,) = said["annotations"]
    assert (said["text"], said["text"][found["start_index"] : found["end_index"]]) == (WORDS[1], "Gold")


def claude_blocks(*, is_cited: bool) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text} for text in WORDS]
    found = {"type": "web_search_result_location", "title": "T", "cited_text": "c", "encrypted_index": "E"}
    if is_cited:
        blocks[1]["citations"] = [{**found, "url": "https://gold.example/"}]
    return blocks


def streamed(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    citations = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}, *citations]


@either
@pytest.mark.parametrize("is_cited", [False, True], ids=["plain", "cited"])
async def test_texts_of_claude_are_one_part_of_responses(stream: bool, is_cited: bool) -> None:
    """OpenAI's SDK parses each part by itself: JSON in two of them is none."""
    blocks = claude_blocks(is_cited=is_cited)
    script = claude_stream(claude_events(*map(streamed, blocks))) if stream else claude_answer(blocks)
    asked = await ask("responses", "claude", {"stream": stream}, script)
    (said,) = message_of("responses", asked, stream=stream)["content"]
    spans = [said["text"][note["start_index"] : note["end_index"]] for note in said["annotations"]]
    assert (said["text"], spans) == ("".join(WORDS), [WORDS[1]] if is_cited else [])


@either
async def test_reference_of_mistral_that_is_lost_does_not_cut_its_text(stream: bool) -> None:
    pieces = [{"type": "text", "text": WORDS[0]}, {"type": "reference", "reference_ids": [2]}]
    more = {"type": "text", "text": WORDS[1]}
    whole = chat_answer({"content": [*pieces, more]})
    script = (
        chat_stream(chunk({"content": pieces}), chunk({"content": WORDS[1]}), chunk({}, "stop")) if stream else whole
    )
    asked = await ask("responses", "chat", {"stream": stream}, script, profile="mistral")
    texts = [each["text"] for each in message_of("responses", asked, stream=stream)["content"]]
    assert texts == [WORDS[0] + WORDS[1]]
