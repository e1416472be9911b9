"""Calls that Gemini would validate are calls of strict functions elsewhere, where a vendor takes their schemas so."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.conformance.asking import ask, chat_answer, claude_answer, gemini_answer, ollama_answer, response_answer
from tests.support.scripted_client import Answering

pytestmark = pytest.mark.anyio

AT = "toolConfig.functionCallingConfig.mode"
TEXT = {"type": "string"}
ALL_REQUIRED = {"type": "object", "properties": {"a": TEXT, "b": {"type": "array", "items": TEXT}},
                "required": ["b", "a"]}  # fmt: skip
CLOSED = {**ALL_REQUIRED, "additionalProperties": False}
ANSWERS: Mapping[str, Callable[[], Answering]] = {
    "chat": chat_answer,
    "responses": response_answer,
    "claude": claude_answer,
    "ollama": ollama_answer,
    "gemini": lambda: gemini_answer([{"text": "Hello"}]),
}


async def asked(to: str, schema: Any, model: str = "claude-sonnet-4-5", **calling: Any) -> Any:
    body = {
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", **calling}},
    }
    return await ask("gemini", to, body, ANSWERS[to](), model=model)


def function_sent(to: str, sent: Any) -> Any:
    (tool,) = sent["tools"]
    return tool["function"] if to in ("chat", "ollama") else tool


@pytest.mark.parametrize(
    ("to", "field"), [("chat", "parameters"), ("responses", "parameters"), ("claude", "input_schema")]
)
async def test_function_whose_schema_may_be_strict_is(to: str, field: str) -> None:
    done = await asked(to, ALL_REQUIRED)
    function = function_sent(to, done.sent)
    assert (function["strict"], function[field]) == (True, CLOSED)
    assert done.notices[AT] == "changed"


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({**ALL_REQUIRED, "required": ["a"]}, id="an optional argument"),
        pytest.param({**ALL_REQUIRED, "additionalProperties": True}, id="open"),
        pytest.param({"type": "object", "additionalProperties": TEXT, "properties": {}}, id="a map"),
        pytest.param({"type": "object", "properties": {"a": {}}, "required": ["a"]}, id="anything"),
        pytest.param(
            {"type": "object", "properties": {"a": {"oneOf": [TEXT]}}, "required": ["a"]}, id="one of several"
        ),
        pytest.param({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, id="a reference"),
    ],
)
async def test_other_schemas_go_as_they_came_and_their_function_is_called_as_auto(schema: Any) -> None:
    done = await asked("chat", schema)
    function = function_sent("chat", done.sent)
    assert (function.get("strict"), function["parameters"]) == (None, schema)
    assert (done.notices[AT], done.sent.get("tool_choice", "auto")) == ("changed", "auto")


async def test_what_may_be_null_is_required() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    function = function_sent("chat", (await asked("chat", schema)).sent)
    assert (function["strict"], function["parameters"]["required"]) == (True, ["a"])


@pytest.mark.parametrize(("to", "model"), [("ollama", "qwen3"), ("claude", "claude-3-7-sonnet-20250219")])
async def test_nothing_is_strict_where_nothing_holds_a_model_to_a_schema(to: str, model: str) -> None:
    done = await asked(to, ALL_REQUIRED, model)
    assert "strict" not in function_sent(to, done.sent)
    assert done.notices[AT] == "changed"


async def test_named_functions_are_still_the_only_ones() -> None:
    done = await asked("chat", ALL_REQUIRED, allowedFunctionNames=["f"])
    assert done.sent["tool_choice"]["allowed_tools"]["mode"] == "auto"
    assert done.sent["tools"][0]["function"]["strict"] is True


async def test_gemini_itself_is_told_its_own_word() -> None:
    done = await asked("gemini", ALL_REQUIRED)
    assert done.sent["toolConfig"]["functionCallingConfig"]["mode"] == "VALIDATED"
    assert done.sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == ALL_REQUIRED
