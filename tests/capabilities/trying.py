"""Sends a sample through a gateway and tells what became of it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.conformance.asking import (
    STREAM as STREAM_VERB,
)
from tests.conformance.asking import (
    TEXT_BLOCK,
    Asked,
    ask,
    chat_answer,
    chat_stream,
    chunk,
    claude_answer,
    claude_events,
    claude_stream,
    gemini_answer,
    gemini_chunk,
    gemini_stream,
    ollama_answer,
    ollama_end,
    ollama_line,
    ollama_stream,
    response_answer,
    response_events,
    response_stream,
    said_item,
)
from tests.support.scripted_client import Script

from .sample import Sample
from .streamed import as_stream

NAMES = ("chat", "responses", "claude", "gemini", "ollama")
MODELS = {
    "chat": "gpt-5",
    "responses": "gpt-5",
    "claude": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-pro",
    "ollama": "qwen3",
}
"""The usual model of each upstream; its default profile says whose it is."""
VENDORS = {"chat": "openai", "responses": "openai", "claude": "anthropic", "gemini": "google", "ollama": "ollama"}
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
VOLATILE = {"id", "created", "created_at", "completed_at", "item_id", "request_id", "sequence_number", *TIMES}
"""Names of fields whose values are another one in every answer."""
NAMES_OF_ITEMS = "output[].id"
"""Items of Responses have ids of their own, a Notice each: nothing to what they hold."""
LETTERS = {"hint": "H", "changed": "E", "lost": "W"}
LOSSLESS, REFUSED = "L", "X"

WHOLE: Mapping[str, Callable[[], Script]] = {
    "chat": chat_answer,
    "responses": response_answer,
    "claude": claude_answer,
    "gemini": lambda: gemini_answer([{"text": "Hello"}]),
    "ollama": lambda: ollama_answer(**dict.fromkeys(TIMES)),
}
STREAM: Mapping[str, Callable[[], Script]] = {
    "chat": lambda: chat_stream(chunk({"content": "Hello"}), chunk(finish="stop")),
    "responses": lambda: response_stream(response_events(said_item("Hello"))),
    "claude": lambda: claude_stream(claude_events(TEXT_BLOCK)),
    "gemini": lambda: gemini_stream(gemini_chunk([{"text": "Hello"}], "STOP")),
    "ollama": lambda: ollama_stream(ollama_line({"content": "Hello"}), ollama_end(**dict.fromkeys(TIMES))),
}


@dataclass(frozen=True)
class Fate:
    """What became of a sample."""

    letters: str
    """In the order of the alphabet."""
    said: tuple[tuple[str, str, str], ...] = ()
    """Letter, path pattern and reason of each Notice that the plain question has not."""
    sent: object = None
    """What the upstream was asked; None: nothing."""
    told: object = None
    """What the caller was answered, but for what is another one every time; of a stream each thing that was said, and
    where; None: what was asked for is not looked at."""


UNSAID = Fate(LOSSLESS)
STREAMED: Mapping[str, Mapping[str, object]] = {
    "chat": {"stream": True, "stream_options": {"include_usage": True}},
    "responses": {"stream": True},
    "claude": {"stream": True},
    "gemini": {},
    "ollama": {"stream": True},
}
"""How each face is asked for a stream; Gemini's paths say it."""


async def _asked(face: str, to: str, sample: Sample) -> Asked:
    told = {name: value for name, value in sample.body.items() if value is not ...}
    body = json.loads(json.dumps(told).replace('"VENDOR"', json.dumps(VENDORS[to])))
    body |= {name: value for name, value in sample.body.items() if value is ...}
    if face == "ollama":
        body.setdefault("stream", False)
    script = sample.answer or (STREAM if body.get("stream") else WHOLE)[to]()
    return await ask(
        face, to, body, script, model=sample.model or MODELS[to], headers=sample.headers, path=sample.path,
        profile=sample.profile,
    )  # fmt: skip


async def plain(face: str, to: str, besides: Mapping[str, object]) -> Fate:
    """Return what becomes of a question that says nothing but ``besides``, streamed and not."""
    whole = await fate(face, to, Sample({"stream": False, **besides}))
    streamed = await fate(face, to, Sample({"stream": True, **besides}))
    return Fate(LOSSLESS, (*whole.said, *streamed.said), whole.sent, whole.told)


async def fate(face: str, to: str, sample: Sample, usual: Fate = UNSAID) -> Fate:
    """Return what becomes of a sample.

    Args:
        face: Who asks.
        to: Who is asked.
        sample: The question.
        usual: What becomes of the question without it: those Notices are nothing to the sample.
    """
    asked = await _asked(face, to, sample)
    if asked.answer.status == 400:
        assert asked.upstream.calls == [], "refused by the upstream, not by the gateway"
        return Fate(REFUSED, said=((REFUSED, "", asked.answer.text),))
    assert asked.answer.status == 200, asked.answer.text
    said = _said(asked, {NAMES_OF_ITEMS, *(path for _, path, _ in usual.said)})
    request = asked.upstream.calls[-1].request
    sent = (request.url, dict(request.headers), asked.sent)
    return Fate("".join(sorted({letter for letter, _, _ in said})) or LOSSLESS, said, sent, _lasting(_whole(asked)))


def _said(asked: Asked, known: set[str]) -> tuple[tuple[str, str, str], ...]:
    """Return letter, path pattern and reason of each Notice whose path is not known."""
    return tuple(
        (LETTERS[notice.severity], notice.pattern, notice.reason)
        for notice in asked.records[-1].notices
        if notice.pattern not in known
    )


def _whole(asked: Asked) -> object:
    is_json = asked.answer.header("content-type") == "application/json"
    return asked.json if is_json else None


def _lasting(value: object) -> object:
    """Return JSON without what is another one in every answer."""
    if isinstance(value, dict):
        return {name: _lasting(inner) for name, inner in value.items() if name not in VOLATILE}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


async def streamed_fate(face: str, to: str, sample: Sample, usual: Fate = UNSAID) -> Fate:
    """Return what becomes of an answer that comes in pieces; arguments are those of `fate`."""
    script = as_stream(to, sample.answer or WHOLE[to]())
    verb = STREAM_VERB if face == "gemini" else "generateContent"
    asked = await ask(face, to, {**sample.body, **STREAMED[face]}, script, model=MODELS[to], verb=verb)
    assert asked.answer.status == 200, asked.answer.text
    known = {path for _, path, _ in usual.said}
    said = _said(asked, known)
    told = frozenset(leaf for event in (asked.lines if face == "ollama" else asked.events) for leaf in _leaves(event))
    return Fate("".join(sorted({letter for letter, _, _ in said})) or LOSSLESS, said, None, told)


def _leaves(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Yield path and value of each leaf, but for what is another one every time."""
    match value:
        case dict():
            for name, inner in value.items():
                if name not in VOLATILE:
                    yield from _leaves(inner, f"{at}.{name}")
        case list():
            for inner in value:
                yield from _leaves(inner, f"{at}[]")
        case _:
            yield at, value
