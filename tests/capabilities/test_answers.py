"""The tables of what becomes of answers are what happens: each row of each upstream is answered on each face.

Whole, and in pieces as the vendor cuts them: what is lossless whole is lossless streamed.
"""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias, get_args

import pytest

from asgi_ds2api.capabilities import LEGEND
from asgi_ds2api.meanings import Telling

from .answered import ANSWERS, FURTHER
from .directions import MATRIX, TABLES, every_direction, every_protocol, protocol
from .sample import Sample
from .trying import LOSSLESS, Fate, fate, plain, streamed_fate

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


@pytest.fixture(scope="module")
def known_streamed() -> Known:
    """The same of samples that came in pieces."""
    return {}


def samples(face: str, to: str) -> Iterator[tuple[str, Telling, Sample]]:
    """Yield what an upstream answers a face: field, meaning, sample."""
    for (field, means), sample in ANSWERS[to].items():
        yield field, means, sample
    for means, sample in FURTHER.get((face, to), {}).items():
        yield "further", means, sample


async def fates(face: str, to: str, known: Known, *, are_streamed: bool = False) -> Found:
    """Return what becomes of all samples of a direction."""
    become: Callable[..., Awaitable[Fate]] = streamed_fate if are_streamed else fate
    if (face, to) not in known:
        usual: dict[str, Fate] = {}
        found = known[face, to] = {}
        for field, means, sample in samples(face, to):
            besides = json.dumps(sample.besides)
            if besides not in usual:
                nothing = Sample(sample.besides)
                usual[besides] = await (become(face, to, nothing) if are_streamed else plain(face, to, sample.besides))
            found[field, means] = (sample, await become(face, to, sample, usual[besides]), usual[besides])
    return known[face, to]


def wrongs(face: str, to: str, found: Found) -> dict[str, object]:
    """Return the rows that are not what is told: a letter is seen that is not, or what is lossless is not there."""
    wrong: dict[str, object] = {}
    for (field, means), (sample, now, usual) in found.items():
        told = MATRIX.answer(protocol(to), protocol(face), means).letters
        is_there = now.told != usual.told or sample.is_silent or now.letters != LOSSLESS or face == to
        if not set(now.letters) <= set(told) or not is_there:
            wrong[f"{field}: {means}"] = (told, now.letters, now.said if is_there else "nothing was told")
    return wrong


@every_direction
async def test_row_says_what_becomes_of_it(face: str, to: str, known: Known) -> None:
    """No letter is seen that is not told, and what is lossless reaches the caller."""
    assert wrongs(face, to, await fates(face, to, known)) == {}


@every_direction
async def test_row_says_what_becomes_of_it_in_pieces(face: str, to: str, known: Known, known_streamed: Known) -> None:
    """The same of a stream; and what is lossless whole is lossless there."""
    streamed = await fates(face, to, known_streamed, are_streamed=True)
    assert wrongs(face, to, streamed) == {}
    whole = await fates(face, to, known)
    lossless = {row for row, (_, now, _) in whole.items() if now.letters == LOSSLESS}
    assert {row: streamed[row][1].said for row in lossless if streamed[row][1].letters != LOSSLESS} == {}


@every_protocol
async def test_no_letter_is_told_of_a_face_that_nobody_sees(name: str, known: Known) -> None:
    seen: dict[Telling, set[str]] = defaultdict(set)
    for to in ANSWERS.keys() - {name}:
        for (_, means), (_, now, _) in (await fates(name, to, known)).items():
            seen[means].update(now.letters)
    told = {means: set(TABLES[protocol(name)].tells[means].letters) for means in seen}
    assert {means: letters - seen[means] for means, letters in told.items() if letters - seen[means]} == {}
