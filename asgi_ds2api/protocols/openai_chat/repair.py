"""What an upstream objects to, taken out, where that is known to help: one retry with less.

Models differ in which parameters they take, and say so: ``Unsupported parameter: 'top_p' is not supported with this
model.`` What is taken out is reported as lost, as if it had been known before.

A request that is relayed never comes here: its caller knows what the vendor says, and reacts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from ...canonical import Notices, Request
from ...errors import Refused
from ...model_facts import nearest_effort
from ..refused_fields import DEPENDS, REMOVERS, without_sampling
from ..strict_schemas import let_go
from . import wire
from .reasoning import EFFORTS, NEAREST, NEAREST_EFFORT, effort_of, without_thinking

_OBJECTION: Final = re.compile(
    r"unsupported|unrecognized|unknown|not support|extra inputs|not permitted|unexpected", re.IGNORECASE
)
_OF_THE_MODEL: Final = re.compile(
    r"unsupported parameter|unrecognized request argument|unknown (?:parameter|field)"
    r"|not supported (?:with|by|for|on) this model|does not support parameter|extra inputs are not permitted"
    r"|unexpected keyword argument|was unexpected|only the default \(",
    re.IGNORECASE,
)
"""An objection to a parameter, not to its value."""
_NAME: Final = re.compile(
    r"['\"`][A-Za-z_]{1,40}['\"`]|(?<=\bbody\.)[a-z_]{1,40}|\b[a-z]{1,20}(?:_[a-z]{1,20}){1,3}\b"
    r"|\b[a-z]{1,20}(?:[A-Z][a-z]{1,20}){1,3}\b"
)
"""What may name a parameter: a quoted word, a place in the body, words that are joined (xAI's ``reasoningEffort``)."""
_CAPITAL: Final = re.compile(r"(?<=[a-z])[A-Z]")
_OFFER: Final = re.compile(r"\b(?:one of|should be|expected|supported values(?: are)?)\b", re.IGNORECASE)
"""Behind it stand the values that are taken."""
_WORD: Final = re.compile(r"[a-z]+")
_THOUGHT_MISSING: Final = re.compile(r"reasoning_content.{0,80}must be passed back", re.IGNORECASE)
_FORCED_WHILE_THINKING: Final = re.compile(r"tool_choice.{0,80}\bthinking mode", re.IGNORECASE)
"""Qwen's words: a model that thinks unasked cannot be forced to call a tool."""
_EFFORT: Final = "reasoning_effort"

_SAMPLING: Final = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "min_p",
    "presence_penalty",
    "seed",
    "top_k",
)


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without what the upstream objected to; None: nothing known helps.

    Args:
        request: As it was encoded.
        error: Names the parameter in its ``param`` or in its words.
        notices: What is taken out is reported here.
    """
    if error.kind == "spoiled_call" and request.sampling.temperature != 0:
        notices.changed("temperature", "the model wrote a call that cannot be read: asked again", action="coerced")
        return replace(request, sampling=replace(request.sampling, temperature=0))
    if error.kind != "invalid_request":
        return None
    let = let_go(request, error.message, notices)
    if let is not None:
        return None if let == request else let
    if request.reasoning is None or request.reasoning.mode != "disabled":
        if _THOUGHT_MISSING.search(error.message):
            notices.lost(_EFFORT, "the upstream misses earlier reasoning, so it does not think")
            return replace(request, reasoning=without_thinking(request.reasoning))
        if _FORCED_WHILE_THINKING.search(error.message):
            notices.changed(_EFFORT, "the model does not think where a call is forced", action="dropped")
            return replace(request, reasoning=without_thinking(request.reasoning))
    return _with_another_effort(request, error, notices) or _without_field(request, error, notices)


def _without_extra(name: str) -> Callable[[Request], Request]:
    """Return what takes a field without a canonical form out, unless another question would be asked without it."""

    def remove(request: Request) -> Request:
        if name in request.required_extras:
            return request
        return replace(request, extras={key: raw for key, raw in request.extras.items() if key != name})

    return remove


def _with_another_effort(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request with the nearest of the efforts that an objection lists; None: it lists none that is near."""
    control, offer = request.reasoning, _OFFER.search(error.message)
    if control is None or offer is None or _EFFORT not in _named(error):
        return None
    asked = "none" if control.mode == "disabled" else effort_of(control.effort, control.budget_tokens)
    offered = EFFORTS.intersection(_WORD.findall(error.message[offer.end() :].lower())) - {asked}
    fitted = None if asked is None else nearest_effort(asked, offered, NEAREST)
    if fitted is None:
        return None
    notices.changed(control.at or _EFFORT, NEAREST_EFFORT, action="coerced")
    mode = None if control.mode == "disabled" else control.mode
    return replace(request, reasoning=replace(control, mode=mode, effort=fitted, budget_tokens=None))


def _without_field(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without the field that an objection names; None: it names none that may be missing."""
    names = [*_named(error)]
    is_value_of_effort = _EFFORT in names and _OFFER.search(error.message)
    if not (is_value_of_effort or _OBJECTION.search(error.message)):
        return None
    for name in names:
        if name in _OUR_OWN and name not in request.refused_fields:
            return replace(request, refused_fields=(*request.refused_fields, name))
        repaired = _REMOVERS[name](request) if name in _REMOVERS else request
        if repaired != request:
            notices.lost(name, "the model refuses this field")
            return repaired
    return None


def _named(error: Refused) -> Iterator[str]:
    """Yield the names of parameters that an objection may be about, the likeliest first."""
    if error.param is not None:
        yield error.param
    for match in _NAME.finditer(error.message):
        yield _CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", match[0].strip("'\"`"))


def lesson(error: Refused) -> str | None:
    """See `codec.Codec.lesson`: the name of a parameter that the model does not take, whatever its value."""
    if error.kind != "invalid_request" or not _OF_THE_MODEL.search(error.message) or DEPENDS.search(error.message):
        return None
    name = next((name for name in _named(error) if name in _REMOVERS or name in _OUR_OWN), None)
    return None if name is None else f"Unsupported parameter: '{name}'"


_OUR_OWN: Final = frozenset({"stream_options"})
"""Fields that no caller need ask for: the encoder reports where it would have sent them."""
_REMOVERS: Final[Mapping[str, Callable[[Request], Request]]] = {
    **REMOVERS,
    **{name: without_sampling(name) for name in _SAMPLING},
    **{name: _without_extra(name) for name in wire.EXTRAS},
    "reasoning_effort": lambda request: replace(request, reasoning=None),
    "stop": lambda request: replace(request, stop=()),
    "store": lambda request: replace(request, state=replace(request.state, store=None)),
}
"""What may be missing, by the vendor's name."""
