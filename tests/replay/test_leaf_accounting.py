"""Every leaf of a recorded request or answer is on the other side of a translation, or in a Notice that names it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

import pytest

from asgi_ds2api.canonical import ProtocolName
from tests.support.leaves import JSON, Keys, Leaf
from tests.support.oracle import recorded_outcome, sse_events
from tests.support.recorded import Protocol, clients, records, require_cases

from .accounting import (
    DIALECTS,
    Account,
    Exceptions,
    Restated,
    Translated,
    Translating,
    accepted,
    account,
    answer_to,
    request_to,
)

RECORDED: Final[dict[ProtocolName, Protocol]] = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic_messages": "anthropic",
}
PATHS: Final = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}


class Way(NamedTuple):
    """From a face to an upstream that is translated to."""

    face: ProtocolName
    dialect: str


WAYS: Final = [
    Way("openai_chat", "anthropic"),
    Way("openai_chat", "lenient"),
    Way("anthropic_messages", "openai"),
    Way("anthropic_messages", "lenient"),
    Way("anthropic_messages", "resembling"),
]
LOOK_ALIKES: Final = ("ollama", "mistral", "deepseek")
"""Upstreams whose requests alone are looked at: few answers of theirs are recorded."""
ASKED: Final = [
    *WAYS,
    *(Way(face, dialect) for dialect in LOOK_ALIKES for face in RECORDED),
    Way("openai_responses", "lenient"),
    Way("openai_responses", "anthropic"),
    Way("openai_responses", "resembling-responses"),
    Way("openai_chat", "openai-responses"),
    Way("anthropic_messages", "openai-responses"),
]
"""Ways of requests; answers of Responses are not accounted for yet."""
ANSWERED: Final = [way for way in WAYS if way.dialect != "openai"]
"""Recorded answers of Chat come from many vendors, few of which are OpenAI to the letter."""


@dataclass
class Looked:
    """What was found on one way."""

    missing: list[str] = field(default_factory=list)
    excepted: set[str] = field(default_factory=set)
    """Patterns of the exceptions that were made."""
    count: int = 0
    """Of bodies."""

    def add(self, name: str, found: Account) -> None:
        """Add what was found of one body."""
        self.count += 1
        self.missing += [f"{name}: {place}" for place in found.missing]
        self.excepted |= found.excepted


every_way = pytest.mark.parametrize("way", ASKED, ids=lambda way: f"{way.face}-to-{way.dialect}")

REQUESTS: Final = Exceptions(
    settled={
        "text.format.schema.$schema": "names the dialect that schemas are in anyway",
        "reasoning.summary": "a model that thinks by a budget shows it anyway",
    }
)
SUPERSEDED: Final = frozenset({"838e29964fc18dec", "dd6e507ca259eefb"})
"""Their ``additional_tools`` define a tool anew, so that the earlier one does not count."""
ANSWERS: Final = {
    "openai_chat": Exceptions(
        settled={
            "model": "a caller is told the name that it asked for",
            "object": "the one word that may stand there",
            "choices.*.index": "of an only choice",
            "choices.*.message.role": "the one word that may stand there",
            "choices.*.message.tool_calls.*.index": "calls are in their order",
            "choices.*.message.tool_calls.*.type": "said by the field beside it",
            "choices.*.message.content.*.type": "said by the field beside it",
            "choices.*.message.content.*.thinking.*.type": "said by the field beside it",
            "obfuscation": "padding",
            "p": "padding",
        },
        restated=(
            Restated("usage.total_tokens", ("prompt_tokens", "completion_tokens")),
            Restated("x_groq.usage", ("usage",)),
            Restated("x_groq.usage.total_tokens", ("prompt_tokens", "completion_tokens")),
            Restated("choices.*.finish_reason", ("message.refusal",)),
            Restated("choices.*.message.reasoning", ("reasoning_details", "reasoning_content")),
        ),
        zero=frozenset({"usage.prompt_tokens_details.cache_write_tokens", "usage.prompt_tokens_details.cached_tokens"}),
        sealed=frozenset(
            {"choices.*.message.reasoning_details.*.signature", "choices.*.message.reasoning_details.*.data"}
        ),
    ),
    "anthropic_messages": Exceptions(
        settled={
            "model": "a caller is told the name that it asked for",
            "role": "the one word that may stand there",
            "type": "the one word that may stand there",
        }
    ),
}
ADDED: Final = frozenset(
    {"arguments", "cited_text", "content", "input", "partial_json", "reasoning", "reasoning_content", "refusal", "text"}
    | {"thinking"}
)


# --- requests ---------------------------------------------------------------------------------------------------------


def asked(face: ProtocolName) -> Iterator[tuple[str, JSON]]:
    """Yield the bodies of recorded requests, and of those of real clients."""
    for record in records(RECORDED[face]):
        if record.request.body and record.id not in SUPERSEDED:
            yield record.name, record.request.body
    for request in clients():
        if request.path == PATHS[face] and request.body:
            yield request.name, request.body


@every_way
def test_every_leaf_of_a_request_is_accounted_for(way: Way) -> None:
    require_cases()
    looked = Looked()
    translate = request_to(way.face, way.dialect)
    for name, whole in asked(way.face):
        if (body := accepted(whole, translate)) is not None:
            looked.add(name, account(body, translate, REQUESTS))
    assert looked.missing == []
    assert looked.count > 100


# --- answers ----------------------------------------------------------------------------------------------------------


def answered(dialect: str, *, stream: bool) -> Iterator[tuple[str, JSON]]:
    """Yield the recorded answers of an upstream's protocol that are no errors."""
    for record in records(RECORDED[DIALECTS[dialect].protocol], status=200, stream=stream):
        if not recorded_outcome(record).is_error:
            yield record.name, _events(record.response.body) if stream else json.loads(record.response.body)


