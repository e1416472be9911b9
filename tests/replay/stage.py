"""Where recorded traffic is replayed: a gateway in a real server, between official SDKs and the recordings' vendors."""

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, get_args

import anthropic
import ollama
import openai
from google import genai
from mistralai.client import Mistral

from tests.support.gateways import make_gateway, upstream
from tests.support.oracle import recorded_outcome
from tests.support.outcome import Outcome
from tests.support.recorded import Protocol, Recording
from tests.support.replay import ReplayServer, model_of
from tests.support.responses_reading import ask_responses
from tests.support.sdk_google import ask_google, closing_google, google_client
from tests.support.sdk_mistral import ask_mistral, open_mistral
from tests.support.sdk_outcome import ask_anthropic, ask_ollama, ask_openai
from tests.support.serving import serve
from tests.support.waiting import WAIT_S

Face = Literal["openai", "responses", "anthropic", "google", "ollama", "mistral"]
"""Whose SDK asks; that of OpenAI asks on two faces, and on one of these Mistral's, too."""
FACES: Final[tuple[Face, ...]] = get_args(Face)

DIALECTS: Final[dict[str, tuple[str, Any]]] = {
    "openai": ("openai_chat", "openai"),
    "lenient": ("openai_chat", "lenient"),
    "openai-responses": ("openai_responses", "openai-responses"),
    "resembling-responses": ("openai_responses", {"base": "openai-responses", "exact": False}),
    "anthropic": ("anthropic_messages", "anthropic"),
    "resembling": ("anthropic_messages", {"base": "anthropic", "exact": False}),
    "gemini": ("gemini_generate", "gemini"),
    "akin": ("gemini_generate", {"base": "gemini", "exact": False}),
    "ollama": ("ollama_chat", "ollama"),
    "ollama-like": ("ollama_chat", {"base": "ollama", "exact": False}),
}
"""Upstreams of each protocol: to the letter, which is relayed within it, and one that is always translated."""

OWN_FACE: Final[dict[Protocol, Face]] = {
    "chat": "openai",
    "responses": "responses",
    "anthropic": "anthropic",
    "gemini": "google",
    "ollama": "ollama",
}
TRANSLATED: Final[dict[Protocol, str]] = {
    "chat": "lenient",
    "responses": "resembling-responses",
    "anthropic": "resembling",
    "gemini": "akin",
    "ollama": "ollama-like",
}
VENDORS: Final[dict[tuple[Protocol, str], str]] = {
    ("chat", "api.openai.com"): "openai",
    ("responses", "api.openai.com"): "openai-responses",
    ("anthropic", "api.anthropic.com"): "anthropic",
    ("gemini", "generativelanguage.googleapis.com"): "gemini",
    ("ollama", "127.0.0.1:11434"): "ollama",
}
"""Protocols and hosts of those who made them."""
BROKEN_OFF: Final = "f597059bde62796e"
"""A stream without a finish reason. Of a vendor to the letter it broke off, and an account rests after five such."""
RECORDED_VERSION: Final = {"anthropic-version": "2023-06-01"}
"""What the recorded questions were asked under; the SDK's own refuses some of them."""


@dataclass(frozen=True)
class Way:
    """One way of a recording through the gateway."""

    record: Recording
    face: Face
    dialect: str
    """A row of `DIALECTS`."""

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.record.name}-by-{self.face}-to-{self.dialect}"

    @property
    def upstream(self) -> str:
        """Name of the upstream in the gateway: an answer that fails has one to itself, as its account rests then."""
        return f"{self.dialect}-{self.face}-{self.record.id}" if _fails(self.record) else self.dialect

    @property
    def is_own_face(self) -> bool:
        """The caller speaks the protocol of the recording."""
        return OWN_FACE[self.record.protocol] == self.face


def ways(recordings: Iterable[Recording]) -> list[Way]:
    """Return all ways of recordings."""
    return [way for record in recordings for way in _ways(record)]


def _ways(record: Recording) -> Iterator[Way]:
    own, translated = OWN_FACE[record.protocol], TRANSLATED[record.protocol]
    vendor = VENDORS.get((record.protocol, record.host))
    if vendor is not None:
        yield Way(record, own, vendor)
    yield Way(record, own, translated)
    for face in FACES:
        if face != own:
            yield Way(record, face, vendor or translated)


def _fails(record: Recording) -> bool:
    return record.id == BROKEN_OFF or recorded_outcome(record).is_error


def question(way: Way) -> dict[str, Any]:
    """Return what is asked: the recorded question on the face of its protocol, else a plain one."""
    if not way.is_own_face or way.record.request.body is None:
        return {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}} if way.face == "google" else {}
    asked = {name: value for name, value in way.record.request.body.items() if name not in ("model", "stream")}
    if way.face == "openai" and way.record.is_stream:
        asked["stream_options"] = {"include_usage": True}
    return asked


