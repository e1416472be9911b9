"""The bodies whose leaves are accounted for: recorded, sent by real clients, and sent to many vendors alike."""

import json
from collections.abc import Iterator
from typing import Final

from asgi_ds2api.canonical import ProtocolName
from tests.support.leaves import JSON
from tests.support.oracle import recorded_outcome, sse_events
from tests.support.recorded import Protocol, Recording, clients, lingua, records

from .accounting import DIALECTS, LINES

RECORDED: Final[dict[ProtocolName, Protocol]] = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic_messages": "anthropic",
    "gemini_generate": "gemini",
    "ollama_chat": "ollama",
}
ENDINGS: Final[dict[ProtocolName, tuple[str, ...]]] = {
    "openai_chat": ("/chat/completions",),
    "openai_responses": ("/responses",),
    "anthropic_messages": ("/v1/messages",),
    "gemini_generate": (":generateContent", ":streamGenerateContent"),
    "ollama_chat": ("/api/chat", "/api/generate"),
}
"""What the paths of an operation end with that asks a model for an answer."""
SNAPSHOTS: Final[dict[ProtocolName, str]] = {
    "openai_chat": "chat-completions",
    "openai_responses": "responses",
    "anthropic_messages": "anthropic",
    "gemini_generate": "google",
}
"""Their names in ``lingua/``, which has none of Ollama."""
MADE_UP: Final = frozenset({"multimodalRequest-responses-followup-response"})
"""Not in the vendor's words: its stream has events of a kind that nobody sends."""
SAYS_NOTHING: Final = frozenset({"speechConfigParam-google-response"})
"""Ended by the vendor before a word: callers are told of an error, whose body no answer becomes."""
MISFILED: Final = "099f4335afb7742d"
"""Embeddings, among the responses."""


def recorded(face: ProtocolName) -> Iterator[Recording]:
    """Yield the recordings of a protocol's main operation."""
    for record in records(RECORDED[face]):
        if record.request.path.endswith(ENDINGS[face]) and record.id != MISFILED:
            yield record


def asked(face: ProtocolName) -> Iterator[tuple[str, JSON]]:
    """Yield the bodies of recorded requests, of those of real clients, and of those that many vendors were sent."""
    for record in recorded(face):
        if record.request.body:
            yield record.name, record.request.body
    for request in clients():
        if request.path.endswith(ENDINGS[face]) and request.body:
            yield request.name, request.body
    for case in lingua(SNAPSHOTS[face]) if face in SNAPSHOTS else ():
        for part in ("request", "followup-request"):
            if part in case.files:
                yield f"{case.name}-{part}", _sent(face, json.loads(case.files[part]))


def _sent(face: ProtocolName, body: JSON) -> JSON:
    """Return a body as it was sent: of Gemini's the model was put into the path."""
    return {name: value for name, value in body.items() if name != "model"} if face == "gemini_generate" else body


def answered(dialect: str, *, stream: bool) -> Iterator[tuple[str, JSON]]:
    """Yield the answers of an upstream's protocol that are no errors: recorded ones, and those of many vendors."""
    protocol = DIALECTS[dialect].protocol
    for record in recorded(protocol):
        if record.is_stream == stream and record.response.status == 200 and not recorded_outcome(record).is_error:
            body = record.response.body
            yield record.name, _events(protocol, body) if stream else json.loads(body)
    for case in lingua(SNAPSHOTS[protocol]) if protocol in SNAPSHOTS else ():
        for part in ("response", "followup-response"):
            told = json.loads(case.files.get(f"{part}-streaming" if stream else part, b"[]"))
            name = f"{case.name}-{part}"
            if (
                told and name not in MADE_UP and (stream or name not in SAYS_NOTHING)
            ):  # some streams were recorded without a single event
                yield name, told


def _events(protocol: ProtocolName, body: bytes) -> JSON:
    if protocol in LINES:
        return [json.loads(line) for line in body.splitlines() if line.strip()]
    if body.lstrip().startswith(b"["):
        return json.loads(body)
    return [json.loads(data) for _, data in sse_events(body.decode()) if data != "[DONE]"]
