"""What vendors said is what callers are told: every recording, through every face, relayed and translated.

The vendors are played over real HTTP, their streams cut at odd places; the callers are the official SDKs. What the SDK
parsed is compared with what the oracle reads in the recording. Exceptions stand in ``tests/protocols/waivers.toml``.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from google.genai import errors
from mistralai.client.errors import SDKError

from tests.support.oracle import recorded_outcome
from tests.support.recorded import Protocol, Recording, case_params, records, require_cases
from tests.support.replay import CUTS, model_of
from tests.support.sdk_google import read_google
from tests.support.sdk_mistral import read_mistral
from tests.support.waiting import WAIT_S

from .stage import RECORDED_VERSION, Stage, Way, as_told, differences, open_stage, ways
from .waivers import waived, waivers

pytestmark = pytest.mark.anyio
QUESTION = [{"role": "user", "content": "anything"}]

PROTOCOLS: tuple[Protocol, ...] = ("chat", "responses", "anthropic", "gemini", "ollama")


def answers(protocol: Protocol) -> list[Recording]:
    """Return the recordings of a protocol's main operation."""
    asides = ("/input_tokens", "/compact")
    return [r for r in records(protocol) if not r.request.path.endswith(asides) and r.id != MISFILED]


MISFILED = "099f4335afb7742d"
"""An answer with embeddings, among the responses."""


@pytest.fixture(scope="module")
async def chat_stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage(answers("chat")) as stage:
        yield stage


@pytest.fixture(scope="module")
async def responses_stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage(answers("responses")) as stage:
        yield stage


@pytest.fixture(scope="module")
async def anthropic_stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage(answers("anthropic")) as stage:
        yield stage


@pytest.fixture(scope="module")
async def gemini_stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage(records("gemini")) as stage:
        yield stage


@pytest.fixture(scope="module")
async def ollama_stage() -> AsyncIterator[Stage]:
    require_cases()
    async with open_stage(records("ollama")) as stage:
        yield stage


@pytest.fixture
def stage(way: Way, request: pytest.FixtureRequest) -> Stage:
    """The stage of the recording's protocol."""
    found: Stage = request.getfixturevalue(f"{way.record.protocol}_stage")
    return found


def all_ways() -> Iterator[Way]:
    for protocol in PROTOCOLS:
        yield from ways(answers(protocol))


@dataclass(frozen=True)
class CutWay(Way):
    """A way on which the vendor's stream is cut in pieces of one size."""

    cut_bytes: int = CUTS[0]

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{super().name}-cut{self.cut_bytes}"


def cut_ways() -> Iterator[CutWay]:
    """Return the ways, at all cuts, of one stream of each host: the shortest, with more than ASCII if there is one."""
    for protocol in PROTOCOLS:
        found: dict[str, list[Way]] = {}
        for way in ways(answers(protocol)):
            if way.record.is_stream and way.record.response.status == 200:
                found.setdefault(way.record.host, []).append(way)
        for of_host in found.values():
            chosen = min(of_host, key=lambda way: (way.record.response.body.isascii(), len(way.record.response.body)))
            for way in of_host:
                if way.record is chosen.record:
                    yield from (CutWay(way.record, way.face, way.dialect, cut_bytes) for cut_bytes in CUTS)


@pytest.mark.parametrize("way", case_params(all_ways))
async def test_sdk_reads_what_the_vendor_said(stage: Stage, way: Way) -> None:
    got = await stage.told(way, CUTS[int(way.record.id, 16) % len(CUTS)])
    found = differences(as_told(way.face, recorded_outcome(way.record)), got)
    assert found.keys() == waived(way), found


@pytest.mark.parametrize("way", case_params(cut_ways))
async def test_sdk_reads_the_same_at_any_cut(stage: Stage, way: CutWay) -> None:
    found = differences(as_told(way.face, recorded_outcome(way.record)), await stage.told(way, way.cut_bytes))
    assert found.keys() == waived(way), found


STATUS = {400: 400, 401: 502, 404: 404, 429: 429}
"""Status of the recorded error -> what a caller is told. An upstream's 401 is no fault of the caller's."""
CLASSES = {400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError", 502: "InternalServerError"}


@pytest.mark.parametrize("way", case_params(lambda: (way for way in all_ways() if way.record.response.status >= 400)))
async def test_sdk_raises_its_own_error_of_the_same_status(stage: Stage, way: Way) -> None:
    model, status = model_of(way.record, prefix=f"{way.upstream}-status/"), STATUS[way.record.response.status]
    if way.face == "google":
        with pytest.raises(errors.APIError) as raised:
            await read_google(stage.google, model, stream=way.record.is_stream)
        expected = errors.ServerError if status >= 500 else errors.ClientError
        assert (type(raised.value), raised.value.code) == (expected, status)
        return
    if way.face == "mistral":
        with pytest.raises(SDKError) as refused:
            await read_mistral(stage.mistral, model, stream=way.record.is_stream)
        assert refused.value.status_code == status
        return
    asked: dict[str, Any] = {"messages": QUESTION}
    if way.face == "ollama":
        with pytest.raises(ollama.ResponseError) as told:
            await stage.ollama.chat(model=model, **asked)
        assert told.value.status_code == status
        return
    asked = {"input": "anything"} if way.face == "responses" else {**asked, "max_tokens": 9}
    create: Any = {
        "openai": stage.openai.chat.completions,
        "responses": stage.openai.responses,
        "anthropic": stage.anthropic.messages,
    }[way.face]
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        await create.create(model=model, **asked, stream=way.record.is_stream)
    error: Any = caught.value
    sdk = "anthropic" if way.face == "anthropic" else "openai"
    assert (type(error).__module__.partition(".")[0], type(error).__name__) == (sdk, CLASSES[status])
    assert error.status_code == status
    assert way.record.response.headers.get("retry-after") in (None, error.response.headers.get("retry-after"))


MODES = {
    "openai": "relay",
    "lenient": "translate",
    "openai-responses": "relay",
    "resembling-responses": "translate",
    "anthropic": "relay",
    "resembling": "translate",
    "gemini": "relay",
    "akin": "translate",
    "ollama": "relay",
    "ollama-like": "translate",
}
"""Dialect -> how its own protocol's callers are served."""
PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/{model}:generateContent",
    "ollama": "/api/chat",
}
"""Where each face is asked."""
ASKED: dict[str, dict[str, Any]] = {
    "openai": {"messages": QUESTION},
    "responses": {"input": "anything"},
    "anthropic": {"messages": QUESTION, "max_tokens": 9},
    "google": {"contents": [{"parts": [{"text": "anything"}]}]},
    "ollama": {"messages": QUESTION},
}
"""What each face is asked, besides the model."""


@pytest.mark.parametrize(
    "way", case_params(lambda: {way.dialect: way for way in all_ways() if way.is_own_face}.values())
)
async def test_only_vendors_to_the_letter_are_relayed(stage: Stage, way: Way) -> None:
    model = model_of(way.record, prefix=f"{way.upstream}/")
    path, asked = PATHS[way.face].format(model=model), {"model": model, **ASKED[way.face]}
    async with httpx.AsyncClient(timeout=WAIT_S) as client:
        raw = await client.post(f"{stage.url}{path}", json=asked, headers=RECORDED_VERSION)
    assert raw.headers["x-ds2api-mode"] == MODES[way.dialect]


@pytest.mark.cases
def test_every_waiver_is_of_a_way() -> None:
    require_cases()
    known = list(all_ways())
    assert [waiver for waiver in waivers() if not any(waiver.is_of(way) for way in known)] == []
