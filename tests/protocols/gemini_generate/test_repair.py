"""What a model of Google's refuses is said otherwise, or left out, once, where that is known to help."""

import json
from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    FunctionTool,
    Message,
    Notices,
    OutputFormat,
    Reasoning,
    ReasoningControl,
    Request,
    Sampling,
    Text,
    ToolCall,
    ToolResult,
    VendorTool,
)
from asgi_ds2api.errors import Refused
from asgi_ds2api.profiles import PROFILES
from asgi_ds2api.protocols import gemini_generate as codec

SCHEMA = Raw(b'{"type":"object","properties":{"city":{"type":"string"}}}')
SENTINEL = "skip_thought_signature_validator"


def asked(**fields: Any) -> Request:
    messages = (Message(role="user", content=(Text(text="hi"),)),)
    return Request(**{"source": "openai_chat", "model": "m", "messages": messages, **fields})


def repaired(request: Request, words: str) -> tuple[Any, dict[str, str]]:
    """Return the body of the request without what the upstream objected to, and the losses that were told."""
    notices = Notices()
    mended = codec.repair(request, Refused(words), notices)
    assert mended is not None
    sent = codec.encode_request(mended, PROFILES["gemini"], Notices())
    return json.loads(sent.body), {notice.path: notice.severity for notice in notices}


@pytest.mark.parametrize(
    "words",
    ["Function call is missing a thought_signature in functionCall parts.", "Thought signature is not valid."],
)
def test_refused_signatures_are_replaced_by_the_vendors_sentinel(words: str) -> None:
    foreign = Reasoning(text="", signature="b3RoZXJz", origin="gemini")
    calls = tuple(ToolCall(id=f"c{n}", name="f", arguments="{}") for n in (1, 2))
    answers = tuple(ToolResult(call_id=f"c{n}", blocks=(Text(text="x"),)) for n in (1, 2))
    messages = (
        Message(role="user", content=(Text(text="hi"),)),
        Message(role="assistant", content=(foreign, *calls)),
        Message(role="tool", content=answers),
    )
    body, losses = repaired(asked(messages=messages), words)
    parts = body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts if "functionCall" in part] == [SENTINEL, None]
    assert b"b3RoZXJz" not in json.dumps(body).encode()
    assert losses == {"thoughtSignature": "lost"}


def test_schemas_are_said_in_the_vendors_own_dialect() -> None:
    request = asked(tools=(FunctionTool(name="f", parameters=SCHEMA),))
    body, _ = repaired(request, 'Invalid JSON payload received. Unknown name "parametersJsonSchema"')
    (declared,) = body["tools"][0]["functionDeclarations"]
    assert "parametersJsonSchema" not in declared
    assert declared["parameters"]["type"] == "OBJECT"


def test_thinking_is_asked_for_in_another_form_and_then_not_at_all() -> None:
    request = asked(reasoning=ReasoningControl(mode="enabled", effort="high", at="reasoning_effort"))
    words = "Thinking level is not supported for this model."
    notices = Notices()
    first = codec.repair(request, Refused(words), notices)
    assert first is not None
    assert first.reasoning is not None
    assert (first.reasoning.mode, first.reasoning.effort) == ("adaptive", None)
    second = codec.repair(first, Refused(words), notices)
    assert second is not None
    assert second.reasoning is None
    assert {notice.path for notice in notices} == {"reasoning_effort"}


def test_penalties_are_left_out_and_told_as_a_loss() -> None:
    request = asked(sampling=Sampling(frequency_penalty=1.0, presence_penalty=0.5, temperature=0.3))
    body, losses = repaired(request, "Penalty is not enabled for models/gemini-x")
    assert body["generationConfig"] == {"temperature": 0.3}
    assert losses == {"frequency_penalty": "lost", "presence_penalty": "lost"}


@pytest.mark.parametrize(
    ("sampling", "lost"),
    [(Sampling(frequency_penalty=1.0), "frequency_penalty"), (Sampling(presence_penalty=0.0), "presence_penalty")],
)
def test_no_penalty_is_told_that_nobody_sent(sampling: Sampling, lost: str) -> None:
    _, losses = repaired(asked(sampling=sampling), "Penalty is not enabled for models/gemini-x")
    assert losses == {lost: "lost"}


def test_system_is_said_by_the_user_where_the_model_has_none() -> None:
    system = Message(role="system", content=(Text(text="Be kind."),), at="messages[0]")
    request = asked(messages=(system, Message(role="user", content=(Text(text="hi"),))))
    body, losses = repaired(request, "Developer instruction is not enabled for models/gemma-3")
    assert "systemInstruction" not in body
    texts = [part["text"] for content in body["contents"] for part in content["parts"]]
    assert texts == ["Be kind.", "hi"]
    assert {content["role"] for content in body["contents"]} == {"user"}
    assert losses == {"messages[0]": "changed"}


@pytest.mark.parametrize("tools", ["Function calling", "Tool use"])
def test_form_is_asked_for_in_words_beside_tools(tools: str) -> None:
    form = OutputFormat(kind="json_schema", schema=SCHEMA, name="s", at="response_format")
    request = asked(output_format=form, tools=(FunctionTool(name="f", parameters=SCHEMA),))
    words = f"{tools} with a response mime type: 'application/json' is unsupported"
    body, losses = repaired(request, words)
    assert "responseMimeType" not in body.get("generationConfig", {})
    assert '"city"' in body["systemInstruction"]["parts"][0]["text"]
    assert losses["response_format"] == "changed"


def too_long() -> Refused:
    """Return a refusal that no repair is about, in words that would fit one."""
    refused = Refused("Penalty is not enabled")
    refused.kind = "context_too_long"
    return refused


WORDS = "Tool use with function calling is unsupported"
SWITCH = "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling."
FUNCTION = FunctionTool(name="f", parameters=SCHEMA)
SEARCH = VendorTool(
    protocol="openai_responses", type="web_search", name=None, raw=Raw(b'{"type":"web_search"}'), runs_at="provider",
    at="tools[1]",
)  # fmt: skip


@pytest.mark.parametrize("words", [WORDS, SWITCH, "Unknown name \"includeServerSideToolInvocations\" at 'tool_config'"])
def test_search_is_left_out_beside_functions_and_told_as_a_loss(words: str) -> None:
    notices = Notices()
    request = asked(extras={"web_search_options": Raw(b"{}")}, tools=(FUNCTION, SEARCH))
    mended = codec.repair(request, Refused(words), notices)
    assert mended is not None
    assert (mended.extras, mended.tools) == ({}, (FUNCTION,))
    assert {notice.path: notice.severity for notice in notices} == {"web_search_options": "lost", "tools[1]": "lost"}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (asked(), Refused("Something else is wrong.")),
        (asked(), too_long()),
        (asked(), Refused("System instruction is not enabled")),
        (asked(), Refused(WORDS)),
        (asked(tools=(SEARCH,), extras={"web_search_options": Raw(b"{}")}), Refused(WORDS)),
        (asked(source="gemini_generate", sampling=Sampling(presence_penalty=1.0)), Refused("Penalty is not enabled")),
    ],
    ids=["unknown words", "another kind", "no system", "no tools", "a search alone", "its own client"],
)
def test_what_nothing_known_helps_is_not_asked_again(request_: Request, error: Refused) -> None:
    assert codec.repair(request_, error, Notices()) is None
