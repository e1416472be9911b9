"""Every row, asked on every face, of every upstream, streamed and not: it passes, or loses what is declared.

`matrix.rows` has the rows, `matrix.declared` the losses; `docs/capabilities.md` shows both.
"""

import dataclasses
import json
from itertools import product

import pytest

from asgi_ds2api.protocols import PROTOCOLS
from tests.protocols.matrix.cell import ENDS, Cell, Found
from tests.protocols.matrix.declared import LOSSES, WORDLESS, declared, is_wordless, losses
from tests.protocols.matrix.neutral import Wordless
from tests.protocols.matrix.rows import ROWS, Row
from tests.support.gateways import PROTOCOLS as NAMES
from tests.support.oracle import outcome_of

pytestmark = pytest.mark.anyio
CELLS = [
    pytest.param(
        row, face, to, stream, id=f"{row.name}-{face}-{to}-{'stream' if stream else 'whole'}".replace(" ", "_")
    )
    for row, face, to in product(ROWS, ENDS, ENDS)
    for stream in row.streams
]


def cells(*ways: str) -> pytest.MarkDecorator:
    """Return the cells of rows that are answered in one of these ways."""
    chosen = [cell for cell in CELLS if isinstance(cell.values[0], Row) and cell.values[0].way in ways]
    return pytest.mark.parametrize(("row", "face", "to", "stream"), chosen)


@cells("answer", "replay")
async def test_both_ends_have_what_was_meant_but_for_what_is_declared(
    row: Row, face: str, to: str, stream: bool
) -> None:
    cell = Cell(row, ENDS[face], ENDS[to], stream)
    try:
        found = cell.found(await cell.ask())
    except Wordless:
        assert is_wordless(row.name, face, to)
        return
    assert not is_wordless(row.name, face, to)
    expected = declared(row.name, face, to, stream=stream)
    assert dataclasses.replace(found, hints=found.hints & expected.hints) == expected


@cells("refused", "failed")
async def test_an_error_is_told_in_the_callers_words(row: Row, face: str, to: str, stream: bool) -> None:
    cell = Cell(row, ENDS[face], ENDS[to], stream)
    answer = await cell.ask()
    trouble, message, _ = cell.face.trouble(answer.status, json.loads(answer.body))
    assert row.failure is not None
    assert trouble == cell.face.TROUBLE[row.failure]
    assert answer.header("retry-after") == row.retry_after
    assert answer.header("x-should-retry") == ("false" if row.failure == "bad key" else None)
    assert ("Told: bad request." in message) is (row.failure == "bad request"), "only a refusal is the caller's to read"
    assert len(cell.upstream.calls) == 1


@cells("broken", "cut")
async def test_a_broken_answer_never_looks_complete(row: Row, face: str, to: str, stream: bool) -> None:
    cell = Cell(row, ENDS[face], ENDS[to], stream)
    answer = await cell.ask()
    if not stream:
        trouble, _, _ = cell.face.trouble(answer.status, json.loads(answer.body))
        assert trouble == cell.face.TROUBLE["failure"]
        return
    outcome = outcome_of(cell.face.ORACLE, answer.body, is_stream=True)
    assert (answer.status, outcome.is_error) == (200, True)
    assert cell.face.is_broken(answer.body)
    assert cell.records[-1].result == "interrupted"


async def test_the_text_before_a_break_reaches_the_caller() -> None:
    """So that the rows above are about streams that had begun. Responses tells what was said as items alone."""
    (row,) = (row for row in ROWS if row.name == "error mid-stream")
    for face, to in product(ENDS, ENDS):
        answer = await Cell(row, ENDS[face], ENDS[to], stream=True).ask()
        assert row.said.text[:6] in answer.text, (face, to)
        assert row.said.text[-6:] not in answer.text, (face, to)


ANSWERED = [row for row in ROWS if row.way == "answer"]


@pytest.mark.parametrize("row", ANSWERED[1:], ids=lambda row: row.name.replace(" ", "_"))
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cell_misses_what_its_row_is_about_where_it_is_not_there(row: Row, stream: bool) -> None:
    """The plain row, judged by another: each of them fails where nothing of it passes."""
    for face, to in zip(ENDS, (*ENDS, *ENDS)[1:], strict=False):
        cell = Cell(ANSWERED[0], ENDS[face], ENDS[to], stream)
        answer = await cell.ask()
        assert cell.found(answer) == dataclasses.replace(Found(), hints=cell.found(answer).hints)
        cell.row = row
        found = cell.found(answer)
        assert found.asked or found.told, (face, to)


def test_every_protocol_is_in_the_matrix() -> None:
    assert {NAMES[name] for name in ENDS} == PROTOCOLS.keys()


def test_every_declaration_is_of_a_cell() -> None:
    names = {row.name for row in ROWS}
    assert {loss.row for loss in LOSSES} | {cell.row for cell in WORDLESS} <= names
    claimed = [(loss, face, to) for loss in LOSSES for face in loss.faces for to in loss.to]
    assert [claim for claim in claimed if is_wordless(claim[0].row, *claim[1:])] == []


def test_a_cell_that_is_refused_loses_nothing_else() -> None:
    for row, face, to in product(ROWS, ENDS, ENDS):
        found = losses(row.name, face, to)
        assert len(found) <= 1 or all(loss.verdict != "X" for loss in found)
