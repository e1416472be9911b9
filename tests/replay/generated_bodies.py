"""Requests that nobody sent, made of the samples of what each face asks: alone, together, and with unknown fields."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from asgi_ds2api.canonical import ProtocolName
from asgi_ds2api.codec import RESERVED_FIELDS
from tests.capabilities.directions import protocol
from tests.capabilities.further import FURTHER
from tests.capabilities.sample import Samples
from tests.capabilities.test_requests import ASKED as SAMPLES
from tests.support.leaves import JSON, Keys, pattern_of, put

from .accounting import ASKED

UNKNOWN: Final = "unheard_of"
"""A field that no vendor has."""
FACES: Final[Mapping[ProtocolName, Samples]] = {protocol(name): samples for name, samples in SAMPLES.items()}


def samples_of(face: ProtocolName, vendor: str) -> Iterator[tuple[str, JSON]]:
    """Yield a request for each row of a face's table, and for each other value that makes a difference somewhere."""
    for (field, means), sample in FACES[face].items():
        yield f"{field}: {means}", _body(face, sample.body, vendor)
    for (name, to), further in FURTHER.items():
        if protocol(name) == face:
            for means, others in further.items():
                for number, sample in enumerate(others):
                    yield f"{means} to {to}, {number}", _body(face, sample.body, vendor)


def together(face: ProtocolName, vendor: str) -> Iterator[tuple[str, JSON]]:
    """Yield few requests that hold the fields of all samples: each takes what no other field of it rules out."""
    held: list[dict[str, Any]] = []
    for _, body in samples_of(face, vendor):
        own = {name: value for name, value in body.items() if value != PLAIN[face].get(name)}
        if not own.keys() & TALK[face]:
            fitting = next((request for request in held if not request.keys() & own.keys()), None)
            if fitting is None:
                held.append(fitting := {})
            fitting.update(own)
    for number, request in enumerate(held):
        yield f"together, {number}", {**PLAIN[face], **request}


TALK: Final[Mapping[ProtocolName, frozenset[str]]] = {
    "openai_chat": frozenset({"messages"}),
    "openai_responses": frozenset({"input"}),
    "anthropic_messages": frozenset({"messages"}),
    "gemini_generate": frozenset({"contents"}),
    "ollama_chat": frozenset({"messages", "prompt"}),
}
"""Fields that hold the talk: one request has one talk."""


def with_unknown(face: ProtocolName, vendor: str) -> Iterator[tuple[str, JSON]]:
    """Yield requests with an unknown field in one of their objects; of places that differ by an index alone, one."""
    seen: set[str] = set()
    for name, body in samples_of(face, vendor):
        for keys, value in _objects(body, ()):
            kind = (pattern_of(keys), value.get("type"), value.get("role"), *sorted(value))
            if repr(kind) not in seen:
                seen.add(repr(kind))
                changed = copy.deepcopy(body)
                put(changed, (*keys, UNKNOWN), "x")
                yield f"{name} with {pattern_of((*keys, UNKNOWN))}", changed


def with_words_of_others(face: ProtocolName, vendor: str) -> Iterator[tuple[str, JSON]]:
    """Yield requests with a field that this face does not know, and another one does."""
    known = {field.partition(".")[0].partition("[")[0] for field, _ in FACES[face]}
    others = {name: value for other in PLAIN.values() for name, value in other.items()}
    for samples in FACES.values():
        others |= {name: value for sample in samples.values() for name, value in sample.body.items()}
    for name in sorted(others.keys() - known - RESERVED_FIELDS - {"stream"}):
        if others[name] is not ...:
            yield f"{name} of another protocol", _body(face, {name: others[name]}, vendor)


def said_twice(face: ProtocolName, vendor: str) -> Iterator[tuple[str, JSON]]:
    """Yield requests that say the same setting in two ways, of which one counts."""
    for number, fields in enumerate(TWICE[face]):
        yield f"twice, {number}", _body(face, fields, vendor)


_FORM: Final = {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": False}}
_TOOL: Final = {"type": "function", "name": "f", "description": "earlier", "parameters": {"type": "object"}}
_HELLO: Final = {"type": "message", "role": "user", "content": "x"}
TWICE: Final[Mapping[ProtocolName, tuple[dict[str, Any], ...]]] = {
    "openai_chat": (
        {"max_tokens": 101, "max_completion_tokens": 102},
        {"reasoning": {"effort": "low"}, "reasoning_effort": "high"},
        {"reasoning": {"effort": "low", "exclude": True, "summary": "auto"}},
        {"user": "one", "safety_identifier": "other"},
        {"thinking_budget": 2000, "reasoning_effort": "low", "max_completion_tokens": 40_000},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto", "function_call": "none"},
    ),
    "openai_responses": (
        {"user": "one", "safety_identifier": "other"},
        {
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"verbosity": "low"},
            "input": [
                {"type": "configuration_update", "id": "u_1", "reasoning": {"effort": "high"}},
                _HELLO,
                {"type": "configuration_update", "reasoning": {"effort": "low"}, "text": {"verbosity": "high"}},
            ],
        },
        {
            "tools": [_TOOL],
            "input": [_HELLO, {"type": "additional_tools", "tools": [{**_TOOL, "description": "later"}]}],
        },
    ),
    "anthropic_messages": ({"output_format": _FORM, "output_config": {"format": _FORM}},),
    "gemini_generate": (),
    "ollama_chat": ({"think": True, "options": {"seed": 1}, "seed": 2},),
}
"""What a request may say in two ways at a time."""


def _objects(value: JSON, keys: Keys) -> Iterator[tuple[Keys, JSON]]:
    if isinstance(value, dict):
        yield keys, value
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, inner in items:
        yield from _objects(inner, (*keys, key))


def _body(face: ProtocolName, fields: Mapping[str, Any], vendor: str) -> JSON:
    told = {name: value for name, value in fields.items() if value is not ...}
    absent = {name for name, value in fields.items() if value is ...}
    asked = {name: value for name, value in PLAIN[face].items() if name not in absent}
    return {**asked, **json.loads(json.dumps(told).replace('"VENDOR"', json.dumps(vendor)))}


PLAIN: Final[Mapping[ProtocolName, dict[str, JSON]]] = {
    **ASKED,
    "gemini_generate": {"contents": ASKED["gemini_generate"]["contents"]},
}
"""What is asked besides."""
Making = Callable[[ProtocolName, str], Iterator[tuple[str, JSON]]]
MAKING: Final[tuple[Making, ...]] = (samples_of, together, with_unknown, with_words_of_others, said_twice)
"""All ways to make requests: of a face, for a vendor."""
