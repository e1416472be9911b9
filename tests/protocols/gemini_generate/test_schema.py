"""Schemas between the vendor's two dialects."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import Notices
from asgi_ds2api.errors import MalformedRequest, Unsupported
from asgi_ds2api.protocols.gemini_generate.schema import MAX_REPORTS, fit_schema, from_openapi, to_openapi
from tests.support.talk import told


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("schema", "lowered", "lost"),
    [
        ({"type": "string"}, {"type": "STRING"}, []),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}, []),
        ({"const": "x"}, {"type": "STRING", "enum": ["x"]}, []),
        ({"enum": [1, 2]}, {"type": "STRING", "enum": ["1", "2"]}, ["s.enum"]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "INTEGER", "nullable": True}, []),
        (
            {"oneOf": [{"type": "integer"}, {"type": "string"}]},
            {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
            [],
        ),
        ({"type": "number", "multipleOf": 2}, {"type": "NUMBER"}, ["s.multipleOf"]),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
            {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}},
            [],
        ),
        ({"$ref": "#/$defs/gone"}, {}, ["s.$ref"]),
    ],
    ids=["type", "nullable", "const", "numbers", "or-null", "one-of", "unknown", "reference", "dangling"],
)
def test_json_schema_is_lowered(schema: Any, lowered: Any, lost: list[str]) -> None:
    notices = Notices()
    assert json.loads(bytes(to_openapi(raw(schema), "s", notices))) == lowered
    assert told(notices) == lost


def test_schema_that_refers_to_itself_ends_in_any_value() -> None:
    notices = Notices()
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    assert to_openapi(raw(tree), "s", notices)
    assert told(notices, "lost") == ["s.properties.child.$ref"]


def test_what_a_schema_loses_is_told_where_it_stood() -> None:
    notices = Notices()
    inner = {"type": "object", "additionalProperties": False, "not": {}}
    tree = {
        "$schema": "x",
        "$defs": {"a": inner},
        "properties": {"l": {"items": inner}, "r": {"$ref": "#/$defs/a"}, "o": {"oneOf": [inner, {"type": "null"}]}},
    }
    assert to_openapi(raw(tree), "s", notices)
    places = ("s.properties.l.items", "s.$defs.a", "s.properties.o.oneOf[0]")
    assert set(told(notices, "lost")) == {f"{place}.not" for place in places}
    assert set(told(notices, "hint")) == {"s.$schema", *(f"{place}.additionalProperties" for place in places)}


def test_losses_of_a_vast_schema_are_told_as_one_in_the_end() -> None:
    notices = Notices()
    tree = {"type": "object", "properties": {f"p{number}": {"not": {}} for number in range(MAX_REPORTS + 9)}}
    assert to_openapi(raw(tree), "s", notices)
    assert told(notices)[MAX_REPORTS:] == ["s"]


def test_openapi_schema_is_read_in_either_casing() -> None:
    schema = {"type": "ARRAY", "min_items": "1", "items": {"any_of": [{"type": "STRING"}], "nullable": True}}
    expected = {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
    assert json.loads(bytes(from_openapi(raw(schema), "s"))) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"type": "INTEGER", "format": "enum", "enum": ["101", "201"], "minimum": "1", "maximum": 300},
            {"type": "integer", "enum": [101, 201], "minimum": 1, "maximum": 300},
        ),
        (
            {"type": "NUMBER", "format": "double", "enum": ["1.5", "2", "many"], "nullable": True},
            {"type": ["number", "null"], "format": "double", "enum": [1.5, 2, "many", None]},
        ),
        ({"type": "STRING", "format": "enum", "enum": ["1", "2"]}, {"type": "string", "enum": ["1", "2"]}),
    ],
    ids=["integers", "numbers", "texts"],
)
def test_enumeration_is_of_the_type_that_its_texts_say(schema: Any, expected: Any) -> None:
    assert json.loads(bytes(from_openapi(raw(schema), "s"))) == expected


def test_schema_that_is_no_object_is_refused_by_its_path() -> None:
    with pytest.raises(MalformedRequest) as caught:
        from_openapi(raw([]), "tools[0]")
    assert caught.value.param == "tools[0]"


def test_schema_without_const_stays_byte_for_byte() -> None:
    given = Raw(b'{ "type" : "object" }')
    assert fit_schema(given, "s") is given


@pytest.mark.parametrize("read", [fit_schema, lambda schema, at: to_openapi(schema, at, Notices())])
def test_schema_with_a_number_that_cannot_be_read_is_refused_by_its_path(read: Callable[[Raw, str], Raw]) -> None:
    with pytest.raises(Unsupported) as caught:
        read(Raw(b'{"const":1e999}'), "tools[0].parameters")
    assert caught.value.param == "tools[0].parameters"
