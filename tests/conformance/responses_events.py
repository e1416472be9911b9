"""Reads a stream of the Responses protocol as its clients do."""

from typing import Any

import openai
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from .asking import Asked


def kinds(asked: Asked) -> list[str]:
    """Return the types of the events."""
    return [event["type"] for event in asked.events if event != "[DONE]"]


def accumulated(asked: Asked) -> Any:
    """Let the accumulator of the SDK read a stream, which raises at the first event out of order."""
    state: Any = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for event in asked.events:
        if event != "[DONE]":
            state.handle_event(construct_type(type_=ResponseStreamEvent, value=event))
    return state._completed_response


def check_order(asked: Asked) -> None:
    """Check what holds for every stream: numbers, names, and who says so to the SDK."""
    events = [event for event in asked.events if event != "[DONE]"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [line[7:] for line in asked.answer.text.split("\n") if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    accumulated(asked)
