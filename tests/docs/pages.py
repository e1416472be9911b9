"""Reads the project's Markdown as far as the tests of the documents need it: headings, tables, code blocks, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.is_file())

_HEADING = re.compile(r"#{1,6} (.+)")
_FENCE = re.compile(r"```(\w*)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced code block."""

    page: str
    heading: str
    language: str
    text: str
    line: int

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Row:
    """A row of a table: its cells as they are written."""

    heading: str
    cells: tuple[str, ...]

    @property
    def key(self) -> str:
        """The first cell without its back quotes."""
        return self.cells[0].replace("`", "")

    @property
    def codes(self) -> tuple[str, ...]:
        """What stands in back quotes in the first cell."""
        return tuple(_CODE.findall(self.cells[0]))


def name_of(page: Path) -> str:
    """Return a page's path from the project's root."""
    return page.relative_to(ROOT).as_posix()


def _lines(page: Path) -> Iterator[tuple[int, str, str, bool]]:
    """Yield number, heading above, text, and whether it is code, of every line."""
    heading, is_code = "", False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            is_code = not is_code
            yield number, heading, line, True
            continue
        if not is_code and (match := _HEADING.fullmatch(line)):
            heading = match[1]
        yield number, heading, line, is_code


def code_blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page."""
    language, begun, body = "", 0, list[str]()
    for number, heading, line, _ in _lines(page):
        if match := _FENCE.match(line):
            if begun:
                yield Block(name_of(page), heading, language, "\n".join(body) + "\n", begun)
                begun, body = 0, []
            else:
                language, begun = match[1], number
        elif begun:
            body.append(line)


def table(page: Path, heading: str) -> list[Row]:
    """Return the rows of the tables under a heading, without their heads."""
    lines = [line for _, above, line, is_code in _lines(page) if above == heading and not is_code]
    rows: list[Row] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|") and before.startswith("|") and not line.startswith("|---"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append(Row(heading, tuple(cell.strip().replace("\\|", "|") for cell in cells)))
    return rows


def links(page: Path) -> Iterator[str]:
    """Yield the targets of all links of a page that are not in code."""
    for _, _, line, is_code in _lines(page):
        if not is_code:
            yield from _LINK.findall(_CODE.sub("", line))


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have."""
    headings = {heading for _, heading, _, _ in _lines(page) if heading}
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
