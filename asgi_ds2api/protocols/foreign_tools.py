"""What is made of tools of another protocol beyond their names and schemas; no vendor decides that."""

from collections.abc import Mapping
from typing import Final

from ..canonical import CustomTool, FunctionTool, Notices, ToolChoice

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


def report_idle_choice(choice: ToolChoice, notices: Notices) -> None:
    """Report a choice among tools where there are none."""
    report = notices.lost if choice.mode in ("required", "named") else notices.hint
    report(choice.at or "tool_choice", "there are no tools to choose from")
