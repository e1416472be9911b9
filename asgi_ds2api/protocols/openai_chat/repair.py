"""What an upstream objects to, taken out, where that is known to help: one retry with less.

Models differ in which parameters they take, and say so: ``Unsupported parameter: 'top_p' is not supported with this
model.`` What is taken out is reported as lost, as if it had been known before.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from ...canonical import Notices, ReasoningControl, Request
from ...errors import Refused
from . import wire

_OBJECTION: Final = re.compile(
    r"(?:unsupported|unrecognized|unknown|not support|does not support|not supported|extra inputs|not permitted)",
    re.IGNORECASE,
)
_OF_THE_MODEL: Final = re.compile(
    r"unsupported parameter|unrecognized request argument|unknown parameter|not supported (?:with|by|for) this model"
    r"|extra inputs are not permitted|only the default \(",
    re.IGNORECASE,
)
"""An objection to a parameter, not to its value."""
_DEPENDS: Final = re.compile(r"\b(?:when|while|if|unless|together|beside|tools with)\b", re.IGNORECASE)
_QUOTED: Final = re.compile(r"['\"`](?P<name>[a-z_]{1,40})['\"`]")
_THOUGHT_MISSING: Final = re.compile(r"reasoning_content.{0,80}must be passed back", re.IGNORECASE)

_CALL_FAILED: Final = re.compile(r"tool_use_failed|failed to call a function", re.IGNORECASE)
"""Groq's words for a call that its own model wrote wrong."""

_SAMPLING: Final = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "min_p",
    "presence_penalty",
    "seed",
    "temperature",
    "top_k",
    "top_logprobs",
    "top_p",
)


def repair(request: Request, error: Refused, notices: Notices) -> Request | None:
    """Return the request without what the upstream objected to; None: nothing known helps.

    Args:
        request: As it was encoded.
        error: Names the parameter in its ``param`` or in its words.
        notices: What is taken out is reported here.
    """
    if _CALL_FAILED.search(error.message) and request.sampling.temperature != 0:
        notices.changed("temperature", "the model wrote a call that cannot be read: asked again", action="coerced")
        return replace(request, sampling=replace(request.sampling, temperature=0))
    if error.kind != "invalid_request" or request.source == wire.NAME:
        return None  # a client of this protocol knows what its vendor says, and reacts
    if _THOUGHT_MISSING.search(error.message) and (request.reasoning is None or request.reasoning.mode != "disabled"):
        notices.lost("reasoning_effort", "the upstream misses earlier reasoning, so it does not think")
        at = "reasoning_effort" if request.reasoning is None else request.reasoning.at
        return replace(request, reasoning=ReasoningControl(mode="disabled", at=at))
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
    if error.kind != "invalid_request" or not _OF_THE_MODEL.search(error.message) or _DEPENDS.search(error.message):
        return None
    names = (error.param, *(match["name"] for match in _QUOTED.finditer(error.message)))
    name = next((name for name in names if name in _REMOVERS), None)
    return None if name is None else f"Unsupported parameter: '{name}'"


def _without_sampling(name: str) -> Callable[[Request], Request]:
    return lambda request: replace(request, sampling=replace(request.sampling, **{name: None}))


_REMOVERS: Final[Mapping[str, Callable[[Request], Request]]] = {
    **{name: _without_sampling(name) for name in _SAMPLING},
    "metadata": lambda request: replace(request, metadata={}),
    "parallel_tool_calls": lambda request: replace(request, parallel_tool_calls=None),
    "prompt_cache_key": lambda request: replace(request, cache=replace(request.cache, key=None)),
    "prompt_cache_retention": lambda request: replace(request, cache=replace(request.cache, retention=None)),
    "reasoning_effort": lambda request: replace(request, reasoning=None),
    "safety_identifier": lambda request: replace(request, user=None),
    "service_tier": lambda request: replace(request, service_tier=None),
    "stop": lambda request: replace(request, stop=()),
    "store": lambda request: replace(request, state=replace(request.state, store=None)),
    "user": lambda request: replace(request, user=None),
    "verbosity": lambda request: replace(request, verbosity=None),
}
"""Parameters without which an answer is still one, by the vendor's name."""
