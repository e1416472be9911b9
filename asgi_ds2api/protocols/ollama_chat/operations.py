"""The smaller operations: models. Tokens are not counted by this protocol.

A client asks what a model can before it offers tools or pictures. Nobody here knows for every model of every vendor, so
each is said to do all that a request may hold: what it cannot, its upstream refuses in words.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from ...canonical import Model, TokenCount
from ...envelope import HTTPCall
from ...errors import Malformed
from ...json_pieces import JsonObject
from ...profiles import Profile

LATEST: Final = ":latest"
"""The tag that a name without one has."""
VERSION: Final = b'{"version":"0.33.0"}'
"""Of the vendor's server that this face follows; clients choose by it what they may ask."""
CAPABILITIES: Final = ("completion", "tools", "vision", "thinking")
"""Not ``insert``: nothing stands in for a text that is to be filled in."""
USUAL_CONTEXT: Final = 131_072
"""Tokens; what most models of today have at least."""
MAX_SECONDS: Final = 253_402_300_799
"""The last second of the year 9999, the last that has an RFC 3339 form."""
_FAMILY: Final = "gateway"
_DETAILS: Final[JsonObject] = {
    "parent_model": "",
    "format": "gguf",
    "family": _FAMILY,
    "families": [_FAMILY],
    "parameter_size": "",
    "quantization_level": "",
}


def decode_token_count(body: bytes) -> TokenCount:
    """Raise: no upstream of this protocol counts tokens.

    Raises:
        Malformed: Always.
    """
    raise Malformed("The upstream does not count tokens.")


def encode_token_count(count: TokenCount) -> bytes:
    """Write a token count, for which the vendor has no form: no route of this face leads here."""
    return msgspec.json.encode({"prompt_eval_count": count.input_tokens})


def encode_key_check(profile: Profile) -> HTTPCall | None:
    """Write a request for the list of models, or for what the profile has instead; None: it has nothing."""
    path = profile.key_check("/api/tags")
    return None if path is None else HTTPCall(method="GET", path=path)


def encode_models(models: Sequence[Model], query: Mapping[str, str]) -> bytes:
    """Write the list of models; the vendor's has one page, so ``query`` says nothing."""
    return msgspec.json.encode({"models": [_listed(model) for model in models]})


def encode_model(model: Model) -> bytes:
    """Write what is known of one model."""
    context = model.context_tokens or USUAL_CONTEXT
    shown: JsonObject = {
        "license": "",
        "modelfile": "",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _DETAILS,
        "model_info": {"general.architecture": _FAMILY, f"{_FAMILY}.context_length": context},
        "capabilities": CAPABILITIES,
        "modified_at": rfc3339(model.created),
    }
    return msgspec.json.encode(shown)


def rfc3339(seconds: float) -> str:
    """Return a time as the vendor writes it: in UTC, as strict readers of other languages take it."""
    at = datetime.fromtimestamp(min(max(seconds, 0), MAX_SECONDS), UTC)
    return at.replace(tzinfo=None).isoformat() + "Z"


def seconds_of(text: str | None) -> int | None:
    """Return the seconds since 1970 of a time as the vendor writes it; None: it is none."""
    try:
        at = datetime.fromisoformat(text or "")
        return max(0, int(at.timestamp())) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def tagged(name: str) -> str:
    """Return a model's name with its tag: clients count on one."""
    return name if ":" in name.rpartition("/")[2] else f"{name}{LATEST}"


def _listed(model: Model) -> JsonObject:
    name = tagged(model.id)
    return {
        "name": name,
        "model": name,
        "modified_at": rfc3339(model.created),
        "size": 1,
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": _DETAILS,
    }
