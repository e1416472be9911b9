"""A Notice of a request, and a refusal, name a place of the caller's own: all 25 directions, and quirks of vendors."""

from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.errors import GatewayError
from tests.support.leaves import JSON, in_common_words, path_of, pattern_of, places_in
from tests.support.recorded import require_cases

from .accounting import DIALECTS, Translating, Way, accepted, call_of, request_to
from .generated_bodies import MAKING
from .leaf_bodies import asked
from .test_leaf_accounting import WAYS

_LEFT_OUT: Final = "an id that a caller may leave out: a vendor wants one, of its own form"
UNSAID: Final[dict[tuple[ProtocolName, str], str]] = {
    ("gemini_generate", "contents.*.parts.*.functionCall.id"): _LEFT_OUT,
    ("gemini_generate", "contents.*.parts.*.functionResponse.id"): _LEFT_OUT,
    ("ollama_chat", "messages.*.tool_call_id"): _LEFT_OUT,
    ("ollama_chat", "messages.*.tool_calls.*.id"): _LEFT_OUT,
    ("openai_chat", "messages.*.function_call.id"): _LEFT_OUT,
    ("openai_chat", "messages.*.tool_call_id"): _LEFT_OUT,
    ("openai_responses", "input.*.result"): "a picture that was made is told as missing also where it was left out",
}
"""Places of Notices that need not be in a body, and why."""


def told_by(body: JSON, translate: Translating) -> Iterator[str]:
    """Yield the paths that a caller is told: of Notices, else that of the refusal."""
    try:
        yield from (notice.path for notice in translate(body).notices)
    except GatewayError as error:
        if (param := getattr(error, "param", None)) is not None:
            yield param


def astray(body: JSON, face: ProtocolName, told: Iterator[str]) -> Iterator[str]:
    """Yield those of these paths that lead nowhere in a request, its headers included."""
    there = {in_common_words(path_of(keys)) for keys in places_in(body)}
    there |= call_of(face, body).headers.keys()
    yield from (path for path in told if in_common_words(path) not in there)


@cache
def looked_at(way: Way) -> dict[str, str]:
    """Return the patterns of what leads nowhere on one way -> a body of which it was told."""
    translate = request_to(way.face, way.dialect)
    vendor = DIALECTS[way.dialect].profile.vendor
    bodies = [*asked(way.face), *(case for making in MAKING for case in making(way.face, vendor))]
    found: dict[str, str] = {}
    for name, whole in bodies:
        for body in (whole, accepted(whole, translate)):
            if body is not None:
                found |= {pattern_of_path(path): name for path in astray(body, way.face, told_by(body, translate))}
    return found


def pattern_of_path(path: str) -> str:
    """Return a path with a star for every index."""
    return "".join(".*" if part.isdecimal() else part for part in path.replace("]", "[").split("["))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_a_caller_is_told_stands_in_what_it_sent(way: Way) -> None:
    require_cases()
    found = looked_at(way)
    assert {path: name for path, name in found.items() if (way.face, path) not in UNSAID} == {}


def test_no_place_that_need_not_be_there_is_idle() -> None:
    require_cases()
    assert {(way.face, path) for way in WAYS for path in looked_at(way)} == UNSAID.keys()


def test_what_leads_nowhere_is_missed() -> None:
    body = {"tools": [{"name": "x"}]}
    told = iter(("tools[0].name", "tools[0].function.name", "tools[1]", "anthropic-version"))
    assert list(astray(body, "anthropic_messages", told)) == ["tools[0].function.name", "tools[1]"]


def test_patterns_of_paths_are_those_of_leaves() -> None:
    keys = ("contents", 1, "parts", 10, "functionCall", "id")
    assert pattern_of_path(path_of(keys)) == pattern_of(keys)
