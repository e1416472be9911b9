"""R-17 of what users of gateways have suffered from (`test_peers_pains`): schemas that Gemini refuses."""

import json
import re
from typing import Any

import pytest

from tests.conformance.asking import ask, gemini_answer
from tests.support.mcp_schemas import SCHEMAS, TREE
from tests.support.peers import proves

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("pain")]

OWN_DIALECT = {"base": "gemini", "parameters_json_schema": False}
"""A Gemini that takes schemas in the vendor's own dialect alone."""


def declared_with(schema: dict[str, Any]) -> list[Any]:
    return [{"type": "function", "function": {"name": "f", "parameters": schema}}]


@proves("R-17")
@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_schema_reaches_gemini_as_it_is_where_that_is_taken(name: str) -> None:
    schema = SCHEMAS[name][0]
    asked = await ask("chat", "gemini", {"tools": declared_with(schema)}, gemini_answer([{"text": "x"}]))
    sent = asked.sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert sent == json.loads(re.sub(r'"const": ("[a-z]+")', r'"enum": [\1]', json.dumps(schema))), "there is no const"


@proves("R-17")
@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_schema_is_lowered_for_gemini(name: str) -> None:
    schema, lowered, told = SCHEMAS[name]
    tools = {"tools": declared_with(schema)}
    asked = await ask("chat", "gemini", tools, gemini_answer([{"text": "x"}]), profile=OWN_DIALECT)
    assert asked.sent["tools"][0]["functionDeclarations"] == [{"name": "f", "parameters": lowered}]
    assert sorted(path.removeprefix("tools[0].function.parameters.") for path in asked.notices) == told


@proves("R-17")
async def test_a_schema_that_holds_itself_ends_somewhere_and_that_is_told() -> None:
    tools = {"tools": declared_with(TREE)}
    asked = await ask("chat", "gemini", tools, gemini_answer([{"text": "x"}]), profile=OWN_DIALECT)
    sent = json.dumps(asked.sent)
    assert "$ref" not in sent
    assert 1 < sent.count('"children"') < 50
    assert {severity for path, severity in asked.notices.items() if path.endswith("$ref")} == {"lost"}
