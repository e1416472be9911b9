"""What vendors said is what callers are told: every recording, through every face, relayed and translated.

The vendors are played over real HTTP, their streams cut at odd places; the callers are the official SDKs. What the SDK
parsed is compared with what the oracle reads in the recording. Exceptions stand in ``tests/protocols/waivers.toml``.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.oracle import recorded_outcome
from tests.support.recorded import Protocol, Recording, case_params, records, require_cases
from tests.support.replay import CUTS, model_of
from tests.support.waiting import WAIT_S

from .errors_told import expected, raised
from .stage import FACES, RECORDED_VERSION, Face, Stage, Way, as_told, differences, open_stage, ways, without_code_runs
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
    got = without_code_runs(way.record, await stage.told(way, CUTS[int(way.record.id, 16) % len(CUTS)]))
    found = differences(as_told(way.face, recorded_outcome(way.record)), got)
    assert found.keys() == waived(way), found


@pytest.mark.parametrize("way", case_params(cut_ways))
async def test_sdk_reads_the_same_at_any_cut(stage: Stage, way: CutWay) -> None:
    found = differences(as_told(way.face, recorded_outcome(way.record)), await stage.told(way, way.cut_bytes))
    assert found.keys() == waived(way), found


@pytest.mark.parametrize("way", case_params(lambda: (way for way in all_ways() if way.record.response.status >= 400)))
async def test_sdk_raises_its_own_error_of_the_same_status(stage: Stage, way: Way) -> None:
    assert await raised(stage, way) == expected(way)


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


ASIDES = {"/v1/responses/input_tokens": 2, "/v1/responses/compact": 1, "/v1/embeddings": 1}
"""Operations of which there is no answer of a model to read -> how often they were recorded."""
COUNTS = {"chat": 332, "responses": 346, "anthropic": 195, "gemini": 249, "ollama": 13}
"""Recordings of each protocol's main operation."""


@pytest.mark.cases
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_recording_is_played_to_every_face(protocol: Protocol) -> None:
    require_cases()
    faces: dict[str, set[Face]] = {}
    for way in ways(answers(protocol)):
        faces.setdefault(way.record.id, set()).add(way.face)
    assert len(faces) == COUNTS[protocol]
    assert all(reached == set(FACES) for reached in faces.values())


@pytest.mark.cases
def test_no_recording_is_left_out_but_of_other_operations() -> None:
    require_cases()
    left = [r for protocol in PROTOCOLS for r in records(protocol) if r not in answers(protocol)]
    assert Counter("/v1/embeddings" if r.id == MISFILED else r.request.path for r in left) == ASIDES


@pytest.mark.cases
def test_every_waiver_is_of_a_way() -> None:
    require_cases()
    known = list(all_ways())
    assert [waiver for waiver in waivers() if not any(waiver.is_of(way) for way in known)] == []
