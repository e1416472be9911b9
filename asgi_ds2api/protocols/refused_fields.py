"""Requests without a field that a model refuses: what OpenAI's protocols, and those who copy them, call alike.

What a name is called in one protocol alone stands in the ``repair`` of that protocol.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from ..canonical import Request

DEPENDS: Final = re.compile(r"\b(?:when|while|if|unless|together|beside|tools with)\b", re.IGNORECASE)
"""An objection to a field beside another one: nothing to be learnt of the model."""


def without_sampling(name: str) -> Callable[[Request], Request]:
    """Return what takes a field of the sampling out."""
    return lambda request: replace(request, sampling=replace(request.sampling, **{name: None}))


REMOVERS: Final[Mapping[str, Callable[[Request], Request]]] = {
    **{name: without_sampling(name) for name in ("temperature", "top_logprobs", "top_p")},
    "metadata": lambda request: replace(request, metadata={}),
    "parallel_tool_calls": lambda request: replace(request, parallel_tool_calls=None),
    "prompt_cache_key": lambda request: replace(request, cache=replace(request.cache, key=None)),
    "prompt_cache_retention": lambda request: replace(request, cache=replace(request.cache, retention=None)),
    "safety_identifier": lambda request: replace(request, user=None),
    "service_tier": lambda request: replace(request, service_tier=None),
    "user": lambda request: replace(request, user=None),
    "verbosity": lambda request: replace(request, verbosity=None),
}
"""Fields without which an answer is still one, by the vendor's name."""
