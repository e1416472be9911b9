"""Every leaf of a request that was made up is on the other side, or in a Notice that names it: all 25 directions.

Recorded requests hold what people send; these hold whatever can be sent, and fields that nobody knows.
"""

from functools import cache
from typing import Final

import pytest

from .accounting import DIALECTS, Exceptions, Looked, Restated, Way, accepted, account, request_to
from .generated_bodies import FACES, MAKING, Making, said_twice, together
from .test_leaf_accounting import REQUESTS, UPSTREAMS

WAYS: Final = [Way(face, dialect) for face in FACES for dialect in UPSTREAMS]
VENDORS: Final = {
    "lenient": "openai",
    "resembling-responses": "openai",
    "resembling": "anthropic",
    "akin": "google",
    "ollama": "ollama",
}
"""Whose words are sealed for whom."""
GENERATED: Final = Exceptions(
    settled=REQUESTS.settled,
    restated=(Restated("messages.*.thinking_blocks.*.type", ("thinking", "data")),),
    sealed=frozenset({"tools.*.function.name", "user"}),
)
"""Long names of tools and personal names of callers are sent as a digest."""


@cache
def look_at(way: Way, making: Making) -> Looked:
    """Account for all requests of a kind on one way."""
    looked = Looked()
    translate = request_to(way.face, way.dialect)
    for name, whole in making(way.face, VENDORS[way.dialect]):
        if (body := accepted(whole, translate)) is not None:
            looked.add(name, account(body, translate, GENERATED))
    return looked


@pytest.mark.parametrize("making", MAKING)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_leaf_of_a_made_up_request_is_accounted_for(way: Way, making: Making) -> None:
    looked = look_at(way, making)
    assert looked.missing == []
    assert looked.count > (-1 if making is said_twice else 0 if making is together else 10)


def test_no_exception_of_made_up_requests_is_idle() -> None:
    made = set().union(*(look_at(way, making).excepted for way in WAYS for making in MAKING))
    assert made >= GENERATED.patterns - REQUESTS.patterns


def test_all_directions_are_looked_at() -> None:
    assert {(way.face, DIALECTS[way.dialect].protocol) for way in WAYS} == {(f, t) for f in FACES for t in FACES}
