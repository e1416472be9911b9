"""The tables of what becomes of requests are what happens: each row of each face is asked of each upstream."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TypeAlias, get_args

import pytest

from asgi_ds2api.capabilities import LEGEND
from asgi_ds2api.meanings import Meaning

from . import asked_chat, asked_claude, asked_gemini, asked_ollama, asked_responses
from .directions import MATRIX, TABLES, every_direction, every_protocol, protocol
from .further import FURTHER
from .sample import Sample, Samples
from .trying import LOSSLESS, Fate, fate, plain

pytestmark = pytest.mark.anyio

ASKED: Mapping[str, Samples] = {
    "chat": asked_chat.SAMPLES,
    "responses": asked_responses.SAMPLES,
    "claude": asked_claude.SAMPLES,
    "gemini": asked_gemini.SAMPLES,
    "ollama": asked_ollama.SAMPLES,
}


@every_protocol
def test_every_row_has_a_sample_and_every_sample_a_row(name: str) -> None:
    assert list(ASKED[name]) == [(row.field, row.means) for row in TABLES[protocol(name)].asks]


@every_protocol
def test_upstream_says_what_becomes_of_all_that_others_mean(name: str) -> None:
    others = {row.means for other, table in TABLES.items() if other != protocol(name) for row in table.asks}
    assert others - set(TABLES[protocol(name)].takes) == set()


def test_every_meaning_is_meant_by_somebody() -> None:
    assert {row.means for table in TABLES.values() for row in table.asks} == set(get_args(Meaning))


@every_protocol
def test_verdicts_are_of_the_legend_each_letter_once(name: str) -> None:
    letters = [verdict.letters for verdict in TABLES[protocol(name)].takes.values()]
    assert [told for told in letters if not told or len(set(told)) < len(told) or set(told) - set(LEGEND)] == []


Found: TypeAlias = dict[tuple[str, Meaning], tuple[Sample, Fate, Fate]]
"""Field and meaning -> sample, what becomes of it, what becomes of the question without it."""
Known: TypeAlias = dict[tuple[str, str], Found]


@pytest.fixture(scope="module")
def known() -> Known:
    """What became of the samples of the directions that were tried: each is tried once."""
    return {}


def samples(face: str, to: str) -> Iterator[tuple[str, Meaning, Sample]]:
    """Yield what a face asks of an upstream: field, meaning, sample."""
    for (field, means), sample in ASKED[face].items():
        yield field, means, sample
    for means, found in FURTHER.get((face, to), {}).items():
        for number, sample in enumerate(found, 1):
            yield f"further {number}", means, sample


async def fates(face: str, to: str, known: Known) -> Found:
    """Return what becomes of all samples of a direction."""
    if (face, to) not in known:
        usual: dict[str, Fate] = {}
        found = known[face, to] = {}
        for field, means, sample in samples(face, to):
            besides = json.dumps(sample.besides)
            if besides not in usual:
                usual[besides] = await plain(face, to, sample.besides)
            found[field, means] = (sample, await fate(face, to, sample, usual[besides]), usual[besides])
    return known[face, to]


@every_direction
async def test_row_says_what_becomes_of_it(face: str, to: str, known: Known) -> None:
    """No letter is seen that is not told, and what is lossless reaches the upstream."""
    wrong = {}
    for (field, means), (sample, now, usual) in (await fates(face, to, known)).items():
        told = MATRIX.request(protocol(face), protocol(to), means).letters
        is_there = now.sent != usual.sent or sample.is_silent or now.letters != LOSSLESS
        if not set(now.letters) <= set(told) or not is_there:
            wrong[f"{field}: {means}"] = (told, now.letters, now.said if is_there else "nothing was sent")
    assert wrong == {}


@every_protocol
async def test_no_letter_is_told_of_an_upstream_that_nobody_sees(name: str, known: Known) -> None:
    seen: dict[Meaning, set[str]] = defaultdict(set)
    for face in ASKED.keys() - {name}:
        for (_, means), (_, now, _) in (await fates(face, name, known)).items():
            seen[means].update(now.letters)
    told = {means: set(TABLES[protocol(name)].takes[means].letters) for means in seen}
    assert {means: letters - seen[means] for means, letters in told.items() if letters - seen[means]} == {}
