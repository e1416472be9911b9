"""Lends Gemini's validated calls to upstreams of other protocols: functions that they can be held to are strict.

Gemini's ``VALIDATED`` lets a model call or not, and holds its calls to their schemas. Others say that of each function,
and take few schemas then. A function whose schema has their form, or can be narrowed to it (`strict_schemas`), is
strict there; any other one is called as ``AUTO`` has it, as the vendor would refuse the request.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..canonical import Event, FunctionTool, Notices, Request, Tool
from ..profiles import Profile
from ..protocols.strict_schemas import narrow

SOURCE: Final = "gemini_generate"
_MODE: Final = "mode"
"""What a choice keeps that is told as ``auto``: Gemini's own word."""
_HOLDING: Final = frozenset({"anthropic_messages", "openai_chat", "openai_responses"})
"""Protocols whose functions may be strict."""
_REFERENCE: Final = b'"$ref"'
"""A schema that holds one may be recursive, and such a one Anthropic refuses."""


class ValidatedCalls:
    """See the module.

    Args:
        protocol: The protocol of the upstream.
        profile: Its dialect.
    """

    is_over = False

    def __init__(self, protocol: str, profile: Profile) -> None:
        self._protocol = protocol
        self._profile = profile

    @staticmethod
    def is_needed(request: Request, protocol: str) -> bool:
        """Tell whether calls are to be validated, and not by Gemini."""
        choice = request.tool_choice
        return request.source == SOURCE != protocol and choice is not None and _MODE in choice.extras

    def request(self, request: Request, notices: Notices) -> Request:
        """Make functions strict, and leave the choice to the model."""
        choice = request.tool_choice
        assert choice is not None, "see `is_needed`"
        notices.changed(f"{choice.at}.{_MODE}", "as AUTO; functions of schemas that may be strict everywhere are")
        extras = {name: raw for name, raw in choice.extras.items() if name != _MODE}
        tools = request.tools
        if self._protocol in _HOLDING and self._profile.facts(request.model).structured_outputs:
            tools = tuple(_held(tool) for tool in tools)
        return msgspec.structs.replace(request, tools=tools, tool_choice=msgspec.structs.replace(choice, extras=extras))

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events: calls are calls."""
        return events


def _held(tool: Tool) -> Tool:
    """Return a function as a strict one, if it may be."""
    if not isinstance(tool, FunctionTool) or tool.parameters is None or _REFERENCE in bytes(tool.parameters):
        return tool
    narrowed = narrow(tool.parameters)
    return tool if narrowed is None else msgspec.structs.replace(tool, parameters=narrowed, strict=True)