def as_told(face: Face, outcome: Outcome) -> Outcome:
    """Return an outcome as a face can say it.

    Mistral's SDK does not read thoughts where Chat has them.
    Ollama has no word for a filter, and does not count what is cached. Gemini counts thoughts and the rest of an answer
    apart: more thoughts than answer, as a vendor tells who does not count them in, cannot be said.
    """
    if face == "google" and None not in (outcome.output_tokens, outcome.reasoning_tokens):
        return replace(outcome, reasoning_tokens=min(outcome.reasoning_tokens or 0, outcome.output_tokens or 0))
    if face == "mistral":
        return replace(outcome, reasoning="")
    if face != "ollama" or outcome.is_error:
        return outcome
    text = outcome.text or (DECLINED if outcome.finish == "filter" and not (outcome.reasoning or outcome.tools) else "")
    finish = "stop" if outcome.finish == "filter" else outcome.finish
    return replace(outcome, text=text, finish=finish, cached_tokens=0, reasoning_tokens=0)


def without_code_runs(record: Recording, outcome: Outcome) -> Outcome:
    """Return an outcome without the fenced text in which other faces are told of code that Gemini ran."""
    is_there = any(word in record.response.body for word in (b"executableCode", b"codeExecutionResult"))
    return replace(outcome, text=_FENCED.sub("", outcome.text)) if is_there else outcome


_FENCED: Final = re.compile(r"\n(`{3,})[^\n]*\n.*?\1\n", re.DOTALL)
DECLINED: Final = "The model declined to answer."
"""What a caller of Ollama's reads where a model says nothing, and why it does not."""


def differences(expected: Outcome, got: Outcome) -> dict[str, tuple[object, object]]:
    """Return the fields that differ. Usage that no vendor told is estimated, and is not compared."""
    if expected.is_error or got.is_error:
        is_beyond = not expected.text.startswith(got.text)
        return {"is_error": (expected, got)} if is_beyond or not (got.is_error and expected.is_error) else {}
    if expected.input_tokens is None:
        got = replace(got, input_tokens=None)
    if expected.output_tokens is None:
        got = replace(got, output_tokens=None)
    pairs = {field.name: (getattr(expected, field.name), getattr(got, field.name)) for field in fields(Outcome)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclass
class Stage:
    """What a test talks to and looks at."""

    url: str
    """Of the gateway."""
    replay: ReplayServer
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    google: genai.Client
    ollama: ollama.AsyncClient
    mistral: Mistral

    async def told(self, way: Way, cut_bytes: int) -> Outcome:
        """Return what the SDK made of the answer, whose stream came in pieces of this size."""
        model = model_of(way.record, prefix=f"{way.upstream}/", cut_bytes=cut_bytes)
        if way.face == "openai":
            return await ask_openai(self.openai, model, stream=way.record.is_stream, body=question(way))
        if way.face == "responses":
            return await ask_responses(self.openai, model, stream=way.record.is_stream, body=question(way))
        if way.face == "google":
            return await ask_google(self.google, model, stream=way.record.is_stream, body=question(way))
        if way.face == "mistral":
            return await ask_mistral(self.mistral, model, stream=way.record.is_stream)
        if way.face == "ollama":
            return await ask_ollama(self.ollama, model, stream=way.record.is_stream, body=question(way))
        return await ask_anthropic(self.anthropic, model, stream=way.record.is_stream, body=question(way))


@asynccontextmanager
async def open_stage(recordings: Sequence[Recording]) -> AsyncIterator[Stage]:
    """Start the vendors of recordings, the gateway, and a client of each face."""
    async with ReplayServer(recordings) as replay:
        tables = [_upstream(name, dialect, replay.url) for name, dialect in _upstreams(ways(recordings)).items()]

        # Several upstreams tell of one container here, which of vendors none does: nothing is noted of who holds it.
        with serve(make_gateway(*tables, timeouts={"held_s": 0})) as served:
            async with (
                openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0, timeout=WAIT_S) as chat,
                anthropic.AsyncAnthropic(
                    base_url=served.url, api_key="any", max_retries=0, timeout=WAIT_S, default_headers=RECORDED_VERSION
                ) as messages,
                ollama.AsyncClient(f"{served.url}/ollama", timeout=WAIT_S) as lines,
                closing_google(google_client(served.url)) as contents,
                open_mistral(served.url, WAIT_S) as mistral,
            ):
                yield Stage(served.url, replay, chat, messages, contents, lines, mistral)


def _upstreams(ways: Iterable[Way]) -> dict[str, str]:
    found: dict[str, str] = {}
    for way in ways:
        found[way.upstream] = way.dialect
        if _fails(way.record):
            found[f"{way.upstream}-status"] = way.dialect
    return found


def _upstream(name: str, dialect: str, url: str) -> dict[str, Any]:
    protocol, profile = DIALECTS[dialect]
    base_url = f"{url}/v1" if protocol.startswith("openai_") else url
    return upstream(name, protocol=protocol, base_url=base_url, profile=profile)
