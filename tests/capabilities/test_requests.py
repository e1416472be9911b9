"""The tables of what becomes of requests are what happens: each row of each face is asked of each upstream."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TypeAlias, get_args

import pytest

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.capabilities import LEGEND, Matrix, Meaning
from asgi_ds2api.protocols import PROTOCOLS
from tests.support.gateways import PROTOCOLS as NAMES

from . import asked_chat, asked_claude, asked_gemini, asked_ollama, asked_responses
from .further import FURTHER
from .sample import Sample, Samples
from .trying import Fate, fate, plain

pytestmark = pytest.mark.anyio

FACES: Mapping[str, Samples] = {
    "chat": asked_chat.SAMPLES,
    "responses": asked_responses.SAMPLES,
    "claude": asked_claude.SAMPLES,
    "gemini": asked_gemini.SAMPLES,
    "ollama": asked_ollama.SAMPLES,
}
TABLES = {name: codec.CAPABILITIES for name, codec in PROTOCOLS.items()}
MATRIX = Matrix(TABLES)

every_face = pytest.mark.parametrize("face", FACES)
every_direction = [pytest.param(face, to, id=f"{face}-to-{to}") for face in FACES for to in FACES]


def protocol(name: str) -> ProtocolName:
    return next(known for known in PROTOCOLS if known == NAMES[name])


@every_face
def test_every_row_has_a_sample_and_every_sample_a_row(face: str) -> None:
    assert list(FACES[face]) == [(row.field, row.means) for row in TABLES[protocol(face)].asks]


@every_face
def test_upstream_says_what_becomes_of_all_that_others_mean_and_of_nothing_else(face: str) -> None:
    others = {row.means for name, table in TABLES.items() if name != protocol(face) for row in table.asks}
    assert others <= set(TABLES[protocol(face)].takes)
    assert set(TABLES[protocol(face)].takes) <= set(get_args(Meaning))


def test_every_meaning_is_meant_by_somebody() -> None:
    assert {row.means for table in TABLES.values() for row in table.asks} == set(get_args(Meaning))


@every_face
def test_verdicts_are_of_the_legend_each_letter_once(face: str) -> None:
    letters = [verdict.letters for verdict in TABLES[protocol(face)].takes.values()]
    assert [told for told in letters if not told or len(set(told)) < len(told) or set(told) - set(LEGEND)] == []


def samples(face: str, to: str) -> Iterator[tuple[str, Meaning, Sample]]:
    """Yield what a face asks of an upstream: field, meaning, sample."""
    for (field, means), sample in FACES[face].items():
        yield field, means, sample
    for means, found in FURTHER.get((face, to), {}).items():
        for number, sample in enumerate(found, 1):
            yield f"further {number}", means, sample


Found: TypeAlias = dict[tuple[str, Meaning], tuple[Sample, Fate, Fate]]
"""Field and meaning -> sample, what becomes of it, what becomes of the question without it."""


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, str], Found]:
    """What became of the samples of the directions that were tried."""
    return {}


async def fates(face: str, to: str, known: dict[tuple[str, str], Found]) -> Found:
    """Return what becomes of all samples of a direction."""
    if (face, to) not in known:
        known[face, to] = await _tried(face, to)
    return known[face, to]


async def _tried(face: str, to: str) -> Found:
    usual: dict[str, Fate] = {}
    found: Found = {}
    for field, means, sample in samples(face, to):
        besides = json.dumps(sample.besides)
        if besides not in usual:
            usual[besides] = await plain(face, to, sample.besides)
        found[field, means] = (sample, await fate(face, to, sample, usual[besides]), usual[besides])
    return found


@pytest.mark.parametrize(("face", "to"), every_direction)
async def test_row_says_what_becomes_of_it(face: str, to: str, known: dict[tuple[str, str], Found]) -> None:
    """No letter is seen that is not told; what is lossless is there; a plain sample shows the letter that is usual."""
    wrong = {}
    for (field, means), (sample, now, usual) in (await fates(face, to, known)).items():
        told = MATRIX.request(protocol(face), protocol(to), means).letters
        is_there = now.sent != usual.sent or sample.is_silent or now.letters != "L"
        if not set(now.letters) <= set(told) or not is_there:
            wrong[f"{field}: {means}"] = (told, now.letters, now.said if is_there else "nothing was sent")
    assert wrong == {}


@every_face
async def test_no_letter_is_told_that_nobody_sees(face: str, known: dict[tuple[str, str], Found]) -> None:
    """Of an upstream, whoever asks."""
    seen: dict[Meaning, set[str]] = defaultdict(set)
    for asking in FACES.keys() - {face}:
        for (_, means), (_, now, _) in (await fates(asking, face, known)).items():
            seen[means].update(now.letters)
    told = {means: set(TABLES[protocol(face)].takes[means].letters) for means in seen}
    assert {means: letters - seen[means] for means, letters in told.items() if letters - seen[means]} == {}
