"""A value of the wrong kind in any place of any request is refused, or goes on: it never is a mistake of the gateway's.

The requests are the samples of ``tests/capabilities``, one for each thing that a face can say, so that nothing hides
behind what is refused before it. Each place gets some of the values, and each time another upstream is asked.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, cycle
from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw

from asgi_ds2api.errors import RequestError
from asgi_ds2api.protocols import PROTOCOLS
from tests.capabilities import asked_chat, asked_claude, asked_gemini, asked_ollama, asked_responses
from tests.capabilities.further import FURTHER
from tests.capabilities.sample import Sample
from tests.replay.accounting import ASKED, DIALECTS, request_to
from tests.support.gateways import PROTOCOLS as NAMES

SAMPLES: Final = {
    "chat": asked_chat.SAMPLES,
    "responses": asked_responses.SAMPLES,
    "claude": asked_claude.SAMPLES,
    "gemini": asked_gemini.SAMPLES,
    "ollama": asked_ollama.SAMPLES,
}
WRONG: Final[tuple[Any, ...]] = (
    None, True, 5, -1.5, "x", "", [], [5], [{}], [["x"]], {}, {"a": {}}, {"type": "x"}, {"type": 5}, {"const": 5},
    *(Raw(text) for text in (b"1e999", b"9" * 400, b'{"const":1e999}', rb'"\u0000"', rb'{"\ud83d\ude00":[null]}')),
)  # fmt: skip
"""Also numbers that no float holds, alone and where only a reader of schemas comes to them."""
STRIDE: Final = 2
"""A place gets one of so many of them, its neighbour others: most things stand in many samples."""


def members(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every member of every object and array, outer ones first: what holds it, and its name or number there."""
    if not isinstance(value, dict | list):
        return
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, name
        yield from members(member)


def bodies(face: str) -> Iterator[dict[str, Any]]:
    """Yield the samples of a face as whole requests, each a value of its own."""
    further = (samples for (asking, _), samples in FURTHER.items() if asking == face)
    more: Iterator[Sample] = chain.from_iterable(found for samples in further for found in samples.values())
    for sample in (*SAMPLES[face].values(), *more):
        body = {**ASKED[NAMES[face]], **sample.body}
        yield msgspec.json.decode(msgspec.json.encode({name: part for name, part in body.items() if part is not ...}))


def wrong_bodies(face: str) -> Iterator[dict[str, Any]]:
    """Yield each sample of a face with a wrong value in each of its places; it is good again before the next."""
    for body in bodies(face):
        for number, (holder, name) in enumerate(list(members(body))):
            right = holder[name]
            for wrong in WRONG[number % STRIDE :: STRIDE]:
                holder[name] = wrong
                yield body
            holder[name] = right


@pytest.mark.parametrize("face", SAMPLES)
def test_wrong_value_in_any_place_is_refused_or_goes_on(face: str) -> None:
    ways = cycle([request_to(PROTOCOLS[NAMES[face]].NAME, dialect) for dialect in DIALECTS])
    for body, way in zip(wrong_bodies(face), ways, strict=False):
        with suppress(RequestError):
            way(body)
