"""What an upstream objects to, taken out, where that is known to help: one retry with less.

Models differ in which parameters they take, and say so: ``Unsupported parameter: 'top_p' is not supported with this
model.`` What is taken out is reported as lost, as if it had been known before. Reasoning that is sealed for another
customer is taken out of a request of this protocol, too: its client cannot know whose key it is that serves it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from ...canonical import Notices, Request
from ...errors import Refused
from ..refused_fields import DEPENDS, REMOVERS
from ..strict_schemas import let_go
from . import wire
from .reasoning import without_sealed

_OBJECTION: Final = re.compile(r"(?:unsupported|unrecognized|unknown|not support|not permitted)", re.IGNORECASE)
_OF_THE_MODEL: Final = re.compile(
    r"unsupported parameter|unrecognized request argument|unknown parameter|not supported (?:with|by|for) this model"
    r"|extra inputs are not permitted|only the default \(",
    re.IGNORECASE,
)
"""An objection to a parameter, not to its value."""
_QUOTED: Final = re.compile(r"['\"`](?P<name>[a-z_.]{1,40})['\"`]")


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without what the upstream objected to; None: nothing known helps.

    Args:
        request: As it was encoded.
        error: Names the parameter in its ``param`` or in its words.
        notices: What is taken out is reported here.
    """
    if error.kind == "foreign_reasoning":
        return without_sealed(request, notices)
    if error.kind != "invalid_request" or request.source == wire.NAME:
        return None  # a client of this protocol knows what its vendor says, and reacts
    let = let_go(request, error.message, notices)
    if let is not None:
        return None if let == request else let
    if not _OBJECTION.search(error.message):
        return None
    for name in (error.param, *(match["name"] for match in _QUOTED.finditer(error.message))):
        remove = _REMOVERS.get(name or "")
        if remove is None:
            continue
        repaired = remove(request)
        if repaired != request:
            notices.lost(name or "", "the model refuses this field")
            return repaired
    return None


def lesson(error: Refused) -> str | None:
    """See `codec.Codec.lesson`: the name of a parameter that the model does not take, whatever its value."""
    if error.kind != "invalid_request" or not _OF_THE_MODEL.search(error.message) or DEPENDS.search(error.message):
        return None
    names = (error.param, *(match["name"] for match in _QUOTED.finditer(error.message)))
    name = next((name for name in names if name in _REMOVERS), None)
    return None if name is None else f"Unsupported parameter: '{name}'"


_REMOVERS: Final[Mapping[str, Callable[[Request], Request]]] = {
    **REMOVERS,
    "include": lambda request: replace(request, sampling=replace(request.sampling, logprobs=None, top_logprobs=None)),
    "reasoning": lambda request: replace(request, reasoning=None),
    "reasoning.effort": lambda request: replace(request, reasoning=None),
    "reasoning.summary": lambda request: replace(
        request, reasoning=None if request.reasoning is None else replace(request.reasoning, display="omitted")
    ),
    "text.verbosity": lambda request: replace(request, verbosity=None),
}
"""What may be missing, by the vendor's name."""
