"""Where a caller's settings, and fields of its tools and messages, stand that encoders report by other names."""

from collections.abc import Sequence
from typing import Final

from ...canonical import CustomTool, Extras, ReasoningControl, Tool
from ...json_pieces import fields_of, present
from . import wire
from .reasoning import HIDDEN

_CONTROLS: Final = ("reasoning_effort", "thinking", "enable_thinking")
"""Where it stands how hard the model shall think, if not in an object ``reasoning``."""
_PLACES: Final = {
    **{f"{name}.display": "include_reasoning" for name in _CONTROLS},
    **{f"{name}.effort": "reasoning_effort" for name in _CONTROLS},
    "enable_thinking.budget_tokens": "thinking_budget",
    "messages[].call_id": "messages[].tool_call_id",
    "messages[].content[].name": "messages[].content[].file.filename",
    "messages[].tool_calls[].arguments": "messages[].tool_calls[].function.arguments",
    "reasoning.budget_tokens": "reasoning.max_tokens",
    "reasoning.display": "reasoning.summary",
    "response_format.description": "response_format.json_schema.description",
    "response_format.name": "response_format.json_schema.name",
    "response_format.schema": "response_format.json_schema.schema",
    "response_format.strict": "response_format.json_schema.strict",
    "tools[].format": "tools[].custom.format",
    "tools[].name": "tools[].function.name",
    "tools[].parameters": "tools[].function.parameters",
    "tools[].strict": "tools[].function.strict",
}
"""Where it stands what others have elsewhere."""


def places_of(
    head: wire.Request, extras: Extras, reasoning: ReasoningControl | None, tools: Sequence[Tool]
) -> dict[str, str]:
    """Return where it stands what others have elsewhere."""
    own: dict[str, str] = {}
    if head.max_completion_tokens is None and head.max_tokens is not None:
        own["max_completion_tokens"] = "max_tokens"
    if head.safety_identifier is not None:
        own["user"] = "safety_identifier"
    if head.reasoning_effort is not None and "reasoning_effort" not in extras:
        own["reasoning.effort"] = "reasoning_effort"
    if head.enable_thinking is None and head.thinking_budget is not None:
        own["enable_thinking"] = "thinking_budget"
    if reasoning is not None and reasoning.display == HIDDEN:
        own["reasoning.display"] = "reasoning.exclude"
    for tool in tools:
        if isinstance(tool, CustomTool):
            own[f"{tool.at}.name"] = f"{tool.at}.custom.name"
    return {**_PLACES, **own} if own else _PLACES


def overruled(head: wire.Request, reasoning: ReasoningControl | None) -> tuple[str, ...]:
    """Return the fields that another one stands before."""
    asked = fields_of(present(head.reasoning))
    effort = None if reasoning is None else reasoning.effort
    twice = {
        "max_tokens": head.max_tokens is not None and head.max_completion_tokens is not None,
        "function_call": None not in map(present, (head.function_call, head.tool_choice)),
        "reasoning.enabled": effort is not None and bytes(asked.get("enabled", b"")) == b"true",
        "reasoning.summary": "summary" in asked and reasoning is not None and reasoning.display == HIDDEN,
    }
    return tuple(name for name, is_twice in twice.items() if is_twice)
