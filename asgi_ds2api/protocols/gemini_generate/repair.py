"""What an upstream objects to, taken out or said otherwise, where that is known to help: one retry with less.

Models differ in what they take, and say so. What is taken out is reported as lost, as if it had been known before.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from ...canonical import (
    Block,
    FunctionTool,
    Message,
    Notices,
    Reasoning,
    ReasoningControl,
    Request,
    ToolCall,
    VendorTool,
)
from ...errors import Refused
from ..foreign_searches import OPTIONS
from . import wire
from .parts import SENTINEL, SIGNED, is_mark
from .preflight import ALONE, SYSTEM, form_in_words, has_functions
from .schema import to_openapi
from .tools import LOWERED
from .usage import UNSIGNED

_APART: Final = r"tool use with function calling is unsupported|server.?side.?tool.?invocations"
"""How models before 3 refuse the vendor's own tools beside functions; and how upstreams do that want a switch for that,
or do not know it."""
_OF_THE_MODEL: Final = re.compile(
    r"penalty is not enabled for|(?:developer|system) instruction is not enabled for"
    r"|unknown name .{0,3}parameters_?json_?schema"
    rf"|{_APART}",
    re.IGNORECASE,
)
Mend = Callable[[Request, Notices], Request | None]


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without what the upstream objected to; None: nothing known helps.

    Args:
        request: As it was encoded.
        error: Says in its words what is wrong.
        notices: What is taken out is reported here.
    """
    if error.kind != "invalid_request" or request.source == wire.NAME:
        return None  # a client of this protocol knows what its vendor says, and reacts
    for pattern, mend in _MENDS:
        if pattern.search(error.message):
            repaired = mend(request, notices)
            if repaired is not None and repaired != request:
                return repaired
    return None


def lesson(error: Refused) -> str | None:
    """See `codec.Codec.lesson`: the vendor's own words, where they are about what the model has at all."""
    return error.message if error.kind == "invalid_request" and _OF_THE_MODEL.search(error.message) else None


def _resign(request: Request, notices: Notices) -> Request | None:
    """Put the sentinel in the place of every signature, and where there is none."""
    mark = Reasoning(signature=SENTINEL, origin=wire.VENDOR)
    messages: list[Message] = []
    for message in request.messages:
        content = [_unsigned(block) for block in message.content if not is_mark(block)]
        first = next((i for i, block in enumerate(content) if isinstance(block, ToolCall)), None)
        if first is not None:
            content.insert(first, mark)
        messages.append(replace(message, content=tuple(content)))
    notices.lost("thoughtSignature", "the upstream does not accept the signatures: its sentinel stands in")
    return replace(request, messages=tuple(messages))


def _unsigned(block: Block) -> Block:
    if not isinstance(block, ToolCall) or SIGNED not in block.extras:
        return block
    return replace(block, extras={name: value for name, value in block.extras.items() if name != SIGNED})


def _lower_schemas(request: Request, notices: Notices) -> Request | None:
    """Say parameters in the vendor's own dialect."""
    tools = tuple(
        replace(
            tool,
            parameters=None,
            extras={**tool.extras, LOWERED: to_openapi(tool.parameters, f"{tool.at}.parameters", notices)},
        )
        if isinstance(tool, FunctionTool) and tool.parameters is not None
        else tool
        for tool in request.tools
    )
    return replace(request, tools=tools)


def _other_thinking(request: Request, notices: Notices) -> Request | None:
    """Ask for thinking in the form that was not tried, or not at all."""
    control = request.reasoning
    if control is None:
        return None
    notices.lost(control.at or "reasoning", "the model takes no such setting of its thinking")
    if control.effort is not None and control.effort != "none" and control.budget_tokens is None:
        return replace(request, reasoning=ReasoningControl(mode="adaptive", display=control.display, at=control.at))
    return replace(request, reasoning=None)


def _without_penalties(request: Request, notices: Notices) -> Request | None:
    penalties = ("frequency_penalty", "presence_penalty")
    said = [name for name in penalties if getattr(request.sampling, name) is not None]
    for name in said:
        notices.lost(name, "the model refuses this field")
    return replace(request, sampling=replace(request.sampling, **dict.fromkeys(said)))


def _fold_system(request: Request, notices: Notices) -> Request | None:
    """Let the user say what the system says: Gemma has no system."""
    said = [message for message in request.messages if message.role in SYSTEM]
    if not said:
        return None
    notices.changed(said[0].at, "the model has no system: said by the user")
    blocks = tuple(block for message in said for block in message.content)
    rest = [message for message in request.messages if message.role not in SYSTEM]
    return replace(request, messages=(Message(role="user", content=blocks, at=said[0].at), *rest))


def _functions_alone(request: Request, notices: Notices) -> Request | None:
    """Leave out what the vendor would run beside the caller's functions; alone it may stand."""
    if not has_functions(request.tools):
        return None
    for tool in request.tools:
        if isinstance(tool, VendorTool):
            notices.lost(tool.at or "tools", "the model runs no tools of its own beside functions")
    if OPTIONS in request.extras:
        notices.lost(OPTIONS, ALONE)
    tools = tuple(tool for tool in request.tools if not isinstance(tool, VendorTool))
    extras = {name: value for name, value in request.extras.items() if name != OPTIONS}
    return replace(request, tools=tools, extras=extras)


_MENDS: Final[Sequence[tuple[re.Pattern[str], Mend]]] = (
    (re.compile(r"missing a `?thought_signature|thought signature is (?:not valid|invalid)", re.IGNORECASE), _resign),
    (re.compile(f"^{UNSIGNED}$"), _resign),
    (re.compile(r"parameters_?json_?schema", re.IGNORECASE), _lower_schemas),
    (re.compile(r"thinking[_ ]?(?:level|budget|config)|thinking is not supported", re.IGNORECASE), _other_thinking),
    (re.compile(r"penalty is not enabled", re.IGNORECASE), _without_penalties),
    (re.compile(r"(?:developer|system) instruction is not enabled", re.IGNORECASE), _fold_system),
    (re.compile(r"(?:function calling|tool use) with a response mime type", re.IGNORECASE), form_in_words),
    (re.compile(_APART, re.IGNORECASE), _functions_alone),
)
"""Words of the vendor's -> what helps; the first that changes something."""
