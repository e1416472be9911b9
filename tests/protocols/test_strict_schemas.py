"""Schemas of other vendors at those who hold a model to closed objects alone: narrowed, or not held, never refused.

The vendor's own SDK is the oracle: what it has nothing to change about is in the form that the vendor takes.
"""

import copy
import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from openai.lib._pydantic import _ensure_strict_json_schema

from asgi_ds2api.protocols.strict_schemas import narrow
from tests.conformance.asking import ask, chat_answer, error, response_answer
from tests.support.cases import row_params

pytestmark = pytest.mark.anyio

OPTIONAL = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
NULLABLE = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False}
HELD = {**NULLABLE, "required": ["a"]}
REFUSED = "Invalid schema for response_format 'output': In context=(), 'not' is not permitted."
REFUSED_BY_GROQ = (
    "invalid JSON schema for response_format: 'output': /additionalProperties: must be set on every object"
)


@pytest.mark.parametrize("row", row_params("strict", "schemas"))
def test_schema_is_narrowed_where_every_answer_still_fits(row: dict[str, Any]) -> None:
    schema = Raw(msgspec.json.encode(row["schema"]))
    narrowed = narrow(schema)
    if row["narrow"] == "same":
        assert narrowed is schema
        return
    assert (None if narrowed is None else json.loads(bytes(narrowed))) == row["narrow"]
    if narrowed is not None:
        told = json.loads(bytes(narrowed))
        assert _ensure_strict_json_schema(copy.deepcopy(told), path=(), root=told) == told


def test_number_that_cannot_be_read_is_not_narrowed() -> None:
    assert narrow(Raw(b'{"type":"object","properties":{"a":{"const":1e999999}},"required":["a"]}')) is None


def _body(face: str, schema: Any) -> dict[str, Any]:
    if face == "claude":
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    return {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}}


AT = {"claude": "output_config.format", "gemini": "generationConfig.responseJsonSchema"}


def _sent(to: str, body: Any) -> Any:
    return body["response_format"]["json_schema"] if to == "chat" else body["text"]["format"]


def _answer(to: str) -> Any:
    return chat_answer() if to == "chat" else response_answer()


@pytest.mark.parametrize("to", ["chat", "responses"])
@pytest.mark.parametrize("face", ["claude", "gemini"])
@pytest.mark.parametrize(
    ("schema", "sent", "is_strict"),
    [
        pytest.param(OPTIONAL, OPTIONAL, False, id="a field that may be absent"),
        pytest.param(NULLABLE, HELD, True, id="a field that may be null"),
        pytest.param(HELD, HELD, True, id="closed already"),
    ],
)
async def test_form_of_an_answer_is_held_to_where_it_can_be(
    face: str, to: str, schema: Any, sent: Any, is_strict: bool
) -> None:
    asked = await ask(face, to, _body(face, schema), _answer(to), profile="openai" if to == "chat" else None)
    format_ = _sent(to, asked.sent)
    assert (format_["schema"], format_["strict"]) == (sent, is_strict)
    told = [notice.path for notice in asked.records[-1].notices if notice.severity == "changed"]
    assert (AT[face] in told) is (schema is not HELD)


@pytest.mark.parametrize("to", ["chat", "responses"])
async def test_strict_tool_with_a_field_that_may_be_absent_is_sent_without(to: str) -> None:
    tool = {"name": "f", "strict": True, "input_schema": OPTIONAL}
    asked = await ask("claude", to, {"tools": [tool]}, _answer(to), profile="openai" if to == "chat" else None)
    (sent,) = asked.sent["tools"]
    function = sent.get("function", sent)
    assert (function["parameters"], function["strict"]) == (OPTIONAL, False)
    told = [notice.path for notice in asked.records[-1].notices if notice.severity != "hint"]
    assert told == ["tools[0].strict"]


async def test_vendors_who_hold_a_model_to_any_schema_are_sent_it_as_it_is() -> None:
    asked = await ask("claude", "chat", _body("claude", OPTIONAL), chat_answer(), profile="vllm")
    assert (_sent("chat", asked.sent)["schema"], _sent("chat", asked.sent)["strict"]) == (OPTIONAL, True)


@pytest.mark.parametrize("said", [{}, {"strict": False}, {"strict": True}], ids=["unsaid", "asked", "held"])
@pytest.mark.parametrize("face", ["chat", "responses"])
async def test_between_openais_protocols_a_model_is_held_to_a_schema_where_the_caller_says_so(
    face: str, said: Any
) -> None:
    to = "responses" if face == "chat" else "chat"
    wanted = {"name": "n", "schema": OPTIONAL, **said}
    chat = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    body = chat if face == "chat" else {"text": {"format": {"type": "json_schema", **wanted}}}
    asked = await ask(face, to, body, _answer(to))
    assert {name: value for name, value in _sent(to, asked.sent).items() if name != "type"} == wanted


@pytest.mark.parametrize("message", [REFUSED, REFUSED_BY_GROQ], ids=["openai", "groq"])
@pytest.mark.parametrize("to", ["chat", "responses"])
async def test_schema_that_the_vendor_refuses_all_the_same_is_sent_once_more_without_holding(
    to: str, message: str
) -> None:
    refused = error(400, {"error": {"message": message, "type": "invalid_request_error", "param": "response_format"}})
    asked = await ask("claude", to, _body("claude", HELD), refused, _answer(to))
    assert [_sent(to, made.json())["strict"] for made in asked.upstream.calls] == [True, False]
    assert asked.answer.status == 200
    assert AT["claude"] in [notice.path for notice in asked.records[-1].notices]


@pytest.mark.parametrize("to", ["chat", "responses"])
async def test_schema_that_is_refused_without_holding_too_is_the_callers_to_mend(to: str) -> None:
    refused = error(400, {"error": {"message": REFUSED, "type": "invalid_request_error", "param": "response_format"}})
    asked = await ask("claude", to, _body("claude", HELD), refused, refused)
    assert (asked.answer.status, len(asked.upstream.calls)) == (400, 2)
