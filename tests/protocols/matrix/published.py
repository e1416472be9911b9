"""The matrix for people: the section "What passes" of `docs/capabilities.md`."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from .cell import ENDS
from .declared import LOSSES, WORDLESS, is_wordless, losses
from .neutral import Trouble
from .rows import ROWS, Row

TITLES: Final = {
    "chat": "Chat",
    "responses": "Responses",
    "claude": "Messages",
    "gemini": "Gemini",
    "ollama": "Ollama",
}
_ORDER: Final = "LHEWX–"
"""The verdicts, the best first."""

INTRODUCTION: Final = """## What passes

Each row is asked on each of the five faces, of an upstream of each of the five protocols, streamed and not, and both
ends are looked at: what reached the upstream, and what the caller got. A cell that loses something else than is told
here fails [its test](../tests/protocols/test_matrix.py), and so does one that loses less.

**L**ossless; **E**mulated or lost (**W**), each with a Notice; **H**: a hint, which is counted; **X**: refused with a
400 before it costs anything; **–**: one of the two protocols has no words for it. A column is an upstream; where faces
differ, they are named, and all others are lossless.
"""
LOSSES_TEXT: Final = """### What does not pass as it came

| row | on the face, at | to | verdict | what happens |
|---|---|---|---|---|
"""
TROUBLE_TEXT: Final = """### What an upstream's failure becomes

On each face, whatever the upstream speaks: the status, and the words that the caller's SDK goes by.

"""
NOTES: Final = """\
* A stream that breaks, by an error or by its end, ends with an error in the caller's protocol. It never looks complete.
* `Retry-After` of a 429 passes as it came; `x-should-retry: false` stands beside what no retry mends.
* The rows on reasoning speak to Chat as its look-alikes do (`profile = "lenient"`): OpenAI shows no reasoning there.
"""


def what_passes() -> str:
    """Return the section."""
    return "\n".join(
        [
            INTRODUCTION,
            _table(["row", *TITLES.values()], ([row.name, *(_verdicts(row, to) for to in ENDS)] for row in ROWS)),
            LOSSES_TEXT + "".join(_told()) + "".join(_untold()),
            TROUBLE_TEXT + _table(["row", *TITLES.values()], _troubles()),
            NOTES,
        ]
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in rows).replace("| --- ", "|---").replace("--- |", "---|")


def _verdicts(row: Row, to: str) -> str:
    """Return the verdicts of a row at an upstream, and whose they are where faces differ."""
    by_face = {face: _verdict(row.name, face, to) for face in ENDS}
    found = sorted(set(by_face.values()), key=_ORDER.index)
    if len(found) == 1:
        return found[0]
    named = {word: [TITLES[face] for face, verdict in by_face.items() if verdict == word] for word in found}
    return "; ".join(f"{word} {', '.join(faces)}" for word, faces in named.items() if word != "L")


def _verdict(row: str, face: str, to: str) -> str:
    """Return the worst verdict of a cell."""
    if is_wordless(row, face, to):
        return "–"
    return max((loss.verdict for loss in losses(row, face, to)), key=_ORDER.index, default="L")


def _told() -> Iterable[str]:
    for (row, to, verdict, why), group in groupby(LOSSES, key=lambda loss: (loss.row, loss.to, loss.verdict, loss.why)):
        places = "; ".join(f"{_named(loss.faces)}: `{loss.at}`" for loss in group)
        yield f"| {row} | {places} | {_named(to)} | {verdict} | {why} |\n"


def _untold() -> Iterable[str]:
    for cell in WORDLESS:
        yield f"| {cell.row} | {_named(cell.faces)} | {_named(cell.to)} | – | {cell.why} |\n"


def _named(ends: Sequence[str]) -> str:
    return "all" if len(ends) == len(ENDS) else ", ".join(TITLES[end] for end in ends)


def _troubles() -> Iterable[Sequence[str]]:
    for row in ROWS:
        if row.way in ("refused", "failed") and row.failure is not None:
            yield [row.name, *(_words(end.TROUBLE[row.failure]) for end in ENDS.values())]


def _words(trouble: Trouble) -> str:
    words = " ".join(f"`{word}`" for word in trouble.words if isinstance(word, str))
    return f"{trouble.status} {words}".strip()
