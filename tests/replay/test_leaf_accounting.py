"""Every leaf of a request is on the other side of a translation, or in a Notice that names it: all 25 directions.

What is looked at: requests that were recorded, those of real clients, those that many vendors were asked.
"""

import json
from functools import cache
from typing import Final

import pytest

from tests.support.leaves import JSON
from tests.support.recorded import require_cases

from .accounting import DIALECTS, Exceptions, Looked, Translated, Translating, Way, accepted, account, request_to
from .leaf_bodies import RECORDED, asked

UPSTREAMS: Final = ("lenient", "resembling-responses", "resembling", "akin", "ollama")
"""One of each protocol; those that every request of their own protocol is translated to."""
VENDORS: Final = ("openai", "openai-responses", "anthropic", "gemini", "mistral", "deepseek")
"""Others, to the letter, that no request of their own protocol is translated to; or with quirks of their own."""
WAYS: Final = [
    Way(face, dialect)
    for face in RECORDED
    for dialect in (*UPSTREAMS, *VENDORS)
    if dialect in UPSTREAMS or dialect in ("mistral", "deepseek") or DIALECTS[dialect].protocol != face
]
REQUESTS: Final = Exceptions(
    settled={
        "systemInstruction.role": "what the system says has no other role",
        "tools.*.functionDeclarations.*.parameters.propertyOrdering.*": "of an only property, or as they stand",
    }
)


@cache
def look_at_requests(way: Way) -> Looked:
    """Account for all requests on one way."""
    looked = Looked()
    translate = request_to(way.face, way.dialect)
    for name, whole in asked(way.face):
        if (body := accepted(whole, translate)) is not None:
            looked.add(name, account(body, translate, REQUESTS))
    return looked


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_leaf_of_a_request_is_accounted_for(way: Way) -> None:
    require_cases()
    looked = look_at_requests(way)
    assert looked.missing == []
    assert looked.count > (20 if way.face == "ollama_chat" else 180)


def test_no_exception_of_requests_is_idle() -> None:
    require_cases()
    assert set().union(*(look_at_requests(way).excepted for way in WAYS)) == REQUESTS.patterns


def test_all_directions_are_looked_at() -> None:
    assert {(way.face, DIALECTS[way.dialect].protocol) for way in WAYS} == {(f, t) for f in RECORDED for t in RECORDED}


# --- the account itself -----------------------------------------------------------------------------------------------


def _drops(name: str) -> Translating:
    def translate(body: JSON) -> Translated:
        kept = {key: value for key, value in body.items() if key != name}
        return Translated(json.dumps(kept).encode(), (), None)

    return translate


def test_a_leaf_that_is_dropped_in_silence_is_missed() -> None:
    body = {"kept": {"text": "a", "count": 1}, "dropped": [{"text": "a", "count": 1}]}
    found = account(body, _drops("dropped"), Exceptions(settled={}))
    assert [place.split(" ")[0] for place in found.missing] == ["dropped[0].text", "dropped[0].count"]
