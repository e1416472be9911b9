"""Every row of the references' mapping tables says what our tables say, or stands among the named divergences.

The rows are in ``tests/cases/references``, as their vendors' references have them. Ours are finer in one thing: what is
left out without effect on the answer is a hint there (``H``), which the references call lossless, or drop in silence.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from asgi_ds2api.capabilities import Row

from .asked_chat import SAMPLES
from .directions import MATRIX, TABLES
from .divergences import DIVERGENCES, Place
from .sample import Sample
from .trying import fate

ROOT = Path(__file__).parents[1]
CASES = sorted((ROOT / "cases" / "references").glob("*.txt"))
FEWEST = {"protocol-anthropic": 110, "protocol-gemini": 90, "protocol-openai": 180, "protocol-others": 45}
"""Lines of each file, so that none is lost unseen."""


@dataclass(frozen=True)
class Told:
    """What a reference says of one of our meanings in one direction."""

    file: str
    section: str
    kind: str
    """Whether it is of requests, of answers, or of what one dialect makes of requests."""
    source: str
    to: str
    field: str
    means: str
    letters: str
    """As the reference has them."""

    @property
    def name(self) -> str:
        """Return what the test is called."""
        return f"{self.file} {self.section} {self.field} ({self.means} at {self.to})"

    @property
    def place(self) -> Place:
        """Return what a divergence is named by."""
        return Place("answers" if self.kind == "answers" else "requests", self.means, self.to)


def lines_of(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Yield words of the heading, and cells, of each row."""
    heading: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("@"):
            heading = line.removeprefix("@").replace(",", "").split()
        elif line and not line.startswith("#"):
            yield heading, [cell.strip() for cell in line.split(" | ")]


def told(path: Path) -> Iterator[Told]:
    for (section, kind, *names), (field, meanings, *letters) in lines_of(path):
        if meanings.startswith("see "):
            continue
        source, *targets = [name for name in names if name != "->"]
        targets = targets or [source]
        assert len(letters) == len(targets), f"{path.name}: {field}"
        for means in [meanings] if kind == "tries" else meanings.split(", "):
            for to, said in zip(targets, letters, strict=True):
                yield Told(path.stem, section, kind, source, to, field, means, said)


ROWS = [row for path in CASES for row in told(path)]


def letters_of(reference: str) -> set[str]:
    """Return a reference's letters in our words: a warning beside an emulation is our `changed`."""
    said = reference.replace("W-silent", "L").replace("E+W", "E").replace("L+W", "E")
    return set(said) - set("/~")


def agrees(reference: str, ours: str) -> bool:
    """Tell whether two verdicts say the same. A hint is lossless, or of values that nothing need be done about."""
    if " or " in reference:
        return any(agrees(choice, ours) for choice in reference.split(" or "))
    lossless = set(ours.replace("H", "L"))
    if reference == "-":
        return bool(lossless & set("LE"))
    wanted = letters_of(reference)
    if reference.startswith("~"):
        return wanted <= lossless
    return wanted in (lossless, set(ours) - {"H"})


def published(row: Told) -> str:
    """Return our verdict on a row, whose meaning is one of `meanings`: each row is looked up in a table."""
    if row.kind == "requests":
        return MATRIX.request(row.source, row.to, row.means).letters  # type: ignore[arg-type]  # a text of a file
    return MATRIX.answer(row.source, row.to, row.means).letters  # type: ignore[arg-type]  # a text of a file


PUBLISHED = [row for row in ROWS if row.kind != "tries"]


@pytest.mark.parametrize("row", PUBLISHED, ids=[row.name for row in PUBLISHED])
def test_row_of_a_reference_is_ours_or_a_named_divergence(row: Told) -> None:
    face: tuple[Row, ...] = TABLES[row.source].asks if row.kind == "requests" else TABLES[row.source].says
    other = "openai_responses" if row.source == "openai_chat" else row.source  # whose fields stand in its rows, too
    also: tuple[Row, ...] = TABLES[other].asks if row.kind == "requests" else ()
    assert row.means in {known.means for known in (*face, *also)}, "no field means that"
    ours = published(row)
    assert agrees(row.letters, ours) or row.place in DIVERGENCES, f"the reference: {row.letters}, ours: {ours}"


def test_every_named_divergence_still_is_one() -> None:
    differing = {row.place for row in PUBLISHED if not agrees(row.letters, published(row))}
    assert set(DIVERGENCES) - differing == set()


OF_MISTRALS: Mapping[str, str] = {
    "stream_options.include_usage": "usage always comes, so that nothing is lost",
    "store": "DESIGN 5: what is noted of a request does nothing to its answer, so that this is a hint",
    "modalities": "text is what is asked for, and what comes: a hint",
}
"""Field -> why Mistral's dialect makes something else of it than the reference."""
TRIED = [row for row in ROWS if row.kind == "tries"]


@pytest.mark.anyio
@pytest.mark.parametrize("row", TRIED, ids=[row.name for row in TRIED])
async def test_row_of_mistrals_is_what_its_dialect_makes_of_it(row: Told) -> None:
    """Of a dialect nothing is published: what becomes of it is tried."""
    field, _, means = row.means.rpartition(": ")
    sample = next(found for (at, meant), found in SAMPLES.items() if (at, meant) == (field, means))
    tried = Sample(sample.body, model="mistral-small-latest", profile="mistral", besides=sample.besides)
    usual = await fate("chat", "chat", Sample(sample.besides, model=tried.model, profile="mistral"))
    ours = (await fate("chat", "chat", tried, usual)).letters
    assert agrees(row.letters, ours) is (field not in OF_MISTRALS), f"the reference: {row.letters}, ours: {ours}"


def test_rows_that_no_field_stands_for_are_held_by_a_test_of_their_own() -> None:
    named = {cells[1].removeprefix("see ") for path in CASES for _, cells in lines_of(path) if "see " in cells[1]}
    known = {
        match for file in ROOT.rglob("test_*.py") for match in re.findall(r"def (test_\w+)\(", file.read_text("utf-8"))
    }
    assert named - known == set()


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_no_row_is_lost_or_stands_twice(path: Path) -> None:
    rows = [(*heading, *cells) for heading, cells in lines_of(path)]
    assert len(rows) >= FEWEST[path.stem]
    assert [row for row, count in Counter(rows).items() if count > 1] == []
    assert [a for a, b in pairwise(sorted(rows)) if a[:-1] == b[:-1]] == []
