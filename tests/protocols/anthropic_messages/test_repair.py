"""A 400 that the table knows is mended once; a second time, or of anything else, it is the caller's to see."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from asgi_ds2api.canonical import (
    Notices,
    OutputFormat,
    Reasoning,
    ReasoningControl,
    Request,
    Sampling,
    ToolChoice,
)
from asgi_ds2api.errors import Refused
from asgi_ds2api.protocols import anthropic_messages as codec

from .calls import assistant, chat, encode, native, say, told, user

Look = Callable[[dict[str, Any]], object]


def mend(request: Request, message: str) -> tuple[Request | None, Notices]:
    notices = Notices()
    return codec.repair(request, Refused(message), notices), notices


THINKS = ReasoningControl(mode="enabled", budget_tokens=9_000, at="r")
SCHEMA = OutputFormat(kind="json_schema", schema=Raw(b'{"type":"object"}'), at="response_format")
REPAIRS = [
    pytest.param(
        chat(sampling=Sampling(temperature=0.5, top_k=3)),
        "`temperature` is deprecated for this model.",
        lambda body: body.keys() & {"temperature", "top_k"},
        set(),
        id="temperature",
    ),
    pytest.param(
        chat(sampling=Sampling(temperature=0.5, top_p=0.5), model="x"),
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        lambda body: body.keys() & {"temperature", "top_p"},
        {"temperature"},
        id="top-p",
    ),
    pytest.param(
        chat(reasoning=ReasoningControl(mode="disabled", at="r"), model="x"),
        '"thinking.type.disabled" is not supported for this model.',
        lambda body: (body["thinking"], body["output_config"]),
        ({"type": "adaptive"}, {"effort": "low"}),
        id="thinking-disabled",
    ),
    pytest.param(
        chat(reasoning=THINKS, model="x"),
        '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".',
        lambda body: (body["thinking"], body["output_config"]),
        ({"type": "adaptive"}, {"effort": "medium"}),
        id="thinking-enabled",
    ),
    pytest.param(
        chat(reasoning=ReasoningControl(effort="high", at="r"), model="x"),
        "thinking.budget_tokens: not supported",
        lambda body: (body["thinking"], body["output_config"]),
        ({"type": "adaptive"}, {"effort": "high"}),
        id="budget-of-an-effort",
    ),
    pytest.param(
        native(output_config={"effort": "xhigh"}),
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        lambda body: body["output_config"],
        {"effort": "high"},
        id="effort",
    ),
    pytest.param(
        chat(
            tools=native(tools=[{"name": "f", "input_schema": {"type": "object"}}]).tools,
            tool_choice=ToolChoice(mode="required", at="tool_choice"),
        ),
        'tool_choice: type "tool" and "any" are not supported for this model.',
        lambda body: (body["tool_choice"], body["system"]),
        ({"type": "auto"}, "Answer by calling at least one of the tools."),
        id="C32-forced-tool",
    ),
    pytest.param(
        native(messages=[user("hi"), {"role": "system", "content": "env"}]),
        "role 'system' is not supported on this model",
        lambda body: body["messages"],
        [user("hi"), user("<system>\nenv\n</system>")],
        id="C29-system",
    ),
    pytest.param(
        native(output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}),
        "output_config.format: structured outputs are not supported by this model",
        lambda body: ("output_config" in body, body["system"].splitlines()[-1]),
        (False, '{"type": "object"}'),
        id="format",
    ),
    pytest.param(
        chat(max_output_tokens=200_000, model="x"),
        "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for x",
        lambda body: body["max_tokens"],
        64_000,
        id="max-tokens",
    ),
    pytest.param(
        chat(max_output_tokens=64_000, model="x"),
        "input length and `max_tokens` exceed context limit: 188240 + 64000 > 200000, decrease input length",
        lambda body: body["max_tokens"],
        11_760,
        id="context",
    ),
]


@pytest.mark.parametrize(("request_", "message", "look", "expected"), REPAIRS)
def test_a_known_objection_is_mended_once(request_: Request, message: str, look: Look, expected: object) -> None:
    mended, notices = mend(request_, message)
    assert mended is not None
    assert look(encode(mended)[0]) == expected
    assert len(notices) >= 1
    assert mend(mended, message)[0] is None


@pytest.mark.parametrize(("request_", "message", "look", "expected"), REPAIRS)
def test_a_request_that_has_nothing_of_it_is_left_alone(
    request_: Request, message: str, look: Look, expected: object
) -> None:
    plain = chat(max_output_tokens=1)
    assert mend(plain, message)[0] is None


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 215032 tokens > 200000 maximum",
        "messages: at least one message is required",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        "temperature: range: 0..1",
        "",
    ],
)
def test_an_unknown_objection_is_the_callers_to_see(message: str) -> None:
    assert mend(chat(sampling=Sampling(temperature=0.5)), message)[0] is None


def thought(n: int) -> dict[str, str]:
    return {"type": "thinking", "thinking": f"t{n}", "signature": f"s{n}"}


def test_thinking_that_is_bound_to_another_talk_goes_from_there_on() -> None:
    answers = [assistant([thought(n), {"type": "text", "text": f"a{n}"}]) for n in range(3)]
    turns = [turn for answer in answers for turn in (user("q"), answer)]
    request = native(system="s", messages=[*turns, user("go")])
    message = "messages.3.content.0: Invalid `signature` in `thinking` block. The block is bound to a different talk."
    mended, notices = mend(request, message)
    assert mended is not None
    written = encode(mended)[0]["messages"]
    assert [turn["content"] for turn in written[1::2]] == [[thought(0), {"type": "text", "text": "a0"}], "a1", "a2"]
    assert told(notices, "lost") == ["messages[3]", "messages[5]"]
    assert mend(mended, message)[0] is None


def test_of_a_translated_talk_all_thinking_goes() -> None:
    own = Reasoning(text="t", signature="s", origin="anthropic")
    request = chat(
        say("user", "q"), say("assistant", own, "a"), say("user", "b"), say("assistant", own), say("user", "go")
    )
    mended, _ = mend(request, "messages.1.content.0: Invalid `signature` in `thinking` block")
    assert mended is not None
    assert [m["role"] for m in encode(mended)[0]["messages"]] == ["user", "assistant", "user"]


def test_a_beta_that_the_upstream_does_not_know_is_taken_out() -> None:
    request = native(headers={"anthropic-beta": "a-1, b-2,c-3"})
    message = "Unexpected value(s) `b-2` for the `anthropic-beta` header. Please consult our documentation."
    mended, notices = mend(request, message)
    assert mended is not None
    assert mended.vendor_headers == {"anthropic-beta": "a-1,c-3"}
    assert told(notices, "lost") == ["anthropic-beta"]
    assert mend(mended, message)[0] is None
    alone, _ = mend(native(headers={"anthropic-beta": "b-2"}), message)
    assert alone is not None
    assert alone.vendor_headers == {}


def test_leading_system_messages_are_not_folded() -> None:
    request = native(system="s", messages=[user("hi"), {"role": "system", "content": "env"}])
    mended, _ = mend(request, "role 'system' is not supported on this model")
    assert mended is not None
    assert encode(mended)[0]["system"] == "s"


def test_an_empty_system_message_that_only_sets_the_effort_goes() -> None:
    bare = {"role": "system", "content": [], "output_config": {"effort": "low"}}
    mended, _ = mend(native(messages=[user("hi"), bare]), "role 'system' is not supported on this model")
    assert mended is not None
    assert encode(mended)[0]["messages"] == [user("hi")]
