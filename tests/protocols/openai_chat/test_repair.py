"""What a model refuses is taken out once, where that is known to help."""

from typing import Any

import pytest

from asgi_ds2api.canonical import Message, Notices, Request, Sampling, Text
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
        pytest.param(
            asked(source="openai_chat", sampling=Sampling(temperature=1.0)), OBJECTIONS[0], id="its-own-client"
        ),
    ],
)
def test_what_is_not_known_to_help_is_not_tried(request_: Request, words: str) -> None:
    notices = Notices()
    assert codec.repair(request_, Refused(words), notices) is None
    assert notices == []
