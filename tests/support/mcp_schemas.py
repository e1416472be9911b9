"""Schemas as servers of tools (MCP) have them: what Gemini's own dialect makes of each, and what is told of that."""

from typing import Any

_EDITS = {"type": "object", "properties": {"oldText": {"type": "string"}}, "required": ["oldText"]}

SCHEMAS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "reference": (
        {"type": "object", "$defs": {"a": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        [],
    ),
    "issues": (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": False,
            "required": ["owner", "state"],
            "properties": {
                "owner": {"type": "string", "minLength": 1, "description": "Owner"},
                "state": {"anyOf": [{"const": "open"}, {"const": "closed"}]},
                "labels": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
                "per_page": {"type": "integer", "enum": [10, 50, 100]},
                "since": {"type": ["string", "null"], "format": "date-time"},
            },
        },
        {
            "type": "OBJECT",
            "required": ["owner", "state"],
            "properties": {
                "owner": {"type": "STRING", "minLength": 1, "description": "Owner"},
                "state": {"anyOf": [{"type": "STRING", "enum": ["open"]}, {"type": "STRING", "enum": ["closed"]}]},
                "labels": {"type": "ARRAY", "items": {"type": "STRING"}},
                "per_page": {"type": "STRING", "enum": ["10", "50", "100"]},
                "since": {"type": "STRING", "nullable": True, "format": "date-time"},
            },
        },
        ["$schema", "additionalProperties", "properties.labels.uniqueItems", "properties.per_page.enum"],
    ),
    "files": (
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "edits": {"type": "array", "items": {**_EDITS, "additionalProperties": False}},
                "dryRun": {"type": "boolean", "default": False},
                "meta": {"type": "object", "patternProperties": {"^x-": {"type": "string"}}},
            },
            "required": ["path", "edits"],
        },
        {
            "type": "OBJECT",
            "properties": {
                "path": {"type": "STRING"},
                "edits": {
                    "type": "ARRAY",
                    "items": {"type": "OBJECT", "properties": {"oldText": {"type": "STRING"}}, "required": ["oldText"]},
                },
                "dryRun": {"type": "BOOLEAN", "default": False},
                "meta": {"type": "OBJECT"},
            },
            "required": ["path", "edits"],
        },
        ["properties.edits.items.additionalProperties", "properties.meta.patternProperties"],
    ),
}

TREE: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
    "properties": {"root": {"$ref": "#/$defs/node"}},
}
"""A schema that holds itself."""
