"""Every leaf of an answer is in what the caller is told, or in a Notice: all 25 directions, streamed and not."""

from functools import cache
from typing import Final

import pytest

from asgi_ds2api.canonical import ProtocolName
from tests.support.recorded import require_cases

from .accounting import DIALECTS, Looked, Way, account, answer_to
from .leaf_bodies import RECORDED, answered
from .leaf_exceptions import ANSWERS
from .leaf_places import ADDED, PLACES

UPSTREAMS: Final = ("lenient", "resembling-responses", "resembling", "akin", "ollama")
"""Look-alikes of each protocol, as recorded answers come from many vendors."""
WAYS: Final = [Way(face, dialect) for face in RECORDED for dialect in UPSTREAMS]
FEW: Final = {"ollama": 4}
"""Upstreams of which few answers are recorded."""


@cache
def look_at_answers(way: Way, *, stream: bool) -> Looked:
    """Account for all answers of an upstream on one way."""
    looked = Looked()
    protocol = DIALECTS[way.dialect].protocol
    translate = answer_to(way.face, way.dialect, stream=stream)
    for name, body in answered(way.dialect, stream=stream):
        if stream:
            looked.add(name, account(body, translate, ANSWERS[protocol], PLACES[protocol](body), ADDED[protocol]))
        else:
            looked.add(name, account(body, translate, ANSWERS[protocol]))
    return looked


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_leaf_of_an_answer_is_accounted_for(way: Way, stream: bool) -> None:
    require_cases()
    looked = look_at_answers(way, stream=stream)
    assert looked.missing == []
    assert looked.count >= FEW.get(way.dialect, 50)


@pytest.mark.parametrize("protocol", ANSWERS)
def test_no_exception_of_answers_is_idle(protocol: ProtocolName) -> None:
    require_cases()
    ways = [way for way in WAYS if DIALECTS[way.dialect].protocol == protocol]
    made = [look_at_answers(way, stream=stream).excepted for way in ways for stream in (False, True)]
    assert set().union(*made) == ANSWERS[protocol].patterns


def test_all_directions_are_looked_at() -> None:
    assert {(way.face, DIALECTS[way.dialect].protocol) for way in WAYS} == {(f, t) for f in RECORDED for t in RECORDED}
