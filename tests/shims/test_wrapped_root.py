"""Forms that are no object, where a vendor takes objects alone."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from asgi_ds2api.canonical import (
    BlockStart,
    BlockStop,
    Event,
    Notices,
    OutputFormat,
    ProtocolName,
    Request,
    Text,
    TextDelta,
)
from asgi_ds2api.shims.wrapped_root import FIELD, WrappedRoot, wrapped

TEXT = {"type": "string"}
WORDS = {"type": "string", "enum": ["a", "b"]}
CLOSED = {"type": "object", "required": [FIELD], "additionalProperties": False}


def asking(schema: Any, *, source: ProtocolName = "gemini_generate", **fields: Any) -> Request:
    wanted = OutputFormat(kind="json_schema", schema=Raw(json.dumps(schema).encode()), at="form", **fields)
    return Request(source=source, model="m", messages=(), output_format=wanted)


def schema_of(request: Request) -> Any:
    assert request.output_format is not None
    assert request.output_format.schema is not None
    return json.loads(bytes(request.output_format.schema))


def told(*pieces: str, is_bare: bool = False) -> str:
    shim = WrappedRoot()
    shim.request(asking(WORDS, is_bare=is_bare), Notices())
    events: list[Event] = [BlockStart(index=0, block=Text(text=pieces[0]))]
    events += [TextDelta(index=0, text=piece) for piece in pieces[1:]]
    out = shim.events([*events, BlockStop(index=0)])
    return "".join(event.text for event in out if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": TEXT},
        WORDS,
        {"enum": [1, 2]},
        {"const": 1},
        {"type": ["object", "null"]},
        {"anyOf": [TEXT, {"type": "object"}]},
        {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    ],
    ids=lambda schema: json.dumps(schema),
)
@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_form_that_is_no_object_is_a_field_of_one(schema: Any, protocol: str) -> None:
    request, notices = asking(schema), Notices()
    assert WrappedRoot.is_needed(request, protocol)
    assert schema_of(WrappedRoot().request(request, notices)) == {**CLOSED, "properties": {FIELD: schema}}
    assert [(notice.path, notice.severity) for notice in notices] == [("form", "changed")]


def test_definitions_stay_at_the_root_where_references_find_them() -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": TEXT}}
    moved = {"type": "array", "items": {"$ref": "#/$defs/A"}}
    assert schema_of(wrapped(asking(schema))) == {**CLOSED, "properties": {FIELD: moved}, "$defs": {"A": TEXT}}


@pytest.mark.parametrize(
    "schema",
    [{"type": "object", "properties": {"a": TEXT}}, {"properties": {"a": TEXT}}, {}, {"$ref": "#/$defs/A"}, True],
    ids=lambda schema: json.dumps(schema),
)
def test_form_of_an_object_is_left_alone(schema: Any) -> None:
    assert not WrappedRoot.is_needed(asking(schema), "openai_chat")


def test_form_that_names_its_own_root_cannot_be_moved() -> None:
    tree = {"type": "array", "items": {"$ref": "#"}}
    assert not WrappedRoot.is_needed(asking(tree), "openai_chat")


@pytest.mark.parametrize("protocol", ["gemini_generate", "ollama_chat"])
def test_vendors_that_take_any_form_are_asked_for_it_as_it_is(protocol: str) -> None:
    assert not WrappedRoot.is_needed(asking(WORDS), protocol)


def test_vendor_of_the_callers_own_protocol_is_asked_for_it_as_it_is() -> None:
    assert not WrappedRoot.is_needed(asking(WORDS, source="openai_chat"), "openai_chat")


def test_bare_word_is_wrapped_wherever_nobody_else_has_it() -> None:
    protocols = ("gemini_generate", "ollama_chat", "openai_chat")
    needing = [name for name in protocols if WrappedRoot.is_needed(asking(WORDS, is_bare=True), name)]
    assert needing == ["ollama_chat", "openai_chat"]
    asked = wrapped(asking(WORDS, is_bare=True)).output_format
    assert asked is not None
    assert not asked.is_bare


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, st.lists(st.integers(0, 200), max_size=6), st.sampled_from([None, 0, 2]))
def test_answer_comes_out_as_it_stood_however_it_is_cut(value: object, cuts: list[int], indent: int | None) -> None:
    text = json.dumps({FIELD: value}, indent=indent) + "\n"
    places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    assert json.loads(told("", *(text[a:b] for a, b in itertools.pairwise(places)))) == value


def test_list_is_told_as_it_comes() -> None:
    shim = WrappedRoot()
    shim.request(asking({"type": "array"}), Notices())
    shim.events([BlockStart(index=0, block=Text(text=""))])
    assert shim.events([TextDelta(index=0, text=f'{{"{FIELD}": [1')]) == [TextDelta(index=0, text="[1")]
    assert shim.events([TextDelta(index=0, text=", 2")]) == [TextDelta(index=0, text=", 2")]
    assert shim.events([TextDelta(index=0, text="]}\n")]) == [TextDelta(index=0, text="]")]
    assert shim.events([BlockStop(index=0)]) == [BlockStop(index=0)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f'{{"{FIELD}":[{{"a":1}}', '[{"a":1}'),
        (f'{{"{FIELD}":[1', "[1"),
        (f'{{"{FIELD}"', f'{{"{FIELD}"'),
        ("", ""),
    ],
)
def test_answer_that_was_cut_is_told_as_far_as_it_came(text: str, left: str) -> None:
    assert told(text) == left


@pytest.mark.parametrize("text", ["Sorry.", '{"other": 1}', "[1]", " " * 2_000 + "x", '```json\n{"a":1}\n```'])
@pytest.mark.parametrize("is_bare", [False, True])
def test_answer_that_is_no_such_object_is_told_as_it_is(text: str, is_bare: bool) -> None:
    assert told("", *text, is_bare=is_bare) == text


def test_bare_word_has_no_quotes() -> None:
    assert told("", '{"answer"', ': "caf', '\\u00e9"}', is_bare=True) == "café"


@pytest.mark.parametrize("text", ['{"answer": "Per', '{"answer": 1}', '{"answer": "' + "x" * 100_000])
def test_bare_word_that_is_none_is_told_as_it_is(text: str) -> None:
    assert told("", *(text[at : at + 99] for at in range(0, len(text), 99)), is_bare=True) == text
