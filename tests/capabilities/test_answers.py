"""The tables of what becomes of answers are what happens: each row of each upstream is answered on each face."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias, get_args

import pytest

from asgi_ds2api.capabilities import LEGEND
from asgi_ds2api.meanings import Telling

from .answered import ANSWERS, FURTHER
from .directions import MATRIX, TABLES, every_direction, every_protocol, protocol
from .sample import Sample
from .trying import LOSSLESS, Fate, fate, plain

pytestmark = pytest.mark.anyio


@every_protocol
def test_every_row_has_a_sample_and_every_sample_a_row(name: str) -> None:
    assert list(ANSWERS[name]) == [(row.field, row.means) for row in TABLES[protocol(name)].says]


@every_protocol
def test_face_says_what_becomes_of_all_that_others_mean(name: str) -> None:
    others = {row.means for other, table in TABLES.items() if other != protocol(name) for row in table.says}
    assert others - set(TABLES[protocol(name)].tells) == set()


def test_every_meaning_is_meant_by_somebody() -> None:
    assert {row.means for table in TABLES.values() for row in table.says} == set(get_args(Telling))


@every_protocol
def test_verdicts_are_of_the_legend_each_letter_once_and_nothing_is_refused(name: str) -> None:
    letters = [verdict.letters for verdict in TABLES[protocol(name)].tells.values()]
    known = set(LEGEND) - {"X"}
    assert [told for told in letters if not told or len(set(told)) < len(told) or set(told) - known] == []


Found: TypeAlias = dict[tuple[str, Telling], tuple[Sample, Fate, Fate]]
"""Field and meaning -> sample, what becomes of it, what becomes of the usual answer."""
Known: TypeAlias = dict[tuple[str, str], Found]


@pytest.fixture(scope="module")
def known() -> Known:
    """What became of the samples of the directions that were tried: each is tried once."""
    return {}


def samples(face: str, to: str) -> Iterator[tuple[str, Telling, Sample]]:
    """Yield what an upstream answers a face: field, meaning, sample."""
    for (field, means), sample in ANSWERS[to].items():
        yield field, means, sample
    for means, sample in FURTHER.get((face, to), {}).items():
        yield "further", means, sample


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
    """No letter is seen that is not told, and what is lossless reaches the caller."""
    wrong = {}
    for (field, means), (sample, now, usual) in (await fates(face, to, known)).items():
        told = MATRIX.answer(protocol(to), protocol(face), means).letters
        is_there = now.told != usual.told or sample.is_silent or now.letters != LOSSLESS or face == to
        if not set(now.letters) <= set(told) or not is_there:
            wrong[f"{field}: {means}"] = (told, now.letters, now.said if is_there else "nothing was told")
    assert wrong == {}


@every_protocol
async def test_no_letter_is_told_of_a_face_that_nobody_sees(name: str, known: Known) -> None:
    seen: dict[Telling, set[str]] = defaultdict(set)
    for to in ANSWERS.keys() - {name}:
        for (_, means), (_, now, _) in (await fates(name, to, known)).items():
            seen[means].update(now.letters)
    told = {means: set(TABLES[protocol(name)].tells[means].letters) for means in seen}
    assert {means: letters - seen[means] for means, letters in told.items() if letters - seen[means]} == {}
