"""`docs/capabilities.md`: what the gateway can do, from what the tests prove and the tables say."""

from collections.abc import Callable
from typing import Final

from tests.protocols.matrix.published import what_passes

from .capability_tables import fields

INTRODUCTION: Final = """<!-- Made by `python -m tests.support.documents --write`. -->

# Capabilities

What passes between the protocols, and what does not. How each field is carried is told on the pages of the protocols:
[Chat](protocols/openai-chat.md), [Responses](protocols/openai-responses.md),
[Messages](protocols/anthropic-messages.md), [Gemini](protocols/gemini.md), [Ollama](protocols/ollama.md).
"""

SECTIONS: Final[tuple[Callable[[], str], ...]] = (what_passes, fields)
"""What makes the sections, in their order; each begins with its title."""


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *(section() for section in SECTIONS)])
