"""What is made of a function of another protocol beyond its name and its schema; no vendor decides that."""

from collections.abc import Mapping
from typing import Final

from ..canonical import CustomTool, FunctionTool, Notices

_EXAMPLES: Final = "input_examples"
_SENT_ANYWAY: Final[Mapping[str, str]] = {
    "defer_loading": "all tools are sent at once",
    "eager_input_streaming": "arguments are streamed as they come",
}
"""Fields of Anthropic's tools that ask for no more than what happens anyway."""


def described(
    tool: FunctionTool | CustomTool, notices: Notices, reason: str = "the upstream has no such field"
) -> str | None:
    """Return the description of a function, with what else can be said in words; report all its own fields.

    Args:
        tool: Of another protocol.
        notices: Where its fields are reported.
        reason: Why the others have no place.
    """
    description = tool.description
    for name, value in tool.extras.items():
        if name == _EXAMPLES:
            description = f"{description or ''}\n\nExamples of its input: {bytes(value).decode()}".lstrip()
            notices.changed(f"{tool.at}.{name}", "said in the description", action="moved")
        elif name in _SENT_ANYWAY:
            notices.hint(f"{tool.at}.{name}", _SENT_ANYWAY[name])
        else:
            notices.unknown(tool.at, name, reason)
    return description
