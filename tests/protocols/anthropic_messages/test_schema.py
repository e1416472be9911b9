"""Schemas of other vendors are put into Anthropic's subset; what cannot be said is refused, and nothing recurses."""

import json
from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import Notices
from asgi_ds2api.errors import Unsupported
from asgi_ds2api.protocols.anthropic_messages.schema import fit_schema


def fit(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    notices = Notices()
    fitted: dict[str, Any] = json.loads(bytes(fit_schema(Raw(json.dumps(schema).encode()), "at", notices)))
    return fitted, [notice.action for notice in notices]


def of(node: object) -> dict[str, Any]:
    """Return a schema with one property."""
    return {"type": "object", "properties": {"p": node}, "additionalProperties": False}


ANYTHING = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}
NODES = [
    ({"type": "string"}, {"type": "string"}, []),
    ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}, []),
    ({"type": "string", "format": "regex"}, {"type": "string", "description": '{format: "regex"}'}, ["moved"]),
    (
        {"type": "string", "pattern": "(a+)+$", "maxLength": 3, "description": "d"},
        {"type": "string", "description": 'd\n\n{pattern: "(a+)+$", maxLength: 3}'},
        ["moved"],
    ),
    ({"type": "integer", "minimum": 1}, {"type": "integer", "description": "{minimum: 1}"}, ["moved"]),
    ({"enum": ["a", None, 1]}, {"enum": ["a", None, 1]}, []),
    ({"type": "string", "enum": ["a"], "title": "T"}, {"enum": ["a"], "title": "T"}, []),
    ({"const": 5, "type": "integer"}, {"const": 5}, []),
    ({"enum": [{"a": 1}]}, {**ANYTHING, "description": '{enum: [{"a":1}]}'}, ["moved"]),
    ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, []),
    (
        {"anyOf": [{"type": "string"}], "oneOf": [{"type": "null"}]},
        {"anyOf": [{"type": "string"}], "description": '{oneOf: [{"type":"null"}]}'},
        ["moved"],
    ),
    ({"allOf": [{"type": "string"}]}, {"allOf": [{"type": "string"}]}, []),
    ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, []),
    (
        {"type": ["array", "null"], "items": {"type": "string"}, "description": "d"},
        {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "description": "d"},
        [],
    ),
    ({"type": ["string", "null"], "enum": ["a", None]}, {"enum": ["a", None]}, []),
    ({}, ANYTHING, ["moved"]),
    (True, ANYTHING, ["moved"]),
    (
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        [],
    ),
    ({"type": "array", "minItems": 2}, {"type": "array", "description": "{minItems: 2}"}, ["moved"]),
    ({"items": {"type": "string"}}, {"items": {"type": "string"}, "type": "array"}, []),
    (
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {}, "additionalProperties": False},
        ["coerced"],
    ),
    (
        {"type": "object", "additionalProperties": {"type": "string"}},
        {
            "type": "object",
            "properties": {},
            "additionalProperties": False,
            "description": '{additionalProperties: {"type":"string"}}',
        },
        ["moved"],
    ),
    (
        {"properties": {"type": {"type": "string"}}, "additionalProperties": False},
        {"type": "object", "properties": {"type": {"type": "string"}}, "additionalProperties": False},
        [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("node", "fitted", "actions"), NODES)
def test_a_node_is_fitted(node: object, fitted: dict[str, Any], actions: list[str]) -> None:
    assert fit(of(node)) == (of(fitted), actions)


def test_definitions_are_kept_and_references_stand_alone() -> None:
    schema = {
        **of({"$ref": "#/definitions/X", "description": "gone"}),
        "definitions": {
            "X": {"type": "object", "properties": {"y": {"$ref": "#/$defs/Y"}, "z": {"$ref": "#/$defs/Z"}}}
        },
        "$defs": {"Y": {"type": "string"}, "Z": {"type": "string"}},
    }
    fitted, actions = fit(schema)
    assert fitted["properties"] == {"p": {"$ref": "#/$defs/X"}}
    assert fitted["$defs"]["X"]["properties"] == {"y": {"$ref": "#/$defs/Y"}, "z": {"$ref": "#/$defs/Z"}}
    assert actions == ["coerced", "moved"]


def test_a_root_that_is_a_reference_is_kept() -> None:
    fitted, _ = fit({"$ref": "#/$defs/X", "$defs": {"X": of({"type": "string"})}})
    assert fitted == {"$ref": "#/$defs/X", "$defs": {"X": of({"type": "string"})}}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "array"}, id="array"),
        pytest.param({"anyOf": [{"type": "object"}]}, id="combined"),
        pytest.param(of({"$ref": "https://example.com/x.json"}), id="external"),
        pytest.param(of({"$ref": "#"}), id="B23-root"),
        pytest.param(of({"$ref": "#/properties/p"}), id="elsewhere"),
        pytest.param({**of({}), "$defs": {"X": {"$ref": "#/$defs/X"}}}, id="B23-itself"),
        pytest.param(
            {**of({}), "$defs": {"X": of({"$ref": "#/$defs/Y"}), "Y": of({"$ref": "#/$defs/X"})}}, id="B23-two"
        ),
    ],
)
def test_what_cannot_be_said_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as caught:
        fit(schema)
    assert caught.value.param == "at"


def test_a_number_that_no_float_holds_is_refused_B11() -> None:
    with pytest.raises(Unsupported):
        fit_schema(Raw(b'{"type":"object","maximum":1e999}'), "at", Notices())


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(
            {**of({}), "$defs": {f"D{i}": {"$ref": f"#/$defs/D{i + 1}"} for i in range(20_000)}}, id="B23-chain"
        ),
        pytest.param(of({"enum": list(range(100_000))}), id="B23-enum"),
        pytest.param(of({"anyOf": [{"type": "string", "pattern": "(a+)+"}] * 20_000}), id="B23-patterns"),
    ],
)
def test_a_large_schema_is_fitted_in_one_pass_B23(schema: dict[str, Any]) -> None:
    fitted, _ = fit(schema)  # a square of these numbers would never end
    assert len(json.dumps(fitted)) >= len(json.dumps(schema)) // 2


def test_a_deep_schema_needs_no_stack_B23() -> None:
    node: dict[str, Any] = {"type": "string"}
    for _ in range(120):
        node = {"allOf": [node]}
    fitted, _ = fit(of(node))
    assert json.dumps(fitted).count("allOf") == 120
