"""What a model refuses is taken out once, where that is known to help."""

from typing import Any

import pytest

from asgi_ds2api.canonical import Message, Notices, ReasoningControl, Request, Sampling, Text
from asgi_ds2api.errors import Refused
from asgi_ds2api.protocols import openai_chat as codec


def asked(**fields: Any) -> Request:
    messages = (Message(role="user", content=(Text(text="hi"),)),)
    return Request(**{"source": "anthropic_messages", "model": "m", "messages": messages, **fields})


OBJECTIONS = [
    "Unsupported parameter: 'temperature' is not supported with this model.",
    "Unsupported value: 'temperature' does not support 0.2 with this model.",
    "Unrecognized request argument supplied: 'temperature'",
]


@pytest.mark.parametrize("words", OBJECTIONS)
def test_the_named_parameter_is_left_out_and_told_as_a_loss(words: str) -> None:
    notices = Notices()
    request = asked(sampling=Sampling(temperature=0.2, top_p=0.9))
    repaired = codec.repair(request, Refused(words), notices)
    assert repaired is not None
    assert repaired.sampling == Sampling(top_p=0.9)
    assert [(notice.path, notice.severity) for notice in notices] == [("temperature", "lost")]


NAMED = [
    "body.stop: Extra inputs are not permitted",
    "Model grok-4 does not support parameter presencePenalty.",
    "presence_penalty: unknown field",
    "Completions.create() got an unexpected keyword argument 'presence_penalty'",
]


@pytest.mark.parametrize("words", NAMED)
def test_a_field_is_known_in_whatever_way_it_is_named(words: str) -> None:
    request = asked(stop=("x",), sampling=Sampling(presence_penalty=1))
    repaired = codec.repair(request, Refused(words), Notices())
    assert repaired in (asked(sampling=Sampling(presence_penalty=1)), asked(stop=("x",)))
    assert codec.lesson(Refused(words)) is not None


EFFORTS = [
    ("`reasoning_effort` must be one of `low`, `medium`, or `high`", "max", "high", "changed"),
    ("`reasoning_effort` must be one of `none` or `default`", "high", "default", "changed"),
    ("body.reasoning_effort: Input should be 'low', 'medium' or 'high'", "minimal", "low", "changed"),
    (
        "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. "
        "Supported values are: 'low', 'medium', and 'high'.",
        "minimal",
        "low",
        "changed",
    ),
    ("reasoning_effort: expected one of none, high but got medium", "medium", "high", "changed"),
    ("reasoning_effort must be one of the values of this model", "max", None, "lost"),
    ("This model does not support `reasoning_effort` value `minimal` supplied.", "minimal", None, "lost"),
]


@pytest.mark.parametrize(("words", "effort", "sent", "severity"), EFFORTS)
def test_protocol_others_7_1_refused_effort_is_the_nearest_that_is_offered(
    words: str, effort: str, sent: str | None, severity: str
) -> None:
    notices = Notices()
    request = asked(reasoning=ReasoningControl(effort=effort, at="reasoning_effort"))
    repaired = codec.repair(request, Refused(words), notices)
    assert repaired is not None
    assert (repaired.reasoning and repaired.reasoning.effort) == sent
    assert [(notice.path, notice.severity) for notice in notices] == [("reasoning_effort", severity)]


@pytest.mark.parametrize(
    ("control", "sent"),
    [
        ({"mode": "disabled"}, {"effort": "low"}),
        ({"mode": "enabled", "budget_tokens": 30_000}, {"mode": "enabled", "effort": "high"}),
    ],
)
def test_protocol_others_7_1_what_stands_for_an_effort_is_one_that_is_offered(control: Any, sent: Any) -> None:
    request = asked(reasoning=ReasoningControl(**control, at="thinking"))
    repaired = codec.repair(request, Refused(EFFORTS[0][0]), Notices())
    assert repaired is not None
    assert repaired.reasoning == ReasoningControl(**sent, at="thinking")


def test_call_that_cannot_be_forced_while_it_thinks_turns_thinking_off() -> None:
    words = "The tool_choice parameter does not support being set to required or object in thinking mode"
    notices = Notices()
    repaired = codec.repair(asked(), Refused(words), notices)
    assert repaired is not None
    assert repaired.reasoning == ReasoningControl(mode="disabled", at="reasoning_effort")
    assert [(notice.path, notice.severity) for notice in notices] == [("reasoning_effort", "changed")]


def test_missing_reasoning_turns_thinking_off() -> None:
    words = "The `reasoning_content` in the thinking mode must be passed back to the API."
    repaired = codec.repair(asked(), Refused(words), Notices())
    assert repaired is not None
    assert repaired.reasoning is not None
    assert repaired.reasoning.mode == "disabled"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param(asked(), OBJECTIONS[0], id="nothing-to-take-out"),
        pytest.param(asked(sampling=Sampling(temperature=1.0)), "'temperature' must be positive", id="no-objection"),
        pytest.param(asked(stop=("x",)), "Unsupported parameter: 'messages'", id="not-to-be-left-out"),
    ],
)
def test_what_is_not_known_to_help_is_not_tried(request_: Request, words: str) -> None:
    notices = Notices()
    assert codec.repair(request_, Refused(words), notices) is None
    assert notices == []