def _events(body: bytes) -> JSON:
    return [json.loads(data) for _, data in sse_events(body.decode()) if data != "[DONE]"]


def place_in_chunks(events: JSON) -> Callable[[Leaf], Keys]:
    """Return what tells where a leaf of a chunk stands in the answer as a whole."""

    def place(leaf: Leaf) -> Keys:
        event, keys = events[leaf.keys[0]], leaf.keys[1:]
        if keys[0] != "choices":
            return keys
        choice, rest = event["choices"][keys[1]], keys[2:]
        if rest[0] == "delta":
            rest = ("message", *rest[1:])
        if rest[:2] == ("message", "tool_calls"):
            call = choice["delta"]["tool_calls"][rest[2]]
            rest = ("message", "tool_calls", call.get("index", rest[2]), *rest[3:])
        return ("choices", choice.get("index", keys[1]), *rest)

    return place


def place_in_events(events: JSON) -> Callable[[Leaf], Keys]:
    """Return what tells where a leaf of an event stands in the message as a whole."""
    citations: dict[int, int] = {}
    numbers: dict[int, int] = {}
    for position, event in enumerate(events):
        if event.get("delta", {}).get("type") == "citations_delta":
            numbers[position] = citations.get(event["index"], 0)
            citations[event["index"]] = numbers[position] + 1

    def place(leaf: Leaf) -> Keys:
        position, keys = leaf.keys[0], leaf.keys[1:]
        event = events[position]
        match event["type"], keys[0]:
            case "message_start", "message":
                return keys[1:]
            case "content_block_start", "content_block":
                return ("content", event["index"], *keys[1:])
            case "content_block_delta", "delta" if keys[1] == "citation":
                return ("content", event["index"], "citations", numbers[int(position)], *keys[2:])
            case "content_block_delta", "delta":
                return ("content", event["index"], *keys[1:])
            case "message_delta", "delta":
                return keys[1:]
            case _:
                return keys

    return place


PLACES: Final = {"openai_chat": place_in_chunks, "anthropic_messages": place_in_events}


@cache
def look_at_answers(way: Way, *, stream: bool) -> Looked:
    """Account for all answers of an upstream on one way."""
    looked = Looked()
    protocol = DIALECTS[way.dialect].protocol
    translate = answer_to(way.face, way.dialect, stream=stream)
    for name, body in answered(way.dialect, stream=stream):
        if stream:
            looked.add(name, account(body, translate, ANSWERS[protocol], PLACES[protocol](body), ADDED))
        else:
            looked.add(name, account(body, translate, ANSWERS[protocol]))
    return looked


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", ANSWERED, ids=lambda way: f"{way.face}-to-{way.dialect}")
def test_every_leaf_of_an_answer_is_accounted_for(way: Way, stream: bool) -> None:
    require_cases()
    looked = look_at_answers(way, stream=stream)
    assert looked.missing == []
    assert looked.count >= 50


@pytest.mark.parametrize("protocol", ANSWERS)
def test_no_exception_of_answers_is_idle(protocol: ProtocolName) -> None:
    require_cases()
    ways = [way for way in ANSWERED if DIALECTS[way.dialect].protocol == protocol]
    made = [look_at_answers(way, stream=stream).excepted for way in ways for stream in (False, True)]
    assert set().union(*made) == ANSWERS[protocol].patterns


# --- the account itself -----------------------------------------------------------------------------------------------


def _drops(name: str) -> Translating:
    def translate(body: JSON) -> Translated:
        kept = {key: value for key, value in body.items() if key != name}
        return Translated(json.dumps(kept).encode(), (), None)

    return translate


def test_a_leaf_that_is_dropped_in_silence_is_missed() -> None:
    body = {"kept": {"text": "a", "count": 1}, "dropped": [{"text": "a", "count": 1}]}
    found = account(body, _drops("dropped"), Exceptions(settled={}))
    assert [place.split(" ")[0] for place in found.missing] == ["dropped[0].text", "dropped[0].count"]
