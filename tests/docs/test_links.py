"""Links within the project lead somewhere, and no page names a place that only its writer has."""

import re
from pathlib import Path

import pytest

from .pages import PAGES, anchors, links, name_of

EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=name_of)


@EVERY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (page.parent / target).resolve() if target else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            lost.append(link)
    assert lost == []


@EVERY_PAGE
def test_no_page_names_a_place_of_one_machine(page: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/[\w.-]+", page.read_text()) == []
