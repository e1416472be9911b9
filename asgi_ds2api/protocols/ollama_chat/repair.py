"""What an upstream objects to, taken out, where that is known to help: one retry with less.

Models differ in whether they think, and whether they can be told how hard: ``"x" does not support thinking``. What is
taken out is reported, as if it had been known before. A model without tools is left to say so itself.
"""

import re
from typing import Final

from msgspec.structs import replace

from ...canonical import Notices, Request
from ...errors import Refused
from . import wire

_NO_THINKING: Final = re.compile(r"does not support thinking", re.IGNORECASE)
_NO_LEVEL: Final = re.compile(r"think value .{0,40}not supported", re.IGNORECASE)


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without what the upstream objected to; None: nothing known helps.

    Args:
        request: As it was encoded.
        error: Says it in its words.
        notices: What is taken out is reported here.
    """
    control = request.reasoning
    if request.source == wire.NAME or control is None:
        return None  # a client of this protocol knows what its vendor says, and reacts
    at = control.at or "reasoning"
    if _NO_THINKING.search(error.message):
        report = notices.hint if control.mode == "disabled" or control.effort == "none" else notices.lost
        report(at, "the model does not think")
        return replace(request, reasoning=None)
    if _NO_LEVEL.search(error.message) and (control.effort or control.budget_tokens):
        notices.changed(at, "the model thinks or not, and cannot be told how hard", action="coerced")
        return replace(request, reasoning=replace(control, mode="enabled", effort=None, budget_tokens=None))
    return None


def lesson(error: Refused) -> str | None:
    """See `codec.Codec.lesson`: that the model does not think."""
    return "the model does not support thinking" if _NO_THINKING.search(error.message) else None
